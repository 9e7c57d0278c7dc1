"""The guarded decoder: bytes from anywhere in, an upright RGB picture or an error that helps out.

Pillow plugins are called directly rather than through `Image.open`, so that our limits, not Pillow's
global one, decide, and decide before anything is decoded.
"""

from __future__ import annotations

import logging
import re
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image, features

from hub.decoding import avif as decode_avif
from hub.decoding import bmp as decode_bmp
from hub.decoding import budget, colour
from hub.decoding import heif as decode_heif
from hub.decoding import jpeg as decode_jpeg
from hub.decoding import plain as decode_plain
from hub.decoding import png as decode_png
from hub.decoding import tiff as decode_tiff
from hub.decoding.orientation import TURNS
from hub.decoding.reading import Enough, ImageLimits, LookedError, RawPicture, Reading, ReadingStoppedError, mega
from hub.errors import HubError, InputError, OutOfMemoryError, TooLargeError, UnsupportedMediaError
from hub.texts import Sentence, sentence

__all__ = ["FORMATS", "LIMITS", "Enough", "ImageLimits", "declared", "decode", "decode_ids", "sniff"]
log = logging.getLogger(__name__)

LIMITS = ImageLimits()
Reader = Callable[[bytes, Reading], RawPicture]


_READERS: dict[str, Reader] = {
    "JPEG": decode_jpeg.read, "PNG": decode_png.read, "WebP": decode_plain.read_webp, "GIF": decode_plain.read_gif,
    "BMP": decode_bmp.read, "TIFF": decode_tiff.read, "HEIC": decode_heif.read,
}  # fmt: skip
if features.check("avif"):
    _READERS["AVIF"] = decode_avif.read
FORMATS = tuple(_READERS)
_READ = sentence("{some} and {last} pictures are read", some=", ".join(FORMATS[:-1]), last=FORMATS[-1])

# How a file begins -> what it is. A name that is not in FORMATS completes "looks like ...".
_SIGNATURES: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(pattern, re.DOTALL | re.IGNORECASE if "<" in pattern.decode() else re.DOTALL), name)
    for pattern, name in (
        (rb"\xff\xd8\xff", "JPEG"),
        (rb"\x89PNG\r\n\x1a\n", "PNG"),
        (rb"GIF8[79]a", "GIF"),
        (rb"RIFF....WEBP", "WebP"),
        (rb"BM.{8}", "BMP"),
        (rb"II[*+]\0|MM\0[*+]", "TIFF"),
        (rb"....ftypavi[fs]|....ftypmi?f1.{0,60}?avif", "AVIF"),
        (rb"....ftyp(hei|hev|mif|msf1|avc[is]|jpeg|jpgs|vvi|j2ki)", "HEIC"),
        (rb"....ftyp|....moov|....mdat|\x1aE\xdf\xa3|RIFF....AVI |FLV|\0\0\x01[\xb3\xba]", "a video"),
        (rb"\xff\x0a|\0\0\0\x0cJXL ", "a JPEG XL picture"),
        (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "a JPEG 2000 picture"),
        (rb"8BPS", "a Photoshop document"),
        (rb"\0\0[\x01\x02]\0", "an icon"),
        (rb"%PDF", "a PDF document"),
        (rb"%!PS", "a PostScript document"),
        (rb"PK\x03\x04", "a ZIP archive or office document"),
        (rb"\x1f\x8b|7z\xbc\xaf|Rar!", "an archive"),
        (rb"ID3|\xff\xfb|OggS|fLaC|RIFF....WAVE", "a sound"),
        (rb"(\xef\xbb\xbf)?\s*(<[?!](?!doctype html).*?)?<svg", "an SVG drawing"),
        (rb"(\xef\xbb\xbf)?\s*(<!--.*?-->\s*)?<(!doctype html|html|head|body)", "a web page"),
        (rb"(\xef\xbb\xbf)?[\t\n\r\x20-\x7e\x80-\xf4]+\Z", "text"),
    )
)

# What Pillow raises on damaged files; Warning only where warnings are made errors.
_PILLOW_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, EOFError,
    AssertionError, RuntimeError, struct.error, zlib.error, Warning,
)  # fmt: skip
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)


def decode(
    data: bytes,
    limits: ImageLimits = LIMITS,
    *,
    field: str | None = None,
    remarks: list[Sentence] | None = None,
    enough: Enough | None = None,
) -> Image.Image:
    """A file's first picture: RGB, upright, sRGB, alpha on white. Size is checked before any decoding.

    `remarks` is given what a reader should know of how the file was read, such as a stretched range. `enough`: a
    larger photo may be read smaller, in less than half the time; None: it is read as it is.
    """
    name = field or "image"
    try:
        with budget.room():
            return _decode(data, Reading(name, sniff(data), limits, enough), _upright_rgb, remarks)
    except HubError as error:
        error.field = field
        raise


def decode_ids(data: bytes, limits: ImageLimits = LIMITS, name: str = "mask") -> Image.Image:
    """A mask: a PNG whose pixels are numbers of classes, one byte each, read exactly as they are (mode L).

    Raises InputError, TooLargeError, UnsupportedMediaError.
    """
    if data and (kind := sniff(data)) != "PNG":
        raise UnsupportedMediaError(
            "{name} looks like {kind}; a mask is a PNG of class numbers, one byte a pixel.",
            name=name,
            kind=sentence(kind),
        )
    bits, of_palette = data[24:25], data[25:26] == b"\x03"
    if data and bits not in (b"\1", b"\x08") and not of_palette:  # grey of other depths is stretched when it is read
        raise InputError(
            "{name} is a PNG of {bits} bits; a mask has one byte a pixel.", name=name, bits=int.from_bytes(bits)
        )
    with budget.room():
        return _decode(data, Reading(name, "PNG", limits), _exact)


def declared(data: bytes, limits: ImageLimits = LIMITS, enough: Enough | None = None) -> int:
    """The pixels that a picture will count as once it is open; 0 where decoding it will say what is wrong."""
    kind = sniff(data)
    try:
        if kind in _READERS:
            _READERS[kind](data, Reading("image", kind, limits, enough, looks_only=True))
    except LookedError as looked:
        return looked.pixels
    except (HubError, MemoryError, *_BOMBS, *_PILLOW_ERRORS):
        pass
    return 0


def _upright_rgb(picture: RawPicture, name: str) -> Image.Image:
    rgb = colour.to_rgb(picture.image, picture.profile)
    turn = TURNS.get(picture.turn)
    return rgb.transpose(turn) if turn is not None else rgb


def _exact(picture: RawPicture, name: str) -> Image.Image:
    image = picture.image
    if image.mode in ("RGB", "RGBA", "LA"):  # grey that a program saved in colour
        bands = image.getbands()
        colours = [image.getchannel(band) for band in bands if band != "A"]
        if all(one.tobytes() == colours[0].tobytes() for one in colours[1:]):
            return colours[0]
    if image.mode not in ("1", "L", "P"):
        raise InputError("{name} is a PNG in colour; a mask is a PNG of class numbers, one byte a pixel.", name=name)
    return Image.fromarray(np.asarray(image).astype(np.uint8))  # a palette's colours are not asked for


def _decode(
    data: bytes, reading: Reading, finish: Callable[[RawPicture, str], Image.Image],
    remarks: list[Sentence] | None = None,
) -> Image.Image:  # fmt: skip
    name, limits, kind = reading.name, reading.limits, reading.kind
    if not data:
        raise InputError("{name} is an empty file. Choose a picture and try again.", name=name)
    if len(data) > limits.max_bytes:
        raise TooLargeError(
            "{name} has {size} MB; at most {most} MB are read. Make it smaller and try again.",
            name=name,
            size=mega(len(data)),
            most=mega(limits.max_bytes),
        )
    if kind not in _READERS:
        raise UnsupportedMediaError(
            "{name} looks like {kind}; {formats}. Convert it and try again.",
            name=name,
            kind=sentence(kind),
            formats=_READ,
        )
    try:
        made = finish(_READERS[kind](data, reading), name)
    except _BOMBS as error:
        raise TooLargeError(
            "{name} declares far more pixels than the {most} megapixels that are read. Make it smaller and try again.",
            name=name,
            most=mega(limits.max_pixels, 10**6),
        ) from error
    except MemoryError as error:
        log.error("no memory for a %s of %d bytes", kind, len(data))
        raise OutOfMemoryError(
            "The hub has no memory left for this input. Make it smaller, or try again later."
        ) from error
    except _PILLOW_ERRORS as error:
        is_stopped = isinstance(error, ReadingStoppedError)
        problem = error.args[0] if is_stopped else sentence("is cut off or damaged and cannot be read")
        raise InputError(
            "{name} ({kind}) {problem}. Save it anew and try again.", name=name, kind=kind, problem=problem
        ) from error
    made.info = {}  # nothing of the file (profile, EXIF, place of the photo) travels on
    if remarks is not None:
        remarks += reading.remarks
    return made


def sniff(data: bytes) -> str:
    """What the content is, whatever its name says: one of FORMATS, or words for anything else."""
    head = data[:1024]
    return next((name for pattern, name in _SIGNATURES if pattern.match(head)), "an unknown kind of file")
