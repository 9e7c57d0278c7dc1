"""The directory of a TIFF or BigTIFF file: its tags, within the bytes there are, and which picture of it to read.

Only the tags that are used are read, each once, so no file can ask for more than some copies of itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hub.decoding.reading import CutOffError

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
STRIP_OFFSETS, ORIENTATION, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES = 273, 274, 277, 278, 279
PLANAR, PREDICTOR, COLOUR_MAP, TILE_WIDTH, TILE_HEIGHT = 284, 317, 320, 322, 323
TILE_OFFSETS, TILE_BYTES, SUB_DIRECTORIES, INKS, EXTRA, FORMAT = 324, 325, 330, 332, 338, 339
SUBFILE, XMP, PROFILE, NODATA = 254, 700, 34_675, 42_113
_USED = {
    WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, STRIP_OFFSETS, ORIENTATION, SAMPLES, ROWS_PER_STRIP,
    STRIP_BYTES, PLANAR, PREDICTOR, COLOUR_MAP, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES, SUB_DIRECTORIES,
    INKS, EXTRA, FORMAT, SUBFILE, XMP, PROFILE, NODATA,
}  # fmt: skip
_TYPES = {
    1: "u1",
    2: "u1",
    3: "u2",
    4: "u4",
    6: "i1",
    7: "u1",
    8: "i2",
    9: "i4",
    13: "u4",
    16: "u8",
    17: "i8",
    18: "u8",
}
_SPARE = {XMP, PROFILE, NODATA}  # without which a picture can be shown
_REDUCED, _MASK = 1, 4  # bits of SUBFILE
MOST_PAGES = 64
MOST_NUMBERS = 2**20  # in one tag; strips and tiles of the largest picture are fewer


@dataclass(frozen=True, slots=True)
class Directory:
    """One picture's tags, as arrays of whole numbers."""

    offset: int
    order: str  # "<" or ">"
    big: bool
    tags: Mapping[int, NDArray[Any]]

    def number(self, tag: int, usual: int = 0) -> int:
        values = self.tags.get(tag)
        return int(values[0]) if values is not None and len(values) else usual

    def data(self, tag: int) -> bytes:
        return self.tags[tag].astype(np.uint8).tobytes() if tag in self.tags else b""

    @property
    def is_whole(self) -> bool:
        """Not a thumbnail, nor the mask of another picture."""
        return not self.number(SUBFILE) & (_REDUCED | _MASK) and self.number(PHOTOMETRIC) != 4


def first(data: bytes) -> Directory:
    """The first picture that is no thumbnail or mask; the first at all where there is no such. Raises CutOffError."""
    fallback: Directory | None = None
    order, big = ("<" if data[:2] == b"II" else ">"), data[2:4] in (b"+\0", b"\0+")
    offset = _number(data, 8, "u8", order) if big else _number(data, 4, "u4", order)
    offsets: set[int] = set()
    while offset and offset not in offsets and len(offsets) < MOST_PAGES:
        offsets.add(offset)
        try:
            page, offset = _read(data, offset, order, big)
        except CutOffError:
            if fallback is None:
                raise
            break
        if page.is_whole:
            return page
        fallback = fallback or page
    if fallback is None:
        raise CutOffError("no directory")
    for offset in fallback.tags.get(SUB_DIRECTORIES, np.empty(0, int))[:MOST_PAGES].tolist():
        page, _ = _read(data, offset, order, big)
        if page.is_whole:
            return page
    return fallback


def _read(data: bytes, offset: int, order: str, big: bool) -> tuple[Directory, int]:
    """The directory at `offset`, and where the next one is."""
    count = _number(data, offset, "u8" if big else "u2", order)
    at, size = offset + (8 if big else 2), 20 if big else 12
    if count == 0 or at + count * size > len(data):
        raise CutOffError("a directory is cut off")
    tags: dict[int, NDArray[Any]] = {}
    for place in range(at, at + min(count, 65_535) * size, size):
        tag = _number(data, place, "u2", order)
        if tag in _USED and tag not in tags:
            values = _values(data, place, order, big, tag in _SPARE)
            if values is not None:
                tags[tag] = values
    end = at + count * size
    after = _number(data, end, "u8" if big else "u4", order) if end + (8 if big else 4) <= len(data) else 0
    return Directory(offset, order, big, tags), after


def _values(data: bytes, place: int, order: str, big: bool, spare: bool) -> NDArray[Any] | None:
    """A tag's values; None for a type that is none of ours. Raises CutOffError unless the tag can be spared."""
    kind = _TYPES.get(_number(data, place + 2, "u2", order))
    count = _number(data, place + 4, "u8" if big else "u4", order)
    if kind is None or not count or (kind[1] != "1" and count > MOST_NUMBERS):
        return None
    start, room, size = place + (12 if big else 8), 8 if big else 4, count * int(kind[1])
    if size > room:
        start = _number(data, start, "u8" if big else "u4", order)
    if start + size > len(data):
        if spare:
            return None
        raise CutOffError("a tag's values are cut off")
    values = np.frombuffer(data, np.dtype(order + kind), count, start)
    return values if kind[1] == "1" else values.astype(np.int64)


def _number(data: bytes, place: int, kind: str, order: str) -> int:
    if place < 0 or place + int(kind[1]) > len(data):
        raise CutOffError("a number is cut off")
    return int.from_bytes(data[place : place + int(kind[1])], "little" if order == "<" else "big")
