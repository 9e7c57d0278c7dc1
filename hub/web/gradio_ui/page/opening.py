"""What a demo's page shows when it is opened: its first answer, or the run that its visitor comes back to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import gradio as gr

from hub.hub import Hub
from hub.pages.registry import Page
from hub.spec import ImageInput
from hub.web.gradio_ui import deep_links
from hub.web.gradio_ui.page.asking import Asking
from hub.web.gradio_ui.page.running import Running
from hub.web.middleware import guard
from hub.web.parts import html


class Opening:
    """What one page shows first."""

    def __init__(self, hub: Hub, page: Page, asking: Asking, running: Running):
        self.hub, self.page, self.demo, self.asking, self.running = hub, page, page.demo, asking, running

    async def open_first(self, request: gr.Request) -> list[Any] | None:
        """What a page shows that was just opened: its first example with its answer. None: there is no such answer yet.

        It is no run of the visitor's, and not in their history.
        """
        who, begin = guard.caller_on_page(request), time.perf_counter()
        if not self.demo.examples or self.hub.history.in_work(self.hub.history.owner(who), self.page.slug):
            return None
        result = await asyncio.to_thread(self.hub.first_answers.get, self.page)
        if result is None or self.running.runs.is_busy(request.session_hash or ""):  # a visitor was quicker than that
            return None
        result = self.hub.shown.give(self.hub.owners.of(who), result, (time.perf_counter() - begin) * 1000)
        self.running.remember_result(request, result)
        pictures = {
            f.name: self.page.assets / str(self.demo.examples[0].inputs[f.name])
            for f in self.demo.inputs
            if isinstance(f, ImageInput) and f.name in self.demo.examples[0].inputs
        }
        answer = await self.running.draw_answer(request, result, pictures)
        paid = html.receipt(result.receipt, result.id, result.seed)
        return [*self.asking.example_values(0), self.running.draw_title(result), gr.skip(), paid, gr.skip(), *answer]

    async def show_open_run(self, request: gr.Request) -> AsyncIterator[list[Any]]:
        """The page was opened: shows the run that its address names, or one that was in work when it was left."""
        run = await self.running.past.find(request)
        nothing, idle = [gr.skip()] * len(self.asking.names), self.running.unchanged
        if run is None:
            yield [*nothing, *idle]
            return
        values = await asyncio.to_thread(self.running.past.values, run, self.running.folder)
        inputs = deep_links.updates(self.hub, self.page, self.asking.names, values)
        yield [*inputs, *idle]
        async with aclosing(self.running.past.moments(request, run)) as moments:
            async for now in moments:
                yield [*nothing, *await self.running.draw_moment(request, now, values.values)]
