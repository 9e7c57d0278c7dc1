"""Whether the data folder can be written: asked for /readyz and the status pages, and told while it lasts."""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from pathlib import Path

from hub.database import reason
from hub.texts import Sentence, sentence

log = logging.getLogger(__name__)

LOOK_S = 5.0  # between two looks; probes ask every few seconds
PROBE_BYTES = 64 * 1024
LOW_MB, LOW_SHARE = 100, 0.02  # less than both is told before it is too late


class Disk:
    """Looks at one folder, at most every few seconds. One that does not exist yet is no trouble."""

    def __init__(self, folder: Path):
        self._folder = folder
        # Guards the two below, and lets one look at a time; taken alone.
        self._lock = threading.Lock()
        self._looked, self._trouble = -LOOK_S, sentence("")

    def trouble(self) -> Sentence:
        """What is wrong, in words; empty for nothing."""
        with self._lock:
            if time.monotonic() - self._looked >= LOOK_S:
                before, self._trouble = self._trouble, self._look()
                self._looked = time.monotonic()
                if self._trouble != before:
                    log.warning("%s", self._trouble or f"The folder {self._folder} can be written again.")
            return self._trouble

    def _look(self) -> Sentence:
        if not self._folder.is_dir():
            return sentence("")
        probe = self._folder / f".probe-{secrets.token_hex(4)}"
        try:
            try:
                with probe.open("wb") as file:
                    file.write(os.urandom(PROBE_BYTES))
                    file.flush()
                    os.fsync(file.fileno())
            finally:
                probe.unlink(missing_ok=True)
            stats = os.statvfs(self._folder)
        except OSError as error:
            return sentence(
                "What people make cannot be kept: {why} ({path}).", why=reason(error, probe), path=str(self._folder)
            )
        free_mb, total_mb = (blocks * stats.f_frsize / 1e6 for blocks in (stats.f_bavail, stats.f_blocks))
        if free_mb < min(LOW_MB, LOW_SHARE * total_mb):
            return sentence("The disk of {path} has {free} MB left.", path=str(self._folder), free=f"{free_mb:.0f}")
        return sentence("")
