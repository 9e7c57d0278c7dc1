"""What this process holds of the machine's memory: freed memory goes back to the system, with glibc at least."""

from __future__ import annotations

import ctypes
import logging
import math
import os
import sys
import threading
import time
from functools import cache
from typing import Any

import psutil

log = logging.getLogger(__name__)
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # of mallopt(3)
MAPPED_BYTES = 16 * 2**20  # as large as the blocks in which Pillow holds pictures
PASS_MAPPED_BYTES = 32 * 2**20  # the most that glibc takes
PASS_KEPT_BYTES = 512 * 2**20
# All threads share one: glibc makes eight a core, each keeps what its fullest moment took, and `malloc_trim` does not
# give back the upper end of any but the first.
ARENAS = 1
IDLE_S = 1.0  # without anything large, before memory is given back
GROWN_BYTES = 256 * 2**20  # that a process grows by, before it gives memory back in the midst of its work
AGAIN_S = 5.0  # between two such times: pages that were given back are cleared when they are taken anew
OWN = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")  # whoever sets these knows what they want


@cache
def settle() -> None:
    """Makes glibc map large blocks one by one, so that freeing one gives it back; once in a process.

    Left alone it raises its bound with each large block that is freed, up to 32 MB, and then keeps those below it in
    one arena a thread: 32 pictures of 49 megapixels at once left gigabytes behind. What is small lies in one arena,
    which all threads share. Elsewhere this does nothing.
    """
    libc = _libc()
    if libc is None or any(name in os.environ for name in OWN):
        return
    if "MALLOC_ARENA_MAX" not in os.environ:
        libc.mallopt(M_ARENA_MAX, ARENAS)
    libc.mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES)
    libc.mallopt(M_TRIM_THRESHOLD, 2 * MAPPED_BYTES)  # setting the one stops glibc from raising the other


@cache
def settle_for_models() -> None:
    """The same in a process that runs models, where forward passes take and free tens of megabytes for each layer.

    As `settle` has it the system maps, clears and unmaps them every time: of two cores at work with batches of eight,
    a third of the time went there. So all threads share one arena, which keeps what passes free until nothing is in
    work (`trim`); pictures of more than a few megapixels are mapped one by one as ever.
    """
    libc = _libc()
    if libc is None or any(name in os.environ for name in OWN):
        return
    libc.mallopt(M_ARENA_MAX, ARENAS)
    libc.mallopt(M_MMAP_THRESHOLD, PASS_MAPPED_BYTES)
    libc.mallopt(M_TRIM_THRESHOLD, PASS_KEPT_BYTES)


@cache
def _libc() -> Any:
    """glibc, or None where there is none."""
    if sys.platform != "linux":
        return None
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:
        return None
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None


def trim() -> None:
    """Gives freed memory back to the system."""
    if (libc := _libc()) is not None:
        libc.malloc_trim(0)


class Growth:
    """Gives memory back where this process has grown although it works on: among what many runs hold there are holes,
    which are of no use to larger blocks, and become more for minutes. For one thread."""

    def __init__(self) -> None:
        self._least, self._not_before = math.inf, 0.0

    def look(self) -> None:
        now, resident = time.monotonic(), _resident_bytes()
        self._least = min(self._least, resident)
        if resident >= self._least + GROWN_BYTES and now >= self._not_before:
            trim()
            self._least, self._not_before = _resident_bytes(), now + AGAIN_S


def _resident_bytes() -> int:
    resident: int = psutil.Process().memory_info().rss
    return resident


class _Trimmer:
    """Trims once, when nothing large has ended for a while: each trim walks all that is free."""

    def __init__(self) -> None:
        # Guards both below; taken alone.
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._again = False

    def soon(self) -> None:
        with self._lock:
            self._again = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="trim", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        pause, growth = threading.Event(), Growth()
        while True:
            with self._lock:
                quiet, self._again = not self._again, False
                if quiet:
                    self._thread = None
            if quiet:
                trim()
                return
            growth.look()
            pause.wait(IDLE_S)


_TRIMMER = _Trimmer()


def trim_soon() -> None:
    """Gives memory back after a moment in which nothing large ended."""
    if _libc() is not None:
        _TRIMMER.soon()
