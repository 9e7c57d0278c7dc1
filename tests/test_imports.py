"""Looking for demos is light: no framework is imported before a model is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

HEAVY = (
    "torch", "torchvision", "torchcam", "gradio", "streamlit", "diffusers", "transformers", "timm", "pandas",
    "fastapi", "starlette", "uvicorn", "matplotlib",
)  # fmt: skip


def imported_by(code: str, folder: Path) -> set[str]:
    """Top-level modules that are imported after `code` ran in a fresh process, in `folder`."""
    script = f"{code}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
        cwd=folder,
        env=environment,
    )
    return set(done.stdout.split())


def test_looking_for_demos_and_making_an_engine_import_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import hub.spec, hub.errors, hub.settings, hub.suggest, hub.pages.registry, hub.kit.heat_maps, hub.images\n"
        "assert list(hub.pages.registry.discover())\n"
        "from hub.hub import Hub; Hub().close()"
    )
    assert imported_by(code, tmp_path) & set(HEAVY) == set()


def test_a_declaration_needs_the_standard_library_alone(tmp_path: Path) -> None:
    assert imported_by("import hub.spec", tmp_path) & {"numpy", "PIL", "huggingface_hub", *HEAVY} == set()
