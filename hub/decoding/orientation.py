"""How a picture is to be turned: from EXIF, or from XMP where EXIF does not say. Bounded, without an XML parser."""

from __future__ import annotations

import re
import struct

from PIL.Image import Transpose

TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE, 6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE, 8: Transpose.ROTATE_90,
}  # fmt: skip
_ORIENTATION = 0x0112
_MOST_TAGS = 1000
_MOST_XMP = 2**20
# As an attribute or as an element; nothing in it can be matched in two ways.
_IN_XMP = re.compile(rb"""tiff:Orientation[ \t\r\n]{0,8}(?:=[ \t\r\n]{0,8}["']|>)[ \t\r\n]{0,8}([1-8])(?![0-9])""")


def of_exif(exif: bytes) -> int:
    """1 to 8; 0 where there is none or it cannot be read. Only the first directory is looked at."""
    start = exif.find(b"Exif\0\0", 0, 16)
    block = exif[start + 6 :] if start >= 0 else exif
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    try:
        if order is None:
            return 0
        (at,) = struct.unpack_from(order + "I", block, 4)
        (count,) = struct.unpack_from(order + "H", block, at)
        for place in range(at + 2, at + 2 + 12 * min(count, _MOST_TAGS), 12):
            tag, kind, number = struct.unpack_from(order + "HHI", block, place)
            if tag == _ORIENTATION and number == 1 and kind in (1, 3, 4):
                (value,) = struct.unpack_from(order + {1: "B", 3: "H", 4: "I"}[kind], block, place + 8)
                return int(value) if 1 <= value <= 8 else 0
    except struct.error:
        pass
    return 0


def of_xmp(xmp: bytes | str) -> int:
    """1 to 8; 0 where there is none."""
    text = xmp.encode("utf-8", "replace") if isinstance(xmp, str) else xmp
    match = _IN_XMP.search(text[:_MOST_XMP].replace(b"\0", b""))  # UTF-16 too
    return int(match[1]) if match else 0
