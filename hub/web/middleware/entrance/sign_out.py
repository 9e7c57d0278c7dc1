"""Signing out: `/sign-out` ends the session, `/sign-in` has the form with which to sign in again.

A browser that asked for a password by itself goes on sending it, and no answer makes it forget for sure. So who signed
out carries a mark in the place of the sign-in's cookie: with it no password counts but that of the form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import urlencode

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Scope

from hub.errors import SignInError
from hub.hub import Hub
from hub.people.signin import COOKIE, SignIn
from hub.people.users import Caller
from hub.texts import say
from hub.web.middleware import addresses, sessions
from hub.web.middleware.entrance import client_login, oidc_login, space_signin
from hub.web.parts.pieces import piece

OUT, IN = "/sign-out", "/sign-in"
OUT_MARK = "signed-out"
SIGNED_OUT = "You have signed out of this hub."
ASKED = SignInError.title
SURE = "Sign out of this hub in this browser? What you ran stays in your history."
HINT = "If somebody gave you a link with access, open the whole link again, or ask them for a new one."
FRESH = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}

Cookie = Callable[[Scope, str, int | None], str]  # the sign-in's cookie with a value, for so many seconds


class SignOut:
    """Both addresses, over one hub's sign-in."""

    def __init__(self, signin: SignIn, hub: Hub, cookie: Cookie):
        self.signin, self._hub, self._cookie = signin, hub, cookie

    async def answer(self, scope: Scope, method: str, path: str, cookies: Mapping[str, str]) -> Response | None:
        """What these addresses answer; None for all others. Raises SignInError for who signed out and is elsewhere."""
        mark, root = cookies.get(COOKIE, ""), scope.get("root_path", "")
        if path == OUT and method == "POST":
            return await self._end(scope, mark, root)
        if path == OUT and method in ("GET", "HEAD"):
            return HTMLResponse(draw_end(root) if mark == OUT_MARK else draw_question(root), headers=FRESH)
        if path == IN and method in ("GET", "HEAD"):
            return self._again(scope, mark, root)
        if mark == OUT_MARK and not Headers(scope=scope).get("authorization", "").lower().startswith("bearer "):
            raise SignInError(SIGNED_OUT)
        return None

    async def _end(self, scope: Scope, key: str, root: str) -> Response:
        person = self.signin.end(key)
        if person is not None:
            self._hub.audit.note_of(Caller(person.name, person.role), "sign_out")
        (scope.get("session") or {}).pop("oauth_info", None)  # of who signed in with Hugging Face
        answer: Response = RedirectResponse(f"{root}{OUT}", 303, headers=FRESH)
        if person is not None and person.session and self.signin.oidc is not None:
            back = f"{addresses.base(self._hub.settings, Request(scope))}{OUT}"
            if place := await self.signin.oidc.end(person.session, back):
                page = piece("door", "leaving", SIGNED_OUT, place, self.signin.oidc.provider.host)
                answer = HTMLResponse(page, headers=FRESH)
        answer.headers.append("Set-Cookie", self._cookie(scope, OUT_MARK, None))
        # Whoever signs in next in this browser must not find what belongs to the browser's cookie alone.
        answer.delete_cookie(sessions.COOKIE, path="/", httponly=True, samesite="lax")
        return answer

    def _again(self, scope: Scope, mark: str, root: str) -> Response:
        if self.signin.space or self.signin.proxies.header or (self.signin.oidc and not self._hub.settings.auth):
            place = space_signin.PLACE if self.signin.space else oidc_login.PATH if self.signin.oidc else "/"
            home = RedirectResponse(f"{root}{place}", 303, headers=FRESH)
            home.headers.append("Set-Cookie", self._cookie(scope, "", 0))
            return home
        if mark != OUT_MARK:
            return RedirectResponse(f"{root}/", 303, headers=FRESH)
        ways = {"action": login_place(root)}
        if self.signin.oidc:
            host = self.signin.oidc.provider.host
            ways |= {"place": oidc_login.place(root), "label": say("Sign in at {host}", host=host)}
        return HTMLResponse(piece("door", "refused", say(ASKED), [HINT], **ways), headers=FRESH)


def login_place(root: str, wanted: str = "") -> str:
    """Where the form of the sign-in goes, so that the browser then opens what it `wanted`."""
    query = f"?{urlencode({client_login.NEXT: wanted})}" if wanted else ""
    return f"{root}{client_login.PATH}{query}"


def draw_end(root: str) -> str:
    """The page of who signed out."""
    return piece("door", "signed_out", "You are signed out", HINT, f"{root}{IN}")


def draw_question(root: str) -> str:
    """The page that asks once more, since a link from elsewhere must not sign anybody out."""
    return piece("door", "sign_out", SURE, f"{root}{OUT}")
