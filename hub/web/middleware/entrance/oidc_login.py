"""Sign-in at an OpenID Connect provider: `/login/oidc` leads there, `/login/oidc/callback` is where it leads to."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from hub.hub import Hub
from hub.people.signin import TICKET_S, Known, SignIn
from hub.web.middleware import addresses
from hub.web.middleware.entrance import client_login

PATH, BACK = "/login/oidc", "/login/oidc/callback"
FRESH = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}

Cookie = Callable[..., str]  # scope, value, seconds; and where it is not the sign-in's own, name and path


class OidcLogin:
    """Both addresses, over one hub's sign-in."""

    def __init__(self, signin: SignIn, hub: Hub, cookie: Cookie):
        self.signin, self._hub, self._cookie = signin, hub, cookie

    def is_for(self, method: str, path: str) -> bool:
        return self.signin.oidc is not None and method == "GET" and path in (PATH, BACK)

    async def answer(self, request: Request, path: str) -> tuple[Response, Known | None]:
        """What these addresses answer, and who has signed in by it. Raises a HubError for who has not."""
        return (await self._begin(request), None) if path == PATH else await self._finish(request)

    async def _begin(self, request: Request) -> Response:
        from hub.people.oidc import BEGUN_S  # with what it needs, for a hub that signs people in so alone

        assert self.signin.oidc is not None
        back = f"{addresses.base(self._hub.settings, request)}{BACK}"
        begun = await self.signin.oidc.begin(back, client_login.wanted(request))
        answer = RedirectResponse(begun.url, 303, headers=FRESH)
        answer.headers.append("Set-Cookie", self._cookie(request.scope, begun.value, BEGUN_S, begun.cookie, PATH))
        return answer

    async def _finish(self, request: Request) -> tuple[Response, Known]:
        from hub.people.oidc import cookie_of

        assert self.signin.oidc is not None
        query = dict(request.query_params)
        session, account, wanted = await self.signin.oidc.finish(query, request.cookies)
        person = self.signin.by_session(session, account)
        # A place that was signed; but one slash at its start, or the browser would take it for another host.
        place = request.scope.get("root_path", "") + "/" + str(wanted).lstrip("/\\")
        answer = RedirectResponse(place, 303, headers=FRESH)
        ticket = self._cookie(request.scope, self.signin.ticket(person), int(TICKET_S))
        answer.headers.append("Set-Cookie", ticket)
        answer.headers.append("Set-Cookie", self._cookie(request.scope, "", 0, cookie_of(query), PATH))
        return answer, person


def place(root: str, wanted: str = "") -> str:
    """Where a browser signs in, to open then what it `wanted`."""
    query = f"?{urlencode({client_login.NEXT: wanted}, quote_via=quote)}" if wanted else ""
    return f"{root}{PATH}{query}"
