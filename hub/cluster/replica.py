"""What lives in one replica: a worker as a model process has it, which is spoken to by calls of Ray Serve.

All that crosses are the dataclasses of hub/execution/messages.py, from the hub to its own replicas and back.
"""

from __future__ import annotations

import asyncio
import os
import platform
import threading
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import psutil

from hub import logs, settings
from hub.errors import OtherWeightsError
from hub.execution.executor import Computed, Work
from hub.execution.messages import About, Answer, Ask, Begin, Cancel, Counted, Event, Pulse, Run, Threads
from hub.execution.worker import Worker

PARCEL_S = 0.03  # what a run tells within so long travels together: each journey costs about a millisecond
COUNTS_KEPT = 10_000  # for a hub that does not ask

Message = Event | Answer | Pulse | Counted | About


class Switchboard:
    """The line of the worker: what it says of a run goes to who asked for that, the rest to who asks next."""

    def __init__(self) -> None:
        self._orders: SimpleQueue[Any] = SimpleQueue()
        # Guards all below; taken alone.
        self._lock = threading.Lock()
        self._mailboxes: dict[int, Mailbox] = {}
        self._pulse: Pulse | None = None
        self._counted: deque[Counted] = deque(maxlen=COUNTS_KEPT)

    # --- the worker's end -------------------------------------------------------------------------

    def recv(self) -> Any:
        return self._orders.get()

    def send(self, message: Any, /) -> None:
        with self._lock:
            if isinstance(message, Pulse):
                self._pulse = message
            elif isinstance(message, Counted):
                self._counted.append(message)
            elif (mailbox := self._mailboxes.get(message.number)) is not None:
                mailbox.put(message)

    # --- the hub's end ----------------------------------------------------------------------------

    def order(self, message: Any) -> None:
        """Says something to the worker."""
        self._orders.put(message)

    def open(self, number: int) -> Mailbox:
        """Where what the worker says under a number arrives from now on, in the event loop that asks."""
        mailbox = Mailbox(asyncio.get_running_loop())
        with self._lock:
            self._mailboxes[number] = mailbox
        return mailbox

    def close(self, number: int) -> None:
        """Nobody listens to that number any more."""
        with self._lock:
            self._mailboxes.pop(number, None)

    def news(self) -> list[Message]:
        """How the worker is, and what it counted since it was last asked."""
        with self._lock:
            counted = list(self._counted)
            self._counted.clear()
            return [*counted, self._pulse] if self._pulse else [*counted]


class Mailbox:
    """What the worker says under one number; it is put in by the worker's threads, and read in one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop):
        self._loop = loop
        self._queue: asyncio.Queue[Event | Answer] = asyncio.Queue()

    def put(self, message: Event | Answer) -> None:
        self._loop.call_soon_threadsafe(self._queue.put_nowait, message)

    async def parcel(self) -> list[Event | Answer]:
        """What has come, or comes within a moment after the first; it ends with the answer."""
        parcel = [await self._queue.get()]
        try:
            async with asyncio.timeout(PARCEL_S):
                while not isinstance(parcel[-1], Answer):
                    parcel.append(await self._queue.get())
        except TimeoutError:
            pass
        return parcel


class Replica:
    """One replica. Serve calls its methods in one event loop."""

    def __init__(self, begin: Begin, folder: str):
        """`folder` is where the hub was started: what its settings name relatively lies there."""
        from ray import serve

        if Path(folder).is_dir():
            os.chdir(folder)
        logs.begin(begin.settings.log_level)
        if begin.settings.offline:
            settings.go_offline()
        self._id = str(serve.get_replica_context().replica_id.unique_id)
        self._numbers = count()
        self._line = Switchboard()
        self._worker = Worker(self._line, begin)
        self._serving = threading.Thread(target=self._worker.serve, name="worker", daemon=True)
        self._serving.start()

    async def run(self, order: Run, cores: int, to: str) -> AsyncIterator[list[Message]]:
        """What is told of a run, in parcels; the last ends with its answer. `cores` 0: as many as Ray gave it.

        A run that was to be another's, which is gone, is as well computed here.
        """
        number, answered = next(self._numbers), False
        mailbox = self._line.open(number)
        try:
            if cores:
                self._line.order(Threads(cores))
            self._line.order(Run(number, order.work))
            while not answered:
                parcel = [self._addressed(message, order.number, order.work) for message in await mailbox.parcel()]
                answered = isinstance(parcel[-1], Answer)
                yield [*self._line.news(), *parcel]  # the answer last: who has it knows what is loaded
        finally:
            self._line.close(number)
            if not answered:  # the hub went away, or nobody wants the run any more
                self._line.order(Cancel(number))

    async def ask(self, order: Ask, to: str) -> list[Message] | None:
        """What came of a call of one of the worker's functions; None: it was for another replica, which is gone."""
        if to != self._id:
            return None
        number, parcel = next(self._numbers), list[Event | Answer]()
        mailbox = self._line.open(number)
        try:
            self._line.order(Ask(number, order.function, order.arguments))
            while not parcel:
                parcel = await mailbox.parcel()
        finally:
            self._line.close(number)
        return [*self._line.news(), *(self._addressed(message, order.number) for message in parcel)]

    async def look(self, to: str) -> list[Message]:
        """Who this is, and how."""
        return [About(self._id, platform.node(), os.getpid(), memory_bytes()), *self._line.news()]

    def check_health(self) -> None:
        """Serve asks now and then; who raises is replaced."""
        if not self._serving.is_alive():
            raise RuntimeError("the worker of this replica has ended")

    def _addressed(self, message: Event | Answer, number: int, work: Work | None = None) -> Event | Answer:
        """As the hub knows it: under its own number, and with the place where it was computed."""
        if isinstance(message, Answer) and isinstance(message.value, Computed):
            where = f"{message.value.device} (replica {self._id} on {platform.node()})"
            return Answer(number, replace(message.value, device=where))
        if isinstance(message, Answer) and isinstance(message.error, OtherWeightsError) and work is not None:
            error = OtherWeightsError(
                "The weights {name!r} on {node} (replica {replica}) are not those of the hub, {digest}, and so are "
                "refused. Put the same files on every node, or try again if they were changed just now.",
                name=work.weights,
                node=platform.node(),
                replica=self._id,
                digest=work.digest[:12],
            )
            return Answer(number, error=error)
        return replace(message, number=number)


def memory_bytes() -> int:
    """What this process holds of the machine's memory."""
    return int(psutil.Process().memory_info().rss)
