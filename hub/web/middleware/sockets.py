"""Bounds websockets, which the Streamlit pages talk over: how many, how large each message, and how many of them."""

from __future__ import annotations

import time
from collections import Counter

from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.errors import BusyError
from hub.hub import Hub
from hub.people.limits import network
from hub.web.problems import problem

MOST, OF_ADDRESS = 512, 64  # open at once, each a page with a session of its own; people share addresses
MESSAGE_BYTES = 2**20  # what a page's fields hold; pictures come as uploads
WINDOW_S, IN_WINDOW = 10.0, 400  # a slider that is dragged sends some twenty a second
TOO_LARGE, TOO_MANY, TRY_LATER = 1009, 1008, 1013  # as RFC 6455 has them


class Sockets:
    """ASGI layer around whatever takes websockets. Used in the event loop only."""

    def __init__(self, app: ASGIApp, hub: Hub):
        self.app, self.stop = app, hub.stop
        self._open = Counter[str]()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self.app(scope, receive, send)
            return
        client = HTTPConnection(scope).client
        address = network(client.host if client else "")
        if self.stop.begun.is_set() or self._open.total() >= MOST or self._open[address] >= OF_ADDRESS:
            await self._refuse(scope, receive, send)
            return
        self._open[address] += 1
        try:
            await self.app(scope, _Bounded(receive, send).receive, send)
        finally:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        error = self.stop.refusal() if self.stop.begun.is_set() else BusyError(
            "Too many pages are open. Close some, or try again in a moment.", retry_after_s=30
        )  # fmt: skip
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": TRY_LATER, "reason": error.title})
            return
        answer = problem(error, Request({**scope, "type": "http", "method": "GET"}))
        headers = {"status": answer.status_code, "headers": answer.raw_headers}
        await send({"type": "websocket.http.response.start", **headers})
        await send({"type": "websocket.http.response.body", "body": bytes(answer.body)})


class _Bounded:
    """What comes over one websocket; it ends at a message too large or too many."""

    def __init__(self, receive: Receive, send: Send):
        self._receive, self._send = receive, send
        self._since, self._count = time.monotonic(), 0

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] != "websocket.receive":
            return message
        if time.monotonic() - self._since > WINDOW_S:
            self._since, self._count = time.monotonic(), 0
        self._count += 1
        size = len(message.get("bytes") or b"") + len(message.get("text") or "")
        if size <= MESSAGE_BYTES and self._count <= IN_WINDOW:
            return message
        code = TOO_LARGE if size > MESSAGE_BYTES else TOO_MANY
        await self._send({"type": "websocket.close", "code": code, "reason": "Too much at once"})
        return {"type": "websocket.disconnect", "code": code}
