"""What the hub and its model processes, or replicas, say to each other. All can be pickled; both ends are ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from hub.errors import HubError
from hub.execution.executor import Computed, Work
from hub.settings import Settings
from hub.spec import Progress
from hub.texts import Sentence


class Line(Protocol):
    """What a worker hears and says all of this through: a connection, or what stands for one in a replica."""

    def recv(self) -> Any:
        """The next message; None: the hub leaves. Raises EOFError and OSError when it is gone."""

    def send(self, obj: Any, /) -> None:
        """Says it. Raises OSError when the hub is gone."""


# --- to a model process ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Begin:
    """The first message: what to serve, as one of so many processes that share this machine."""

    settings: Settings
    share: int
    outputs_bytes: int  # of what models made, kept for other parameters
    hung_s: float  # a pass that nobody waits for any more may go on so long


@dataclass(frozen=True, slots=True)
class Run:
    number: int
    work: Work


@dataclass(frozen=True, slots=True)
class Cancel:
    """Nobody wants this run any more."""

    number: int


@dataclass(frozen=True, slots=True)
class Ask:
    """A call of one of the functions that hub/execution/worker.py lists."""

    number: int
    function: str
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Threads:
    """Forward passes that begin from now on may use so many cores."""

    count: int


# --- from a model process -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Event:
    """What `Executor.compute` tells of a run as it happens."""

    number: int
    stage: str
    progress: Progress | None


@dataclass(frozen=True, slots=True)
class Answer:
    """The end of a run or a call."""

    number: int
    value: Computed | Any = None
    error: HubError | None = None


@dataclass(frozen=True, slots=True)
class Building:
    """A model that is being loaded, as hub/execution/construction.py has it."""

    key: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Pulse:
    """What others may want to know at any time; told when it changes."""

    loaded: frozenset[str]
    building: Building | None
    used_bytes: int
    warnings: tuple[Sentence, ...]
    is_hung: bool = False  # it ends as soon as what else it has in hand is over


@dataclass(frozen=True, slots=True)
class Counted:
    """A call of one of the functions of `RunMetrics`."""

    function: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class About:
    """Which replica of a cluster this is, and what it holds of its machine's memory."""

    replica: str
    node: str
    pid: int
    bytes: int
