"""One model process as the hub sees it: started, asked, told, ended."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import psutil

from hub.errors import UnavailableError
from hub.execution.hosts.host import Host, LostError
from hub.execution.messages import Begin, Counted
from hub.settings import environment_for_models

log = logging.getLogger(__name__)
END_S = 3.0  # a process that was left alone has so long to end by itself
CODE = Path(__file__).resolve().parents[2]  # what `hub` is imported from


class ModelProcess(Host):
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
        super().__init__(on_pulse=on_pulse, on_counted=on_counted, on_lost=on_lost)
        self._sending = threading.Lock()
        ours, theirs = Pipe()
        path = os.pathsep.join(filter(None, (str(CODE), os.environ.get("PYTHONPATH", ""))))
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "hub.execution.worker", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=environment_for_models(PYTHONPATH=path),
            )
        finally:
            theirs.close()
        self._connection = ours
        self._send(begin)
        threading.Thread(target=self._listen, name="model-process", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """Negative: the signal that ended it."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
        return self._process.returncode

    def how_it_ended(self) -> str:
        """As `Host` says."""
        status = self.exit_status
        return "killed" if status == -9 else f"status {status}"

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
            self._hear(message)
        self._lose()


def lost(slug: str, hosts: Iterable[Host]) -> UnavailableError:
    """What is told of a run whose processes ended, again and again."""
    return UnavailableError(
        "The process that ran {page} ended before it answered, and so did those that tried again ({how}). If this "
        "input is large, make it smaller; else try again in a moment. The hub goes on.",
        page=slug,
        how=", ".join(host.how_it_ended() for host in hosts),
    )
