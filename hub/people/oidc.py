"""Sign-in at an OpenID Connect provider: who comes back from there, and how long they stay signed in here.

Nothing is kept for who only begins: state, nonce and verifier travel in a signed cookie of their browser. Who signed in
has a session in memory, which is asked about at the provider from time to time, and ends when it says so.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from cachetools import TTLCache
from itsdangerous import BadData, URLSafeTimedSerializer

from hub.errors import InputError, RoleError
from hub.files import read_text
from hub.people.claims import EMAIL, LoginError, account_from, claim_of
from hub.people.provider import HERE, OverError, Provider, ProviderError, Tokens
from hub.people.roles import Account
from hub.settings import Settings

log = logging.getLogger(__name__)
SECRET = "HUB_OIDC_SECRET"  # in the environment
COOKIE = "hub_oidc_"  # with the first letters of the state: two tabs may sign in at once
STATE_CHARS = 8
PLACE_CHARS = 1500  # of where somebody wanted to go: a cookie has room for 4096 in all
BEGUN_S = 600  # so long one may take at the provider
SESSIONS, LONGEST_S = 10_000, 12 * 3600.0
RENEWED_S, SHORTEST_S = 900.0, 30.0  # a session is asked about no less, and no more often than this
OUTAGE_S, AGAIN_S = 3600.0, 30.0  # so long a provider may be down for those who are in; when it is asked again
AGAIN = "This sign-in was begun in another browser, or too long ago. Begin again."


@dataclass(slots=True)
class Session:
    """Somebody who signed in. Times are of the monotonic clock. Used in the event loop only, but for `account`."""

    account: Account
    subject: str
    id_token: str
    refresh_token: str
    due: float  # when the provider is asked again; with no refresh token the end
    down_since: float | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(frozen=True, slots=True)
class Begun:
    """Where a browser goes to sign in, and what it keeps until it comes back."""

    url: str
    cookie: str
    value: str


class Oidc:
    """The sign-in of one hub. Used in one event loop; `is_alive` from any thread."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic):
        """Raises InputError where something is missing, or the secret cannot be read."""
        self._roles = settings.proxy_roles()
        if not settings.oidc_client_id or not self._roles:
            raise InputError(
                "--oidc-issuer needs --oidc-client-id, and --auth-roles, who may what, such as "
                "ann@example.org:admin,@research:run,*:view."
            )
        self.provider = Provider(
            settings.oidc_issuer, settings.oidc_client_id, _secret(settings.oidc_secret_file), settings.oidc_scopes
        )
        if settings.offline and urlsplit(settings.oidc_issuer).hostname not in HERE:
            raise InputError("--oidc-issuer needs the network, and --offline forbids it.")
        self._name, self._groups = settings.oidc_name, settings.oidc_groups
        self._domains = tuple(one.strip().lower() for one in settings.oidc_domains.split(",") if one.strip())
        self._clock = clock
        self._signer = URLSafeTimedSerializer(secrets.token_urlsafe(32), salt="sign-in")
        self._lock = threading.Lock()  # guards _sessions; taken alone
        self._sessions: TTLCache[str, Session] = TTLCache(SESSIONS, LONGEST_S, clock)

    # --- coming in --------------------------------------------------------------------------------

    async def begin(self, back: str, wanted: str) -> Begun:
        """Sends a browser to the provider, which sends it `back`; then it goes where it `wanted`.

        Raises ProviderError.
        """
        wanted = wanted if len(wanted) <= PLACE_CHARS else "/"
        state, nonce, verifier = (secrets.token_urlsafe(size) for size in (24, 24, 48))
        url = await self.provider.address(back, state, nonce, verifier)
        value = self._signer.dumps([state, nonce, verifier, back, wanted])
        return Begun(url, f"{COOKIE}{state[:STATE_CHARS]}", str(value))

    async def finish(self, query: Mapping[str, str], cookies: Mapping[str, str]) -> tuple[str, Account, str]:
        """Who came back: their session, who they are, and where they wanted to go.

        Raises LoginError, ProviderError, RoleError for who may do nothing here.
        """
        state, kept = query.get("state", ""), cookies.get(cookie_of(query), "")
        try:
            begun, nonce, verifier, back, wanted = self._signer.loads(kept, max_age=BEGUN_S)
        except (BadData, ValueError, TypeError):
            raise LoginError(AGAIN) from None
        if not secrets.compare_digest(str(begun).encode(), state.encode()):
            raise LoginError(AGAIN)
        if "error" in query:
            log.info("the sign-in provider answered %.100r: %.300r", query["error"], query.get("error_description", ""))
            raise LoginError(
                "The sign-in provider {host} refused: {reason}.", host=self.provider.host, reason=query["error"][:60]
            )
        issuer = str((await self.provider.metadata())["issuer"])
        if query.get("iss", issuer) != issuer:  # RFC 9207: the answer of another provider
            raise LoginError("This answer is of another provider, {given!r}.", given=query["iss"][:200])
        if not query.get("code"):
            raise LoginError(AGAIN)
        try:
            tokens = await self.provider.redeem(query["code"], back, verifier)
        except OverError as error:
            raise LoginError(error.message) from None
        claims = await self.provider.claims(tokens.id_token, nonce)
        account = await self._account(claims, tokens)
        session = Session(account, claims["sub"], tokens.id_token, tokens.refresh_token, self._due(tokens))
        id = secrets.token_urlsafe(24)
        with self._lock:
            self._sessions[id] = session
        return id, account, wanted

    async def _account(self, claims: dict[str, object], tokens: Tokens) -> Account:
        wanted = (self._name, self._groups, *((EMAIL,) if self._domains else ()))
        if any(claim_of(claims, name) is None for name in wanted):
            claims = {**await self.provider.userinfo(tokens.access_token, str(claims["sub"])), **claims}
        return account_from(claims, self._name, self._groups, self._domains, self._roles)

    def _due(self, tokens: Tokens) -> float:
        lasts_s = RENEWED_S if tokens.lasts_s is None else max(SHORTEST_S, tokens.lasts_s)
        return self._clock() + min(lasts_s, RENEWED_S if tokens.refresh_token else LONGEST_S)

    # --- staying in -------------------------------------------------------------------------------

    def is_alive(self, id: str) -> bool:
        """Whether the session is one that has not ended, as far as is known without asking."""
        session = self._find(id)
        return session is not None and (bool(session.refresh_token) or self._clock() < session.due)

    async def renewed(self, id: str) -> Account | None:
        """Who the session is of, after the provider was asked where it is time to; None: it is over."""
        session = self._find(id)
        if session is None or self._clock() < session.due:
            return session.account if session else None
        if not session.refresh_token:
            self._drop(id)
            return None
        async with session.lock:  # once, however many requests come at the same time
            if self._find(id) is not session:
                return None
            if self._clock() >= session.due:
                try:
                    await self._renew(session)
                except (OverError, LoginError, RoleError) as error:
                    log.info("the session of %s is over: %s", session.account.name, error.message)
                    self._drop(id)
                    return None
                except ProviderError:
                    if session.down_since is None:
                        session.down_since = self._clock()
                    if self._clock() - session.down_since > OUTAGE_S:
                        self._drop(id)
                        return None
                    session.due = self._clock() + AGAIN_S
        return session.account

    async def _renew(self, session: Session) -> None:
        tokens = await self.provider.refresh(session.refresh_token)
        if tokens.id_token:
            claims = await self.provider.claims(tokens.id_token, None)
            if claims["sub"] != session.subject:
                raise LoginError("The provider told of somebody else.")
            session.account, session.id_token = await self._account(claims, tokens), tokens.id_token
        session.refresh_token = tokens.refresh_token or session.refresh_token
        session.due, session.down_since = self._due(tokens), None

    def _find(self, id: str) -> Session | None:
        with self._lock:
            return self._sessions.get(id)

    def _drop(self, id: str) -> Session | None:
        with self._lock:
            return self._sessions.pop(id, None)

    # --- leaving ----------------------------------------------------------------------------------

    async def end(self, id: str, back: str) -> str:
        """Ends a session here; answers where it ends at the provider too, or nothing where it has no such place."""
        session = self._drop(id)
        return await self.provider.sign_out_place(session.id_token, back) if session else ""


def cookie_of(query: Mapping[str, str]) -> str:
    """The name of the cookie that a browser which comes back has."""
    return f"{COOKIE}{query.get('state', '')[:STATE_CHARS]}"


def _secret(file: str) -> str:
    """What the hub shows the provider; empty: it has nothing. Never from the command line, which others can read."""
    if not file:
        return os.environ.get(SECRET, "").strip()
    try:
        return read_text(Path(file).expanduser()).strip()
    except (OSError, ValueError) as error:
        raise InputError("--oidc-secret-file {path} cannot be read: {reason}", path=file, reason=error) from None
