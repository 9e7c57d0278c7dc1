"""A model process: `python -m hub.execution.worker FD`. It holds an in-process executor, and serves one hub.

It ends with the hub: when nobody is at the other end of its connection any more.
"""

from __future__ import annotations

import copy
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from hub import imports, logs, memory, settings, tracing
from hub.decoding import budget
from hub.decoding.decode import ImageLimits
from hub.errors import HubError, unexpected
from hub.execution.backends.compiled import RESTING_S, release_resting
from hub.execution.construction import CONSTRUCTION
from hub.execution.forward import Cores
from hub.execution.in_process import InProcess
from hub.execution.messages import Answer, Ask, Begin, Building, Cancel, Counted, Event, Line, Pulse, Run, Threads
from hub.execution.residency import Residency
from hub.pages.registry import discover
from hub.threads import Threads as Runners
from hub.weights.again import read_again
from hub.weights.store import open_store

log = logging.getLogger(__name__)
HUNG = 3  # how a process ends of which a pass hangs
PULSE_S = 0.25  # between two looks whether something is to be told that nobody asked for


class Worker:
    """Serves the hub at the other end of `connection`."""

    def __init__(self, connection: Line, begin: Begin):
        chosen = begin.settings
        self._connection, self._sending = connection, threading.Lock()
        self._cores, self._runners = Cores(), Runners("run")
        self._hung_s, self._deadline_s = begin.hung_s, chosen.deadline_s
        limits = ImageLimits(int(chosen.max_upload_mb * 2**20), int(chosen.max_megapixels * 1_000_000))
        memory.settle_for_models()
        budget.BUDGET.resize(begin_pixels(chosen, limits.max_pixels, begin.share))
        registry, weights = open_store(chosen, discover(chosen.pages_folder, chosen.only()))
        self._settings, self._registry, self._weights = chosen, registry, weights
        self._models = Residency(chosen, registry, weights, self, share=begin.share)
        self._executor = InProcess(
            chosen, registry, weights, self._models, self, limits, outputs_bytes=begin.outputs_bytes, cores=self._cores
        )
        self._functions: dict[str, Callable[..., Any]] = {
            "machine": self._models.machine,
            "state": self._models.state,
            "change": self._models.change,
            "preload": self._models.preload,
            "why_late": self._executor.why_late,
            "drop_outputs": self._executor.drop_outputs,
            "read_again": self._read_again,
        }
        # Guards the three below; taken alone.
        self._lock = threading.Lock()
        self._cancels: dict[int, threading.Event] = {}
        self._in_hand = 0  # runs and calls
        self._ended_at = time.monotonic()  # when the last of them ended
        self._stirred = threading.Event()  # something is to be looked at; while nothing is, the process sleeps
        self._last: Pulse | None = None  # written with _pulsing held, so that no older one is sent last
        self._pulsing = threading.Lock()
        self._stirred.set()

    def serve(self) -> None:
        """Until the hub is gone."""
        threading.Thread(target=self._tick, name="pulse", daemon=True).start()
        while True:
            try:
                message = self._connection.recv()
            except (EOFError, OSError):
                return
            if message is None:
                return
            if isinstance(message, Run):
                cancel = threading.Event()
                with self._lock:
                    self._cancels[message.number] = cancel
                self._runners.start(partial(self._run, message, cancel))
            elif isinstance(message, Cancel):
                with self._lock:
                    event = self._cancels.get(message.number)
                if event is not None:
                    event.set()
            elif isinstance(message, Ask):
                self._runners.start(partial(self._answer, message))
            elif isinstance(message, Threads):
                self._cores.count = message.count

    def _run(self, message: Run, cancel: threading.Event) -> None:
        number = message.number
        work, tell = message.work, partial(self._tell, number)
        try:
            with tracing.entered(work.trace):
                self._end(number, work.slug, self._executor.compute, work, tell, cancel)
        finally:
            with self._lock:
                del self._cancels[number]

    def _tell(self, number: int, stage: str, progress: Any) -> None:
        if stage != "queued":  # the hub has said so itself
            self._send(Event(number, stage, progress))

    def _answer(self, message: Ask) -> None:
        self._end(message.number, message.function, self._functions[message.function], *message.arguments)

    def _end(self, number: int, name: str, function: Callable[..., Any], *arguments: Any) -> None:
        """Calls a function and sends what came of it, whatever that is. Raises nothing."""
        with self._lock:
            self._in_hand += 1
        self._stirred.set()
        try:
            answer = Answer(number, function(*arguments))
        except HubError as error:
            answer = Answer(number, error=copy.copy(error).with_traceback(None))
        # Whatever a page's code raises belongs to who asked; not even SystemExit may leave them without an answer.
        except BaseException as error:
            imports.forget_halves(error)
            answer = Answer(number, error=unexpected(name, error))
        with self._lock:
            self._in_hand -= 1
            self._ended_at = time.monotonic()
        self._pulse()  # first, so that who has the answer knows what is loaded
        self._send(answer)

    def _read_again(self, slugs: Collection[str], stale: Collection[str]) -> None:
        self._registry.put(read_again(self._settings, self._weights, slugs))
        self._executor.read_again(slugs, stale)

    # --- what nobody asked for --------------------------------------------------------------------

    def pool_changed(self, event: str, amount: float) -> None:
        """As PoolMetrics says."""
        self._stirred.set()
        self._send(Counted("pool_changed", (event, amount)))

    def batch_passed(self, slug: str, size: int) -> None:
        """As RunMetrics says."""
        self._send(Counted("batch_passed", (slug, size)))

    def output_reused(self, slug: str) -> None:
        """As RunMetrics says."""
        self._send(Counted("output_reused", (slug,)))

    def _tick(self) -> None:
        growth = memory.Growth()
        while True:
            self._stirred.wait()
            self._stirred.clear()
            is_trimmed = False
            while (idle_s := self._idle_s()) <= RESTING_S + PULSE_S or self._executor.deserted_at() is not None:
                self._pulse()
                self._end_if_hung()
                if release_resting() or (idle_s > memory.IDLE_S and not is_trimmed):
                    memory.trim()
                growth.look()
                is_trimmed = idle_s > memory.IDLE_S
                time.sleep(PULSE_S)
            if release_resting():
                memory.trim()

    def _deserted_s(self) -> float:
        at = self._executor.deserted_at()
        return 0.0 if at is None else time.monotonic() - at

    def _end_if_hung(self) -> None:
        """A pass that hangs keeps its thread and its model for ever; nothing ends it but the end of its process."""
        deserted_s = self._deserted_s()
        if deserted_s > self._hung_s and (self._in_hand == 0 or deserted_s > self._hung_s + self._deadline_s):
            log.error("a forward pass that nobody waits for has not ended in %.0f s: this process does", deserted_s)
            os._exit(HUNG)

    def _idle_s(self) -> float:
        """How long nothing was in hand."""
        with self._lock:
            return 0.0 if self._in_hand else time.monotonic() - self._ended_at

    def _pulse(self) -> None:
        turn, state = CONSTRUCTION.now, self._models.state()
        loaded = frozenset(model.key for model in state.models if model.state == "ready")
        building = Building(turn.key, turn.seconds) if turn else None
        is_hung = self._deserted_s() > self._hung_s
        pulse = Pulse(loaded, building, state.used_bytes, tuple(imports.warnings()), is_hung)
        with self._pulsing:
            if pulse != self._last:
                self._last = pulse
                self._send(pulse)

    def _send(self, message: Any) -> None:
        with suppress(OSError), self._sending:  # the hub is gone, which `serve` hears of
            self._connection.send(message)


def begin_pixels(chosen: settings.Settings, largest: int, share: int) -> int:
    """The pixels that may be open in one process of a hub that has `share` of them beside the one with the doors."""
    return budget.pixels_of(chosen.open_megapixels, largest) // (share + 1)


def main() -> None:
    """Serves the connection whose file number is the one argument."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the hub hears them too, and what is in work may end first
    connection = Connection(int(sys.argv[1]))
    begin = connection.recv()
    if hasattr(os, "nice"):
        os.nice(begin.settings.nice)
    logs.begin(begin.settings.log_level, begin.settings.log_format)
    if begin.settings.offline:
        settings.go_offline()
    Worker(connection, begin).serve()
    os._exit(0)  # a page's code that hangs would keep the process


if __name__ == "__main__":
    main()
