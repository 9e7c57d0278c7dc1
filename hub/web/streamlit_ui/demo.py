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
from hub.jobs.reading import picture_input
from hub.pages import over_video
from hub.pages.registry import Page
from hub.results.result import Result
from hub.spec import FileInput
from hub.texts import say
from hub.web.parts import filled, html, model_cards, snippets, wording
from hub.web.streamlit_ui import address as streamlit_address
from hub.web.streamlit_ui import corrections as streamlit_corrections
from hub.web.streamlit_ui import inputs as streamlit_inputs
from hub.web.streamlit_ui import outputs as streamlit_outputs
from hub.web.streamlit_ui import run as streamlit_run
from hub.web.streamlit_ui import share as streamlit_share
from hub.web.streamlit_ui import similar as streamlit_similar
from hub.web.streamlit_ui.frame import scroll_to_answer
from hub.web.streamlit_ui.host import Host
from hub.web.streamlit_ui.inputs import Given, Values
from hub.web.streamlit_ui.run import WatchedRun
from hub.web.streamlit_ui.text import escape_markdown, say_plainly
from hub.weights import facts as weights_facts
from hub.weights.facts import WeightsFacts

COLOURS: dict[str, Any] = {"ready": "green", "unavailable": "orange", "broken": "red"}
EXAMPLE_PX, EXAMPLE, RESULT = 132, (320, 240), (320, 320)  # width on the page; pixels of a picture, of a result's
SEVERAL = 2


@dataclass(slots=True)
class _State:
    """One page in one browser session."""

    values: Values
    query: streamlit_address.Query = ()  # of the address that was filled in last
    written: streamlit_address.Query | None = None  # what the address says of the inputs; None: as it came
    filled: filled.Filled = field(default_factory=filled.Filled)
    run: bool = False  # wanted, and not begun yet
    job: WatchedRun | None = None
    outcome: Result | HubError | None = None
    before: dict[str, Given] = field(default_factory=dict)  # the pictures that `outcome` was made from
    earlier: bool = False  # `outcome` is an earlier result that was opened, not of these inputs
    runs: int = 0  # begun on this page


def show(host: Host, page: Page, base: str) -> None:
    """The whole page. `base`: where the hub is, without a slash at the end."""
    if page.declared is None:
        st.title(say_plainly(page.title))
        st.error(
            f"**{say_plainly('This demo is not working')}**  \n{escape_markdown(page.error)}", icon=":material/error:"
        )
        st.caption(say_plainly(html.how_to_mend(host.hub.settings.reload)))
        return
    new, state = page.slug not in st.session_state, _state(host.hub, page)
    _fill_from_address(host.hub, page, state)
    if new:
        _rejoin_left_run(host.hub, page, state)
    if new and state.job is None and not state.query:
        _open_first(host.hub, page, state)
    place = _draw_head(page, base)
    with place:
        draw_badge(host.hub, page)
    left, right = st.columns([5, 7], gap="large")
    with left:
        _show_notes(state.filled)
        _draw_pictures(host.hub, page, state)
        _draw_examples(host.hub, page, state)
        _draw_settings(host.hub, page, state)
    _follow_inputs(host.hub, page, state)
    with st.container():  # before the answer, which may take its time
        _draw_about(host.hub, page)
        _draw_code(page, base, state.values.settings)
    with right, st.container(key="answer"):
        if state.runs or state.run:
            scroll_to_answer(state.runs + state.run)
        running = st.empty()
        if state.run:
            _begin(host, page, state)
        if state.job is not None:
            state.outcome = streamlit_run.follow(state.job, running)
            state.job = None
        _draw_answer(host, page, state, base)
    with place:  # again: a run may have loaded the model
        draw_badge(host.hub, page)


def _state(hub: Hub, page: Page) -> _State:
    state = st.session_state.get(page.slug)
    if not isinstance(state, _State):
        state = st.session_state[page.slug] = _State(Values())
        state.values.fill(page, _default_values(hub, page), {})
    return state


def _default_values(hub: Hub, page: Page, weights: str = "") -> dict[str, Any]:
    """All settings as they are when nobody has set them, with these weights; empty: the first."""
    return streamlit_inputs.defaults(page.demo) | weights_facts.own_defaults(hub.weights, page, weights)


def _fill_from_address(hub: Hub, page: Page, state: _State) -> None:
    """Fills in what the address says, once for each address."""
    query = streamlit_address.query()
    if query == state.query:
        return
    state.query, state.written = query, None
    owner = streamlit_run.owner(hub)
    with tempfile.TemporaryDirectory() as folder:
        state.filled = filled.read(hub, page, query, Path(folder), owner)
        _fill(hub, page, state, state.filled.values)
    state.values.source = streamlit_address.source_of(page, query) or state.values.source
    if id := dict(query).get(filled.HISTORY):
        with suppress(HubError):  # the notes above the inputs say what is wrong
            result = hub.history.result(hub.history.get(owner, id))
            if result.capsule["page"] == page.slug:
                _open_result(state, result)
                state.before, state.earlier = dict(state.values.pictures), False


def _follow_inputs(hub: Hub, page: Page, state: _State) -> None:
    """The address says what is filled in, once something was changed."""
    now = streamlit_address.describe(hub, page, state.values)
    if state.written is not None and now != state.written:
        streamlit_address.write(page, now)
        state.query = streamlit_address.query()
    state.written = now


def _open_first(hub: Hub, page: Page, state: _State) -> None:
    """A page that was just opened shows its first example with its answer, once that was made in an idle moment."""
    result = hub.first_answers.get(page)
    if result is not None:
        _fill_example(hub, page, state, 0)
        _open_result(state, hub.shown.give(streamlit_run.who(hub), result, 0.0))
        state.before, state.earlier = dict(state.values.pictures), False


def _fill(hub: Hub, page: Page, state: _State, given_values: Mapping[str, Any]) -> None:
    """Puts values into the inputs; pictures are files."""
    values = dict(given_values)
    pictures = {
        f.name: streamlit_inputs.preview_picture(hub, (path := Path(values.pop(f.name))).read_bytes(), path.name)
        for f in page.demo.inputs
        if isinstance(f, FileInput) and f.name in values
    }
    state.values.fill(page, {n: v for n, v in values.items() if n in state.values.settings}, pictures)


def _rejoin_left_run(hub: Hub, page: Page, state: _State) -> None:
    """The page was loaded again: a run that it left in work goes on here."""
    run = streamlit_run.find_left_run(hub, page)
    if run is None:
        return
    inputs = filled.Filled()
    with tempfile.TemporaryDirectory() as folder:
        filled.fill_run(hub, page, run.entry, Path(folder), inputs)
        _fill(hub, page, state, inputs.values)
    state.before, state.job = dict(state.values.pictures), streamlit_run.rejoin(run)


def _show_notes(filled_in: filled.Filled) -> None:
    if filled_in.problems:
        wrong = "\n".join(f"- {say_plainly(text)}" for text in filled_in.problems)
        head = say_plainly("Not all of {source} could be used", source=say("this address"))
        st.warning(f"**{head}**\n\n{wrong}", icon=":material/link_off:")
    for text in filled_in.notes:
        st.info(say_plainly(text), icon=":material/link:")


def _draw_head(page: Page, base: str) -> Any:
    """The page's top; returns the place for its badge."""
    st.caption(say_plainly(page.demo.task))
    st.title(say_plainly(page.demo.title), anchor=False)
    st.markdown(say_plainly(page.demo.summary))
    if picture_input(page.demo):
        many = f"[{say_plainly('Many pictures')}]({base}/many/{page.slug})"
        video = f" · [{say_plainly('Over a video')}]({over_video.slug_of_videos(page.slug)})" if page.demo.video else ""
        st.markdown(many + video)
    place = st.empty()
    if page.demo.note:
        st.info(say_plainly(page.demo.note), icon=":material/info:")
    return place


def draw_badge(hub: Hub, page: Page) -> None:
    """Whether the page answers now; nothing where it does after its first load, which is the usual case."""
    state = describe.state(hub, page)
    if state.code == "on_demand":
        return
    st.badge(say_plainly(state.text), color=COLOURS[state.code], help=say_plainly(state.reason) or None)


# --- inputs ---------------------------------------------------------------------------------------


def _draw_pictures(hub: Hub, page: Page, state: _State) -> None:
    """Asks for pictures, outside of the form: they show at once."""
    for entry in page.demo.inputs:
        if isinstance(entry, FileInput):
            streamlit_inputs.picture(hub, page, entry, state.values)


def _draw_settings(hub: Hub, page: Page, state: _State) -> None:
    """All other inputs. Weights are outside of the form: others bring their own numbers."""
    values = state.values
    streamlit_inputs.weights(hub, page, values)
    with st.form(f"{page.slug}/form", border=any(not isinstance(f, FileInput) for f in page.demo.inputs)):
        for entry in page.demo.inputs:
            if not isinstance(entry, FileInput):
                streamlit_inputs.setting(hub, page, entry, values)
        st.form_submit_button(
            say_plainly("Run"),
            type="primary",
            width="stretch",
            icon=":material/play_arrow:",
            on_click=_want_run,
            args=(state,),
        )


def _want_run(state: _State) -> None:
    """In a callback, since a click elsewhere would end the script before it has come to the answer."""
    state.run = True


def _draw_examples(hub: Hub, page: Page, state: _State) -> None:
    if not page.demo.examples:
        return
    st.markdown(f"**{say_plainly('Examples')}**")
    with st.container(horizontal=True, key="examples"):
        for number, (name, title, is_input) in enumerate(page.tiles()):
            with st.container(width=EXAMPLE_PX if name else "content"):
                if name:
                    st.image(
                        small(page.assets / name, EXAMPLE if is_input else RESULT), alt=say(title), width="stretch"
                    )
                st.button(
                    say_plainly(title), key=f"{page.slug}/example/{number}", wrap=True, width="stretch",
                    on_click=_run_example, args=(hub, page, state, number),
                )  # fmt: skip


def _run_example(hub: Hub, page: Page, state: _State, number: int) -> None:
    _fill_example(hub, page, state, number)
    state.run = True


def _fill_example(hub: Hub, page: Page, state: _State, number: int) -> None:
    """Fills the inputs with an example's; what it leaves out goes back to its default."""
    pictures, example = {}, page.demo.examples[number]
    values = {**_default_values(hub, page, str(example.inputs.get("weights", ""))), **example.inputs}
    for entry in page.demo.inputs:
        if isinstance(entry, FileInput) and entry.name in values:
            file = page.assets / str(values.pop(entry.name))
            pictures[entry.name] = streamlit_inputs.preview_picture(hub, file.read_bytes(), example.title)
    state.values.pictures.clear()
    state.values.fill(page, {n: v for n, v in values.items() if n in state.values.settings}, pictures)
    state.values.source = (filled.EXAMPLE, str(number + 1))


@lru_cache(maxsize=512)
def small(path: Path, size: tuple[int, int] = EXAMPLE) -> bytes:
    """A picture the project ships, as a small JPEG of this size, cut where its shape differs."""
    with budget.opened(path) as image:
        return encode(ImageOps.fit(image.convert("RGB"), size, Image.Resampling.LANCZOS), "jpeg")


# --- the answer -----------------------------------------------------------------------------------


def _begin(host: Host, page: Page, state: _State) -> None:
    if state.job is not None:
        state.job.cancel.set()  # a newer run takes its place
    state.run, state.earlier, state.runs = False, False, state.runs + 1
    state.before = dict(state.values.pictures)
    state.job = streamlit_run.start(host, page, state.values.all())


def _draw_answer(host: Host, page: Page, state: _State, base: str) -> None:
    outcome = state.outcome
    if outcome is None:
        text = "Choose an example, or give your own input." if page.demo.examples else "Give your input, then run."
        st.info(say_plainly(text), icon=":material/arrow_back:")
    elif isinstance(outcome, CancelledError):
        st.info(say_plainly("Stopped."), icon=":material/stop_circle:")
    elif isinstance(outcome, HubError):
        message = wording.by_label(page.demo, outcome).message
        st.error(f"**{say_plainly(outcome.title)}**  \n{say_plainly(message)}", icon=":material/error:")
    else:
        # A place for each part: what is open or typed is lost where a part moves because another came or went. The
        # similar pictures are last: they may come a minute after the answer, and would push a button away from a click.
        notice, receipt, outputs, correct, share, similar = (st.container() for _ in range(6))
        if state.earlier:
            notice.info(say_plainly("An earlier result, not of what is on the left."), icon=":material/history:")
        with receipt:
            streamlit_outputs.answer_words(page.demo, outcome)
            streamlit_outputs.receipt(outcome.receipt, outcome.id, outcome.seed)
        with outputs:
            streamlit_outputs.show(page.demo, outcome, state.before)
        with correct:
            streamlit_corrections.draw_panel(host, page, outcome, state.values)
        with share:
            streamlit_share.draw_panel(host, page, outcome, state.values, base)
        with similar:
            run, open_ = partial(_run_example, host.hub, page, state), partial(_open_result, state)
            streamlit_similar.draw_row(host, page, outcome, run, open_)


def _open_result(state: _State, result: Result) -> None:
    """Shows an earlier result in the answer's place."""
    state.outcome = replace(result, receipt=replace(result.receipt, cached=True))
    state.before, state.earlier = {}, True


# --- what the model is ----------------------------------------------------------------------------


def _draw_about(hub: Hub, page: Page) -> None:
    facts = weights_facts.weights_facts(hub.weights, page)
    if facts or page.demo.links:
        with st.expander(say_plainly("About this model"), icon=":material/info:"):
            tabs = st.tabs([say_plainly(fact.title) for fact in facts]) if len(facts) >= SEVERAL else [st.container()]
            for tab, fact in zip(tabs, facts, strict=False):
                with tab:
                    _draw_facts(fact)
            for title, address in page.demo.links.items():
                st.markdown(f"- [{say_plainly(title)}]({address})")


def _draw_code(page: Page, base: str, values: Mapping[str, Any]) -> None:
    with st.expander(say_plainly("Use it from code"), icon=":material/code:"):
        ways = snippets.all_of(page.slug, page.demo, base, values)
        for tab, (_, language, text) in zip(st.tabs([say(title) for title, _, _ in ways]), ways, strict=True):
            tab.code(text, language=language, wrap_lines=True)


def _draw_facts(fact: WeightsFacts) -> None:
    if fact.reason:
        st.warning(say_plainly(fact.reason), icon=":material/warning:")
        return
    st.html(model_cards.summary(fact))
    locked = say(", as locked") if fact.locked else ""
    size, licence = decimal(fact.size_bytes), say("licence: {name}", name=say(fact.licence))
    st.caption(
        escape_markdown(f"{fact.name} · {say(fact.source)} · {size} · sha256 {fact.digest[:12]}{locked} · {licence}")
    )
    st.html(model_cards.draw(fact.card))
