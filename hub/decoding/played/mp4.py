"""Looks through an MP4 file's tables before FFmpeg does: a few bytes there can declare billions of samples.

FFmpeg makes an entry of 24 bytes for each sample that a table declares, whether the file has it or not.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

SAMPLES_MOST = 200_000  # of all tables together; a minute of video at 60 frames with its sound has 7,000
BOXES_MOST, DEPTH_MOST = 20_000, 8
PARENTS = frozenset((b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf"))
# Where a table's number of samples stands behind the box's head: "version, flags, size, number" or "version, flags,
# number". A table of times names a number of samples in each entry, which others then bound.
COUNTS = {b"stsz": 8, b"stz2": 8, b"trun": 4}


class TablesError(ValueError):
    """Tables that no honest file has; its text completes "the file ...": for the log."""


def check_tables(data: bytes) -> None:
    """Raises TablesError for tables of too many samples, and for a table of contents that is compressed."""
    samples = 0
    for number, (kind, start, end) in enumerate(_boxes(data, 0, len(data), 0)):
        if number >= BOXES_MOST:
            raise TablesError("has too many boxes")
        if kind == b"cmov":
            raise TablesError("has compressed tables")
        at = COUNTS.get(kind)
        if at is not None and start + at + 4 <= end:
            samples += struct.unpack_from(">I", data, start + at)[0]
            if samples > SAMPLES_MOST:
                raise TablesError(f"declares {samples} samples")


def _boxes(data: bytes, start: int, end: int, depth: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, first byte of the content, and end of every box, those inside of others included."""
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if size == 1 and start + 16 <= end:
            size, head = struct.unpack_from(">Q", data, start + 8)[0], 16
        last = end if size == 0 else min(start + size, end)
        if size != 0 and size < head:
            return
        yield kind, start + head, last
        if kind in PARENTS and depth < DEPTH_MOST:
            yield from _boxes(data, start + head, last, depth + 1)
        start = last
