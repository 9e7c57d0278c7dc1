"""The row of similar pictures below a page's outputs: the page's examples, and this browser's earlier results."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import streamlit as st

from hub.archive.similar import Match
from hub.pages.headlines import headline_without
from hub.pages.registry import Page
from hub.results.result import Result
from hub.texts import Catalogue, current, say, speak
from hub.web.parts import wording
from hub.web.parts.wording import AMONG_ALL, AMONG_OWN
from hub.web.streamlit_ui.host import Host
from hub.web.streamlit_ui.run import who
from hub.web.streamlit_ui.text import escape_markdown, say_plainly

TILES, LEAST = 6, 0.4  # pictures in the row; cosine below which a picture is unlike
TILE_PX = 110
TICK_S = 1.0


def draw_row(
    host: Host, page: Page, result: Result, run: Callable[[int], None], show: Callable[[Result], None]
) -> None:
    """`run` gets the number of an example that was chosen, `show` an earlier result."""
    if not host.hub.similar.keeps(page.declared):
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
    matches = [match for match in similar.find(result, who(host.hub), TILES) if match.similarity > LEAST]
    pictures = [
        (match, result_of_match)
        for match in matches
        if (result_of_match := host.hub.results.get(match.id)) and result_of_match.sight
    ]
    if not pictures:
        return
    with st.container(border=True):
        st.markdown(f"**{say_plainly('Similar pictures')}**")
        everyone = host.hub.settings.similar == "everyone"
        st.caption(say_plainly(AMONG_ALL if everyone else AMONG_OWN))
        with st.container(horizontal=True):
            for match, result_of_match in pictures:
                with st.container(width=TILE_PX):
                    _draw_tile(page, match, result_of_match, run, show)


def _draw_tile(
    page: Page, match: Match, similar_result: Result, run: Callable[[int], None], show: Callable[[Result], None]
) -> None:
    assert similar_result.sight is not None
    answer = headline_without(page.demo, similar_result, [f.name for f in page.demo.inputs])  # others' words are theirs
    title = say(match.title) or wording.answer(answer) or say("Earlier result")
    st.image(similar_result.sight.thumbnail, alt=title, caption=f"{match.similarity:.2f}", width="stretch")
    key = f"{page.slug}/similar/{match.id}"
    if match.example is not None:
        st.button(
            say_plainly("Run"),
            key=key,
            help=escape_markdown(title),
            on_click=run,
            args=(match.example,),
            width="stretch",
        )
    else:
        st.button(
            say_plainly("Open"),
            key=key,
            help=escape_markdown(title),
            on_click=show,
            args=(similar_result,),
            width="stretch",
        )
