"""PNG: only the chunks that make the picture reach Pillow, so that no text or profile in the file can stop it.

16 bits in colour, of which Pillow keeps the upper half, are read whole where that half is nearly black.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngImageFile

from hub.decoding import colour
from hub.decoding.orientation import of_exif, of_xmp
from hub.decoding.ranges import Survey, remark, span
from hub.decoding.reading import NEARLY, CutOffError, GuardedFile, RawPicture, Reading, ReadingStoppedError, plain
from hub.texts import sentence

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_NEEDED = {b"IHDR", b"PLTE", b"IDAT", b"tRNS"}  # what makes the pixels
_RAW_EXIF = (b"Raw profile type exif", b"Raw profile type APP1")
_TEXTS = {b"tEXt", b"zTXt", b"iTXt"}
MOST_TEXT = 2**20  # of an unpacked text that may tell how to turn the picture; others are not looked at
MOST_TEXTS = 8  # that may tell so and are unpacked
MOST_PIECES = 65_536  # of packed pixels; programs write one a row, or one for each 8 KB
BAND = 256  # rows that are converted together
_BLACK = 63  # of 255: 16-bit samples up to 16,383, which may be 14 bits or fewer


@dataclass(slots=True)
class _Chunks:
    """What a PNG file has besides its pixels."""

    for_pillow: list[memoryview] = field(default_factory=list)  # the chunks for Pillow
    one: dict[bytes, bytes] = field(default_factory=dict)  # the first of each kind that is short
    exif: int = 0
    raw: int = 0  # EXIF in a text, as ImageMagick writes it
    xmp: int = 0
    texts: int = 0  # that have been unpacked
    pieces: int = 0


def read(data: bytes, reading: Reading) -> RawPicture:
    """Raises a HubError, CutOffError, or what Pillow raises on damaged data."""
    chunks = _chunks(data, reading)
    header = chunks.for_pillow[0][8:21]
    with PngImageFile(_file(chunks.for_pillow, reading)) as image:
        keyed = header[8] == 16 and "transparency" in image.info
        reading.admit(image.size, "RGBA" if keyed and image.mode == "RGB" else image.mode)
        _load(image, chunks.for_pillow)
        picture = plain(image)
    key = picture.info.get("transparency")
    if header[9] == 0 and header[8] in (2, 4) and isinstance(key, int):  # Pillow scales the pixels only
        picture.info["transparency"] = key * (85 if header[8] == 2 else 17)
    if header[8] == 16:
        mask = _mask(picture, chunks.for_pillow, picture.info.pop("transparency"), reading) if keyed else None
        picture = _of_16_bits(picture, chunks.for_pillow, header[9], reading)
        if mask is not None:
            picture.putalpha(mask)
    return RawPicture(picture, _profile(chunks.one, header[9] in (0, 4)), chunks.exif or chunks.raw or chunks.xmp or 1)


def _file(chunks: list[memoryview], reading: Reading) -> GuardedFile:
    end = struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))
    return GuardedFile(b"".join((SIGNATURE, *chunks, end)), reading.check_time)


def _chunks(data: bytes, reading: Reading) -> _Chunks:
    chunks = _Chunks()
    for kind, content, whole in _split(data):
        reading.check_time()
        if kind == b"IHDR" and not chunks.for_pillow and len(content) == 13:
            reading.check_size(*struct.unpack_from(">II", content))
        if kind == b"CgBI":
            raise reading.unsupported(sentence("a PNG made for iOS alone"))
        if kind == b"IDAT":
            if len(content):
                chunks.pieces += 1
                chunks.for_pillow.append(whole)
            if chunks.pieces > MOST_PIECES:
                raise ReadingStoppedError(sentence("is made of more than {most} pieces", most=MOST_PIECES))
        elif kind in _NEEDED:
            if not any(bytes(chunk[4:8]) == kind for chunk in chunks.for_pillow[:8]):
                chunks.for_pillow.append(whole)
        elif kind == b"eXIf":
            chunks.exif = chunks.exif or of_exif(bytes(content[:MOST_TEXT]))
        elif kind in _TEXTS:
            _look_at_text(chunks, kind, content)
        elif len(content) <= colour.MOST_PROFILE_BYTES and kind in (b"iCCP", b"gAMA", b"cHRM", b"sRGB", b"cICP"):
            chunks.one.setdefault(kind, bytes(content))
    if not chunks.for_pillow or bytes(chunks.for_pillow[0][4:8]) != b"IHDR" or len(chunks.for_pillow[0]) != 25:
        raise CutOffError("no header")
    return chunks


def _split(data: bytes) -> Iterator[tuple[bytes, memoryview, memoryview]]:
    """Chunks as far as the file goes: kind, content, all of it. The last one may be cut off."""
    view, place = memoryview(data), len(SIGNATURE)
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        content = view[place + 8 : place + 8 + length]
        if kind == b"IEND":
            return
        if len(content) == length and place + 12 + length <= len(data):
            yield kind, content, view[place : place + 12 + length]
        elif kind == b"IDAT" and len(content):  # made whole, so that what is there is seen
            checksum = zlib.crc32(content, zlib.crc32(kind))
            repaired = struct.pack(">I4s", len(content), kind) + bytes(content) + struct.pack(">I", checksum)
            yield kind, content, memoryview(repaired)
        place += 12 + length


def _load(image: ImageFile, chunks: list[memoryview]) -> None:
    """Also where the last rows are missing, if they are few. Raises what Pillow raises."""
    try:
        image.load()
    except ReadingStoppedError:
        raise
    except OSError:
        if _share(chunks) < 1 - NEARLY:
            raise
        image.tile = []  # what has been read stays
        image.load()


def _share(chunks: list[memoryview]) -> float:
    """How much of the pixels' bytes is there; 0 for what cannot be told (interlaced, palette of few bits)."""
    width, height, bits, kind, _, _, interlaced = struct.unpack_from(">IIBBBBB", chunks[0], 8)
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(kind, 0)
    expected: int = (1 + -(-width * bits * samples // 8)) * height
    if interlaced or not expected:
        return 0
    unpacker, size = zlib.decompressobj(), 0
    for chunk in (chunk for chunk in chunks if bytes(chunk[4:8]) == b"IDAT"):
        packed = bytes(chunk[8:-4])
        try:
            while packed and size < expected:
                size += len(unpacker.decompress(packed, 2**20))
                packed = unpacker.unconsumed_tail
        except zlib.error:
            break
    return size / expected


# --- 16 bits --------------------------------------------------------------------------------------


def _of_16_bits(picture: Image.Image, chunks: list[memoryview], kind: int, reading: Reading) -> Image.Image:
    """8 bits of the range that is used. Pillow keeps all 16 bits of plain grey only."""
    if kind == 0 and picture.mode.startswith("I"):
        return _narrow(lambda top: _rows_at(picture, top), Image.new("L", picture.size), reading)
    extremes: Any = picture.getextrema()
    if kind not in (2, 4, 6) or max(high for _, high in extremes[: 1 if kind == 4 else 3]) > _BLACK:
        return picture
    if kind == 4:  # four bytes a pixel: upper and lower of grey, then of alpha
        raw = _reread(chunks, reading, "RGBA", "RGBA")
        grey = Image.new("L", picture.size)
        grey = _narrow(
            lambda top: _join_bytes(_rows_at(raw, top)[..., :1], _rows_at(raw, top)[..., 1:2]), grey, reading
        )
        return Image.merge("LA", (grey, picture.getchannel("A")))
    # The lower byte of each, as if it were the upper.
    low = _reread(chunks, reading, picture.mode, f"{picture.mode};16L")
    return _narrow(
        lambda top: _join_bytes(_rows_at(picture, top)[..., :3], _rows_at(low, top)[..., :3]), picture, reading
    )


def _mask(picture: Image.Image, chunks: list[memoryview], key: Any, reading: Reading) -> Image.Image:
    """White but for the pixels whose 16 bits, all of them, are those of `key`."""
    low = _reread(chunks, reading, "RGB", "RGB;16L") if picture.mode == "RGB" else None
    mask = Image.new("L", picture.size, 255)
    for top in range(0, picture.height, BAND):
        wide = _rows_at(picture, top) if low is None else _join_bytes(_rows_at(picture, top), _rows_at(low, top))
        is_opaque = (wide != np.array(key)).any(axis=2)
        mask.paste(Image.fromarray(np.where(is_opaque, 255, 0).astype(np.uint8)), (0, top))
    return mask


def _reread(chunks: list[memoryview], reading: Reading, mode: str, raw_mode: str) -> Image.Image:
    """The same bytes with another meaning."""
    with PngImageFile(_file(chunks, reading)) as image:
        image._mode = mode
        image.tile = [tile._replace(args=raw_mode) for tile in image.tile]
        _load(image, chunks)
        return plain(image)


def _narrow(wide: Callable[[int], NDArray[Any]], image: Image.Image, reading: Reading) -> Image.Image:
    """`image` with its colours from bands of wide samples, which may be made of itself: it is written last."""
    tops, survey = range(0, image.height, BAND), Survey()
    for top in tops:
        survey.see(wide(top))
    scale = span(survey, "uint", 16)
    remark(reading, sentence("{bits}-bit samples", bits=16), survey, scale)
    for top in tops:
        band = scale.to_bytes(wide(top))
        if image.mode == "RGBA":
            band = np.concatenate([band, _rows_at(image, top)[..., 3:]], axis=2)
        image.paste(Image.fromarray(band[..., 0] if band.shape[2] == 1 else band), (0, top))
    return image


def _rows_at(image: Image.Image, top: int) -> NDArray[Any]:
    """A band of rows, [rows, width, channels]."""
    rows = np.asarray(image.crop((0, top, image.width, min(top + BAND, image.height))))
    return rows if rows.ndim == 3 else rows[..., None]


def _join_bytes(upper: NDArray[Any], lower: NDArray[Any]) -> NDArray[np.uint16]:
    wide: NDArray[np.uint16] = (upper.astype(np.uint16) << 8) | lower
    return wide


# --- what else is in it ---------------------------------------------------------------------------


def _profile(one: dict[bytes, bytes], grey: bool) -> bytes | None:
    """The one that counts: cICP before iCCP before sRGB before gAMA and cHRM."""
    if len(code := one.get(b"cICP", b"")) == 4 and code[0] in colour.PRIMARIES:
        return colour.of_code_points(code[0], code[1])
    if packed := one.get(b"iCCP"):
        name_end = packed.find(b"\0")
        profile = _inflate(packed[name_end + 2 :], colour.MOST_PROFILE_BYTES) if 0 <= name_end < 80 else None
        if profile:
            return profile
    if b"sRGB" in one:
        return None
    gamma, points = one.get(b"gAMA", b""), one.get(b"cHRM", b"")
    level = struct.unpack(">I", gamma)[0] / 100_000 if len(gamma) == 4 else None
    if len(points) != 32:
        return colour.of_gamma(level, None)
    x = [number / 100_000 for number in struct.unpack(">8I", points)]
    white, red, green, blue = zip(x[::2], x[1::2], strict=True)
    return colour.of_gamma(level, None if grey else (red, green, blue, white))


def _look_at_text(chunks: _Chunks, kind: bytes, content: memoryview) -> None:
    """XMP, and EXIF in hexadecimal; of any other text only the keyword is read."""
    keyword, _, _ = bytes(content[:80]).partition(b"\0")
    if keyword not in (*_RAW_EXIF, b"Raw profile type xmp", b"XML:com.adobe.xmp"):
        return
    if (chunks.raw if keyword in _RAW_EXIF else chunks.xmp) or chunks.texts == MOST_TEXTS:
        return
    chunks.texts += 1
    text = _text(kind, bytes(content[: 2 * MOST_TEXT]), len(keyword))
    if keyword.startswith(b"Raw"):
        digits = b"".join(text.split(None, 2)[2:]).translate(None, b" \t\r\n")  # after the kind and the length
        try:
            text = bytes.fromhex(digits[: len(digits) // 2 * 2].decode("ascii"))
        except (ValueError, UnicodeDecodeError):
            return
    if keyword in _RAW_EXIF:
        chunks.raw = chunks.raw or of_exif(text)
    chunks.xmp = chunks.xmp or of_xmp(text)


def _text(kind: bytes, content: bytes, keyword: int) -> bytes:
    if kind == b"tEXt":
        return content[keyword + 1 : MOST_TEXT]
    if kind == b"zTXt":
        return _inflate(content[keyword + 2 :], MOST_TEXT) or b""
    packed = content[keyword + 1 : keyword + 2] == b"\1"
    text = content[keyword + 3 :].split(b"\0", 2)[-1]  # after the language and the translated keyword
    return (_inflate(text, MOST_TEXT) or b"") if packed else text[:MOST_TEXT]


def _inflate(packed: bytes, most: int) -> bytes | None:
    """None for what is damaged, or larger than `most`."""
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(packed, most)
    except zlib.error:
        return None
    return None if unpacker.unconsumed_tail else text
