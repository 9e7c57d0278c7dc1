"""Whose something is: stores keep a hash of a user, a browser session or an address, and nobody can tell it back."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from hub.people.limits import network
from hub.people.users import Caller

TOKEN = "token "  # how the names of callers with an access token begin
PAGE = "page "  # how the session of a browser without cookies begins; it ends with the page


@dataclass(frozen=True, slots=True)
class Owner:
    """One caller as stores know them. All empty: this machine itself, by a command or the hub's own work."""

    id: str = ""  # of the user, else of the browser session, else of the address
    place: str = ""  # of the address, which bounds those who make up a new session each time; empty for users
    lasting: bool = True  # they can be told again tomorrow: a user, or a browser with its cookie
    weak: bool = False  # nothing is known but the address, which others may have too
    session: str = ""  # of the browser of a user; older entries are kept by it
    source: str = ""  # of the account or the address: turns and shares go by it first, since sessions can be made up

    @property
    def is_machine(self) -> bool:
        return not self.id

    @property
    def ids(self) -> tuple[str, ...]:
        """All by which something is theirs. None where only the address is known."""
        return () if self.weak else tuple(dict.fromkeys(filter(None, (self.id, self.session))))


MACHINE = Owner()


def kept_by(who: Owner) -> str:
    """By what a store keeps something as theirs; empty where nobody could be told again."""
    return "" if who.weak else who.id


class Owners:
    """Names callers with the secret of a data folder."""

    def __init__(self, secret: bytes):
        self._secret = secret

    def hash(self, text: str) -> str:
        """Empty for nothing."""
        secret, data = self._secret, text.encode("utf-8", "replace")
        return hmac.new(secret, data, hashlib.sha256).hexdigest()[:32] if text else ""

    def of(self, caller: Caller | None) -> Owner:
        """A caller as stores know them. None is this machine."""
        if caller is None:
            return MACHINE
        session = caller.session
        if caller.name:
            # A token may have been given to many: each browser that has it is another.
            who = f"{caller.name} {session}" if caller.name.startswith(TOKEN) else f"user {caller.name}"
            return Owner(self.hash(who), session=self.hash(session), source=self.hash(f"account {caller.name}"))
        address = network(caller.address)
        place = self.hash(f"address {address}")
        if session:
            return Owner(self.hash(session), place, lasting=not session.startswith(PAGE), source=place)
        return Owner(self.hash(f"no session {address}"), place, lasting=False, weak=True, source=place)
