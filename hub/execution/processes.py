"""One model process as the hub sees it: started, asked, told, ended."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import count
from multiprocessing import Pipe
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import psutil

from hub.errors import CancelledError, DeadlineError, UnavailableError
from hub.execution.executor import Computed, Flag, OnEvent, Work
from hub.execution.messages import Answer, Ask, Begin, Cancel, Counted, Event, Pulse, Run, Threads

log = logging.getLogger(__name__)
LOOK_S = 0.25  # between two looks whether a run is still wanted
GRACE_S = 1.0  # a run that is late or cancelled has so long to say itself what it waited for
END_S = 3.0  # a process that was left alone has so long to end by itself
CODE = Path(__file__).resolve().parents[2]  # what `hub` is imported from

Inbox = SimpleQueue[Event | Answer | None]  # None: the process is gone


class LostError(Exception):
    """The process ended before it answered. Never leaves hub/execution."""


class ModelProcess:
    """A process of its own with an in-process executor in it. Its thread tells `on_pulse`, `on_counted`, `on_lost`.

    multiprocessing's own way to start one would run the caller's script once more, which Streamlit's is not made for.
    """

    def __init__(
        self,
        begin: Begin,
        *,
        on_pulse: Callable[[ModelProcess], None],
        on_counted: Callable[[Counted], None],
        on_lost: Callable[[ModelProcess], None],
    ):
        self.pulse = Pulse(frozenset(), None, 0, ())  # the last that it told
        self.has_answered = False  # a run, as yet
        self._on_pulse, self._on_counted, self._on_lost = on_pulse, on_counted, on_lost
        self._numbers = count()
        self._sending = threading.Lock()
        # Guards _inboxes and _gone; taken alone.
        self._lock = threading.Lock()
        self._inboxes: dict[int, Inbox] = {}
        self._gone = False
        self._cores = 0  # what it was told last
        ours, theirs = Pipe()
        path = os.pathsep.join(filter(None, (str(CODE), os.environ.get("PYTHONPATH", ""))))
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "hub.execution.worker", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": path},
            )
        finally:
            theirs.close()
        self._connection = ours
        self._send(begin)
        threading.Thread(target=self._listen, name="model-process", daemon=True).start()

    # --- runs and calls ---------------------------------------------------------------------------

    def compute(self, work: Work, on_event: OnEvent, cancel: Flag, too_late: Callable[[], DeadlineError]) -> Computed:
        """As `Executor.compute`. Raises LostError where the process ended meanwhile."""
        end = time.monotonic() + work.left_s
        number, inbox = self._expect()
        try:
            self._send(Run(number, work))
            until: float | None = None
            while True:
                message = _next(inbox)
                if isinstance(message, Answer):
                    self.has_answered = True
                    if isinstance(message.error, CancelledError) and not cancel.is_set():
                        raise too_late()  # it was told to stop for that, a moment before it saw so itself
                    value: Computed = _value(message)
                    return value
                if isinstance(message, Event):
                    on_event(message.stage, message.progress)
                # After a message too: a run that tells its steps often would not be stopped otherwise.
                if until is None and (cancel.is_set() or time.monotonic() >= end):
                    self._send(Cancel(number))
                    until = time.monotonic() + GRACE_S
                elif until is not None and time.monotonic() >= until:
                    raise too_late()  # its code hangs
        finally:
            self._forget(number)

    def ask(self, function: str, *arguments: Any, timeout_s: float | None = None) -> Any:
        """Calls a function of the process. Raises HubError, DeadlineError after the time, LostError."""
        end = None if timeout_s is None else time.monotonic() + timeout_s
        number, inbox = self._expect()
        try:
            self._send(Ask(number, function, arguments))
            while True:
                message = _next(inbox)
                if isinstance(message, Answer):
                    return _value(message)
                if end is not None and time.monotonic() >= end:
                    raise DeadlineError("The models did not answer in time. Try again in a moment.")
        finally:
            self._forget(number)

    def tell(self, function: str, *arguments: Any) -> None:
        """Calls a function, and waits for nothing. Raises nothing."""
        with suppress(LostError):
            self._send(Ask(next(self._numbers), function, arguments))

    def use_cores(self, cores: int) -> None:
        """Forward passes that begin from now on may use so many cores."""
        if cores != self._cores:
            self._cores = cores
            with suppress(LostError):
                self._send(Threads(cores))

    # --- life -------------------------------------------------------------------------------------

    @property
    def is_alive(self) -> bool:
        return not self._gone

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """Negative: the signal that ended it."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
        return self._process.returncode

    def memory_bytes(self) -> int:
        """What it holds of the machine's memory; 0 when it is gone."""
        try:
            return int(psutil.Process(self.pid).memory_info().rss)
        except psutil.Error:
            return 0

    def kill(self) -> None:
        """Ends it at once; what it was at is lost."""
        self._process.kill()

    def leave(self) -> None:
        """Leaves it alone, so that it ends."""
        with suppress(LostError):
            self._send(None)

    def close(self) -> None:
        """Waits until it has ended; what does not, is ended."""
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    # --- messages ---------------------------------------------------------------------------------

    def _expect(self) -> tuple[int, Inbox]:
        number, inbox = next(self._numbers), Inbox()
        with self._lock:
            if self._gone:
                raise LostError
            self._inboxes[number] = inbox
        return number, inbox

    def _forget(self, number: int) -> None:
        with self._lock:
            self._inboxes.pop(number, None)

    def _send(self, message: Any) -> None:
        try:
            with self._sending:
                self._connection.send(message)
        except (OSError, ValueError):  # closed: at the other end, or here
            raise LostError from None

    def _listen(self) -> None:
        while True:
            try:
                message = self._connection.recv()
            except (EOFError, OSError):
                break
            if isinstance(message, Event | Answer):
                with self._lock:
                    inbox = self._inboxes.get(message.number)
                if inbox is not None:
                    inbox.put(message)
            elif isinstance(message, Pulse):
                self.pulse = message
                self._on_pulse(self)
            elif isinstance(message, Counted):
                self._on_counted(message)
        with self._lock:
            self._gone = True
            inboxes = list(self._inboxes.values())
        self.pulse = replace(self.pulse, loaded=frozenset(), building=None, used_bytes=0)
        for inbox in inboxes:
            inbox.put(None)
        self._on_lost(self)


def _next(inbox: Inbox) -> Event | Answer | None:
    """The next message; None after a while without one. Raises LostError."""
    try:
        message = inbox.get(timeout=LOOK_S)
    except Empty:
        return None
    if message is None:
        raise LostError
    return message


def _value(answer: Answer) -> Any:
    if answer.error is not None:
        raise answer.error
    return answer.value


def lost(slug: str, statuses: list[int | None]) -> UnavailableError:
    """What is told of a run whose processes ended, twice."""
    return UnavailableError(
        "The process that ran {page} ended before it answered, and so did the one that tried again ({how}). If this "
        "input is large, make it smaller; else try again in a moment. The hub goes on.",
        page=slug,
        how=", ".join("killed" if status == -9 else f"status {status}" for status in statuses),
    )
