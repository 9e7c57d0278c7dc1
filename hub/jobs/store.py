"""Jobs and the pictures of batches, in one SQLite file of the data folder. Several processes may use it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from hub.database import Database, Tables, json_object
from hub.jobs.records import Kind, Problem, Row, StoredJob
from hub.texts import sentence

FILE = "jobs.sqlite3"
CANNOT = sentence("The jobs of this hub cannot be used")
TABLES = """
CREATE TABLE job (
  id TEXT PRIMARY KEY, kind TEXT NOT NULL, page TEXT NOT NULL, state TEXT NOT NULL, owner TEXT NOT NULL,
  place TEXT NOT NULL, session TEXT NOT NULL, source TEXT NOT NULL, lasting INTEGER NOT NULL, weak INTEGER NOT NULL,
  parameters TEXT NOT NULL, inputs TEXT NOT NULL, bytes INTEGER NOT NULL, created REAL NOT NULL, begun REAL NOT NULL,
  ended REAL NOT NULL, starts INTEGER NOT NULL, total INTEGER NOT NULL, result TEXT NOT NULL, problem TEXT NOT NULL,
  key TEXT NOT NULL, digest TEXT NOT NULL, labelled INTEGER NOT NULL, webhook TEXT NOT NULL, tries INTEGER NOT NULL,
  due REAL NOT NULL);
CREATE INDEX job_by_state ON job (state, kind, created);
CREATE INDEX job_of ON job (owner, created DESC);
CREATE INDEX job_by_end ON job (ended) WHERE ended > 0;
CREATE INDEX job_due ON job (due) WHERE due > 0;
CREATE UNIQUE INDEX job_by_key ON job (owner, key) WHERE key <> '';
CREATE TABLE picture (
  job TEXT NOT NULL REFERENCES job(id) ON DELETE CASCADE, number INTEGER NOT NULL, name TEXT NOT NULL,
  file TEXT NOT NULL, truth TEXT NOT NULL, state TEXT NOT NULL, result TEXT NOT NULL, headline TEXT NOT NULL,
  answer TEXT NOT NULL, probability REAL, unsure REAL, names TEXT NOT NULL, numbers TEXT NOT NULL,
  problem TEXT NOT NULL, PRIMARY KEY (job, number)) WITHOUT ROWID;
CREATE INDEX picture_by_state ON picture (job, state);
CREATE TABLE pace (page TEXT PRIMARY KEY, seconds REAL NOT NULL, load_s REAL NOT NULL) WITHOUT ROWID;
"""
TRUE_MASKS = """
ALTER TABLE picture ADD COLUMN against TEXT NOT NULL DEFAULT '';
ALTER TABLE picture ADD COLUMN measured TEXT NOT NULL DEFAULT '{}';
"""
JOBS = Tables(
    "the jobs",
    (TABLES, TRUE_MASKS),
    (
        "auto_vacuum = FULL",
        "journal_mode = WAL",
        "synchronous = FULL",  # what was promised is there after a power cut, too
        "foreign_keys = ON",
        "secure_delete = ON",
    ),
    private=True,
)
# Turns go round by account or address, then by caller: whoever has much waiting has one turn a round. `ahead` counts
# what of the same source is in work already.
QUEUE = """
SELECT {columns} FROM (
  SELECT *, row_number() OVER (PARTITION BY source ORDER BY of_caller, created, id)
    + (SELECT count(*) FROM job AS busy WHERE busy.state = 'running' AND busy.kind = waiting.kind
       AND busy.source = waiting.source) AS turn
  FROM (SELECT *, row_number() OVER (PARTITION BY source, owner ORDER BY created, id) AS of_caller
        FROM job WHERE state = 'queued' AND kind = ?) AS waiting)
ORDER BY turn, created, id
"""
COLUMNS = tuple(one.name for one in fields(StoredJob))
PLACEHOLDERS = ", ".join("?" * len(COLUMNS))


class JobStore:
    """The table of jobs, in `path`. Every method may raise StorageError."""

    def __init__(self, path: Path):
        self.database = Database(path, JOBS)

    def close(self) -> None:
        self.database.close()

    # --- asking for one ---------------------------------------------------------------------------

    def add(self, job: StoredJob, rows: Iterable[Row] = ()) -> None:
        """Keeps a new job, and its pictures that wait: all of it or nothing."""
        values = ((job.id, row.number, row.name, row.file, row.truth, row.against) for row in rows)
        with self.database.change(CANNOT) as db:
            db.execute(f"INSERT INTO job ({', '.join(COLUMNS)}) VALUES ({PLACEHOLDERS})", _values(job))
            db.executemany(
                "INSERT INTO picture (job, number, name, file, truth, against, state, result, headline, answer, names, "
                "numbers, problem) VALUES (?, ?, ?, ?, ?, ?, 'waiting', '', '', '', '[]', '{}', '')", values,
            )  # fmt: skip

    def get(self, id: str) -> StoredJob | None:
        return next(self._jobs("WHERE id = ?", (id,)), None)

    def by_key(self, owner: str, key: str) -> StoredJob | None:
        """The job that a caller asked for by this key before."""
        return next(self._jobs("WHERE owner = ? AND key = ?", (owner, key)), None)

    def of_owner(self, owner: str, most: int) -> list[StoredJob]:
        """The newest jobs of a caller, the newest first."""
        return [*self._jobs("WHERE owner = ? ORDER BY created DESC, id LIMIT ?", (owner, most))]

    def waiting_of(self, owner: str, source: str) -> tuple[int, int, int]:
        """Jobs that wait or are in work: of this caller, of this account or address, of all."""
        sql = (
            "SELECT coalesce(sum(owner = ?), 0), coalesce(sum(source = ?), 0), count(*) FROM job "
            "WHERE state IN ('queued', 'running')"
        )
        own, of_source, count = self.database.ask(CANNOT, sql, (owner, source))[0]
        return own, of_source, count

    def kept_bytes(self) -> int:
        """What the folders of all jobs hold."""
        return int(self.database.ask(CANNOT, "SELECT coalesce(sum(bytes), 0) FROM job")[0][0])

    def ids(self) -> set[str]:
        """Of all jobs that there are."""
        return {id for (id,) in self.database.ask(CANNOT, "SELECT id FROM job")}

    # --- doing it ---------------------------------------------------------------------------------

    def queue(self, kind: Kind) -> list[StoredJob]:
        """What waits, the next first."""
        rows = self.database.ask(CANNOT, QUEUE.format(columns=", ".join(COLUMNS)), (kind,))
        return [_job(row) for row in rows]

    def in_work(self) -> list[StoredJob]:
        """What is being done now."""
        return [*self._jobs("WHERE state = 'running' ORDER BY begun, id")]

    def claim(self, kind: Kind) -> StoredJob | None:
        """The next job, which is in work from now on; None: nothing waits."""
        sql = f"UPDATE job SET state = 'running', begun = ?, starts = starts + 1 WHERE id = ({QUEUE} LIMIT 1)"
        with self.database.change(CANNOT) as db:
            returning = f"{sql.format(columns='id')} RETURNING {', '.join(COLUMNS)}"
            row = db.execute(returning, (time.time(), kind)).fetchone()
        return _job(row) if row else None

    def requeue(self, ids: Sequence[str] | None = None) -> int:
        """Jobs that were in work and are not any more wait again; returns how many.

        `ids` are those that were left in good order, which counts as no start; None: all, whatever became of their hub.
        """
        sql = "UPDATE job SET state = 'queued'{} WHERE state = 'running'{}"
        with self.database.change(CANNOT) as db:
            if ids is None:
                return db.execute(sql.format("", "")).rowcount
            return sum(db.execute(sql.format(", starts = starts - 1", " AND id = ?"), (id,)).rowcount for id in ids)

    def end(
        self, id: str, state: str, *, result: str = "", problem: Problem | None = None, freed: bool = False
    ) -> bool:
        """A job has ended, unless it had before, which is told. `freed`: its folder is not needed any more."""
        now = time.time()
        text = json.dumps(asdict(problem)) if problem else ""
        sql = (
            "UPDATE job SET state = ?, ended = ?, result = ?, problem = ?, "
            "due = CASE webhook WHEN '' THEN 0 ELSE ? END, bytes = CASE ? WHEN 1 THEN 0 ELSE bytes END "
            "WHERE id = ? AND state IN ('queued', 'running')"
        )
        with self.database.change(CANNOT) as db:
            return bool(db.execute(sql, (state, now, result, text, now, int(freed), id)).rowcount)

    # --- after it ---------------------------------------------------------------------------------

    def oldest_ended(self) -> StoredJob | None:
        """Of those that still hold something, to make room."""
        return next(self._jobs("WHERE ended > 0 AND bytes > 0 ORDER BY ended LIMIT 1"), None)

    def free(self, id: str) -> None:
        """What a job was given is not kept any more."""
        with self.database.change(CANNOT) as db:
            db.execute("UPDATE job SET bytes = 0 WHERE id = ?", (id,))

    def remove(self, id: str) -> None:
        with self.database.change(CANNOT) as db:
            db.execute("DELETE FROM job WHERE id = ?", (id,))

    def ended_before(self, when: float) -> list[str]:
        """Ids of jobs that ended before a time."""
        return [id for (id,) in self.database.ask(CANNOT, "SELECT id FROM job WHERE ended > 0 AND ended < ?", (when,))]

    def due(self) -> list[StoredJob]:
        """Jobs whose webhook is to be told now."""
        return [*self._jobs("WHERE due > 0 AND due <= ? ORDER BY due LIMIT 20", (time.time(),))]

    def told(self, id: str, tries: int, due: float) -> None:
        """A webhook was told, or could not be; it is again when it is `due`, 0: never."""
        with self.database.change(CANNOT) as db:
            db.execute("UPDATE job SET tries = ?, due = ? WHERE id = ?", (tries, due, id))

    # --- how long things take ---------------------------------------------------------------------

    def paces(self) -> dict[str, tuple[float, float]]:
        """By page: seconds of a run, seconds of a load."""
        return {page: (run_s, load_s) for page, run_s, load_s in self.database.ask(CANNOT, "SELECT * FROM pace")}

    def keep_paces(self, paces: Mapping[str, tuple[float, float]]) -> None:
        with self.database.change(CANNOT) as db:
            db.executemany("INSERT OR REPLACE INTO pace VALUES (?, ?, ?)", [(p, *both) for p, both in paces.items()])

    def _jobs(self, rest: str, values: Sequence[Any] = ()) -> Iterator[StoredJob]:
        rows = self.database.ask(CANNOT, f"SELECT {', '.join(COLUMNS)} FROM job {rest}", values)
        return (_job(row) for row in rows)


def _values(job: StoredJob) -> list[Any]:
    values = {name: getattr(job, name) for name in COLUMNS}
    for name in ("parameters", "inputs"):
        values[name] = json.dumps(dict(values[name]), ensure_ascii=False)
    values["problem"] = json.dumps(asdict(job.problem)) if job.problem else ""
    return [*values.values()]


def _job(row: Sequence[Any]) -> StoredJob:
    values = dict(zip(COLUMNS, row, strict=True))
    for name in ("parameters", "inputs"):
        values[name] = json_object(values[name])
    for name in ("lasting", "weak", "labelled"):
        values[name] = bool(values[name])
    problem = json_object(values["problem"]) if values["problem"] else {}
    values["problem"] = Problem(**problem) if problem else None
    return StoredJob(**values)
