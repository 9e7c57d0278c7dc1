"""Draws the pages that need no Gradio."""

from __future__ import annotations

from typing import Any

from hub.web.parts import html
from hub.web.parts.pieces import environment


def draw_page(file: str, /, *, home: str, here: str, signed_in: str = "", **parts: Any) -> str:
    """A page from its template. `home`: the hub's root from here; `here`: where its style and scripts are."""
    template = environment().get_template(file)
    return template.render(html=html, home=home, here=here, signed_in=signed_in, **parts)
