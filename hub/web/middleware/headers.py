"""What every answer tells browsers and caches: what a page may load, who may frame it, and that it is nobody else's.

The policies are as strict as what draws the page allows: Gradio and Streamlit have scripts within their pages. But all
that a page loads, sends and calls lies on this hub.
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.hub import Hub
from hub.web.middleware import addresses

SCRIPT = "/embed.js"  # for any website
COMMON = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; frame-src 'self'; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'"  # Gradio's `js` and Streamlit's charts are made into functions
)
PICTURE = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"  # of a drawing that is a document too
# Of Gradio's files: the names of the first tell what is in them, those of the second do not.
LASTING = {"assets": "public, max-age=31536000, immutable", "static": "public, max-age=86400"}
# Another site could lay these under its own buttons; the demos change nothing, and may be framed (`embed`).
NOT_FRAMED = frozenset(
    "status usage audit corrections docs history gallery grid r sign-in sign-out login api mcp".split()
)


class SafeHeaders:
    """ASGI layer around all that answers; what a page says itself, and more strictly, stands."""

    def __init__(self, app: ASGIApp, hub: Hub):
        self.app, self.hub, self.prefix = app, hub, addresses.prefix(hub.settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message.setdefault("headers", [])
                self._add(scope, MutableHeaders(scope=message), message["status"] == 200)
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)

    def _add(self, scope: Scope, headers: MutableHeaders, is_there: bool) -> None:
        kind = headers.get("content-type", "")
        headers.setdefault("X-Content-Type-Options", "nosniff")
        headers.setdefault("Referrer-Policy", "same-origin")  # an address may be a key: other sites do not hear it
        framed = self._first(scope) not in NOT_FRAMED
        if "html" in kind:
            frames = "*" if framed else "'self'"
            headers.setdefault("Content-Security-Policy", f"{COMMON}; frame-ancestors {frames}")
            if not framed:
                headers.setdefault("X-Frame-Options", "SAMEORIGIN")
        elif "svg" in kind or "xml" in kind:
            headers.setdefault("Content-Security-Policy", PICTURE)
        if is_there and (lasting := LASTING.get(self._first(scope))):
            headers.setdefault("Cache-Control", lasting)
        headers.setdefault("Cache-Control", "private")  # what others share (a proxy's cache) keeps nothing
        if self.hub.settings.asks and scope["path"] != SCRIPT and "public" in headers["cache-control"]:
            headers["Cache-Control"] = headers["cache-control"].replace("public", "private")

    def _first(self, scope: Scope) -> str:
        """The first part of the path, without a proxy's."""
        return str(scope["path"]).removeprefix(self.prefix).strip("/").partition("/")[0]
