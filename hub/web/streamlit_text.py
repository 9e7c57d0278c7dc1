"""Words for Streamlit, which reads nearly all text as Markdown; not options of a dropdown, nor titles of pages."""

from __future__ import annotations

import re

MEANT = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:])")


def plain(text: str) -> str:
    """Text that looks as it is written: no link, picture, formula, colour or icon comes of it."""
    return MEANT.sub(r"\\\1", text)


def ms(value: float) -> str:
    """`1.25 s`, `35 ms`, `2.5 ms`."""
    return f"{value / 1000:.2f} s" if value >= 1000 else f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms"
