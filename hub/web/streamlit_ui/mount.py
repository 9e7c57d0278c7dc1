"""`/streamlit` in the hub's process. Streamlit is imported when somebody first asks for it: the start costs nothing."""

from __future__ import annotations

import asyncio
import logging
import math
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any

from anyio import to_thread
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from hub.hub import Hub
from hub.settings import ROOT
from hub.web.streamlit_ui import host as streamlit_host
from hub.web.streamlit_ui.door import StreamlitDoor

log = logging.getLogger(__name__)
PATH = "/streamlit"
CONFIG = ROOT / ".streamlit" / "config.toml"


class WithoutOrigin:
    """Takes the Origin from websockets, which `guard.Guard` has looked at.

    Streamlit would look again, and ask a server on the internet for this machine's address to do so.
    """

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            scope = {**scope, "headers": [(name, value) for name, value in scope["headers"] if name != b"origin"]}
        await self._app(scope, receive, send)


class Mounted:
    """The Streamlit pages of one hub as an ASGI app; there may be one in a process."""

    def __init__(self, hub: Hub):
        self._hub = hub
        self._app: ASGIApp | None = None
        self._running: AbstractAsyncContextManager[Any] | None = None
        self._door = StreamlitDoor(self._serve, hub)
        self._lock = asyncio.Lock()  # one start; taken alone

    def add_to(self, app: FastAPI) -> None:
        """To be called before the Gradio pages are mounted, which answer every path."""
        app.add_route(PATH, _with_slash, include_in_schema=False)
        app.mount(PATH, WithoutOrigin(self), name="streamlit")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        proxy = scope.get("root_path", "").removesuffix(PATH)  # which the hub takes off paths, and mounts look for
        if proxy and scope["type"] != "lifespan" and not scope["path"].startswith(f"{proxy}{PATH}"):
            scope = {**scope, "path": proxy + scope["path"]}
        await self._door(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Streamlit itself, which is not started for what the door refuses."""
        try:
            app = await self._start()
        except ImportError as error:
            text = f"The Streamlit pages need the package {error.name}: pip install streamlit"
            app = PlainTextResponse(text, 503)
        await app(scope, receive, send)

    async def _start(self) -> ASGIApp:
        async with self._lock:
            if self._app is None:
                app = await to_thread.run_sync(_build, self._hub)
                self._running = app.lifespan()(app)
                limiter = to_thread.current_default_thread_limiter()
                tokens = limiter.total_tokens
                await self._running.__aenter__()
                limiter.total_tokens = tokens  # Streamlit sets its own, and the other doors share it
                self._app = app
            return self._app

    async def close(self) -> None:
        """Ends all Streamlit sessions."""
        if self._running is not None:
            await self._running.__aexit__(None, None, None)


def _build(hub: Hub) -> Any:
    with _own_logs():
        from streamlit import config
        from streamlit.starlette import App

        for key, value in _options(tomllib.loads(CONFIG.read_text(encoding="utf-8"))):
            config.set_option(key, value)
        config.set_option("server.maxUploadSize", math.ceil(hub.settings.max_upload_mb))
        streamlit_host.use(hub)
        return App(streamlit_host.SCRIPT, on_script_error=streamlit_host.failed)


@contextmanager
def _own_logs() -> Iterator[None]:
    """Streamlit makes uvicorn log every request at its import; here the hub has set that up."""
    loggers = [logging.getLogger(name) for name in ("uvicorn", "uvicorn.access", "uvicorn.asgi", "uvicorn.error")]
    before = [(logger.level, [*logger.handlers], logger.propagate) for logger in loggers]
    yield
    for logger, (level, handlers, propagate) in zip(loggers, before, strict=True):
        logger.setLevel(level)
        logger.handlers, logger.propagate = handlers, propagate


def _options(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """`{"theme": {"light": {"primaryColor": ...}}}` as `theme.light.primaryColor`."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _options(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


async def _with_slash(request: Request) -> Response:
    """Streamlit's page names its files relative to itself, so it needs the slash."""
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f".{PATH}/{query}", 307)
