"""A page's address follows what is filled in, so that it can be kept, or sent to somebody.

Not by Streamlit's own `bind`: that passes over what it cannot use without a word, takes no picture, and knows no
defaults that come with weights.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from hub.hub import Hub
from hub.pages.registry import Page
from hub.spec import FileInput
from hub.web.parts.filled import EXAMPLE, HISTORY, LINK, is_ours
from hub.web.streamlit_ui import inputs as streamlit_inputs
from hub.web.streamlit_ui.inputs import WEIGHTS, Values
from hub.weights import facts

Query = tuple[tuple[str, str], ...]


def query() -> Query:
    """The address as it is now."""
    return tuple((name, value) for name in st.query_params for value in st.query_params.get_all(name))


def source_of(page: Page, asked: Query) -> tuple[str, str] | None:
    """What of an address brings pictures: a run, a link or an example, the first of these that is there."""
    given = dict(asked)
    for name in (HISTORY, LINK, EXAMPLE):
        declared = any(entry.name == name for entry in page.demo.inputs)
        if name in given and not declared and (name != EXAMPLE or _example(page, given[name]) is not None):
            return name, given[name]
    return None


def describe(hub: Hub, page: Page, values: Values) -> Query:
    """What fills these values in again. A picture that was uploaded is not among them."""
    source = values.source
    number = _example(page, source[1]) if source and source[0] == EXAMPLE else None
    weights = str(values.settings.get(WEIGHTS, ""))
    without: dict[str, Any] = {}  # what the inputs are when the address says no more
    if source is None or number is not None:
        chosen = page.demo.examples[number].inputs if number is not None else {}
        at_first = str(chosen.get(WEIGHTS, "")) or (page.demo.weights[0].name if page.demo.weights else "")
        others = facts.own_defaults(hub.weights, page, weights or at_first)
        without = {**streamlit_inputs.defaults(page.demo), **others, **chosen}
        if weights and weights != at_first:
            without |= others
            without[WEIGHTS] = at_first
    entries = [] if source is None else [source]
    for name in [WEIGHTS, *(f.name for f in page.demo.inputs if not isinstance(f, FileInput))]:
        if name in values.settings:
            value = values.settings[name]
            if name not in without or value != streamlit_inputs.widget_value(page.demo, name, without[name]):
                entries += [(name, text) for text in _texts(value)]
    return tuple(entries)


def write(page: Page, entries: Query) -> None:
    """Puts these into the address, in place of all that was the page's."""
    kept = [(name, value) for name, value in query() if not is_ours(page, name)]
    wanted: dict[str, list[str]] = {}
    for name, value in [*kept, *entries]:
        wanted.setdefault(name, []).append(value)
    st.query_params.from_dict(wanted)


def _example(page: Page, text: str) -> int | None:
    """The place of the example that an address names; None: there is none."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0
    return number - 1 if 1 <= number <= len(page.demo.examples) else None


def _texts(value: Any) -> list[str]:
    if isinstance(value, list | tuple):
        return [str(one) for one in value] or [""]
    return [f"{value:.10g}" if isinstance(value, float) else str(value)]
