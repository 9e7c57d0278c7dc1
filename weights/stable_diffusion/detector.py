"""What is in a picture of shapes, found by plain image analysis: colours, shapes, styles, places."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import permutations

import cv2
import numpy as np
from numpy.typing import NDArray

from weights.stable_diffusion.prompts import POSITIONS, RELATIONS, Request, Wish
from weights.stable_diffusion.scenes import BACKGROUNDS, COLOURS, SHADE, SHAPES, SIDE, Image

APART = 45.0  # RGB distance from the background at which a pixel belongs to a thing
PURE = 70.0  # a pixel within this distance of a colour counts for it; edges are mixtures
LEAST_PX = 20  # smaller specks are counted as things only if they are larger than this
ZOOM = 4
TEMPLATE = 48  # pixels


@dataclass(frozen=True, slots=True)
class DetectedThing:
    """One thing that was found; pixels of a picture of 64. `likeness`: overlap with the ideal shape, up to 1."""

    colour: str
    shape: str
    style: str
    x: float
    y: float
    radius: float
    likeness: float


@dataclass(frozen=True, slots=True)
class Finding:
    """All that was found in one picture."""

    background: str
    things: tuple[DetectedThing, ...]


def detect(image: Image) -> Finding:
    """What is in an RGB picture [side, side, 3]; other sides than 64 are scaled to it."""
    if image.shape[:2] != (SIDE, SIDE):
        image = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.uint8)
    pixels = image.astype(np.float32)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    behind = np.median(border, axis=0)
    names = list(BACKGROUNDS)
    background = names[int(np.argmin(np.linalg.norm(np.array([*BACKGROUNDS.values()]) - behind, axis=1)))]
    distance = np.linalg.norm(pixels - behind, axis=2)
    mask = (distance > APART).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    things = []
    for number in range(1, count):
        if stats[number, cv2.CC_STAT_AREA] >= LEAST_PX:
            things.append(_describe(pixels, distance, labels == number))
    return Finding(background, tuple(thing for thing in things if thing))


def _describe(
    pixels: NDArray[np.float32], distance: NDArray[np.float32], mask: NDArray[np.bool_]
) -> DetectedThing | None:
    """What one connected patch of pixels is; None for a shadow too faint to have an outline."""
    own = np.where(cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0, distance, 0).astype(np.float32)
    fine = cv2.resize(own, None, fx=ZOOM, fy=ZOOM, interpolation=cv2.INTER_CUBIC) > APART * 1.3
    outer, _ = cv2.findContours(fine.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outer:
        return None
    contour = max(outer, key=cv2.contourArea)
    filled = np.zeros(fine.shape, np.uint8)
    cv2.drawContours(filled, [contour], -1, 255, cv2.FILLED)
    x, y, width, height = cv2.boundingRect(contour)
    crop = cv2.resize(filled[y : y + height, x : x + width], (TEMPLATE, TEMPLATE), interpolation=cv2.INTER_AREA) > 127
    overlaps = {name: _overlap(crop, template) for name, template in _templates().items()}
    shape = max(overlaps, key=overlaps.__getitem__)
    square = min(width, height) / max(width, height)  # a shape of two halves, say, is none of ours
    core = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    colour, shaded = _colour(pixels[core if core.sum() >= LEAST_PX else mask])
    hole = 1 - float((fine & (filled > 0)).sum() / (filled > 0).sum())
    style = "outlined" if hole > 0.1 else "striped" if shaded > 0.2 else "filled"
    middle = ((x + width / 2) / ZOOM, (y + height / 2) / ZOOM)
    return DetectedThing(colour, shape, style, *middle, (width + height) / 4 / ZOOM, overlaps[shape] * square)


def _colour(pixels: NDArray[np.float32]) -> tuple[str, float]:
    """The colour most pixels have, and the share of pixels in its dark shade."""
    palette = np.array([*COLOURS.values()], np.float32)
    candidates = np.concatenate([palette, palette * SHADE])
    distances = np.linalg.norm(pixels[:, None] - candidates, axis=2)
    nearest = distances.argmin(1)
    votes = np.bincount(nearest[distances.min(1) < PURE], minlength=len(candidates))
    bright, dark = votes[: len(palette)], votes[len(palette) :]
    best = int((bright + 0.01 * dark).argmax())
    return list(COLOURS)[best], float(dark[best] / max(votes.sum(), 1))


def _overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / (one | other).sum())


@cache
def _templates() -> dict[str, NDArray[np.bool_]]:
    templates = {}
    for name, corners in SHAPES.items():
        large = np.zeros((TEMPLATE * ZOOM, TEMPLATE * ZOOM), np.uint8)
        cv2.fillPoly(large, [np.round((corners + 1) / 2 * (TEMPLATE * ZOOM - 1)).astype(np.int32)], 255)
        templates[name] = cv2.resize(large, (TEMPLATE, TEMPLATE), interpolation=cv2.INTER_AREA) > 127
    return templates


# --- is a request met? ----------------------------------------------------------------------------

LIKE = 0.72  # a thing that overlaps its shape by less is not drawn well enough to count


def verdict(request: Request, finding: Finding) -> dict[str, bool]:
    """What of the request is true of the picture; "all" is the whole of it.

    "count", "pairs" (each thing has its colour and shape), and where the request says so "relation",
    "position", "background", "style".
    """
    wishes = request.things * request.count
    things = finding.things
    checks = {"count": len(things) == len(wishes)}
    order = next((o for o in permutations(things, len(wishes)) if all(map(_pair, wishes, o))), ()) if things else ()
    checks["pairs"] = bool(order)
    if request.relation in RELATIONS:
        checks["relation"] = len(order) == 2 and _related(request.relation or "", *order)
    if request.position:
        checks["position"] = len(order) == 1 and _cell(order[0]) == POSITIONS[request.position]
    if request.background:
        checks["background"] = finding.background == request.background
    if any(wish.style for wish in wishes):
        styles = [(wish.style or "filled", thing.style) for wish, thing in zip(wishes, order, strict=False)]
        checks["style"] = bool(order) and all(style == style_seen for style, style_seen in styles)
    return checks | {"all": all(checks.values())}


def _pair(wish: Wish, thing: DetectedThing) -> bool:
    return (wish.colour, wish.shape) == (thing.colour, thing.shape) and thing.likeness >= LIKE


def _related(relation: str, one: DetectedThing, other: DetectedThing) -> bool:
    right, down = RELATIONS[relation]
    x, y = one.x - other.x, one.y - other.y
    along, across = (x * right, y) if right else (y * down, x)
    return along > abs(across)


def _cell(thing: DetectedThing) -> tuple[int, int]:
    """Column and row of nine; named positions are a quarter of the picture apart."""
    column, row = (min(2, max(0, int((value - SIDE / 8) // (SIDE / 4)))) for value in (thing.x, thing.y))
    return column, row
