"""What the hub's SQLite files share: one transaction, what is wrong with a disk in words, and setting a file aside."""

from __future__ import annotations

import errno
import json
import logging
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hub.errors import HubError, StorageError
from hub.texts import NOT_OURS, Sentence, from_column, sentence

log = logging.getLogger(__name__)

BUSY_S = 10.0  # how long a writer waits for another process
SET_ASIDE_MOST = 3  # damaged files that are kept of one kind; the oldest go
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
SHUT = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


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
    """Makes the tables of a file, or brings those of an older hub up to date. Raises StorageError for a newer one.

    Each of `steps` is a script that takes the tables from one version to the next.
    """
    version = version_of(db)
    if version > len(steps):
        raise StorageError("It was written by a newer hub; update this one to use it.")
    if version == len(steps):
        return
    with transaction(db):
        for step in steps[version_of(db) :]:  # asked again: another process may have been quicker
            _run(db, step)
        db.execute(f"PRAGMA user_version = {len(steps)}")


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
def told(what: Sentence, path: Path | None = None) -> Iterator[None]:
    """Turns what SQLite and the disk raise into a StorageError. `what` cannot be had: "The link cannot be kept"."""
    try:
        yield
    except HubError:
        raise
    except (sqlite3.Error, OSError) as error:
        raise trouble(what, error, path) from None


def trouble(what: Sentence, error: Exception, path: Path | None = None) -> StorageError:
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


def column(text: str) -> str:
    """What `to_column` was given; empty where the row is damaged."""
    try:
        return from_column(text)
    except NOT_OURS as error:
        log.error("a text in a table cannot be read: %r", error)
        return ""


def json_object(text: str) -> dict[str, Any]:
    """A JSON object from a column; an empty one where the row is damaged."""
    try:
        found = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def is_damaged(error: BaseException) -> bool:
    """Whether a file is no database, or one with damaged pages; not: busy, full, read-only or of another version."""
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))


def set_aside(path: Path) -> Path:
    """Moves a damaged database, with the files beside it, out of the way; keeps the latest few. Raises OSError."""
    marked = f".damaged-{time.time_ns()}"
    moved = path.with_name(path.name + marked)
    path.replace(moved)
    for end in ("-wal", "-shm", "-journal"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + end).replace(moved.with_name(moved.name + end))
    kept = sorted(p for p in path.parent.glob(f"{path.name}.damaged-*") if p.suffix[-1:].isdigit())
    for old in kept[:-SET_ASIDE_MOST]:
        for file in path.parent.glob(f"{old.name}*"):
            file.unlink(missing_ok=True)
    return moved


def _is_full(path: Path) -> bool:
    try:
        found = os.statvfs(path.parent)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < 2**16 or (found.f_files > 0 and found.f_favail == 0)
