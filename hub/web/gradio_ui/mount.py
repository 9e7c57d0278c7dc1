"""The Gradio pages as a part of the hub's app: they answer every path that nothing before them does."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # Gradio reads it at its import

import gradio as gr
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from hub.hub import Hub
from hub.pages.problems import RESERVED_SLUGS
from hub.web.gradio_door import heads
from hub.web.gradio_door.parts import asked_for
from hub.web.gradio_door.routes import GradioDoor
from hub.web.gradio_ui import app as gradio_ui
from hub.web.gradio_ui import theme
from hub.web.middleware import addresses, guard, pace, streams
from hub.web.site import problems

ICON = Path(__file__).parents[1] / "favicon.png"
OPEN_PAGES = 512  # of which Gradio keeps what changed on each; the oldest goes


def layers(hub: Hub, pages: Any) -> list[Middleware]:
    """What Gradio's pages need around them, outermost first."""
    return [
        Middleware(KnownPages, hub=hub),
        Middleware(heads.Heads, hub=hub),
        Middleware(streams.Streams, queue=pages._queue),
        Middleware(pace.Pace, queue=pages._queue),
    ]


def build(hub: Hub) -> Any:
    """The pages, ready to be mounted."""
    pages: Any = gradio_ui.build(hub)
    # On ZeroGPU Gradio would let one visitor wait, no more; elsewhere any number, each with all that it sent.
    pages.queue(max_size=hub.settings.queue_limit * (1 if hub.zero else 4))
    pages.state_session_capacity = OPEN_PAGES
    # Mounting leaves this False, and then Gradio takes any path on this machine as a file the caller uploaded.
    pages.has_launched = True
    return pages


def mount(app: FastAPI, hub: Hub, pages: Any) -> FastAPI:
    """Adds the pages after all routes of `app`."""
    with asked_for():  # Gradio looks at the configuration as it mounts: no page is made for that
        mounted: FastAPI = gr.mount_gradio_app(
            app,
            pages,
            path="/",
            footer_links=[],
            run_history=False,
            ssr_mode=False,
            allowed_paths=[str(page.assets) for page in hub.registry if page.declared and page.declared.examples],
            max_file_size=hub.limits.max_bytes,
            favicon_path=str(ICON),
            theme=theme.make(),
            css_paths=[theme.STYLE],
            head=theme.head(reloads=hub.settings.reload),
            root_path=addresses.prefix(hub.settings) or None,
        )
    last = mounted.router.routes[-1]
    assert isinstance(last, Mount)
    pages.hub_app = last.app
    last.app = GradioDoor(last.app, pages.hub_files, pages.hub_parts)
    return mounted


def redraw(hub: Hub, pages: Any, slugs: Collection[str]) -> None:
    """Demos were written anew while the hub serves."""
    pages.hub_ui.redraw(pages, slugs)
    there = (hub.registry.pages[slug].assets for slug in slugs if slug in hub.registry.pages)
    pages.allowed_paths = [*dict.fromkeys([*pages.allowed_paths, *map(str, there)])]
    app = pages.hub_app  # Gradio keeps what it said of endpoints
    app.api_info = app.all_app_info = None
    app.page_api_info.clear()


class KnownPages:
    """Answers an address that no demo has with a page that suggests near misses."""

    def __init__(self, app: ASGIApp, hub: Hub):
        self.app, self.hub = app, hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "GET":
            request = Request(scope)
            name = request.url.path.strip("/")
            accepts = request.headers.get("accept", "")
            if name and "text/html" in accepts and not self._is_known(name):
                home = "../" * request.url.path.count("/", 1) or "./"
                page = problems.draw_unknown(self.hub, name, guard.caller(request).name, home)
                await HTMLResponse(page, 404)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _is_known(self, name: str) -> bool:
        first, *more = name.split("/")
        return first in RESERVED_SLUGS or "." in name or (first in self.hub.visible.pages and not more)
