"""What was run, by owner, in one SQLite file of the data folder, with the pictures that went in; bounded and private.

An owner is a browser session or a user, hashed. Who has no owner has no history. Several processes may use the file.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hub.database import Database, Tables, json_object, read_column
from hub.texts import sentence, to_column

FILE = "history.sqlite3"
MOST, MOST_OF_ONE = 100_000, 2_000  # entries of the hub, and of one owner; the oldest go first
PLACE_SHARE = 4  # all browsers of one address together have at most 1/4 of the hub's entries: cookies can be made up
THUMBNAILS_MOST = 20_000  # kept drawn; others are drawn again
CANNOT = sentence("The history of this hub cannot be used")
TABLES = """
CREATE TABLE run (
  id TEXT PRIMARY KEY, owner TEXT NOT NULL, result TEXT NOT NULL, page TEXT NOT NULL, state TEXT NOT NULL,
  begun REAL NOT NULL, took_ms REAL NOT NULL, cached INTEGER NOT NULL, times INTEGER NOT NULL, weights TEXT NOT NULL,
  digest TEXT NOT NULL, version TEXT NOT NULL, parameters TEXT NOT NULL, inputs TEXT NOT NULL,
  pictured INTEGER NOT NULL, headline TEXT NOT NULL, message TEXT NOT NULL, words TEXT NOT NULL);
CREATE INDEX run_of ON run (owner, begun DESC);
CREATE INDEX run_by_result ON run (result);
CREATE INDEX run_by_time ON run (begun);
CREATE TABLE used (run TEXT NOT NULL REFERENCES run(id) ON DELETE CASCADE, sha TEXT NOT NULL, PRIMARY KEY (run, sha))
  WITHOUT ROWID;
CREATE INDEX used_by ON used (sha);
CREATE TABLE picture (sha TEXT PRIMARY KEY, last REAL NOT NULL, bytes INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE thumbnail (run TEXT PRIMARY KEY REFERENCES run(id) ON DELETE CASCADE, data BLOB NOT NULL);
"""
# Of version 2: what is counted at each new run is kept as running totals, so that a long history is as quick as a short
# one; and a picture goes with the last run that used it, without a look at all others.
COUNTED = """
CREATE TABLE tally (of TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX picture_by_last ON picture (last);
INSERT INTO tally SELECT 'owner ' || owner, count(*) FROM run GROUP BY owner;
INSERT INTO tally SELECT 'runs', count(*) FROM run;
INSERT INTO tally SELECT 'pictures', count(*) FROM picture;
INSERT INTO tally SELECT 'bytes', coalesce(sum(bytes), 0) FROM picture;
INSERT INTO tally SELECT 'thumbnails', count(*) FROM thumbnail;
CREATE TRIGGER run_added AFTER INSERT ON run BEGIN
  INSERT INTO tally VALUES ('runs', 1) ON CONFLICT (of) DO UPDATE SET count = count + 1;
  INSERT INTO tally VALUES ('owner ' || new.owner, 1) ON CONFLICT (of) DO UPDATE SET count = count + 1; END;
CREATE TRIGGER run_gone AFTER DELETE ON run BEGIN
  UPDATE tally SET count = count - 1 WHERE of IN ('runs', 'owner ' || old.owner);
  DELETE FROM tally WHERE of = 'owner ' || old.owner AND count <= 0; END;
CREATE TRIGGER picture_added AFTER INSERT ON picture BEGIN
  UPDATE tally SET count = count + CASE of WHEN 'bytes' THEN new.bytes ELSE 1 END WHERE of IN ('pictures', 'bytes');
END;
CREATE TRIGGER picture_gone AFTER DELETE ON picture BEGIN
  UPDATE tally SET count = count - CASE of WHEN 'bytes' THEN old.bytes ELSE 1 END WHERE of IN ('pictures', 'bytes');
END;
CREATE TRIGGER thumbnail_added AFTER INSERT ON thumbnail BEGIN
  UPDATE tally SET count = count + 1 WHERE of = 'thumbnails'; END;
CREATE TRIGGER thumbnail_gone AFTER DELETE ON thumbnail BEGIN
  UPDATE tally SET count = count - 1 WHERE of = 'thumbnails'; END;
CREATE TRIGGER used_no_more AFTER DELETE ON used BEGIN
  DELETE FROM picture WHERE sha = old.sha AND NOT EXISTS (SELECT 1 FROM used WHERE sha = old.sha); END;
"""
# Of version 3: from where (the address, hashed; empty for users, who are never pushed out by strangers), with totals by
# place. Nobody knows any more from where the rows of before came: they count as one place of their own.
PLACED = """
ALTER TABLE run ADD COLUMN place TEXT NOT NULL DEFAULT 'before';
ALTER TABLE picture ADD COLUMN place TEXT NOT NULL DEFAULT 'before';
CREATE INDEX run_by_place ON run (place, begun);
CREATE INDEX picture_by_place ON picture (place, last);
CREATE TABLE place (name TEXT PRIMARY KEY, runs INTEGER NOT NULL, bytes INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX place_by_runs ON place (runs);
CREATE INDEX place_by_bytes ON place (bytes);
INSERT INTO place SELECT 'before', count(*), (SELECT coalesce(sum(bytes), 0) FROM picture) FROM run HAVING count(*) > 0;
CREATE TRIGGER run_placed AFTER INSERT ON run WHEN new.place <> '' BEGIN
  INSERT INTO place VALUES (new.place, 1, 0) ON CONFLICT (name) DO UPDATE SET runs = runs + 1; END;
CREATE TRIGGER run_moved AFTER UPDATE OF place ON run WHEN new.place <> old.place BEGIN
  UPDATE place SET runs = runs - 1 WHERE name = old.place;
  INSERT INTO place SELECT new.place, 1, 0 WHERE new.place <> '' ON CONFLICT (name) DO UPDATE SET runs = runs + 1; END;
CREATE TRIGGER run_left AFTER DELETE ON run BEGIN
  UPDATE place SET runs = runs - 1 WHERE name = old.place; END;
CREATE TRIGGER picture_placed AFTER INSERT ON picture WHEN new.place <> '' BEGIN
  INSERT INTO place VALUES (new.place, 0, new.bytes) ON CONFLICT (name) DO UPDATE SET bytes = bytes + new.bytes; END;
CREATE TRIGGER picture_moved AFTER UPDATE OF place ON picture WHEN new.place <> old.place BEGIN
  UPDATE place SET bytes = bytes - old.bytes WHERE name = old.place;
  INSERT INTO place SELECT new.place, 0, new.bytes WHERE new.place <> ''
    ON CONFLICT (name) DO UPDATE SET bytes = bytes + new.bytes; END;
CREATE TRIGGER picture_left AFTER DELETE ON picture BEGIN
  UPDATE place SET bytes = bytes - old.bytes WHERE name = old.place; END;
CREATE TRIGGER place_empty AFTER UPDATE ON place WHEN new.runs <= 0 AND new.bytes <= 0 BEGIN
  DELETE FROM place WHERE name = new.name; END;
"""
HISTORY = Tables(
    "the history",
    (TABLES, COUNTED, PLACED),
    (
        "auto_vacuum = FULL",  # the file becomes smaller, too
        "journal_mode = WAL",
        "synchronous = NORMAL",
        "foreign_keys = ON",
        "secure_delete = ON",  # what was deleted is not left in the file
    ),
    private=True,  # what people ran is theirs and the hub's
)

State = Literal["running", "done", "failed", "stopped"]
COLUMNS = (
    "id", "owner", "result", "page", "state", "begun", "took_ms", "cached", "times", "weights", "digest", "version",
    "parameters", "inputs", "pictured", "headline", "message", "place",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One run of one owner. An equal run later takes its place, and counts as another of its `times`."""

    id: str
    owner: str
    result: str  # id of the result; of a run that is in work or failed, the id it would have
    page: str
    state: State
    begun: float  # seconds since the epoch
    took_ms: float
    cached: bool  # a stored result was the answer
    times: int
    weights: str
    digest: str
    version: str  # of the page
    parameters: Mapping[str, Any]
    inputs: Mapping[str, str]  # sha256 of each picture that went in, by name of the input
    pictured: bool  # there is something to draw a thumbnail of
    headline: str
    message: str  # why it failed
    place: str = ""  # from where it was asked last: the address, hashed; empty: by a user


@dataclass(frozen=True, slots=True)
class Gone:
    """What is told of an entry that was deleted."""

    result: str
    page: str
    state: State


class HistoryStore:
    """The tables, in `path` or (None, or where that cannot be used) in memory. `limit_bytes` is for the pictures.

    Every method may raise StorageError.
    """

    def __init__(self, path: Path | None, limit_bytes: int):
        self.limit_bytes = limit_bytes
        self.database = Database(path, HISTORY)

    def close(self) -> None:
        self.database.close()

    # --- keeping and forgetting -------------------------------------------------------------------

    def add(self, entry: HistoryEntry, pictures: Mapping[str, bytes], words: str) -> None:
        """Keeps an entry in the place of an older one with its id. `pictures` by sha256, `words` to search in."""
        parameters, inputs = (json.dumps(dict(v), ensure_ascii=False) for v in (entry.parameters, entry.inputs))
        values = {name: getattr(entry, name) for name in COLUMNS} | {"parameters": parameters, "inputs": inputs}
        values |= {name: to_column(values[name]) for name in ("headline", "message")}
        with self._changing() as db:
            before = db.execute("SELECT times, state FROM run WHERE id = ?", (entry.id,)).fetchone()
            if before:
                values["times"] += before[0]
                if before[1] != entry.state:  # there is something else to show
                    db.execute("DELETE FROM thumbnail WHERE run = ?", (entry.id,))
            insert = f"INSERT INTO run ({', '.join(COLUMNS)}, words) VALUES ({', '.join('?' * (len(COLUMNS) + 1))})"
            assignments = ", ".join(f"{name} = excluded.{name}" for name in (*COLUMNS[4:], "words"))
            row = (*(values[name] for name in COLUMNS), words.casefold())
            db.execute(f"{insert} ON CONFLICT (id) DO UPDATE SET {assignments}", row)
            db.executemany("INSERT OR IGNORE INTO used VALUES (?, ?)", [(entry.id, sha) for sha in pictures])
            for sha, data in pictures.items():
                # What a user used is theirs, whoever has the same picture.
                use = "UPDATE picture SET last = ?, place = CASE place WHEN '' THEN '' ELSE ? END WHERE sha = ?"
                if not db.execute(use, (entry.begun, entry.place, sha)).rowcount:
                    values_of = (sha, entry.begun, len(data), data, entry.place)
                    db.execute("INSERT INTO picture (sha, last, bytes, data, place) VALUES (?, ?, ?, ?, ?)", values_of)
            self._trim(db, entry.owner, entry.place)

    def _trim(self, db: sqlite3.Connection, owner: str, place: str) -> None:
        """Drops what is over a bound, the oldest first; costs nothing where nothing is.

        Where the hub is full, it is the oldest of the place that has most, so that who makes up cookies pushes out
        nobody's but their own; of users only if nobody else has any.
        """
        counts = dict(db.execute("SELECT of, count FROM tally WHERE of IN ('runs', 'bytes', ?)", (f"owner {owner}",)))
        oldest = "DELETE FROM run WHERE id IN (SELECT id FROM run {} ORDER BY begun, id DESC LIMIT ?)"
        if (over := counts[f"owner {owner}"] - MOST_OF_ONE) > 0:
            db.execute(oldest.format("WHERE owner = ?"), (owner, over))
            counts["runs"] -= over
        of_place = db.execute("SELECT runs FROM place WHERE name = ?", (place,)).fetchone()
        if of_place and (over := of_place[0] - MOST // PLACE_SHARE) > 0:
            counts["runs"] -= db.execute(oldest.format("WHERE place = ?"), (place, over)).rowcount
        for _ in range(counts["runs"] - MOST):
            most = db.execute("SELECT name FROM place WHERE runs > 0 ORDER BY runs DESC LIMIT 1").fetchone()
            db.execute(oldest.format("WHERE place = ?" if most else ""), (*(most or ()), 1))
        oldest = "DELETE FROM picture WHERE sha = (SELECT sha FROM picture {} ORDER BY last LIMIT 1)"
        while _count(db, "bytes") > self.limit_bytes:
            most = db.execute("SELECT name FROM place WHERE bytes > 0 ORDER BY bytes DESC LIMIT 1").fetchone()
            if not db.execute(oldest.format("WHERE place = ?" if most else ""), most or ()).rowcount:
                break  # the totals of a damaged file would make this endless

    def remove(self, owner: str, ids: Sequence[str] | None) -> tuple[list[Gone], list[str]]:
        """Forgets these entries of an owner (None: all); returns them, and the results no history has any more."""
        sql = "DELETE FROM run WHERE owner = ? {} RETURNING result, page, state"
        with self._changing() as db:
            if ids is None:
                rows = db.execute(sql.format(""), (owner,)).fetchall()
            else:
                rows = [row for id in ids for row in db.execute(sql.format("AND id = ?"), (owner, id)).fetchall()]
            entries = [Gone(*row) for row in rows]
            of = "SELECT 1 FROM run WHERE result = ?"
            free = [r for r in dict.fromkeys(g.result for g in entries) if not db.execute(of, (r,)).fetchone()]
        if entries:
            self.database.shrink_log()
        return entries, free

    def remove_results(self, ids: Sequence[str]) -> None:
        """Forgets the entries of results that are kept no more; those that never had one stay."""
        there = [id for id in ids if self._ask("SELECT 1 FROM run WHERE result = ? AND state = 'done'", (id,))]
        if not there:  # most often: this is asked before each new run, and must not write then
            return
        with self._changing() as db:
            db.executemany("DELETE FROM run WHERE result = ? AND state = 'done'", [(id,) for id in there])

    def sweep(self, before: float) -> None:
        """Forgets what was run before that time."""
        with self._changing() as db:
            db.execute("DELETE FROM run WHERE begun < ?", (before,))

    # --- looking ----------------------------------------------------------------------------------

    def search(
        self, owner: str, text: str = "", page: str = "", limit: int = 60, offset: int = 0
    ) -> tuple[list[HistoryEntry], int]:
        """Entries of an owner, the newest first, and how many there are: of a page, with all words of `text`."""
        where, values = ["owner = ?"], list[Any]([owner])
        if page:
            where.append("page = ?")
            values.append(page)
        for word in text.casefold().split()[:20]:
            where.append("instr(words, ?)")
            values.append(word)
        both = " AND ".join(where)
        ((count,),) = self._ask(f"SELECT count(*) FROM run WHERE {both}", values)
        rows = self._ask(
            f"SELECT {', '.join(COLUMNS)} FROM run WHERE {both} ORDER BY begun DESC, id LIMIT ? OFFSET ?",
            [*values, limit, offset],
        )
        return [_entry(row) for row in rows], int(count)

    def pages(self, owner: str) -> list[tuple[str, int]]:
        """The pages an owner ran, with the number of entries, the most frequent first."""
        sql = "SELECT page, count(*) FROM run WHERE owner = ? GROUP BY page ORDER BY count(*) DESC, page"
        return [(page, count) for page, count in self._ask(sql, [owner])]

    def get(self, owner: str, id: str) -> HistoryEntry | None:
        rows = self._ask(f"SELECT {', '.join(COLUMNS)} FROM run WHERE owner = ? AND id = ?", [owner, id])
        return _entry(rows[0]) if rows else None

    def picture(self, sha: str) -> bytes | None:
        rows = self._ask("SELECT data FROM picture WHERE sha = ?", [sha])
        return bytes(rows[0][0]) if rows else None

    def results(self) -> list[tuple[str, float]]:
        """Each result that an entry has, and when that was last run."""
        return self._ask("SELECT result, max(begun) FROM run WHERE state = 'done' GROUP BY result")

    def owners(self) -> list[tuple[str, int, float]]:
        """Each owner, its number of entries, and the time of the newest; for who has the machine."""
        return self._ask("SELECT owner, count(*), max(begun) FROM run GROUP BY owner ORDER BY 3 DESC")

    def stats(self) -> dict[str, int]:
        """Counts and bytes."""
        counts = dict(self._ask("SELECT of, count FROM tally WHERE of IN ('runs', 'pictures', 'bytes')"))
        return {"entries": counts["runs"], "pictures": counts["pictures"], "picture_bytes": counts["bytes"]}

    # --- thumbnails -------------------------------------------------------------------------------

    def thumbnail(self, id: str) -> bytes | None:
        rows = self._ask("SELECT data FROM thumbnail WHERE run = ?", [id])
        return bytes(rows[0][0]) if rows else None

    def set_thumbnail(self, id: str, data: bytes) -> None:
        """Keeps what was drawn; not of an entry that went meanwhile."""
        with self._changing() as db:
            db.execute("DELETE FROM thumbnail WHERE run = ?", (id,))
            db.execute("INSERT INTO thumbnail SELECT id, ? FROM run WHERE id = ?", (data, id))
            if (over := _count(db, "thumbnails") - THUMBNAILS_MOST) > 0:
                oldest = "SELECT rowid FROM thumbnail ORDER BY rowid LIMIT ?"
                db.execute(f"DELETE FROM thumbnail WHERE rowid IN ({oldest})", (over,))

    # --- the file ---------------------------------------------------------------------------------

    def _changing(self) -> AbstractContextManager[sqlite3.Connection]:
        return self.database.change(sentence("The run cannot be kept in the history"))

    def _ask(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        return self.database.ask(CANNOT, sql, values)


def _count(db: sqlite3.Connection, of: str) -> int:
    return int(db.execute("SELECT count FROM tally WHERE of = ?", (of,)).fetchone()[0])


def _entry(row: Sequence[Any]) -> HistoryEntry:
    values = dict(zip(COLUMNS, row, strict=True))
    for name in ("parameters", "inputs"):
        values[name] = json_object(values[name])
    for name in ("cached", "pictured"):
        values[name] = bool(values[name])
    for name in ("headline", "message"):
        values[name] = read_column(values[name])
    return HistoryEntry(**values)
