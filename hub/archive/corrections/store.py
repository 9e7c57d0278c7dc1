"""Corrections in one SQLite file of the data folder, with the pictures that people let the hub keep; bounded, private.

Several processes may use the file. A hub of which nobody said anything has none.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from hub.archive.corrections.bounds import Room
from hub.archive.corrections.parts import Part
from hub.database import Database, Tables, read_column
from hub.errors import NotFoundError
from hub.people.owners import Owner
from hub.results.result import Picture
from hub.texts import NOT_OURS, sentence, to_column

FILE = "corrections.sqlite3"
CANNOT = sentence("The corrections of this hub cannot be used")
GONE = "There is no such correction, or it is another's."
AT_ONCE = 200  # rows that are read together
IDS_AT_ONCE = 500
Verdict = Literal["right", "wrong", ""]  # empty: words alone, as older forms send them

TABLES = """
CREATE TABLE correction (
  id TEXT PRIMARY KEY, target TEXT NOT NULL, link TEXT NOT NULL, page TEXT NOT NULL, weights TEXT NOT NULL,
  digest TEXT NOT NULL, version TEXT NOT NULL, headline TEXT NOT NULL, parts TEXT NOT NULL, verdict TEXT NOT NULL,
  value TEXT NOT NULL, note TEXT NOT NULL, owner TEXT NOT NULL, place TEXT NOT NULL, created REAL NOT NULL,
  width INTEGER NOT NULL, height INTEGER NOT NULL, bytes INTEGER NOT NULL);
CREATE TABLE picture (
  correction TEXT NOT NULL REFERENCES correction(id) ON DELETE CASCADE, name TEXT NOT NULL, media_type TEXT NOT NULL,
  width INTEGER NOT NULL, height INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (correction, name));
CREATE INDEX correction_of ON correction (target, owner);
CREATE INDEX correction_of_link ON correction (link, created);
CREATE INDEX correction_by_owner ON correction (owner, created, bytes);
CREATE INDEX correction_by_place ON correction (place, created, bytes);
CREATE INDEX correction_by_page ON correction (page, created);
CREATE INDEX correction_by_time ON correction (created);
"""
CORRECTIONS = Tables(
    "corrections",
    (TABLES,),
    (
        "auto_vacuum = FULL",  # the file becomes smaller, too
        "journal_mode = WAL",
        "synchronous = NORMAL",
        "foreign_keys = ON",
        "secure_delete = ON",  # what was deleted is not left in the file
    ),
    private=True,  # what people said is theirs and the hub's
    newer="{path} was written by a newer hub; update this one to use its corrections.",
)
COLUMNS = (
    "id", "target", "link", "page", "weights", "digest", "version", "headline", "parts", "verdict", "value", "note",
    "owner", "place", "created", "width", "height",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Correction:
    """What one person said of one answer. `target` is the result, or `link ID` of a shared one."""

    id: str
    target: str
    link: str  # of a shared result, else empty
    page: str
    weights: str
    digest: str
    version: str  # of the page
    headline: str
    parts: tuple[Part, ...]  # what the answer was
    verdict: Verdict
    value: Mapping[str, Any]  # what is right, by part; empty: that was not said
    note: str
    owner: str  # the user or the browser session, hashed; empty: this machine
    place: str
    created: float
    width: int = 0  # of the picture that the model saw, in whose pixels points and boxes are; 0: none is kept
    height: int = 0
    pictures: tuple[str, ...] = ()  # names of the inputs whose pictures are kept

    def truth(self, part: Part) -> Any:
        """What is true of a part, as far as it was said; else None."""
        if part.name in self.value:
            return self.value[part.name]
        return part.answer if self.verdict == "right" and part.kind != "text" else None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which corrections: of these owners (None: of all), of a page, with a verdict."""

    owners: tuple[str, ...] | None = None
    page: str = ""
    verdict: str = ""

    def where(self) -> tuple[str, list[Any]]:
        parts, values = ["1"], list[Any]()
        if self.owners is not None:
            parts.append(f"owner IN ({','.join('?' * len(self.owners))})")
            values += self.owners
        for column, value in (("page", self.page), ("verdict", self.verdict)):
            if value:
                parts.append(f"{column} = ?")
                values.append(value)
        return " AND ".join(parts), values


@dataclass(frozen=True, slots=True)
class Count:
    """How many corrected answers of one version of the weights were right; of each, what was said last counts."""

    page: str
    weights: str
    digest: str
    right: int
    wrong: int


@dataclass(slots=True)
class CorrectionStore:
    """The tables, in `path` or (None, or where that cannot be used) in memory; at most `limit_bytes` of it.

    Every method may raise StorageError.
    """

    path: Path | None
    limit_bytes: int
    clock: Callable[[], float] = time.time
    database: Database = field(init=False)

    def __post_init__(self) -> None:
        self.database = Database(self.path, CORRECTIONS)

    def close(self) -> None:
        self.database.close()

    # --- keeping and forgetting -------------------------------------------------------------------

    def keep(self, said: Correction, pictures: Mapping[str, Picture], who: Owner) -> Correction:
        """Keeps what somebody said, in the place of what they said of the same before. Raises BusyError.

        Who has nothing but an address in common with others replaces nothing that is said of a link.
        """
        now = self.clock()
        parts = json.dumps([asdict(part) for part in said.parts], ensure_ascii=False)
        value = json.dumps(dict(said.value), ensure_ascii=False)
        size = len(parts) + len(value) + len(said.note) + sum(len(one.data) for one in pictures.values()) + 1000
        kept = replace(said, id=secrets.token_hex(12), owner=who.id, place=who.place, created=now,
                       pictures=tuple(pictures))  # fmt: skip
        with self.database.change(sentence("The correction cannot be kept")) as db:
            if who.id and not (who.weak and said.link):
                db.execute("DELETE FROM correction WHERE target = ? AND owner = ?", (said.target, who.id))
            Room(db, self.limit_bytes, now).make(who, size, said.link)
            row = {name: getattr(kept, name) for name in COLUMNS}
            row |= {"headline": to_column(kept.headline), "parts": parts, "value": value, "bytes": size}
            names = ", ".join(row)
            db.execute(f"INSERT INTO correction ({names}) VALUES ({','.join('?' * len(row))})", [*row.values()])
            db.executemany(
                "INSERT INTO picture VALUES (?,?,?,?,?,?)",
                [(kept.id, n, p.media_type, p.width, p.height, p.data) for n, p in pictures.items()],
            )
        return kept

    def remove(self, ids: Sequence[str], owners: tuple[str, ...] | None = None) -> int:
        """Forgets these, as far as they are of these owners (None: of anybody); returns how many that were."""
        where, values = Wanted(owners).where()
        with self.database.change(CANNOT) as db:
            count = sum(
                db.execute(f"DELETE FROM correction WHERE id = ? AND {where}", (id, *values)).rowcount for id in ids
            )
        if count:
            self.database.shrink_log()
        return count

    def forget(self, owners: Collection[str], targets: Sequence[str]) -> int:
        """Forgets what these owners said of these results, who deleted them."""
        with self.database.change(CANNOT) as db:
            sql = "DELETE FROM correction WHERE target = ? AND owner = ?"
            count = sum(db.execute(sql, (target, owner)).rowcount for target in targets for owner in owners)
        if count:
            self.database.shrink_log()
        return count

    def drop_pictures(self, link: str) -> None:
        """A shared result was taken back, or is past its day: what is kept of its pictures goes too; words stay."""
        of = "SELECT id FROM correction WHERE link = ?"
        if not self._ask(f"SELECT 1 FROM picture WHERE correction IN ({of}) LIMIT 1", [link]):
            return
        with self.database.change(CANNOT) as db:
            size = "(SELECT coalesce(sum(length(data)), 0) FROM picture WHERE picture.correction = correction.id)"
            db.execute(f"UPDATE correction SET bytes = bytes - {size} WHERE link = ?", (link,))
            db.execute(f"DELETE FROM picture WHERE correction IN ({of})", (link,))
        self.database.shrink_log()

    # --- looking ----------------------------------------------------------------------------------

    def search(self, wanted: Wanted, limit: int, offset: int = 0) -> tuple[list[Correction], int]:
        """The newest first, and how many there are."""
        where, values = wanted.where()
        ((count,),) = self._ask(f"SELECT count(*) FROM correction WHERE {where}", values)
        rest = f"WHERE {where} ORDER BY created DESC, rowid DESC LIMIT ? OFFSET ?"
        return self._rows(rest, [*values, limit, offset]), int(count)

    def all(self, wanted: Wanted) -> Iterator[Correction]:
        """Every one, the oldest first, read a few hundred at a time."""
        where, values = wanted.where()
        last: tuple[float, str] = (-1.0, "")
        while rows := self._rows(f"WHERE {where} AND (created, id) > (?, ?) ORDER BY created, id LIMIT ?",
                                 [*values, *last, AT_ONCE]):  # fmt: skip
            yield from rows
            last = rows[-1].created, rows[-1].id

    def get(self, id: str, owners: tuple[str, ...] | None = None) -> Correction:
        """One of these owners' (None: anybody's). Raises NotFoundError, also for another's."""
        where, values = Wanted(owners).where()
        rows = self._rows(f"WHERE id = ? AND {where}", [id, *values])
        if not rows:
            raise NotFoundError(GONE)
        return rows[0]

    def last_of(self, target: str, owner: str) -> Correction | None:
        """What an owner said of a result."""
        rows = self._rows("WHERE target = ? AND owner = ? ORDER BY created DESC, rowid DESC LIMIT 1", [target, owner])
        return rows[0] if rows and owner else None

    def picture(self, id: str, name: str) -> Picture:
        """Raises NotFoundError."""
        sql = "SELECT data, media_type, width, height FROM picture WHERE correction = ? AND name = ?"
        rows = self._ask(sql, [id, name])
        if not rows:
            raise NotFoundError("No picture is kept with this correction.")
        return Picture(*rows[0])

    def pages(self, owners: tuple[str, ...] | None = None) -> list[tuple[str, int]]:
        """Slugs of the pages of which something was said, with counts."""
        where, values = Wanted(owners).where()
        sql = f"SELECT page, count(*) FROM correction WHERE {where} GROUP BY page ORDER BY page"
        return [(page, int(count)) for page, count in self._ask(sql, values)]

    def counts(self) -> list[Count]:
        """Of every page and each of its weights."""
        last = (
            "SELECT page, weights, digest, verdict, row_number() OVER "
            "(PARTITION BY target ORDER BY created DESC, rowid DESC) AS turn FROM correction WHERE verdict <> ''"
        )
        sql = (
            f"SELECT page, weights, digest, sum(verdict = 'right'), sum(verdict = 'wrong') FROM ({last}) "
            "WHERE turn = 1 GROUP BY page, weights, digest ORDER BY page, weights, digest"
        )
        return [Count(*row) for row in self._ask(sql)]

    def of_links(self, ids: Sequence[str]) -> list[Correction]:
        """What was said of shared results, the oldest first."""
        found = list[Correction]()
        for first in range(0, len(ids), IDS_AT_ONCE):
            some = ids[first : first + IDS_AT_ONCE]
            found += self._rows(f"WHERE link IN ({','.join('?' * len(some))}) ORDER BY created, rowid", [*some])
        return found

    def thumbs(self, ids: Sequence[str]) -> dict[str, tuple[int, int, int]]:
        """How often each shared result was called right, wrong, and with words."""
        found = dict[str, tuple[int, int, int]]()
        sql = (
            "SELECT link, sum(verdict = 'right'), sum(verdict = 'wrong'), sum(note <> '') FROM correction WHERE link IN"
        )
        for first in range(0, len(ids), IDS_AT_ONCE):
            some = ids[first : first + IDS_AT_ONCE]
            rows = self._ask(f"{sql} ({','.join('?' * len(some))}) GROUP BY link", [*some])
            found |= {link: (up, down, words) for link, up, down, words in rows}
        return found

    def stats(self) -> dict[str, int]:
        """How many there are, and their bytes."""
        ((count, size),) = self._ask("SELECT count(*), coalesce(sum(bytes), 0) FROM correction")
        return {"corrections": int(count), "bytes": int(size)}

    def _ask(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        return self.database.ask(CANNOT, sql, values)

    def _rows(self, rest: str, values: Sequence[Any]) -> list[Correction]:
        names = "(SELECT json_group_array(name) FROM picture WHERE picture.correction = correction.id)"
        rows = self._ask(f"SELECT {', '.join(COLUMNS)}, {names} FROM correction {rest}", values)
        return [_read(dict(zip((*COLUMNS, "pictures"), row, strict=True))) for row in rows]


def _read(row: dict[str, Any]) -> Correction:
    """A row; one that is damaged has no parts."""
    try:
        parts = tuple(Part.of_json(one) for one in json.loads(row["parts"]))
        value = json.loads(row["value"])
    except NOT_OURS:
        parts, value = (), {}
    more = {"headline": read_column(row["headline"]), "parts": parts, "value": value}
    return Correction(**{**row, **more, "pictures": tuple(json.loads(row["pictures"]))})


def open_existing(folder: Path) -> CorrectionStore:
    """The corrections of a data folder, for a command that looks at them; none are made where there are none."""
    path = folder / FILE
    return CorrectionStore(path if path.exists() else None, 0)
