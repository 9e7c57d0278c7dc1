"""JPEG: kinds that are not read are named, and a file that lacks its last bytes is read if nearly all is there."""

from __future__ import annotations

import random
import re

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from hub.decoding.orientation import of_exif, of_xmp
from hub.decoding.reading import NEARLY, GuardedFile, RawPicture, Reading, ReadingStoppedError, plain
from hub.texts import sentence

_END = b"\xff\xd9"
_LOSSLESS = {0xC3, 0xC7, 0xCB, 0xCF}
_DIFFERENTIAL = {0xC5, 0xC6, 0xCD, 0xCE}
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = {0xC2, 0xCA}
_HIERARCHY = 0xDE
COEFFICIENT_BYTES = 2  # of a sample of a progressive picture, which are held until the last scan
_SCAN = 0xDA
BAND = 256  # rows that are compared together
_LAST_BLOCKS = 512  # pixels: two blocks of 16 x 16, which is little in a picture of any size
DIVISORS = (2, 4, 8)  # of both sides, with which libjpeg makes a smaller picture at once, without the large one
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # not in the packed data: neither a stuffed byte nor a restart


class _JpegFile(JpegImageFile):
    def _read_dpi_from_exif(self) -> None:
        """Not needed; Pillow copies what each EXIF tag points at, which can be gigabytes."""


def read(data: bytes, reading: Reading) -> RawPicture:
    """Raises a HubError, or what Pillow raises on damaged data."""
    beside_bytes = _check_kind(data, reading)
    with _JpegFile(GuardedFile(data, reading.check_time)) as image:
        full = image.size
        divisor = reading.enough.divisor(full, DIVISORS) if reading.enough else 1
        _reduce(image, divisor)
        reading.admit(full, image.mode, beside_bytes * full[0] * full[1], reduced=image.size)
        turn = of_exif(image.info.get("exif") or b"") or of_xmp(image.info.get("xmp") or b"") or 1
        profile = image.info.get("icc_profile")
        try:
            image.load()
            picture = plain(image)
        except ReadingStoppedError:
            raise
        except OSError as error:
            reading.admit(full, image.mode, reduced=image.size)  # two more
            picture = _nearly_whole(data, reading, divisor, error)
    return RawPicture(picture, profile, turn)


def _check_kind(data: bytes, reading: Reading) -> int:
    """By the header of the first frame. The bytes a pixel that libjpeg holds beside the picture."""
    if data[2:4] == b"\xff\xf7":
        raise reading.unsupported(sentence("a JPEG-LS picture"))
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _DIFFERENTIAL or marker == _HIERARCHY:
            raise reading.unsupported(sentence("a hierarchical JPEG"))
        if marker in _LOSSLESS:
            raise reading.unsupported(sentence("a lossless JPEG"))
        if marker in _FRAMES:
            _check_frame(data[at + 4 : at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")], reading)
            return COEFFICIENT_BYTES * data[at + 9] if marker in _PROGRESSIVE else 0
        if marker == 0xFF:  # fill
            at += 1
            continue
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return 0


def _check_frame(frame: bytes, reading: Reading) -> None:
    """Bits, height, width and components: each its number, its sampling and its table."""
    if frame[:1] and frame[0] != 8:
        raise reading.unsupported(sentence("a JPEG of {bits} bits", bits=frame[0]))
    if len(frame) < 6:
        return
    if frame[1:3] == b"\0\0":
        raise reading.unsupported(sentence("a JPEG that tells its height only at its end"))
    if frame[5] not in (1, 3, 4):
        raise reading.unsupported(sentence("a JPEG of {count} components", count=frame[5]))
    samplings = [(sampling >> 4, sampling & 15) for sampling in frame[7 : 6 + 3 * frame[5] : 3]]
    most = [max(one[side] for one in samplings) for side in (0, 1)] if samplings else []
    if any(1 <= one[side] <= 4 and most[side] <= 4 and most[side] % one[side] for one in samplings for side in (0, 1)):
        raise reading.unsupported(sentence("a JPEG of unusual sampling"))


def _nearly_whole(data: bytes, reading: Reading, divisor: int, error: OSError) -> Image.Image:
    """A file that ends too soon, if next to nothing of the picture is missing. Raises `error` else.

    Ended in two ways, once with nothing and once with noise, the two pictures differ where data is missing.
    """
    if not _has_all_scans(data):
        raise error
    noise = random.Random(0).randbytes(20_000).replace(b"\xff", b"\xfe")
    data = data.rstrip(b"\xff")  # half of the marker of the end
    grey, noisy = (_decode(data + more + _END, reading, divisor) for more in (b"", noise))
    differ = 0
    for top in range(0, grey.height, BAND):
        box = (0, top, grey.width, min(top + BAND, grey.height))
        pair = [np.asarray(one.crop(box)).reshape(box[3] - top, grey.width, -1) for one in (grey, noisy)]
        differ += int((pair[0] != pair[1]).any(axis=2).sum())
    if differ > max(_LAST_BLOCKS / divisor**2, NEARLY * grey.width * grey.height):
        raise error
    return grey


def _decode(data: bytes, reading: Reading, divisor: int) -> Image.Image:
    with _JpegFile(GuardedFile(data, reading.check_time)) as image:
        _reduce(image, divisor)
        image.load()
        return plain(image)


def _reduce(image: Image.Image, divisor: int) -> None:
    """Before it is decoded: both sides are to be divided by one of DIVISORS, and rounded up."""
    if divisor > 1:
        image.draft(None, (image.width // divisor, image.height // divisor))


def _has_all_scans(data: bytes) -> bool:
    """Whether each component's every coefficient has had its last scan, if only begun: so in no progressive file
    that ends in the middle are whole scans missing."""
    components, finished = 0, set[tuple[int, int]]()
    at = 2
    while at + 4 <= len(data):
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        segment = data[at + 4 : at + 2 + length]
        if data[at] != 0xFF:
            return False
        if marker == 0xFF:
            at += 1
            continue
        if marker in _FRAMES and len(segment) > 5:
            components = segment[5]
        at += 2 + length
        if marker == _SCAN and segment and len(segment) >= 4 + 2 * segment[0]:
            count = segment[0]
            start, end, approximation = segment[1 + 2 * count : 4 + 2 * count]
            if approximation & 15 == 0:
                finished |= {(segment[1 + 2 * n], k) for n in range(count) for k in range(start, min(end, 63) + 1)}
            next_marker = _MARKER.search(data, at)
            at = next_marker.start() if next_marker else len(data)
    return components > 0 and len(finished) >= 64 * components
