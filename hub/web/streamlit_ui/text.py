"""Words for Streamlit, which reads nearly all text as Markdown; not options of a dropdown, nor titles of pages."""

from __future__ import annotations

import re

from hub.texts import say

MARKUP = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:])")


def escape_markdown(text: str) -> str:
    """Text that looks as it is written: no link, picture, formula, colour or icon comes of it."""
    return MARKUP.sub(r"\\\1", text)


def say_plainly(text: str, /, **values: object) -> str:
    """`text` in the visitor's language, which looks as it is written."""
    return escape_markdown(say(text, **values))
