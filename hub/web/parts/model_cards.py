"""The card of a set of weights as HTML that can do nothing: its author may be anybody on the Hugging Face Hub."""

from __future__ import annotations

from functools import lru_cache

from markupsafe import Markup

from hub.texts import say
from hub.web.parts import markdown
from hub.web.parts.card_summary import summarise
from hub.web.parts.pieces import piece
from hub.weights.facts import WeightsFacts

MOST_CHARS = 48 * 1024  # hostile Markdown of that length takes a second or two, once
NO_CARD = "There is no card."


def draw(card: str) -> Markup:
    """For Gradio and Streamlit alike."""
    cut = say("The rest of this card is left out.") if len(card) > MOST_CHARS else ""
    return piece("values", "card", _render_markdown(card[:MOST_CHARS]) if card.strip() else say(NO_CARD), cut)


def summary(facts: WeightsFacts) -> Markup:
    """Accuracy, data, limits and licence in a line each, and a chart of the card's own figures."""
    return piece("values", "summary", facts, summarise(markdown.parser(), facts.card[:MOST_CHARS]))


@lru_cache(64)
def _render_markdown(text: str) -> Markup:
    """The card; commands that make the weights anew come last, for the few who want them."""
    tokens = markdown.parser().parse(text)
    commands = [token for token in tokens if token.type in ("fence", "code_block") and token.level == 0]
    rest = [token for token in tokens if token not in commands]
    renderer, options = markdown.parser().renderer, markdown.parser().options
    # With "html" switched off, the library escapes all that is not Markdown.
    drawn = Markup(renderer.render(rest, options, {}))
    return drawn + piece("values", "commands", Markup(renderer.render(commands, options, {}))) if commands else drawn
