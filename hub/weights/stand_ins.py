"""What lies in the place of weights and is none: a pointer of Git LFS, a web page, the first half of a file."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from hub.texts import Sentence, sentence

BEGIN_BYTES = 512
POINTER = b"version https://git-lfs"
PAGES = (b"<!doctype", b"<html", b"<head", b"<?xml")
HEADER_BYTES = 100_000_000  # the most that safetensors reads


def what_it_is(path: Path) -> Sentence | None:
    """What a file is instead of weights, and what to do; None for one that may be what it should be.

    Only its beginning is read, and once as long as it stays the same.
    """
    stat = path.stat()
    return _look(path, stat.st_mtime_ns, stat.st_size, stat.st_ino)


@lru_cache(maxsize=4096)
def _look(path: Path, changed_ns: int, size: int, inode: int) -> Sentence | None:
    with path.open("rb") as stream:
        begin = stream.read(BEGIN_BYTES)
        if begin.startswith(POINTER):
            return sentence("is a Git LFS pointer, not the file itself. Fetch it: git lfs pull")
        if begin.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(PAGES):
            return sentence("is a web page, not the file itself. Download it again, from the address of the raw file")
        if path.suffix != ".safetensors":
            return None
        header = int.from_bytes(begin[:8], "little")
        if size < 10 or (begin[8:9] == b"{" and 8 + header > size):
            return sentence("is cut off: {size:,} bytes are here. Download it again", size=size)
        if begin[8:9] != b"{" or header > HEADER_BYTES:
            return sentence("is no safetensors file. Download it again, or convert it with safetensors")
        stream.seek(8)
        return _tensors(stream.read(header), size)


def _tensors(header: bytes, size: int) -> Sentence | None:
    """Whether the file ends where its header says."""
    try:
        tensors = {name: entry for name, entry in json.loads(header).items() if name != "__metadata__"}
        needed = 8 + len(header) + max((int(entry["data_offsets"][1]) for entry in tensors.values()), default=0)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return sentence("is no safetensors file. Download it again, or convert it with safetensors")
    if needed > size:
        text = "is cut off: {size:,} of {needed:,} bytes are here. Download it again"
        return sentence(text, size=size, needed=needed)
    return None
