"""The outermost layer: answers each request that the end of the hub cuts off."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.hub import Hub
from hub.web.problems import EVENTS, problem


class Ending:
    """A request that the end of the hub cuts off still gets an answer: a problem, or a last event of its stream."""

    def __init__(self, app: ASGIApp, hub: Hub):
        self.app, self.stop = app, hub.stop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        has_begun, streams, over = False, False, False

        async def send_and_watch(message: Message) -> None:
            nonlocal has_begun, streams, over
            if message["type"] == "http.response.start":
                kind = dict(message.get("headers", ())).get(b"content-type", b"")
                has_begun, streams = True, kind.startswith(EVENTS.encode())
            over = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        try:
            await self.app(scope, receive, send_and_watch)
        except asyncio.CancelledError:
            if not self.stop.over.is_set():
                raise
            answer = problem(self.stop.ended(), Request(scope))
            if not has_begun:
                await answer(scope, receive, send)
            elif streams and not over:
                last = b"event: error\ndata: " + bytes(answer.body) + b"\n\n"
                await send({"type": "http.response.body", "body": last, "more_body": False})
