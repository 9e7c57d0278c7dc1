"""Lets Gradio's queue rest while nobody asks for anything.

It looks for work a thousand times a second, and for progress a hundred times: 7 % of a core in a hub that nobody
visits, and in one that answers REST alone. Here it looks fifty times a second until somebody asks, and then as often
as ever, until a while after the last answer.
"""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from hub.web.middleware.streams import JOIN

ASKED = (JOIN, "/gradio_api/call/")
RESTING_S = 0.02  # between two looks; who asks first waits no longer than that
AWAKE_S = 5.0  # after somebody asked, or the last was answered


class Pace:
    """ASGI layer around Gradio. Used in the event loop only. `queue` is that of Gradio's pages."""

    def __init__(self, app: ASGIApp, queue: Any):
        self.app, self._queue = app, queue
        self._awake = queue.sleep_when_free, queue.progress_update_sleep_when_free
        self._timer: asyncio.TimerHandle | None = None
        self._look_every(RESTING_S, RESTING_S)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and any(part in scope["path"] for part in ASKED):
            self._look_every(*self._awake)
            self._rest_later()
        await self.app(scope, receive, send)

    def _look_every(self, seconds: float, progress_seconds: float) -> None:
        self._queue.sleep_when_free, self._queue.progress_update_sleep_when_free = seconds, progress_seconds

    def _rest_later(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(AWAKE_S, self._rest)

    def _rest(self) -> None:
        if len(self._queue) or any(self._queue.active_jobs):
            self._rest_later()
        else:
            self._look_every(RESTING_S, RESTING_S)
