"""The run capsule (what was run, exactly), the result it names, and the bounded store of results.

A result is immutable: values are kept as JSON text and pictures as encoded bytes, so whoever is handed one
gets copies and nobody can change what the next one sees.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import secrets
import shutil
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cachetools import LRUCache

log = logging.getLogger(__name__)
EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg"}
SECRET_BYTES = 32
STAGING_S = 3600.0  # files a crash left half written go at a start after this long


@dataclass(frozen=True, slots=True)
class Capsule:
    """Everything an answer depends on, and so the recipe to run it again."""

    page: str
    version: str  # of the demo's own preprocessing and presentation
    weights: str  # name; empty for a demo without weights
    digest: str  # of the weights
    dtype: str
    parameters: Mapping[str, Any]  # with the seed that was used
    inputs: Mapping[str, str]  # sha256 of each picture

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    def identify(self, secret: bytes) -> str:
        """The id: 32 hex digits, the same for the same run here, not to be guessed without `secret`."""
        return hmac.new(secret, self.to_json().encode(), hashlib.sha256).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What one result cost; times in milliseconds. `cached`: a stored result, times are of its first run."""

    total_ms: float
    queue_ms: float
    load_ms: float
    prepare_ms: float
    infer_ms: float
    present_ms: float
    cold: bool
    cached: bool
    batch_size: int
    device: str
    dtype: str
    weights: str
    digest: str
    created_at: str  # ISO 8601, UTC


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded image; `data` holds the file's bytes."""

    data: bytes
    media_type: str
    width: int
    height: int
    caption: str = ""

    @property
    def extension(self) -> str:
        return EXTENSIONS[self.media_type]


@dataclass(frozen=True, slots=True)
class Result:
    """One stored answer. `values_json` holds the outputs that are not pictures."""

    id: str
    capsule_json: str
    values_json: str
    pictures: Mapping[str, tuple[Picture, ...]]
    receipt: Receipt

    @property
    def capsule(self) -> dict[str, Any]:
        """A fresh copy of the run capsule."""
        return dict(json.loads(self.capsule_json))

    @property
    def values(self) -> dict[str, Any]:
        """A fresh copy of the outputs that are not pictures."""
        return dict(json.loads(self.values_json))

    @property
    def seed(self) -> int | None:
        return next((v for k, v in self.capsule["parameters"].items() if k == "seed"), None)

    @property
    def created(self) -> float:
        """Seconds since the epoch."""
        return datetime.fromisoformat(self.receipt.created_at).timestamp()

    @property
    def size_bytes(self) -> int:
        pictures = sum(len(p.data) + 256 for group in self.pictures.values() for p in group)
        return pictures + sys.getsizeof(self.capsule_json) + sys.getsizeof(self.values_json) + 1024


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


class ResultStore:
    """Results in memory and on disk, bounded in bytes and age; memory only where `folder` cannot be written."""

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
        self.secret = load_secret(folder)
        # Guards _memory and _index. Files are written outside it: each result has its own folder.
        self._lock = threading.Lock()
        self._memory: LRUCache[str, Result] = LRUCache(memory_bytes, getsizeof=lambda r: r.size_bytes)
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
            self.warning = f"Results are kept in memory only: {error.strerror} ({folder})."
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
        if found is not None or self._folder is None:
            return found
        result = self._read(id)
        if result is not None:
            self._remember(result)
        return result

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

    def _remember(self, result: Result) -> None:
        with self._lock:
            if result.size_bytes <= self._memory.maxsize:
                self._memory[result.id] = result

    def _path(self, id: str) -> Path:
        assert self._folder is not None
        return self._folder / id[:2] / id

    def _read(self, id: str) -> Result | None:
        if len(id) != 32 or not set(id) <= set("0123456789abcdef"):
            return None
        path = self._path(id)
        try:
            record = json.loads((path / "record.json").read_text(encoding="utf-8"))
            pictures = {
                name: tuple(_picture(path, entry) for entry in group) for name, group in record["pictures"].items()
            }
            receipt = Receipt(**record["receipt"])
            result = Result(id, record["capsule"], record["values"], MappingProxyType(pictures), receipt)
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
                gone.append(id)
        for id in gone:
            shutil.rmtree(self._path(id), ignore_errors=True)

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
    data = (folder / entry["file"]).read_bytes()
    if hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise ValueError(f"{entry['file']} is damaged")
    return Picture(data, entry["media_type"], entry["width"], entry["height"], entry["caption"])


def _write(folder: Path, result: Result) -> int:
    """Writes record.json and the pictures; returns their bytes."""
    size, pictures = 0, {}
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
    record = {
        "capsule": result.capsule_json,
        "values": result.values_json,
        "pictures": pictures,
        "receipt": asdict(result.receipt),
    }
    return size + (folder / "record.json").write_bytes(json.dumps(record).encode())
