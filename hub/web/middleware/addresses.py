"""Absolute addresses of this hub, as whoever gets a link can open them."""

from __future__ import annotations

import re
import socket
from functools import cache
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from hub.settings import Settings

ORIGIN = re.compile(r"https?://([A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")
EVERY_PLACE = ("0.0.0.0", "::", "")  # hosts that mean all addresses of this machine


def base(settings: Settings, request: Request) -> str:
    """Where the hub is, without a slash at the end: as the setting `public_url` says, else as it was asked."""
    return (settings.public_url or str(request.base_url)).rstrip("/")


def link(settings: Settings, request: Request, id: str) -> str:
    """The page of a shared result."""
    return f"{base(settings, request)}/r/{id}"


def reachable(settings: Settings, request: Request) -> str:
    """Where people on other machines reach this hub; empty: only this machine does."""
    if settings.public_url or not is_loopback(request.url.hostname or ""):
        return base(settings, request)
    return network(settings, request.url.port or 80)


def network(settings: Settings, port: int) -> str:
    """The hub's address in the local network, if it listens there."""
    if settings.host in EVERY_PLACE:
        return f"http://{_own_address()}:{port}" if _own_address() else ""
    return "" if is_loopback(settings.host) else f"http://{settings.host}:{port}"


def is_loopback(name: str) -> bool:
    """Whether a host's name or address means the machine itself."""
    try:
        return ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


@cache
def _own_address() -> str:
    """The address that this machine has in its network; empty: it has none. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address of the documentation's range: only the route is looked up
            address = str(probe.getsockname()[0])
        except OSError:
            return ""
    return "" if is_loopback(address) or address == "0.0.0.0" else address


def prefix(settings: Settings) -> str:
    """The path under which a proxy offers the hub, such as /hub; empty: at its root."""
    return urlsplit(settings.public_url).path.rstrip("/")


class BehindProxy:
    """Lets what makes addresses know the public one: the path the hub is under, and https where the proxy speaks it.

    A proxy may pass the path on or strip it. Paths inside the hub never have it; `root_path` does.
    """

    def __init__(self, app: ASGIApp, settings: Settings):
        self.app, self.public, self.prefix = app, urlsplit(settings.public_url), prefix(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            path = scope["path"]
            if self.prefix and path == self.prefix and scope["type"] == "http":  # relative links need the slash
                query = scope.get("query_string", b"").decode("latin-1")
                place = f"{self.prefix}/?{query}" if query else f"{self.prefix}/"
                await RedirectResponse(place, 308)(scope, receive, send)
                return
            if self.prefix and path.startswith(f"{self.prefix}/"):
                raw = scope.get("raw_path") or b""
                scope = {**scope, "path": path.removeprefix(self.prefix), "raw_path": raw[len(self.prefix) :]}
            headers = MutableHeaders(scope=scope)
            if headers.get("host") == self.public.netloc:
                secure = {"http": {"http": "http", "https": "https"}, "websocket": {"http": "ws", "https": "wss"}}
                scope = {**scope, "scheme": secure[scope["type"]][self.public.scheme]}
            scope = {**scope, "root_path": self.prefix}
        await self.app(scope, receive, send)


class FromPage:
    """Lets what makes addresses know the one that a browser sees, which says it with what its page sends.

    A proxy may drop the port (`Host $host`) or name this machine. Within the guard, which has refused other websites.
    """

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = MutableHeaders(raw=[pair for pair in scope["headers"] if pair[0] != b"x-gradio-server"])
            origin, host = headers.get("origin", ""), headers.get("host", "")
            page = _parse_origin(origin)
            if page and page.netloc.lower() != host.lower():
                # No more than the port is taken over: who may do what depends on the name.
                if page.hostname == urlsplit(f"//{host}").hostname:
                    headers["host"] = page.netloc
                    scope = {**scope, "scheme": page.scheme}
                elif headers.get("sec-fetch-site") == "same-origin":  # for the addresses of Gradio's files alone
                    headers["x-forwarded-host"], headers["x-forwarded-proto"] = page.netloc, page.scheme
            scope = {**scope, "headers": headers.raw}
        await self.app(scope, receive, send)


def _parse_origin(origin: str) -> SplitResult | None:
    try:
        return urlsplit(origin) if ORIGIN.fullmatch(origin) else None
    except ValueError:  # such as brackets around what is no address
        return None
