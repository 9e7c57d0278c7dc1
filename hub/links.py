"""Links to results, each with a copy of its own: they outlive the results' store, restarts and upgrades.

One SQLite file in the data folder, `links.sqlite3`, which several processes may use at once. What a link shows is
written once, as a document that needs no demo to be drawn (`hub/sharing.py` makes it), and never changed; only its
note, its end and its feedback do.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import sqlite3
import string
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hub.errors import BusyError, GoneError, HubError, InputError, NotFoundError, UnavailableError
from hub.results import Picture
from hub.texts import from_column, packed, restored, sentence, sentences_in, to_column, unpacked

FILE, SCHEMA = "links.sqlite3", 1
ALPHABET, ID_CHARS = string.ascii_letters + string.digits, 22  # 131 bits; no - that a command line takes for a flag
DAY_S = 86_400.0
NOTE_CHARS, FEEDBACK_CHARS, DAYS_MOST = 1000, 1000, 3650
LINKS_MOST, LINKS_OF_ONE = 10_000, 200  # live links of the hub, and of one owner
LINKS_A_MINUTE = 30
FEEDBACK_MOST, FEEDBACK_A_MINUTE = 1000, 10  # of one link
REMEMBERED_S = 365 * DAY_S  # how long an ended link is told from one that never was
BUSY_S = 10.0  # how long a writer waits for another process

TABLES = """
CREATE TABLE link (
  id TEXT PRIMARY KEY, owner TEXT NOT NULL, secret TEXT NOT NULL, page TEXT NOT NULL, headline TEXT NOT NULL,
  note TEXT NOT NULL, created REAL NOT NULL, expires REAL, ended REAL, document TEXT, bytes INTEGER NOT NULL);
CREATE TABLE file (
  link TEXT NOT NULL REFERENCES link(id) ON DELETE CASCADE, name TEXT NOT NULL, media_type TEXT NOT NULL,
  width INTEGER NOT NULL, height INTEGER NOT NULL, caption TEXT NOT NULL, data BLOB NOT NULL,
  PRIMARY KEY (link, name));
CREATE TABLE feedback (
  id INTEGER PRIMARY KEY, link TEXT NOT NULL REFERENCES link(id) ON DELETE CASCADE, created REAL NOT NULL,
  thumb TEXT NOT NULL, text TEXT NOT NULL);
CREATE INDEX feedback_of ON feedback (link, created);
"""
# `ended` is when a link was taken back, or when its day was found to be past; its content is gone from then on.
COLUMNS = "id, owner, page, headline, note, created, expires, ended, bytes"


@dataclass(frozen=True, slots=True)
class Link:
    """One link, without what it shows. Times are seconds since the epoch; `expires` None: never."""

    id: str
    owner: str  # the browser session that made it, hashed; or empty
    page: str
    headline: str
    note: str
    created: float
    expires: float | None
    ended: float | None
    size_bytes: int
    up: int = 0
    down: int = 0
    comments: int = 0

    def state(self, now: float) -> str:
        """`live`, `revoked` or `expired`."""
        if self.expires is not None and now >= self.expires:
            return "expired"
        return "live" if self.ended is None else "revoked"


@dataclass(frozen=True, slots=True)
class Feedback:
    """What one viewer said. `thumb`: up, down, or empty for a text alone."""

    link: str
    created: float
    thumb: str
    text: str


@dataclass(frozen=True, slots=True)
class Content:
    """What a link shows: a JSON document, and pictures by the names it uses."""

    document: Mapping[str, Any]
    files: Mapping[str, Picture] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        return sum(len(p.data) for p in self.files.values()) + len(json.dumps(self.document))


class LinkStore:
    """All links of a data folder, at most `limit_bytes` of them. Every method may raise UnavailableError."""

    def __init__(self, folder: Path, limit_bytes: int, clock: Callable[[], float] = time.time):
        self.path, self.limit_bytes, self.clock = folder / FILE, limit_bytes, clock

    # --- making and ending ------------------------------------------------------------------------

    def add(
        self, content: Content, *, page: str, headline: str, owner: str, note: str = "", days: float | None = None
    ) -> tuple[Link, str]:
        """Keeps `content`; returns its link and the owner's secret, which is told this once.

        Raises InputError for a note or a number of days that is not allowed, BusyError when there is no room.
        """
        note, now = checked_note(note), self.clock()
        expires = None if days is None else now + checked_days(days) * DAY_S
        id, secret = "".join(secrets.choice(ALPHABET) for _ in range(ID_CHARS)), secrets.token_urlsafe(32)
        link = Link(id, owner, page, headline, note, now, expires, None, content.size_bytes)
        with self._open(write=True) as db:
            self._end_expired(db)
            self._room(db, link)
            row = (id, owner, _hash(secret), page, to_column(headline), note, now, expires, None)
            told = [packed(one) for one in sentences_in(content.document)]  # JSON keeps their text alone
            document = json.dumps({**content.document, "sentences": told}, ensure_ascii=False)
            db.execute("INSERT INTO link VALUES (?,?,?,?,?,?,?,?,?,?,?)", (*row, document, link.size_bytes))
            db.executemany(
                "INSERT INTO file VALUES (?,?,?,?,?,?,?)",
                [(id, n, p.media_type, p.width, p.height, p.caption, p.data) for n, p in content.files.items()],
            )
        return link, secret

    def _room(self, db: sqlite3.Connection, link: Link) -> None:
        count, total = db.execute("SELECT count(*), coalesce(sum(bytes), 0) FROM link WHERE ended IS NULL").fetchone()
        of_one = "SELECT count(*) FROM link WHERE ended IS NULL AND owner = ?"
        mine = db.execute(of_one, (link.owner,)).fetchone()[0] if link.owner else 0
        newest = db.execute("SELECT count(*) FROM link WHERE created > ?", (link.created - 60,)).fetchone()[0]
        mend = sentence("Take one back first, or let links expire.")
        if self.limit_bytes <= 0:
            raise UnavailableError("Links are switched off on this hub (links_disk_mb = 0).")
        if newest >= LINKS_A_MINUTE:
            raise BusyError(
                "{count} links were made in the last minute, the most there may be. Wait a moment.",
                count=newest,
                retry_after_s=60,
            )
        if mine >= LINKS_OF_ONE:
            raise BusyError(
                "You have {count} links, the most one browser may have. {mend}",
                count=mine,
                mend=mend,
                retry_after_s=3600,
            )
        if count >= LINKS_MOST:
            raise BusyError(
                "This hub has {count} links, the most it keeps. {mend}", count=count, mend=mend, retry_after_s=3600
            )
        if total + link.size_bytes > self.limit_bytes:
            raise BusyError(
                "Links take {size:.0f} MB and this one needs {more:.1f} MB more; at most {most:.0f} MB are kept "
                "(--links-disk-mb). {mend}",
                size=total / 1e6,
                more=link.size_bytes / 1e6,
                most=self.limit_bytes / 1e6,
                mend=mend,
                retry_after_s=3600,
            )

    def revoke(self, id: str) -> None:
        """Ends a link at once: what it showed is deleted, its feedback stays. Raises NotFoundError."""
        with self._open(write=True) as db:
            self._end(db, self._find(db, id, live=True).id, self.clock())

    def _end_expired(self, db: sqlite3.Connection) -> None:
        now = self.clock()
        for (id,) in db.execute("SELECT id FROM link WHERE ended IS NULL AND expires <= ?", (now,)).fetchall():
            self._end(db, id, now)
        db.execute("DELETE FROM link WHERE ended <= ?", (now - REMEMBERED_S,))

    def _end(self, db: sqlite3.Connection, id: str, now: float) -> None:
        db.execute("DELETE FROM file WHERE link = ?", (id,))
        db.execute("UPDATE link SET ended = ?, document = NULL, bytes = 0 WHERE id = ?", (now, id))

    def set_note(self, id: str, note: str) -> None:
        """Raises NotFoundError, InputError."""
        note = checked_note(note)
        with self._open(write=True) as db:
            db.execute("UPDATE link SET note = ? WHERE id = ?", (note, self._find(db, id, live=True).id))

    # --- looking ----------------------------------------------------------------------------------

    def get(self, id: str) -> Link:
        """A live link. Raises NotFoundError for one that never was, GoneError for one that ended."""
        with self._open() as db:
            return self._find(db, id, live=True)

    def read(self, id: str) -> tuple[Link, dict[str, Any]]:
        """A live link and its document. Raises as `get`."""
        with self._open() as db:
            link = self._find(db, id, live=True)
            (text,) = db.execute("SELECT document FROM link WHERE id = ?", (id,)).fetchone()
            document = dict(json.loads(text))
            return link, dict(restored(document, map(unpacked, document.pop("sentences", ()))))

    def file(self, id: str, name: str) -> Picture:
        """One picture of a live link. Raises as `get`."""
        with self._open() as db:
            self._find(db, id, live=True)
            query = "SELECT data, media_type, width, height, caption FROM file WHERE link = ? AND name = ?"
            row = db.execute(query, (id, name)).fetchone()
            if row is None:
                raise NotFoundError("This link has no picture {name!r}.", name=name[:60])
            return Picture(*row)

    def owns(self, id: str, *, owner: str = "", secret: str = "") -> bool:
        """Whether that session made the link, or that is its secret. Raises as `get`."""
        with self._open() as db:
            link = self._find(db, id, live=False)
            (kept,) = db.execute("SELECT secret FROM link WHERE id = ?", (id,)).fetchone()
            if secret and hmac.compare_digest(_hash(secret), kept):
                return True
            return bool(owner) and hmac.compare_digest(owner.encode(), link.owner.encode())

    def all(self, owner: str | None = None, page: str | None = None, limit: int = LINKS_MOST) -> list[Link]:
        """Links, ended ones too, the newest first; of one owner, or (None) of all."""
        where, values = ["1"], list[Any]()
        for column, value in (("owner", owner), ("page", page)):
            if value is not None:
                where.append(f"{column} = ?")
                values.append(value)
        with self._open() as db:
            query = f"SELECT {COLUMNS} FROM link WHERE {' AND '.join(where)} ORDER BY created DESC, id LIMIT ?"
            rows = db.execute(query, (*values, limit)).fetchall()
            return [_link(db, row) for row in rows]

    # --- feedback ---------------------------------------------------------------------------------

    def say(self, id: str, thumb: Any, text: Any) -> Feedback:
        """Keeps a viewer's thumb, words or both. Raises InputError, BusyError, and as `get`."""
        thumb, text = checked_feedback(thumb, text)
        with self._open(write=True) as db:
            self._find(db, id, live=True)
            now = self.clock()
            count = db.execute("SELECT count(*) FROM feedback WHERE link = ?", (id,)).fetchone()[0]
            recent = "SELECT count(*) FROM feedback WHERE link = ? AND created > ?"
            if db.execute(recent, (id, now - 60)).fetchone()[0] >= FEEDBACK_A_MINUTE:
                raise BusyError("Much feedback came in the last minute. Wait a moment, then send it.", retry_after_s=60)
            if count >= FEEDBACK_MOST:
                raise BusyError(
                    "This link has {count} pieces of feedback, the most it keeps.", count=count, retry_after_s=3600
                )
            db.execute("INSERT INTO feedback (link, created, thumb, text) VALUES (?,?,?,?)", (id, now, thumb, text))
            return Feedback(id, now, thumb, text)

    def feedback(self, ids: Sequence[str] | None = None) -> list[Feedback]:
        """What viewers said, the oldest first; of these links, ended ones too, or (None) of all."""
        with self._open() as db:
            if ids is None:
                rows = db.execute("SELECT link, created, thumb, text FROM feedback ORDER BY created, id").fetchall()
            else:
                query = "SELECT link, created, thumb, text FROM feedback WHERE link = ? ORDER BY created, id"
                rows = [row for id in ids for row in db.execute(query, (id,)).fetchall()]
            return [Feedback(*row) for row in rows]

    # --- the file ---------------------------------------------------------------------------------

    def _find(self, db: sqlite3.Connection, id: str, *, live: bool) -> Link:
        row = db.execute(f"SELECT {COLUMNS} FROM link WHERE id = ?", (id,)).fetchone()
        if row is None:
            raise NotFoundError("There is no such link. Check that the whole address was copied.")
        link = _link(db, row)
        state = link.state(self.clock())
        if live and state != "live":
            why = "was taken back by who made it" if state == "revoked" else "was made for a time that is over"
            raise GoneError("This link {why}. Ask them for a new one.", why=sentence(why))
        return link

    @contextmanager
    def _open(self, write: bool = False) -> Iterator[sqlite3.Connection]:
        """One transaction. A writer takes its turn at the start, so that what it counts stays true."""
        try:
            if not write and not self.path.exists():
                opened = sqlite3.connect(":memory:", isolation_level=None)  # a hub that has no link writes no file
            else:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                opened = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None)
            with closing(opened) as db:
                db.execute("PRAGMA foreign_keys = ON")
                db.execute("PRAGMA secure_delete = ON")  # what was taken back is not left in the file
                db.execute("BEGIN IMMEDIATE" if write or _version(db) == 0 else "BEGIN")
                try:
                    self._prepare(db)
                    yield db
                    db.execute("COMMIT")
                except BaseException:
                    db.execute("ROLLBACK")
                    raise
        except HubError:
            raise
        except (sqlite3.Error, OSError) as error:
            raise UnavailableError(
                "The links of this hub cannot be used: {reason} ({path}).", reason=error, path=self.path
            ) from None

    def _prepare(self, db: sqlite3.Connection) -> None:
        """Makes the tables; a file that an older hub made would be brought up to date here."""
        version = _version(db)
        if version > SCHEMA:
            raise UnavailableError(
                "{path} was written by a newer hub; update this one to use its links.", path=self.path
            )
        if version == 0:
            for statement in TABLES.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {SCHEMA}")
            if self.path.exists():
                self.path.chmod(0o600)  # what people share is theirs and the hub's


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _link(db: sqlite3.Connection, row: Sequence[Any]) -> Link:
    query = "SELECT coalesce(sum(thumb = 'up'), 0), coalesce(sum(thumb = 'down'), 0), coalesce(sum(text <> ''), 0)"
    id, owner, page, headline, *rest = row
    return Link(
        id,
        owner,
        page,
        from_column(headline),
        *rest,
        *db.execute(f"{query} FROM feedback WHERE link = ?", (row[0],)).fetchone(),
    )


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


# --- what people write ----------------------------------------------------------------------------


def checked_note(note: Any) -> str:
    """Raises InputError."""
    return _text(note, "note", NOTE_CHARS)


def checked_days(days: Any) -> float:
    """Raises InputError."""
    number = isinstance(days, int | float) and not isinstance(days, bool)
    if not number or not 0 < days <= DAYS_MOST:
        given = f"{days!r}"[:60]
        raise InputError(
            "expires_in_days must be a number above 0 and up to {days_most}, or null for never, got {given}.",
            days_most=DAYS_MOST,
            given=given,
            field="expires_in_days",
        )
    return float(days)


def checked_feedback(thumb: Any, text: Any) -> tuple[str, str]:
    """Raises InputError."""
    if thumb not in ("up", "down", "", None):
        raise InputError("thumb must be up or down, got {thumb!r}.", thumb=str(thumb)[:60], field="thumb")
    text = _text(text, "text", FEEDBACK_CHARS)
    if not thumb and not text:
        raise InputError("Choose a thumb, write a few words, or both.", field="thumb")
    return thumb or "", text


def _text(value: Any, name: str, most: int) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputError("{name} must be text, got a {kind}.", name=name, kind=type(value).__name__, field=name)
    text = value.replace("\r\n", "\n").strip()  # forms send both
    if len(text) > most:
        raise InputError(
            "{name} has {count} characters; at most {most} are kept. Shorten it.",
            name=name,
            count=len(text),
            most=most,
            field=name,
        )
    if "\0" in text or any("\ud800" <= c <= "\udfff" for c in text):
        raise InputError("{name} has characters that are not valid text (NUL or half a pair).", name=name, field=name)
    return text
