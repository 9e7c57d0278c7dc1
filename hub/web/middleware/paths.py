"""Addresses that mean another one: a slash too many at the end, and HEAD for a page that knows GET only."""

from __future__ import annotations

from urllib.parse import quote

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LISTS = "/api/"  # below it a slash is dropped without a redirect, which a POST may not follow
OTHERS = ("/streamlit/", "/gradio_api/", "/mcp/")  # whose paths are their own, and whose streams have no end
PATH_SAFE = "%!$&'()*+,;=:@~-._"
QUERY_SAFE = PATH_SAFE + "/?"


class Paths:
    """ASGI layer within the guard, which has turned an access token in the address into a cookie by then."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or str(scope["path"]).startswith(OTHERS):
            await self.app(scope, receive, send)
            return
        path, method = str(scope["path"]), scope["method"]
        if path.startswith(LISTS) and path.endswith("/"):
            scope = {**scope, "path": path.rstrip("/")}
        elif method in ("GET", "HEAD") and _raw(scope).endswith("/") and path.strip("/"):
            await RedirectResponse(without_slash(scope), 307)(scope, receive, send)
            return
        if method == "HEAD" and not path.startswith(LISTS):
            scope, send = {**scope, "method": "GET"}, _without_body(send)
        await self.app(scope, receive, send)


def without_slash(scope: Scope) -> str:
    """The same address without the slashes at its end, relative to it: also right where a proxy adds to the path.

    It begins with `../` whatever was asked for, so that it leads to no other host.
    """
    path = _raw(scope)
    name = path.rstrip("/").rpartition("/")[2]
    up = "../" * (len(path) - len(path.rstrip("/")))
    query = scope.get("query_string", b"").decode("latin-1")
    return up + quote(name, PATH_SAFE) + (f"?{quote(query, QUERY_SAFE)}" if query else "")


def _raw(scope: Scope) -> str:
    """The path as it was asked: a `%2F` at its end is no slash too many."""
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    return raw.decode("latin-1")


def _without_body(send: Send) -> Send:
    async def without_body(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return without_body
