"""What takes long to find out and is then known: found in a thread of its own, while those who ask wait."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

from hub.errors import DeadlineError

T = TypeVar("T")


class Finding(Generic[T]):
    """Calls `find` once it is asked for. Where that fails all who wait are told, and who asks next begins anew."""

    def __init__(self, find: Callable[[], T], name: str):
        self._find, self._name = find, name
        self._lock = threading.Lock()  # guards _future; taken alone
        self._future: Future[T] | None = None
        self.known: T | None = None  # what was found

    def get(self, left_s: float | None = None) -> T:
        """What was found. Raises what `find` raised; DeadlineError where it takes longer than `left_s`, and goes on."""
        if self.known is not None:
            return self.known
        with self._lock:
            if self._future is None:
                self._future = Future()
                threading.Thread(target=self._run, args=(self._future,), name=self._name, daemon=True).start()
            future = self._future
        wait([future], left_s)
        if not future.done():
            raise DeadlineError(
                "The hub has just started and is still finding out what this machine can do. Try again in a moment."
            )
        error = future.exception()
        if error is not None:
            raise copy.copy(error)  # each who waits has a traceback of its own
        return future.result()

    def _run(self, future: Future[T]) -> None:
        try:
            self.known = self._find()
            future.set_result(self.known)
        except BaseException as error:  # who waits must hear of it, whatever it is
            with self._lock:
                self._future = None
            future.set_exception(copy.copy(error))
