"""The row of similar pictures below a page's outputs: the page's examples, and this browser's earlier results."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import streamlit as st

from hub.archive.similar import Match
from hub.pages.registry import Page
from hub.results.headline import headline
from hub.results.result import Result
from hub.texts import Catalogue, current, say, speak
from hub.web.parts import wording
from hub.web.parts.wording import AMONG_ALL, AMONG_OWN
from hub.web.streamlit_ui.host import Host
from hub.web.streamlit_ui.run import who
from hub.web.streamlit_ui.text import plain, said

SHOWN, LEAST = 6, 0.4  # pictures in the row; cosine below which a picture is unlike
TILE_PX = 110
TICK_S = 1.0


def row(host: Host, page: Page, result: Result, run: Callable[[int], None], show: Callable[[Result], None]) -> None:
    """`run` gets the number of an example that was chosen, `show` an earlier result."""
    if not host.hub.similar.wanted(page.declared):
        return
    _, more = host.hub.similar.outstanding(result)
    draw = partial(_draw, current(), host, page, result, run, show, bool(more))
    # Examples are compared while the model is idle, and so may come in a moment.
    st.fragment(draw, run_every=TICK_S if more else None)()


def _draw(
    language: Catalogue,
    host: Host,
    page: Page,
    result: Result,
    run: Callable[[int], None],
    show: Callable[[Result], None],
    waiting: bool,
) -> None:
    speak(language)  # a fragment is drawn without the page around it
    similar = host.hub.similar
    if waiting and not similar.outstanding(result)[1]:
        st.rerun()  # all are there: a row that does not ask again
    found = [match for match in similar.find(result, who(host.hub), SHOWN) if match.similarity > LEAST]
    pictures = [(match, kept) for match in found if (kept := host.hub.results.get(match.id)) and kept.sight]
    if not pictures:
        return
    with st.container(border=True):
        st.markdown(f"**{said('Similar pictures')}**")
        everyone = host.hub.settings.similar == "everyone"
        st.caption(said(AMONG_ALL if everyone else AMONG_OWN))
        with st.container(horizontal=True):
            for match, kept in pictures:
                with st.container(width=TILE_PX):
                    _tile(page, match, kept, run, show)


def _tile(page: Page, match: Match, kept: Result, run: Callable[[int], None], show: Callable[[Result], None]) -> None:
    assert kept.sight is not None
    title = say(match.title) or wording.answer(headline(page.demo, kept)) or say("Earlier result")
    st.image(kept.sight.thumbnail, alt=title, caption=f"{match.similarity:.2f}", width="stretch")
    key = f"{page.slug}/similar/{match.id}"
    if match.example is not None:
        st.button(said("Run"), key=key, help=plain(title), on_click=run, args=(match.example,), width="stretch")
    else:
        st.button(said("Open"), key=key, help=plain(title), on_click=show, args=(kept,), width="stretch")
