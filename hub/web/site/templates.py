"""Draws the pages that need no Gradio."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hub.pages.registry import Page
from hub.web.parts import html
from hub.web.parts.pieces import environment, piece


def draw_page(
    file: str, /, *, home: str, here: str, menu: Iterable[Page] = (), place: str | None = None, signed_in: str = "",
    **parts: Any,
) -> str:  # fmt: skip
    """A page from its template. `home`: the hub's root from here; `here`: where its style and scripts are.

    `menu` and `place`: what the bar on top leads to, and where in it this page is.
    """
    bar = html.masthead(menu, place, root=home, here="", signed_in=bool(signed_in))
    frame = {"html": html, "masthead": bar, "app": piece("heads", "app", home), "home": home, "here": here}
    return environment().get_template(file).render(**frame, signed_in=signed_in, **{"offered": (), **parts})
