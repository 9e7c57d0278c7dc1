"""One replica as the hub sees it: asked, told and listened to through a handle of Ray Serve."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

from hub.errors import CancelledError, brief
from hub.execution.hosts.host import Host, LostError
from hub.execution.messages import About, Answer, Ask, Cancel, Counted, Run

log = logging.getLogger(__name__)
LOOK_S = 1.0  # between two looks how a replica is: in a cluster of many so much longer that the hub has time for runs
FIRST_LOOK_S = 0.1  # until it was seen
LOOKS_A_SECOND = 16
PATIENCE_S = 10.0  # with a replica that is looked at
MISSED = 3  # looks in a row without an answer: it takes no more runs until it answers again


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
        self.run = self._handle.options(method_name="run", stream=True)
        self.ask = self._handle.options(method_name="ask")
        self.look = self._handle.options(method_name="look")

    def start(self, work: Coroutine[Any, Any, None]) -> Future[None]:
        """Begins `work`, which raises nothing."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    @property
    def look_s(self) -> float:
        """How long a replica is left alone between two looks."""
        return max(LOOK_S, self.count / LOOKS_A_SECOND)

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
        self.about = About(name, "", 0, 0)  # until it was looked at
        self.takes_runs = False  # whoever hands them out has given it a place
        self._calls, self._shares_cores, self._on_silent = calls, shares_cores, on_silent
        self._why = "lost"
        self._left = False
        self._streams: dict[int, Future[None]] = {}  # by number; guarded by _lock

    def watch(self) -> None:
        """Looks now and then how it is, until it is lost or left."""
        self._calls.start(self._watch())

    def leave(self) -> None:
        """It is asked no more; what it has in hand goes on."""
        self._left = True

    def end(self) -> None:
        """What waits for it is told that it is gone."""
        self._left, self._why = True, "left"
        self._lose()

    def how_it_ended(self) -> str:
        """As `Host` says."""
        return f"{self.name} on {self.about.node or '?'}: {self._why}"

    # --- messages ---------------------------------------------------------------------------------

    def _send(self, message: Any) -> None:
        if not self.is_alive:
            raise LostError
        if isinstance(message, Run):
            with self._lock:
                self._streams[message.number] = self._calls.start(self._run(message))
        elif isinstance(message, Cancel):
            self._end_stream(message.number)
        elif isinstance(message, Ask):
            self._calls.start(self._ask(message))
        # How many cores it may use goes with the next run.

    def _forget(self, number: int) -> None:
        super()._forget(number)
        self._end_stream(number)  # one that is still there hangs, or nobody wants it

    def _end_stream(self, number: int) -> None:
        with self._lock:
            stream = self._streams.pop(number, None)
        if stream is not None:
            stream.cancel()

    async def _run(self, order: Run) -> None:
        number, answered, stream = order.number, False, None
        try:
            stream = self._calls.run.remote(order, self._cores if self._shares_cores else 0, to=self.name)
            async for parcel in stream:
                if isinstance(parcel[-1], Answer):
                    with self._lock:  # it ends by itself
                        self._streams.pop(number, None)
                for message in parcel:
                    self._hear(message)
                    answered = isinstance(message, Answer)
            if not answered:
                self._put(number, None)
        except asyncio.CancelledError:
            if stream is not None:
                stream.cancel()
            self._put(number, Answer(number, error=CancelledError("The run was cancelled.")))
        except Exception as error:  # whatever Ray makes of a replica that is gone
            if not answered:
                self._break(number, error)

    async def _ask(self, order: Ask) -> None:
        try:
            parcel = await self._calls.ask.remote(order, to=self.name)
        except Exception as error:  # as above
            self._break(order.number, error)
            return
        for message in parcel or []:
            self._hear(message)
        if parcel is None:  # another had the call, since this one is gone
            self._put(order.number, None)

    async def _watch(self) -> None:
        missed = 0
        while self.is_alive and not self._left:
            try:
                parcel = await asyncio.wait_for(self._calls.look.remote(to=self.name), PATIENCE_S)
            except TimeoutError:
                missed += 1
                log.warning("replica %s did not say within %.0f s how it is", self.name, PATIENCE_S)
                if missed == MISSED:
                    self._be_silent()
            except Exception as error:  # as above
                self._break(None, error)
            else:
                missed = 0
                if parcel[0].replica == self.name:  # else another had the call
                    for message in parcel:
                        self._hear(message)
            await asyncio.sleep(self._calls.look_s if self.takes_runs else FIRST_LOOK_S)

    def _hear(self, message: Any) -> None:
        if isinstance(message, About):
            self.about = message
        else:
            super()._hear(message)

    def _be_silent(self) -> None:
        self._why = "it does not answer"
        self._on_silent(self)
        with self._lock:
            numbers = list(self._inboxes)
        for number in numbers:
            self._put(number, None)

    def _break(self, number: int | None, error: Exception) -> None:
        """A call failed: its replica is gone, or cannot be reached."""
        from ray.exceptions import ActorDiedError

        if isinstance(error, ActorDiedError):
            self._why = "it died"
            self._lose()
            return
        self._why = brief(error, 80)
        log.warning("a call of replica %s failed: %s", self.name, brief(error))
        if number is not None:
            self._put(number, None)
