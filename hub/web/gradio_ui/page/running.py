"""Runs of a demo's page: each moment of one as it is drawn, its outcome, and Stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import Executor
from contextlib import aclosing
from contextvars import copy_context
from pathlib import Path
from typing import Any, Protocol

import gradio as gr
from anyio import to_thread
from cachetools import LRUCache

from hub import describe
from hub.engine.jobs import Cancel, Followed, text_so_far
from hub.errors import CancelledError, HubError
from hub.execution.executor import OnEvent
from hub.hub import Hub
from hub.pages import kinds
from hub.pages.hints import Hint
from hub.pages.registry import Page
from hub.results.headline import headline
from hub.results.result import Result
from hub.spec import ImageInput
from hub.web.api import events
from hub.web.gradio_ui import fields
from hub.web.gradio_ui.history import Past
from hub.web.gradio_ui.links import TABS
from hub.web.gradio_ui.live import Live
from hub.web.gradio_ui.page.asking import Asking
from hub.web.gradio_ui.runs import Moment, Runs
from hub.web.middleware import guard
from hub.web.parts import html, wording


class Listener(Protocol):
    """A part of the page that does something with the result that is on it."""

    def remember_result(self, request: gr.Request, result: Result) -> None: ...


class Beside(Protocol):
    """A part of the page that is drawn anew with each result."""

    places: list[Any]

    def draw_beside(self, request: gr.Request, result: Result) -> list[Any]: ...


class Running:
    """One page's runs, and what is drawn of them: status line, Stop, receipt, head, what is beside, and the outputs."""

    def __init__(self, hub: Hub, page: Page, asking: Asking, runs: Runs, threads: Executor, folder: Path):
        self.hub, self.page, self.demo, self.asking, self.runs = hub, page, page.demo, asking, runs
        self.threads, self.folder = threads, folder
        self.outputs = kinds.on_page(self.demo)
        self.past, self.live = Past(hub, page, runs), Live(hub, threads, page, asking.names)
        self.listeners: list[Listener] = []
        self.beside: list[Beside] = []
        # The newest run of each open page, which alone is drawn there; touched in the event loop only.
        self._newest: LRUCache[str, object] = LRUCache(TABS)

    async def run_again(self, request: gr.Request, *values: Any) -> AsyncIterator[list[Any]]:
        """A parameter was changed: runs if the pictures are there; a live camera's next frame has it anyway."""
        there = all(
            v not in (None, "")
            for f, v in zip(self.demo.inputs, values, strict=False)
            if isinstance(f, ImageInput) or (isinstance(f, Hint) and f.required)
        )
        if there and not self.live.is_on(request):
            async for update in self.run(request, *values, adjusting=True):
                yield update
        else:
            yield self.unchanged

    async def run(self, request: gr.Request, *values: Any, adjusting: bool = False) -> AsyncIterator[list[Any]]:
        """One run with its stages as they happen; leaving the page or Stop cancels it."""
        inputs = {n: v for n, v in zip(self.asking.names, values, strict=True) if v is not None}
        who, missing = guard.caller_on_page(request), self.asking.find_missing(inputs)
        if missing is not None:
            of_picture = await to_thread.run_sync(self.asking.find_unreadable, missing.field, inputs)
            yield [html.error(of_picture or missing, html.earlier()), *self.unchanged[1:]]
            return

        def work(hear: OnEvent, cancel: Cancel) -> Result:
            slug = self.page.slug
            return self.hub.engine.run(slug, inputs, on_event=hear, cancel=cancel, caller=who)

        session, this = request.session_hash, object()
        if session:
            self._newest[session] = this
        # `Followed`: the run goes on for a moment without its page, which may only be loaded again.
        async with aclosing(self.runs.follow(request.session_hash or "", work, Followed())) as moments:
            async for now in moments:
                if not session or self._newest.get(session) is this:  # an older one that ends later is in the history
                    yield await self.draw_moment(request, now, inputs, adjusting)

    async def draw_moment(
        self, request: gr.Request, now: Moment[Result], inputs: Mapping[str, Any], adjusting: bool = False
    ) -> list[Any]:
        """One moment of a run on the page: its stage, or what came of it."""
        answer, task = self.unchanged[4:], now.ended
        if task is None:
            stage, progress = now.last_event or ("queued", None)
            step, total, left_s = (progress.step, progress.total, progress.left_s) if progress else (0, 0, None)
            so_far, place = events.data_url(events.preview(progress)), 0
            if stage == "queued" and (waiting := self.hub.waiting(guard.caller_on_page(request), self.page.slug)):
                place, left_s = waiting.place, waiting.left_s
            line = html.status(stage, now.seconds, step, total, left_s, so_far, place, text_so_far(progress))
            return [line, gr.update(visible=True), gr.skip(), gr.skip(), *answer]
        if task.exception() is None:
            self.remember_result(request, task.result())
            await self.past.remember_result(request, task.result(), adjusting)
            answer = await self.draw_answer(request, task.result(), inputs)
        return [*self.draw_outcome(task), *answer]

    async def draw_answer(self, request: gr.Request, result: Result, inputs: Mapping[str, Any]) -> list[Any]:
        """What stands beside a result, and its outputs."""

        def draw() -> list[Any]:
            beside = [drawn for part in self.beside for drawn in part.draw_beside(request, result)]
            return [*beside, *fields.fill_outputs(self.demo, result, self.folder, inputs)]

        # In a thread, which draws for the same visitor.
        return await asyncio.get_running_loop().run_in_executor(self.threads, copy_context().run, draw)

    @property
    def unchanged(self) -> list[Any]:
        """Nothing new, for all that a run draws."""
        return [gr.skip()] * (4 + sum(len(part.places) for part in self.beside) + len(self.outputs))

    def remember_result(self, request: gr.Request, result: Result) -> None:
        """Remembers which result an open page shows."""
        for part in self.listeners:
            part.remember_result(request, result)

    def draw_outcome(self, task: asyncio.Future[Result]) -> list[Any]:
        """Status line, stop button, receipt and head at the end of a run."""
        hidden = gr.update(visible=False)
        problem = task.exception()
        if problem is None:
            result = task.result()
            paid = html.receipt(result.receipt, result.id, result.seed)
            return [self.draw_title(result), hidden, paid, self.draw_head()]
        if isinstance(problem, CancelledError):
            return [html.stopped(html.earlier()), hidden, gr.skip(), gr.skip()]
        if isinstance(problem, HubError):
            return [html.error(wording.by_label(self.demo, problem), html.earlier()), hidden, gr.skip(), gr.skip()]
        raise problem

    def draw_title(self, result: Result) -> str:
        """What stands above an answer: the answer in a few words."""
        return html.done(headline(self.demo, result), result.receipt)

    async def stop(self, request: gr.Request) -> None:
        """Cancels this browser session's runs on this page; each shows by its last update that it was stopped."""
        self.runs.stop(request.session_hash or "")

    def draw_head(self) -> str:
        return html.title(self.page, describe.state(self.hub, self.page))
