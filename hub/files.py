"""Reading and writing the small files of the data folder, whatever lies there in their place."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from contextlib import suppress
from pathlib import Path


class DamagedError(ValueError):
    """A file of ours does not hold what was written: it is set aside, and made anew."""


def read_bounded(path: Path, most_bytes: int) -> bytes:
    """A regular file of at most so many bytes; not what a link names, and no device or pipe, which may never end.

    Raises DamagedError for anything else, OSError.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0))
    except OSError as error:
        if path.is_symlink():
            raise DamagedError(f"{path.name} is a link") from error
        raise
    with os.fdopen(file, "rb") as opened:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise DamagedError(f"{path.name} is no file")
        if found.st_size > most_bytes:
            raise DamagedError(f"{path.name} has {found.st_size} bytes")
        return opened.read(most_bytes)


def write_beside(path: Path, data: bytes, mode: int = 0o644) -> Path:
    """A file with a name of its own beside `path`, on the disk for good, to be put in its place. Raises OSError."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    return fresh


def clear(path: Path) -> None:
    """Removes whatever is there, as far as that can be."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
