"""The guarded decoder: bytes from anywhere in, an upright RGB picture or an error that helps out.

Pillow plugins are called directly rather than through `Image.open`, so that our limits, not Pillow's
global one, decide, and decide before anything is decoded.
"""

from __future__ import annotations

import io
import logging
import re
import struct
import time
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFile, features
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.Image import Transpose
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from hub import budget
from hub.errors import HubError, InputError, TooLargeError, UnsupportedMediaError
from hub.images import on_white
from hub.texts import Sentence, sentence

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ImageLimits:
    max_bytes: int = 20 * 2**20
    max_pixels: int = 50_000_000
    max_side: int = 16_384
    min_side: int = 8
    max_cpu_s: float = 10.0  # one thread's time; a hostile file can ask for hours


LIMITS = ImageLimits()


class _JpegFile(JpegImageFile):
    def _read_dpi_from_exif(self) -> None:
        """Not needed; Pillow copies what each EXIF tag points at, which can be gigabytes."""


_READERS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": _JpegFile, "PNG": PngImageFile, "WebP": WebPImageFile, "GIF": GifImageFile,
    "BMP": BmpImageFile, "TIFF": TiffImageFile,
}  # fmt: skip
if features.check("avif"):
    _READERS["AVIF"] = AvifImageFile
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
        (rb"II\*\0|MM\0\*", "TIFF"),
        (rb"....ftypavi[fs]|....ftypmi?f1.{0,60}?avif", "AVIF"),
        (rb"....ftyp(hei|hev|mif1|msf1)", "a HEIC picture"),
        (rb"....ftyp|....moov|....mdat|\x1aE\xdf\xa3|RIFF....AVI |FLV|\0\0\x01[\xb3\xba]", "a video"),
        (rb"\xff\x0a|\0\0\0\x0cJXL ", "a JPEG XL picture"),
        (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "a JPEG 2000 picture"),
        (rb"II\+\0|MM\0\+", "a BigTIFF picture"),
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

_TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE, 6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE, 8: Transpose.ROTATE_90,
}  # fmt: skip
_ORIENTATION = 0x0112


def decode(
    data: bytes,
    limits: ImageLimits = LIMITS,
    *,
    field: str | None = None,
    remarks: list[Sentence] | None = None,
) -> Image.Image:
    """A file's first picture: RGB, upright, sRGB, alpha on white. Size is checked before any decoding.

    `remarks` is given what a reader should know of how the file was read, such as a stretched range.
    """
    name = field or "image"
    try:
        with budget.room():
            return _decode(data, limits, name)
    except HubError as error:
        error.field = field
        raise


def declared(data: bytes, limits: ImageLimits = LIMITS) -> int:
    """The pixels that a picture will count as once it is open; 0 where decoding it will say what is wrong."""
    try:
        with _READERS[sniff(data)](_GuardedFile(data, limits.max_cpu_s)) as image:
            _check_size(image, limits, "image")
            return budget.weigh(image.size, image.mode)
    except (HubError, *_BOMBS, *_PILLOW_ERRORS):
        return 0


def _decode(data: bytes, limits: ImageLimits, name: str) -> Image.Image:
    if not data:
        raise InputError("{name} is an empty file. Choose a picture and try again.", name=name)
    if len(data) > limits.max_bytes:
        raise TooLargeError(
            "{name} has {size} MB; at most {most} MB are read. Make it smaller and try again.",
            name=name,
            size=_mega(len(data)),
            most=_mega(limits.max_bytes),
        )
    kind = sniff(data)
    if kind not in _READERS:
        raise UnsupportedMediaError(
            "{name} looks like {kind}; {formats}. Convert it and try again.",
            name=name,
            kind=sentence(kind),
            formats=_READ,
        )
    file = _GuardedFile(data, limits.max_cpu_s)
    try:
        with _READERS[kind](file) as image:
            _check_size(image, limits, name)
            budget.ask(image.size, image.mode)
            image.load()
            rgb = _to_rgb(image)
            turn = _TURNS.get(_orientation(image))
            rgb = rgb.transpose(turn) if turn is not None else rgb.copy() if rgb is image else rgb
    except _BOMBS as error:
        raise TooLargeError(
            "{name} declares far more pixels than the {most} megapixels that are read. Make it smaller and try again.",
            name=name,
            most=_mega(limits.max_pixels, 10**6),
        ) from error
    except _PILLOW_ERRORS as error:
        stopped = isinstance(error, _ReadingStoppedError)
        problem = error.args[0] if stopped else sentence("is cut off or damaged and cannot be read")
        raise InputError(
            "{name} ({kind}) {problem}. Save it anew and try again.", name=name, kind=kind, problem=problem
        ) from error
    rgb.info = {}  # nothing of the file (profile, EXIF, place of the photo) travels on
    return rgb


def sniff(data: bytes) -> str:
    """What the content is, whatever its name says: one of FORMATS, or words for anything else."""
    head = data[:1024]
    return next((name for pattern, name in _SIGNATURES if pattern.match(head)), "an unknown kind of file")


class _ReadingStoppedError(OSError):
    """A file that asks for more work than any honest one; its one argument is a sentence for people."""


class _GuardedFile(io.BytesIO):
    """Bounds what Pillow's parsers do: TIFF tags that name the same bytes a thousand times, GIF comments
    joined in quadratic time, JPEGs of a million scans all come back here for the next bytes."""

    def __init__(self, data: bytes, max_cpu_s: float):
        super().__init__(data)
        self._bytes_left = 8 * len(data) + 2**20
        self._deadline = time.thread_time() + max_cpu_s
        self._max_cpu_s = max_cpu_s

    def read(self, size: int | None = -1, /) -> bytes:
        if self._bytes_left < 0:
            raise _ReadingStoppedError(sentence("points at the same bytes again and again"))
        if time.thread_time() > self._deadline:
            raise _ReadingStoppedError(sentence("takes more than {seconds:g} seconds to read", seconds=self._max_cpu_s))
        start = self.tell()
        wanted = len(self.getbuffer()) - start if size is None or size < 0 else size
        self._bytes_left -= max(0, min(wanted, len(self.getbuffer()) - start))
        return super().read(size)


def _check_size(image: Image.Image, limits: ImageLimits, name: str) -> None:
    width, height = image.size
    given: dict[str, Any] = {"name": name, "width": width, "height": height}
    if width * height > limits.max_pixels:
        raise TooLargeError(
            "{name} is {width} x {height} = {size:.1f} megapixels; at most {most} megapixels are read. "
            "Make it smaller and try again.",
            **given,
            size=width * height / 1e6,
            most=_mega(limits.max_pixels, 10**6),
        )
    if max(width, height) > limits.max_side:
        raise TooLargeError(
            "{name} is {width} x {height} pixels; at most {most} a side are read. Make it smaller and try again.",
            **given,
            most=limits.max_side,
        )
    if min(width, height) < limits.min_side:
        raise InputError(
            "{name} is {width} x {height} pixels; at least {least} pixels a side are needed. Choose a larger picture.",
            **given,
            least=limits.min_side,
        )
    if isinstance(image, TiffImageFile):  # a tile is decoded whole, however little of it is in the picture
        tile_width, tile_height = image.tag_v2.get(322, 0), image.tag_v2.get(323, 0)
        if tile_width * tile_height > limits.max_pixels:
            raise TooLargeError(
                "{name} is stored in tiles of {tile_width} x {tile_height}; at most {size} megapixels a tile are "
                "read. Save it anew and try again.",
                name=name,
                tile_width=tile_width,
                tile_height=tile_height,
                size=_mega(limits.max_pixels, 10**6),
            )


def _mega(number: int, unit: int = 2**20) -> str:
    return f"{number / unit:.1f}".removesuffix(".0")


def _orientation(image: Image.Image) -> Any:
    """The EXIF orientation, 1 when there is none or it cannot be read. Pillow turns TIFFs itself."""
    exif = image.info.get("exif") or b""
    if isinstance(image, TiffImageFile) or not exif:
        return 1
    try:
        tags = Image.Exif()
        tags.load_from_fp(_GuardedFile(exif.removeprefix(b"Exif\0\0"), max_cpu_s=1.0))
        return tags.get(_ORIENTATION, 1)
    except _PILLOW_ERRORS as error:
        log.debug("EXIF not read: %s", error)
        return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    """Any mode to RGB; the same object if it is RGB already."""
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I;16"):
        return _grey(np.asarray(image) >> 8)
    if image.mode in ("I", "F"):
        return _grey(_scaled(np.asarray(image, np.float32), unit=image.mode == "F"))
    if image.has_transparency_data:
        image = on_white(image)
    if image.mode == "P":
        image = image.convert("RGB")
    if image.mode == "LAB":
        return _through_profile(image, ImageCms.createProfile("LAB"))
    if profile and image.mode in ("RGB", "L", "CMYK"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "sRGB" not in ImageCms.getProfileDescription(source):
                return _through_profile(image, source)
        except (*_PILLOW_ERRORS, ImageCms.PyCMSError) as error:
            log.debug("colour profile not used: %s", error)
    return image if image.mode == "RGB" else image.convert("RGB")


def _grey(values: NDArray[Any]) -> Image.Image:
    return Image.fromarray(values.astype(np.uint8)).convert("RGB")


def _scaled(values: NDArray[np.float32], *, unit: bool) -> NDArray[np.float32]:
    """To 0..255 from the smallest usual range (0..1 for floats, 8 bits, 16 bits) that holds the values."""
    values = np.nan_to_num(values, posinf=0.0, neginf=0.0)
    low, top = min(0.0, float(values.min())), float(values.max())
    usual = (1.0, 255.0, 65535.0) if unit else (255.0, 65535.0)
    high = next((limit for limit in usual if low == 0 and top <= limit), top)
    scaled: NDArray[np.float32] = np.rint((values - low) * (255 / ((high - low) or 1)))
    return scaled


def _through_profile(image: Image.Image, source: Any) -> Image.Image:
    transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), image.mode, "RGB")
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # only in-place calls return None
    return converted
