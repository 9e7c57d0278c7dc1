"""Which browser asks: a cookie that dies with the browser, so that visitors find their own pictures and no other's."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.engine import Engine
from hub.pictures import from_words

COOKIE = "hub_session"
TOKEN = re.compile(r"[A-Za-z0-9_-]{32,128}")  # shorter ones could be guessed


def of(cookies: Mapping[str, str], page: str = "") -> str:
    """The session of a request; empty when it has none. `page`: what else is known of the browser, as Gradio's hash.

    It stands in where a browser sends no cookie, as in a frame on another site, and ends when the page is left.
    """
    token = cookies.get(COOKIE, "")
    if TOKEN.fullmatch(token):
        return f"cookie {token}"
    return f"page {page}" if page else ""


class SessionCookie:
    """Gives a browser its cookie with the first page, where past results are shown or runs counted by session."""

    def __init__(self, app: ASGIApp, engine: Engine):
        self.app = app
        demos = [page.declared for page in engine.registry if page.declared]
        counted = engine.settings.rate_limit or engine.settings.quota  # by browser
        shown = any(demo.similar or from_words(demo) for demo in demos)
        self.needed = bool(counted) or (engine.settings.similar == "session" and shown)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wanted = self.needed and scope["type"] == "http" and scope["method"] == "GET"
        # Whoever only looks at a shared result gets none.
        if not wanted or scope["path"].startswith("/r/") or of(_cookies(scope)):
            await self.app(scope, receive, send)
            return

        async def with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if headers.get("content-type", "").startswith("text/html"):
                    secure = "; Secure" if scope.get("scheme") == "https" else ""
                    token = secrets.token_urlsafe(32)
                    headers.append("Set-Cookie", f"{COOKIE}={token}; Path=/; HttpOnly; SameSite=Lax{secure}")
                    headers["Cache-Control"] = "private, no-store"  # a cache must not give it to somebody else
            await send(message)

        await self.app(scope, receive, with_cookie)


def _cookies(scope: Scope) -> dict[str, str]:
    return cookie_parser(Headers(scope=scope).get("cookie", ""))
