"""Where the command line puts output pictures: names that fit, nothing overwritten, nothing half written."""

from __future__ import annotations

import os
from pathlib import Path

from hub.errors import InputError, UnavailableError
from hub.files import write_atomic, write_once
from hub.results.result import Picture, Result

NAME_BYTES = 255  # of a file's name, where the disk does not say


class OutFolder:
    """Where output pictures go. Never overwrites what was there (unless forced) or what this command wrote."""

    def __init__(self, path: Path, force: bool):
        self.path, self.force = path, force
        self._files: set[Path] = set()
        try:
            path.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            why = why_not(error)
            raise InputError("--out {path} cannot be used as a folder: {why}.", path=path, why=why) from None
        self._room = longest_name(path)

    def save(self, result: Result, stem: str) -> dict[str, list[Path]]:
        """Writes every picture as `<stem>-<output>.<extension>`; returns the paths by output. Raises HubError."""
        return {
            name: [
                self._write(stem, f"-{name}" if len(group) == 1 else f"-{name}-{number}", picture)
                for number, picture in enumerate(group, 1)
            ]
            for name, group in result.kept_files.items()
        }

    def _write(self, stem: str, end: str, picture: Picture) -> Path:
        number, suffix = 1, ""
        while True:
            # Names that were made the same by shortening are told apart by the number, as all others.
            path = self.path / fitting(stem, f"{end}{suffix}.{picture.extension}", self._room)
            number += 1
            suffix = f"-{number}"
            try:
                write(path, picture.data, over=self.force and path not in self._files)
            except FileExistsError:
                continue
            except (OSError, ValueError) as error:
                raise UnavailableError("{path} cannot be written: {why}.", path=path, why=why_not(error)) from None
            self._files.add(path)
            return path


def fitting(stem: str, end: str, room: int = NAME_BYTES) -> str:
    """`stem` + `end` in at most `room` bytes: the stem is cut, never inside of a character."""
    encoded = os.fsencode(stem)
    room -= len(os.fsencode(end))
    if len(encoded) <= room:
        return stem + end
    part = encoded[: max(0, room)]
    while part and encoded[len(part)] & 0xC0 == 0x80:  # the next byte goes on with a character of UTF-8
        part = part[:-1]
    return os.fsdecode(part) + end


def longest_name(folder: Path) -> int:
    """Bytes that a file's name may have there."""
    try:
        return min(NAME_BYTES, os.pathconf(folder, "PC_NAME_MAX"))
    except (OSError, ValueError, AttributeError):  # a system that does not say
        return NAME_BYTES


def write(path: Path, data: bytes, *, over: bool) -> None:
    """A whole file or none; `over` one that is there. Raises FileExistsError and other OSErrors."""
    (write_atomic if over else write_once)(path, data, lasting=False)


def why_not(error: Exception) -> str:
    """What the system says against a name or a disk."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
