"""AVIF: the frames that the file holds are counted before they are unpacked, whatever size its boxes declare."""

from __future__ import annotations

import re
from collections.abc import Iterator

from PIL.AvifImagePlugin import AvifImageFile

from hub.decoding import boxes, colour
from hub.decoding.orientation import of_exif, of_xmp
from hub.decoding.reading import GuardedFile, RawPicture, Reading, ReadingStoppedError, mega, plain
from hub.texts import sentence

MOST_UNITS = 4_096  # pieces of one picture's data: a frame may be stored as a thousand tiles
SPARE_PIXELS = 2**22  # that a file may hold beside four times what it shows: alpha, a thumbnail, layers
FRAME_BYTES, SHOWN_BYTES = 3, 4  # of a pixel beside the picture: as the decoder has it, and as it hands it on
_SEQUENCE, _FRAMES = 1, (3, 6)  # kinds of units: what describes frames, and what begins one
_NCLX = re.compile(rb"colrnclx(.{2})(.{2})", re.DOTALL)
_NOT_READ = ("not implemented", "unsupported", "no codec")  # libavif's words


def read(data: bytes, reading: Reading) -> RawPicture:
    """Raises a HubError, or what Pillow raises on damaged data."""
    boxes.check(data, reading)
    try:
        with AvifImageFile(GuardedFile(data, reading.check_time)) as image:
            frame_pixels = _count_pixels(data, image.size, reading)
            picture_pixels = image.size[0] * image.size[1]
            reading.admit(image.size, image.mode, FRAME_BYTES * frame_pixels + SHOWN_BYTES * picture_pixels)
            image.load()
            exif, xmp = image.info.get("exif") or b"", image.info.get("xmp") or b""
            return RawPicture(
                plain(image), image.info.get("icc_profile") or _nclx(data), of_exif(exif) or of_xmp(xmp) or 1
            )
    except (ValueError, SyntaxError, RuntimeError) as error:
        words = str(error).lower()
        if "truncated" not in words and (b"av01" not in data or any(phrase in words for phrase in _NOT_READ)):
            raise reading.unsupported(sentence("an AVIF file without a picture of AV1")) from error
        raise


def _nclx(data: bytes) -> bytes | None:
    """A profile for the colours that an AVIF file names by numbers."""
    match = _NCLX.search(data[:65_536])
    return colour.of_code_points(*(int.from_bytes(code, "big") for code in match.groups())) if match else None


# --- how much there is to unpack ------------------------------------------------------------------


def _count_pixels(data: bytes, size: tuple[int, int], reading: Reading) -> int:
    """The pixels of all frames. Raises ReadingStoppedError where they are far more than what is shown, TooLargeError
    where that is too large."""
    reading.check_size(*size)
    pixels = 0
    for part in _pictures(memoryview(data), reading):
        pixels += _frame_pixels(part, reading)
        if pixels > min(3 * reading.limits.max_pixels, 4 * size[0] * size[1] + SPARE_PIXELS):
            raise ReadingStoppedError(
                sentence("unpacks to {size} megapixels or more, while it shows far fewer", size=mega(pixels, 10**6))
            )
    return pixels


def _pictures(view: memoryview, reading: Reading) -> Iterator[memoryview]:
    """The data of each picture in AV1, and of each track's first frame."""
    for kind, box in boxes.boxes(view, reading.check_time):
        if kind == b"meta":
            yield from _items(view, box[4:], reading)
        elif kind == b"moov":
            for inner, track in boxes.boxes(box, reading.check_time):
                if inner == b"trak":
                    yield from _first_frame(view, track, reading)


def _items(view: memoryview, meta: memoryview, reading: Reading) -> Iterator[memoryview]:
    inside = {kind: box for kind, box in boxes.boxes(meta, reading.check_time) if kind in (b"iloc", b"iinf", b"idat")}
    idat, coded = inside.get(b"idat", memoryview(b"")), set[int]()
    infos = inside.get(b"iinf", memoryview(b""))
    for kind, box in boxes.boxes(infos[8 if len(infos) and infos[0] else 6 :], reading.check_time):
        wide = 2 if kind == b"infe" and len(box) and box[0] > 2 else 0
        if bytes(box[8 + wide : 12 + wide]) == b"av01":
            coded.add(int.from_bytes(box[4 : 6 + wide], "big"))
    for item in boxes.items(inside.get(b"iloc", memoryview(b""))):
        if item.id in coded:
            source = idat if item.inside else view
            parts = [source[at : at + length if length else None] for at, length in item.extents]
            yield parts[0] if len(parts) == 1 else memoryview(b"".join(parts))


def _first_frame(view: memoryview, box: memoryview, reading: Reading) -> Iterator[memoryview]:
    for kind in (b"mdia", b"minf", b"stbl"):
        box = next((inner for name, inner in boxes.boxes(box, reading.check_time) if name == kind), memoryview(b""))
    table = dict(boxes.boxes(box, reading.check_time))
    sizes, places, wide = table.get(b"stsz", memoryview(b"")), table.get(b"stco"), 4
    if places is None:
        places, wide = table.get(b"co64", memoryview(b"")), 8
    size = int.from_bytes(sizes[4:8], "big") or int.from_bytes(sizes[12:16], "big")
    at = int.from_bytes(places[8 : 8 + wide], "big")
    yield view[at : at + size]


def _frame_pixels(part: memoryview, reading: Reading) -> int:
    """The pixels of the frames that a picture's data unpacks to: each costs its time, and some are held together."""
    at = units = frames = largest = 0
    while at < len(part):
        reading.check_time()
        units += 1
        if units > MOST_UNITS:
            raise ReadingStoppedError(sentence("is made of more than {most} pieces", most=MOST_UNITS))
        head, at = part[at], at + (2 if part[at] & 4 else 1)
        size = len(part) - at
        if head & 2:
            size, at = _length(part, at)
        kind = head >> 3 & 15
        if kind == _SEQUENCE:
            largest = max(largest, _largest_frame(part[at : at + size]))
        frames += kind in _FRAMES
        at += size
    return largest * max(frames, 1)


def _length(part: memoryview, at: int) -> tuple[int, int]:
    """A number in groups of 7 bits, and where what follows it begins."""
    size = 0
    for shift in range(0, 56, 7):
        if at >= len(part):
            break
        byte, at = part[at], at + 1
        size |= (byte & 127) << shift
        if byte < 128:
            break
    return size, at


class _Bits:
    """The numbers of a header, bit by bit; 0 behind its end."""

    def __init__(self, data: memoryview):
        self._bits, self._bits_left = int.from_bytes(data, "big"), 8 * len(data)

    def number(self, size: int) -> int:
        self._bits_left -= size
        return self._bits >> self._bits_left & (1 << size) - 1 if self._bits_left >= 0 else 0


def _largest_frame(header: memoryview) -> int:
    """The pixels of the largest frame that a sequence header allows (AV1 specification, 5.5.1)."""
    bits = _Bits(header[:512])
    bits.number(4)  # profile, still picture
    reduced = bits.number(1)
    if reduced:
        bits.number(5)
    else:
        _skip_operating_points(bits)
    sizes = bits.number(4) + 1, bits.number(4) + 1
    area = 1
    for size in sizes:
        side = bits.number(size) + 1
        # Unless the header is reduced a frame may be as large as these bits say. Encoders write no more than needed.
        area *= side if reduced or max((side - 1).bit_length(), 1) == size else 1 << size
    return area


def _skip_operating_points(bits: _Bits) -> None:
    delay_bits = 0
    if bits.number(1):  # timing
        bits.number(64)
        if bits.number(1):
            zeros = 0
            while zeros < 32 and not bits.number(1):
                zeros += 1
            bits.number(zeros)
        if bits.number(1):  # decoder model
            delay_bits = bits.number(5) + 1
            bits.number(42)
    display_delay = bits.number(1)
    for _ in range(bits.number(5) + 1):
        bits.number(12)
        if bits.number(5) > 7:  # level
            bits.number(1)
        if delay_bits and bits.number(1):
            bits.number(2 * delay_bits + 1)
        if display_delay and bits.number(1):
            bits.number(4)
