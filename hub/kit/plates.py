"""Boxes on a photo, each with a line of text on a plate beside it: for pages that find things."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from hub.images import LONGEST, shrink

DARK, LIGHT = "#10151c", "#ffffff"
OUTSIDE = 10  # how many px on boxes a plate covers rather than let one px of its own be out of the picture
# From left, top, width, height to left, top, right, bottom.
CORNERS = ((1, 0, 1, 0), (0, 1, 0, 1), (0, 0, 1, 0), (0, 0, 0, 1))


def draw_boxes(image: Image.Image, boxes: NDArray[Any], texts: Sequence[str], longest: int = LONGEST) -> Image.Image:
    """A copy of an RGB photo, at most `longest` px long, with all boxes, and each one's text where it covers least.

    `boxes` [n, 4]: left, top, width, height in px of the photo, those that matter most first. Texts are short and in
    Latin letters, as numbers are.
    """
    scale = min(1.0, longest / max(image.size))
    canvas = shrink(image, longest).copy()
    draw, line = ImageDraw.Draw(canvas), int(np.clip(round(max(canvas.size) / 400), 1, 4))
    busy = np.rint(np.asarray(boxes, float).reshape(-1, 4) @ CORNERS * scale)
    outlines = busy.tolist()
    for left, top, right, bottom in outlines:
        # A white line between dark ones can be seen on any picture.
        draw.rectangle((left - line, top - line, right + line, bottom + line), outline=DARK, width=3 * line)
        draw.rectangle((left, top, right, bottom), outline=LIGHT, width=line)
    for text, box in zip(texts, outlines, strict=True):
        plate = _draw_plate(draw, text, box, busy, canvas.size)
        busy = np.concatenate([busy, plate[None]])
    return canvas


def _draw_plate(
    draw: ImageDraw.ImageDraw, text: str, box: Sequence[float], busy: NDArray[Any], size: tuple[int, int]
) -> NDArray[Any]:
    """Draws one plate at its box: above it, below it, or in the worst case on it. Returns left, top, right, bottom."""
    left, top, right, bottom = box
    longest = max(size)
    letters = float(np.clip((right - left) / 5, max(longest / 64, 8), longest / 28 + 8))
    font = ImageFont.load_default(letters)
    width, height = font.getlength(text) + 0.9 * letters, 1.45 * letters
    corners = [(x, y) for y in (top - height, bottom, top) for x in (left, right - width)]
    plates = np.array([(x, y, x + width, y + height) for x, y in corners])
    plate: NDArray[Any] = plates[_covered(plates, busy, size).argmin()]
    draw.rectangle(tuple(plate), DARK, LIGHT)
    draw.text(tuple((plate[:2] + plate[2:]) / 2), text, LIGHT, font, anchor="mm")
    return plate


def _covered(plates: NDArray[Any], busy: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """How bad each place of a plate is: the px of boxes that it covers, OUTSIDE times its own beyond the picture."""

    def common(others: NDArray[Any]) -> NDArray[Any]:
        low = np.maximum(plates[:, None, :2], others[:, :2])
        high = np.minimum(plates[:, None, 2:], others[:, 2:])
        areas: NDArray[Any] = np.prod(np.clip(high - low, 0, None), axis=2).sum(1)
        return areas

    whole: NDArray[Any] = np.prod(plates[:, 2:] - plates[:, :2], axis=1)
    cost: NDArray[Any] = common(busy) + OUTSIDE * (whole - common(np.array([[0, 0, *size]])))
    return cost
