"""Which browser asks: a cookie, kept as long as results are, so that visitors find what they ran and no other's."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.hub import Hub

COOKIE, HOUR_S = "hub_session", 3600
TOKEN = re.compile(r"[A-Za-z0-9_-]{32,128}")  # shorter ones could be guessed


def session_of(cookies: Mapping[str, str], page: str = "") -> str:
    """The session of a request; empty when it has none. `page`: what else is known of the browser, as Gradio's hash.

    It stands in where a browser sends no cookie, as in a frame on another site, and ends when the page is left.
    """
    token = cookies.get(COOKIE, "")
    if TOKEN.fullmatch(token):
        return f"cookie {token}"
    return f"page {page}" if page else ""


class SessionCookie:
    """Gives a browser its cookie with the first page, and with each next one for as long again."""

    def __init__(self, app: ASGIApp, hub: Hub):
        self.app = app
        self.kept_s = max(HOUR_S, int(hub.settings.results_days * 24 * HOUR_S))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_get = scope["type"] == "http" and scope["method"] == "GET"
        # Whoever only looks at a shared result gets none.
        if not is_get or scope["path"].startswith("/r/"):
            await self.app(scope, receive, send)
            return
        cookies = _cookies(scope)
        token = cookies[COOKIE] if session_of(cookies) else secrets.token_urlsafe(32)

        async def with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if headers.get("content-type", "").startswith("text/html"):
                    secure = "; Secure" if scope.get("scheme") == "https" else ""
                    cookie = f"{COOKIE}={token}; Path=/; Max-Age={self.kept_s}; HttpOnly; SameSite=Lax{secure}"
                    headers.append("Set-Cookie", cookie)
                    headers["Cache-Control"] = "private, no-store"  # a cache must not give it to somebody else
            await send(message)

        await self.app(scope, receive, with_cookie)


def _cookies(scope: Scope) -> dict[str, str]:
    return cookie_parser(Headers(scope=scope).get("cookie", ""))
