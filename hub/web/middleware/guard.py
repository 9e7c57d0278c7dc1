"""Decides at every door who may come in: one ASGI layer over the pages, REST, files, MCP and websockets alike."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection, Request, cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.errors import ForbiddenError, HubError, RoleError, SignInError
from hub.hub import Hub
from hub.people import asking
from hub.people.signin import COOKIE, TICKET_S, Known, SignIn
from hub.people.users import MAY, TOKEN, Caller
from hub.settings import Settings
from hub.tracing import SCOPE
from hub.web.middleware import access, sessions
from hub.web.middleware.entrance import client_login, oidc_login, sign_out, space_signin
from hub.web.middleware.entrance.refusing import path_of, refuse, ways_of
from hub.web.middleware.headers import SCRIPT

CALLER = "hub.caller"  # in the scope, of who asks
PEER = "hub.peer"  # in the scope, the address at the other end of the connection, whoever it says it passes on for
HEADER = "x-hub-caller"  # the same for Streamlit, whose pages see nothing but the headers of their websocket
OPEN = frozenset({"/healthz", "/readyz", "/favicon.ico", SCRIPT})  # probes have no password, nor has the page below
ADMIN = frozenset(
    {"/status", "/usage", "/audit", "/metrics", "/api/v1/status", "/api/v1/models", "/api/v1/usage", "/api/v1/audit"}
)
# What Gradio and Streamlit tell of their operation; of Streamlit's, whatever its pages do not need themselves.
OPERATION = re.compile(
    r"(/gradio_api)?/monitoring(/.*)?"
    r"|(/streamlit)?/_stcore(?!/(health|host-config|stream|allowed-message-origins|upload_file(/.*)?)$)(/.*)?"
)
VIEW = re.compile(r"GET (/r(/.*)?|/api/v1/(results|links)(/.*)?)|POST (/r|/api/v1/links)/[^/]+/(feedback|correction)")
OWN_FILES = ("/r/page.css", "/r/page.js")  # of the page of a link
WEBSOCKET = "WEBSOCKET"  # in the place of a method
CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE", WEBSOCKET})
EXPOSED = ("Retry-After", "Location", "ETag")


def role_needed(method: str, path: str) -> str:
    """The role that a request needs; empty: none."""
    method, path = "GET" if method == "HEAD" else method, path.rstrip("/") or "/"
    if method == "GET" and path in OPEN:
        return ""
    if path in ADMIN or OPERATION.fullmatch(path):
        return "admin"
    return "view" if VIEW.fullmatch(f"{method} {path}") else "run"


def caller(connection: HTTPConnection | None) -> Caller:
    """Who asks, as the guard found; nobody, where there is no connection."""
    if connection is None:
        return Caller()
    who = connection.scope.get(CALLER)
    who = who if isinstance(who, Caller) else _stranger(connection.scope)
    return replace(who, trace=connection.scope.get(SCOPE))


def caller_on_page(request: Any) -> Caller:
    """Who looks at an open page, by Gradio's request: where a browser sends no cookie, whoever has that page open."""
    who = caller(request.request)
    return replace(who, session=sessions.session_of(request.cookies, request.session_hash or ""))


def caller_of_headers(headers: Mapping[str, str]) -> Caller:
    """The same from the headers of a websocket; a visitor cannot have written that one."""
    text = headers.get(HEADER, "")
    if not text:
        return Caller()
    facts = json.loads(text)
    return Caller(**{**facts, "groups": tuple(facts["groups"])})


def layers(hub: Hub) -> list[Middleware]:
    """The guard, and what lets friendly websites in; outermost first. Only what changes paths goes around them."""
    origins = hub.settings.origins()
    friends = Middleware(
        CORSMiddleware, allow_origins=origins, allow_methods=["GET", "POST", "DELETE"], allow_headers=["*"],
        expose_headers=EXPOSED,
    )  # fmt: skip
    return [*([friends] if origins else []), Middleware(Guard, hub=hub)]


class Guard:
    """Signs in, refuses other websites, and tells the doors who asks. With no `auth` all may come, from here."""

    def __init__(self, app: ASGIApp, hub: Hub):
        """Raises InputError for a users file that cannot be read."""
        self.app, self.hub = app, hub
        self.signin = SignIn(hub.settings, hear=self._note)
        self._sign_out = sign_out.SignOut(self.signin, hub, self._cookie)
        self._oidc = oidc_login.OidcLogin(self.signin, hub, self._cookie)

    @property
    def settings(self) -> Settings:
        return self.hub.settings  # a public link may be added while the hub runs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers, cookies = Headers(scope=scope), cookie_parser(Headers(scope=scope).get("cookie", ""))
        method, path = scope.get("method", WEBSOCKET), path_of(scope)
        who = _stranger(scope)
        account: Known | None = None
        try:
            if method in CHANGING and (why := access.crossing(self.settings, headers)):
                raise ForbiddenError(why)
            if client_login.is_for(method, path, headers):
                answer = await client_login.answer(self.signin, self._cookie, Request(scope, receive), who.address)
                await answer(scope, receive, send)
                return
            if self._oidc.is_for(method, path):
                await (await self._at_provider(scope, path, who))(scope, receive, send)
                return
            if self.signin.required and role_needed(method, path) and not self._signs_in(method, path):
                if moved := self._take_token(scope, method):
                    await moved(scope, receive, send)
                    return
                if signing := await self._sign_out.answer(scope, method, path, cookies):
                    await signing(scope, receive, send)
                    return
                at_proxy = self._at_proxy(scope, headers)
                account = await self.signin.identify(headers, cookies, who.address, space_signin.user(scope), at_proxy)
                who = Caller(account.name, account.role, who.session, who.address, account.groups)
                _check(account, who, method, path)
        except HubError as error:
            await refuse(error, ways_of(self.settings), scope, receive, send)
            return
        scope = {**scope, CALLER: who, "headers": _without_header(scope)}
        if scope["type"] == "websocket":
            scope["headers"].append((HEADER.encode(), json.dumps(asdict(who)).encode()))
            receive = self._end_with_account(account, cookies.get(COOKIE, ""), receive)
        with asking.asked_by(who):
            await self.app(scope, receive, self._with_headers(scope, cookies, account, send))

    async def _at_provider(self, scope: Scope, path: str, who: Caller) -> Response:
        """What the addresses of the sign-in at a provider answer. Raises a HubError for who could not sign in."""
        try:
            answer, person = await self._oidc.answer(Request(scope), path)
        except (SignInError, RoleError):
            self._note(who, False)
            raise
        if person is not None:
            self._note(Caller(person.name, person.role), True)
        return answer

    def _note(self, who: Caller, came_in: bool) -> None:
        self.hub.audit.note_of(who, "sign_in" if came_in else "sign_in_failed")

    def _at_proxy(self, scope: Scope, headers: Headers) -> Known | None:
        """Who has signed in at a proxy that is believed."""
        users, groups = (headers.getlist(name) for name in self.signin.proxies.headers)
        return self.signin.by_proxy(scope.get(PEER, ""), users, groups)

    def _signs_in(self, method: str, path: str) -> bool:
        return bool(self.signin.space) and method == "GET" and path in space_signin.PATHS

    def _take_token(self, scope: Scope, method: str) -> Response | None:
        """`?token=` becomes a cookie, and the address one without it: it must not stay in history, logs and Referer.

        Raises SignInError.
        """
        query = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        text = next((value for name, value in query if name == "token" and TOKEN.fullmatch(value)), "")
        if not text or method not in ("GET", "HEAD"):
            return None
        account = self.signin.by_token(text)
        self._note(Caller(account.name, account.role), True)
        token = self.signin.tokens.get(account.token)
        left_s = None if token is None or token.expires is None else int(token.expires - self.signin.tokens.clock())
        rest = urlencode([(name, value) for name, value in query if name != "token"])
        # One slash at the start: with two, the browser would take what follows for another host.
        place = scope.get("root_path", "") + "/" + quote(path_of(scope).lstrip("/"))
        answer = RedirectResponse(f"{place}?{rest}" if rest else place, 303)
        answer.headers.update({"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})
        answer.headers.append("Set-Cookie", self._cookie(scope, text, left_s))
        return answer

    def _cookie(self, scope: Scope, value: str, seconds: int | None, name: str = COOKIE, path: str = "/") -> str:
        public, host = urlsplit(self.settings.public_url), Headers(scope=scope).get("host")
        secure = scope.get("scheme") == "https" or (public.scheme == "https" and host == public.netloc)
        parts = [f"{name}={value}", f"Path={scope.get('root_path', '')}{path}", "HttpOnly", "SameSite=Lax"]
        parts += [f"Max-Age={seconds}"] * (seconds is not None) + ["Secure"] * secure
        return "; ".join(parts)

    def _end_with_account(self, account: Known | None, key: str, receive: Receive) -> Receive:
        """A websocket stays open for hours: it ends with the first message after its token, user or session did."""

        async def checked() -> Message:
            message = await receive()
            over = account is not None and (self.signin.has_ended(key) or not await self._is_still(account))
            if message["type"] == "websocket.receive" and over:
                return {"type": "websocket.disconnect", "code": 1008}
            return message

        return checked

    async def _is_still(self, account: Known) -> bool:
        return self.signin.is_still(account) and await self.signin.renewed(account) == account

    def _with_headers(self, scope: Scope, cookies: Mapping[str, str], account: Known | None, send: Send) -> Send:
        """Keeps a browser signed in, and leaves it to `allow_origins` alone which websites may read answers."""
        navigates = scope.get("method") == "GET" and "text/html" in Headers(scope=scope).get("accept", "")
        by_password = account is not None and account.by_password and navigates

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if path_of(scope) != SCRIPT:  # Gradio lets every website read
                    for name in [name for name in headers if name.startswith("access-control-")]:
                        del headers[name]
                if account is not None and by_password and self.signin.by_key(cookies.get(COOKIE, "")) != account:
                    headers.append("Set-Cookie", self._cookie(scope, self.signin.ticket(account), int(TICKET_S)))
                    headers["Cache-Control"] = "private, no-store"  # a cache must not give it to somebody else
            await send(message)

        return with_headers


def _stranger(scope: Scope) -> Caller:
    """Who asks, where nobody signs in."""
    client: Any = scope.get("client")
    session = sessions.session_of(cookie_parser(Headers(scope=scope).get("cookie", "")))
    return Caller(session=session, address=str(client[0]) if client else "")


def _without_header(scope: Scope) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in scope["headers"] if name != HEADER.encode()]


def _check(account: Known, who: Caller, method: str, path: str) -> None:
    """Raises ForbiddenError."""
    role = role_needed(method, path)
    if not who.may(role):
        raise RoleError(
            "{name} has the role {role}. It takes the role {wanted} to {deed}.",
            name=account.name,
            role=account.role,
            wanted=role,
            deed=MAY[role],
        )
    if account.link and path not in OWN_FILES:
        place = re.fullmatch(r"/(?:r|api/v1/links)/([^/]+)(/.*)?", path)
        if place is None or place[1] != account.link:
            raise RoleError("This access token opens one shared result, and nothing else.")
