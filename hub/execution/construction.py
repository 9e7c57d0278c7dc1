"""One model is built at a time in the whole process; whose turn it is, and for how long."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hub import imports
from hub.errors import DeadlineError, OutOfMemoryError
from hub.execution.devices import is_out_of_memory
from hub.texts import Sentence, sentence

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Turn:
    """A model that is being built since a time of the monotonic clock."""

    key: str  # as hub/engine/jobs.py names models: the page's slug first
    since: float

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.since

    def explain(self) -> Sentence:
        return explain(self.key, self.seconds)


def explain(key: str, seconds: float) -> Sentence:
    """Why other models cannot be loaded while this one is, and the way out.

    The turn is not taken from a load that hangs: it may have patched torch for everybody, and may go on any time.
    """
    return sentence(
        "The model of {page} has been loading for {seconds} s. Models are loaded one at a time, so no other can be "
        "until it ends; those in memory go on. If it hangs, restart the hub; if it hangs again, leave the page out "
        "with --demos.",
        page=key.partition("/")[0],
        seconds=f"{seconds:.0f}",
    )


class Construction:
    """The turn to build a model. Never asked for while a pool's own lock is held.

    Building a diffusers model patches torch.nn.Module globally, and a timm model built meanwhile comes out on `meta`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.now: Turn | None = None  # written by who has the turn

    def acquire(self, timeout: float = -1) -> bool:
        return self._lock.acquire(timeout=timeout)

    def release(self) -> None:
        self.now = None
        self._lock.release()

    @contextmanager
    def turn(self, key: str, end: float | None) -> Iterator[None]:
        """Waits until nobody else builds. Raises DeadlineError at `end`, of the monotonic clock, saying who does."""
        if not self.acquire(-1 if end is None else max(0.0, end - time.monotonic())):
            now = self.now
            raise DeadlineError(now.explain() if now else "Another model was being loaded. Try again in a moment.")
        try:
            self.now = Turn(key, time.monotonic())
            yield
        finally:
            self.release()


CONSTRUCTION = Construction()


def construct(
    key: str, load: Callable[[], Any], end: float | None, evict_idle: Callable[[str], object]
) -> tuple[Any, float]:
    """Builds a model in its turn; returns it and the milliseconds. Raises DeadlineError, OutOfMemoryError, as `load`.

    Where memory ran out, once more when `evict_idle`, given the key, has dropped the models that nobody uses.
    """
    for _ in range(2):
        try:
            with CONSTRUCTION.turn(key, end):
                begin = time.perf_counter()
                model = load()
                imports.settle()
                return model, (time.perf_counter() - begin) * 1000
        except BaseException as error:
            imports.forget_halves(error)
            if not is_out_of_memory(error):
                raise
        log.warning("out of memory while loading %s; evicting idle models", key)
        evict_idle(key)
    raise OutOfMemoryError(
        "{model} does not fit into the memory that is left on this device. Try again later.", model=key
    )
