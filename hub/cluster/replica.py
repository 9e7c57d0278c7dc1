"""What lives in one replica: a worker as a model process has it, which hubs speak to by calls of Ray Serve.

Each hub has one link to it, a call that lasts, through which all comes that it is told; what it wants it says in short
calls. A call for every run would cost it twice as much as the doors do (bench/LOG.md).

All that crosses are the dataclasses of hub/execution/messages.py, from the hub to its own replicas and back.
"""

from __future__ import annotations

import asyncio
import os
import platform
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import psutil

from hub import logs, settings
from hub.cluster.scaling import RUNS
from hub.errors import OtherWeightsError
from hub.execution.executor import Computed, Work
from hub.execution.messages import About, Answer, Ask, Begin, Cancel, Counted, Event, Pulse, Run, Threads
from hub.execution.worker import Worker

PARCEL_S = 0.1  # what is told within so long travels together, but an answer waits for nothing
COUNTS_KEPT = 10_000  # for a hub that does not ask

Message = Event | Answer | Pulse | Counted | About
Order = Run | Cancel | Ask | Threads


@dataclass(frozen=True, slots=True)
class Asked:
    """What a hub wants of the worker, which has a number of its own for it, since hubs count for themselves."""

    link: str
    number: int
    work: Work | None  # None: a call of a function


class Link:
    """What goes to one hub; it is put in by the worker's threads, and read in one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop):
        self._loop = loop
        self._queue: asyncio.Queue[tuple[Asked | None, Any]] = asyncio.Queue()

    def put(self, asked: Asked | None, message: Any) -> None:
        self._loop.call_soon_threadsafe(self._queue.put_nowait, (asked, message))

    async def parcel(self, patience_s: float) -> list[tuple[Asked | None, Any]]:
        """What has come, or comes within a moment after the first, until an answer; empty after so long without."""
        parcel: list[tuple[Asked | None, Any]] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s) as limit:
                while not parcel or not (isinstance(parcel[-1][1], Answer) and self._queue.empty()):
                    parcel.append(await self._queue.get())
                    if len(parcel) == 1:
                        limit.reschedule(self._loop.time() + PARCEL_S)
        return parcel


class Switchboard:
    """The line of the worker: what it says of a run goes to the hub that asked for that, how it is to all."""

    def __init__(self) -> None:
        self._orders: SimpleQueue[Any] = SimpleQueue()
        # Guards all below; taken alone.
        self._lock = threading.Lock()
        self._numbers = count()
        self._asked: dict[int, Asked] = {}  # by the worker's number
        self._links: dict[str, Link] = {}
        self._pulse: Pulse | None = None
        self._counted: deque[Counted] = deque(maxlen=COUNTS_KEPT)

    # --- the worker's end -------------------------------------------------------------------------

    def recv(self) -> Any:
        return self._orders.get()

    def send(self, message: Any, /) -> None:
        with self._lock:
            if isinstance(message, Counted):
                self._counted.append(message)
            elif isinstance(message, Pulse):
                self._pulse = message
                for link in self._links.values():
                    link.put(None, message)
            elif (asked := self._asked.get(message.number)) is not None:
                if isinstance(message, Answer):
                    del self._asked[message.number]
                if (one := self._links.get(asked.link)) is not None:
                    one.put(asked, message)

    # --- the hubs' end ----------------------------------------------------------------------------

    def open(self, name: str) -> Link:
        """Where all that is for one hub arrives from now on, in the event loop that asks; first, how the worker is."""
        link = Link(asyncio.get_running_loop())
        with self._lock:
            self._links[name] = link
            if self._pulse is not None:
                link.put(None, self._pulse)
        return link

    def close(self, name: str) -> None:
        """Nobody is at the other end any more, or wants what was ordered there."""
        with self._lock:
            self._links.pop(name, None)
            left = [number for number, asked in self._asked.items() if asked.link == name and asked.work is not None]
        for number in left:
            self._orders.put(Cancel(number))

    def order(self, name: str, orders: Sequence[Order]) -> bool:
        """Says what the hub at the other end of a link wants to the worker. False: there is no such link."""
        with self._lock:
            if name not in self._links:
                return False
            for order in orders:
                if isinstance(order, Run):
                    self._orders.put(Run(self._number(name, order.number, order.work), order.work))
                elif isinstance(order, Ask):
                    self._orders.put(Ask(self._number(name, order.number, None), order.function, order.arguments))
                elif isinstance(order, Threads):
                    self._orders.put(order)
                else:
                    for number, asked in self._asked.items():
                        if (asked.link, asked.number) == (name, order.number):
                            self._orders.put(Cancel(number))
        return True

    def _number(self, link: str, number: int, work: Work | None) -> int:
        own = next(self._numbers)
        self._asked[own] = Asked(link, number, work)
        return own

    def counted(self) -> list[Counted]:
        """What the worker counted since this was last asked."""
        with self._lock:
            counted = list(self._counted)
            self._counted.clear()
        return counted

    @property
    def runs(self) -> int:
        """In hand."""
        with self._lock:
            return sum(asked.work is not None for asked in self._asked.values())


class Replica:
    """One replica. Serve calls its methods in one event loop."""

    def __init__(self, begin: Begin, folder: str):
        """`folder` is where the hub was started: what its settings name relatively lies there."""
        if Path(folder).is_dir():
            os.chdir(folder)
        logs.begin(begin.settings.log_level)
        if begin.settings.offline:
            settings.go_offline()
        self._open()
        worker = Worker(self._line, begin)
        self._serving = threading.Thread(target=worker.serve, name="worker", daemon=True)
        self._serving.start()

    def _open(self) -> None:
        from ray import serve

        self._id = str(serve.get_replica_context().replica_id.unique_id)
        self._line = Switchboard()

    async def link(self, name: str, beat_s: float, to: str) -> AsyncIterator[list[Message]]:
        """All that is told to one hub, in parcels, for as long as it listens: at once, and after so long without.

        Who this is comes with the first of them, and then once in `beat_s`. It ends at once where it was to be
        another's link, which is gone.
        """
        if to != self._id:
            return
        link, begin = self._line.open(name), 0.0
        try:
            parcel: list[Message] = []
            while True:
                if (now := time.monotonic()) - begin >= beat_s:
                    parcel.insert(0, About(self._id, platform.node(), os.getpid(), memory_bytes()))
                    begin = now
                yield parcel
                told = [self._addressed(asked, message) for asked, message in await link.parcel(beat_s)]
                parcel = [*self._line.counted(), *told]
        finally:  # the hub went away, or has closed it
            self._line.close(name)

    async def order(self, link: str, orders: Sequence[Order], to: str) -> bool:
        """Takes what the hub at the other end of a link wants. False: nothing was taken, since there is none here."""
        return to == self._id and self._line.order(link, orders)

    def record_autoscaling_stats(self) -> dict[str, float]:
        """Serve asks now and then; hub/cluster/scaling.py has it."""
        return {RUNS: float(self._line.runs)}

    def check_health(self) -> None:
        """Serve asks now and then; who raises is replaced."""
        if not self._serving.is_alive():
            raise RuntimeError("the worker of this replica has ended")

    def _addressed(self, asked: Asked | None, message: Any) -> Message:
        """As the hub knows it: under its own number, and with the place where it was computed."""
        if asked is None:
            pulse: Pulse = message
            return pulse
        if isinstance(message, Answer) and isinstance(message.value, Computed):
            where = f"{message.value.device} (replica {self._id} on {platform.node()})"
            return Answer(asked.number, replace(message.value, device=where))
        if isinstance(message, Answer) and isinstance(message.error, OtherWeightsError) and asked.work is not None:
            error = OtherWeightsError(
                "The weights {name!r} on {node} (replica {replica}) are not those of the hub, {digest}, and so are "
                "refused. Put the same files on every node, or try again if they were changed just now.",
                name=asked.work.weights,
                node=platform.node(),
                replica=self._id,
                digest=asked.work.digest[:12],
            )
            return Answer(asked.number, error=error)
        told: Message = replace(message, number=asked.number)
        return told


def memory_bytes() -> int:
    """What this process holds of the machine's memory."""
    return int(psutil.Process().memory_info().rss)
