"""The card of a set of weights as HTML that can do nothing: its author may be anybody on the Hugging Face Hub.

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

from hub.texts import say
from hub.web.parts.card_summary import summarise
from hub.web.parts.pieces import piece
from hub.weights.facts import WeightsFacts

MOST_CHARS = 48 * 1024  # hostile Markdown of that length takes a second or two, once
SCHEMES = ("https://", "http://", "mailto:")
NO_CARD = "There is no card."


def draw(card: str) -> Markup:
    """For Gradio and Streamlit alike."""
    cut = say("The rest of this card is left out.") if len(card) > MOST_CHARS else ""
    return piece("values", "card", _render_markdown(card[:MOST_CHARS]) if card.strip() else say(NO_CARD), cut)


def summary(facts: WeightsFacts) -> Markup:
    """Accuracy, data, limits and licence in a line each, and a chart of the card's own figures."""
    return piece("values", "summary", facts, summarise(_markdown(), facts.card[:MOST_CHARS]))


@lru_cache(64)
def _render_markdown(text: str) -> Markup:
    """The card; commands that make the weights anew come last, for the few who want them."""
    tokens = _markdown().parse(text)
    commands = [token for token in tokens if token.type in ("fence", "code_block") and token.level == 0]
    rest = [token for token in tokens if token not in commands]
    renderer, options = _markdown().renderer, _markdown().options
    # With "html" switched off, the library escapes all that is not Markdown.
    drawn = Markup(renderer.render(rest, options, {}))
    return drawn + piece("values", "commands", Markup(renderer.render(commands, options, {}))) if commands else drawn


@cache
def _markdown() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False, "maxNesting": 20}).enable(["table", "strikethrough"])
    markdown.validateLink = lambda url: url.lower().startswith(SCHEMES)  # type: ignore[method-assign]
    markdown.add_render_rule("image", _picture)
    markdown.add_render_rule("link_open", _link)
    return markdown


def _picture(self: Any, tokens: Sequence[Token], number: int, options: Any, env: Any) -> str:
    """What the author says is in it, escaped by the library as any other text is."""
    return str(self.text(tokens, number, options, env))


def _link(self: Any, tokens: Sequence[Token], number: int, options: Any, env: Any) -> str:
    tokens[number].attrs.pop("title", None)
    tokens[number].attrs |= {"target": "_blank", "rel": "noopener noreferrer nofollow"}
    return str(self.renderToken(tokens, number, options, env))
