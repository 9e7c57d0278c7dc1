"""The Demo Hub: the ground under all wings (errors, settings, texts, files), and `Hub`, which builds the wings."""

from importlib import import_module
from typing import Any


def show(demo: Any, name: str = "", **options: Any) -> Any:
    """Serves one page from a notebook or a script: see hub/cli/pages/notebook.py, imported at the first call."""
    return import_module("hub.cli.pages.notebook").show(demo, name, **options)
