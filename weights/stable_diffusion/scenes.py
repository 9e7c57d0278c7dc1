"""Scenes of coloured shapes: what can be in one, and how it is drawn, 64 pixels square."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]  # [64, 64, 3], RGB
Array = NDArray[np.float64]
SIDE = 64
FINE = 4  # drawn so many times larger, then averaged: smooth edges
LINE_PX = 2.2  # of an outline
STRIPE_PX = 3.0
SHADE = 0.5  # of the dark stripes

COLOURS = {
    "red": (220, 38, 38),
    "orange": (249, 140, 22),
    "yellow": (246, 218, 40),
    "green": (34, 160, 70),
    "cyan": (40, 200, 225),
    "blue": (40, 80, 225),
    "purple": (135, 50, 190),
    "pink": (245, 120, 190),
}
BACKGROUNDS = {"white": (250, 250, 250), "black": (16, 16, 18), "gray": (140, 142, 146), "beige": (232, 212, 178)}
STYLES = ("filled", "outlined", "striped")
SIZES = {"small": (7.0, 8.0), "medium": (10.0, 11.5), "large": (13.5, 14.5)}  # half the width, pixels


def _fitted(points: list[tuple[float, float]]) -> Array:
    """Corners in [-1, 1] both ways, x to the right and y down."""
    corners = np.array(points, np.float64)
    low, high = corners.min(0), corners.max(0)
    fitted: Array = (corners - low) / (high - low) * 2 - 1
    return fitted


def _star() -> list[tuple[float, float]]:
    turns = [math.pi * (k / 5 - 0.5) for k in range(10)]
    return [((0.45, 1.0)[k % 2 == 0] * math.cos(t), (0.45, 1.0)[k % 2 == 0] * math.sin(t)) for k, t in enumerate(turns)]


def _heart() -> list[tuple[float, float]]:
    turns = np.linspace(0, 2 * math.pi, 64, endpoint=False)
    down = 13 * np.cos(turns) - 5 * np.cos(2 * turns) - 2 * np.cos(3 * turns) - np.cos(4 * turns)
    return [(float(x), float(y)) for x, y in zip(16 * np.sin(turns) ** 3, -down, strict=True)]


SHAPES = {
    "circle": _fitted([(math.cos(t), math.sin(t)) for t in np.linspace(0, 2 * math.pi, 64, endpoint=False)]),
    "square": _fitted([(-1, -1), (1, -1), (1, 1), (-1, 1)]),
    "triangle": _fitted([(0, -1), (1, 1), (-1, 1)]),
    "star": _fitted(_star()),
    "heart": _fitted(_heart()),
    "cross": _fitted(
        [(-1, -3), (1, -3), (1, -1), (3, -1), (3, 1), (1, 1), (1, 3), (-1, 3), (-1, 1), (-3, 1), (-3, -1), (-1, -1)]
    ),
}


@dataclass(frozen=True, slots=True)
class Thing:
    """One shape: its middle and half its width in pixels of the picture."""

    colour: str
    shape: str
    style: str
    x: float
    y: float
    radius: float

    @property
    def pair(self) -> tuple[str, str]:
        return self.colour, self.shape


@dataclass(frozen=True, slots=True)
class Scene:
    """What is drawn: things that do not touch, on a background."""

    things: tuple[Thing, ...]
    background: str


def draw(scene: Scene) -> Image:
    """The picture, RGB."""
    large = np.empty((SIDE * FINE, SIDE * FINE, 3), np.float32)
    large[:] = BACKGROUNDS[scene.background]
    for thing in scene.things:
        mask = silhouette(thing)
        colour = np.array(COLOURS[thing.colour], np.float32)
        if thing.style == "outlined":
            line = 2 * round(LINE_PX * FINE) + 1
            inner = cv2.erode(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (line, line)))
            mask = mask & (255 - inner.astype(np.uint8))
        large[mask > 0] = colour
        if thing.style == "striped":
            # Counted from the middle of the thing, so that a stripe's place says nothing about the picture's grid.
            stripe = np.floor((np.arange(SIDE * FINE) / FINE - thing.x) / STRIPE_PX + 0.5).astype(int) % 2 == 1
            large[(mask > 0) & stripe] = colour * SHADE
    small = cv2.resize(large, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.clip(np.round(small), 0, 255).astype(np.uint8)


def silhouette(thing: Thing) -> Image:
    """[SIDE * FINE, SIDE * FINE]: 255 where the thing is, with what its outline holds."""
    corners = (SHAPES[thing.shape] * thing.radius + (thing.x, thing.y)) * FINE
    mask = np.zeros((SIDE * FINE, SIDE * FINE), np.uint8)
    cv2.fillPoly(mask, [np.round(corners).astype(np.int32)], 255)
    return mask
