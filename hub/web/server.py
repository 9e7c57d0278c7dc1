"""Assembles the one ASGI app: REST first, then the Gradio pages at `/`; and serves it."""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
import os
import threading
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from hub.engine import Engine
from hub.errors import HubError, InputError, NotFoundError, SignInError
from hub.web import gradio_ui, html, permalinks, rest, sessions, theme
from hub.web.problems import problem

log = logging.getLogger(__name__)
OPEN_TO_ALL = {"/healthz", "/readyz"}  # probes have no password


def build_app(engine: Engine) -> FastAPI:
    """The whole hub as one ASGI app. Closing its lifespan closes the engine."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # Pages are served while torch is still being imported and models preloaded.
        threading.Thread(target=warm_up, args=(engine,), name="warm-up", daemon=True).start()
        yield
        engine.close()

    app = FastAPI(
        title="Demo Hub", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url="/api/v1/openapi.json"
    )
    rest.add_to(app, engine)
    permalinks.add_to(app, engine)

    app.add_middleware(_KnownPages, engine=engine)
    app.add_middleware(sessions.SessionCookie, engine=engine)
    if engine.settings.auth:
        if ":" not in engine.settings.auth:
            raise InputError("--auth must be USER:PASSWORD")
        app.add_middleware(_BasicAuth, credentials=engine.settings.auth)
    pages = gradio_ui.build(engine)
    # Mounting leaves this False, and then Gradio takes any path on this machine as a file the caller uploaded.
    pages.has_launched = True
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="SSR mode is not supported")  # told even when it is switched off
        return _mount(app, engine, pages)


def _mount(app: FastAPI, engine: Engine, pages: gr.Blocks) -> FastAPI:
    mounted: FastAPI = gr.mount_gradio_app(
        app,
        pages,
        path="/",
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        allowed_paths=[str(page.assets) for page in engine.registry if page.declared and page.declared.examples],
        max_file_size=engine.limits.max_bytes,
        favicon_path=str(Path(__file__).with_name("favicon.png")),
        theme=theme.make(),
        css_paths=[theme.STYLE],
        head=theme.HEAD,
    )
    return mounted


def warm_up(engine: Engine) -> None:
    """Imports torch, picks the device, and preloads models if asked to. Errors are logged; pages tell them too."""
    try:
        engine.hardware()
    except HubError as error:
        log.error("%s", error.message)
        return
    if engine.settings.preload:
        for page in engine.registry:
            if page.declared is None:
                continue
            try:
                if not engine.models.preload(page.slug):
                    log.info("%s is not preloaded: no room without evicting another", page.slug)
            except HubError as error:
                log.error("%s is not preloaded: %s", page.slug, error.message)


class _KnownPages:
    """Answers an address that no demo has with a page that suggests near misses."""

    def __init__(self, app: ASGIApp, engine: Engine):
        self.app, self.engine = app, engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "GET":
            request = Request(scope)
            name = request.url.path.strip("/")
            accepts = request.headers.get("accept", "")
            if name and "/" not in name and "text/html" in accepts and not self._known(name):
                try:
                    self.engine.registry.get(name)
                except NotFoundError as error:
                    await HTMLResponse(html.not_found(error, "./"), status_code=404)(scope, receive, send)
                    return
        await self.app(scope, receive, send)

    def _known(self, name: str) -> bool:
        from hub.registry import RESERVED_SLUGS

        return name in self.engine.registry.pages or name in RESERVED_SLUGS or "." in name


class _BasicAuth:
    """HTTP Basic over every door: pages, REST, files and websockets alike."""

    def __init__(self, app: ASGIApp, credentials: str):
        self.app, self.wanted = app, credentials.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or scope.get("path") in OPEN_TO_ALL or self._known(scope):
            await self.app(scope, receive, send)
            return
        if scope["path"].startswith("/api/"):
            answer: Response = problem(SignInError("Send the user name and password by HTTP Basic."), Request(scope))
        else:
            answer = Response("Sign in to use this hub.", 401)
        answer.headers["WWW-Authenticate"] = 'Basic realm="Demo Hub", charset="UTF-8"'
        await answer(scope, receive, send)

    def _known(self, scope: Scope) -> bool:
        given = dict(scope["headers"]).get(b"authorization", b"")
        kind, _, text = given.partition(b" ")
        try:
            return kind.lower() == b"basic" and hmac.compare_digest(base64.b64decode(text, validate=True), self.wanted)
        except binascii.Error:
            return False
