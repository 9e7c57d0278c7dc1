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
from hub.decoding.reading import CutOffError, GuardedFile, RawPicture, Reading, mega, plain
from hub.decoding.tiff_pixels import KINDS, Layout, Pixels, Samples, is_read, read_layout
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


def read(data: bytes, reading: Reading) -> RawPicture:
    """Raises a HubError, CutOffError, or what Pillow raises on damaged data."""
    page = first(data)
    layout = read_layout(page)
    if layout is not None:
        reading.check_size(layout.width, layout.height)
        _check_tile(layout, reading)
    profile = page.data(tags.PROFILE) or None
    if layout is not None and is_read(layout) and layout.photometric in (0, 1, 2, PALETTE, CMYK, CIELAB, ICCLAB):
        turn = page.number(tags.ORIENTATION) or of_xmp(page.data(tags.XMP))
        return RawPicture(_image(data, page, layout, reading), profile, turn)
    if layout is None or not _is_pillows(layout):
        raise reading.unsupported(_describe(page, layout))
    return RawPicture(_by_pillow(data, page, layout, reading), profile)  # Pillow turns TIFFs itself


def _check_tile(layout: Layout, reading: Reading) -> None:
    """A tile is decoded whole, however little of it is in the picture."""
    most = min(reading.limits.max_pixels, max(4 * layout.width * layout.height, TILE_PIXELS))
    if layout.tiled and layout.block_width * layout.block_height > most:
        raise TooLargeError(
            "{name} is stored in tiles of {tile_width} x {tile_height}; at most {size} megapixels a tile are "
            "read. Save it anew and try again.",
            name=reading.name,
            tile_width=layout.block_width,
            tile_height=layout.block_height,
            size=mega(most, 10**6),
        )


# --- what is read here ----------------------------------------------------------------------------


def _image(data: bytes, page: Directory, layout: Layout, reading: Reading) -> Image.Image:
    least = {CMYK: 4, RGB: 3, CIELAB: 3, ICCLAB: 3}.get(layout.photometric, 1)
    wrong = (
        layout.samples < least
        or (layout.photometric == CMYK and page.number(tags.INKS, 1) != 1)
        or (layout.photometric in (CMYK, CIELAB, ICCLAB) and (layout.bits not in (8, 16) or layout.kind == "float"))
        or (layout.photometric == PALETTE and (layout.kind != "uint" or layout.bits > 16))
    )
    if wrong:
        raise reading.unsupported(_describe(page, layout))
    pixels = Pixels(data, layout, reading)
    mode = {CMYK: "CMYK", CIELAB: "LAB", ICCLAB: "LAB"}.get(layout.photometric, "RGB")
    reading.admit((layout.width, layout.height), mode, pixels.held_bytes)
    if layout.photometric in (CMYK, CIELAB, ICCLAB):
        return _convert_print(pixels)
    if layout.photometric == PALETTE:
        return _paint(pixels, _palette(page, layout))
    return _grey_or_rgb(pixels, page, reading)


def _grey_or_rgb(pixels: Pixels, page: Directory, reading: Reading) -> Image.Image:
    """Grey, or the first three bands: maps say of theirs that they are grey. Alpha is laid on white."""
    layout = pixels.layout
    alpha = _alpha(layout)
    bands = layout.samples - (alpha is not None)
    colours = tuple(n for n in range(layout.samples) if n != alpha)[: 3 if bands >= 3 else 1]
    if bands not in (1, 3):
        template = "{name} has {count} bands: the first was read, as grey."
        if bands > 3:
            template = "{name} has {count} bands: the first three were read as red, green and blue."
        reading.remark(template, count=bands)
    scale = _scale(pixels, colours, page, reading)
    image = Image.new("RGB" if len(colours) == 3 else "L", (layout.width, layout.height))
    top = 0
    for band in pixels.rows(colours if alpha is None else (*colours, alpha)):
        pixel_rows = scale.to_bytes(band[:, :, : len(colours)])
        if layout.photometric == WHITE_IS_ZERO:
            pixel_rows = 255 - pixel_rows
        if alpha is not None:
            pixel_rows = _on_white(
                pixel_rows, _opacity(band[:, :, -1:], layout), layout.extra[alpha - layout.samples] == _ASSOCIATED
            )
        top = _paste_rows(image, pixel_rows, top)
    return image


def _alpha(layout: Layout) -> int | None:
    """The place of the first samples that say how opaque a pixel is; extra samples come after the colours."""
    before = layout.samples - len(layout.extra)
    if before < 1 or layout.kind == "int":
        return None
    return next((before + n for n, extra in enumerate(layout.extra) if extra in _ALPHA), None)


def _scale(pixels: Pixels, colours: tuple[int, ...], page: Directory, reading: Reading) -> Span:
    layout = pixels.layout
    if layout.kind == "uint" and layout.bits <= 8:
        return Span(0, 2**layout.bits - 1)
    survey = Survey(_nodata(page))
    for band in pixels.rows(colours):
        survey.see(band)
    scale = span(survey, layout.kind, layout.bits)
    kind = {"uint": "{bits}-bit samples", "int": "signed {bits}-bit samples", "float": "{bits}-bit float samples"}
    remark(reading, sentence(kind[layout.kind], bits=layout.bits), survey, scale)
    return scale


def _nodata(page: Directory) -> float | None:
    """The value that stands for nothing, as GDAL writes it."""
    try:
        return float(page.data(tags.NODATA)[:40].rstrip(b"\0 ").decode("ascii")) if tags.NODATA in page.tags else None
    except ValueError:
        return None


def _opacity(alpha: Samples, layout: Layout) -> Samples:
    """In [0, 1]."""
    whole = 1.0 if layout.kind == "float" else float(2**layout.bits - 1)
    opacity: Samples = np.clip(np.nan_to_num(alpha.astype(np.float32) / whole), 0, 1)
    return opacity


def _on_white(rows: NDArray[np.uint8], opacity: Samples, associated: bool) -> NDArray[np.uint8]:
    coloured = rows if associated else rows * opacity
    blended: NDArray[np.uint8] = np.clip(np.rint(coloured + 255 * (1 - opacity)), 0, 255).astype(np.uint8)
    return blended


def _convert_print(pixels: Pixels) -> Image.Image:
    """CMYK and Lab, of 8 or 16 bits."""
    layout = pixels.layout
    mode, channels = ("CMYK", (0, 1, 2, 3)) if layout.photometric == CMYK else ("LAB", (0, 1, 2))
    image = Image.new(mode, (layout.width, layout.height))
    top = 0
    for band in pixels.rows(channels):
        rows = band.view(f"u{layout.bits // 8}")
        rows = (rows >> (layout.bits - 8)).astype(np.uint8)
        if layout.photometric == ICCLAB:
            rows[..., 1:] ^= 128  # around 128; signed in the other kind, which Pillow knows
        part = Image.frombytes(mode, (layout.width, len(rows)), np.ascontiguousarray(rows).tobytes(), "raw", mode)
        image.paste(part, (0, top))
        top += len(rows)
    return image


def _palette(page: Directory, layout: Layout) -> NDArray[np.uint8]:
    entries = page.tags.get(tags.COLOUR_MAP, np.empty(0, int))
    if len(entries) != 3 << layout.bits:
        raise CutOffError("the palette is not all there")
    colours = entries.reshape(3, -1).T
    # 16 bits are wanted, and some programs write 8.
    return (colours >> 8 if colours.max() > 255 else colours).astype(np.uint8)


def _paint(pixels: Pixels, palette: NDArray[np.uint8]) -> Image.Image:
    image = Image.new("RGB", (pixels.layout.width, pixels.layout.height))
    top = 0
    for band in pixels.rows((0,)):
        top = _paste_rows(image, palette[band[:, :, 0]], top)
    return image


def _paste_rows(image: Image.Image, rows: NDArray[np.uint8], top: int) -> int:
    """Pastes rows at `top`; where the next ones go."""
    image.paste(Image.fromarray(np.ascontiguousarray(rows[..., 0] if rows.shape[-1] == 1 else rows)), (0, top))
    return top + len(rows)


# --- what Pillow reads ----------------------------------------------------------------------------


def _is_pillows(layout: Layout) -> bool:
    if layout.kind != "uint" or layout.predictor != 1:
        return False
    if layout.compression in _FAX:
        return layout.bits == layout.samples == 1 and layout.photometric in (0, 1)
    if layout.compression == _JPEG:
        return layout.bits == 8 and (layout.photometric, layout.samples) in _JPEG_KINDS
    if layout.planes != 1:
        return False
    return layout.photometric == YCBCR and layout.bits == 8 and layout.samples == 3 and layout.compression in _YCBCR


def _by_pillow(data: bytes, page: Directory, layout: Layout, reading: Reading) -> Image.Image:
    order: Literal["little", "big"] = "little" if page.order == "<" else "big"
    size = 8 if page.big else 4
    one_page = bytearray(data)
    one_page[size : 2 * size] = page.offset.to_bytes(size, order)  # so that it reads the page that was chosen
    with TiffImageFile(GuardedFile(bytes(one_page), reading.check_time)) as image:
        reading.admit(image.size, image.mode, 4 * layout.block_width * layout.block_height)
        image.load()
        return plain(image)


# --- words ----------------------------------------------------------------------------------------


def _describe(page: Directory, layout: Layout | None) -> Sentence:
    """`a TIFF with 7 bands of 64-bit float, RGB, compressed with LZW`."""
    bits = page.number(tags.BITS, 1)
    kind = {"uint": "{bits}-bit", "int": "signed {bits}-bit", "float": "{bits}-bit float"}
    sampled = sentence(kind[KINDS[page.number(tags.FORMAT, 1)]], bits=bits) if _is_known(page) else None
    if layout is None and sampled is not None:
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
