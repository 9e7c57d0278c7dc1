"""Markdown of others (authors of cards, models that write) as HTML that can do nothing.

Tags that it has stand as text. Pictures are left out, since a page loads nothing from elsewhere; links lead to other
websites only, in a tab of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

SCHEMES = ("https://", "http://", "mailto:")


@lru_cache(64)
def render(text: str) -> Markup:
    """A text of a bounded length. With "html" switched off, the library escapes all that is not Markdown."""
    return Markup(parser().render(text))


@cache
def parser() -> MarkdownIt:
    made = MarkdownIt("commonmark", {"html": False, "maxNesting": 20}).enable(["table", "strikethrough"])
    made.validateLink = lambda url: url.lower().startswith(SCHEMES)  # type: ignore[method-assign]
    made.add_render_rule("image", _picture)
    made.add_render_rule("link_open", _link)
    return made


def _picture(self: Any, tokens: Sequence[Token], number: int, options: Any, env: Any) -> str:
    """What the author says is in it, escaped by the library as any other text is."""
    return str(self.text(tokens, number, options, env))


def _link(self: Any, tokens: Sequence[Token], number: int, options: Any, env: Any) -> str:
    tokens[number].attrs.pop("title", None)
    tokens[number].attrs |= {"target": "_blank", "rel": "noopener noreferrer nofollow"}
    return str(self.renderToken(tokens, number, options, env))
