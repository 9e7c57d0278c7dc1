"""Inputs made from the declarations: photographs drawn from a number, so that no two are alike."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

from hub.pages import kinds
from hub.spec import Choice, Demo, ImageInput, Seed, Text

SIZE = (640, 480)  # about 75 kB as a JPEG: a photo as people have it on a page, not a camera's original
STAMP_PX = 32
PICKED = {"faces": "the picture is one face"}  # no photo drawn here has one to be found, and then no model would run


def photo(number: int, size: tuple[int, int] = SIZE) -> bytes:
    """A JPEG that differs from every other number's in a square of pixels, enough to survive any resizing."""
    picture = _scene(size).copy()
    colour = (number * 37 % 256, number // 256 * 53 % 256, number * 101 % 256)
    left, top = number * 61 % (size[0] - STAMP_PX), number * 29 % (size[1] - STAMP_PX)
    picture.paste(colour, (left, top, left + STAMP_PX, top + STAMP_PX))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90)
    return file.getvalue()


def values(demo: Demo, number: int, size: tuple[int, int] = SIZE) -> dict[str, Any]:
    """A value for every declared input: pictures as JPEG bytes, the rest as defaults or drawn from `number`."""
    made: dict[str, Any] = {}
    for field in demo.inputs:
        if isinstance(field, ImageInput):
            made[field.name] = photo(number, size)
        elif isinstance(field, Seed):
            made[field.name] = number
        elif isinstance(field, Text) and field.default is None:
            made[field.name] = f"a photo, number {number}"
        elif isinstance(field, Choice) and PICKED.get(field.name) in field.options:
            made[field.name] = PICKED[field.name]
        else:
            made[field.name] = getattr(field, "default", None)  # none is made of videos and sounds
    return made


def asides(demo: Demo) -> set[str]:
    """Inputs that ask for what gradio_client does not get, "Look inside" among them: an older hub knows none."""
    return {f.name for f in demo.outputs} - {f.name for f in kinds.of_client(demo)}


@lru_cache(maxsize=8)
def _scene(size: tuple[int, int]) -> Image.Image:
    """Large soft shapes with finer ones on top, and a little grain: compresses as a photo does."""
    random = np.random.default_rng(7)
    total = np.zeros((size[1], size[0], 3), np.float32)
    for cells, strength in ((6, 110.0), (24, 60.0), (96, 25.0)):
        coarse = random.integers(0, 256, (cells * 3 // 4, cells, 3), dtype=np.uint8)
        smooth = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
        total += (np.asarray(smooth, np.float32) / 255 - 0.5) * strength
    total += random.normal(0, 4, total.shape).astype(np.float32)
    return Image.fromarray(np.clip(total + 120, 0, 255).astype(np.uint8))
