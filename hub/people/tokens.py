"""Access tokens: a role without a password, until a day. Kept hashed, in `tokens.json` in the data folder."""

from __future__ import annotations

import hmac
import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from hub.errors import InputError, NotFoundError
from hub.files import parse_json, read_text, write_atomic
from hub.people.terms import ALPHABET, DAY_S, DAYS_MOST, ID_CHARS, checked_note
from hub.people.users import OWN, TOKEN, Watched, checked_role, digest, locked

FILE = "tokens.json"
LINK = re.compile(rf"[A-Za-z0-9]{{{ID_CHARS}}}")
TOKENS_MOST = 1000


@dataclass(frozen=True, slots=True)
class Token:
    """One token, without what opens a door. Times are seconds since the epoch; `expires` None: never."""

    id: str
    role: str
    note: str
    link: str  # the one shared result that it opens; empty: all that the role may
    created: float
    expires: float | None
    hash: str

    def is_live(self, now: float) -> bool:
        return self.expires is None or now < self.expires


class TokenStore:
    """The tokens of a data folder. A running hub hears at once of those that are added or revoked."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time):
        self.path, self.clock = folder / FILE, clock
        self._watched: Watched[Mapping[str, Token]] = Watched(self.path, _parse, {})

    def add(self, role: str, note: str = "", days: float | None = None, link: str = "") -> tuple[Token, str]:
        """Makes a token; returns it, and the text that is told this once. Raises InputError, UnavailableError."""
        checked_role(role), checked_note(note)
        if days is not None and not 0 < days <= DAYS_MOST:
            raise InputError(
                "days must be above 0 and up to {days_most}, got {days:g}.",
                days_most=DAYS_MOST,
                days=days,
                field="days",
            )
        if link and role != "view":
            raise InputError("A token for one link has the role view, not {role}.", role=role, field="role")
        if link and not LINK.fullmatch(link):
            raise InputError(
                "{link!r} is not the id of a link; python -m hub links lists them.", link=link[:60], field="link"
            )
        id, secret = _random(8), _random(32)
        now = self.clock()
        expires = None if days is None else now + days * DAY_S
        fresh = Token(id, role, note, link, now, expires, digest(secret))
        with locked(self.path):
            live = {id: token for id, token in self._read().items() if token.is_live(now)}
            if len(live) >= TOKENS_MOST:
                raise InputError("There are {count} tokens, the most there may be. Revoke some first.", count=len(live))
            self._write({**live, id: fresh})
        return fresh, f"hub_{id}_{secret}"

    def revoke(self, id: str) -> None:
        """Ends a token at once; `id` may be the whole token. Raises NotFoundError, UnavailableError."""
        match = TOKEN.fullmatch(id)
        id = match[1] if match else id
        with locked(self.path):
            tokens = self._read()
            if tokens.pop(id, None) is None:
                raise NotFoundError("There is no token {id!r}. python -m hub tokens list shows all.", id=id[:20])
            self._write(tokens)

    def all(self) -> list[Token]:
        """All that were not revoked, the newest first; expired ones too, until another is added."""
        return sorted(self._watched.get().values(), key=lambda token: -token.created)

    def find(self, text: str) -> Token | None:
        """The live token of this text."""
        match = TOKEN.fullmatch(text)
        token = self._watched.get().get(match[1]) if match else None
        if match is None or token is None or not hmac.compare_digest(token.hash, digest(match[2])):
            return None
        return token if token.is_live(self.clock()) else None

    def get(self, id: str) -> Token | None:
        """The live token of this id."""
        token = self._watched.get().get(id)
        return token if token and token.is_live(self.clock()) else None

    def _read(self) -> dict[str, Token]:
        """Straight from the file, for a writer. A damaged one is not written over. Raises InputError."""
        if not self.path.exists():
            return {}
        try:
            return _parse(read_text(self.path))
        except ValueError as error:
            raise InputError(
                "{path} is damaged: {reason}. Mend it, or delete it to revoke all tokens.", path=self.path, reason=error
            ) from None

    def _write(self, tokens: Mapping[str, Token]) -> None:
        text = json.dumps([asdict(token) for token in tokens.values()], indent=2, ensure_ascii=False)
        write_atomic(self.path, text.encode(), mode=OWN)


def _parse(text: str) -> dict[str, Token]:
    try:
        return {entry["id"]: Token(**{**entry, "role": checked_role(entry["role"])}) for entry in parse_json(text)}
    except (KeyError, TypeError, InputError):
        raise ValueError("it is no list of tokens, each with an id and a role") from None


def _random(characters: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(characters))
