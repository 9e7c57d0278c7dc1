"""One OpenID Connect provider: what it says of itself, its keys and its tokens, each fetched within bounds."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import httpx2
from anyio import to_thread

from hub.errors import InputError, SignInError, UnavailableError
from hub.files import parse_json
from hub.people.claims import MOST_CHARS, LoginError, checked, header_of

if TYPE_CHECKING:
    from authlib.integrations.httpx_client import AsyncOAuth2Client
    from joserfc.jwk import ECKey, OKPKey, RSAKey

    Key = RSAKey | ECKey | OKPKey

log = logging.getLogger(__name__)
PATIENCE_S = 8.0  # for one answer, to its last byte
MOST_BYTES = 2**20
KNOWN_S = 3600.0  # so long is kept what it says of itself, and its keys
AGAIN_S = 10.0  # after a failure, or for a key that is new, it is not asked again any sooner
KEYS_MOST = 100
KEY_TYPES = ("RSA", "EC", "OKP")  # none that the provider and this hub would share
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
WELL_KNOWN = "/.well-known/openid-configuration"
# What a token endpoint answers where a session is over; all else may pass.
OVER = frozenset({"invalid_grant", "invalid_token", "login_required", "interaction_required", "consent_required"})
HERE = frozenset({"localhost", "127.0.0.1", "::1"})


class ProviderError(UnavailableError):
    title, code = "Sign-in does not work just now", "provider"


class OverError(SignInError):
    """The provider says that a session is over."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the provider gave. `lasts_s` None: it did not say."""

    id_token: str
    access_token: str
    refresh_token: str
    lasts_s: float | None


@dataclass(slots=True)
class _Fetched:
    """One document of the provider's, and when it may be asked for again. Used in the event loop only."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    value: dict[str, Any] | None = None
    at: float = float("-inf")
    failed: ProviderError | None = None


class Provider:
    """Used in one event loop."""

    def __init__(
        self, issuer: str, client_id: str, secret: str, scopes: str, clock: Callable[[], float] = time.time
    ):  # fmt: skip
        """Raises InputError for an issuer over plain http elsewhere: whoever is between could sign in as anybody."""
        if not _is_safe(issuer):
            raise InputError("--oidc-issuer must begin with https://, got {issuer!r}.", issuer=issuer)
        self.issuer, self.client_id, self._secret, self._scopes = issuer.rstrip("/"), client_id, secret, scopes
        self.host, self.clock = urlsplit(issuer).netloc, clock
        self._metadata, self._keys = _Fetched(), _Fetched()
        self._context: Any = None

    # --- what it says of itself -------------------------------------------------------------------

    async def metadata(self) -> Mapping[str, Any]:
        """Its configuration. Raises ProviderError."""
        return await self._known(self._metadata, self._discover)

    async def _discover(self) -> dict[str, Any]:
        found = await self._get(f"{self.issuer}{WELL_KNOWN}")
        if str(found.get("issuer", "")).rstrip("/") != self.issuer:
            given = str(found.get("issuer"))[:200]
            log.error("--oidc-issuer is %s, and the provider there calls itself %r", self.issuer, given)
            raise ProviderError(
                "The provider at {issuer} says that it is {given!r}. Whoever runs this hub has to give its right name.",
                issuer=self.issuer, given=given,
            )  # fmt: skip
        for name in ENDPOINTS:
            if not isinstance(found.get(name), str) or not _is_safe(found[name]):
                raise ProviderError("The provider at {host} names no {endpoint}.", host=self.host, endpoint=name)
        return found

    async def _known(
        self, kept: _Fetched, fetch: Callable[[], Any], is_old: Callable[[float], bool] = lambda age: age > KNOWN_S
    ) -> dict[str, Any]:  # fmt: skip
        """What is kept, else fetched once however many ask; a failure is told to all for a moment."""
        async with kept.lock:
            age = time.monotonic() - kept.at
            if kept.value is not None and kept.failed is None and not is_old(age):
                return kept.value
            if age < AGAIN_S:
                if kept.failed is not None:
                    raise kept.failed.with_traceback(None)
                return kept.value or {}
            kept.at = time.monotonic()
            try:
                kept.value, kept.failed = await fetch(), None
            except ProviderError as error:
                kept.failed = error
                raise
            return kept.value or {}

    async def _get(self, url: str, access_token: str = "") -> dict[str, Any]:
        """A JSON object. Raises ProviderError."""
        headers = {"Authorization": f"Bearer {access_token}"} if access_token else {}
        async with self._asking() as client:
            answer = await client.request("GET", url, headers=headers, withhold_token=True)
            answer.raise_for_status()
            value = parse_json(answer.content)
        if not isinstance(value, dict):
            raise ProviderError("The provider at {host} answered what is no JSON object.", host=self.host)
        return value

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[AsyncOAuth2Client]:
        """A client for one question. What goes wrong is raised as ProviderError, and logged."""
        from authlib.integrations.httpx_client import AsyncOAuth2Client

        if self._context is None:  # reads a file of certificates
            self._context = await to_thread.run_sync(httpx2.create_ssl_context)
        try:
            async with asyncio.timeout(PATIENCE_S), AsyncOAuth2Client(
                self.client_id, self._secret or None, scope=self._scopes, code_challenge_method="S256",
                token_endpoint_auth_method=self._auth_method(), verify=self._context, timeout=PATIENCE_S,
                headers={"Accept-Encoding": "identity"}, event_hooks={"response": [_bound]},
            ) as client:  # fmt: skip
                yield client
        except (TimeoutError, httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            log.warning("the sign-in provider %s: %s: %.200r", self.host, type(error).__name__, str(error))
            raise ProviderError(
                "The sign-in provider {host} does not answer as it should. Try again in a moment; what is open to "
                "everybody still works.", host=self.host,
            ) from None  # fmt: skip

    def _auth_method(self) -> str:
        """How this hub shows who it is: as the provider takes it, by preference as most do."""
        if not self._secret:
            return "none"
        known = (self._metadata.value or {}).get("token_endpoint_auth_methods_supported")
        takes_post = isinstance(known, list) and "client_secret_basic" not in known and "client_secret_post" in known
        return "client_secret_post" if takes_post else "client_secret_basic"

    # --- tokens -----------------------------------------------------------------------------------

    async def address(self, back: str, state: str, nonce: str, verifier: str) -> str:
        """Where a browser signs in, to come `back` then. Raises ProviderError."""
        place = (await self.metadata())["authorization_endpoint"]
        async with self._asking() as client:
            url, _ = client.create_authorization_url(
                place, state=state, code_verifier=verifier, nonce=nonce, redirect_uri=back
            )
        return str(url)

    async def redeem(self, code: str, back: str, verifier: str) -> Tokens:
        """What a browser's code is worth. Raises ProviderError, OverError for a code that is none."""
        place = (await self.metadata())["token_endpoint"]

        async def ask(client: AsyncOAuth2Client) -> Any:
            return await client.fetch_token(
                place, grant_type="authorization_code", code=code, redirect_uri=back, code_verifier=verifier
            )

        return await self._tokens(ask)

    async def refresh(self, refresh_token: str) -> Tokens:
        """The same later. Raises ProviderError; OverError where the provider says that the session is over."""
        place = (await self.metadata())["token_endpoint"]

        async def ask(client: AsyncOAuth2Client) -> Any:
            client.token = {"refresh_token": refresh_token}
            return await client.refresh_token(place, refresh_token=refresh_token)

        return await self._tokens(ask)

    async def _tokens(self, ask: Callable[[AsyncOAuth2Client], Any]) -> Tokens:
        from authlib.integrations.base_client import OAuthError

        try:
            async with self._asking() as client:
                answer = await ask(client)
        except OAuthError as error:
            log.warning("the sign-in provider %s refused: %.100r: %.300r", self.host, error.error, error.description)
            kind = OverError if error.error in OVER else ProviderError
            reason = str(error.error)[:60]
            raise kind("The sign-in provider {host} refused: {reason}.", host=self.host, reason=reason) from None
        texts = [answer.get(name) or "" for name in ("id_token", "access_token", "refresh_token")]
        lasts = answer.get("expires_in")
        if not all(isinstance(text, str) and len(text) <= MOST_CHARS for text in texts):
            raise ProviderError("The provider at {host} gave tokens that are no texts.", host=self.host)
        try:
            seconds = None if lasts is None else float(lasts)
        except (TypeError, ValueError):
            seconds = None
        return Tokens(texts[0], texts[1], texts[2], seconds)

    async def claims(self, id_token: str, nonce: str | None) -> dict[str, Any]:
        """What an ID token says, once it is known to be the provider's and for this hub.

        `nonce` None: a later one of the same session, which need not repeat it. Raises LoginError, ProviderError.
        """
        metadata, kid = await self.metadata(), header_of(id_token).get("kid")
        claims = None
        for is_old in (lambda age: age > KNOWN_S, lambda age: age > AGAIN_S):  # a new key is looked for once
            keys = self._import(await self._known(self._keys, self._fetch_keys, is_old))
            found = [key for key in keys if kid is None or key.kid == kid]
            claims = claims or next(filter(None, (_decode(id_token, key) for key in found)), None)
            if claims is not None:
                break
        if claims is None:
            log.warning("an ID token of %s is signed with the key %.100r, which it does not list", self.host, kid)
            raise LoginError(
                "What the provider {host} sent is signed with a key that it does not list (any more). Sign in again "
                "in a minute.", host=self.host,
            )  # fmt: skip
        return checked(claims, str(metadata["issuer"]), self.client_id, nonce, self.clock())

    async def _fetch_keys(self) -> dict[str, Any]:
        return await self._get((await self.metadata())["jwks_uri"])

    def _import(self, found: Mapping[str, Any]) -> list[Key]:
        from joserfc.errors import JoseError
        from joserfc.jwk import JWKRegistry

        keys, entries = [], found.get("keys")
        for entry in entries[:KEYS_MOST] if isinstance(entries, list) else ():
            if not isinstance(entry, dict) or entry.get("kty") not in KEY_TYPES or entry.get("use", "sig") != "sig":
                continue
            try:
                keys.append(JWKRegistry.import_key(entry))
            except (JoseError, ValueError, TypeError, KeyError) as error:
                log.warning("a key of %s cannot be read: %.200r", self.host, error)
        return keys  # type: ignore[return-value]  # none of the kinds that are secret

    async def userinfo(self, access_token: str, subject: str) -> dict[str, Any]:
        """More claims of the same person; empty where there is no such place. Raises ProviderError, LoginError."""
        place = (await self.metadata()).get("userinfo_endpoint")
        if not access_token or not isinstance(place, str) or not _is_safe(place):
            return {}
        found = await self._get(place, access_token)
        if found.get("sub") != subject:
            raise LoginError("The provider {host} told of somebody else. Sign in again.", host=self.host)
        return found

    async def sign_out_place(self, id_token: str, back: str) -> str:
        """Where the provider signs people out (RP-initiated logout), to come `back` then; empty: nowhere."""
        try:
            place = (await self.metadata()).get("end_session_endpoint")
        except ProviderError:
            return ""
        if not isinstance(place, str) or not _is_safe(place):
            return ""
        hint = {"id_token_hint": id_token} if len(id_token) <= MOST_CHARS // 8 else {}
        query = urlencode({**hint, "client_id": self.client_id, "post_logout_redirect_uri": back})
        return f"{place}{'&' if '?' in place else '?'}{query}"


def _decode(id_token: str, key: Key) -> dict[str, Any] | None:
    """The claims of a token that this key has signed."""
    from joserfc import jwt
    from joserfc.errors import JoseError

    try:
        return dict(jwt.decode(id_token, key, algorithms=ALGORITHMS).claims)
    except (JoseError, ValueError, TypeError, KeyError, json.JSONDecodeError, RecursionError):
        return None


def _is_safe(url: str) -> bool:
    """Whether nobody between can read along: over https, or on this machine."""
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in HERE)
    except ValueError:
        return False


async def _bound(response: httpx2.Response) -> None:
    """Before anything of an answer is read: no more than so many bytes of it are, and none that are packed."""
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise httpx2.DecodingError("the answer is packed, which was not asked for", request=response.request)
    response.stream = _Bounded(response.stream)


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, stream: Any):
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for piece in self._stream:
            size += len(piece)
            if size > MOST_BYTES:
                raise httpx2.ReadError("the answer has more than a megabyte")
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()
