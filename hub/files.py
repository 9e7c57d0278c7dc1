"""Reading and writing small files, whatever lies there in their place: those of the data folder, and those of people.

What people wrote comes with a byte order mark or without, as some editors save UTF-8 and others UTF-16.
"""

from __future__ import annotations

import codecs
import errno
import json
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

LEFT_OVER = re.compile(r"\.hub-[0-9a-f]{16}")  # the names under which files are written before they take their place
LEFT_AFTER_S = 3600.0  # nobody writes one file for so long: whoever began it was killed


class DamagedError(ValueError):
    """A file of ours does not hold what was written: it is set aside, and made anew."""


# --- reading --------------------------------------------------------------------------------------


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
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise DamagedError(f"{path.name} is no file")
        if status.st_size > most_bytes:
            raise DamagedError(f"{path.name} has {status.st_size} bytes")
        return opened.read(most_bytes)


def read_text(path: Path) -> str:
    """The text without its mark. Raises OSError, and ValueError for what is no text."""
    return decode_text(path.read_bytes())


def decode_text(data: bytes) -> str:
    """Bytes of a text file; lines end in "\\n". Raises ValueError."""
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = data.decode("utf-16" if marked else "utf-8-sig")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def parse_json(text: str | bytes) -> Any:
    """What JSON of somebody else holds. Raises ValueError, also where it is nested too deeply.

    Python's own reader ends deep nesting with a RecursionError, which those who expect a damaged file would miss.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


# --- writing --------------------------------------------------------------------------------------


def write_atomic(path: Path, data: bytes, *, mode: int = 0o666, lasting: bool = True) -> None:
    """Writes a whole file or none, over one that is there: a reader sees the old one or the new one. Raises OSError.

    `mode` is that of the new file, less the umask: 0o600 for what only its owner may read, from the first byte on. What
    is `lasting` is on the disk before it has its name: a power cut leaves the old file or the new one, never an empty
    one. What can be made again is written without that wait. A write that fails leaves nothing behind, and what killed
    processes left in the folder is cleared after an hour. The folder has to be there.
    """
    with replacing(path, mode=mode, lasting=lasting) as file:
        file.write(data)


@contextmanager
def replacing(path: Path, *, mode: int = 0o666, lasting: bool = True) -> Iterator[BinaryIO]:
    """A file to write in pieces, which takes the place of `path` at the end. It promises what `write_atomic` does."""
    with _beside(path, mode) as (fresh, file):
        yield file
        _finish(file, lasting)
        fresh.replace(path)


def write_once(path: Path, data: bytes, *, mode: int = 0o666, lasting: bool = True) -> None:
    """As `write_atomic`, but never over what is there: of several that write at once, one does, the others are refused.

    On a file system without hard links a reader may meet an empty file for a moment. Raises FileExistsError, OSError.
    """
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    with _beside(path, mode) as (fresh, file):
        file.write(data)
        _finish(file, lasting)
        try:
            os.link(fresh, path)
        except FileExistsError:
            raise
        except OSError:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))  # the name is ours, or this raises
            fresh.replace(path)


@contextmanager
def _beside(path: Path, mode: int) -> Iterator[tuple[Path, BinaryIO]]:
    """A new file in the folder of `path`. Its name is short, as that of `path` may be as long as names can be."""
    fresh = path.with_name(f".hub-{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            yield fresh, file
    finally:
        fresh.unlink(missing_ok=True)
    _clear_left_over(path.parent)


def _finish(file: BinaryIO, lasting: bool) -> None:
    file.flush()
    if lasting:
        os.fsync(file.fileno())
    file.close()


def _clear_left_over(folder: Path) -> None:
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if LEFT_OVER.fullmatch(entry.name) and time.time() - entry.stat().st_mtime > LEFT_AFTER_S:
                Path(entry.path).unlink()


def clear(path: Path) -> None:
    """Removes whatever is there, as far as that can be."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
