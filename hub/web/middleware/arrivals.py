"""Tells the history of each page that a browser asks for."""

from __future__ import annotations

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from hub.hub import Hub
from hub.web.middleware import guard


class Arrivals:
    """Tells the history that somebody looks: runs of a page that the browser just left then wait for it a while."""

    def __init__(self, app: ASGIApp, hub: Hub):
        self.app, self.hub = app, hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "GET":
            request = Request(scope)
            if "text/html" in request.headers.get("accept", ""):
                self.hub.history.look(self.hub.history.owner(guard.caller(request)))
        await self.app(scope, receive, send)
