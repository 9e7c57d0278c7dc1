"""One host of models as the hub sees it: asked, told, listened to, whatever lies between."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import count
from queue import Empty, SimpleQueue
from typing import Any

from hub.errors import CancelledError, DeadlineError
from hub.execution.executor import Computed, Flag, OnEvent, Work
from hub.execution.messages import Answer, Ask, Cancel, Counted, Event, Pulse, Run, Threads

LOOK_S = 0.25  # between two looks whether a run is still wanted
GRACE_S = 1.0  # a run that is late or cancelled has so long to say itself what it waited for

Inbox = SimpleQueue[Event | Answer | None]  # None: whom it was sent to is gone


class LostError(Exception):
    """The host ended before it answered. Never leaves the executors."""


class Host(ABC):
    """Somewhere an in-process executor lives. Whoever listens to it tells `on_pulse`, `on_counted`, `on_lost`."""

    def __init__(
        self,
        *,
        on_pulse: Callable[[Any], None],
        on_counted: Callable[[Counted], None],
        on_lost: Callable[[Any], None],
    ):
        self.pulse = Pulse(frozenset(), None, 0, ())  # the last that it told
        self.has_answered = False  # a run, as yet
        self._on_pulse, self._on_counted, self._on_lost = on_pulse, on_counted, on_lost
        self._numbers = count()
        # Guards _inboxes and _gone; taken alone.
        self._lock = threading.Lock()
        self._inboxes: dict[int, Inbox] = {}
        self._gone = False
        self._cores = 0  # what it was told last

    # --- what each kind does in its own way -------------------------------------------------------

    @abstractmethod
    def _send(self, message: Any) -> None:
        """Hands a message over. Raises LostError."""

    @abstractmethod
    def how_it_ended(self) -> str:
        """What is told of one that is gone, in a word or two."""

    # --- runs and calls ---------------------------------------------------------------------------

    def compute(self, work: Work, on_event: OnEvent, cancel: Flag, too_late: Callable[[], DeadlineError]) -> Computed:
        """As `Executor.compute`. Raises LostError where the host ended meanwhile."""
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
        """Calls a function of the host. Raises HubError, DeadlineError after the time, LostError."""
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

    @property
    def is_alive(self) -> bool:
        return not self._gone

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

    def _hear(self, message: Any) -> None:
        """A message of the host has come."""
        if isinstance(message, Event | Answer):
            self._put(message.number, message)
        elif isinstance(message, Pulse):
            self.pulse = message
            self._on_pulse(self)
        elif isinstance(message, Counted):
            self._on_counted(message)

    def _put(self, number: int, message: Event | Answer | None) -> None:
        with self._lock:
            inbox = self._inboxes.get(number)
        if inbox is not None:
            inbox.put(message)

    def _lose(self) -> None:
        """The host is gone: all who wait for it hear so, and then `on_lost`."""
        with self._lock:
            if self._gone:
                return
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
