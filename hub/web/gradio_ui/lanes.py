"""One run at a time for each open page, where a newer camera frame replaces the one that waits."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
PAUSE_S = 3.0  # a longer gap between two answers is a pause, and the rate is measured anew
MEASURED = 12  # answers that a rate is the mean of


class Lanes:
    """At most one run in work and one waiting for each name. Used in the event loop only."""

    def __init__(self) -> None:
        # Who has a run in work; and the turn of the one that waits for its end, if any.
        self._next: dict[str, asyncio.Future[bool] | None] = {}

    async def run(self, who: str, work: Callable[[], Awaitable[T]]) -> T | None:
        """What `work` answers, once the run before has ended; None when a newer one took its place meanwhile."""
        if who in self._next:
            older, turn = self._next[who], asyncio.get_running_loop().create_future()
            self._next[who] = turn
            if older is not None and not older.done():
                older.set_result(False)
            try:
                if not await turn:
                    return None
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled() and turn.result():
                    self._pass_on(who)
                raise
        else:
            self._next[who] = None
        # A task of its own: who waits for it may be cancelled, and the lane must not be free before the work ends.
        task = asyncio.ensure_future(work())
        task.add_done_callback(lambda done: self._pass_on(who))
        return await asyncio.shield(task)

    def _pass_on(self, who: str) -> None:
        turn = self._next.pop(who)
        if turn is not None and not turn.done():
            self._next[who] = None
            turn.set_result(True)


class Meter:
    """How many answers a second one page got of late, measured."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter):
        self._clock = clock
        self._times: deque[float] = deque(maxlen=MEASURED)

    def tick(self) -> float | None:
        """Counts an answer; the rate in answers a second, None for the first."""
        now = self._clock()
        if self._times and now - self._times[-1] > PAUSE_S:
            self._times.clear()
        self._times.append(now)
        passed = now - self._times[0]
        return (len(self._times) - 1) / passed if passed > 0 else None
