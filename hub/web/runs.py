"""What an open page has in work: told as it happens, ended by Stop, and cancelled when the page is left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from hub.jobs import Cancel

T = TypeVar("T")
TICK_S = 0.25  # how often the seconds on the page move on
Work = Callable[[Callable[..., None], Cancel], T]  # gets who listens, and the flag that ends it


@dataclass(frozen=True, slots=True)
class Moment(Generic[T]):
    """Where the work is: what it told last (nothing yet: empty), seconds so far, and at the end its outcome."""

    told: tuple[Any, ...]
    seconds: float
    ended: asyncio.Future[T] | None = None


class Runs:
    """Work in threads, by browser session. Used in the event loop only."""

    def __init__(self, threads: Executor):
        self._threads = threads
        self._running: dict[str, set[Cancel]] = {}

    async def follow(self, session: str, work: Work[T]) -> AsyncGenerator[Moment[T], None]:
        """Runs `work(hear, cancel)` in a thread: moments until it has ended, the last with its outcome.

        Use it in `contextlib.aclosing`: who stops following cancels the work.
        """
        begin, told = time.perf_counter(), ()
        loop, events, cancel = asyncio.get_running_loop(), asyncio.Queue[tuple[Any, ...]](), Cancel()

        def hear(*event: Any) -> None:
            loop.call_soon_threadsafe(events.put_nowait, event)

        task = asyncio.ensure_future(loop.run_in_executor(self._threads, copy_context().run, work, hear, cancel))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # work nobody waits for any more
        self._running.setdefault(session, set()).add(cancel)
        try:
            while not task.done():
                heard = asyncio.ensure_future(events.get())
                either: set[asyncio.Future[Any]] = {task, heard}
                await asyncio.wait(either, timeout=TICK_S, return_when=asyncio.FIRST_COMPLETED)
                if heard.done():
                    told = heard.result()
                heard.cancel()
                if not task.done():
                    yield Moment(told, time.perf_counter() - begin)
            yield Moment(told, time.perf_counter() - begin, task)
        finally:
            cancel.set()
            self._running[session].discard(cancel)
            if not self._running[session]:
                del self._running[session]

    def stop(self, session: str) -> None:
        """Cancels all that this session has in work here; each tells so itself, as its outcome."""
        for cancel in self._running.get(session, ()):
            cancel.set()
