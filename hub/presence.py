"""One machine at a time uses a data folder: SQLite and file locks promise nothing across machines.

Several hubs of one machine may: what lies in the folder is made for that. A hub on another machine, which a network
file system lets at the same folder, would damage it in silence, so it does not start.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import socket
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path

from hub.errors import UnavailableError

log = logging.getLogger(__name__)
PREFIX = ".in-use-"  # of a file for each hub, which it writes again and again; its machine, hashed, follows
BEAT_S = 10.0  # between two signs of life
LATE = 2.0  # who gives none in so many times that is gone
LOOK_S = 0.25
LEFT_S = 3600.0  # what killed hubs of this machine left goes after so long


class Presence:
    """Says that a hub of this machine uses the folder, and hears of those of others.

    Only whether another's file changes is looked at, and not when it was written: clocks of machines differ.
    """

    def __init__(self, folder: Path, machine: str = ""):
        """`machine`: what tells it from others; empty: as it is."""
        self._folder = folder
        self._here = f"{PREFIX}{hashlib.sha256((machine or machine_id()).encode()).hexdigest()[:16]}-"
        self._own = folder / f"{self._here}{secrets.token_hex(4)}"
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Waits for a sign of life where another machine's hub was here. Raises UnavailableError when there is one."""
        if not self._beat():
            return  # read-only, or not there: nothing of it is written by anybody here
        self._clear_left_over()
        # Before the look at others: of two that begin at once, each must see the other.
        self._thread = threading.Thread(target=self._work, name="presence", daemon=True)
        self._thread.start()
        before, end = self._others(), time.monotonic() + BEAT_S * LATE
        if before:
            log.info("%s was in use by a hub on another machine (%s): is it still?", self._folder, _name(*before))
        while before and time.monotonic() < end:
            time.sleep(min(LOOK_S, BEAT_S / 4))
            now = self._others()
            alive = [path for path in before if now.get(path, before[path]) != before[path]]
            if alive:
                name = _name(*alive)
                self.close()
                raise UnavailableError(
                    "The data folder {path} is in use by a hub on another machine ({name}). What it holds is for hubs "
                    "of one machine: give this one a folder of its own (--data), or end the other.",
                    path=self._folder, name=name,
                )  # fmt: skip
            before = {path: before[path] for path in before if path in now}
        for path in before:
            with suppress(OSError):
                path.unlink()

    def close(self) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join(1.0)  # or it would write the file once more
            with suppress(OSError):
                self._own.unlink()

    def _work(self) -> None:
        seen = self._others()
        while not self._over.wait(BEAT_S):
            self._beat()
            now = self._others()
            if alive := [path for path in now if path in seen and now[path] != seen[path]]:
                log.error("a hub on another machine (%s) uses %s too: one must end", _name(*alive), self._folder)
            seen = now

    def _beat(self) -> bool:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._own.write_text(f"{socket.gethostname()} {os.getpid()} {time.time()}\n", encoding="utf-8")
        except OSError:
            return False
        return True

    def _clear_left_over(self) -> None:
        with suppress(OSError):
            now = self._own.stat().st_mtime
            for path in self._folder.glob(f"{self._here}*"):
                if now - path.stat().st_mtime > LEFT_S:
                    path.unlink()

    def _others(self) -> dict[Path, tuple[int, int]]:
        """What can be told of the files of other machines without reading them."""
        found = {}
        with suppress(OSError):
            for path in self._folder.glob(f"{PREFIX}*"):
                if not path.name.startswith(self._here):
                    stat = path.stat()
                    found[path] = (stat.st_mtime_ns, stat.st_size)
        return found


def _name(path: Path, *others: Path) -> str:
    """What the other machine calls itself."""
    with suppress(OSError):
        name = path.read_bytes()[:200].decode("ascii", "replace").split(" ")[0]
        if name.isprintable() and name:
            return name
    return "?"


def machine_id() -> str:
    """The same for all processes of a machine, also in containers, and another one on each other machine."""
    for place in ("/proc/sys/kernel/random/boot_id", "/etc/machine-id"):
        with suppress(OSError):
            if text := Path(place).read_text(encoding="ascii").strip():
                return text
    return f"{socket.gethostname()} {uuid.getnode():x}"
