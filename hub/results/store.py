"""The bounded store of results: in memory and on disk, each result in a folder of its own."""

from __future__ import annotations

import json
import logging
import os
import secrets
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cachetools import Cache, LRUCache

from hub.files import DamagedError, clear
from hub.results import records
from hub.results.records import Record
from hub.results.result import Result
from hub.results.secret import load_secret
from hub.results.sight import Sight
from hub.texts import sentence

log = logging.getLogger(__name__)
STAGING_S = 3600.0  # files a crash left half written go at a start after this long
DAMAGED, DAMAGED_MOST, DAMAGED_BYTES = ".damaged", 20, 64 * 2**20  # where damaged results go; how many are kept
BATCH_SHARE = 2  # results of batches take at most 1/2 of the disk: thousands must not push out what people ran
RETRY_S = 5.0  # between two tries to use a folder that could not be used


@dataclass(slots=True)
class _DiskIndex:
    """Bytes and time of creation of each result on disk, least recently used first.

    `batches` are those of them that a batch made since the hub began, the oldest first.
    """

    entries: OrderedDict[str, tuple[int, float]] = field(default_factory=OrderedDict)
    total: int = 0
    batches: OrderedDict[str, None] = field(default_factory=OrderedDict)
    of_batches: int = 0  # bytes

    def add(self, id: str, size: int, created: float, of_batch: bool = False) -> None:
        self.remove(id)
        self.entries[id] = (size, created)
        self.total += size
        if of_batch:
            self.batches[id] = None
            self.of_batches += size

    def remove(self, id: str) -> None:
        size = self.entries.pop(id, (0, 0.0))[0]
        self.total -= size
        if id in self.batches:
            del self.batches[id]
            self.of_batches -= size

    def next_to_leave(self, most: int) -> str | None:
        """Which result is over the bound of `most` bytes; None: none is."""
        if self.of_batches > most // BATCH_SHARE:
            return next(iter(self.batches))
        return next(iter(self.entries)) if self.total > most else None


class _Memory(LRUCache[str, Result]):
    """Results by id, at most so many bytes; `evicted` names those that left to make room."""

    def __init__(self, size_bytes: int):
        super().__init__(size_bytes, getsizeof=lambda result: result.size_bytes)
        self.evicted: list[str] = []

    def popitem(self) -> tuple[str, Result]:
        id, result = super().popitem()
        self.evicted.append(id)
        return id, result


class ResultStore:
    """Results in memory and on disk, bounded in bytes and age; memory only where `folder` cannot be written.

    Who asked by `hear_gone` is told of each result that is kept nowhere any more.
    """

    def __init__(
        self,
        folder: Path | None,
        *,
        memory_bytes: int,
        disk_bytes: int,
        max_age_s: float,
        clock: Callable[[], float] = time.time,
    ):
        self.disk_bytes, self.max_age_s, self._clock = disk_bytes, max_age_s, clock
        self._on_gone: Callable[[str], None] = lambda id: None
        self.secret = load_secret(folder)
        # Guards _memory and _index. Files are written outside it: each result has its own folder.
        self._lock = threading.Lock()
        self._memory = _Memory(memory_bytes)
        self._index = _DiskIndex()
        self._wished_folder = folder / "results" if folder is not None and disk_bytes > 0 else None
        self._folder: Path | None = None
        self._tried_at = 0.0
        self.warning = sentence("")
        if self._wished_folder is not None:
            self._open(self._wished_folder)

    def _open(self, folder: Path) -> None:
        self._tried_at = time.monotonic()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / f".probe-{secrets.token_hex(4)}"
            probe.touch()
            probe.unlink()
            entries = sorted(entry for path in folder.glob("??/*") if (entry := _index_entry(path)))
            for leftover in folder.glob(".*"):
                with suppress(FileNotFoundError):  # another hub's that starts, too
                    if leftover.name != DAMAGED and self._clock() - leftover.lstat().st_mtime > STAGING_S:
                        clear(leftover)
        except OSError as error:
            self.warning = sentence("Results are kept in memory only: {reason}.", reason=f"{error.strerror} ({folder})")
            log.warning(self.warning)
            self._folder = None
            return
        self._folder, self.warning = folder, sentence("")
        with self._lock:
            for created, size, id in entries:
                self._index.add(id, size, created)
        self._trim()

    def get(self, id: str) -> Result | None:
        """The stored result, or None when there is none, it is too old, or its files are damaged."""
        with self._lock:
            recent = self._memory.get(id)
            if recent is not None and self._is_old(recent.created):
                del self._memory[id]
                recent = None
            if id in self._index.entries:
                self._index.entries.move_to_end(id)
        if recent is not None:
            return recent
        result = self._read(id) if self._folder is not None else None
        if result is not None:
            self._remember(result)
        else:
            self._on_gone(id)
        return result

    def hear_gone(self, on_gone: Callable[[str], None]) -> None:
        """`on_gone(id)` hears, from any thread, of results that go from now on."""
        self._on_gone = on_gone

    def created(self, id: str) -> float | None:
        """When a result was made, in seconds since the epoch; None: it is not kept. Reads no file, is no use of it."""
        with self._lock:
            if id in self._index.entries:
                created = self._index.entries[id][1]
            elif id in self._memory:
                created = Cache.__getitem__(self._memory, id).created  # past the LRUCache's own, which counts uses
            else:
                return None
        return None if self._is_old(created) else created

    def sights(self) -> Iterator[tuple[str, dict[str, Any], Sight]]:
        """Id, capsule and sight of each result on disk that has one; the last used first."""
        for id, record in self._records(last_first=True):
            with self._set_aside_damaged(id):
                sight = records.read_sight(self._path(id), record)
                if sight is not None:
                    yield id, dict(json.loads(record.capsule)), sight

    def records(self) -> Iterator[tuple[str, Record]]:
        """Id and record of each result on disk."""
        return self._records()

    def _records(self, last_first: bool = False) -> Iterator[tuple[str, Record]]:
        with self._lock:
            ids = [*self._index.entries]
        for id in reversed(ids) if last_first else ids:
            record = None
            with self._set_aside_damaged(id):
                record = records.read_record(self._path(id))
            if record is not None:
                yield id, record

    @contextmanager
    def _set_aside_damaged(self, id: str) -> Iterator[None]:
        """Around all that reads a result's files: a damaged one is set aside, and so is reported once."""
        try:
            yield
        except FileNotFoundError:
            pass  # it went while we looked
        except DamagedError as error:
            self._set_aside(id, error)
        except OSError as error:
            log.warning("stored result %s cannot be read: %s", id, error)

    def _set_aside(self, id: str, why: DamagedError) -> None:
        assert self._folder is not None
        with self._lock:
            self._index.remove(id)
        place, path = self._folder / DAMAGED, self._path(id)
        try:
            place.mkdir(exist_ok=True)
            path.rename(place / f"{id}-{secrets.token_hex(4)}")
        except OSError as error:
            log.error("stored result %s is damaged (%s) and cannot be set aside: %s", id, why, error)
            return
        log.error("stored result %s is damaged (%s): it is in %s now, and will be made anew", id, why, place)
        total, folders = 0, sorted(place.iterdir(), key=lambda path: -path.lstat().st_mtime)
        for number, old in enumerate(folders):
            size = _known_bytes(old)
            total += size
            if number >= DAMAGED_MOST or total > DAMAGED_BYTES:
                clear(old)

    def _is_old(self, created: float) -> bool:
        return self._clock() - created >= self.max_age_s

    def put(self, result: Result, *, of_batch: bool = False) -> None:
        """Keeps a result. A full or read-only disk costs only durability: it is logged, not raised."""
        self._remember(result)
        self.retry()
        if self._folder is None:
            return
        target = self._path(result.id)
        staging = self._folder / f".new-{result.id}-{secrets.token_hex(4)}"
        try:
            staging.mkdir()
            size = records.write_result(staging, result)
            os.utime(staging, (result.created, result.created))  # the next start reads its age from that
            if not target.parent.is_dir():
                clear(target.parent)
            target.parent.mkdir(exist_ok=True)
            clear(target)
            staging.rename(target)
        except OSError as error:
            log.warning("result %s is kept in memory only: %s", result.id, error)
            shutil.rmtree(staging, ignore_errors=True)
            return
        with self._lock:
            self._index.add(result.id, size, result.created, of_batch)
        self._trim()

    def retry(self) -> None:
        """Tries again to use a folder that could not be used; it costs nothing where it is."""
        if self._folder is None and self._wished_folder is not None and time.monotonic() - self._tried_at > RETRY_S:
            self._open(self._wished_folder)

    def remove(self, id: str) -> None:
        """Deletes a result, if it is here."""
        with self._lock:
            self._memory.pop(id, None)
            on_disk = id in self._index.entries
            self._index.remove(id)
        if on_disk:
            clear(self._path(id))
        if self._folder is not None and records.ID.fullmatch(id):
            for damaged in self._folder.glob(f"{DAMAGED}/{id}-*"):
                clear(damaged)
        self._on_gone(id)

    def disown(self, id: str, owners: Collection[str]) -> None:
        """Forgets that a result was made for one of these, who deleted their runs; others still have it."""
        result = self.get(id)
        if result is None:
            return
        sight = result.sight
        if sight is not None and sight.owner in owners:
            sight = replace(sight, owner="")
        asked_by = None if result.asked_by in owners else result.asked_by
        if sight is not result.sight or asked_by != result.asked_by:
            self.put(replace(result, sight=sight, asked_by=asked_by))

    def _remember(self, result: Result) -> None:
        with self._lock:
            if result.size_bytes <= self._memory.maxsize:
                self._memory[result.id] = result
            lost = [id for id in self._memory.evicted if id not in self._index.entries]
            self._memory.evicted.clear()
        for id in lost:
            self._on_gone(id)

    def _path(self, id: str) -> Path:
        assert self._folder is not None
        return self._folder / id[:2] / id

    def _read(self, id: str) -> Result | None:
        if not records.ID.fullmatch(id):
            return None
        with self._set_aside_damaged(id):
            result = records.read_result(self._path(id), id)
            return None if self._is_old(result.created) else result
        return None

    def _trim(self) -> None:
        """Removes what is over the bound in bytes or age, least recently used first."""
        if self._folder is None:
            return
        removed = []
        with self._lock:
            while self._index.entries:
                first, (_, created) = next(iter(self._index.entries.items()))
                leaves = first if self._is_old(created) else self._index.next_to_leave(self.disk_bytes)
                if leaves is None:
                    break
                self._index.remove(leaves)
                removed.append((leaves, leaves in self._memory))
        for id, remembered in removed:
            clear(self._path(id))
            if not remembered:
                self._on_gone(id)

    def stats(self) -> dict[str, int]:
        """Bytes and counts, in memory and on disk."""
        with self._lock:
            return {
                "memory_bytes": int(self._memory.currsize),
                "memory_results": len(self._memory),
                "disk_bytes": self._index.total,
                "disk_results": len(self._index.entries),
            }


def _known_bytes(path: Path) -> int:
    size = sum(f.lstat().st_size for f in path.iterdir()) if path.is_dir() and not path.is_symlink() else 0
    return size + 4096


def _index_entry(path: Path) -> tuple[float, int, str] | None:
    """Creation, bytes and id of a result on disk; None for anything else, or when it went away while we looked."""
    if not records.ID.fullmatch(path.name):
        return None
    try:
        return path.lstat().st_mtime, sum(f.lstat().st_size for f in path.iterdir()), path.name
    except OSError:
        return None
