"""One demo's Streamlit page: inputs in a form on the left, the answer on the right."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import streamlit as st
from PIL import Image, ImageOps
from rich.filesize import decimal

from hub import describe
from hub.decoding import budget
from hub.errors import CancelledError, HubError
from hub.hub import Hub
from hub.images import encode
from hub.pages.registry import Page
from hub.results.result import Result
from hub.spec import ImageInput
from hub.texts import say
from hub.web.parts import filled, model_cards, snippets
from hub.web.streamlit_ui import inputs as streamlit_inputs
from hub.web.streamlit_ui import outputs as streamlit_outputs
from hub.web.streamlit_ui import run as streamlit_run
from hub.web.streamlit_ui import share as streamlit_share
from hub.web.streamlit_ui import similar as streamlit_similar
from hub.web.streamlit_ui.host import Host
from hub.web.streamlit_ui.inputs import Given, Values
from hub.web.streamlit_ui.run import WatchedRun
from hub.web.streamlit_ui.text import plain, said
from hub.weights import facts as weights_facts
from hub.weights.facts import WeightsFacts

COLOURS: dict[str, Any] = {"ready": "green", "on_demand": "blue", "unavailable": "orange", "broken": "red"}
EXAMPLE_PX, EXAMPLE, RESULT = 132, (320, 240), (320, 320)  # width on the page; pixels of a picture, of a result's
SEVERAL = 2


@dataclass(slots=True)
class _State:
    """One page in one browser session."""

    values: Values
    query: tuple[tuple[str, str], ...] = ()  # of the address that was filled in last
    filled: filled.Filled = field(default_factory=filled.Filled)
    run: bool = False  # wanted, and not begun yet
    job: WatchedRun | None = None
    outcome: Result | HubError | None = None
    before: dict[str, Given] = field(default_factory=dict)  # the pictures that `outcome` was made from
    earlier: bool = False  # `outcome` is an earlier result that was opened, not of these inputs


def show(host: Host, page: Page, base: str) -> None:
    """The whole page. `base`: where the hub is, without a slash at the end."""
    if page.declared is None:
        st.title(said(page.title))
        st.error(f"**{said('This demo is not working')}**  \n{plain(page.error)}", icon=":material/error:")
        st.caption(said("The other demos are not affected. Mend the file and start the hub again."))
        return
    new, state = page.slug not in st.session_state, _state(host.hub, page)
    _arrive(host.hub, page, state)
    if new:
        _return(host.hub, page, state)
    place = _head(page)
    with place:
        badge(host.hub, page)
    left, right = st.columns([5, 7], gap="large")
    with left:
        _told(state.filled)
        _ask(host.hub, page, state)
        _examples(host.hub, page, state)
    with st.container():  # before the answer, which may take its time
        _about(host.hub, page)
        _code(page, base)
    with right:
        running = st.empty()
        if state.run:
            _begin(host, page, state)
        if state.job is not None:
            state.outcome = streamlit_run.follow(state.job, running)
            state.job = None
        _answer(host, page, state, base)
    with place:  # again: a run may have loaded the model
        badge(host.hub, page)


def _state(hub: Hub, page: Page) -> _State:
    found = st.session_state.get(page.slug)
    if not isinstance(found, _State):
        found = st.session_state[page.slug] = _State(Values())
        found.values.fill(page, _usual(hub, page), {})
    return found


def _usual(hub: Hub, page: Page, weights: str = "") -> dict[str, Any]:
    """All settings as they are when nobody has set them, with these weights; empty: the first."""
    return streamlit_inputs.defaults(page.demo) | weights_facts.own_defaults(hub.weights, page, weights)


def _arrive(hub: Hub, page: Page, state: _State) -> None:
    """Fills in what the address says, once for each address."""
    query = tuple((name, value) for name in st.query_params for value in st.query_params.get_all(name))
    if query == state.query:
        return
    state.query = query
    owner = streamlit_run.owner(hub)
    with tempfile.TemporaryDirectory() as folder:
        state.filled = filled.read(hub, page, query, Path(folder), owner)
        _fill(hub, page, state, state.filled.values)
    if id := dict(query).get(filled.HISTORY):
        with suppress(HubError):  # what is wrong was told where the inputs are filled in
            result = hub.history.result(hub.history.get(owner, id))
            if result.capsule["page"] == page.slug:
                _open(state, result)
                state.before, state.earlier = dict(state.values.pictures), False


def _fill(hub: Hub, page: Page, state: _State, found: Mapping[str, Any]) -> None:
    """Puts values into the inputs; pictures are files."""
    values = dict(found)
    pictures = {
        f.name: streamlit_inputs.given(hub, (path := Path(values.pop(f.name))).read_bytes(), path.name)
        for f in page.demo.inputs
        if isinstance(f, ImageInput) and f.name in values
    }
    state.values.fill(page, {n: v for n, v in values.items() if n in state.values.settings}, pictures)


def _return(hub: Hub, page: Page, state: _State) -> None:
    """The page was loaded again: a run that it left in work goes on here."""
    run = streamlit_run.left(hub, page)
    if run is None:
        return
    asked = filled.Filled()
    with tempfile.TemporaryDirectory() as folder:
        filled.before(hub, page, run.entry, Path(folder), asked)
        _fill(hub, page, state, asked.values)
    state.before, state.job = dict(state.values.pictures), streamlit_run.rejoin(run)


def _told(found: filled.Filled) -> None:
    if found.problems:
        wrong = "\n".join(f"- {said(text)}" for text in found.problems)
        head = said("Not all of {source} could be used", source=say("this address"))
        st.warning(f"**{head}**\n\n{wrong}", icon=":material/link_off:")
    for text in found.notes:
        st.info(said(text), icon=":material/link:")


def _head(page: Page) -> Any:
    """The page's top; returns the place for its badge."""
    st.caption(said(page.demo.task))
    st.title(said(page.demo.title), anchor=False)
    st.markdown(said(page.demo.summary))
    place = st.empty()
    if page.demo.note:
        st.info(said(page.demo.note), icon=":material/info:")
    return place


def badge(hub: Hub, page: Page) -> None:
    """Whether the page answers now."""
    state = describe.state(hub, page)
    st.badge(said(state.text), color=COLOURS[state.code], help=said(state.reason) or None)


# --- inputs ---------------------------------------------------------------------------------------


def _ask(hub: Hub, page: Page, state: _State) -> None:
    """Draws the inputs. Pictures and weights are outside of the form: they show at once."""
    values = state.values
    for entry in page.demo.inputs:
        if isinstance(entry, ImageInput):
            streamlit_inputs.picture(hub, page, entry, values)
    streamlit_inputs.weights(hub, page, values)
    with st.form(f"{page.slug}/form", border=any(not isinstance(f, ImageInput) for f in page.demo.inputs)):
        for entry in page.demo.inputs:
            if not isinstance(entry, ImageInput):
                streamlit_inputs.setting(hub, page, entry, values)
        st.form_submit_button(
            said("Run"), type="primary", width="stretch", icon=":material/play_arrow:", on_click=_want, args=(state,)
        )


def _want(state: _State) -> None:
    """In a callback, since a click elsewhere would end the script before it has come to the answer."""
    state.run = True


def _examples(hub: Hub, page: Page, state: _State) -> None:
    if not page.demo.examples:
        return
    st.markdown(f"**{said('Examples')}**")
    with st.container(horizontal=True):
        for number, (name, title, given) in enumerate(page.tiles()):
            with st.container(width=EXAMPLE_PX if name else "content"):
                if name:
                    st.image(small(page.assets / name, EXAMPLE if given else RESULT), alt=say(title), width="stretch")
                st.button(
                    said(title), key=f"{page.slug}/example/{number}", wrap=True, width="stretch",
                    on_click=_pick, args=(hub, page, state, number),
                )  # fmt: skip


def _pick(hub: Hub, page: Page, state: _State, number: int) -> None:
    """Fills the inputs with an example's; what it leaves out goes back to its default. Then runs."""
    pictures, example = {}, page.demo.examples[number]
    values = {**_usual(hub, page, str(example.inputs.get("weights", ""))), **example.inputs}
    for entry in page.demo.inputs:
        if isinstance(entry, ImageInput) and entry.name in values:
            file = page.assets / str(values.pop(entry.name))
            pictures[entry.name] = streamlit_inputs.given(hub, file.read_bytes(), example.title)
    state.values.pictures.clear()
    state.values.fill(page, {n: v for n, v in values.items() if n in state.values.settings}, pictures)
    state.run = True


@lru_cache(maxsize=512)
def small(path: Path, size: tuple[int, int] = EXAMPLE) -> bytes:
    """A picture the project ships, as a small JPEG of this size, cut where its shape differs."""
    with budget.opened(path) as image:
        return encode(ImageOps.fit(image.convert("RGB"), size, Image.Resampling.LANCZOS), "jpeg")


# --- the answer -----------------------------------------------------------------------------------


def _begin(host: Host, page: Page, state: _State) -> None:
    if state.job is not None:
        state.job.cancel.set()  # a newer run takes its place
    state.run = state.earlier = False
    state.before = dict(state.values.pictures)
    state.job = streamlit_run.start(host, page, state.values.all())


def _answer(host: Host, page: Page, state: _State, base: str) -> None:
    outcome = state.outcome
    if outcome is None:
        text = "Choose an example, or give your own input." if page.demo.examples else "Give your input, then run."
        st.info(said(text), icon=":material/arrow_back:")
    elif isinstance(outcome, CancelledError):
        st.info(said("Stopped."), icon=":material/stop_circle:")
    elif isinstance(outcome, HubError):
        st.error(f"**{said(outcome.title)}**  \n{said(outcome.message)}", icon=":material/error:")
    else:
        # A place for each part: what is open or typed is lost where a part moves because another came or went.
        told, receipt, outputs, similar, share = (st.container() for _ in range(5))
        if state.earlier:
            told.info(said("An earlier result, not of what is on the left."), icon=":material/history:")
        with receipt:
            streamlit_outputs.receipt(outcome.receipt, outcome.id, outcome.seed)
        with outputs:
            streamlit_outputs.show(page.demo, outcome, state.before)
        with similar:
            run, open_ = partial(_pick, host.hub, page, state), partial(_open, state)
            streamlit_similar.row(host, page, outcome, run, open_)
        with share:
            streamlit_share.panel(host, page, outcome, state.values, base)


def _open(state: _State, result: Result) -> None:
    """Shows an earlier result in the answer's place."""
    state.outcome = replace(result, receipt=replace(result.receipt, cached=True))
    state.before, state.earlier = {}, True


# --- what the model is ----------------------------------------------------------------------------


def _about(hub: Hub, page: Page) -> None:
    facts = weights_facts.weights_facts(hub.weights, page)
    if facts or page.demo.links:
        with st.expander(said("About this model"), icon=":material/info:"):
            tabs = st.tabs([said(fact.title) for fact in facts]) if len(facts) >= SEVERAL else [st.container()]
            for tab, fact in zip(tabs, facts, strict=False):
                with tab:
                    _facts(fact)
            for title, address in page.demo.links.items():
                st.markdown(f"- [{said(title)}]({address})")


def _code(page: Page, base: str) -> None:
    with st.expander(said("Use it from code"), icon=":material/code:"):
        ways = snippets.all_of(page.slug, page.demo, base)
        for tab, (_, language, text) in zip(st.tabs([say(title) for title, _, _ in ways]), ways, strict=True):
            tab.code(text, language=language, wrap_lines=True)


def _facts(fact: WeightsFacts) -> None:
    if fact.reason:
        st.warning(said(fact.reason), icon=":material/warning:")
        return
    with st.container(horizontal=True):
        for metric in fact.metrics:
            st.metric(plain(metric.name), f"{metric.value:.3g}", help=plain(metric.dataset) or None, width=170)
    locked = say(", as locked") if fact.locked else ""
    size, licence = decimal(fact.size_bytes), say("licence: {name}", name=say(fact.licence))
    st.caption(plain(f"{fact.name} · {say(fact.source)} · {size} · sha256 {fact.digest[:12]}{locked} · {licence}"))
    st.html(model_cards.draw(fact.card))
