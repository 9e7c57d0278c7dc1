"""How a job stands, as server-sent events: told again whenever that has changed, until the job has ended.

Who closes the connection ends nothing. Streams are bounded for each address and in all, and who is refused one asks for
the job now and then, as ever.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from hub.engine.jobs import Stop
from hub.errors import BusyError, HubError
from hub.people.limits import network
from hub.web.api.events import BEAT_S, format_event
from hub.web.api.schemas.jobs import JobAnswer
from hub.web.middleware import guard
from hub.web.problems import EVENTS, problem

LOOK_S = 1.0  # between two looks at the job
OF_ADDRESS, ALL = 24, 400  # streams at once


class JobStreams:
    """The streams of one hub. Used in the event loop only."""

    def __init__(self, stop: Stop):
        self._stop, self._open = stop, Counter[str]()

    async def stream(self, request: Request, look: Callable[[], JobAnswer]) -> Response:
        """Events `job`, the last of which has `ended_at`. Raises what `look` raises, and BusyError."""
        first = await to_thread.run_sync(look)
        address = network(guard.caller(request).address)
        if self._open[address] >= OF_ADDRESS or self._open.total() >= ALL:
            raise BusyError("Too many follow jobs from your address at once. Ask for the job instead.", retry_after_s=5)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(self._events(request, address, first, look), media_type=EVENTS, headers=headers)

    async def _events(
        self, request: Request, address: str, now: JobAnswer, look: Callable[[], JobAnswer]
    ) -> AsyncIterator[bytes]:
        self._open[address] += 1
        before, said = None, 0.0
        try:
            while True:
                if now != before:
                    yield format_event("job", now)
                    before, said = now, time.monotonic()
                elif time.monotonic() - said > BEAT_S:
                    yield b": still at it\n\n"
                    said = time.monotonic()
                if now["ended_at"] or self._stop.begun.is_set():
                    return  # of a hub that stops, who follows asks the next one
                await asyncio.sleep(LOOK_S)
                now = await to_thread.run_sync(look)
        except HubError as error:
            yield b"event: error\ndata: " + bytes(problem(error, request).body) + b"\n\n"
        finally:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]
