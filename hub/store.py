"""The bounded store of results: in memory and on disk, each result in a folder of its own."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cachetools import Cache, LRUCache

from hub import sight, texts
from hub.results import Picture, Receipt, Result
from hub.sight import Sight

log = logging.getLogger(__name__)
SECRET_BYTES = 32
SIGHT_FILE = "similar.safetensors"
STAGING_S = 3600.0  # files a crash left half written go at a start after this long


def load_secret(folder: Path | None) -> bytes:
    """The key that makes ids unguessable: kept in `folder/secret` (owner-readable), or made for this run only."""
    if folder is None:
        return secrets.token_bytes(32)
    path, made = folder / "secret", secrets.token_bytes(SECRET_BYTES)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.is_file() and path.stat().st_size != SECRET_BYTES:
            log.warning("%s is damaged; a new one is made, and ids of results change", path)
            path.unlink()
        with (
            suppress(FileExistsError),
            os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as f,
        ):
            f.write(made)
        return path.read_bytes()
    except OSError as error:
        log.warning("ids of results will change at the next start: %s", error)
        return made


@dataclass(slots=True)
class _Index:
    """Bytes and time of creation of each result on disk, least recently used first."""

    entries: OrderedDict[str, tuple[int, float]] = field(default_factory=OrderedDict)
    total: int = 0

    def add(self, id: str, size: int, created: float) -> None:
        self.remove(id)
        self.entries[id] = (size, created)
        self.total += size

    def remove(self, id: str) -> None:
        self.total -= self.entries.pop(id, (0, 0.0))[0]


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

    `on_gone(id)` hears, from any thread, of each result that is kept nowhere any more.
    """

    def __init__(
        self,
        folder: Path | None,
        *,
        memory_bytes: int,
        disk_bytes: int,
        max_age_s: float,
        clock: Callable[[], float] = time.time,
        on_gone: Callable[[str], None] = lambda id: None,
    ):
        self.disk_bytes, self.max_age_s, self._clock, self._on_gone = disk_bytes, max_age_s, clock, on_gone
        self.secret = load_secret(folder)
        # Guards _memory and _index. Files are written outside it: each result has its own folder.
        self._lock = threading.Lock()
        self._memory = _Memory(memory_bytes)
        self._index = _Index()
        self._folder = folder / "results" if folder is not None and disk_bytes > 0 else None
        self.warning = ""
        if self._folder is not None:
            self._open(self._folder)

    def _open(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / f".probe-{secrets.token_hex(4)}"
            probe.touch()
            probe.unlink()
            found = sorted(known for path in folder.glob("??/*") if (known := _known(path)))
            for left in folder.glob(".*"):
                if self._clock() - left.stat().st_mtime > STAGING_S:
                    shutil.rmtree(left, ignore_errors=True)
        except OSError as error:
            self.warning = texts.sentence(
                "Results are kept in memory only: {reason}.", reason=f"{error.strerror} ({folder})"
            )
            log.warning(self.warning)
            self._folder = None
            return
        for created, size, id in found:
            self._index.add(id, size, created)
        self._trim()

    def get(self, id: str) -> Result | None:
        """The stored result, or None when there is none, it is too old, or its files are damaged."""
        with self._lock:
            found = self._memory.get(id)
            if found is not None and self._is_old(found.created):
                del self._memory[id]
                found = None
            if id in self._index.entries:
                self._index.entries.move_to_end(id)
        if found is not None:
            return found
        result = self._read(id) if self._folder is not None else None
        if result is not None:
            self._remember(result)
        else:
            self._on_gone(id)
        return result

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
        with self._lock:
            listed = [*reversed(self._index.entries)]
        for id in listed:
            try:
                record = json.loads((self._path(id) / "record.json").read_text(encoding="utf-8"))
                seen = _sight(self._path(id), record)
                if seen is not None:
                    yield id, dict(json.loads(record["capsule"])), seen
            except (OSError, ValueError, KeyError, TypeError) as error:
                log.debug("no similar pictures from result %s: %s", id, error)

    def records(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Id and record.json of each result on disk that can be read."""
        with self._lock:
            listed = [*self._index.entries]
        for id in listed:
            with suppress(OSError, ValueError):
                yield id, dict(json.loads((self._path(id) / "record.json").read_text(encoding="utf-8")))

    def _is_old(self, created: float) -> bool:
        return self._clock() - created >= self.max_age_s

    def put(self, result: Result) -> None:
        """Keeps a result. A full or read-only disk costs only durability: it is logged, not raised."""
        self._remember(result)
        if self._folder is None:
            return
        target = self._path(result.id)
        staging = self._folder / f".new-{result.id}-{secrets.token_hex(4)}"
        try:
            staging.mkdir()
            size = _write(staging, result)
            target.parent.mkdir(exist_ok=True)
            shutil.rmtree(target, ignore_errors=True)
            staging.rename(target)
        except OSError as error:
            log.warning("result %s is kept in memory only: %s", result.id, error)
            shutil.rmtree(staging, ignore_errors=True)
            return
        with self._lock:
            self._index.add(result.id, size, result.created)
        self._trim()

    def remove(self, id: str) -> None:
        """Deletes a result, if it is here."""
        with self._lock:
            self._memory.pop(id, None)
            on_disk = id in self._index.entries
            self._index.remove(id)
        if on_disk:
            shutil.rmtree(self._path(id), ignore_errors=True)
        self._on_gone(id)

    def _remember(self, result: Result) -> None:
        with self._lock:
            if result.size_bytes <= self._memory.maxsize:
                self._memory[result.id] = result
            gone = [id for id in self._memory.evicted if id not in self._index.entries]
            self._memory.evicted.clear()
        for id in gone:
            self._on_gone(id)

    def _path(self, id: str) -> Path:
        assert self._folder is not None
        return self._folder / id[:2] / id

    def _read(self, id: str) -> Result | None:
        if len(id) != 32 or not set(id) <= set("0123456789abcdef"):
            return None
        path = self._path(id)
        try:
            record = json.loads((path / "record.json").read_text(encoding="utf-8"))
            kept = record["pictures"]  # first: a TypeError here tells that the record is none
            told = tuple(texts.unpacked(one) for one in record.get("sentences", ()))
            kept = texts.restored(kept, told)
            pictures = {name: tuple(_picture(path, entry) for entry in group) for name, group in kept.items()}
            remarks = tuple(texts.unpacked(one) for one in record.get("remarks", ()))
            receipt = Receipt(**{**record["receipt"], "remarks": remarks})
            capsule, values, seen = record["capsule"], record["values"], _sight(path, record)
            result = Result(id, capsule, values, MappingProxyType(pictures), receipt, seen, told)
            json.loads(result.capsule_json), json.loads(result.values_json)
            return None if self._is_old(result.created) else result
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("stored result %s cannot be read and will be made anew: %s", id, error)
            return None

    def _trim(self) -> None:
        """Removes what is over the bound in bytes or age, least recently used first."""
        if self._folder is None:
            return
        gone = []
        with self._lock:
            while self._index.entries:
                id, (_, created) = next(iter(self._index.entries.items()))
                if self._index.total <= self.disk_bytes and not self._is_old(created):
                    break
                self._index.remove(id)
                gone.append((id, id in self._memory))
        for id, remembered in gone:
            shutil.rmtree(self._path(id), ignore_errors=True)
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


def _known(path: Path) -> tuple[float, int, str] | None:
    """Creation, bytes and id of a result on disk; None when it went away while we looked."""
    try:
        return path.stat().st_mtime, sum(f.stat().st_size for f in path.iterdir()), path.name
    except (FileNotFoundError, NotADirectoryError):
        return None


def _picture(folder: Path, entry: Mapping[str, Any]) -> Picture:
    """One stored picture. Raises ValueError when its file is not the one that was written."""
    data = _verified(folder, entry)
    return Picture(data, entry["media_type"], entry["width"], entry["height"], entry["caption"])


def _sight(folder: Path, record: Mapping[str, Any]) -> Sight | None:
    """The stored sight, if there is one. Raises ValueError when its file is not the one that was written."""
    entry = record.get("sight")
    return sight.from_bytes(_verified(folder, entry), entry["owner"]) if entry else None


def _verified(folder: Path, entry: Mapping[str, Any]) -> bytes:
    data: bytes = (folder / entry["file"]).read_bytes()
    if hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise ValueError(f"{entry['file']} is damaged")
    return data


def _write(folder: Path, result: Result) -> int:
    """Writes record.json, the pictures and the sight; returns their bytes."""
    size, pictures, seen = 0, {}, None
    for name, group in result.pictures.items():
        entries = []
        for number, picture in enumerate(group):
            file = f"{name}-{number}.{picture.extension}"
            size += (folder / file).write_bytes(picture.data)
            entries.append(
                {
                    "file": file,
                    "sha256": hashlib.sha256(picture.data).hexdigest(),
                    "media_type": picture.media_type,
                    "width": picture.width,
                    "height": picture.height,
                    "caption": picture.caption,
                }
            )
        pictures[name] = entries
    if result.sight is not None:
        data = sight.to_bytes(result.sight)
        size += (folder / SIGHT_FILE).write_bytes(data)
        seen = {"file": SIGHT_FILE, "sha256": hashlib.sha256(data).hexdigest(), "owner": result.sight.owner}
    record = {
        "capsule": result.capsule_json,
        "values": result.values_json,
        "pictures": pictures,
        "receipt": asdict(result.receipt),
        "remarks": [texts.packed(remark) for remark in result.receipt.remarks],  # so that they can be translated
        "sentences": [texts.packed(one) for one in result.sentences],
        "sight": seen,
    }
    return size + (folder / "record.json").write_bytes(json.dumps(record).encode())
