"""What the pages drawn without Gradio share: a route whose faults are pages too, their headers, their files."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hub.errors import HubError, NotFoundError
from hub.web.problems import MalformedError, no_memory

log = logging.getLogger(__name__)
TEMPLATES = Path(__file__).with_name("templates")
# Inline styles are the widths of bars and the colours of swatches; there is no inline script.
POLICY = (
    "default-src 'none'; object-src 'none'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    "script-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Robots-Tag": "noindex",
    "Referrer-Policy": "same-origin",  # the address is the key: other sites do not hear it
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-store",
}
PARTS = "parts.js"  # of the pages with a list
TYPES = {".css": "text/css", ".js": "text/javascript"}

Endpoint = Callable[[Request], Awaitable[Response]]
Problem = Callable[[HubError, Request], Response]


class PageRoute:
    """One path: turns whatever its endpoints, by method, raise into a page, by `problem`."""

    def __init__(self, methods: Mapping[str, Endpoint], problem: Problem):
        self.methods, self.problem = methods, problem

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            endpoint = self.methods.get("GET" if request.method == "HEAD" else request.method)
            if endpoint is None:
                headers = {**HEADERS, "Allow": ", ".join(self.methods)}
                response = Response("Not allowed here.", 405, headers=headers)
            else:
                response = await endpoint(request)
        except ClientDisconnect:
            return
        except HubError as error:
            response = self.problem(error, request)
        except MultiPartException as error:  # a form that is refused on its way: no fault of ours
            response = self.problem(MalformedError("{reason}", reason=error.message), request)
        except Exception as error:  # the last net: a fault of ours must not show a traceback
            log.error("%s %r failed", request.method, request.scope["path"], exc_info=error)
            fault = HubError("The hub failed on this page; its log has the details.")
            response = self.problem(no_memory() if isinstance(error, MemoryError) else fault, request)
        await response(scope, receive, send)


def file(name: str, page: str) -> Response:
    """The style or the script of `page`, or what pages with a list share. Raises NotFoundError for any other name."""
    if name not in (f"{page}.css", f"{page}.js", PARTS):
        raise NotFoundError("{page} has no file {name!r}.", page=page, name=name[:80])
    text = (TEMPLATES / name).read_text(encoding="utf-8")
    return Response(text, media_type=TYPES[Path(name).suffix], headers={"Cache-Control": "no-cache"})
