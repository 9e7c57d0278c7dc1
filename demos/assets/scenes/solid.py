"""Solids as signed distances on a grid (negative inside), and the way from there to a smooth mesh."""

# bpy has no complete types and is not installed with the hub:
# mypy: ignore-errors

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from skimage.measure import marching_cubes

Array = np.ndarray
Outline = list[tuple[float, float] | tuple[float, float, float]]  # corners (a, b[, rounding radius])


@dataclass(frozen=True)
class Grid:
    """Sample points between two corners, `step` metres apart."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    step: float

    def axis(self, index: int) -> Array:
        return np.arange(self.low[index], self.high[index] + self.step, self.step, dtype=np.float32)

    @property
    def xyz(self) -> tuple[Array, Array, Array]:
        return self.axis(0)[:, None, None], self.axis(1)[None, :, None], self.axis(2)[None, None, :]


def rounded(outline: Outline, segments: int = 6) -> Array:
    """The outline with each corner that names a radius replaced by a curve that starts that far from it."""
    points = []
    count = len(outline)
    for index, corner in enumerate(outline):
        here = np.array(corner[:2], float)
        radius = corner[2] if len(corner) > 2 else 0.0
        if not radius:
            points.append(here)
            continue
        ends = []
        for other in (outline[index - 1], outline[(index + 1) % count]):
            away = np.array(other[:2], float) - here
            length = float(np.hypot(*away))
            ends.append(here + away / length * min(radius, 0.49 * length))
        for t in np.linspace(0, 1, segments):
            points.append((1 - t) ** 2 * ends[0] + 2 * t * (1 - t) * here + t**2 * ends[1])
    return np.array(points)


def polygon(outline: Outline, a: Array, b: Array) -> Array:
    """Signed distance to a closed outline at every (a, b), as an array [len(a), len(b)]."""
    points = rounded(outline)
    grid_a, grid_b = np.meshgrid(a, b, indexing="ij")
    nearest = np.full(grid_a.shape, np.inf, np.float32)
    inside = np.zeros(grid_a.shape, bool)
    for (a0, b0), (a1, b1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        da, db = a1 - a0, b1 - b0
        t = np.clip(((grid_a - a0) * da + (grid_b - b0) * db) / max(da * da + db * db, 1e-12), 0, 1)
        nearest = np.minimum(nearest, (grid_a - a0 - t * da) ** 2 + (grid_b - b0 - t * db) ** 2)
        crosses = (b0 > grid_b) != (b1 > grid_b)
        inside ^= crosses & (grid_a < da * (grid_b - b0) / (db if db else 1e-12) + a0)
    return np.where(inside, -1, 1) * np.sqrt(nearest)


def mirrored(half: Outline) -> Outline:
    """An outline symmetric in its first coordinate, from its right half (listed bottom to top)."""
    return [*half, *[(-corner[0], *corner[1:]) for corner in reversed(half)]]


def smooth_max(a: Array, b: Array, k: float) -> Array:
    """Intersection with edges rounded over about `k` metres."""
    return np.maximum(a, b) + np.maximum(k - np.abs(a - b), 0) ** 2 / (4 * k)


def smooth_min(a: Array, b: Array, k: float) -> Array:
    """Union with a fillet of about `k` metres."""
    return -smooth_max(-a, -b, k)


def box(grid: Grid, low: tuple[float, float, float], high: tuple[float, float, float], radius: float) -> Array:
    """A box with rounded edges."""
    outside = [
        np.abs(axis - (lo + hi) / 2) - (hi - lo) / 2 + radius for axis, lo, hi in zip(grid.xyz, low, high, strict=True)
    ]
    far = np.sqrt(sum(np.maximum(o, 0) ** 2 for o in outside))
    return far + np.minimum(np.maximum(np.maximum(outside[0], outside[1]), outside[2]), 0) - radius


def capsule(grid: Grid, start: tuple[float, ...], end: tuple[float, ...], radius: float, radius_end: float) -> Array:
    """A rounded rod that may taper."""
    line = np.subtract(end, start)
    offset = [axis - s for axis, s in zip(grid.xyz, start, strict=True)]
    t = np.clip(sum(o * d for o, d in zip(offset, line, strict=True)) / max(float(line @ line), 1e-9), 0, 1)
    distance = np.sqrt(sum((o - t * d) ** 2 for o, d in zip(offset, line, strict=True)))
    return distance - (radius + (radius_end - radius) * t)


def surface(distance: Array, grid: Grid) -> tuple[Array, Array, Array]:
    """The zero surface: vertices, triangles and smooth vertex normals."""
    padded = np.pad(distance, 1, constant_values=grid.step)
    points, faces, normals, _ = marching_cubes(padded, 0.0, spacing=(grid.step,) * 3, gradient_direction="ascent")
    points = points + np.array(grid.low) - grid.step
    return points.astype(np.float32), faces[:, ::-1], -normals
