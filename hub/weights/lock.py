"""The lock: for each source its commit and every file with size and sha256. Readable JSON, weights/lock.json.

A snapshot from the Hub has such an entry of its own beside it, so it can be checked where nobody locked anything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from hub.errors import UnavailableError
from hub.files import parse_json, read_text, write_atomic

FILE = "lock.json"
VERSION = 1


@dataclass(frozen=True, slots=True)
class LockedFile:
    """Size in bytes and sha256 in hex."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Locked:
    """One source: its commit (empty for a bundled folder) and its files by path, relative to the folder."""

    commit: str
    files: Mapping[str, LockedFile]

    @property
    def size_bytes(self) -> int:
        return sum(file.size for file in self.files.values())

    def to_json(self) -> dict[str, Any]:
        files = {path: {"size": f.size, "sha256": f.sha256} for path, f in sorted(self.files.items())}
        return {**({"commit": self.commit} if self.commit else {}), "files": files}


def entry_from_json(data: Any, where: str) -> Locked:
    """Raises UnavailableError for what is no entry, or names files outside the folder."""
    try:
        files = {str(path): LockedFile(int(f["size"]), str(f["sha256"])) for path, f in data["files"].items()}
        commit = str(data.get("commit", ""))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UnavailableError(
            "{where} is not a valid entry of a lock. Write it anew: python -m hub lock", where=where
        ) from None
    for path in files:
        check_path(path, where)
    return Locked(commit, files)


def check_path(path: str, where: str) -> None:
    """Raises UnavailableError unless `path` is relative and stays inside its folder."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or "\\" in path or "\0" in path or ":" in parts[0] or {"..", "."} & set(parts):
        raise UnavailableError(
            "{where} names the file {path!r}, which is not inside its folder. It is refused.", where=where, path=path
        )


def read(path: Path) -> dict[str, Locked]:
    """Entries by source (name of a bundled folder, or address); empty where there is no lock.

    Raises UnavailableError for a file that is no lock: then nothing can be trusted.
    """
    try:
        data = parse_json(read_text(path))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UnavailableError(
            "{path} cannot be read ({reason}). Write it anew: python -m hub lock", path=path, reason=error
        ) from None
    if not isinstance(data, dict) or data.get("version") != VERSION or not isinstance(data.get("sources"), dict):
        raise UnavailableError(
            "{path} is not a lock of this version ({version}). Write it anew: python -m hub lock",
            path=path,
            version=VERSION,
        )
    return {name: entry_from_json(entry, f"{path}: {name}") for name, entry in data["sources"].items()}


def write(path: Path, entries: Mapping[str, Locked]) -> None:
    """Writes the lock in one step: a reader sees the old one or the new one."""
    sources = {name: entries[name].to_json() for name in sorted(entries)}
    write_json(path, {"version": VERSION, "sources": sources})


def write_json(path: Path, data: Any) -> None:
    """Writes readable JSON, in one step too, into a folder that is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode())


def sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def of_files(files: Mapping[str, Path], commit: str = "") -> Locked:
    """The entry for files as they are now."""
    return Locked(commit, {name: LockedFile(path.stat().st_size, sha256(path)) for name, path in files.items()})


def differences(actual: Locked, expected: Locked) -> list[str]:
    """What does not match, one sentence a file; empty when all does."""
    sentences = []
    for path in sorted({*actual.files, *expected.files}):
        here, there = actual.files.get(path), expected.files.get(path)
        if here is None:
            sentences.append(f"{path} is missing")
        elif there is None:
            sentences.append(f"{path} is not in the lock")
        elif here.size != there.size:
            sentences.append(f"{path} has {here.size} bytes, the lock says {there.size}")
        elif here.sha256 != there.sha256:
            sentences.append(f"{path} has sha256 {here.sha256[:12]}, the lock says {there.sha256[:12]}")
    return sentences
