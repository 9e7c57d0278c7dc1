"""Threads that run a demo's code, so that who asked need not wait for code that hangs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

LINGER_S = 30.0  # an idle thread ends after this long

Work = Callable[[], object]


class Threads:
    """Daemon threads, each used again while it is idle: torch and glibc keep things for each thread there ever was.

    Not those of concurrent.futures: Python waits for them when it ends, and a demo that hangs would keep the process.
    """

    def __init__(self, name: str):
        self._name = name
        # Guards _idle: the inboxes of idle threads, the one that was at work last at the end. Taken alone.
        self._lock = threading.Lock()
        self._idle: list[SimpleQueue[Work]] = []

    def start(self, work: Work) -> None:
        """Runs `work`, which raises nothing, in a thread of its own."""
        with self._lock:
            inbox = self._idle.pop() if self._idle else None
        if inbox is None:
            inbox = SimpleQueue()
            threading.Thread(target=self._work, args=(inbox,), name=self._name, daemon=True).start()
        inbox.put(work)

    def _work(self, inbox: SimpleQueue[Work]) -> None:
        while True:
            try:
                work = inbox.get(timeout=LINGER_S)
            except Empty:
                with self._lock:
                    if inbox in self._idle:
                        self._idle.remove(inbox)
                        return
                continue  # it was chosen at that moment: its work is on the way
            work()
            del work  # or the last run's pictures would stay while the thread lingers
            with self._lock:
                self._idle.append(inbox)
