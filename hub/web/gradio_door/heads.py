"""The head of Gradio's pages: what chats and search engines show of each, in the place of Gradio's own words."""

from __future__ import annotations

import re

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.hub import Hub
from hub.texts import current
from hub.web.middleware import addresses
from hub.web.parts.pieces import piece
from hub.web.site import pictures

STATUS = "status"
BEGIN, END = b"<head>", b"window.gradio_config"  # between them nothing is a visitor's
MANIFEST = b'<link rel="manifest" href="/manifest.json" />'
GRADIOS = re.compile(rb'<meta\s+(?:property="og:|name="twitter:)[^<>]*>|<title>[^<]*</title>')


class Heads:
    """ASGI layer around Gradio's pages, which come in one piece and not compressed."""

    def __init__(self, app: ASGIApp, hub: Hub):
        self.app, self.hub = app, hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = str(scope["path"]).strip("/") if scope["type"] == "http" and scope["method"] == "GET" else None
        if name is None or not (name in ("", STATUS) or name in self.hub.visible.pages):
            await self.app(scope, receive, send)
            return
        start: Message | None = None

        async def with_head(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and _is_page(message):
                start = message  # goes out with the page, whose length changes
                return
            if start is not None:
                before = message.get("body", b"")
                body = self._with_head(before, name, Request(scope))
                headers = MutableHeaders(scope=start)
                if "content-length" in headers:
                    headers["content-length"] = str(int(headers["content-length"]) + len(body) - len(before))
                begun, start = start, None
                await send(begun)
                message = {**message, "body": body}
            await send(message)

        await self.app(scope, receive, with_head)

    def _with_head(self, body: bytes, name: str, request: Request) -> bytes:
        # Relative to the page, also behind a proxy: addresses of pages have one part.
        before, begin, rest = body.partition(BEGIN)
        head, end, page = rest.partition(END)
        if not end:
            return body
        words = self._draw(name, request) + piece("heads", "app", "")
        # Gradio's own manifest, which it does not serve here, stands after its configuration.
        page = page.replace(MANIFEST, b"", 1)
        return before + begin + words.encode() + GRADIOS.sub(b"", head) + end + page

    def _draw(self, name: str, request: Request) -> str:
        if name == STATUS:
            return piece("heads", "untold", "Status")
        page = self.hub.visible.pages.get(name)
        title, text = pictures.describe(self.hub, page)
        if page is not None and page.declared is None:
            return piece("heads", "untold", title)
        base = addresses.base(self.hub.settings, request)
        picture = f"{base}/{pictures.preview_path(page)}?lang={current().language}"
        return piece("heads", "of_demo", title, text, f"{base}/{name}", picture)


def _is_page(message: Message) -> bool:
    headers = MutableHeaders(scope=message)
    return headers.get("content-type", "").startswith("text/html") and "content-encoding" not in headers
