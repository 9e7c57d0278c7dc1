"""Tells who asks by what a request brings: a password, an access token, or the cookie that either was turned into."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import math
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anyio import CapacityLimiter, to_thread
from cachetools import TTLCache

from hub.errors import BusyError, RoleError, SignInError, UnavailableError
from hub.people.limits import network
from hub.people.proxies import Proxies
from hub.people.roles import Account
from hub.people.tokens import Token, TokenStore
from hub.people.users import TOKEN, Caller, User, digest, hashed, matches, open_users
from hub.settings import Settings

if TYPE_CHECKING:
    from hub.people.oidc import Oidc

COOKIE = "hub_key"
TICKET_S = 12 * 3600.0  # how long a browser stays signed in without being asked for its password again
TICKETS, VERIFIED, VERIFIED_S = 10_000, 1024, 600.0
AT_ONCE = 2  # passwords checked at the same time: each takes a core and 16 MB
FREE, FREE_OF_ADDRESS = 5, 25  # wrong passwords that cost no waiting: for one user's name, and for one address
SLOWEST_S, FORGOTTEN_S, WATCHED = 60.0, 900.0, 4096
SPACE = "Hugging Face"  # the proof of who signed in there: a session cookie that was checked already
PROXY = "a proxy"  # and of who signed in at a proxy: the header of a connection that comes from it
PROVIDER = "a provider"  # and at an OpenID Connect provider: a session that is asked about there
UNKNOWN_TOKEN = "This access token was revoked, or is past its day. Ask for a new one."
WRONG = "This user name and password do not belong together here."
ASK = "Send a user name and password by HTTP Basic, or an access token as Authorization: Bearer TOKEN."


class TooManyTriesError(BusyError):
    title, code = "Too many wrong passwords", "too_many_tries"


@dataclass(frozen=True, slots=True)
class Known:
    """Somebody who signed in. `proof` is the kept hash: while it stays and the role too, so does the sign-in."""

    name: str
    role: str
    proof: str
    token: str = ""  # its id, where it was a token
    link: str = ""  # the one shared result that the token opens
    groups: tuple[str, ...] = ()
    session: str = ""  # its id, where they signed in at a provider

    @property
    def by_password(self) -> bool:
        return not self.token and self.proof not in (SPACE, PROXY, PROVIDER)


class SignIn:
    """Users and tokens of one hub, and what was verified of late, in memory only."""

    def __init__(
        self, settings: Settings, clock: Callable[[], float] = time.monotonic,
        hear: Callable[[Caller, bool], None] = lambda who, came_in: None,
    ):  # fmt: skip
        """`hear` is told who signed in with a password, and who could not. Raises InputError as `open_users` does."""
        self._hear = hear
        self.required = settings.asks
        self.space = settings.space_roles()  # by Hugging Face name; empty: nobody signs in there
        self.proxies = Proxies(settings)
        self.oidc = _open_oidc(settings, clock)
        self.tokens = TokenStore(settings.data_folder)
        self._file, self._one = open_users(settings.auth)
        self._nobody = hashed(secrets.token_urlsafe()) if self._file else ""  # so that no name is told by the time
        self._key = secrets.token_bytes(32)  # of the cache's keys: no password stays in memory
        # Guards the four below; taken alone, never while a password is checked.
        self._lock = threading.Lock()
        self._verified: TTLCache[bytes, None] = TTLCache(VERIFIED, VERIFIED_S, clock)
        self._tickets: TTLCache[str, Known] = TTLCache(TICKETS, TICKET_S, clock)
        self._ended: TTLCache[str, None] = TTLCache(TICKETS, TICKET_S, clock)
        self._tries: TTLCache[str, tuple[int, float]] = TTLCache(WATCHED, FORGOTTEN_S, clock)
        self._clock = clock
        self._checkers = CapacityLimiter(AT_ONCE)
        self._checking: dict[bytes, asyncio.Future[bool]] = {}  # touched in the event loop only

    # --- who --------------------------------------------------------------------------------------

    async def identify(
        self,
        headers: Mapping[str, str],
        cookies: Mapping[str, str],
        address: str,
        space_user: str = "",
        at_proxy: Known | None = None,
    ) -> Known:
        """Raises SignInError when nobody is told, TooManyTriesError, RoleError for a stranger on a Space.

        `at_proxy`: who signed in there, which counts more than what the browser was given before.
        """
        by_cookie = at_proxy or self.by_key(cookies.get(COOKIE, "")) or self._of_space(space_user)
        if by_cookie is not None and by_cookie.session:
            by_cookie = await self.renewed(by_cookie)
        kind, _, credentials = headers.get("authorization", "").partition(" ")
        try:
            if kind.lower() == "bearer":
                return self.by_token(credentials.strip())
            if kind.lower() == "basic":
                return await self._by_password(credentials, network(address), by_cookie)
        except (SignInError, BusyError):
            if by_cookie is None:  # what a proxy asks for itself it may pass on
                raise
        if by_cookie is None:
            raise SignInError(UNKNOWN_TOKEN if TOKEN.fullmatch(cookies.get(COOKIE, "")) else ASK)
        return by_cookie

    def by_proxy(self, peer: str, users: Sequence[str], groups: Sequence[str]) -> Known | None:
        """Who a proxy says has signed in there, as `Proxies.account` does."""
        account = self.proxies.account(peer, users, groups)
        return None if account is None else Known(account.name, account.role, PROXY, groups=account.groups)

    def _of_space(self, user: str) -> Known | None:
        role = self.space.get(user) or self.space.get("*")
        if user and self.space and role is None:
            raise RoleError("{user} is not among those who may use this Space. Ask its owner.", user=user[:64])
        return Known(f"hf:{user}", role, SPACE) if user and role else None

    def by_token(self, text: str) -> Known:
        """Raises SignInError. Wrong ones are not slowed down: nobody finds one by trying."""
        token = self.tokens.find(text)
        if token is None:
            raise SignInError(UNKNOWN_TOKEN if TOKEN.fullmatch(text) else ASK)
        return _of_token(token)

    def by_key(self, key: str) -> Known | None:
        """Who the cookie stands for: a token, or a ticket from this hub."""
        if token := self.tokens.find(key):
            return _of_token(token)
        with self._lock:
            person = self._tickets.get(digest(key)) if key else None
        return person if person and self.is_still(person) else None

    def ticket(self, person: Known) -> str:
        """A new value for the cookie of who gave a password."""
        ticket = secrets.token_urlsafe(32)
        with self._lock:
            self._tickets[digest(ticket)] = person
        return ticket

    def end(self, key: str) -> Known | None:
        """Ends what the cookie stands for, if it is a ticket; tells whose. A token goes on: others may have it too."""
        with self._lock:
            person = self._tickets.pop(digest(key), None)
            if person is not None:
                self._ended[digest(key)] = None
        return person

    def has_ended(self, key: str) -> bool:
        """Whether who came with this cookie has signed out since."""
        with self._lock:
            return digest(key) in self._ended

    def by_session(self, session: str, account: Account) -> Known:
        """Who has just signed in at the provider."""
        return Known(account.name, account.role, PROVIDER, groups=account.groups, session=session)

    async def renewed(self, person: Known) -> Known | None:
        """Who signed in at the provider as it knows them now; None: that session is over. Others stay as they are."""
        if self.oidc is None or not person.session:
            return person
        account = await self.oidc.renewed(person.session)
        return self.by_session(person.session, account) if account else None

    def is_still(self, person: Known) -> bool:
        """Whether nothing was revoked, removed or changed since, as far as is known without asking elsewhere."""
        if person.proof == PROVIDER:
            return self.oidc is not None and self.oidc.is_alive(person.session)
        if person.proof in (SPACE, PROXY):
            return True
        now: Token | User | None = self.tokens.get(person.token) if person.token else self._user(person.name)
        return now is not None and (now.hash, now.role) == (person.proof, person.role)

    # --- passwords --------------------------------------------------------------------------------

    def _user(self, name: str) -> User | None:
        if self._one is not None:
            return self._one if name == self._one.name else None
        return self._file.all().get(name) if self._file else None

    async def _by_password(self, credentials: str, address: str, by_cookie: Known | None) -> Known:
        try:
            name, colon, password = base64.b64decode(credentials.strip(), validate=True).decode("utf-8").partition(":")
        except (binascii.Error, ValueError):
            colon = ""
        if not colon:
            raise SignInError(ASK)
        if by_cookie is not None and by_cookie.name == name and by_cookie.by_password:
            return by_cookie  # a browser sends the password with each request
        user = self._user(name)
        key = hmac.digest(self._key, f"{name}\0{password}\0{user.hash if user else ''}".encode(), "sha256")
        self._refuse_if_slowed(name, address)  # first: what is known to be right must not be found by trying, either
        with self._lock:
            right = key in self._verified
        if not right:
            right = await self._check_once(key, name, address, user, password)
        if not right or user is None:
            raise SignInError(WRONG)
        with self._lock:
            self._verified[key] = None
        return Known(user.name, user.role, user.hash)

    async def _check_once(self, key: bytes, name: str, address: str, user: User | None, password: str) -> bool:
        """Checks a password once, however many requests bring it at the same time."""
        checking = self._checking.get(key)
        if checking is None:
            self._count(name, address)  # before it is known to be wrong: so many at once are slowed down, too
            work = to_thread.run_sync(self._check, user, password, limiter=self._checkers)
            checking = self._checking[key] = asyncio.ensure_future(work)
            checking.add_done_callback(lambda done: self._checking.pop(key, None))
            if right := await asyncio.shield(checking):
                self._forgive(name, address)
            # A name that nobody has is not told: it may be a password in the wrong field.
            self._hear(Caller(user.name, user.role) if user else Caller(address=address), right)
            return right
        return await asyncio.shield(checking)

    def _check(self, user: User | None, password: str) -> bool:
        if self._one is not None:
            return user is not None and hmac.compare_digest(user.hash, digest(password))
        if self._file is None:  # people sign in elsewhere only
            return False
        return matches(password, user.hash if user else self._nobody) and user is not None

    # --- slowing down -----------------------------------------------------------------------------

    def _refuse_if_slowed(self, name: str, address: str) -> None:
        """After some wrong passwords each next one has to wait, twice as long each time."""
        with self._lock:
            for who, free in ((f"{address} {name}", FREE), (address, FREE_OF_ADDRESS)):
                count, last = self._tries.get(who, (0, 0.0))
                wait_s = min(SLOWEST_S, 2.0 ** min(count - free, 10)) - (self._clock() - last)
                if count >= free and wait_s > 0:
                    seconds = math.ceil(wait_s)
                    text = "There were {count} wrong passwords. Try again in {seconds} s."
                    raise TooManyTriesError(text, count=count, seconds=seconds, retry_after_s=seconds)

    def _count(self, name: str, address: str) -> None:
        with self._lock:
            for who in (f"{address} {name}", address):
                self._tries[who] = (self._tries.get(who, (0, 0.0))[0] + 1, self._clock())

    def _forgive(self, name: str, address: str) -> None:
        with self._lock:
            self._tries.pop(f"{address} {name}", None)
            count, last = self._tries.get(address, (1, 0.0))
            self._tries[address] = (count - 1, last)


def _open_oidc(settings: Settings, clock: Callable[[], float]) -> Oidc | None:
    """The sign-in at a provider, where there is one: what it needs is imported for it alone."""
    if not settings.oidc_issuer:
        return None
    try:
        from hub.people.oidc import Oidc
    except ImportError as error:
        raise UnavailableError("Sign-in at a provider needs the package {name}.", name=error.name) from None
    return Oidc(settings, clock)


def _of_token(token: Token) -> Known:
    return Known(f"token {token.id}", token.role, token.hash, token.id, token.link)
