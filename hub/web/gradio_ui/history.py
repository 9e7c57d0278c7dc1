"""The history on a demo's page: what was run there before, and the run that goes on when the page is loaded again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
from anyio import to_thread
from cachetools import LRUCache
from markupsafe import Markup

from hub.archive.history import InWork
from hub.archive.history_store import HistoryEntry
from hub.engine.jobs import Followed
from hub.errors import HubError
from hub.hub import Hub
from hub.pages.registry import Page
from hub.results.result import Result
from hub.web.gradio_ui.runs import Moment, Runs
from hub.web.gradio_ui.similar import ago
from hub.web.middleware import guard
from hub.web.parts import wording
from hub.web.parts.filled import HISTORY, Filled, fill_run
from hub.web.parts.pieces import piece

TILES = 8  # runs in the row
TABS = 4096  # open pages whose last run is remembered
PASSING_S = 3.0  # a control that is moved again within so long only passed the value before
FOUND_S, LOOK_S = 10.0, 0.2  # the hub may hear a while after the new page opened that the old one is gone


class Past:
    """One page's row of earlier runs, and its way back to a run in work."""

    def __init__(self, hub: Hub, page: Page, runs: Runs):
        self.hub, self.page, self.runs = hub, page, runs
        self._passing: LRUCache[str, tuple[str, float]] = LRUCache(TABS)  # by open page; touched in the event loop only

    def build(self) -> None:
        """Draws the row."""
        self.row = gr.HTML("", apply_default_css=False)

    def connect(self, blocks: gr.Blocks, receipt: gr.HTML) -> None:
        """Fills the row when the page is opened, and after each new value of `receipt`, which every run sets."""
        options: dict[str, Any] = {"outputs": self.row, "show_progress": "hidden", "api_visibility": "private"}
        blocks.load(self.fill, queue=False, **options)
        receipt.change(self.fill, queue=False, **options)

    def owner(self, request: gr.Request) -> str:
        return self.hub.history.owner(guard.caller(request.request))

    async def fill(self, request: gr.Request) -> Any:
        tab = request.session_hash or ""
        passing = self._passing.get(tab)
        # A run that the next one may still replace is not shown: its picture would be gone before the browser asks.
        while passing is not None and time.monotonic() - passing[1] < PASSING_S:
            await asyncio.sleep(LOOK_S)
            if self._passing.get(tab) != passing:
                return gr.skip()  # the newer run's answer fills the row
        owner = self.owner(request)
        try:
            entries, _ = await to_thread.run_sync(self.hub.history.search, owner, "", self.page.slug, 2 * TILES)
        except HubError:
            return ""  # the history's own page shows the error
        return draw_row(self.page.slug, [entry for entry in entries if entry.state == "done"][:TILES])

    async def remember_result(self, request: gr.Request, result: Result, adjusting: bool) -> None:
        """A run ended. `adjusting`: a control was moved for it, and may be on its way to another value."""
        tab, now = request.session_hash or "", time.monotonic()
        last = self._passing.pop(tab, None)
        if not adjusting:
            return
        if last is not None and last[0] != result.id and now - last[1] < PASSING_S:
            await to_thread.run_sync(self.hub.history.forget_passing, self.owner(request), last[0])
        self._passing[tab] = (result.id, now)

    async def find(self, request: gr.Request) -> InWork | HistoryEntry | None:
        """What the opened page shows: the run that its address names, or one in work that no page follows."""
        owner, history = self.owner(request), self.hub.history
        if not owner:
            return None
        if id := request.query_params.get(HISTORY, ""):
            for run in history.in_work(owner, self.page.slug):
                if run.entry.id == id:
                    return run
            try:
                entry = await to_thread.run_sync(history.get, owner, id)
            except HubError:
                return None  # the notice above the inputs says why
            return entry if entry.state == "done" and entry.page == self.page.slug else None
        end = time.monotonic() + FOUND_S
        while time.monotonic() < end and not self.runs.is_busy(request.session_hash or ""):
            running = [r for r in history.in_work(owner, self.page.slug) if isinstance(r.cancel, Followed)]
            for run in running:
                if isinstance(run.cancel, Followed) and run.cancel.is_left:
                    return run
            if not running:
                return None
            await asyncio.sleep(LOOK_S)
        return None

    def values(self, run: InWork | HistoryEntry, folder: Path) -> Filled:
        """What a run was asked; its pictures are written to `folder`."""
        filled = Filled()
        fill_run(self.hub, self.page, run.entry if isinstance(run, InWork) else run, folder, filled)
        return filled

    async def moments(self, request: gr.Request, run: InWork | HistoryEntry) -> AsyncGenerator[Moment[Result], None]:
        """A run in work until it has ended; of one that has, its end alone, unless its result has gone meanwhile."""
        if isinstance(run, InWork):
            async with aclosing(self.runs.rejoin(request.session_hash or "", run)) as moments:
                async for now in moments:
                    yield now
            return
        try:
            result = await to_thread.run_sync(self.hub.history.result, run)
        except HubError:
            return
        ended = asyncio.get_running_loop().create_future()
        ended.set_result(replace(result, receipt=replace(result.receipt, cached=True)))
        yield Moment((), 0.0, ended)


def draw_row(slug: str, entries: Sequence[HistoryEntry]) -> Markup:
    """Earlier runs of a page as tiles that open them; empty for none."""
    return piece("page", "past", slug, [_tile(entry) for entry in entries])


def _tile(entry: HistoryEntry) -> tuple[HistoryEntry, str, str]:
    """An entry, its words, and its tooltip."""
    if not entry.headline:
        return entry, ago(entry.begun), ago(entry.begun)
    words = wording.answer(entry.headline)
    return entry, words, f"{words}, {ago(entry.begun)}"
