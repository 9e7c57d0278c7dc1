"""What an open page has in work: follows it, ends it on Stop, finds it again for who loads the page again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from hub.archive.history import InWork
from hub.engine.jobs import Cancel, Followed
from hub.results.result import Result

T = TypeVar("T")
TICK_S = 0.25  # how often the seconds on the page move on
STEP_S = 0.05  # a page is drawn no more often, however quick the steps are
Work = Callable[[Callable[..., None], Cancel], T]  # gets who listens, and the flag that ends it


@dataclass(frozen=True, slots=True)
class Moment(Generic[T]):
    """Where the work is: its last event (none yet: empty), seconds so far, and at the end its outcome."""

    last_event: tuple[Any, ...]
    seconds: float
    ended: asyncio.Future[T] | None = None


class Runs:
    """Work in threads, by browser session. Used in the event loop only."""

    def __init__(self, threads: Executor):
        self._threads = threads
        self._running: dict[str, set[Cancel]] = {}

    async def follow(
        self, session: str, work: Work[T], cancel: Cancel | None = None
    ) -> AsyncGenerator[Moment[T], None]:
        """Runs `work(hear, cancel)` in a thread: moments until it has ended, the last with its outcome.

        Use it in `contextlib.aclosing`: who stops following cancels the work, a `Followed` one after a while.
        """
        begin, cancel = time.perf_counter(), cancel or Cancel()
        last_event: tuple[Any, ...] = ()
        loop, events = asyncio.get_running_loop(), asyncio.Queue[tuple[Any, ...]]()

        def hear(*event: Any) -> None:
            loop.call_soon_threadsafe(events.put_nowait, event)

        task = asyncio.ensure_future(loop.run_in_executor(self._threads, copy_context().run, work, hear, cancel))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # work nobody waits for any more
        with self._keep_as_running(session, cancel):
            while not task.done():
                next_event = asyncio.ensure_future(events.get())
                either: set[asyncio.Future[Any]] = {task, next_event}
                await asyncio.wait(either, timeout=TICK_S, return_when=asyncio.FIRST_COMPLETED)
                if next_event.done():
                    last_event = next_event.result()
                    # Of the steps since then the last is drawn.
                    while last_event[-1:] != (None,) and not events.empty():
                        last_event = events.get_nowait()
                next_event.cancel()
                if not task.done():
                    yield Moment(last_event, time.perf_counter() - begin)
                    await asyncio.wait({task}, timeout=STEP_S)
            yield Moment(last_event, time.perf_counter() - begin, task)

    async def rejoin(self, session: str, run: InWork) -> AsyncGenerator[Moment[Result], None]:
        """The same of a run that is in work already, whoever began it."""
        task = asyncio.wrap_future(run.future)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        with self._keep_as_running(session, run.cancel, mine=isinstance(run.cancel, Followed)):
            while not task.done():
                yield Moment(run.last_event, run.seconds)
                await asyncio.wait({task}, timeout=TICK_S)
            yield Moment(run.last_event, run.seconds, task)

    @contextmanager
    def _keep_as_running(self, session: str, cancel: Cancel, mine: bool = True) -> Iterator[None]:
        """`mine`: the run ends with this block; else its caller waits for it at another door."""
        if isinstance(cancel, Followed):
            cancel.join()
        self._running.setdefault(session, set()).add(cancel)
        try:
            yield
        finally:
            if isinstance(cancel, Followed):
                cancel.leave()
            elif mine:
                cancel.set()
            self._running[session].discard(cancel)
            if not self._running[session]:
                del self._running[session]

    def is_busy(self, session: str) -> bool:
        """Whether this session has anything in work here."""
        return session in self._running

    def stop(self, session: str) -> None:
        """Cancels all that this session has in work here; its outcome says that it was stopped."""
        for cancel in self._running.get(session, ()):
            cancel.set()
