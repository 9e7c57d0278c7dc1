"""Draws the Amazon example pictures of `satellite_labels`: forest from a satellite, about 1 km across.

    .venv/bin/python demos/assets/make_forests.py [--out FOLDER]

A height map of tree crowns lit from the upper left; rivers, fields, roads and clouds are laid over it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

HERE = Path(__file__).parent
SIDE = 512
Plane = NDArray[np.float32]  # [SIDE, SIDE]
Point = tuple[float, float]  # x, y in pixels
ROWS, COLUMNS = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
EARTH, WATER, DIRT = "a58d72", "a8744a", "b08a68"


@dataclass
class Scene:
    """A picture in the making: colours [SIDE, SIDE, 3] in 0 to 1, crown heights in pixels, a source of chance."""

    colour: NDArray[np.float32]
    height: Plane
    chance: np.random.Generator


def forest(seed: int, dark: str = "1f2f20", light: str = "4b6242") -> Scene:
    """Crowns on a jittered grid, each a dome of its own size and green; the highest one is seen."""
    chance = np.random.default_rng(seed)
    height = np.zeros((SIDE, SIDE), np.float32)
    tint = np.zeros((SIDE, SIDE), np.float32)
    for x0, y0 in ((x, y) for x in range(-4, SIDE + 4, 5) for y in range(-4, SIDE + 4, 5)):
        x, y = x0 + chance.uniform(-4, 4), y0 + chance.uniform(-4, 4)
        radius, base, shade = 2.2 + 4.2 * chance.random() ** 2, chance.uniform(0, 3.5), chance.random()
        box = np.s_[max(0, int(y - radius)) : int(y + radius) + 2, max(0, int(x - radius)) : int(x + radius) + 2]
        inside = 1 - ((COLUMNS[box] - x) ** 2 + (ROWS[box] - y) ** 2) / radius**2
        dome = np.where(inside > 0, base + radius * np.sqrt(np.maximum(inside, 0)), 0).astype(np.float32)
        higher = dome > height[box]
        height[box][higher] = dome[higher]
        tint[box][higher] = shade
    tint = 0.5 * tint + 0.5 * clouded(chance, 60) + 0.5 * (clouded(chance, 170) - 0.5)
    return Scene(mixed(rgb(dark), rgb(light), tint.clip(0, 1)), height, chance)


def lay(scene: Scene, where: Plane, colour: NDArray[np.float32], height: float = 0.0) -> None:
    """Ground of another kind where `where` is 1; its height replaces the crowns'."""
    scene.colour += where[..., None] * (colour - scene.colour)
    scene.height += where * (height - scene.height)


def river(scene: Scene, curve: Sequence[Point], width: float, colour: str = WATER) -> None:
    """A meandering band, sandy at its edges, broader and narrower on its way."""
    distance = from_curve(curve) + 10 * (clouded(scene.chance, 40) - 0.5)
    lay(scene, soft(width + 5 - distance, 3), textured(scene, EARTH, 0.05))
    lay(scene, soft(width - distance, 2), textured(scene, colour, 0.03, 120))


def road(scene: Scene, curve: Sequence[Point], width: float = 2.2) -> None:
    distance = from_curve(curve) + 2 * (clouded(scene.chance, 25) - 0.5)
    lay(scene, 0.6 * soft(width + 4 - distance, 4), textured(scene, "6f7a4e", 0.1))
    lay(scene, soft(width - distance, 1.2), textured(scene, DIRT, 0.06))


def field(scene: Scene, corners: Sequence[Point], colour: str) -> None:
    """A field with slightly wavy borders."""
    mask = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(mask).polygon(list(corners), fill=255)
    plane = np.asarray(mask.filter(ImageFilter.GaussianBlur(5)), np.float32) / 255
    where = soft((plane - 0.5) * 20 + 5 * (clouded(scene.chance, 14) - 0.5), 1.5)
    lay(scene, where, textured(scene, colour, 0.09, 30))


def shrubs(scene: Scene, around: Point, reach: float, share: float) -> None:
    """Low second growth: the crowns shrink and pale in patches."""
    near = soft(reach - np.hypot(COLUMNS - around[0], ROWS - around[1]), reach / 2)
    patches = soft((clouded(scene.chance, 35) - 1 + share) * 12, 1) * near
    lay(scene, 0.8 * patches, textured(scene, "7d8a57", 0.2, 12), 1.0)


def houses(scene: Scene, spots: Sequence[Point]) -> None:
    for x, y in spots:
        size = scene.chance.uniform(2.2, 3.4)
        box = np.maximum(abs(COLUMNS - x) - size, abs(ROWS - y) - size * 0.7)
        lay(scene, soft(1 - box, 1), np.broadcast_to(rgb("d9d4c8"), scene.colour.shape), 4)


def clouds(scene: Scene, spots: Sequence[tuple[float, float, float]]) -> tuple[Plane, Plane]:
    """Fair-weather clouds (x, y, radius): how white, and the shadow that each throws to the lower right."""
    white, shadow = np.zeros((2, SIDE, SIDE), np.float32)
    for x, y, radius in spots:
        edge = radius * (0.55 + 0.9 * (clouded(scene.chance, 70) - 0.5) + 0.5 * (clouded(scene.chance, 22) - 0.5))
        white = np.maximum(white, soft(edge + radius * 0.45 - np.hypot(COLUMNS - x, ROWS - y), radius * 0.35))
        far = np.hypot(COLUMNS - x - 46, ROWS - y - 58)
        shadow = np.maximum(shadow, soft(edge + radius * 0.4 - far, radius * 0.3))
    return white, shadow


def finished(scene: Scene, cover: tuple[Plane, Plane] | None = None, haze: float = 0.1) -> Image.Image:
    """Lit by a low sun, seen through a little haze and the sensor's blur."""
    down, across = np.gradient(scene.height)
    light = 1.0 + 0.34 * (across + 0.8 * down).clip(-1.6, 1.6)  # crowns are bright towards the upper left
    deep = (0.72 + 0.045 * scene.height).clip(0.72, 1.1)  # gaps between them are dark
    flat = soft(1.2 - scene.height, 1.2)
    colour = scene.colour * (light * (deep + flat * (1 - deep)))[..., None]
    if cover:
        white, shadow = cover
        colour = mixed(colour * (1 - 0.5 * shadow[..., None]), rgb("e8eaec"), 0.96 * white)
    colour = mixed(colour, rgb("9fb0b5"), np.full((SIDE, SIDE), haze, np.float32))
    colour += scene.chance.normal(0, 0.008, colour.shape)
    image = Image.fromarray((colour.clip(0, 1) * 255).round().astype(np.uint8))
    return image.filter(ImageFilter.GaussianBlur(0.9))


# --- planes ---------------------------------------------------------------------------------------


def rgb(text: str) -> NDArray[np.float32]:
    return np.array([int(text[i : i + 2], 16) / 255 for i in (0, 2, 4)], np.float32)


def mixed(first: NDArray[np.float32], second: NDArray[np.float32], share: Plane) -> NDArray[np.float32]:
    return first + share[..., None] * (second - first)


def soft(inside: NDArray[Any], edge: float) -> Plane:
    """0 outside, 1 from `edge` pixels inside on."""
    out: Plane = np.clip(inside / edge, 0, 1).astype(np.float32)
    return out


def clouded(chance: np.random.Generator, size: float) -> Plane:
    """Smooth noise in 0 to 1 (mean 0.5) whose largest spots are `size` pixels wide."""
    total, weight = np.zeros((SIDE, SIDE), np.float32), 0.0
    for octave in range(3):
        cells = max(2, round(SIDE / size * 2**octave)) + 1
        coarse = Image.fromarray(chance.random((cells, cells)).astype(np.float32))
        total += np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) * 0.5**octave
        weight += 0.5**octave
    return total / weight


def textured(scene: Scene, colour: str, rough: float, size: float = 20) -> NDArray[np.float32]:
    shade = 1 + 2 * rough * (clouded(scene.chance, size) - 0.5) + 2 * rough * (clouded(scene.chance, 90) - 0.5)
    return np.asarray(rgb(colour) * shade[..., None], np.float32)


def from_curve(points: Sequence[Point]) -> Plane:
    """Distance in pixels to a smooth curve through the points."""
    knots = np.arange(len(points))
    fine = np.linspace(0, len(points) - 1, 40 * len(points))
    ease = np.array([np.interp(fine, knots, [p[axis] for p in points]) for axis in (0, 1)])
    window = np.hanning(61) / np.hanning(61).sum()
    padded = np.pad(ease, ((0, 0), (30, 30)), mode="reflect", reflect_type="odd")
    xs, ys = (np.convolve(axis, window, "valid") for axis in padded)
    nearest = np.full((SIDE, SIDE), np.inf, np.float32)
    for x, y in zip(xs, ys, strict=True):
        np.minimum(nearest, (COLUMNS - x) ** 2 + (ROWS - y) ** 2, out=nearest)
    return np.sqrt(nearest)


# --- the pictures ---------------------------------------------------------------------------------


def forest_river() -> Image.Image:
    scene = forest(3)
    river(scene, [(150, -60), (205, 70), (330, 150), (345, 265), (215, 330), (190, 430), (270, 580)], 34)
    return finished(scene)


def forest_fields() -> Image.Image:
    scene = forest(5)
    shrubs(scene, (300, 200), 330, 0.5)
    river(scene, [(-60, 400), (60, 425), (150, 395), (250, 430), (330, 480), (400, 590)], 11)
    field(scene, [(-20, -20), (215, -20), (192, 96), (70, 122), (-20, 105)], "93836c")
    field(scene, [(228, -20), (400, -20), (368, 98), (212, 112)], "71805a")
    field(scene, [(28, 178), (168, 160), (196, 290), (150, 330), (60, 300)], "6f7d58")
    field(scene, [(205, 156), (372, 162), (388, 262), (300, 290), (222, 262)], "9b8c72")
    field(scene, [(418, 10), (540, -20), (540, 140), (410, 132)], "78845e")
    field(scene, [(425, 190), (540, 178), (540, 320), (470, 330), (440, 295)], "8f7868")
    road(scene, [(-40, 146), (90, 150), (185, 132), (300, 130), (400, 160), (560, 158)])
    road(scene, [(398, 160), (404, 250), (388, 340), (430, 420), (470, 560)])
    houses(scene, [(186, 122), (198, 142), (212, 124), (384, 148), (408, 176)])
    return finished(scene)


def forest_clouds() -> Image.Image:
    scene = forest(8)
    spots = [(90, 80, 46), (250, 55, 30), (385, 120, 54), (190, 215, 38), (460, 290, 40), (60, 300, 26)]
    spots += [(330, 300, 24), (140, 400, 34), (390, 430, 44), (250, 480, 22)]
    return finished(scene, clouds(scene, spots))


PICTURES: tuple[Callable[[], Image.Image], ...] = (forest_river, forest_fields, forest_clouds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE / "satellite_labels")
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    for draw in PICTURES:
        path = folder / f"{draw.__name__}.jpg"
        draw().save(path, quality=88, optimize=True, progressive=True)
        print(f"{path}: {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
