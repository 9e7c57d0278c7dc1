"""One replica as the hub sees it: asked, told and listened to through a handle of Ray Serve."""

from __future__ import annotations

import asyncio
import logging
import threading
import uuid
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

from hub.errors import brief
from hub.execution.hosts.host import Host, LostError
from hub.execution.messages import About, Ask, Counted, Run, Threads

log = logging.getLogger(__name__)
BEAT_S = 1.0  # a replica tells how it is so often: in a cluster of many so much less that the hub has time for runs
BEATS_A_SECOND = 16
PATIENCE_S = 10.0
MISSED = 3  # so many times longer than it may take without a word: it takes no more runs until it tells something
AGAIN_S = 0.1  # until a link that broke is opened again
CALL_BYTES = 64 * 2**20  # of pictures, about, that travel in one call with other orders


class Calls:
    """The thread in which this process talks to replicas: all of it waits, so one is enough."""

    def __init__(self, handle: Any):
        self.count = 1  # replicas there are
        self._handle = handle
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="replicas", daemon=True)
        self._thread.start()

    def open(self) -> None:
        """From here on Serve says which replicas there are, and they can be called."""
        handle = self._handle.options(request_serialization="pickle", response_serialization="pickle")
        self.link = handle.options(method_name="link", stream=True)
        self.order = handle.options(method_name="order")

    def start(self, work: Coroutine[Any, Any, None]) -> Future[None]:
        """Begins `work`, which raises nothing."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    @property
    def beat_s(self) -> float:
        """How often a replica tells how it is."""
        return max(BEAT_S, self.count / BEATS_A_SECOND)

    def close(self) -> None:
        """Ends what is under way; once that is done, nothing."""
        if self._loop.is_closed():
            return

        async def end() -> None:
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks, timeout=PATIENCE_S)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(2 * PATIENCE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()


class RemoteReplica(Host):
    """A replica with an in-process executor in it, somewhere in the cluster.

    `on_silent` is told where it does not answer any more; once it does, `on_pulse` is.
    """

    def __init__(
        self,
        name: str,
        calls: Calls,
        *,
        shares_cores: bool,
        on_pulse: Callable[[RemoteReplica], None],
        on_counted: Callable[[Counted], None],
        on_silent: Callable[[RemoteReplica], None],
        on_lost: Callable[[RemoteReplica], None],
    ):
        super().__init__(on_pulse=on_pulse, on_counted=on_counted, on_lost=on_lost)
        self.name = name
        self.about = About(name, "", 0, 0)  # until it told so itself
        self.takes_runs = False  # whoever hands them out has given it a place
        self._calls, self._shares_cores, self._on_silent = calls, shares_cores, on_silent
        self._why = "lost"
        # Guarded by _lock.
        self._left = False
        self._outbox: deque[Any] = deque()
        self._posting = False
        self._link = ""  # its name, while there is one
        self._listening: Future[None] | None = None

    def watch(self) -> None:
        """Listens to it, until it is lost or left."""
        with self._lock:
            self._listening = self._calls.start(self._listen())

    def leave(self) -> None:
        """It is asked no more; what it has in hand goes on."""
        with self._lock:
            self._left = True
        self._end_if_left()

    def end(self) -> None:
        """What waits for it is told that it is gone."""
        self._why = "left"
        self._lose()
        self.leave()

    def how_it_ended(self) -> str:
        """As `Host` says."""
        return f"{self.name} on {self.about.node or '?'}: {self._why}"

    # --- what it is told --------------------------------------------------------------------------

    def _send(self, message: Any) -> None:
        if not self.is_alive:
            raise LostError
        if isinstance(message, Threads) and not self._shares_cores:
            return  # it has what Ray gave it
        with self._lock:
            self._outbox.append(message)
            if self._posting:
                return
            self._posting = True
        self._calls.start(self._post())

    async def _post(self) -> None:
        """Says what is there to say: while one call is under way, what comes meanwhile waits for the next."""
        while orders := self._take_orders():
            try:
                async with asyncio.timeout(MISSED * PATIENCE_S):
                    taken = await self._calls.order.remote(self._link, orders, to=self.name)
            except Exception as error:  # whatever Ray makes of a replica that is gone
                taken = False
                self._break(error)
            if not taken:
                for order in orders:
                    if isinstance(order, Run | Ask):
                        self._put(order.number, None)

    def _take_orders(self) -> list[Any]:
        orders, size = list[Any](), 0
        with self._lock:
            while self._outbox and (not orders or size + _bytes(self._outbox[0]) <= CALL_BYTES):
                size += _bytes(self._outbox[0])
                orders.append(self._outbox.popleft())
            self._posting = bool(orders)
        return orders

    # --- what it tells ----------------------------------------------------------------------------

    async def _listen(self) -> None:
        while self.is_alive and not self._left:
            name = uuid.uuid4().hex
            stream = self._calls.link.remote(name, self._calls.beat_s, to=self.name)
            try:
                async with asyncio.timeout(MISSED * PATIENCE_S) as limit:
                    async for parcel in stream:
                        self._link = name
                        limit.reschedule(asyncio.get_running_loop().time() + MISSED * PATIENCE_S)
                        for message in parcel:
                            self._hear(message)
            except TimeoutError:
                self._why = "it does not answer"
            except Exception as error:  # as above
                self._break(error)
            finally:
                stream.cancel()  # what waits for its next parcel is not the call
            self._be_silent()
            await asyncio.sleep(AGAIN_S)

    def _hear(self, message: Any) -> None:
        if isinstance(message, About):
            self.about = message
        else:
            super()._hear(message)

    def _be_silent(self) -> None:
        """There is no link any more: what it was asked is asked elsewhere."""
        with self._lock:
            had_one, self._link = bool(self._link), ""
            numbers = list(self._inboxes)
        if had_one and self.is_alive:
            self._on_silent(self)
        for number in numbers:
            self._put(number, None)

    def _forget(self, number: int) -> None:
        super()._forget(number)
        self._end_if_left()

    def _end_if_left(self) -> None:
        """Serve ends a replica that it takes away when nobody listens to it any more."""
        with self._lock:
            done = self._left and (self._gone or not self._inboxes)
        if done and self._listening is not None:
            self._listening.cancel()

    def _break(self, error: Exception) -> None:
        """A call failed: its replica is gone, or cannot be reached."""
        from ray.exceptions import ActorDiedError

        if isinstance(error, ActorDiedError):
            self._why = "it died"
            self._lose()
            return
        why = brief(error, 80)
        if why != self._why:  # a link is tried again ten times a second until Serve knows that its replica is gone
            log.warning("a call of replica %s failed: %s", self.name, brief(error))
        self._why = why


def _bytes(order: Any) -> int:
    return sum(len(picture) for picture in order.work.pictures.values()) if isinstance(order, Run) else 0
