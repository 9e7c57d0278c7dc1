"""The index of generated pictures, in SQLite. Files stay where they are; it can be made anew.

Words are looked for as they stand, anywhere: languages such as Chinese, Japanese and Thai put no spaces between them,
and an index of words, or of three letters, finds none of one or two. A look at 100,000 pictures takes some 40 ms.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from hub.database import Database, Tables, json_object
from hub.texts import sentence

RUNS_MOST = 20  # grids of one owner that a result is in; the oldest lose it
COLUMNS = (
    "id", "source", "result", "place", "demo", "prompt", "subject", "style", "seed", "weights", "digest", "run",
    "created", "width", "height", "caption", "parameters", "inputs",
)  # fmt: skip
# A row is a picture as one owner has it, in one grid of theirs: who else has the same result sees none of their words.
# This is version 2, which begins anew: what a file of version 1 held has no owners.
PICTURES = """
DROP TABLE IF EXISTS words;
DROP TABLE IF EXISTS pictures;
DROP TABLE IF EXISTS batches;
CREATE TABLE pictures (row INTEGER PRIMARY KEY, id TEXT, owner TEXT, source TEXT, result TEXT, place TEXT, demo TEXT,
  prompt TEXT, subject TEXT, style TEXT, seed INTEGER, weights TEXT, digest TEXT, run TEXT, created REAL, width INTEGER,
  height INTEGER, caption TEXT, parameters TEXT, inputs TEXT);
CREATE UNIQUE INDEX by_id ON pictures (id, owner, run);
CREATE INDEX by_time ON pictures (created DESC, row DESC);
CREATE INDEX by_run ON pictures (run, subject, style, seed);
CREATE INDEX by_result ON pictures (result);
CREATE TABLE batches (run TEXT PRIMARY KEY, offset INTEGER) WITHOUT ROWID;
"""
# Of version 3: what is searched stands in the row. Files of version 2 had an index of words.
WORDS = """
DROP TRIGGER IF EXISTS added;
DROP TRIGGER IF EXISTS removed;
DROP TABLE IF EXISTS words;
ALTER TABLE pictures ADD COLUMN words TEXT NOT NULL DEFAULT '';
UPDATE pictures SET words = searched(prompt, subject, style, demo, weights);
"""
STEPS = ("", PICTURES, WORDS)  # what brings a file from each version to the next
EMPTIED = 2  # a file of an older version has nothing in it when it is brought up to date
CANNOT = sentence("The gallery of this hub cannot be used")
SEARCHED = ("prompt", "subject", "style", "demo", "weights")
WORDS_MOST = 20  # of one query
MARKS = re.compile("[\u0300-\u036f]")  # accents of Latin, Greek and Cyrillic letters
FACETS = {"demo": "demo", "model": "weights || '@' || substr(digest, 1, 12)", "run": "run", "subject": "subject",
          "style": "style"}  # fmt: skip
FACET_MOST = 200
SINGLE = "single"  # what `run` is called for runs that are no grid's

SortOrder = Literal["new", "old", "seed"]
ORDERS: dict[SortOrder, str] = {
    "new": "created DESC, row DESC",
    "old": "created, row",
    "seed": "subject, style, seed, created, row",
}


@dataclass(frozen=True, slots=True)
class PictureRecord:
    """One generated picture. `place`: `<result>/<output>/<number>`, or its file in the folder of grids."""

    source: Literal["run", "batch"]
    result: str  # id of the result, or the cell of the grid
    place: str
    demo: str
    prompt: str
    subject: str
    style: str
    seed: int | None
    weights: str
    digest: str
    run: str  # the grid's; empty for a single run
    created: float  # seconds since the epoch
    width: int
    height: int
    caption: str
    parameters: Mapping[str, Any]  # all settings it was made with
    inputs: tuple[str, ...] = ()  # pictures it began from, by name: settings alone do not bring it back

    @property
    def id(self) -> str:
        return hashlib.sha256(f"{self.source}/{self.place}".encode()).hexdigest()[:24]

    def row(self) -> tuple[Any, ...]:
        parameters = json.dumps(self.parameters, ensure_ascii=False)
        values = {n: getattr(self, n) for n in COLUMNS} | {"parameters": parameters, "inputs": ",".join(self.inputs)}
        return tuple(values[name] for name in COLUMNS)


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks. Grids of the command and the flow are for all; what pages drew, single or as a grid, for nobody, its
    `owners`, or (`owners` None) for everyone."""

    singles: bool
    owners: tuple[str, ...] | None
    kept_from: tuple[str, ...] = ()  # slugs of pages that they do not see, whoever drew there

    def where(self, each_run: bool = False) -> tuple[str, list[Any]]:
        """Of several rows of one picture the newest; with `each_run` the newest of each grid."""
        where, values = self._where(each_run)
        if not self.kept_from:
            return where, values
        return f"({where} AND demo NOT IN ({','.join('?' * len(self.kept_from))}))", [*values, *self.kept_from]

    def _where(self, each_run: bool) -> tuple[str, list[Any]]:
        if not self.singles or self.owners == ():
            return "source = 'batch'", []
        run = "AND same.run = pictures.run" if each_run else ""
        newest = f"row = (SELECT max(row) FROM pictures AS same WHERE same.id = pictures.id {run}"
        if self.owners is None:
            return f"(source = 'batch' OR {newest}))", []
        mine = f"owner IN ({','.join('?' * len(self.owners))})"
        return f"(source = 'batch' OR {mine} AND {newest} AND same.{mine}))", [*self.owners, *self.owners]


ALL = Viewer(True, None)


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for; empty: anything. `since` and `until` are seconds since the epoch, `until` excluded."""

    text: str = ""
    demo: str = ""
    subject: str = ""
    style: str = ""
    seed: int | None = None
    model: str = ""  # name of weights, or name@digest
    run: str = ""
    result: str = ""
    since: float | None = None
    until: float | None = None
    ids: tuple[str, ...] = ()

    def where(self) -> tuple[str, list[Any]]:
        parts, values = list[str](), list[Any]()
        for name in ("demo", "subject", "style", "seed", "result"):
            value = getattr(self, name)
            if value not in ("", None):
                parts.append(f"{name} = ?")
                values.append(value)
        if self.model:
            name, _, digest = self.model.partition("@")
            parts.append("weights = ? AND substr(digest, 1, ?) = ?")
            values += [name, len(digest), digest]
        if self.run:
            parts.append("run = ?")
            values.append("" if self.run == SINGLE else self.run)
        for comparison, value in (("created >= ?", self.since), ("created < ?", self.until)):
            if value is not None:
                parts.append(comparison)
                values.append(value)
        if self.ids:
            parts.append(f"id IN ({','.join('?' * len(self.ids))})")
            values += self.ids
        # Accents alone fold to an empty text, which would match every picture: they are looked for as typed.
        for word in (folded(self.text).split() or self.text.split())[:WORDS_MOST]:
            parts.append("instr(words, ?)")
            values.append(word)
        return " AND ".join(parts) or "1", values


class PictureIndex:
    """The tables in one file, or in memory for this process where the file cannot be written."""

    def __init__(self, path: Path):
        self.database = Database(
            path,
            Tables(
                "the index of pictures",
                STEPS,
                ("journal_mode = WAL", "synchronous = NORMAL"),
                {"searched": searched},
                derived=True,
            ),
        )

    @property
    def fresh(self) -> bool:
        """It was made anew, at first or since: what exists has to be read again, and then `caught_up` to be called."""
        return self.database.version_before < EMPTIED

    def caught_up(self) -> None:
        self.database.version_before = len(STEPS)

    def close(self) -> None:
        self.database.close()

    def _changing(self) -> AbstractContextManager[sqlite3.Connection]:
        return self.database.change(sentence("The picture cannot be kept in the gallery"))

    def _ask(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self.database.ask(CANNOT, sql, values)

    # --- what is in it ----------------------------------------------------------------------------

    def add(self, entries: Iterable[PictureRecord], owner: str = "") -> None:
        """Keeps entries that their owner does not have yet."""
        query = "SELECT 1 FROM pictures WHERE id = ? AND owner = ?"
        with self._changing() as connection:
            fresh = [entry for entry in entries if not connection.execute(query, [entry.id, owner]).fetchone()]
            _insert(connection, fresh, owner)

    def assign(self, result: str, owner: str, run: str, subject: str, style: str) -> None:
        """Makes an owner's single result part of a grid that they drew on a page; it stays in others of theirs."""
        own, whose = "source = 'run' AND result = ? AND owner = ?", [result, owner]
        newest_runs = (
            f"SELECT run FROM pictures WHERE {own} AND run NOT IN ('', ?) GROUP BY run ORDER BY max(row) DESC "
            f"LIMIT {RUNS_MOST - 1}"
        )
        with self._changing() as connection:
            rows = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM pictures WHERE {own} ORDER BY row", whose)
            pictures = {entry.id: entry for entry in map(_entry, rows.fetchall())}
            connection.execute(
                f"DELETE FROM pictures WHERE {own} AND run NOT IN ({newest_runs})", [*whose, *whose, run]
            )
            labelled = [replace(entry, run=run, subject=subject, style=style) for entry in pictures.values()]
            _insert(connection, labelled, owner)

    def results(self) -> list[tuple[str, float]]:
        """Id and time of each single result in it."""
        return [(id, at) for id, at in self._ask("SELECT DISTINCT result, created FROM pictures WHERE source = 'run'")]

    def remove_results(self, ids: Collection[str], owner: str | None = None) -> list[str]:
        """Forgets single results, of one owner or (None) of all; returns the ids of pictures that nobody has now."""
        sql = "DELETE FROM pictures WHERE source = 'run' AND result = ? AND (? IS NULL OR owner = ?) RETURNING id"
        with self._changing() as connection:
            pictures = {picture for id in ids for (picture,) in connection.execute(sql, [id, owner, owner]).fetchall()}
            return [
                id for id in pictures if not connection.execute("SELECT 1 FROM pictures WHERE id = ?", [id]).fetchone()
            ]

    def batches(self) -> dict[str, int]:
        """How many bytes of each grid's manifest were read."""
        return dict(self._ask("SELECT run, offset FROM batches"))

    def add_batch(self, run: str, entries: Iterable[PictureRecord], offset: int) -> None:
        """More of a grid, whose manifest was read up to `offset`."""
        with self._changing() as connection:
            _insert(connection, entries)
            connection.execute("INSERT OR REPLACE INTO batches VALUES (?, ?)", [run, offset])

    def remove_batch(self, run: str) -> list[str]:
        """Forgets a grid; returns the ids of its pictures."""
        with self._changing() as connection:
            rows = connection.execute("DELETE FROM pictures WHERE source = 'batch' AND run = ? RETURNING id", [run])
            ids = [id for (id,) in rows.fetchall()]
            connection.execute("DELETE FROM batches WHERE run = ?", [run])
        return ids

    # --- what is looked for -----------------------------------------------------------------------

    def search(
        self, query: Query, viewer: Viewer, *, order: SortOrder = "new", limit: int = 60, offset: int = 0
    ) -> tuple[list[PictureRecord], int]:
        """Entries in order, at most `limit` after `offset`, and how many there are in all."""
        where, values = _both(query, viewer, each_run=bool(query.run))
        ((count,),) = self._ask(f"SELECT count(*) FROM pictures WHERE {where}", values)
        rows = self._ask(
            f"SELECT {', '.join(COLUMNS)} FROM pictures WHERE {where} ORDER BY {ORDERS[order]} LIMIT ? OFFSET ?",
            [*values, limit, offset],
        )
        return [_entry(row) for row in rows], int(count)

    def facets(self, viewer: Viewer) -> dict[str, list[dict[str, Any]]]:
        """The values there are of each filter, with counts: the most frequent, runs the newest first."""
        facets = {}
        for name, column in FACETS.items():
            where, values = viewer.where(each_run=name == "run")
            order = "max(created) DESC" if name == "run" else "count(*) DESC, 1"
            some = "weights <> ''" if name == "model" else f"{name} <> ''"
            rows = self._ask(
                f"SELECT {column}, count(*), max(created) FROM pictures WHERE {where} AND {some} GROUP BY 1 "
                f"ORDER BY {order} LIMIT {FACET_MOST}",
                values,
            )
            facets[name] = [{"value": value, "count": count, "latest": latest} for value, count, latest in rows]
        return facets

    def pairs(
        self, a: str, b: str, query: Query, viewer: Viewer, *, limit: int, offset: int
    ) -> tuple[list[tuple[PictureRecord, PictureRecord]], int]:
        """The pictures that two grids have of the same subject, style and seed, and how many such pairs there are."""
        (where, values), (visible, more) = _both(query, viewer, each_run=True), viewer.where(each_run=True)
        columns = ", ".join(f"{side}.{name}" for side in ("a", "b") for name in COLUMNS)
        both = (
            f"(SELECT * FROM pictures WHERE run = ? AND {where}) a JOIN (SELECT * FROM pictures WHERE run = ? AND "
            f"{visible}) b ON a.subject = b.subject AND a.style = b.style AND a.seed = b.seed"
        )
        ((count,),) = self._ask(f"SELECT count(*) FROM {both}", [a, *values, b, *more])
        rows = self._ask(
            f"SELECT {columns} FROM {both} ORDER BY a.subject, a.style, a.seed, a.row LIMIT ? OFFSET ?",
            [a, *values, b, *more, limit, offset],
        )
        size = len(COLUMNS)
        return [(_entry(row[:size]), _entry(row[size:])) for row in rows], int(count)


def _insert(connection: sqlite3.Connection, entries: Iterable[PictureRecord], owner: str = "") -> None:
    sql = f"INSERT OR IGNORE INTO pictures (owner, words, {', '.join(COLUMNS)}) VALUES (?, ?{', ?' * len(COLUMNS)})"
    connection.executemany(sql, [(owner, searched(*(getattr(e, n) for n in SEARCHED)), *e.row()) for e in entries])


def searched(*texts: str) -> str:
    """What words are looked for in."""
    return folded("\n".join(map(str, texts)))


def folded(text: str) -> str:
    """As it is searched: capital letters, accents, and full and half width make no difference."""
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return unicodedata.normalize("NFC", MARKS.sub("", apart))


def _both(query: Query, viewer: Viewer, each_run: bool) -> tuple[str, list[Any]]:
    (sought, values), (visible, more) = query.where(), viewer.where(each_run)
    return f"{sought} AND {visible}", [*values, *more]


def _entry(row: Sequence[Any]) -> PictureRecord:
    values = dict(zip(COLUMNS, row, strict=True))
    del values["id"]
    values["parameters"] = json_object(values["parameters"])
    values["inputs"] = tuple(filter(None, values["inputs"].split(",")))
    return PictureRecord(**values)
