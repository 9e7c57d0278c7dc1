"""TIFF and BigTIFF: any sample format and layout to 8 bits, or words for what is not read.

What is made of plain samples is read here, a band of rows at a time. JPEG, CCITT and YCbCr are left to Pillow, which is
asked only for what it reads rightly.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from hub.decoding import tiff_tags as tags
from hub.decoding.orientation import of_xmp
from hub.decoding.ranges import Span, Survey, remark, span
from hub.decoding.reading import CutOffError, Found, GuardedFile, Reading, mega, plain
from hub.decoding.tiff_pixels import KINDS, Layout, Pixels, Samples, is_read, layout
from hub.decoding.tiff_tags import Directory, first
from hub.errors import TooLargeError
from hub.texts import Sentence, sentence

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, MASK, CMYK, YCBCR, CIELAB, ICCLAB = 0, 1, 2, 3, 4, 5, 6, 8, 9
_COLOURS = {
    WHITE_IS_ZERO: "grey", BLACK_IS_ZERO: "grey", RGB: "RGB", PALETTE: "palette", MASK: "mask", CMYK: "CMYK",
    YCBCR: "YCbCr", CIELAB: "Lab", ICCLAB: "Lab", 10: "Lab", 32_803: "raw sensor", 34_892: "raw sensor",
    32_844: "LogLuv", 32_845: "LogLuv",
}  # fmt: skip
_COMPRESSIONS = {
    1: "", 2: "CCITT", 3: "CCITT", 4: "CCITT", 5: "LZW", 6: "old JPEG", 7: "JPEG", 8: "Deflate", 9: "JBIG", 10: "JBIG",
    32_773: "PackBits", 32_809: "ThunderScan", 32_946: "Deflate", 33_003: "JPEG 2000", 33_005: "JPEG 2000",
    34_661: "JBIG", 34_676: "SGI log", 34_677: "SGI log", 34_712: "JPEG 2000", 34_887: "LERC", 34_892: "JPEG",
    34_925: "LZMA", 50_000: "Zstandard", 50_001: "WebP", 50_002: "JPEG XL", 52_546: "JPEG XL",
}  # fmt: skip
_FAX = (2, 3, 4)
_JPEG, _JPEG_KINDS = 7, {(0, 1), (1, 1), (2, 3), (6, 3), (5, 4)}  # colours and samples
_YCBCR = (5, 8)  # through libtiff, which knows of halved colours
TILE_PIXELS = 2**24  # may be in a tile of a picture of any size; others are at most four times the picture
_ASSOCIATED, _ALPHA = 1, (1, 2)  # of extra samples: colours were multiplied with it; any alpha


def read(data: bytes, reading: Reading) -> Found:
    """Raises a HubError, CutOffError, or what Pillow raises on damaged data."""
    page = first(data)
    found = layout(page)
    if found is not None:
        reading.check_size(found.width, found.height)
        _check_tile(found, reading)
    profile = page.data(tags.PROFILE) or None
    if found is not None and is_read(found) and found.photometric in (0, 1, 2, PALETTE, CMYK, CIELAB, ICCLAB):
        turn = page.number(tags.ORIENTATION) or of_xmp(page.data(tags.XMP))
        return Found(_image(data, page, found, reading), profile, turn)
    if found is None or not _is_pillows(found):
        raise reading.unsupported(_described(page, found))
    return Found(_by_pillow(data, page, found, reading), profile)  # Pillow turns TIFFs itself


def _check_tile(found: Layout, reading: Reading) -> None:
    """A tile is decoded whole, however little of it is in the picture."""
    most = min(reading.limits.max_pixels, max(4 * found.width * found.height, TILE_PIXELS))
    if found.tiled and found.block_width * found.block_height > most:
        raise TooLargeError(
            "{name} is stored in tiles of {tile_width} x {tile_height}; at most {size} megapixels a tile are "
            "read. Save it anew and try again.",
            name=reading.name,
            tile_width=found.block_width,
            tile_height=found.block_height,
            size=mega(most, 10**6),
        )


# --- what is read here ----------------------------------------------------------------------------


def _image(data: bytes, page: Directory, found: Layout, reading: Reading) -> Image.Image:
    least = {CMYK: 4, RGB: 3, CIELAB: 3, ICCLAB: 3}.get(found.photometric, 1)
    wrong = (
        found.samples < least
        or (found.photometric == CMYK and page.number(tags.INKS, 1) != 1)
        or (found.photometric in (CMYK, CIELAB, ICCLAB) and (found.bits not in (8, 16) or found.kind == "float"))
        or (found.photometric == PALETTE and (found.kind != "uint" or found.bits > 16))
    )
    if wrong:
        raise reading.unsupported(_described(page, found))
    pixels = Pixels(data, found, reading)
    mode = {CMYK: "CMYK", CIELAB: "LAB", ICCLAB: "LAB"}.get(found.photometric, "RGB")
    reading.admit((found.width, found.height), mode, pixels.held_bytes)
    if found.photometric in (CMYK, CIELAB, ICCLAB):
        return _printed(pixels)
    if found.photometric == PALETTE:
        return _painted(pixels, _palette(page, found))
    return _grey_or_rgb(pixels, page, reading)


def _grey_or_rgb(pixels: Pixels, page: Directory, reading: Reading) -> Image.Image:
    """Grey, or the first three bands: maps say of theirs that they are grey. Alpha is laid on white."""
    found = pixels.layout
    alpha = _alpha(found)
    bands = found.samples - (alpha is not None)
    colours = tuple(n for n in range(found.samples) if n != alpha)[: 3 if bands >= 3 else 1]
    if bands not in (1, 3):
        template = "{name} has {count} bands: the first was read, as grey."
        if bands > 3:
            template = "{name} has {count} bands: the first three were read as red, green and blue."
        reading.remark(template, count=bands)
    scale = _scale(pixels, colours, page, reading)
    image = Image.new("RGB" if len(colours) == 3 else "L", (found.width, found.height))
    top = 0
    for band in pixels.rows(colours if alpha is None else (*colours, alpha)):
        shown = scale.to_bytes(band[:, :, : len(colours)])
        if found.photometric == WHITE_IS_ZERO:
            shown = 255 - shown
        if alpha is not None:
            shown = _on_white(
                shown, _opacity(band[:, :, -1:], found), found.extra[alpha - found.samples] == _ASSOCIATED
            )
        top = _put(image, shown, top)
    return image


def _alpha(found: Layout) -> int | None:
    """The place of the first samples that say how opaque a pixel is; extra samples come after the colours."""
    before = found.samples - len(found.extra)
    if before < 1 or found.kind == "int":
        return None
    return next((before + n for n, extra in enumerate(found.extra) if extra in _ALPHA), None)


def _scale(pixels: Pixels, colours: tuple[int, ...], page: Directory, reading: Reading) -> Span:
    found = pixels.layout
    if found.kind == "uint" and found.bits <= 8:
        return Span(0, 2**found.bits - 1)
    survey = Survey(_nodata(page))
    for band in pixels.rows(colours):
        survey.see(band)
    scale = span(survey, found.kind, found.bits)
    kind = {"uint": "{bits}-bit samples", "int": "signed {bits}-bit samples", "float": "{bits}-bit float samples"}
    remark(reading, sentence(kind[found.kind], bits=found.bits), survey, scale)
    return scale


def _nodata(page: Directory) -> float | None:
    """The value that stands for nothing, as GDAL writes it."""
    try:
        return float(page.data(tags.NODATA)[:40].rstrip(b"\0 ").decode("ascii")) if tags.NODATA in page.tags else None
    except ValueError:
        return None


def _opacity(alpha: Samples, found: Layout) -> Samples:
    """In [0, 1]."""
    whole = 1.0 if found.kind == "float" else float(2**found.bits - 1)
    opacity: Samples = np.clip(np.nan_to_num(alpha.astype(np.float32) / whole), 0, 1)
    return opacity


def _on_white(shown: NDArray[np.uint8], opacity: Samples, associated: bool) -> NDArray[np.uint8]:
    seen = shown if associated else shown * opacity
    laid: NDArray[np.uint8] = np.clip(np.rint(seen + 255 * (1 - opacity)), 0, 255).astype(np.uint8)
    return laid


def _printed(pixels: Pixels) -> Image.Image:
    """CMYK and Lab, of 8 or 16 bits."""
    found = pixels.layout
    mode, wanted = ("CMYK", (0, 1, 2, 3)) if found.photometric == CMYK else ("LAB", (0, 1, 2))
    image = Image.new(mode, (found.width, found.height))
    top = 0
    for band in pixels.rows(wanted):
        shown = band.view(f"u{found.bits // 8}")
        shown = (shown >> (found.bits - 8)).astype(np.uint8)
        if found.photometric == ICCLAB:
            shown[..., 1:] ^= 128  # around 128; signed in the other kind, which Pillow knows
        part = Image.frombytes(mode, (found.width, len(shown)), np.ascontiguousarray(shown).tobytes(), "raw", mode)
        image.paste(part, (0, top))
        top += len(shown)
    return image


def _palette(page: Directory, found: Layout) -> NDArray[np.uint8]:
    entries = page.tags.get(tags.COLOUR_MAP, np.empty(0, int))
    if len(entries) != 3 << found.bits:
        raise CutOffError("the palette is not all there")
    colours = entries.reshape(3, -1).T
    # 16 bits are wanted, and some programs write 8.
    return (colours >> 8 if colours.max() > 255 else colours).astype(np.uint8)


def _painted(pixels: Pixels, palette: NDArray[np.uint8]) -> Image.Image:
    image = Image.new("RGB", (pixels.layout.width, pixels.layout.height))
    top = 0
    for band in pixels.rows((0,)):
        top = _put(image, palette[band[:, :, 0]], top)
    return image


def _put(image: Image.Image, rows: NDArray[np.uint8], top: int) -> int:
    """Pastes rows at `top`; where the next ones go."""
    image.paste(Image.fromarray(np.ascontiguousarray(rows[..., 0] if rows.shape[-1] == 1 else rows)), (0, top))
    return top + len(rows)


# --- what Pillow reads ----------------------------------------------------------------------------


def _is_pillows(found: Layout) -> bool:
    if found.kind != "uint" or found.predictor != 1:
        return False
    if found.compression in _FAX:
        return found.bits == found.samples == 1 and found.photometric in (0, 1)
    if found.compression == _JPEG:
        return found.bits == 8 and (found.photometric, found.samples) in _JPEG_KINDS
    if found.planes != 1:
        return False
    return found.photometric == YCBCR and found.bits == 8 and found.samples == 3 and found.compression in _YCBCR


def _by_pillow(data: bytes, page: Directory, found: Layout, reading: Reading) -> Image.Image:
    order: Literal["little", "big"] = "little" if page.order == "<" else "big"
    size = 8 if page.big else 4
    changed = bytearray(data)
    changed[size : 2 * size] = page.offset.to_bytes(size, order)  # so that it reads the page that was chosen
    with TiffImageFile(GuardedFile(bytes(changed), reading.check_time)) as image:
        reading.admit(image.size, image.mode, 4 * found.block_width * found.block_height)
        image.load()
        return plain(image)


# --- words ----------------------------------------------------------------------------------------


def _described(page: Directory, found: Layout | None) -> Sentence:
    """`a TIFF with 7 bands of 64-bit float, RGB, compressed with LZW`."""
    bits = page.number(tags.BITS, 1)
    kind = {"uint": "{bits}-bit", "int": "signed {bits}-bit", "float": "{bits}-bit float"}
    sampled = sentence(kind[KINDS[page.number(tags.FORMAT, 1)]], bits=bits) if _is_known(page) else None
    if found is None and sampled is not None:
        sampled = sentence("differing")
    code, colour = page.number(tags.COMPRESSION, 1), page.number(tags.PHOTOMETRIC, 1)
    packed = _COMPRESSIONS.get(code, f"{code}")
    return sentence(
        "a TIFF with {count} bands of {sampled} {colour} samples, compressed with {packed}"
        if packed
        else "a TIFF with {count} bands of {sampled} {colour} samples",
        count=page.number(tags.SAMPLES, 1),
        sampled=sampled or sentence("complex"),
        colour=sentence(_COLOURS.get(colour, "unknown")),
        **({"packed": packed} if packed else {}),
    )


def _is_known(page: Directory) -> bool:
    return page.number(tags.FORMAT, 1) in KINDS
