"""A run that a Streamlit page follows: in a thread of its own, so that clicks meanwhile neither end nor repeat it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import streamlit as st
from streamlit import runtime
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.scriptrunner import get_script_run_ctx

from hub.archive.history import InWork
from hub.engine.jobs import Cancel, Followed, text_so_far
from hub.errors import HubError
from hub.execution.executor import Waiting
from hub.hub import Hub
from hub.pages.registry import Page
from hub.people import asking
from hub.people.owners import Owner
from hub.people.users import Caller
from hub.results.result import Result
from hub.spec import Progress
from hub.texts import say
from hub.web.middleware import guard, sessions
from hub.web.parts import html
from hub.web.streamlit_ui.host import Host
from hub.web.streamlit_ui.text import say_plainly

AT_ONCE_S = 0.15  # a stored result is there before anything would be drawn for it
TICK_S, FOLLOWS_S = 0.1, 1.0
FOUND_S = 4.0  # so long a new session waits for the one that its browser just left to be gone
PATIENCE_S = 10.0  # a run that no page follows for so long is not wanted any more
STAGES = dict(html.STAGES)  # what a run in work is doing


@dataclass(slots=True)
class WatchedRun:
    """One run in work; `last_event` is what the engine announced last."""

    cancel: Cancel
    begin: float
    future: Future[Result] | None = None
    last_event: tuple[str, Progress | None] = ("queued", None)
    stages: list[str] = field(default_factory=list)  # those it was in, in order
    waiting: Callable[[], Waiting | None] = lambda: None  # where it stands in the queue

    def hear(self, stage: str, progress: Progress | None) -> None:
        self.last_event = (stage, progress)
        if stage not in self.stages:
            self.stages.append(stage)


def visitor() -> Caller:
    """Who looks at this page: by the Gradio pages' cookie, where there is one."""
    context = get_script_run_ctx()
    session = sessions.session_of(st.context.cookies, context.session_id if context else "")
    return replace(guard.caller_of_headers(st.context.headers), session=session)


def _who_looks() -> Caller | None:
    """The same for whatever asks who does; None outside of a page's script."""
    return visitor() if get_script_run_ctx(suppress_warning=True) is not None else None


asking.of_events["streamlit"] = _who_looks


def start(host: Host, page: Page, values: Mapping[str, Any]) -> WatchedRun:
    """Hands a run to the engine."""
    caller = visitor()
    job = WatchedRun(Followed(PATIENCE_S), time.monotonic(), waiting=partial(host.hub.waiting, caller, page.slug))

    def work() -> Result:
        hear, cancel = job.hear, job.cancel
        return host.hub.engine.run(page.slug, values, on_event=hear, cancel=cancel, caller=caller)

    job.future = host.threads.submit(work)
    return job


def who(hub: Hub) -> Owner:
    """Who looks at this page, as stores know them."""
    return hub.owners.of(visitor())


def owner(hub: Hub) -> str:
    """Whose history this page shows."""
    return hub.history.owner(visitor())


def find_left_run(hub: Hub, page: Page) -> InWork | None:
    """The run that this browser left when it loaded the page again."""
    end, whose = time.monotonic() + FOUND_S, owner(hub)
    while whose and time.monotonic() < end:
        running = [run for run in hub.history.in_work(whose, page.slug) if isinstance(run.cancel, Followed)]
        for run in running:
            if isinstance(run.cancel, Followed) and run.cancel.is_left:
                return run
        if not running:
            return None
        time.sleep(TICK_S)
    return None


def rejoin(run: InWork) -> WatchedRun:
    """Follows a run that is in work already."""
    job = WatchedRun(run.cancel, time.monotonic() - run.seconds, run.future, run.last_event)
    run.listen(job.hear)
    return job


def follow(job: WatchedRun, place: DeltaGenerator) -> Result | HubError:
    """Shows stages, steps and previews in `place`, an `st.empty`, until the run has ended; returns its outcome.

    A click meanwhile ends this call, by an exception of Streamlit's own; the next one goes on from there.
    """
    assert job.future is not None
    if not wait([job.future], AT_ONCE_S).done:
        with place.container():
            _show_progress(job, job.future)
        place.empty()
    error = job.future.exception()
    if error is None:
        return job.future.result()
    if isinstance(error, HubError):
        return error
    raise error


def _show_progress(job: WatchedRun, future: Future[Result]) -> None:
    box = st.status(say_plainly(STAGES["queued"]))  # nothing in it: each new label would fold it up
    bar, preview, written = st.empty(), st.empty(), st.empty()
    st.button(say_plainly("Stop"), icon=":material/stop_circle:", on_click=job.cancel.set, key="stop")
    last_drawn: Progress | None = None
    while not wait([future], TICK_S).done:
        if _is_connected() and isinstance(job.cancel, Followed):
            job.cancel.follow(FOLLOWS_S)
        stage, progress = job.last_event
        label = "Stopping" if job.cancel.is_set() else STAGES[stage]
        so_far = say("{number} s", number=f"{time.monotonic() - job.begin:.1f}")
        waiting = job.waiting() if stage == "queued" else None
        if waiting is not None:
            so_far += " · " + say("place {place} in the queue", place=waiting.place)
            so_far += say(" · about {seconds} s left", seconds=f"{waiting.left_s:.0f}")
        box.update(label=f"{say_plainly(label)} · {so_far}")
        if progress is not None and progress is not last_drawn:
            last_drawn = progress
            if progress.total:
                left_s = progress.left_s
                time_left = "" if left_s is None else say(" · about {seconds} s left", seconds=f"{left_s:.0f}")
                share = min(1.0, progress.step / progress.total)
                bar.progress(
                    share, text=say("Step {step} of {total}", step=progress.step, total=progress.total) + time_left
                )
            if progress.preview and progress.preview[0] is not None:
                preview.image(progress.preview[0], caption=say_plainly("So far"), width=256)
            if text := text_so_far(progress):
                written.html(html.text(text, is_markdown=False))


def _is_connected() -> bool:
    """Whether the browser is still there; Streamlit keeps a session a while after it went."""
    context = get_script_run_ctx()
    return context is None or not runtime.exists() or runtime.get_instance().is_active_session(context.session_id)
