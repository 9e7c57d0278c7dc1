"""Who may do what: roles, who asks, and the file of users, which a running hub reads again when it changes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import logging
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from filelock import FileLock, Timeout

from hub.errors import HubError, InputError, NotFoundError, UnavailableError
from hub.files import read_text, write_atomic
from hub.tracing import Trace

log = logging.getLogger(__name__)
T = TypeVar("T")
ROLES = ("view", "run", "admin")  # each may do what those before it may
MAY = {
    "view": "open shared results",
    "run": "use the pages, REST, MCP and gradio_client",
    "admin": "load models, see the status, end anybody's links",
}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")  # no colon: it ends the name in the file and in HTTP Basic
TOKEN = re.compile(r"hub_([A-Za-z0-9]{8})_([A-Za-z0-9]{32})")  # an access token; its second part has 190 bits
PASSWORD_LEAST, PASSWORD_MOST = 8, 1024  # characters
LOG2_N, R, P = 14, 8, 5  # scrypt with 16 MB, one of the choices that OWASP recommends; about 0.2 s
MEMORY = 2**28
PATIENCE_S = 5.0
OWN = 0o600  # the mode of files that only their owner may read


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks for something. All empty: nobody signed in, and nothing else is known."""

    name: str = ""  # of the user, or `token ID`
    role: str = "run"
    session: str = ""  # of the browser, as `hub/web/middleware/sessions.py` tells it
    address: str = ""
    groups: tuple[str, ...] = ()  # as whoever signed them in tells: a proxy, or a provider
    trace: Trace | None = field(default=None, compare=False)  # of the request; no part of who it is

    def may(self, role: str) -> bool:
        """Whether this one's role is `role` or above it."""
        return ROLES.index(self.role) >= ROLES.index(role)

    @property
    def is_admin(self) -> bool:
        """Never where nobody signs in."""
        return bool(self.name) and self.role == "admin"


@dataclass(frozen=True, slots=True)
class User:
    name: str
    role: str
    hash: str


# --- passwords ------------------------------------------------------------------------------------


def hashed(password: str) -> str:
    """`scrypt$14$8$5$SALT$HASH`, of which nobody can tell the password."""
    salt = secrets.token_bytes(16)
    parts = ["scrypt", str(LOG2_N), str(R), str(P), _text(salt), _text(_scrypt(password, salt, LOG2_N, R, P))]
    return "$".join(parts)


def matches(password: str, hash: str) -> bool:
    """Takes as long for a wrong password as for the right one. Raises ValueError for a text that is no hash."""
    kind, log2_n, r, p, salt, expected = hash.split("$")
    if kind != "scrypt":
        raise ValueError(f"{kind[:20]} is not read here")
    computed = _scrypt(password, _bytes(salt), int(log2_n), int(r), int(p))
    return hmac.compare_digest(computed, _bytes(expected))


def _scrypt(password: str, salt: bytes, log2_n: int, r: int, p: int) -> bytes:
    data = password.encode("utf-8", "replace")
    return hashlib.scrypt(data, salt=salt, n=2**log2_n, r=r, p=p, dklen=32, maxmem=MEMORY)


def digest(text: str) -> str:
    """Of what nobody can guess, or what stays in memory: it takes no time."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


# --- the file -------------------------------------------------------------------------------------


class Watched(Generic[T]):
    """What a file holds, read again when it has changed. One that is gone holds `empty`.

    One that was damaged counts as before, and the log says so: a slip of the pen must not lock everybody out.
    """

    def __init__(self, path: Path, parse: Callable[[str], T], empty: T):
        self.path, self._parse, self._empty = path, parse, empty
        self._read: tuple[tuple[int, ...], T] = ((), empty)  # replaced whole; two threads would read the same

    def get(self) -> T:
        try:
            stat = self.path.stat()
        except OSError:
            return self._empty
        mark = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if mark != self._read[0]:
            try:
                self._read = (mark, self._parse(read_text(self.path)))
            except (OSError, ValueError, InputError) as error:
                log.error("%s is not read: %s", self.path, error)
                self._read = (mark, self._read[1])
        return self._read[1]


class UsersFile:
    """One user a line, `name:role:hash`; other lines are empty or begin with #."""

    def __init__(self, path: Path):
        self.path = path
        self._watched: Watched[Mapping[str, User]] = Watched(path, parse_users, {})

    def check(self) -> None:
        """Raises InputError when the file cannot be read or is damaged."""
        try:
            parse_users(read_text(self.path))
        except InputError as error:
            raise InputError("{path}: {message}", path=self.path, message=error.message) from None
        except (OSError, ValueError) as error:
            raise InputError("The users file {path} cannot be read: {reason}", path=self.path, reason=error) from None

    def all(self) -> Mapping[str, User]:
        return self._watched.get()

    def put(self, name: str, role: str, password: str) -> bool:
        """Adds a user, or gives a known one another password and role; returns whether it was known.

        Raises InputError, UnavailableError.
        """
        checked_role(role)
        if not NAME.fullmatch(name):
            raise InputError(
                "A user's name is letters, digits and . _ @ -, at most 64 of them, got {name!r}.", name=name
            )
        if not PASSWORD_LEAST <= len(password) <= PASSWORD_MOST:
            count = f"{len(password)} character{'s' * (len(password) != 1)}"
            raise InputError(
                "A password needs {password_least} to {password_most} characters, got {count}.",
                password_least=PASSWORD_LEAST,
                password_most=PASSWORD_MOST,
                count=count,
            )
        return self._replace(name, f"{name}:{role}:{hashed(password)}")

    def remove(self, name: str) -> None:
        """Raises NotFoundError, UnavailableError."""
        if not self._replace(name, ""):
            names = ", ".join(sorted(self.all())) or "nobody"
            raise NotFoundError(
                "There is no user {name!r} in {path}; there is: {known}.", name=name[:64], path=self.path, known=names
            )

    def _replace(self, name: str, line: str) -> bool:
        """Takes the user's line away, and puts `line` in its place; returns whether there was one."""
        with locked(self.path):
            before = read_text(self.path) if self.path.exists() else HEAD
            parse_users(before)  # a damaged file is not written over
            lines = before.splitlines()
            others = [old for old in lines if old.partition(":")[0] != name or old.startswith("#")]
            if len(others) == len(lines) and not line:
                return False
            write_atomic(self.path, ("\n".join([*others, *([line] if line else [])]) + "\n").encode(), mode=OWN)
            return len(others) < len(lines)


def open_users(auth: str) -> tuple[UsersFile | None, User | None]:
    """What the setting `auth` of a hub names: a users file, or the one user of USER:PASSWORD, an administrator.

    Raises InputError when it is neither, or the file is damaged.
    """
    if not auth:
        return None, None
    path = Path(auth).expanduser()
    if path.is_file():
        file = UsersFile(path)
        file.check()
        return file, None
    name, _, password = auth.partition(":")
    if not name or not password:
        raise InputError(  # it may be a password: it is not repeated
            "--auth must be USER:PASSWORD or a users file, and there is no such file. To make one: "
            "python -m hub users add NAME --role admin --file FILE"
        )
    return None, User(name, "admin", digest(password))


HEAD = "# Users of a Demo Hub, name:role:hash; written by: python -m hub users\n"


def parse_users(text: str) -> dict[str, User]:
    """Users by name. Raises InputError that names the line."""
    users: dict[str, User] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = line.strip().partition(":")
        role, _, hash = rest.partition(":")
        try:
            right = NAME.fullmatch(name) and role in ROLES and name not in users and _is_hash(hash)
        except (ValueError, binascii.Error):
            right = False
        if not right:
            roles = ", ".join(ROLES)
            raise InputError(
                "line {number} is not name:role:hash, with a role of {roles}, each name once, and a hash as python "
                "-m hub users add writes it.",
                number=number,
                roles=roles,
            )
        users[name] = User(name, role, hash)
    return users


def _is_hash(text: str) -> bool:
    kind, log2_n, r, p, salt, digest_text = text.split("$")
    costs = 128 * 2 ** int(log2_n) * int(r) <= MEMORY // 2 and 1 <= int(p) <= 16
    return kind == "scrypt" and costs and len(_bytes(salt)) >= 8 and len(_bytes(digest_text)) == 32


def checked_role(role: str) -> str:
    """Raises InputError."""
    if role not in ROLES:
        raise InputError(
            "role must be {listed} or {last}, got {role!r}.", listed=", ".join(ROLES[:-1]), last=ROLES[-1], role=role
        )
    return role


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Held while the file `path` is written, by one process at a time. Raises UnavailableError when it cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock", timeout=PATIENCE_S):
            yield
    except HubError:
        raise
    except (OSError, Timeout) as error:
        raise UnavailableError("{path} cannot be written: {reason}", path=path, reason=error) from None
