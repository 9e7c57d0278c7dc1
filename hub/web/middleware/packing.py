"""Compresses pages, styles and scripts on their way; what Gradio and Streamlit packed by themselves stays as it is."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

LEVEL = 6  # 9 takes twice as long for the same page
FILES = (".css", ".js", ".webmanifest", ".xml", ".svg")


class Packed:
    """ASGI layer around all that draws or changes pages. Answers to programs and streams pass untouched."""

    def __init__(self, app: ASGIApp):
        self.app, self.packing = app, GZipMiddleware(app, minimum_size=1000, compresslevel=LEVEL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "GET":
            is_page = "text/html" in Headers(scope=scope).get("accept", "")
            if is_page or str(scope["path"]).endswith(FILES):
                await self.packing(scope, receive, send)
                return
        await self.app(scope, receive, send)
