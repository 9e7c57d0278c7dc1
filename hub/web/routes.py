"""What all routes share: a table of methods per path, answers in JSON, whole numbers, headers, files of pages."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from hub.errors import CancelledError, HubError, InputError, NotFoundError
from hub.suggest import unknown
from hub.web.problems import MalformedError, MethodError, fault_of, problem

API = "/api/v1"
FRESH = {"Cache-Control": "no-store"}
FOREVER = "private, max-age=31536000, immutable"  # an id names one answer, so it never changes
DIGITS = 7  # of a whole number in an address
TEMPLATES = Path(__file__).with_name("templates")
FILES = TEMPLATES / "files"  # styles and scripts of our own pages
# Inline styles are the widths of bars and the colours of swatches; there is no inline script.
POLICY = (
    "default-src 'none'; object-src 'none'; img-src 'self' data: blob:; media-src 'self'; "
    "style-src 'self' 'unsafe-inline'; script-src 'self'; manifest-src 'self'; font-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'self'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Robots-Tag": "noindex",
    "Referrer-Policy": "same-origin",  # the address is the key: other sites do not hear it
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-store",
}
ASKING = {**HEADERS, "Content-Security-Policy": f"{POLICY}; connect-src 'self'"}  # of pages whose script asks REST
PARTS = "parts.js"  # of the pages with a list
TYPES = {".css": "text/css", ".js": "text/javascript"}

Endpoint = Callable[[Request], Awaitable[Response]]
Problem = Callable[[HubError, Request], Response]
Table = Mapping[str, Mapping[str, Endpoint]]  # path -> method -> endpoint


def routes_of(table: Table, name: str, page: Problem | None = None) -> list[BaseRoute]:
    """A route per path. `page` draws what goes wrong as a page; without, it is problem JSON."""
    return [Route(path, Methods(endpoints, page), name=f"{name}:{path}") for path, endpoints in table.items()]


class Methods:
    """One path: picks the endpoint by method, and turns whatever it raises into a problem."""

    def __init__(self, endpoints: Mapping[str, Endpoint], page: Problem | None = None):
        self.endpoints, self._page = endpoints, page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, draw = Request(scope, receive), self._page or problem
        try:
            response = await self._endpoint(request)(request)
        except ClientDisconnect:
            response = draw(CancelledError("The client went away."), request)  # nobody reads it
        except MethodError as error:
            response = not_allowed(error) if self._page else problem(error, request)
        except HubError as error:
            response = draw(error, request)
        except MultiPartException as error:  # a form that is refused on its way: no fault of ours
            response = draw(MalformedError("{reason}", reason=error.message), request)
        except Exception as error:  # the last net: a fault of ours must not show a traceback
            response = draw(fault_of(error, request, on_page=self._page is not None), request)
        await response(scope, receive, send)

    def _endpoint(self, request: Request) -> Endpoint:
        if not self.endpoints:
            raise NotFoundError(
                "There is nothing at {path}. {api}/openapi.json lists what there is.",
                path=request.scope["path"][:200],
                api=API,
            )
        method = "GET" if request.method == "HEAD" else request.method
        if method not in self.endpoints:
            allowed = [*self.endpoints, *(["HEAD"] if "GET" in self.endpoints else [])]
            raise MethodError(
                "{path} takes {methods}, not {given}.",
                path=request.scope["path"],
                methods=" and ".join(self.endpoints),
                given=request.method[:20],
                allowed=allowed,
            )
        return self.endpoints[method]


def not_allowed(error: MethodError) -> Response:
    """A page's answer to a method that it does not take: no browser asks like this."""
    return Response("Not allowed here.", error.status, headers={**HEADERS, "Allow": error.allowed})


# --- what is asked --------------------------------------------------------------------------------


def whole_number(text: str, name: str, most: int) -> int:
    """A whole number from 1 in an address. Raises InputError."""
    if not (text.isascii() and text.isdigit() and len(text) <= DIGITS and 1 <= int(text) <= most):
        raise InputError(
            "{name} must be a whole number from 1 to {most}, got {text!r}.",
            name=name,
            most=most,
            text=text[:40],
            field=name,
        )
    return int(text)


def check_names(parameters: Mapping[str, str], names: Sequence[str]) -> None:
    """Raises InputError for the first parameter of an address that is not among these."""
    for name in parameters:
        if name not in names:
            raise InputError(unknown("parameter", name[:40], [*names]), field=name)


# --- what is answered -----------------------------------------------------------------------------


def dump_json(body: Any, *, is_event: bool = False) -> bytes:
    """JSON as this hub sends it; half a character, which a text may have, is sent as a question mark.

    `is_event`: in ASCII, since some readers of events take more characters than they should for the end of a line.
    """
    return json.dumps(body, ensure_ascii=is_event, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")


def json_answer(body: Any, status: int = 200, headers: Mapping[str, str] = FRESH) -> Response:
    """An answer from JSON data, or from bytes of `dump_json`, which a thread may have made."""
    content = body if isinstance(body, bytes) else dump_json(body)
    return Response(content, status, media_type="application/json", headers=headers)


def file(name: str, page: str) -> Response:
    """The style or the script of `page`, or what pages with a list share. Raises NotFoundError for any other name."""
    if name not in (f"{page}.css", f"{page}.js", PARTS):
        raise NotFoundError("{page} has no file {name!r}.", page=page, name=name[:80])
    text = (FILES / name).read_text(encoding="utf-8")
    return Response(text, media_type=TYPES[Path(name).suffix], headers={"Cache-Control": "no-cache"})
