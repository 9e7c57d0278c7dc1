"""When each caller was first given a result: a stored answer tells of no earlier run than their own.

Equal runs of different people share one result, so that the model runs once. What a receipt says to each is when they
had it first, and `cached` only where they had it before. Stage times are those of the run that computed it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime

from cachetools import LRUCache

from hub.errors import HubError
from hub.people.owners import Owner
from hub.results.result import Result

HUB = "hub"  # who asked for what the hub ran by itself, such as examples: everybody may know
REMEMBERED = 50_000  # pairs of a caller and a result; who is forgotten is told what a stranger is


class Shown:
    """Remembers in memory; results know who had them computed.

    `ran_at(owner, result)` tells of what was before: when an owner ran what came to this result, None: never.
    """

    def __init__(self, ran_at: Callable[[str, str], float | None]):
        self._ran_at = ran_at
        # Guards _first; taken alone.
        self._lock = threading.Lock()
        self._first: LRUCache[tuple[str, str], float] = LRUCache(REMEMBERED)

    def since(self, who: Owner, result: Result) -> float | None:
        """When a caller had this result first, in seconds since the epoch; None: never, as far as is known."""
        if who.is_machine or result.asked_by in (who.id, HUB):
            return result.created
        return self.ran_at(who, result.id)

    def ran_at(self, who: Owner, result: str) -> float | None:
        """The same by id; does not know who had it computed, before a restart."""
        with self._lock:
            first = self._first.get((who.id, result))
        if first is not None:
            return first
        try:
            return self._ran_at(who.id, result) if who.ids else None
        except HubError:
            return None  # the history's pages report that its file cannot be read

    def give(self, who: Owner, result: Result, total_ms: float) -> Result:
        """A stored result as the answer to a request of `who`, who have had it from now on."""
        since = self.since(who, result)
        now = since or time.time()
        self.note(who, result.id, now)
        receipt = replace(result.receipt, cached=since is not None, total_ms=round(total_ms, 2), created_at=iso(now))
        return replace(result, receipt=receipt)

    def note(self, who: Owner, result: str, when: float) -> None:
        """A caller was given a result."""
        if not who.is_machine:
            with self._lock:
                self._first[who.id, result] = when

    def look(self, who: Owner, result: Result) -> Result:
        """A stored result as `who` looks at it; without a time for who never ran it."""
        since = self.since(who, result)
        return replace(result, receipt=replace(result.receipt, created_at=iso(since) if since else None))

    def forget(self, who: Owner, ids: Iterable[str]) -> None:
        """A caller deleted these: to them, they never were."""
        with self._lock:
            for id in ids:
                self._first.pop((who.id, id), None)


def iso(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).isoformat(timespec="milliseconds")
