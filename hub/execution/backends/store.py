"""Forms on disk, made once: a folder each, under the digest of their weights, with the sum of every file.

Hubs and workers that use one data folder share them. What is not as it was written is removed and made anew: the bytes
that were summed are the bytes that are parsed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from hub.execution.backends.export import CONSTANTS, MODEL
from hub.files import DamagedError, clear, parse_json, read_bounded, write_atomic

log = logging.getLogger(__name__)
SUMS, LOCK, WORK = "sums.json", ".lock-", ".work-"
MODEL_BYTES, CONSTANTS_BYTES, SUMS_BYTES = 64 * 2**20, 2 * 2**30, 4096  # no form of ours has more
MOST_BYTES, MOST_FORMS = 2 * 2**30, 64  # kept; those that were not used for longest go
LEFT_AFTER_S = 3600.0  # nobody writes one form for so long: whoever began it was killed


@dataclass(frozen=True, slots=True)
class Name:
    """`what`: the page, weights and method, which has one form at a time; `exactly`: their digest and all versions."""

    slug: str
    what: str
    exactly: str

    @property
    def folder(self) -> str:
        return f"{self._family}{_short(self.exactly)}"

    @property
    def _family(self) -> str:
        return f"{self.slug}-{_short(self.what)}-"

    def outdates(self, folder: str) -> bool:
        """Whether a folder holds a form of the same, of other weights or versions."""
        return folder.startswith(self._family) and folder != self.folder


class FormStore:
    def __init__(self, folder: Path):
        self.folder = folder

    def read(self, name: Name) -> tuple[bytes, bytes] | None:
        """Model and constants, or None. A form that was damaged or changed is removed."""
        place = self.folder / name.folder
        try:
            sums = parse_json(read_bounded(place / SUMS, SUMS_BYTES))
            model, constants = (
                read_bounded(place / MODEL, MODEL_BYTES),
                read_bounded(place / CONSTANTS, CONSTANTS_BYTES),
            )
            if sums != {MODEL: _sum(model), CONSTANTS: _sum(constants)}:
                raise DamagedError("its files are not those that were written")
        except FileNotFoundError:
            if os.path.lexists(place):
                clear(place)
            return None
        except (OSError, ValueError) as error:
            log.warning("the compiled form %s is made anew: %s", name.folder, error)
            clear(place)
            return None
        with suppress(OSError):
            os.utime(place)  # it was used now
        return model, constants

    @contextmanager
    def making(self, name: Name, patience_s: float) -> Iterator[Path]:
        """A folder to write model and constants in, which take their place at the end; one process makes one form.

        Who had to wait looks again whether it is there. Raises filelock.Timeout, OSError.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / f"{LOCK}{name.folder}", timeout=patience_s):
            work = self.folder / f"{WORK}{os.getpid()}-{time.monotonic_ns()}"
            work.mkdir(mode=0o700)
            try:
                yield work
                if (work / MODEL).is_file():
                    self._keep(name, work)
            finally:
                clear(work)
        self._prune(name)

    def _keep(self, name: Name, work: Path) -> None:
        sums = {file: _sum((work / file).read_bytes()) for file in (MODEL, CONSTANTS)}
        for entry in work.iterdir():
            if entry.name not in sums:
                entry.unlink()
        write_atomic(work / SUMS, json.dumps(sums).encode())
        clear(self.folder / name.folder)
        work.rename(self.folder / name.folder)

    def _prune(self, name: Name) -> None:
        """Removes what nobody will ask for any more, and the oldest of what is too much."""
        kept: list[tuple[float, int, Path]] = []
        with suppress(OSError):
            for entry in self.folder.iterdir():
                age = time.time() - entry.stat().st_mtime
                if name.outdates(entry.name) or (entry.name.startswith((WORK, LOCK)) and age > LEFT_AFTER_S):
                    clear(entry)
                elif entry.is_dir() and not entry.name.startswith(WORK):
                    kept.append((age, sum(file.stat().st_size for file in entry.iterdir()), entry))
        total = 0
        for number, (_, size, entry) in enumerate(sorted(kept, key=lambda one: one[0])):
            total += size
            if (total > MOST_BYTES or number >= MOST_FORMS) and entry.name != name.folder:
                shutil.rmtree(entry, ignore_errors=True)


def _sum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
