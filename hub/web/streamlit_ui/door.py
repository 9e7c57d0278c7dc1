"""What of Streamlit's own routes visitors may reach, and how much they may upload to its pages.

Streamlit keeps uploads in memory, as long as the page that sent them is open.
"""

from __future__ import annotations

from collections.abc import Collection

from starlette._utils import get_route_path
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from hub.errors import BusyError, HubError, NotFoundError
from hub.hub import Hub
from hub.web.problems import problem

GET, WEBSOCKET = ("GET", "HEAD"), "WEBSOCKET"
UPLOADS = "_stcore/upload_file"
# As in gradio_door: what pages need. Not there: figures, sign-in, components of others, and the agents' door, since
# agents have /mcp.
ROUTES: tuple[tuple[Collection[str], str], ...] = (
    ((WEBSOCKET,), "_stcore/stream"),
    (GET, "_stcore/health"),
    (GET, "_stcore/host-config"),
    (("PUT", "DELETE"), f"{UPLOADS}/*/*"),
    (GET, "media/**"),  # pictures that pages show
)
OWN = frozenset({"_stcore", "component", "auth", "oauth2callback", "media", "app"})  # where its routes begin
OF_PAGE, OF_ALL, FILES = 4, 16, 32  # largest uploads that one open page, and all together, may hold; files of a page


class StreamlitDoor:
    """ASGI layer around Streamlit's app; what does not begin as a route of its own passes."""

    def __init__(self, app: ASGIApp, hub: Hub):
        self.app, self._hub = app, hub
        self._coming: dict[str, list[int]] = {}  # bytes of uploads on their way, by page; used in the event loop only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        method = scope.get("method", WEBSOCKET)
        parts = get_route_path(scope).removeprefix("/").split("/")
        try:
            if not has(method, parts):
                raise NotFoundError("There is nothing at this address.")
            if method == "PUT" and "/".join(parts[:2]) == UPLOADS:
                await self._upload(parts[2], scope, receive, send)
            else:
                await self.app(scope, receive, send)
        except HubError as error:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            else:
                await problem(error, Request(scope))(scope, receive, send)

    async def _upload(self, page: str, scope: Scope, receive: Receive, send: Send) -> None:
        largest = self._hub.limits.max_bytes
        length = Request(scope).headers.get("content-length", "")
        size = min(int(length), largest) if length.isascii() and length.isdigit() and len(length) < 20 else largest
        uploads_held = _uploads_held()
        for those, most in (([page], OF_PAGE), ([*uploads_held.keys() | self._coming.keys()], OF_ALL)):
            sizes = [one for key in those for one in (*uploads_held.get(key, ()), *self._coming.get(key, ()))]
            if sum(sizes) + size > most * largest or (most == OF_PAGE and len(sizes) >= FILES):
                text = "The pages hold as many uploads as they may. Remove a picture from yours, or wait a moment."
                raise BusyError(text, retry_after_s=60)
        coming = self._coming.setdefault(page, [])
        coming.append(size)
        try:
            await self.app(scope, receive, send)
        finally:
            coming.remove(size)
            if not coming:
                self._coming.pop(page, None)


def has(method: str, parts: list[str]) -> bool:
    """Whether a request may pass: to pages, the front end and routes of others it may, and to what is in the table."""
    if parts[0] not in OWN:
        return True
    for methods, route in ROUTES:
        route_parts = route.split("/")
        if route_parts[-1] == "**":
            fits = parts[: len(route_parts) - 1] == route_parts[:-1] and len(parts) >= len(route_parts)
        else:
            fits = len(parts) == len(route_parts) and all(
                a in ("*", b) and b for a, b in zip(route_parts, parts, strict=True)
            )
        if fits and method in methods:
            return True
    return False


def _uploads_held() -> dict[str, list[int]]:
    """Bytes of the uploads that Streamlit holds, by open page."""
    from streamlit.runtime import Runtime
    from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager

    manager = Runtime.instance().uploaded_file_mgr if Runtime.exists() else None
    if not isinstance(manager, MemoryUploadedFileManager):
        return {}
    return {page: [len(one.data) for one in [*files.values()]] for page, files in [*manager.file_storage.items()]}
