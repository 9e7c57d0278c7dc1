"""Lines, dots and names on a picture: smooth edges, readable on any background, out of each other's way."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw

from hub.images import to_array
from hub.kit import lettering

Point = Sequence[float] | NDArray[Any]  # (x, y) in px, pixel edges at whole numbers
DIRECTIONS = 16  # in which a name may stand around its point


class Drawing:
    """A copy of a picture to draw on. Later things cover earlier ones; names come last: they look for room."""

    def __init__(self, image: Image.Image):
        self._pixels = to_array(image)
        self._busy: list[NDArray[Any]] = []  # points along what was drawn, [n, 2]
        self._boxes: list[tuple[float, float, float, float]] = []  # of the names: left, top, right, bottom

    @property
    def image(self) -> Image.Image:
        return Image.fromarray(self._pixels)

    def line(self, start: Point, end: Point, radius: float, colour: str) -> None:
        """A line with round ends, 2 `radius` wide. What lies outside of the picture is not drawn."""
        steps = max(2, int(np.hypot(*np.subtract(end, start)) / max(radius, 1)))
        self._busy.append(np.linspace(start, end, steps))
        self._rod(start, end, radius, colour)

    def dot(self, centre: Point, radius: float, colour: str) -> None:
        self.line(centre, centre, radius, colour)

    def name(self, text: str, point: Point, away: Point, gap: float, size: float, colours: tuple[str, str]) -> None:
        """A name on a coloured plate beside a point, best in the direction `away`, where it covers least.

        `gap` is the room between point and plate, `size` the height of the letters, both in px; `colours` are
        those of the plate and the letters.
        """
        font, text = lettering.font(max(size, 6.0)), lettering.drawable(text)
        radius = 0.78 * size
        half = np.array([font.getlength(text) / 2 + 0.75 * radius, radius])
        x, y = middle = self._place(np.asarray(point, float), np.asarray(away, float), gap, half)
        self._boxes.append((*(middle - half), *(middle + half)))
        ends = (x - half[0] + radius, y), (x + half[0] - radius, y)
        self._rod(*ends, radius + max(1.0, 0.06 * size), colours[1])
        self._rod(*ends, radius, colours[0])
        capital = -font.getbbox("H", anchor="ls")[1]  # the same for all names, so that their letters line up
        image = self.image
        ImageDraw.Draw(image).text((x, y + capital / 2), text, colours[1], font, anchor="ms")
        self._pixels = np.array(image)

    def _place(self, point: NDArray[Any], away: NDArray[Any], gap: float, half: NDArray[Any]) -> NDArray[Any]:
        """The middle of the plate: in the picture, clear of names and lines, `away` or at least outwards."""
        size = np.array(self._pixels.shape[1::-1])
        least = np.minimum(half + 2, size / 2)
        direction = np.arctan2(away[1], away[0])
        outwards = np.arctan2(*(point - np.concatenate(self._busy).mean(0))[::-1]) if self._busy else direction
        best, lowest = point, np.inf
        for number, far in product(range(DIRECTIONS), (1, 2.5, 5)):
            turn = direction + number * 2 * np.pi / DIRECTIONS
            wished = point + np.array([np.cos(turn), np.sin(turn)]) * (far * gap + half)
            middle = np.clip(wished, least, size - least)
            shift = float(np.hypot(*(middle - wished))) / (gap + half[1])
            cost = far / 2 + 4 * shift - np.cos(turn - direction) - 0.7 * np.cos(turn - outwards)
            cost += self._covered(middle, half, gap)
            if cost < lowest:
                best, lowest = middle, cost
        return best

    def _covered(self, middle: NDArray[Any], half: NDArray[Any], gap: float) -> float:
        """How bad it is to put a plate there: names must not be covered, lines should not."""
        cost = 0.0
        if self._busy:
            covered = (np.abs(np.concatenate(self._busy) - middle) < half + gap / 3).all(1)
            cost += 8 * bool(covered.any()) + 0.3 * int(covered.sum())
        for left, top, right, bottom in self._boxes:
            (x0, y0), (x1, y1) = middle - half - 2, middle + half + 2
            cost += 20 * (x0 < right and left < x1 and y0 < bottom and top < y1)
        return cost

    def _rod(self, start: Point, end: Point, radius: float, colour: str) -> None:
        first, last = np.asarray(start, float), np.asarray(end, float)
        height, width = self._pixels.shape[:2]
        # Only the box around the line is touched.
        left, top = np.clip(np.floor(np.minimum(first, last) - radius - 1), 0, (width, height)).astype(int)
        right, bottom = np.clip(np.ceil(np.maximum(first, last) + radius + 1), 0, (width, height)).astype(int)
        if left >= right or top >= bottom:
            return
        x, y = np.arange(left, right) + 0.5 - first[0], np.arange(top, bottom)[:, None] + 0.5 - first[1]
        along = last - first
        share = np.clip((x * along[0] + y * along[1]) / max(float(along @ along), 1e-9), 0, 1)
        distance = np.hypot(x - share * along[0], y - share * along[1])
        cover = np.clip(radius + 0.5 - distance, 0, 1)[..., None]
        part = self._pixels[top:bottom, left:right]
        self._pixels[top:bottom, left:right] = np.rint(part + cover * (np.array(ImageColor.getrgb(colour)) - part))
