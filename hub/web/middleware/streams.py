"""Lets no answer get lost while a page's stream of events closes.

An open Gradio page hears its answers over one stream. Once nothing is asked any more, Gradio tells the page that the
stream ends. What the page asks before it has heard that would be answered over a stream that it no longer listens to:
never, for whoever waits. So the stream stays until the page has hung up, and what is asked meanwhile is told its
number after that: then the page opens a new one.

A page that is slow may also open one when all it asked has been answered over the one before. Gradio would keep that
open for ever, and browsers give six connections to a host. So a stream over which nothing is to come is ended.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from gradio.server_messages import ProcessCompletedMessage
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

STREAM, JOIN = "/gradio_api/queue/data", "/gradio_api/queue/join"
END = b'data: {"msg":"close_stream"'  # which Gradio sends by itself, in a piece of its own
BEAT = b'data: {"msg":"heartbeat"'  # every 15 s
NOTHING = "nothing-asked"  # an event that nobody asked for: its end makes Gradio look whether any is left
NOTHING_ENDED = f'"event_id":"{NOTHING}"'.encode()
HANG_UP_S = 5.0  # no longer, since a proxy may never tell; a page that hears `END` later than that may still lose one


class Streams:
    """ASGI layer around Gradio. Used in the event loop only.

    From Gradio's look at what is still asked to `END` passing here nothing is awaited, so nothing is asked between.
    `queue` is that of Gradio's pages.
    """

    def __init__(self, app: ASGIApp, queue: Any):
        self.app, self._queue = app, queue
        self._ending: dict[str, asyncio.Event] = {}  # pages that `END` was sent to, by session

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        if path.endswith(STREAM):
            await self._stream(scope, receive, send)
        elif path.endswith(JOIN):
            await self._join(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        session = Request(scope).query_params.get("session_hash", "")

        async def until_hung_up(message: Message) -> None:
            body = message.get("body", b"")
            if NOTHING_ENDED in body:
                return
            if not body.startswith(END):
                await send(message)
                if body.startswith(BEAT):
                    self._end_if_idle(session)
                return
            over = self._ending[session] = asyncio.Event()
            try:
                await send(message)
                async with asyncio.timeout(HANG_UP_S):
                    while (await receive())["type"] != "http.disconnect":
                        pass
            except TimeoutError:
                pass
            finally:
                over.set()
                if self._ending.get(session) is over:
                    del self._ending[session]

        self._end_if_idle(session)
        await self.app(scope, receive, until_hung_up)

    def _end_if_idle(self, session: str) -> None:
        """Ends a session's stream where nothing is to come over it."""
        messages = self._queue.pending_messages_per_session.get(session)
        if messages is None or not messages.empty():
            return
        # Gradio looks for the session's entry, which it drops with the last of what was left half way.
        asked = self._queue.pending_event_ids_session.setdefault(session, set())
        if not asked:
            messages.put_nowait(ProcessCompletedMessage(event_id=NOTHING, output={}, success=True))

    async def _join(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = list[bytes]()

        async def keep() -> Message:
            message = await receive()
            body.append(message.get("body", b""))
            return message

        async def when_hung_up(message: Message) -> None:
            starts = message["type"] == "http.response.start"
            if starts and self._ending and (over := self._ending.get(_session(b"".join(body)))):
                await over.wait()
            await send(message)

        await self.app(scope, keep, when_hung_up)


def _session(body: bytes) -> str:
    try:
        fields = json.loads(body)
    except ValueError:
        return ""
    return str(fields.get("session_hash", "")) if isinstance(fields, Mapping) else ""
