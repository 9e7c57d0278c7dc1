"""Pictures between files and models: encoding, size, palette, overlay. Arrays in, a new image out."""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.Image import Resampling

Thumbnail = Literal["tile", "step", "cell", "sight", "still", "view"]
Box = tuple[float, float, float, float]  # left, top, right and bottom of a part of a picture, in its pixels
Palette = Sequence[Sequence[int]] | NDArray[np.uint8]  # one (red, green, blue) per class id
BAND = 256  # rows that are worked on together
ENOUGH_SIDE = 1000  # px: the longer side of what is drawn on a photo that may come reduced (`reduced_for`)
LONGEST = 2048  # px: what is drawn on a large photo is made smaller, so that it can be looked at
SAMPLES = 3  # pixels looked at per pixel of a `sight` and side
HEAT = "inferno"  # dark to bright in even steps, also to colour-blind eyes and in grey print
HEAT_SHARE = 0.62  # of the colour where a heat map is hottest; the rest is photo
HEAT_DIM = 0.6  # of the photo's light where a heat map is cold


def on_white(image: Image.Image) -> Image.Image:
    pixels = image if image.mode == "RGBA" else image.convert("RGBA")
    canvas = Image.new("RGB", image.size, "white")
    canvas.paste(pixels, mask=pixels)
    return canvas


def encode(image: Image.Image, format: Literal["png", "jpeg"]) -> bytes:
    """PNG for exact pixels, JPEG (quality 92, full colour resolution) for photographs."""
    file = io.BytesIO()
    if format == "png":
        image.save(file, "PNG", compress_level=1)
    else:
        image = on_white(image) if image.has_transparency_data else image
        image = image if image.mode in ("RGB", "L") else image.convert("RGB")
        image.save(file, "JPEG", quality=92, subsampling=0)
    return file.getvalue()


def encode_mask(ids: NDArray[np.uint8]) -> bytes:
    """Class ids as an 8-bit grey PNG whose pixel values are exactly the ids."""
    import cv2  # four times as fast as Pillow, which tries five filters on each row, and a third of its bytes

    options = {
        cv2.IMWRITE_PNG_FILTER: cv2.IMWRITE_PNG_FILTER_UP,  # what is equal to the row above becomes 0
        cv2.IMWRITE_PNG_STRATEGY: cv2.IMWRITE_PNG_STRATEGY_RLE,
        cv2.IMWRITE_PNG_COMPRESSION: 1,
    }
    written, data = cv2.imencode(".png", _checked_ids(ids), [number for pair in options.items() for number in pair])
    if not written:
        raise ValueError("the class ids could not be written as a PNG")
    return data.tobytes()


def _checked_ids(ids: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if not isinstance(ids, np.ndarray) or ids.dtype != np.uint8 or ids.ndim != 2 or ids.size == 0:
        what = f"{ids.dtype} {list(ids.shape)}" if isinstance(ids, np.ndarray) else type(ids).__name__
        raise ValueError(f"class ids must be a uint8 array [height, width], got {what}")
    return np.ascontiguousarray(ids)


# --- size and numbers -----------------------------------------------------------------------------


def shrink(image: Image.Image, longest: int = LONGEST) -> Image.Image:
    """The picture with sides of at most `longest` pixels: a smaller one, or the same where it is small enough."""
    scale = min(1.0, longest / max(image.size))
    if scale == 1:
        return image
    return image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))


def thumbnail(image: Image.Image, side: int, kind: Thumbnail) -> bytes:
    """A new, smaller picture as a file: at most `side` pixels long, and never enlarged.

    A `tile` is WebP, for pages full of pictures. JPEG are a `step` (of a run in work, soon gone), a `cell` (of a
    table), a `sight` (which costs the same at any size of the picture), and a `still` or a `view` in full quality, to
    be looked at in the place of the picture. What is stored is compared byte for byte: the numbers stay as they are.
    """
    file = io.BytesIO()
    if kind == "sight":
        _sampled(image, side).save(file, "JPEG", quality=82)
        return file.getvalue()
    small = image.convert("RGB")
    small.thumbnail((side, side), Resampling.LANCZOS if kind in ("tile", "view") else Resampling.BICUBIC)
    if kind == "tile":
        small.save(file, "WEBP", quality=80, method=2)
    elif kind in ("still", "view"):
        return encode(small, "jpeg")
    else:
        small.save(file, "JPEG", quality=80 if kind == "step" else 82)
    return file.getvalue()


def _sampled(image: Image.Image, side: int) -> Image.Image:
    """Large pictures are sampled before they are made smaller."""
    scale = min(1.0, side / max(image.size))
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    if max(image.size) <= SAMPLES * max(size):
        return image.resize(size, Resampling.BOX)
    sampled = image.resize((SAMPLES * size[0], SAMPLES * size[1]), Resampling.NEAREST)
    return sampled.reduce(SAMPLES)


def enlarge(image: Image.Image, least: int) -> Image.Image:
    """A copy, enlarged by the whole factor with which its longer side has at least `least` pixels."""
    factor = -(-least // max(image.size))
    return image.resize((image.width * factor, image.height * factor), Resampling.LANCZOS)


def to_array(image: Image.Image) -> NDArray[np.uint8]:
    """uint8 [height, width, 3], a copy."""
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def normalise(image: Image.Image, mean: Sequence[float], std: Sequence[float]) -> NDArray[np.float32]:
    """float32 [3, height, width]: `(pixel / 255 - mean) / std`, equal to torchvision's to the last bit."""
    pixels = np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    levels = np.arange(256, dtype=np.float32)[None] / np.float32(255)
    tables = (levels - np.asarray(mean, np.float32)[:, None]) / np.asarray(std, np.float32)[:, None]
    out = np.empty((3, *pixels.shape[:2]), np.float32)
    for channel in range(3):
        tables[channel].take(pixels[..., channel], out=out[channel], mode="clip")
    return out


# --- class ids to colour --------------------------------------------------------------------------


def overlay(
    image: Image.Image,
    ids: NDArray[np.uint8],
    palette: Palette,
    opacity: float,
    *,
    ignore: Collection[int] = (),
) -> Image.Image:
    """The picture with each class's flat colour laid over it; ids in `ignore` stay as they are."""
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity must be between 0 and 1, got {opacity}")
    index = Image.fromarray(_checked_ids(ids))
    if index.size != image.size:
        sizes = [f"{width} x {height}" for width, height in (index.size, image.size)]
        raise ValueError(f"class ids are {sizes[0]}, the picture {sizes[1]}")
    colours, weights = (
        _colours(index, palette, ignore),
        [0 if i in ignore else round(255 * opacity) for i in range(256)],
    )
    out = image.convert("RGB")  # a copy, whatever it was
    for top in range(0, out.height, BAND):  # what is laid over a large photo would take as much as the photo
        part = index.crop((0, top, out.width, min(top + BAND, out.height)))
        weight = part.point(weights)
        out.paste(_painted(part, colours), (0, top), weight)
    return out


def _coloured(index: Image.Image, palette: Palette) -> Image.Image:
    return _painted(index.copy(), _colours(index, palette))


def _colours(index: Image.Image, palette: Palette, ignore: Collection[int] = ()) -> NDArray[np.uint8]:
    """Raises ValueError for a palette that does not have all that is in `index`."""
    colours: NDArray[np.uint8] = np.asarray(palette, np.uint8)
    if colours.ndim != 2 or colours.shape[1] != 3 or len(colours) > 256:
        raise ValueError(f"the palette must be at most 256 (red, green, blue), got {list(colours.shape)}")
    without = [i for i, n in enumerate(index.histogram()) if n and i >= len(colours) and i not in ignore]
    if without:
        raise ValueError(f"class ids {without} have no colour: the palette ends at {len(colours) - 1}")
    return colours


def _painted(index: Image.Image, colours: NDArray[np.uint8]) -> Image.Image:
    """`index` is given away."""
    index.putpalette(colours.tobytes())
    return index.convert("RGB")


def distinct_colours(count: int) -> list[list[int]]:
    """Colours that differ, as the Pascal VOC set makes them from the bits of the number; black comes last."""
    colours = []
    for number in [*range(1, count), 0]:
        channels = [sum(((number >> (3 * bit + c)) & 1) << (7 - bit) for bit in range(8)) for c in range(3)]
        colours.append(channels)
    return colours


# --- heat maps ------------------------------------------------------------------------------------


def heat_map(
    image: Image.Image, strength: NDArray[np.float32], longest: int = 1024, box: Box | None = None
) -> Image.Image:
    """The picture, dimmed where `strength` is low and tinted dark red to yellow where it is high.

    `strength`: float32 [rows, columns] of any size, laid over the whole picture, or over the `box` of it (left, top,
    right and bottom in px), outside of which it is cold; 0 is cold, 1 and above hottest. The new image has the
    picture's size, or its shape with sides of at most `longest` pixels.
    """
    if not isinstance(strength, np.ndarray) or strength.dtype != np.float32 or strength.ndim != 2 or not strength.size:
        what = f"{strength.dtype} {list(strength.shape)}" if isinstance(strength, np.ndarray) else strength
        raise ValueError(f"strength must be a float32 array [rows, columns], got {what}")
    if not np.isfinite(strength).all():
        raise ValueError("strength must be finite numbers")
    scale = min(1.0, longest / max(image.size))
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    base = image if image.mode == "RGB" else image.convert("RGB")
    base = base.resize(size, Resampling.BICUBIC, reducing_gap=1.5) if size != image.size else base
    left, top, right, bottom = box or (0, 0, *image.size)
    across, down = size[0] / image.width, size[1] / image.height
    left, top = min(int(left * across), size[0] - 1), min(int(top * down), size[1] - 1)
    right, bottom = max(round(right * across), left + 1), max(round(bottom * down), top + 1)
    # Bicubic, because between the few places of a network's last map straight lines would look like edges.
    warm = Image.fromarray(np.ascontiguousarray(strength)).resize((right - left, bottom - top), Resampling.BICUBIC)
    heat = np.zeros(size[::-1], np.float32)
    heat[top:bottom, left:right] = np.asarray(warm).clip(0, 1)
    level = Image.fromarray((heat * 255).round().astype(np.uint8))
    light = level.point([round(255 * (HEAT_DIM + (1 - HEAT_DIM) * i / 255)) for i in range(256)])
    dimmed = Image.composite(base, Image.new("RGB", size), light)
    return Image.composite(_coloured(level, _heat_colours()), dimmed, level.point(lambda i: i * HEAT_SHARE))


def heat_picture(strength: NDArray[np.float32]) -> Image.Image:
    """A map of its own: `strength` [height, width], where 0 is darkest and 1 brightest."""
    levels = Image.fromarray((np.nan_to_num(strength).clip(0, 1) * 255).round().astype(np.uint8))
    return _coloured(levels, _heat_colours())


@cache
def _heat_colours() -> NDArray[np.uint8]:
    from matplotlib import colormaps  # here, because most runs draw no heat

    return (colormaps[HEAT](np.linspace(0, 1, 256))[:, :3] * 255).round().astype(np.uint8)
