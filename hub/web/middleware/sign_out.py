"""Signing out: `/sign-out` ends the session, `/sign-in` asks for the password again.

A browser goes on sending the password that it once asked for, and no answer makes it forget for sure. So who signed out
carries a mark in the place of the sign-in's cookie: with it a password counts at `/sign-in` alone, and there only once
the browser has been told that the one it sent by itself is not wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Scope

from hub.errors import HubError, SignInError
from hub.people.signin import COOKIE, TICKET_S, SignIn
from hub.web.middleware import sessions, space_signin
from hub.web.parts.pieces import piece

OUT, IN = "/sign-out", "/sign-in"
OUT_MARK, ASKED_MARK = MARKS = "signed-out", "asked-again"
SIGNED_OUT = "You have signed out of this hub."
SURE = "Sign out of this hub in this browser? What you ran stays in your history."
HINT = "If somebody gave you a link with access, open the whole link again, or ask them for a new one."
FRESH = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}

Cookie = Callable[[Scope, str, int | None], str]  # the sign-in's cookie with a value, for so many seconds


class SignOut:
    """Both addresses, over one hub's sign-in."""

    def __init__(self, signin: SignIn, cookie: Cookie, challenge: str):
        self.signin, self._cookie, self._challenge = signin, cookie, challenge

    async def answer(self, scope: Scope, method: str, path: str, cookies: Mapping[str, str]) -> Response | None:
        """What these addresses answer; None for all others. Raises SignInError for who signed out and is elsewhere."""
        mark, root = cookies.get(COOKIE, ""), scope.get("root_path", "")
        if path == OUT and method == "POST":
            return self._end(scope, mark, root)
        if path == OUT and method in ("GET", "HEAD"):
            return HTMLResponse(draw_end(root) if mark in MARKS else draw_question(root), headers=FRESH)
        if path == IN and method in ("GET", "HEAD"):
            return await self._again(scope, mark, root)
        if mark in MARKS and not Headers(scope=scope).get("authorization", "").lower().startswith("bearer "):
            raise SignInError(SIGNED_OUT)
        return None

    def _end(self, scope: Scope, key: str, root: str) -> Response:
        self.signin.end(key)
        (scope.get("session") or {}).pop("oauth_info", None)  # of who signed in with Hugging Face
        answer = RedirectResponse(f"{root}{OUT}", 303, headers=FRESH)
        answer.headers.append("Set-Cookie", self._cookie(scope, OUT_MARK, None))
        # Whoever signs in next in this browser must not find what belongs to the browser's cookie alone.
        answer.delete_cookie(sessions.COOKIE, path="/", httponly=True, samesite="lax")
        return answer

    async def _again(self, scope: Scope, mark: str, root: str) -> Response:
        if self.signin.space:
            home = RedirectResponse(f"{root}{space_signin.PLACE}", 303, headers=FRESH)
            home.headers.append("Set-Cookie", self._cookie(scope, "", 0))
            return home
        if mark not in MARKS:
            return RedirectResponse(f"{root}/", 303, headers=FRESH)
        headers, address = Headers(scope=scope), str((scope.get("client") or [""])[0])
        status, text = 401, ""
        if mark == ASKED_MARK and "authorization" in headers:
            try:
                account = await self.signin.identify(headers, {}, address)
            except HubError as error:
                status, text = error.status, error.message
            else:
                answer = RedirectResponse(f"{root}/", 303, headers=FRESH)
                value, seconds = (self.signin.ticket(account), int(TICKET_S)) if account.by_password else ("", 0)
                answer.headers.append("Set-Cookie", self._cookie(scope, value, seconds))
                return answer
        question = HTMLResponse(draw_end(root, text), status, headers=FRESH)
        if status == 401:
            question.headers["WWW-Authenticate"] = self._challenge
        question.headers.append("Set-Cookie", self._cookie(scope, ASKED_MARK, None))
        return question


def draw_end(root: str, text: str = "") -> str:
    """The page of who signed out; `text`: what went wrong on the way back."""
    return piece("door", "signed_out", "You are signed out", text or HINT, f"{root}{IN}")


def draw_question(root: str) -> str:
    """The page that asks once more, since a link from elsewhere must not sign anybody out."""
    return piece("door", "sign_out", SURE, f"{root}{OUT}")
