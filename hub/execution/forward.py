"""The threads that run forward passes, and how many cores each pass may use."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import count

from hub.threads import Threads

# One team of OpenMP threads belongs to each thread that ever ran a forward pass, for as long as that lives, and libgomp
# waits worse the more of them there are: with a team for each page, all pages were slower by a third. So whatever
# model has work takes the thread that was at work last.
THREADS = Threads("forward")
# A pass is due so many times what it takes after its first request came: of those that wait the one that is due first
# begins, so a quick one goes before a long one, but not for ever.
DUE = 4.0
PATIENCE_S = 5.0  # a pass waits no longer for others: one of them may hang, or wait for something itself

Turn = Callable[[float], AbstractContextManager[None]]


class Cores:
    """How many cores a forward pass may use; what it is set to holds for passes that begin from then on."""

    def __init__(self) -> None:
        self.count: int | None = None  # None: as many as torch takes by itself
        self._of_thread = threading.local()
        # Guards the three below; taken alone.
        self._changed = threading.Condition()
        self._at_work = 0
        self._waiting: list[tuple[float, int]] = []
        self._numbers = count()

    @contextmanager
    def turn(self, due: float) -> Iterator[None]:
        """Wraps each piece of a pass that is not to be interrupted: at most so many at once as there are cores.

        More of them at once would each take as many times longer. `due`: by time.perf_counter().
        """
        mine = (due, next(self._numbers))
        with self._changed:
            self._waiting.append(mine)
            self._changed.wait_for(lambda: self._has_core() and min(self._waiting) == mine, PATIENCE_S)
            self._waiting.remove(mine)
            self._at_work += 1
            self._changed.notify_all()  # there may be a core for the next one, too
        try:
            yield
        finally:
            with self._changed:
                self._at_work -= 1
                self._changed.notify_all()

    def _has_core(self) -> bool:
        return self.count is None or self._at_work < self.count

    @contextmanager
    def inference(self) -> Iterator[None]:
        """Wraps every forward pass."""
        import torch

        count = self.count
        # OpenMP keeps this number for each thread; to set it again costs as much as a small layer.
        if count is not None and getattr(self._of_thread, "count", None) != count:
            torch.set_num_threads(count)
            self._of_thread.count = count
        with torch.inference_mode():
            yield


class Pieces:
    """What a pass takes of the cores: all of it at once, or step by step. `came`: when its first request did."""

    def __init__(self, came: float, expected_s: float, turn: Turn = lambda due: nullcontext()):
        self._came, self._turn = came, turn
        self.longest_s, self.seconds = expected_s, 0.0  # of one piece, and of all that are over

    @contextmanager
    def next(self) -> Iterator[None]:
        """Waits for its turn, and holds it."""
        with self._turn(self._came + DUE * (self.seconds + self.longest_s)):
            begin = time.perf_counter()
            if not self.seconds:
                self.longest_s = 0.0  # what was expected
            try:
                yield
            finally:
                took_s = time.perf_counter() - begin
                self.seconds, self.longest_s = self.seconds + took_s, max(self.longest_s, took_s)
