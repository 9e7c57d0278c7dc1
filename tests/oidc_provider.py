"""A small OpenID Connect provider, as strict as real ones: PKCE, one use of a code, addresses that are registered."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlencode

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.jwk import RSAKey
from markupsafe import escape
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.served import running

CLIENT, SECRET = "the-hub", "a-secret-of-ours"
KEYS = [RSAKey.generate_key(2048, {"kid": name, "use": "sig", "alg": "RS256"}) for name in ("old", "new", "stranger")]


class Provider:
    """What it says can be bent in each test; `asked` counts what was asked for."""

    def __init__(self) -> None:
        self.url = ""
        self.people: dict[str, dict[str, Any]] = {
            "ann": {"groups": ["research"], "email": "ann@example.org", "email_verified": True},
            "eva": {"email": "eva@elsewhere.example", "email_verified": False},
        }
        self.listed, self.signs_with = KEYS[:1], KEYS[0]
        self.claims: dict[str, Any] = {}  # in the place of what an ID token says
        self.metadata: dict[str, Any] = {}  # the same of what it says of itself
        self.lasts_s: float | None = 3600
        self.is_down = self.is_slow = self.is_endless = self.is_packed = False
        self.tells_in_token = True  # else groups come from userinfo alone
        self.gives_refresh = True
        self.codes: dict[str, dict[str, str]] = {}
        self.sessions: dict[str, str] = {}  # refresh token -> name
        self.access: dict[str, str] = {}
        self.asked: list[str] = []
        self.signed_out: list[dict[str, str]] = []

    # --- endpoints --------------------------------------------------------------------------------

    async def configuration(self, request: Request) -> Response:
        return self._or_trouble(JSONResponse({
            "issuer": self.url, "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token", "jwks_uri": f"{self.url}/jwks",
            "userinfo_endpoint": f"{self.url}/userinfo", "end_session_endpoint": f"{self.url}/logout",
            "token_endpoint_auth_methods_supported": ["client_secret_basic"], **self.metadata,
        }), "configuration")  # fmt: skip

    async def jwks(self, request: Request) -> Response:
        keys = [key.as_dict(private=False) for key in self.listed]
        return self._or_trouble(JSONResponse({"keys": [{"kty": "odd"}, *keys]}), "jwks")

    async def authorize(self, request: Request) -> Response:
        """A form that asks for a name; sent, it leads back with a code."""
        query = dict(request.query_params)
        assert query["client_id"] == CLIENT and query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256" and query["code_challenge"]
        if request.method == "GET":
            self.asked.append("authorize")
            action = escape(f"/authorize?{request.url.query}")
            return HTMLResponse(
                f'<!doctype html><title>Log in</title><form method="post" action="{action}"><label>Name '
                '<input name="name"></label><button>Log in</button></form>'
            )
        name = dict(parse_qsl((await request.body()).decode()))["name"]
        if name not in self.people:
            answer = {"error": "access_denied", "error_description": "<b>no</b>", "state": query["state"]}
            return RedirectResponse(f"{query['redirect_uri']}?{urlencode(answer)}", 303)
        code = secrets.token_urlsafe(16)
        self.codes[code] = {**query, "name": name}
        answer = {"code": code, "state": query["state"], "iss": self.url}
        return RedirectResponse(f"{query['redirect_uri']}?{urlencode(answer)}", 303)

    async def token(self, request: Request) -> Response:
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        if kind != "Basic" or base64.b64decode(given).decode() != f"{CLIENT}:{SECRET}":
            return JSONResponse({"error": "invalid_client"}, 401)
        form = dict(parse_qsl((await request.body()).decode()))
        self.asked.append(form["grant_type"])
        if form["grant_type"] == "refresh_token":
            name, nonce = self.sessions.pop(form["refresh_token"], ""), None
        else:
            begun = self.codes.pop(form["code"], None)  # once
            if begun is None or form["redirect_uri"] != begun["redirect_uri"]:
                return JSONResponse({"error": "invalid_grant"}, 400)
            if create_s256_code_challenge(form["code_verifier"]) != begun["code_challenge"]:
                return JSONResponse({"error": "invalid_grant", "error_description": "PKCE"}, 400)
            name, nonce = begun["name"], begun["nonce"]
        if not name:
            return JSONResponse({"error": "invalid_grant"}, 400)
        return self._or_trouble(JSONResponse(self._tokens(name, nonce)), "token")

    def _tokens(self, name: str, nonce: str | None) -> dict[str, Any]:
        now, access = int(time.time()), secrets.token_urlsafe(16)
        claims = {"iss": self.url, "aud": CLIENT, "sub": f"id of {name}", "iat": now, "exp": now + 300,
                  "preferred_username": name, **({"nonce": nonce} if nonce else {}),
                  **(self.people[name] if self.tells_in_token else {}), **self.claims}  # fmt: skip
        claims = {key: value for key, value in claims.items() if value is not None}
        header = {"alg": "RS256", "kid": self.signs_with.kid}
        self.access[access] = name
        answer = {
            "access_token": access,
            "token_type": "Bearer",
            "id_token": jwt.encode(header, claims, self.signs_with),
        }
        if self.lasts_s is not None:
            answer["expires_in"] = self.lasts_s
        if self.gives_refresh:
            answer["refresh_token"] = refresh = secrets.token_urlsafe(16)
            self.sessions[refresh] = name
        return answer

    async def userinfo(self, request: Request) -> Response:
        name = self.access.get(request.headers.get("authorization", "").removeprefix("Bearer "), "")
        return JSONResponse({"sub": f"id of {name}", **self.people[name]}) if name else Response(status_code=401)

    async def logout(self, request: Request) -> Response:
        self.signed_out.append(dict(request.query_params))
        return RedirectResponse(request.query_params["post_logout_redirect_uri"], 303)

    def _or_trouble(self, answer: Response, what: str) -> Response:
        self.asked.append(what)
        if self.is_down:
            return PlainTextResponse("Traceback (most recent call last)", 502)
        if self.is_packed:
            answer.headers["content-encoding"] = "gzip"
        return answer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        import asyncio

        if scope["type"] == "http" and self.is_slow:
            await asyncio.sleep(1.5)
        if scope["type"] == "http" and self.is_endless:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(64):
                await send({"type": "http.response.body", "body": b" " * 2**16, "more_body": True})
            await send({"type": "http.response.body", "body": b"{}"})
            return
        await self._app(scope, receive, send)

    @property
    def _app(self) -> Starlette:
        if not hasattr(self, "_made"):
            self._made = Starlette(routes=[
                Route("/.well-known/openid-configuration", self.configuration), Route("/jwks", self.jwks),
                Route("/authorize", self.authorize, methods=["GET", "POST"]),
                Route("/token", self.token, methods=["POST"]), Route("/userinfo", self.userinfo),
                Route("/logout", self.logout),
            ])  # fmt: skip
        return self._made


@contextmanager
def provider_served() -> Iterator[Provider]:
    """A provider on a free port."""
    provider = Provider()
    with running(provider, lifespan="off") as url:
        provider.url = url
        yield provider
