"""Ctrl+C: what a command was doing is cancelled, and the command knows in the end that it was interrupted."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from hub.engine.jobs import Cancel

STATUS = 130  # the exit status that shells give a command that Ctrl+C ended


@contextmanager
def cancelling(cancel: Cancel) -> Iterator[None]:
    """Ctrl+C sets `cancel`, and then does what it did before: raises KeyboardInterrupt, or what is around this one.

    The exception alone is not enough. Python drops one that is raised while it runs a finaliser or another callback,
    and the command would go on as if nobody had pressed the keys.
    """
    before = signal.getsignal(signal.SIGINT)
    # Only the main thread hears signals. And who starts a command in the background of a script ignores SIGINT for it,
    # so that Ctrl+C ends what is in front alone: that stays so.
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        cancel.set()
        before(number, frame)

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
