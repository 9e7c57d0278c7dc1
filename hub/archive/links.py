"""Links to results, each with a copy of its own: they outlive the results' store, restarts and upgrades.

One SQLite file in the data folder, `links.sqlite3`, which several processes may use at once. What a link shows is
written once, as a document that needs no demo to be drawn (hub/archive/sharing.py makes it), and never
changed; only its note, its end and its feedback do.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import secrets
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hub.archive.link_limits import LINKS_MOST, OWNERLESS_DAYS, make_room
from hub.database import Tables, connect, open_tables, read_column, storage_errors, transaction
from hub.errors import GoneError, InputError, NotFoundError, StorageError
from hub.files import parse_json
from hub.people.owners import MACHINE, Owner
from hub.people.terms import (
    ALPHABET,
    DAY_S,
    FEEDBACK_CHARS,
    ID_CHARS,
    checked_days,
    checked_note,
    checked_text,
)
from hub.results.result import Picture
from hub.texts import NOT_OURS, packed, restored, sentence, sentences_in, to_column, unpacked

log = logging.getLogger(__name__)

FILE = "links.sqlite3"
REMEMBERED_S = 365 * DAY_S  # how long an ended link is told from one that never was
LinkState = Literal["live", "revoked", "expired"]
LinkDeed = Literal["share", "unshare"]
Thumb = Literal["up", "down", ""]  # empty: a text alone
CANNOT = sentence("The links of this hub cannot be used")

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
# Of version 2: by whom (`owner` of feedback, `place`: the address, both hashed), and whether somebody can be told to
# own a link, and so may keep it for ever. Links of before without an owner are kept as they are until room is needed.
OWNED = """
ALTER TABLE link ADD COLUMN place TEXT NOT NULL DEFAULT '';
ALTER TABLE link ADD COLUMN owned INTEGER NOT NULL DEFAULT 1;
UPDATE link SET owned = 0 WHERE owner = '';
ALTER TABLE feedback ADD COLUMN owner TEXT NOT NULL DEFAULT '';
ALTER TABLE feedback ADD COLUMN place TEXT NOT NULL DEFAULT '';
CREATE INDEX link_by_owner ON link (owner, created, ended, bytes);
CREATE INDEX link_by_place ON link (place, created, ended, bytes);
CREATE INDEX link_by_end ON link (ended, owned, created, id, bytes);
"""
LINKS = Tables(
    "links",
    (TABLES, OWNED),
    ("foreign_keys = ON", "secure_delete = ON"),  # what was taken back is not left in the file
    private=True,  # what people share is theirs and the hub's
    newer="{path} was written by a newer hub; update this one to use its links.",
)
# Of a document, with what they must be for the page of a link to be drawn.
PARTS = {"page": dict, "headline": str, "inputs": list, "parameters": list, "outputs": list, "receipt": dict}
# `ended` is when a link was taken back, or when its day was found to be past; its content is gone from then on.
COLUMNS = "id, owner, page, headline, note, created, expires, ended, bytes"


@dataclass(frozen=True, slots=True)
class Link:
    """One link, without what it shows. Times are seconds since the epoch; `expires` None: never."""

    id: str
    owner: str  # the user or the browser session that made it, hashed; or empty
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

    def state(self, now: float) -> LinkState:
        """Whether it opens, and why not."""
        if self.expires is not None and now >= self.expires:
            return "expired"
        return "live" if self.ended is None else "revoked"


@dataclass(frozen=True, slots=True)
class Feedback:
    """What one viewer said."""

    link: str
    created: float
    thumb: Thumb
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
    """All links of a data folder, at most `limit_bytes` of them. Every method may raise StorageError."""

    def __init__(self, folder: Path, limit_bytes: int, clock: Callable[[], float] = time.time):
        self.path, self.limit_bytes, self.clock = folder / FILE, limit_bytes, clock
        self.on_end: Callable[[str], None] = lambda id: None  # hears of links whose content is deleted
        # And of those that somebody makes, or takes back.
        self.on_deed: Callable[[LinkDeed, str, str], None] = lambda deed, page, id: None

    # --- making and ending ------------------------------------------------------------------------

    def add(
        self,
        content: Content,
        *,
        page: str,
        headline: str,
        who: Owner = MACHINE,
        note: str = "",
        days: float | None = None,
    ) -> tuple[Link, str]:
        """Keeps `content`; returns its link and the owner's secret, which is told this once.

        A link of somebody who cannot be told again ends after a while, whatever `days` says. Raises InputError for a
        note or a number of days that is not allowed, BusyError when there is no room.
        """
        note, now = checked_note(note), self.clock()
        expires = _end_of(days, who, now)
        id, secret = "".join(secrets.choice(ALPHABET) for _ in range(ID_CHARS)), secrets.token_urlsafe(32)
        link = Link(id, who.id, page, headline, note, now, expires, None, content.size_bytes)
        with self._open(write=True) as db:
            self._end_expired(db)
            for old in make_room(db, who, link.size_bytes, self.limit_bytes, now):
                self._end(db, old, now)
            row = (id, who.id, _hash(secret), page, to_column(headline), note, now, expires, None)
            sentences = [packed(one) for one in sentences_in(content.document)]  # JSON keeps their text alone
            document = json.dumps({**content.document, "sentences": sentences}, ensure_ascii=False)
            more = (document, link.size_bytes, who.place, who.lasting)
            db.execute(f"INSERT INTO link VALUES ({','.join('?' * 13)})", (*row, *more))
            db.executemany(
                "INSERT INTO file VALUES (?,?,?,?,?,?,?)",
                [(id, n, p.media_type, p.width, p.height, p.caption, p.data) for n, p in content.files.items()],
            )
        self.on_deed("share", page, id)
        return link, secret

    def revoke(self, id: str) -> None:
        """Ends a link at once: what it showed is deleted, its feedback stays. Raises NotFoundError."""
        with self._open(write=True) as db:
            link = self._find(db, id, live=True)
            self._end(db, link.id, self.clock())
        self.on_deed("unshare", link.page, link.id)

    def _end_expired(self, db: sqlite3.Connection) -> None:
        now = self.clock()
        for (id,) in db.execute("SELECT id FROM link WHERE ended IS NULL AND expires <= ?", (now,)).fetchall():
            self._end(db, id, now)
        db.execute("DELETE FROM link WHERE ended <= ?", (now - REMEMBERED_S,))

    def _end(self, db: sqlite3.Connection, id: str, now: float) -> None:
        db.execute("DELETE FROM file WHERE link = ?", (id,))
        db.execute("UPDATE link SET ended = ?, document = NULL, bytes = 0 WHERE id = ?", (now, id))
        self.on_end(id)

    def set_note(self, id: str, note: str) -> None:
        """Raises NotFoundError, InputError."""
        note = checked_note(note)
        with self._open(write=True) as db:
            db.execute("UPDATE link SET note = ? WHERE id = ?", (note, self._find(db, id, live=True).id))

    def set_end(self, id: str, days: float | None, who: Owner) -> None:
        """The link ends so many days from now; None: never, where it may. Raises NotFoundError, InputError."""
        expires = _end_of(days, who, self.clock())
        with self._open(write=True) as db:
            db.execute("UPDATE link SET expires = ? WHERE id = ?", (expires, self._find(db, id, live=True).id))

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
            return link, _document(text)

    def file(self, id: str, name: str) -> Picture:
        """One picture of a live link. Raises as `get`."""
        with self._open() as db:
            self._find(db, id, live=True)
            query = "SELECT data, media_type, width, height, caption FROM file WHERE link = ? AND name = ?"
            row = db.execute(query, (id, name)).fetchone()
            if row is None:
                raise NotFoundError("This link has no picture {name!r}.", name=name[:60])
            return Picture(*row)

    def owns(self, id: str, *, owners: Collection[str] = (), secret: str = "") -> bool:
        """Whether one of these made the link, or that is its secret. Raises as `get`."""
        with self._open() as db:
            link = self._find(db, id, live=False)
            (digest,) = db.execute("SELECT secret FROM link WHERE id = ?", (id,)).fetchone()
            if secret and hmac.compare_digest(_hash(secret), digest):
                return True
            return any(hmac.compare_digest(owner.encode(), link.owner.encode()) for owner in owners if owner)

    def all(
        self, owners: Collection[str] | None = None, page: str | None = None, limit: int = LINKS_MOST
    ) -> list[Link]:
        """Links, ended ones too, the newest first; of these owners, or (None) of all."""
        where, values = ["1"], list[Any]()
        if owners is not None:
            where.append(f"owner IN ({','.join('?' * len(owners))})")
            values += owners
        if page is not None:
            where.append("page = ?")
            values.append(page)
        with self._open() as db:
            query = f"SELECT {COLUMNS} FROM link WHERE {' AND '.join(where)} ORDER BY created DESC, id LIMIT ?"
            rows = db.execute(query, (*values, limit)).fetchall()
            return [_link(db, row) for row in rows]

    # --- feedback ---------------------------------------------------------------------------------

    def feedback(self, ids: Sequence[str] | None = None) -> list[Feedback]:
        """What viewers of older hubs said, the oldest first; of these links, ended ones too, or (None) of all.

        What they say now is a correction.
        """
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
        with storage_errors(sentence("The link cannot be kept") if write else CANNOT, self.path):
            if write or self.path.exists():
                self.path.parent.mkdir(parents=True, exist_ok=True)
                connection, _ = open_tables(self.path, LINKS)
            else:
                connection, _ = connect(None, LINKS)  # a hub that has no link writes no file
            with closing(connection) as db, transaction(db, "BEGIN IMMEDIATE" if write else "BEGIN"):
                yield db


def _end_of(days: float | None, who: Owner, now: float) -> float | None:
    """When a link ends. Raises InputError."""
    days = None if days is None else checked_days(days)
    if not who.lasting:
        days = min(days or OWNERLESS_DAYS, OWNERLESS_DAYS)
    return None if days is None else now + days * DAY_S


def _link(db: sqlite3.Connection, row: Sequence[Any]) -> Link:
    query = "SELECT coalesce(sum(thumb = 'up'), 0), coalesce(sum(thumb = 'down'), 0), coalesce(sum(text <> ''), 0)"
    id, owner, page, headline, *rest = row
    return Link(
        id,
        owner,
        page,
        read_column(headline),
        *rest,
        *db.execute(f"{query} FROM feedback WHERE link = ?", (row[0],)).fetchone(),
    )


def _document(text: str | None) -> dict[str, Any]:
    """What a link shows. Raises StorageError where its row is damaged: other links go on."""
    try:
        document = parse_json(text or "")
        if isinstance(document, dict) and all(isinstance(document.get(name), kind) for name, kind in PARTS.items()):
            return dict(restored(document, map(unpacked, document.pop("sentences", ()))))
    except NOT_OURS as error:
        log.error("the document of a link cannot be read: %s", error)
    raise StorageError("What this link shows is damaged on the hub's disk. Ask who made it for a new one.")


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


# --- what people write ----------------------------------------------------------------------------


def checked_feedback(thumb: Any, text: Any) -> tuple[Thumb, str]:
    """Raises InputError."""
    if thumb not in ("up", "down", "", None):
        raise InputError("thumb must be up or down, got {thumb!r}.", thumb=str(thumb)[:60], field="thumb")
    text = checked_text(text, "text", FEEDBACK_CHARS)
    if not thumb and not text:
        raise InputError("Choose a thumb, write a few words, or both.", field="thumb")
    return thumb or "", text
