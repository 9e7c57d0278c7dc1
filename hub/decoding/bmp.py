"""BMP: Pillow reads what is not packed, runs of equal pixels are unrolled here, and all else is named."""

from __future__ import annotations

import dataclasses
import struct

from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile

from hub.decoding.plain import by_pillow, padded
from hub.decoding.reading import NEARLY, CutOffError, RawPicture, Reading
from hub.texts import Sentence, sentence

_RLE = {1: "RLE8", 2: "RLE4"}
_RLE_BITS = {1: 8, 2: 4}
_COMPRESSIONS = {**_RLE, 4: "JPEG", 5: "PNG", 6: "alpha masks", 11: "CMYK", 12: "CMYK RLE8", 13: "CMYK RLE4"}
_OS2_COMPRESSIONS = {**_RLE, 3: "Huffman 1D", 4: "RLE24"}  # in headers of IBM's kind
_MASKS = 3
_HEADERS = (12, 40, 52, 56, 64, 108, 124)  # by their size in bytes; 12 is the first kind, with short numbers
_DEPTHS = (1, 4, 8, 16, 24, 32)
LOOK_RUNS = 4_096  # between two looks at the clock


def read(data: bytes, reading: Reading) -> RawPicture:
    """Raises a HubError, CutOffError, or what Pillow raises on damaged data."""
    if len(data) < 14 + min(_header(data), 40):
        raise CutOffError("the header is cut off")
    if kind := _unread(data):
        raise reading.unsupported(kind)
    if _compression(data) in _RLE:
        return RawPicture(_unrolled(data, reading))
    try:
        picture = by_pillow(BmpImageFile, padded(data, int.from_bytes(data[2:6], "little")), reading)
    except OSError as error:
        if "bitfields layout" in str(error):
            raise reading.unsupported(sentence("a BMP with unusual colour masks")) from error
        raise
    # Programs that know of no alpha leave its byte at 0.
    is_invisible = picture.image.mode == "RGBA" and picture.image.getchannel("A").getextrema() == (0, 0)
    return dataclasses.replace(picture, image=picture.image.convert("RGB")) if is_invisible else picture


def _header(data: bytes) -> int:
    return int.from_bytes(data[14:18], "little")


def _compression(data: bytes) -> int:
    return 0 if _header(data) < 20 else int.from_bytes(data[30:34], "little")


def _unread(data: bytes) -> Sentence | None:
    """What a BMP is that is not read, by its header."""
    header, code = _header(data), _compression(data)
    bits = int.from_bytes(data[24:26] if header == 12 else data[28:30], "little")
    os2 = 16 <= header <= 64 and header not in (40, 52, 56)
    if code not in (0, *_RLE, _MASKS) or (code == _MASKS and (os2 or bits == 1)):
        names = _OS2_COMPRESSIONS if os2 or code == _MASKS else _COMPRESSIONS
        return sentence("a BMP compressed with {packed}", packed=names.get(code, code))
    if code in _RLE and bits != _RLE_BITS[code]:
        return sentence("a BMP of {bits} bits a pixel compressed with {packed}", bits=bits, packed=_RLE[code])
    if bits not in _DEPTHS:
        return sentence("a BMP of {bits} bits a pixel", bits=bits)
    if header not in _HEADERS:
        return sentence("a BMP with a header of {size} bytes", size=header)
    return None


# --- runs of equal pixels -------------------------------------------------------------------------


def _unrolled(data: bytes, reading: Reading) -> Image.Image:
    """A file may leave out pixels, rows and the rest of the picture, which have colour 0."""
    start, header, width, height = struct.unpack_from("<IIii", data, 10)
    upwards, width, height = height > 0, abs(width), abs(height)
    bits, colours = _RLE_BITS[_compression(data)], int.from_bytes(data[46:50], "little")
    reading.admit((width, height), "P", 2 * width * height)
    palette = data[14 + header : 14 + header + 4 * min(colours or 256, 1 << bits)]
    pixels = _pixels(data, start, (width, height), bits, reading)
    image = Image.frombytes("P", (width, height), bytes(pixels), "raw", "P", 0, -1 if upwards else 1)
    image.putpalette(palette + bytes(-len(palette) % 4), "BGRX")
    return image


def _pixels(data: bytes, at: int, size: tuple[int, int], bits: int, reading: Reading) -> bytearray:
    """Rows in the order of the file, a byte a pixel. Raises CutOffError where more than a little is missing."""
    width, height = size
    pixels, row, x, runs = bytearray(width * height), 0, 0, 0
    while row < height:
        if at + 2 > len(data):
            if width * (height - row) > NEARLY * width * height + width:
                raise CutOffError("rows are missing")
            break
        runs += 1
        if runs % LOOK_RUNS == 0:
            reading.check_time()
        count, value = data[at], data[at + 1]
        at += 2
        if count:
            run = bytes((value,)) * count if bits == 8 else bytes((value >> 4, value & 15)) * ((count + 1) // 2)
        elif value > 2:
            length = value if bits == 8 else (value + 1) // 2
            run = data[at : at + length]
            run = run if bits == 8 else bytes(half for byte in run for half in (byte >> 4, byte & 15))
            at, count = at + length + length % 2, value
        elif value == 2:
            x, row, at = x + data[at] if at < len(data) else x, row + sum(data[at + 1 : at + 2]), at + 2
            continue
        elif value == 1:
            break
        else:
            x, row = 0, row + 1
            continue
        fits = run[: max(0, min(count, width - x))]
        pixels[row * width + x : row * width + x + len(fits)] = fits
        x += count
    return pixels
