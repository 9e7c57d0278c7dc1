"""What jobs were given, on the disk: a folder a job, all of them together within a bound."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from hub.database import storage_errors
from hub.decoding.decode import ImageLimits
from hub.errors import InputError, StorageError, TooLargeError
from hub.files import clear
from hub.jobs.records import Row, StoredJob
from hub.jobs.store import JobStore
from hub.jobs.zips import ZipReader
from hub.texts import sentence

CANNOT = sentence("What the job was given cannot be kept")
NEW = ".new-"  # how a folder is called that is still being filled
LEFT_AFTER_S = 3600.0  # nobody fills one for so long: whoever began it was killed


class Folders:
    """Makes room and folders. `most_bytes` is for all of them together."""

    def __init__(self, root: Path, most_bytes: int):
        self.root, self.most_bytes = root, most_bytes
        # Guards what is promised to folders that are still being filled. The store's lock is taken under it.
        self._lock = threading.Lock()
        self._promised = 0

    def begin(self, store: JobStore, most_bytes: int) -> NewFolder:
        """A folder that may take so many bytes; what ended jobs hold makes way, the oldest first. Raises HubError."""
        with self._lock:
            while store.kept_bytes() + self._promised + most_bytes > self.most_bytes:
                oldest = store.oldest_ended()
                if oldest is None:
                    raise StorageError(
                        "The hub keeps {most:.0f} MB for jobs, and those that wait take all of it. Try again later.",
                        most=self.most_bytes / 2**20,
                    )
                clear(self.root / oldest.id)
                store.free(oldest.id)
            self._promised += most_bytes
        try:
            with storage_errors(CANNOT):
                path = self.root / f"{NEW}{secrets.token_hex(16)}"
                path.mkdir(parents=True, mode=0o700)
        except BaseException:
            self.give_back(most_bytes)
            raise
        return NewFolder(self, path, most_bytes)

    def give_back(self, size: int) -> None:
        """What was promised is on the disk, or is not wanted any more."""
        with self._lock:
            self._promised -= size

    def of(self, job: StoredJob) -> Path:
        return self.root / job.id

    def clear(self, id: str) -> None:
        """Removes what a job was given."""
        clear(self.root / id)

    def clear_left_over(self, known: set[str]) -> None:
        """Removes what killed processes left, and folders of jobs that are none."""
        for path in self.root.glob("*") if self.root.is_dir() else ():
            is_folder = path.is_dir() and not path.is_symlink()
            if is_folder and path.name not in known and time.time() - path.stat().st_mtime > LEFT_AFTER_S:
                clear(path)


class NewFolder:
    """A folder on its way. Whoever leaves it without `keep` leaves nothing behind."""

    def __init__(self, folders: Folders, path: Path, most_bytes: int):
        self._folders, self.path, self.most_bytes = folders, path, most_bytes
        self.id = path.name.removeprefix(NEW)
        self.size = 0
        self._over = False

    def write(self, name: str, data: bytes, *, append: bool = False) -> None:
        """Puts bytes into a file. Raises TooLargeError, StorageError."""
        self.size += len(data)
        if self.size > self.most_bytes:
            raise TooLargeError(
                "A job is given at most {most:.0f} MB. Send less at once.", most=self.most_bytes / 2**20, field="files"
            )
        with storage_errors(CANNOT), (self.path / name).open("ab" if append else "wb") as file:
            file.write(data)

    def keep(self) -> None:
        """The folder is whole, and on the disk. Raises StorageError."""
        with storage_errors(CANNOT):
            os.sync()  # once, rather than file by file: there may be thousands
            self.path.rename(self._folders.root / self.id)

    def close(self, kept: bool) -> None:
        """The job is in its table now, or there will be none."""
        if not self._over:
            self._over = True
            self._folders.give_back(self.most_bytes)
            if not kept:
                clear(self.path)
                clear(self._folders.root / self.id)


class PictureReader:
    """Reads the pictures of one batch, from any thread; ZIP files stay open meanwhile."""

    def __init__(self, folder: Path, limits: ImageLimits):
        self._folder, self._limits = folder, limits
        # Guards the list below; taken alone.
        self._lock = threading.Lock()
        self._zips: dict[str, ZipReader] = {}

    def read(self, row: Row) -> bytes:
        """The picture's file. Raises InputError that says what is wrong with it."""
        return self.read_file(row.file)

    def read_file(self, place: str) -> bytes:
        """Another file that came along, such as a true mask. Raises InputError."""
        file, _, index = place.partition("#")
        try:
            data = self._zip(file).read(int(index), self._limits.max_bytes) if index else self._plain(file)
        except OSError:
            raise InputError("What was sent is not kept any more.") from None
        if len(data) > self._limits.max_bytes:
            raise TooLargeError(
                "It has more than the {most:g} MB that are read of a picture.", most=self._limits.max_bytes / 2**20
            )
        return data

    def _plain(self, file: str) -> bytes:
        with (self._folder / file).open("rb") as opened:
            return opened.read(self._limits.max_bytes + 1)

    def _zip(self, file: str) -> ZipReader:
        with self._lock:
            if file not in self._zips:
                self._zips[file] = ZipReader(self._folder / file)
            return self._zips[file]

    def close(self) -> None:
        for opened in self._zips.values():
            opened.close()


def read_pictures(folder: Path, inputs: Mapping[str, str]) -> dict[str, bytes]:
    """The pictures of a single run, by name of the input. Raises StorageError."""
    with storage_errors(sentence("What the job was given cannot be read")):
        return {name: (folder / file).read_bytes() for name, file in inputs.items()}
