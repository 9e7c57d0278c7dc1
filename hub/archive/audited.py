"""Tells the audit log of runs: who ran which page, and how it ended. And its lines as documents and as tables."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any

from cachetools import TTLCache

from hub.archive import spreadsheets
from hub.engine.jobs import Job
from hub.errors import HubError
from hub.people.audit import OK, Audit, Line
from hub.results.result import Result

SUBJECT_CHARS = 12  # of a result's id: who knows all of it may ask for the result
CAMERA_S, CAMERAS = 600.0, 4096  # a camera's frames are one line in so many seconds
COLUMNS = tuple(field.name for field in fields(Line))


class Audited:
    """Hears of runs. The hub's own work is nobody's, and the pictures of a job were asked for together."""

    def __init__(self, audit: Audit):
        self._audit = audit
        self._lock = threading.Lock()  # guards _cameras; taken alone
        self._cameras: TTLCache[tuple[str, str], None] = TTLCache(CAMERAS, CAMERA_S, time.monotonic)

    def begun(self, job: Job) -> None:
        """Nothing to do: a line says how a run ended."""

    def ended(self, job: Job, outcome: Result | HubError) -> None:
        """A line, unless it is one of many that say the same."""
        if job.background or job.kind == "batch" or (job.caller is None and not job.owner.is_machine):
            return
        if job.live and not self._is_first(job):
            return
        code = outcome.code if isinstance(outcome, HubError) else OK
        subject = "" if job.live else job.id[:SUBJECT_CHARS]
        self._audit.note_of(job.caller, "run", page=job.page.slug, subject=subject, outcome=code)

    def gone(self, id: str) -> None:
        """What was done stays in the log, with a few letters of what it was done to."""

    def close(self) -> None:
        """The log is the hub's, which closes it last."""

    def _is_first(self, job: Job) -> bool:
        key = (job.owner.id, job.page.slug)
        with self._lock:
            is_first = key not in self._cameras
            self._cameras[key] = None
        return is_first


def line_to_json(line: Line) -> dict[str, Any]:
    """A line of the log, with its time in words that programs read."""
    return {**asdict(line), "at": datetime.fromtimestamp(line.at, UTC).isoformat(timespec="seconds")}


def to_csv(lines: Iterable[Line]) -> str:
    """The lines as a table."""
    file = io.StringIO()
    rows = ({name: str(value) for name, value in line_to_json(line).items()} for line in lines)
    spreadsheets.write(file, COLUMNS, rows)
    return file.getvalue()
