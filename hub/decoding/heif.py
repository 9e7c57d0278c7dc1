"""HEIC, as phones send it. libheif bounds itself by the size that the file declares, which is checked first."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from PIL import Image

from hub.decoding import colour
from hub.decoding.reading import CutOffError, Found, Reading, ReadingStoppedError
from hub.texts import sentence

MOST_ITEMS, MOST_EXTENTS = 4_096, 64  # in a file, and of each item: a large picture is a grid of a thousand tiles


def read(data: bytes, reading: Reading) -> Found:
    """Raises a HubError or CutOffError. What turns the picture in the file has been done; EXIF only repeats it."""
    _check_items(data, reading)
    try:
        heif = _opened(data)
    except (ValueError, RuntimeError, LookupError, EOFError, SyntaxError, OSError) as error:
        raise _refused(error, reading) from error
    reading.admit(heif.size, "RGBA")  # its bytes, beside what is made of them
    reading.check_time()
    try:
        heif.load()
    except (ValueError, RuntimeError, EOFError, SyntaxError, OSError) as error:
        raise _refused(error, reading) from error
    reading.check_size(*heif.size)
    mode = {"RGBa": "RGBA", "La": "LA"}.get(heif.mode, heif.mode)
    image = Image.frombuffer(heif.mode, heif.size, heif.data, "raw", heif.mode, heif.stride, 1)
    profile = heif.info.get("icc_profile") or None
    nclx = heif.info.get("nclx_profile") or {}
    if profile is None and nclx:
        profile = colour.of_code_points(
            int(nclx.get("color_primaries", 2)), int(nclx.get("transfer_characteristics", 2))
        )
    return Found(image.convert(mode) if mode != heif.mode else image.copy(), profile)


def _check_items(data: bytes, reading: Reading) -> None:
    """Opening copies each item, and each may name the whole file: what they name together is counted first."""
    view, items, size = memoryview(data), 0, 0
    for kind, meta in _boxes(view, reading):
        for inner, box in _boxes(meta[4:], reading) if kind == b"meta" else ():
            if inner != b"iloc":
                continue
            for extents in _extents(box):
                items += 1
                size += sum(length or len(data) for length in extents)  # 0: all that follows
                if items > MOST_ITEMS or len(extents) > MOST_EXTENTS or size > 2 * len(data) + 2**20:
                    raise ReadingStoppedError(sentence("points at the same bytes again and again"))


def _boxes(view: memoryview, reading: Reading) -> Iterator[tuple[bytes, memoryview]]:
    """Kind and content of each, as far as they go."""
    at = 0
    while at + 8 <= len(view):
        reading.check_time()
        size, kind = struct.unpack_from(">I4s", view, at)
        head = 8
        if size == 1 and at + 16 <= len(view):
            size, head = int.from_bytes(view[at + 8 : at + 16], "big"), 16
        end = at + size if size else len(view)
        if end < at + head:
            return
        yield kind, view[at + head : end]
        at = end


def _extents(box: memoryview) -> Iterator[list[int]]:
    """The lengths of each item's parts; what is not all there is libheif's to refuse."""
    version, at = (box[0] if len(box) else 0), 4

    def number(size: int) -> int:
        nonlocal at
        at += size
        return int.from_bytes(box[at - size : at], "big")

    sizes = number(2)
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    index_size = index_size if version in (1, 2) else 0
    for _ in range(number(4 if version == 2 else 2)):
        number((4 if version == 2 else 2) + (2 if version in (1, 2) else 0) + 2 + base_size)
        lengths = list[int]()
        for _ in range(min(number(2), MOST_EXTENTS + 1)):
            number(index_size + offset_size)
            lengths.append(number(length_size))
        if at > len(box):
            return
        yield lengths


def _opened(data: bytes) -> Any:
    """The file's main picture, not decoded yet. The library is large, and most hubs never see a HEIC."""
    import pillow_heif
    from pillow_heif import options

    # Only the picture itself is read; one thread, so that a file takes no more of the machine than any other.
    options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = False
    options.DECODE_THREADS = 1
    file = pillow_heif.open_heif(data, convert_hdr_to_8bit=True)
    return file[file.primary_index]


def _refused(error: Exception, reading: Reading) -> Exception:
    """libheif says "unsupported" of what it cannot read and not of what is damaged."""
    words = str(error).lower()
    if "security limit" in words or "too large" in words:
        return reading.unsupported(sentence("a HEIC picture that asks for more memory than its size needs"))
    if "unsupported" in words or "not support" in words:
        return reading.unsupported(sentence("a HEIC file without a picture of HEVC"))
    return CutOffError("damaged")
