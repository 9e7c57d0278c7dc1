"""What is kept of a job, and of each picture of a batch, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["run", "batch"]
State = Literal["queued", "running", "done", "failed", "cancelled"]
RowState = Literal["waiting", "done", "failed"]
ENDED: tuple[State, ...] = ("done", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong, as an error says it."""

    status: int
    code: str
    title: str
    detail: str
    field: str = ""


@dataclass(frozen=True, slots=True)
class StoredJob:
    """One job. Whoever knows its id may look at it; whose it is, `owner` says, as stores know callers."""

    id: str
    kind: Kind
    page: str
    state: State
    owner: str
    place: str
    session: str
    source: str
    lasting: bool
    weak: bool
    parameters: Mapping[str, Any]  # checked, with `weights` and the seed that was drawn
    inputs: Mapping[str, str]  # of a run: files of its pictures in the job's folder, by name of the input
    bytes: int  # of its folder
    created: float  # seconds since the epoch, as are the two below
    begun: float = 0.0
    ended: float = 0.0
    starts: int = 0  # how often it was begun since it last got on
    total: int = 1
    result: str = ""  # id, of a run that is done
    problem: Problem | None = None
    key: str = ""  # the caller's own, by which asking twice is asking once
    digest: str = ""  # of what was asked for
    labelled: bool = False  # what is true of its pictures is known
    webhook: str = ""
    tries: int = 0  # to tell the webhook
    due: float = 0.0  # when it is told next; 0: never

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED


@dataclass(frozen=True, slots=True)
class Reading:
    """What the answer to one picture says, for a row of the table."""

    headline: str = ""
    answer: str = ""  # the likeliest label, or those that are picked; empty: the page names none
    probability: float | None = None  # of that label
    unsure: float | None = None  # more is less sure; None: the answer does not tell
    names: tuple[str, ...] = ()  # labels, each for itself
    numbers: Mapping[str, float] = field(default_factory=dict)
    measured: Mapping[str, Any] = field(default_factory=dict)  # against a true mask, points or boxes: see measured.py


@dataclass(frozen=True, slots=True)
class Row:
    """One picture of a batch."""

    number: int  # from 1
    name: str
    file: str = ""  # in the job's folder; with a `#` behind it the place in a ZIP
    truth: str = ""  # what is true of it, where that is known
    state: RowState = "waiting"
    result: str = ""
    reading: Reading = Reading()
    problem: str = ""  # why it has no answer, or why that was not held against what is true
    against: str = ""  # a true mask, as `file`, or true points or boxes as JSON
