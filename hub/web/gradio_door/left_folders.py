"""Folders for files of open pages: what is old goes, and with the next start what a killed hub left behind."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

PREFIX, LOCK = "demo-hub-", ".in-use"
SHOWN_BYTES = 512 * 2**20  # of pictures that pages show, at most


def make_folder(parent: str) -> Path:
    """A new folder in `parent`, which is this process's as long as it lives."""
    try:
        import fcntl
    except ImportError:  # not on Windows: there, what is left stays
        return Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent)).resolve()
    for lock_file in Path(parent).glob(f"{PREFIX}*/{LOCK}"):
        with suppress(OSError), lock_file.open("rb") as file:
            if lock_file.parent.is_symlink() or os.fstat(file.fileno()).st_uid != os.getuid():
                continue
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while its process lives
            shutil.rmtree(lock_file.parent, ignore_errors=True)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent)).resolve()
        lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR, 0o600)  # open, and so locked, until the process ends
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / LOCK).exists():  # else another start took it for a left one, just before it was locked
            return folder
        os.close(lock)


def remove_old(folder: Path, age_s: float = 3600.0, most_bytes: int = SHOWN_BYTES) -> None:
    """Removes what pages showed long ago, and the oldest of it where all of it is too much."""
    folders = list[tuple[float, int, Path]]()
    for entry in folder.iterdir():
        with suppress(FileNotFoundError):  # another thread was first
            size = sum(one.stat().st_size for one in entry.rglob("*"))
            folders.append((entry.stat().st_mtime, size, entry))
    total, oldest = sum(size for _, size, _ in folders), time.time() - age_s
    for at, size, entry in sorted(folders):
        if at >= oldest and total <= most_bytes:
            break
        shutil.rmtree(entry, ignore_errors=True)
        total -= size
