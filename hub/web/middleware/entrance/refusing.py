"""Why somebody may not come in, as each door says it: a page with what to do, problem JSON, or a line of text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from hub.errors import BusyError, HubError, RoleError, SignInError
from hub.people.signin import ASK, COOKIE, UNKNOWN_TOKEN
from hub.settings import Settings
from hub.texts import say
from hub.web.middleware.entrance import client_login, oidc_login, sign_out, space_signin
from hub.web.parts.pieces import piece
from hub.web.problems import problem

CHALLENGE = 'Basic realm="Demo Hub", charset="UTF-8"'


@dataclass(frozen=True, slots=True)
class Ways:
    """In which ways people sign in at a hub."""

    space: bool = False
    provider: str = ""  # its host; empty: there is none
    password: bool = True


def ways_of(settings: Settings) -> Ways:
    provider = urlsplit(settings.oidc_issuer).netloc
    space = bool(settings.space_users)
    return Ways(space, provider, not space and bool(settings.auth or not provider))


async def refuse(error: HubError, ways: Ways, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers a request with why it is refused, and how one may sign in."""
    if scope["type"] == "websocket":  # before it is accepted: the server answers 403
        await send({"type": "websocket.close", "code": 1008, "reason": error.title})
        return
    request = Request(scope)
    if re.match(r"/(api|gradio_api|mcp)(/|$)", path_of(scope)):
        answer: Response = problem(error, request)
    elif "text/html" in request.headers.get("accept", ""):
        answer = HTMLResponse(_page(error, ways, scope), error.status)
    else:
        answer = PlainTextResponse(f"{error.title}. {error.message}\n", error.status)
    answer.headers["Cache-Control"] = "no-store"
    if isinstance(error, SignInError):
        # The latter makes a browser ask by itself, in a box of its own; a page has the hub's form.
        has_page = not ways.password or answer.media_type == "text/html"
        answer.headers["WWW-Authenticate"] = 'Bearer realm="Demo Hub"' if has_page else CHALLENGE
        if error.message == UNKNOWN_TOKEN:
            answer.headers["WWW-Authenticate"] = 'Bearer realm="Demo Hub", error="invalid_token"'
            answer.delete_cookie(COOKIE, path=f"{scope.get('root_path', '')}/", httponly=True, samesite="lax")
    if isinstance(error, BusyError):
        answer.headers["Retry-After"] = str(error.retry_after_s)
    await answer(scope, receive, send)


def path_of(scope: Scope) -> str:
    """The path as the router sees it, which takes the proxy's prefix away where it is still there."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path.removeprefix(root) if root and f"{path}/".startswith(f"{root}/") else path


def _page(error: HubError, ways: Ways, scope: Scope) -> str:
    """Why somebody may not come in, and what to do."""
    message: str = error.message
    root, hint, action, path, request = scope.get("root_path", ""), "", "", path_of(scope), Request(scope)
    signs_in = path in (client_login.PATH, oidc_login.PATH, oidc_login.BACK)
    wanted = (
        client_login.wanted(request)
        if path in (client_login.PATH, oidc_login.PATH)
        else "/"
        if signs_in
        else _here(scope)
    )
    if isinstance(error, SignInError) or (path == client_login.PATH and isinstance(error, BusyError)):
        if error.message == sign_out.SIGNED_OUT:
            return piece("door", "signed_out", error.message, "", f"{root}{sign_out.IN}")
        hint = "" if signs_in and ways.provider else sign_out.HINT
        action = sign_out.login_place(root, wanted) if ways.password else ""
        if error.message == ASK:
            message = "This hub asks for a user name and a password." if ways.password and not ways.provider else ""
    elif isinstance(error, RoleError):
        hint = "Ask whoever gave you access for more, or sign in as somebody else."
    place, label = "", ""
    if ways.space:
        place, label = (
            f"{root}{space_signin.PLACE}?{urlencode({'_target_url': path})}",
            say("Sign in with Hugging Face"),
        )
    elif ways.provider:
        place, label = oidc_login.place(root, wanted), say("Sign in at {host}", host=ways.provider)
    lines = [line for line in (message, hint) if line]
    return piece("door", "refused", say(error.title), lines, place, label, ways.space, action)


def _here(scope: Scope) -> str:
    query = scope.get("query_string", b"").decode("latin-1")
    return f"{path_of(scope)}?{query}" if query else path_of(scope)
