"""ZIP files of strangers: listed within bounds, and read file by file; nothing is unpacked to the disk.

So a name that climbs out of a folder is a name and nothing else, and a file that unpacks to a thousand times its size
costs no more than one picture may have.
"""

from __future__ import annotations

import io
import struct
import threading
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from hub.errors import InputError, TooLargeError

MAGIC = b"PK\x03\x04"
END, END_BYTES, COMMENT_BYTES = b"PK\x05\x06", 22, 65_535
END_64, END_64_BYTES = b"PK\x06\x07", 20  # before END: says where a second one is, whose sizes count instead
LIST_BYTES_EACH = 1_500  # of the list of contents; names are at most as long as paths get
LEFT_OUT = {"__macosx", "thumbs.db", "desktop.ini", ".ds_store"}  # what systems put there by themselves
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others may ask for gigabytes to unpack anything
ENCRYPTED = 0x1
NAME_CHARS = 300


@dataclass(frozen=True, slots=True)
class Member:
    """One file in a ZIP."""

    index: int
    name: str


def tidy_name(name: str) -> str:
    """A name to show: of one line, with slashes, from no other folder."""
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("/", "..", ".")]
    text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in "/".join(parts))
    return text.encode("utf-8", "replace").decode()[-NAME_CHARS:] or "?"


def is_left_out(name: str) -> bool:
    """Whether a file is one that systems and editors put there, and nobody means."""
    parts = [part.lower() for part in PurePosixPath(name.replace("\\", "/")).parts]
    return any(part in LEFT_OUT or (part.startswith(".") and part not in (".", "..")) for part in parts)


def list_members(path: Path, most: int) -> list[Member]:
    """The files in a ZIP, without folders and what nobody means. Raises InputError."""
    try:
        _check_list(path, most)
        with zipfile.ZipFile(path) as opened:
            infos = opened.infolist()
            members = [
                Member(index, tidy_name(info.filename))
                for index, info in enumerate(infos)
                if not info.is_dir() and not is_left_out(info.filename)
            ]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error, RecursionError) as error:
        raise InputError("The ZIP file cannot be read: {reason}.", reason=str(error)[:200], field="files") from None
    if len(members) > most:
        raise TooLargeError(
            "The ZIP file has {count:,} files; a batch has at most {most:,} pictures.",
            count=len(members), most=most, field="files",
        )  # fmt: skip
    return members


def _check_list(path: Path, most: int) -> None:
    """Raises TooLargeError where the list of contents is too long to be read into memory."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - END_64_BYTES - END_BYTES - COMMENT_BYTES))
        tail = file.read()
    at = tail.rfind(END)
    if at < 0 or len(tail) - at < END_BYTES:
        raise zipfile.BadZipFile("it has no list of its contents; was it cut off?")
    if tail[max(0, at - END_64_BYTES) : at].startswith(END_64):
        raise zipfile.BadZipFile("it is written as ZIP64; pack it as a usual ZIP of less than 4 GB")
    (list_bytes,) = struct.unpack("<L", tail[at + 12 : at + 16])
    if list_bytes == 0xFFFFFFFF:
        raise zipfile.BadZipFile("it is larger than 4 GB")
    if list_bytes > max(65_536, most * LIST_BYTES_EACH):
        raise TooLargeError(
            "The ZIP file lists more files than the {most:,} pictures of a batch.", most=most, field="files"
        )


class ZipReader:
    """One ZIP file, open to be read from any thread."""

    def __init__(self, path: Path):
        """Raises OSError, BadZipFile."""
        self._zip = zipfile.ZipFile(path)
        self._infos = self._zip.infolist()
        # Guards the file's place; what is unpacked here is one picture at a time.
        self._lock = threading.Lock()

    def read(self, index: int, most_bytes: int) -> bytes:
        """A file's bytes, one more than `most_bytes` where it has more than that. Raises InputError."""
        info = self._infos[index]
        if info.flag_bits & ENCRYPTED:
            raise InputError("It is encrypted in the ZIP file.")
        if info.compress_type not in METHODS:
            raise InputError("It is packed in a way that is not read here; use a usual ZIP.")
        try:
            with self._lock, self._zip.open(info) as file:
                return _read_some(file, most_bytes + 1)
        except (zipfile.BadZipFile, OSError, EOFError, zlib.error, NotImplementedError, ValueError, struct.error):
            raise InputError("It is damaged in the ZIP file.") from None

    def close(self) -> None:
        self._zip.close()


def _read_some(file: IO[bytes], most_bytes: int) -> bytes:
    data = io.BytesIO()
    while data.tell() < most_bytes and (piece := file.read(min(2**20, most_bytes - data.tell()))):
        data.write(piece)
    return data.getvalue()
