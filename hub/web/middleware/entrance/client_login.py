"""`POST /login`: the form of the sign-in page, and `gradio_client.Client(url, auth=("user", "password"))`.

Another website's form is refused by the guard before it comes here; wrong passwords are counted as those by HTTP Basic.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl, quote

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import Scope

from hub.errors import TooLargeError
from hub.people.signin import TICKET_S, SignIn
from hub.web.problems import MalformedError

PATH, FORM = "/login", "application/x-www-form-urlencoded"
NEXT = "next"  # in the address: where the browser wanted to go
MOST_BYTES, MOST_FIELDS = 8192, 20

Cookie = Callable[[Scope, str, int | None], str]  # the sign-in's cookie with a value, for so many seconds


def is_for(method: str, path: str, headers: Mapping[str, str]) -> bool:
    """Whether this is a form with a name and a password."""
    return (method, path) == ("POST", PATH) and headers.get("content-type", "").lower().startswith(FORM)


async def answer(signin: SignIn, cookie: Cookie, request: Request, address: str) -> Response:
    """The cookie of who gave a right password; of a hub that asks for none, nothing. Raises a HubError.

    A wrong one is counted, and slowed down, as one that came by HTTP Basic.
    """
    fresh = {"Cache-Control": "no-store"}
    success: Response = JSONResponse({"success": True}, headers=fresh)
    if "text/html" in request.headers.get("accept", ""):
        place = request.scope.get("root_path", "") + wanted(request)
        success = RedirectResponse(place, 303, headers=fresh)
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_BYTES:
            raise TooLargeError("A user name and a password need at most {most} bytes.", most=MOST_BYTES)
    if not signin.required:
        return success
    try:
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError:
        raise MalformedError("Send username and password as form fields.") from None
    pair = f"{fields.get('username', '')}:{fields.get('password', '')}".encode()
    account = await signin.identify({"authorization": f"Basic {base64.b64encode(pair).decode()}"}, {}, address)
    success.headers.append("Set-Cookie", cookie(request.scope, signin.ticket(account), int(TICKET_S)))
    return success


def wanted(request: Request) -> str:
    """Where the browser wanted to go: a place on this hub, whatever the address says."""
    place = request.query_params.get(NEXT, "")[:2000]
    # One slash at the start: with two, or a backslash, the browser would take what follows for another host.
    return "/" + quote(place.lstrip("/\\"), safe="/?&=%:@!$'()*+,;~-._")
