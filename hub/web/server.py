"""Assembles the one ASGI app: REST first, then the Gradio pages at `/`; and serves it."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from hub import describe
from hub.errors import HubError, NotFoundError
from hub.hub import Hub
from hub.web import serving
from hub.web.api import demos as rest
from hub.web.api import gallery, grid
from hub.web.gradio_door import routes as gradio_door
from hub.web.gradio_ui import app as gradio_ui
from hub.web.gradio_ui import theme
from hub.web.mcp import mount as mcp_mount
from hub.web.middleware import (
    addresses,
    bounds,
    guard,
    headers,
    hosts,
    languages,
    paths,
    sessions,
    sockets,
    space_signin,
    streams,
)
from hub.web.parts import html
from hub.web.site import embed
from hub.web.site import history as history_pages
from hub.web.site import links as permalinks
from hub.web.streamlit_ui import mount as streamlit_mount

log = logging.getLogger(__name__)
OPEN_PAGES = 512  # of which Gradio keeps a copy of the page each, nearly a megabyte; the oldest goes


def build_app(hub: Hub) -> FastAPI:
    """The whole hub as one ASGI app. Closing its lifespan closes the engine."""
    mcp = mcp_mount.door(hub)
    streamlit = streamlit_mount.Mounted(hub)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # Pages are served while torch is still being imported and models preloaded.
        threading.Thread(target=warm_up, args=(hub,), name="warm-up", daemon=True).start()
        sweeping = asyncio.create_task(pages.hub_files.sweeping())
        async with mcp.run():
            yield
        sweeping.cancel()
        await streamlit.close()
        pages.hub_files.close()
        hub.close()

    app = FastAPI(
        title="Demo Hub", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url="/api/v1/openapi.json"
    )
    rest.add_to(app, hub)
    permalinks.add_to(app, hub)
    gallery.add_to(app, hub)
    history_pages.add_to(app, hub)
    grid.add_to(app, hub)
    app.router.routes[:0] = mcp.routes()
    embed.add_to(app, hub)
    streamlit.add_to(app)

    app.add_middleware(streams.Streams)  # innermost
    app.add_middleware(_KnownPages, hub=hub)
    app.add_middleware(sessions.SessionCookie, hub=hub)
    app.add_middleware(addresses.FromPage)
    app.add_middleware(paths.Paths)
    app.user_middleware[:0] = [
        Middleware(languages.Languages, hub=hub),
        *guard.layers(hub),
        Middleware(sockets.Sockets, hub=hub),
        Middleware(bounds.Bounds, hub=hub),  # who may not come in sends nothing that is read
    ]
    space_signin.add_to(app, hub.settings)
    if hub.settings.public_url:  # around all others, so that they see paths without the proxy's
        app.add_middleware(addresses.BehindProxy, settings=hub.settings)
    app.add_middleware(hosts.Names, hub=hub)  # before anything is answered
    app.add_middleware(headers.SafeHeaders, hub=hub)
    app.add_middleware(serving.Ending, hub=hub)  # outermost
    pages: Any = gradio_ui.build(hub)
    # On ZeroGPU Gradio would let one visitor wait, no more; elsewhere any number, each with all that it sent.
    pages.queue(max_size=hub.settings.queue_limit * (1 if hub.zero else 4))
    pages.state_session_capacity = OPEN_PAGES
    # Mounting leaves this False, and then Gradio takes any path on this machine as a file the caller uploaded.
    pages.has_launched = True
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="SSR mode is not supported")  # told even when it is switched off
        return _mount(app, hub, pages)


def _mount(app: FastAPI, hub: Hub, pages: Any) -> FastAPI:
    mounted: FastAPI = gr.mount_gradio_app(
        app,
        pages,
        path="/",
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        allowed_paths=[str(page.assets) for page in hub.registry if page.declared and page.declared.examples],
        max_file_size=hub.limits.max_bytes,
        favicon_path=str(Path(__file__).with_name("favicon.png")),
        theme=theme.make(),
        css_paths=[theme.STYLE],
        head=theme.HEAD,
        root_path=addresses.prefix(hub.settings) or None,
    )
    mount = mounted.router.routes[-1]
    assert isinstance(mount, Mount)
    mount.app = gradio_door.GradioDoor(mount.app, pages.hub_files, [*hub.registry.pages, "status"])
    return mounted


def warm_up(hub: Hub) -> None:
    """Imports torch, picks the device, and preloads models if asked to. Errors are logged; pages tell them too."""
    for reason in describe.missing(hub):
        log.warning("%s", reason)
    try:
        hub.hardware()
    except HubError as error:
        log.error("%s", error.message)
        return
    if hub.settings.preload:
        for page in hub.registry:
            if page.declared is None:
                continue
            try:
                if not hub.models.preload(page.slug):
                    log.info("%s is not preloaded: no room without evicting another", page.slug)
            except HubError as error:
                log.error("%s is not preloaded: %s", page.slug, error.message)


class _KnownPages:
    """Answers an address that no demo has with a page that suggests near misses."""

    def __init__(self, app: ASGIApp, hub: Hub):
        self.app, self.hub = app, hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "GET":
            request = Request(scope)
            name = request.url.path.strip("/")
            accepts = request.headers.get("accept", "")
            if name and "/" not in name and "text/html" in accepts and not self._known(name):
                try:
                    self.hub.registry.get(name)
                except NotFoundError as error:
                    await HTMLResponse(html.not_found(error, "./"), status_code=404)(scope, receive, send)
                    return
        await self.app(scope, receive, send)

    def _known(self, name: str) -> bool:
        from hub.pages.registry import RESERVED_SLUGS

        return name in self.hub.registry.pages or name in RESERVED_SLUGS or "." in name
