"""The hub's SQLite files: opened in one way, brought up to date, put away when damaged; and what is wrong, in words."""

from __future__ import annotations

import errno
import json
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock

from hub.errors import HubError, StorageError
from hub.files import clear
from hub.texts import NOT_OURS, Sentence, from_column, sentence

log = logging.getLogger(__name__)

BUSY_S = 10.0  # how long one process waits for another
SET_ASIDE_MOST = 3  # damaged files that are kept of one kind; the oldest go
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
SHUT = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


@dataclass(frozen=True, slots=True)
class Tables:
    """What one kind of SQLite file holds. Each of `steps` is a script from one version of the tables to the next."""

    name: str
    steps: tuple[str, ...]
    pragmas: tuple[str, ...] = ()
    functions: Mapping[str, Callable[..., Any]] = field(default_factory=dict)  # of ours that the scripts call
    private: bool = False  # only the owner of the file may read it
    derived: bool = False  # it can be made anew: a damaged file or one of a newer hub is deleted, else it is kept
    newer: str = "{path} was written by a newer hub; update this one to use it."


class Database:
    """One file with one connection for all threads; in memory where there is no `path`, or it cannot be used.

    A file that turns out to be damaged is put away, at once or when a statement meets the damage: that one fails, and
    the next begins anew.
    """

    def __init__(self, path: Path | None, tables: Tables):
        self._tables = tables
        # Guards the connection: one statement or transaction at a time. Taken alone.
        self._lock = threading.Lock()
        self._open(path)

    def _open(self, path: Path | None) -> None:
        self.path = path
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                # Of processes that begin together only one may delete what is damaged, and not the other's new file.
                alone = FileLock(path.with_name("opening.lock"), timeout=BUSY_S)
                with alone if self._tables.derived else nullcontext():
                    self.connection, self.version_before = open_tables(path, self._tables)
                return
            except (OSError, sqlite3.Error, StorageError) as error:
                log.warning("%s is kept in memory only: %s", self._tables.name, error)
        self.path = None
        self.connection, self.version_before = connect(None, self._tables)

    def close(self) -> None:
        with self._lock:
            self.connection.close()

    @contextmanager
    def change(self, cannot: Sentence) -> Iterator[sqlite3.Connection]:
        """A transaction. What goes wrong is raised as a StorageError that says what `cannot` be done, and why."""
        with self._lock, storage_errors(cannot, self.path), self._damage(), transaction(self.connection):
            yield self.connection

    def ask(self, cannot: Sentence, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """The rows of one query. Raises StorageError, as `change`."""
        with self._lock, storage_errors(cannot, self.path), self._damage():
            return self.connection.execute(sql, values).fetchall()

    def shrink_log(self) -> None:
        """What was deleted is not left in the file beside. A failure costs nothing: it is tried again at the next."""
        with self._lock, suppress(sqlite3.Error):
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextmanager
    def _damage(self) -> Iterator[None]:
        """With the lock: after this statement failed for damage, the next begins anew."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            if is_damaged(error) and self.path is not None:
                self.connection.close()
                with suppress(OSError):
                    put_away(self.path, self._tables)
                self._open(self.path)
            raise


def open_tables(path: Path, tables: Tables) -> tuple[sqlite3.Connection, int]:
    """As `connect`; a damaged file is put away first. Raises StorageError for one of a newer hub, sqlite3.Error."""
    try:
        return connect(path, tables)
    except (sqlite3.DatabaseError, StorageError) as error:
        if not is_damaged(error) and not (tables.derived and isinstance(error, StorageError)):
            raise
    put_away(path, tables)
    return connect(path, tables)


def connect(path: Path | None, tables: Tables) -> tuple[sqlite3.Connection, int]:
    """A connection to tables of today, and the version that the file had before: 0 for a new one, or in memory.

    Raises StorageError for the file of a newer hub, sqlite3.Error, OSError.
    """
    if path is not None and tables.private and not path.exists():
        with suppress(FileExistsError):  # SQLite gives the files beside it the mode that this one has
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    db = sqlite3.connect(path or ":memory:", timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        db.execute("SELECT count(*) FROM sqlite_master")  # notices that it is no database
        version = version_of(db)
        if version > len(tables.steps):
            raise StorageError(tables.newer, path=str(path))
        for pragma in tables.pragmas:
            db.execute(f"PRAGMA {pragma}")
        for name, function in tables.functions.items():
            db.create_function(name, -1, function, deterministic=True)
        if version < len(tables.steps):
            bring_up_to_date(db, tables.steps)
            if path is not None and tables.private:
                path.chmod(0o600)  # older hubs were not as strict
    except BaseException:
        db.close()
        raise
    return db, version


def put_away(path: Path, tables: Tables) -> None:
    """Takes a file that cannot be used out of the way of a new one. Raises OSError."""
    if tables.derived:
        log.error("%s is damaged, or of another hub: it is made anew", path)
        for old in path.parent.glob(f"{path.name}*"):
            clear(old)
    else:
        log.error("%s is damaged: it is now %s, and a new one is begun", path, set_aside(path))


@contextmanager
def transaction(db: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[sqlite3.Connection]:
    """All of it or nothing. What went wrong is raised, also where SQLite has rolled back by itself already."""
    db.execute(begin)
    try:
        yield db
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            with suppress(sqlite3.Error):
                db.execute("ROLLBACK")
        raise


def bring_up_to_date(db: sqlite3.Connection, steps: Sequence[str]) -> None:
    """Makes the tables of a file, or brings those of an older hub up to date, in one transaction."""
    with transaction(db):
        version = version_of(db)  # asked again: another process may have been quicker
        for step in steps[version:]:
            _run(db, step)
        db.execute(f"PRAGMA user_version = {max(version, len(steps))}")


def version_of(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _run(db: sqlite3.Connection, script: str) -> None:
    """Each statement of a script, within the transaction that is open."""
    statement = ""
    for line in script.splitlines():
        statement += f"{line}\n"
        if sqlite3.complete_statement(statement):
            db.execute(statement)
            statement = ""


@contextmanager
def storage_errors(what: Sentence, path: Path | None = None) -> Iterator[None]:
    """Turns what SQLite and the disk raise into a StorageError. `what` cannot be had: "The link cannot be kept"."""
    try:
        yield
    except HubError:
        raise
    except (sqlite3.Error, OSError) as error:
        raise storage_error(what, error, path) from None


def storage_error(what: Sentence, error: Exception, path: Path | None = None) -> StorageError:
    """The error to raise, with the reason in words."""
    if path is None:
        return StorageError("{what}: {why}.", what=what, why=reason(error, path))
    return StorageError("{what}: {why} ({path}).", what=what, why=reason(error, path), path=str(path))


def reason(error: Exception, path: Path | None = None) -> Sentence:
    """What is wrong with the disk or the file, for whoever has to mend it."""
    name = str(getattr(error, "sqlite_errorname", "") or "")
    number = error.errno if isinstance(error, OSError) else None
    if name.startswith("SQLITE_FULL") or number in FULL:
        return sentence("the disk is full")
    if name.startswith(("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH")) or number in SHUT:
        return sentence("it cannot be written to")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return sentence("another process holds it; try again in a moment")
    if is_damaged(error):
        return sentence("the file is damaged")
    if name.startswith("SQLITE_IOERR") and path is not None and _is_full(path):
        return sentence("the disk is full")
    text = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
    return sentence("{reason}", reason=text)


def read_column(text: str) -> str:
    """What `to_column` was given; empty where the row is damaged."""
    try:
        return from_column(text)
    except NOT_OURS as error:
        log.error("a text in a table cannot be read: %r", error)
        return ""


def json_object(text: str) -> dict[str, Any]:
    """A JSON object from a column; an empty one where the row is damaged."""
    try:
        value = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def is_damaged(error: BaseException) -> bool:
    """Whether a file is no database, or one with damaged pages; not: busy, full, read-only or of another version."""
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))


def set_aside(path: Path) -> Path:
    """Moves a damaged database, with the files beside it, out of the way; keeps the latest few. Raises OSError."""
    marked = f".damaged-{time.time_ns()}"
    target = path.with_name(path.name + marked)
    path.replace(target)
    for end in ("-wal", "-shm", "-journal"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + end).replace(target.with_name(target.name + end))
    copies = sorted(p for p in path.parent.glob(f"{path.name}.damaged-*") if p.suffix[-1:].isdigit())
    for old in copies[:-SET_ASIDE_MOST]:
        for file in path.parent.glob(f"{old.name}*"):
            file.unlink(missing_ok=True)
    return target


def _is_full(path: Path) -> bool:
    try:
        stats = os.statvfs(path.parent)
    except OSError:
        return False
    return stats.f_bavail * stats.f_frsize < 2**16 or (stats.f_files > 0 and stats.f_favail == 0)
