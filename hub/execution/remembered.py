"""What was measured and outlives the process: one small JSON file, shared by hubs that use one data folder."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from hub.files import read_bounded, write_atomic

log = logging.getLogger(__name__)
MOST = 1000  # entries; the oldest go first
MOST_BYTES = 4 * 2**20  # a longer file is not one of ours
PATIENCE_S = 5.0


class Remembered:
    """Entries by name in the file `path`; without one nothing is kept. A damaged file counts as an empty one."""

    def __init__(self, path: Path | None):
        self.path = path

    def read(self) -> dict[str, Any]:
        """All entries, the latest last."""
        try:
            entries = json.loads(read_bounded(self.path, MOST_BYTES)) if self.path else {}
        except (OSError, ValueError, RecursionError):
            return {}
        return entries if isinstance(entries, dict) else {}

    def add(self, entries: Mapping[str, Any]) -> None:
        """Writes entries beside what other processes wrote meanwhile. A failure is logged: it costs a measurement."""
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self.path}.lock", timeout=PATIENCE_S):
                merged = {k: v for k, v in self.read().items() if k not in entries} | dict(entries)
                write_atomic(self.path, json.dumps(dict(list(merged.items())[-MOST:]), indent=2).encode())
        except (OSError, Timeout) as error:
            log.warning("%s is not written: %s", self.path, error)
