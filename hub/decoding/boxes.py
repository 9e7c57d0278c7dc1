"""The boxes of HEIC and AVIF files: what they name is counted before a library walks over it.

Libraries keep a record for each item, property, track and frame that is named, find items one by one, and copy what
each item names; and while they do so nothing else in the process may run.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hub.decoding.reading import Reading, ReadingStoppedError
from hub.texts import sentence

MOST_ITEMS, MOST_EXTENTS = 4_096, 64  # in a file, and of each item: a large picture is a grid of a thousand tiles
MOST_TRACKS, MOST_FRAMES, MOST_RUNS = 16, 65_536, 1_024  # a run: chunks with equally many frames
MOST_REFERENCE_BYTES, MOST_PROPERTY_BYTES = 16 * MOST_ITEMS, 64 * MOST_ITEMS  # of all items together
_INSIDE = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"iprp"}  # which hold nothing but boxes
_COUNTED = {b"ipco", b"dinf", b"grpl"}  # whose boxes count as items do


@dataclass(frozen=True, slots=True)
class Item:
    """Where an item's bytes lie: offset and length of each part. Length 0: all that follows."""

    id: int
    extents: list[tuple[int, int]]
    inside: bool  # offsets count in the box `idat`, not in the file


@dataclass(slots=True)
class _Counts:
    items: int = 0
    bytes: int = 0
    tracks: int = 0


def check(data: bytes, reading: Reading) -> None:
    """Raises ReadingStoppedError for a file that names far more than a picture has."""
    _check(memoryview(data), reading, _Counts(), 2 * len(data) + 2**20)


def boxes(view: memoryview, check_time: Callable[[], None]) -> Iterator[tuple[bytes, memoryview]]:
    """Kind and content of each, as far as they go."""
    at = 0
    while at + 8 <= len(view):
        check_time()
        size, kind = struct.unpack_from(">I4s", view, at)
        head = 8
        if size == 1 and at + 16 <= len(view):
            size, head = int.from_bytes(view[at + 8 : at + 16], "big"), 16
        end = at + size if size else len(view)
        if end < at + head:
            return
        yield kind, view[at + head : end]
        at = end


def items(box: memoryview, most_extents: int = MOST_EXTENTS + 1) -> Iterator[Item]:
    """What a box `iloc` names; what is not all there is the library's to refuse."""
    version, at = (box[0] if len(box) else 0), 4

    def number(size: int) -> int:
        nonlocal at
        at += size
        return int.from_bytes(box[at - size : at], "big")

    sizes = number(2)
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    index_size = index_size if version in (1, 2) else 0
    for _ in range(number(4 if version == 2 else 2)):
        id = number(4 if version == 2 else 2)
        inside = version in (1, 2) and number(2) & 15 == 1
        number(2)
        base, extents = number(base_size), list[tuple[int, int]]()
        for _ in range(min(number(2), most_extents)):
            number(index_size)
            extents.append((base + number(offset_size), number(length_size)))
        if at > len(box):
            return
        yield Item(id, extents, inside)


# --- counting -------------------------------------------------------------------------------------


def _check(view: memoryview, reading: Reading, counts: _Counts, most_bytes: int, depth: int = 0) -> None:
    for kind, box in boxes(view, reading.check_time):
        if kind == b"trak":
            counts.tracks += 1
            _refuse_over(MOST_TRACKS, counts.tracks)
        if kind == b"iloc":
            _check_locations(box, counts, most_bytes)
        elif kind == b"iinf":
            counts.items += _number(box, 4, 4 if len(box) and box[0] else 2)
        elif kind == b"iref":
            _refuse_over(MOST_ITEMS, len(box) // (MOST_REFERENCE_BYTES // MOST_ITEMS))
        elif kind == b"ipma":
            _refuse_over(MOST_ITEMS, len(box) // (MOST_PROPERTY_BYTES // MOST_ITEMS))
        elif kind in _COUNTED:
            counts.items += sum(1 for _ in boxes(box, reading.check_time))
        elif kind == b"stbl":
            _check_frames(box, reading)
        _refuse_over(2 * MOST_ITEMS, counts.items)
        if depth < 8 and (kind in _INSIDE or kind == b"meta"):
            _check(box[4:] if kind == b"meta" else box, reading, counts, most_bytes, depth + 1)


def _check_locations(box: memoryview, counts: _Counts, most_bytes: int) -> None:
    """Each item is copied when it is read, and each may name the whole file."""
    for number, item in enumerate(items(box), 1):
        _refuse_over(MOST_ITEMS, number)
        counts.bytes += sum(length or most_bytes // 2 for _, length in item.extents)
        if len(item.extents) > MOST_EXTENTS or counts.bytes > most_bytes:
            raise ReadingStoppedError(sentence("points at the same bytes again and again"))


def _check_frames(table: memoryview, reading: Reading) -> None:
    """A frame can be named without a byte of its own, and each has its record."""
    chunks, largest = 0, 0
    for kind, box in boxes(table, reading.check_time):
        count = _number(box, 4, 4)
        if kind in (b"stco", b"co64"):
            chunks = max(chunks, count)
        if kind == b"stsc":  # which is searched for each chunk
            runs = min(count, (len(box) - 8) // 12)
            _refuse_over(MOST_RUNS, runs)
            largest = max([largest, *(_number(box, 12 + 12 * run, 4) for run in range(runs))])
        frames = max(chunks * largest, count if kind in (b"stts", b"stss", b"stco", b"co64") else 0)
        frames = max(frames, _number(box, 8, 4) if kind in (b"stsz", b"stz2") else 0)
        if frames > MOST_FRAMES:
            raise ReadingStoppedError(sentence("has more than {most} frames", most=MOST_FRAMES))


def _refuse_over(most: int, count: int) -> None:
    if count > most:
        raise ReadingStoppedError(sentence("is made of more than {most} pieces", most=most))


def _number(box: memoryview, at: int, size: int) -> int:
    return int.from_bytes(box[at : at + size], "big")
