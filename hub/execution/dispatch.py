"""Which run goes to which host of models, and when: places, turns, and what each host has to do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from cachetools import LRUCache

from hub.errors import CancelledError, DeadlineError, HubError
from hub.execution.executor import Computed, Flag, Waiting, Work
from hub.execution.hosts.host import Host
from hub.execution.leases import model_key
from hub.execution.turns import Turns

LONG_S = 2.0  # runs that take so long leave one process to the others
LOAD_S = 2.0  # about what it costs to bring a model into one more process
UNKNOWN_S = 0.2  # what a page's run takes before one was seen
FADE = 0.7  # what was measured before counts so much
REMEMBERED = 2_000  # pictures of which it is known where they went

LOOK_S = 0.25  # between two looks whether a run is still wanted

H = TypeVar("H", bound=Host)


@dataclass(slots=True, eq=False)
class Ticket(Generic[H]):
    """A run that waits for a place, or has one."""

    slug: str
    key: str  # of its model
    path: tuple[str, str, str]
    refused: frozenset[H]  # where it was lost before
    given: tuple[object, ...] = ()  # its model and pictures; empty: it has none, or nothing of them is kept
    granted: threading.Event = field(default_factory=threading.Event)
    process: H | None = None
    since: float = 0.0  # when it got its place
    error: HubError | None = None  # there will be no place


class Dispatch(Generic[H]):
    """Hands out places in hosts, such as processes. `most`: runs in one at once; `cores` are shared by those at work.

    `warm(process, key, slug)` is called, with no lock held, where a model would do well in one more process.
    """

    def __init__(self, most: int, cores: int, warm: Callable[[H, Ticket[H]], None]):
        self._most, self._cores, self._warm = most, cores, warm
        # Guards all below. Never held while a process is waited for.
        self._lock = threading.Lock()
        self._turns: Turns[Ticket[H]] = Turns()
        self._at_work: dict[H, list[Ticket[H]]] = {}
        self._seconds: dict[str, float] = {}  # what a run of a page takes
        self._closed: HubError | None = None
        # Where a model saw some pictures last: its output may still be there, and need not be computed again.
        self._went: LRUCache[tuple[object, ...], H] = LRUCache(REMEMBERED)

    # --- processes --------------------------------------------------------------------------------

    def add(self, process: H) -> None:
        """It takes runs from now on."""
        with self._lock:
            self._at_work[process] = []
        self._grant()

    def remove(self, process: H) -> bool:
        """It takes none any more. False: it took none before."""
        with self._lock:
            removed = self._at_work.pop(process, None) is not None
        self._grant()
        return removed

    def refuse_all(self, error: HubError) -> None:
        """Whoever waits, now or later, is told this."""
        with self._lock:
            self._closed, waiting = error, list(self._turns)
            for ticket in waiting:
                self._turns.remove(ticket.path, ticket)
                ticket.error = error
                ticket.granted.set()

    @property
    def is_crowded(self) -> bool:
        """Whether one process more would have something to do: a long run that is alone needs none."""
        with self._lock:
            return bool(self._turns) or (
                sum(map(len, self._at_work.values())) > 1
                and all(len(at_work) > 1 or self._has_long(p) for p, at_work in self._at_work.items())
            )

    def in_work(self, process: H) -> int:
        """How many runs have a place in a process."""
        with self._lock:
            return len(self._at_work.get(process, ()))

    # --- runs -------------------------------------------------------------------------------------

    @contextmanager
    def place(self, work: Work, refused: frozenset[H], left_s: Callable[[], float], cancel: Flag) -> Iterator[H]:
        """Waits for the run's turn and a place. Raises CancelledError, DeadlineError, and what `refuse_all` says."""
        key = model_key(work.model_slug, work.weights, work.digest)
        given = () if work.live or not work.pictures else (key, *map(hash, work.pictures.values()))
        ticket = Ticket(work.slug, key, (*work.asker, work.slug), refused, given)
        with self._lock:
            if self._closed:
                raise self._closed
            self._turns.add(ticket.path, ticket)
        self._grant()
        try:
            while not ticket.granted.wait(max(0.0, min(LOOK_S, left_s()))):
                if cancel.is_set():
                    raise CancelledError("The run was cancelled.")
                if left_s() <= 0:
                    raise DeadlineError("There was no place for this run in time. Try again in a moment.")
                self._grant()  # what became long meanwhile may have changed whose turn it is
            if ticket.error:
                raise ticket.error
            assert ticket.process is not None
            yield ticket.process
        finally:
            self._leave(ticket)

    def waiting(self, path: tuple[str, str, str]) -> Waiting | None:
        """The first run under a path that waits, by what those before it and at work are expected to take."""
        with self._lock:
            waiting = list(self._turns)
            at = next((at for at, ticket in enumerate(waiting) if ticket.path == path), None)
            if at is None:
                return None
            busy = [self._expected_s(ticket) for at_work in self._at_work.values() for ticket in at_work]
            before = [self._seconds.get(ticket.slug, UNKNOWN_S) for ticket in waiting[:at]]
            return Waiting(at + 1, round(sum((*busy, *before)) / max(1, len(self._at_work)), 1))

    def learn(self, slug: str, computed: Computed) -> None:
        """What a run took, without the wait for its turn and its model."""
        one = computed.prepare_ms + computed.infer_ms / max(1, computed.batch_size) + computed.present_ms
        with self._lock:
            before = self._seconds.get(slug)
            self._seconds[slug] = one / 1000 if before is None else FADE * before + (1 - FADE) * one / 1000

    def _leave(self, ticket: Ticket[H]) -> None:
        with self._lock:
            if ticket.process is not None:
                at_work = self._at_work.get(ticket.process, [])
                if ticket in at_work:
                    at_work.remove(ticket)
            elif ticket.error is None:
                self._turns.remove(ticket.path, ticket)
        self._grant()

    def _grant(self) -> None:
        """Gives free places to those whose turn it is."""
        warm: list[tuple[H, Ticket[H]]] = []
        with self._lock:
            granted = True
            while granted:
                granted = False
                for ticket in self._turns:
                    process = self._choose(ticket)
                    if process is not None:
                        self._turns.remove(ticket.path, ticket, had_turn=True)
                        ticket.process, ticket.since = process, time.monotonic()
                        if ticket.given:
                            self._went[ticket.given] = process
                        self._at_work[process].append(ticket)
                        warm += ((other, ticket) for other in self._would_help(process, ticket))
                        ticket.granted.set()
                        granted = True
                        break
            self._share_cores()
        for process, ticket in warm:
            self._warm(process, ticket)

    def _choose(self, ticket: Ticket[H]) -> H | None:
        """The process with room that will be done first; None: it has to wait."""
        room = [p for p, at_work in self._at_work.items() if len(at_work) < self._most and p.is_alive]
        if self._is_long(ticket) and len(self._at_work) > 1:
            # Runs that take long never have all processes, so that the others find one that is quick.
            free = [p for p in self._at_work if not self._has_long(p)]
            room = [p for p in room if p not in free or len(free) > 1]
        if self._is_long(ticket):
            # Nor does one caller have all places of a process for a long time, while it could wait with the others.
            room = [p for p in room if self._in_hand(p, ticket.path) < max(1, self._most // 2)]
        room = [p for p in room if p not in ticket.refused] or room
        if (kept := self._went.get(ticket.given)) in room:
            return kept
        # Among equals the one with fewest models, so that pages are spread and one does not wait for another.
        return min(room, key=lambda p: (self._cost(p, ticket), len(p.pulse.loaded)), default=None)

    def _in_hand(self, process: H, path: tuple[str, str, str]) -> int:
        """Places that an account or address has in a process."""
        return sum(other.path[0] == path[0] for other in self._at_work[process])

    def _cost(self, process: H, ticket: Ticket[H]) -> float:
        load_s = 0.0 if ticket.key in process.pulse.loaded else LOAD_S
        return load_s + sum(self._expected_s(other) for other in self._at_work[process])

    def _expected_s(self, ticket: Ticket[H]) -> float:
        known = self._seconds.get(ticket.slug, UNKNOWN_S)
        return max(known, time.monotonic() - ticket.since)  # what takes longer than thought will take longer still

    def _is_long(self, ticket: Ticket[H]) -> bool:
        return self._seconds.get(ticket.slug, 0.0) >= LONG_S

    def _has_long(self, process: H) -> bool:
        return any(self._expected_s(ticket) >= LONG_S for ticket in self._at_work[process])

    def _would_help(self, process: H, ticket: Ticket[H]) -> list[H]:
        """Processes that do not have a model of which another has more than one run to do."""
        if self._is_long(ticket) or sum(other.key == ticket.key for other in self._at_work[process]) < 2:
            return []
        return [p for p in self._at_work if p is not process and p.is_alive and ticket.key not in p.pulse.loaded]

    def _share_cores(self) -> None:
        """One run alone has all cores; else each process that is at work has its part."""
        busy = [process for process, at_work in self._at_work.items() if at_work]
        for process in busy:
            process.use_cores(max(1, self._cores // len(busy)))
