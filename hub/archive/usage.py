"""Usage: how often pages were run, by day and kind of caller, and how long it took. Nothing of anybody is kept.

Counts wait in memory for a moment and are then added to one small table, which several processes may share.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hub.database import Database, Tables
from hub.errors import HubError
from hub.texts import sentence

log = logging.getLogger(__name__)
FILE = "usage.sqlite3"
EVERY_S = 20.0  # so long counts wait: what a kill may lose
DAYS_MOST = 366  # older ones are dropped
LOADS = "load"  # in the place of an outcome: a model was loaded
GROWTH = 1.2  # times are counted in steps, each so much longer than the one before
STEPS = 100  # the last is everything from a day on
CANNOT = sentence("The usage cannot be kept")
USAGE = Tables(
    "the usage",
    (
        """CREATE TABLE usage (
  day TEXT NOT NULL, page TEXT NOT NULL, caller TEXT NOT NULL, outcome TEXT NOT NULL, step INTEGER NOT NULL,
  count INTEGER NOT NULL, PRIMARY KEY (day, page, caller, outcome, step)) WITHOUT ROWID;
""",
    ),
    ("journal_mode = WAL", "synchronous = NORMAL"),
)
ADD = """INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET count = count + excluded.count"""


@dataclass(frozen=True, slots=True)
class Counted:
    """So many runs (or loads of models) of one kind on one day that took about equally long."""

    day: str
    page: str  # empty for loads
    caller: str
    outcome: str  # computed, hit, shared, background, load, or the code of an error
    step: int
    count: int


class Usage:
    """Hears of runs and loads. `path` None: the counts are kept in memory only, in as many rows."""

    def __init__(self, path: Path | None, clock: Callable[[], float] = time.time):
        self._path, self._clock = path, clock
        # Guards _new, _database and _timer. Never held while SQLite works.
        self._lock = threading.Lock()
        # One at a time writes; taken before the other.
        self._writing = threading.Lock()
        self._new = Counter[tuple[str, str, str, str, int]]()
        self._database: Database | None = None
        self._timer: threading.Timer | None = None
        self._is_closed = False

    def run_ended(self, page: str, caller: str, outcome: str, seconds: float) -> None:
        """A run was answered, or failed with the error of this code."""
        self._count(page, caller, outcome, seconds)

    def model_loaded(self, seconds: float) -> None:
        """A model was brought into memory."""
        self._count("", "", LOADS, seconds)

    def rows(self, days: int) -> list[Counted]:
        """All counts of the last `days` days, today's included. Raises StorageError."""
        self._write()
        first = self._day(days - 1)
        sql = "SELECT day, page, caller, outcome, step, count FROM usage WHERE day >= ? ORDER BY day"
        return [Counted(*row) for row in self._open().ask(CANNOT, sql, (first,))]

    def today(self) -> str:
        return self._day(0)

    def close(self) -> None:
        """Adds what waits to the table."""
        with self._lock:
            self._is_closed = True
            timer, opened = self._timer, self._database
        if timer is not None:
            timer.cancel()
            self._write_quietly()
        with self._lock:
            opened, self._database = self._database, None
        if opened is not None:
            opened.close()

    def _count(self, page: str, caller: str, outcome: str, seconds: float) -> None:
        with self._lock:
            self._new[self._day(0), page, caller, outcome, step_of(seconds)] += 1
            if self._timer is None and not self._is_closed:
                self._timer = threading.Timer(EVERY_S, self._write_quietly)
                self._timer.daemon = True
                self._timer.start()

    def _write_quietly(self) -> None:
        try:
            self._write()
        except HubError as error:
            log.warning("%s", error.message)

    def _write(self) -> None:
        with self._writing:
            with self._lock:
                new, self._new, self._timer = self._new, Counter(), None
            if not new:
                return
            with self._open().change(CANNOT) as db:
                db.executemany(ADD, ((*key, count) for key, count in new.items()))
                db.execute("DELETE FROM usage WHERE day < ?", (self._day(DAYS_MOST),))

    def _open(self) -> Database:
        """The table, opened when it is first needed: a command that runs nothing makes no file."""
        with self._lock:
            if self._database is None:
                self._database = Database(self._path, USAGE)
            return self._database

    def _day(self, ago: int) -> str:
        return (datetime.fromtimestamp(self._clock(), UTC) - timedelta(days=ago)).date().isoformat()


def step_of(seconds: float) -> int:
    """In which step a time is counted: the first is a millisecond."""
    return min(STEPS - 1, max(0, math.ceil(math.log(max(seconds, 0.001) / 0.001, GROWTH))))


def seconds_of(step: int) -> float:
    """The longest time that is counted in a step."""
    return float(0.001 * GROWTH**step)
