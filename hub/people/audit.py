"""The audit log: who ran, shared, deleted, corrected and changed what, and who signed in or could not.

A line holds the name of an account, or of who has none the hash by which stores know them: no address, nothing of what
was given or answered. Lines wait in memory for a moment, so that nobody waits for the disk: a kill loses a second.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hub.database import Database, Tables
from hub.errors import HubError
from hub.people import asking
from hub.people.owners import Owners
from hub.people.users import Caller
from hub.texts import sentence

log = logging.getLogger(__name__)
FILE = "audit.sqlite3"
EVERY_S = 0.5  # so long lines wait, with what a write takes less than the second that a kill may lose
WAITING_MOST = 20_000  # lines in memory while the disk does not take them; later ones are counted and told in the log
SWEEP_S = 60.0  # how often what is too old or too much goes
DAY_S = 86_400.0
CHARS = 200  # of one part of a line
OK = "ok"
Deed = Literal[
    "run", "batch", "share", "unshare", "delete", "correct", "model", "sign_in", "sign_in_failed", "sign_out",
    "token_added", "token_revoked", "user_changed", "user_removed",
]  # fmt: skip
DEEDS: dict[Deed, str] = {
    "run": "Ran a page", "batch": "Asked for a job", "share": "Shared a result", "unshare": "Took a link back",
    "delete": "Deleted runs", "correct": "Said what is right", "model": "Changed what is in memory",
    "sign_in": "Signed in", "sign_in_failed": "Could not sign in", "sign_out": "Signed out",
    "token_added": "Made an access token", "token_revoked": "Revoked an access token",
    "user_changed": "Added or changed a user", "user_removed": "Removed a user",
}  # fmt: skip
CANNOT = sentence("The audit log cannot be read")
AUDIT = Tables(
    "the audit log",
    (
        """CREATE TABLE audit (
  id INTEGER PRIMARY KEY, at REAL NOT NULL, deed TEXT NOT NULL, account TEXT NOT NULL, owner TEXT NOT NULL,
  page TEXT NOT NULL, subject TEXT NOT NULL, outcome TEXT NOT NULL, count INTEGER NOT NULL);
CREATE INDEX audit_by_time ON audit (at);
CREATE INDEX audit_of_nobody ON audit (id) WHERE account = '';
""",
    ),
    ("journal_mode = WAL", "synchronous = NORMAL"),
    private=True,
)
ADD = "INSERT INTO audit (at, deed, account, owner, page, subject, outcome, count) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
# Who has no account can make as many lines as they like; they take half of the room, so that they push nobody's out.
SWEEP = (
    "DELETE FROM audit WHERE at < :before",
    "DELETE FROM audit WHERE account = '' AND id <= "
    "(SELECT id FROM audit WHERE account = '' ORDER BY id DESC LIMIT 1 OFFSET :half)",
    "DELETE FROM audit WHERE id <= (SELECT id FROM audit ORDER BY id DESC LIMIT 1 OFFSET :most)",
)


@dataclass(frozen=True, slots=True)
class Line:
    """What somebody did. `at` is seconds since the epoch, `subject` what it was done to, `count` how often at once."""

    at: float
    deed: str
    account: str  # `machine` for commands on the hub's own machine; empty: nobody had signed in
    owner: str  # the beginning of the hash of who has no account
    page: str
    subject: str
    outcome: str  # `ok`, or the code of the error
    count: int = 1


@dataclass(frozen=True, slots=True)
class Search:
    """Which lines are wanted. Empty: any."""

    days: float = 30.0
    account: str = ""
    deed: str = ""
    page: str = ""


MACHINE = "machine"
OWNER_CHARS = 12


class Audit:
    """The log of one hub. `path` None: it is kept in memory only. `rows` 0: nothing is kept at all."""

    def __init__(
        self, path: Path | None, owners: Owners, *, rows: int = 200_000, days: float = 365.0,
        clock: Callable[[], float] = time.time,
    ):  # fmt: skip
        self._path, self._owners, self._rows, self._days, self._clock = path, owners, rows, days, clock
        # Guards _new, _of_nobody, _lost, _timer, _database and _is_closed. Never held while SQLite works.
        self._lock = threading.Lock()
        # One at a time writes; taken before the other.
        self._writing = threading.Lock()
        self._new: list[tuple[tuple[str, ...], list[float]]] = []  # all else of a line, then its time and count
        self._of_nobody: dict[tuple[str, ...], list[float]] = {}  # of these the ones without an account
        self._lost, self._swept = 0, float("-inf")
        self._timer: threading.Timer | None = None
        self._database: Database | None = None
        self._is_closed = False

    def note(self, deed: Deed, *, page: str = "", subject: str = "", outcome: str = OK) -> None:
        """Whoever asks now did this."""
        self.note_of(asking.current(), deed, page=page, subject=subject, outcome=outcome)

    def note_of(
        self, who: Caller | None, deed: Deed, *, page: str = "", subject: str = "", outcome: str = OK
    ) -> None:  # fmt: skip
        """A caller did this; None is this machine. Returns at once."""
        if self._rows <= 0:
            return
        account = MACHINE if who is None else who.name
        owner = "" if account else self._owners.of(who).id[:OWNER_CHARS]
        key = (deed, account[:CHARS], owner, page[:CHARS], subject[:CHARS], outcome[:CHARS])
        with self._lock:
            if not account and (line := self._of_nobody.get(key)):
                line[1] += 1  # the same again in the same moment
                return
            if len(self._new) >= WAITING_MOST:
                self._lost += 1
                return
            self._new.append((key, line := [self._clock(), 1]))
            if not account:
                self._of_nobody[key] = line
            if self._timer is None and not self._is_closed:
                self._timer = threading.Timer(EVERY_S, self._write_quietly)
                self._timer.daemon = True
                self._timer.start()

    def search(self, wanted: Search, limit: int, offset: int = 0) -> list[Line]:
        """The lines that are wanted, the newest first. Raises StorageError."""
        if self._rows <= 0:
            return []
        self._write()
        conditions, values = ["at >= ?"], [self._clock() - wanted.days * DAY_S]
        for column in ("account", "deed", "page"):
            if value := getattr(wanted, column):
                conditions.append(f"{column} = ?")
                values.append(value)
        sql = (
            "SELECT at, deed, account, owner, page, subject, outcome, count FROM audit "
            f"WHERE {' AND '.join(conditions)} ORDER BY id DESC LIMIT ? OFFSET ?"
        )
        return [Line(*row) for row in self._open().ask(CANNOT, sql, (*values, limit, offset))]

    def names(self, column: Literal["account", "page"], limit: int) -> list[str]:
        """What there is to choose from, without what is empty. Raises StorageError."""
        if self._rows <= 0:
            return []
        self._write()
        sql = f"SELECT DISTINCT {column} FROM audit WHERE {column} != '' ORDER BY {column} LIMIT ?"
        return [row[0] for row in self._open().ask(CANNOT, sql, (limit,))]

    def close(self) -> None:
        """Writes what waits."""
        with self._lock:
            self._is_closed, timer = True, self._timer
        if timer is not None:
            timer.cancel()
        self._write_quietly()
        with self._lock:
            opened, self._database = self._database, None
        if opened is not None:
            opened.close()

    def _write_quietly(self) -> None:
        try:
            self._write()
        except HubError as error:
            log.warning("%s", error.message)

    def _write(self) -> None:
        with self._writing:
            with self._lock:
                new, self._new, self._of_nobody, self._timer = self._new, [], {}, None
                lost, self._lost = self._lost, 0
            if lost:
                log.error("the audit log has not taken %d lines", lost)
            if not new:
                return
            lines = [(line[0], *key, int(line[1])) for key, line in new]
            try:
                with self._open().change(sentence("The audit log cannot be written")) as db:
                    db.executemany(ADD, lines)
                    if self._clock() - self._swept > SWEEP_S:
                        self._swept = self._clock()
                        before = self._clock() - self._days * DAY_S
                        for statement in SWEEP:
                            values = {"before": before, "most": self._rows, "half": max(1, self._rows // 2)}
                            db.execute(statement, values)
            except HubError:
                log.error("the audit log has not taken %d lines", len(lines))
                raise

    def _open(self) -> Database:
        """The table, opened when it is first needed."""
        with self._lock:
            if self._database is None:
                self._database = Database(self._path, AUDIT)
            return self._database
