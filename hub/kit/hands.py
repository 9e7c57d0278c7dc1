"""What twelve points of a hand tell: names, lengths and ratios of fingers as tables, and a drawing on the photo.

Points are called `tip_<finger>`, `base_<finger>` (the crease where the finger begins) and `heart_<number>` (the heart
line, from the edge of the hand on); fingers are those of FINGERS. Places are (x, y) in px of the photo, from its top
left. Names of points that are not so raise KeyError or IndexError: they come from the weights' config, not from people.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hub.images import shrink
from hub.kit.drawing import Drawing
from hub.texts import sentence

FINGERS = {"index": "Index", "middle": "Middle", "ring": "Ring", "pinky": "Little"}
COLOURS = {"index": "#3ec1ff", "middle": "#5ee36a", "ring": "#ffd43b", "pinky": "#d08bff", "heart": "#ff5964"}
DARK, LIGHT = "#10151c", "#ffffff"
RATIOS = (
    ("Index : ring (2D:4D)", "index", "ring"),
    ("Index : middle", "index", "middle"),
    ("Little : ring", "pinky", "ring"),
)
UNSURE = 0.15  # of a finger's mean length: a point whose views are further apart than that is not sure


def part_of(name: str) -> str:
    """`index` of `tip_index`, `heart` of `heart_1`."""
    return "heart" if name.startswith("heart") else name.split("_")[1]


def title_of(name: str) -> str:
    """`Index tip` of `tip_index`, `Heart line 1` of `heart_1`."""
    kind, which = name.split("_")
    if kind == "heart":
        return sentence("Heart line {number}", number=which)
    return sentence("{finger} tip" if kind == "tip" else "{finger} base", finger=sentence(FINGERS[which]))


def lengths(points: Mapping[str, NDArray[Any]]) -> dict[str, float]:
    """From crease to tip, in px, by finger."""
    return {
        finger: max(float(np.hypot(*(points[f"tip_{finger}"] - points[f"base_{finger}"]))), 1e-6) for finger in FINGERS
    }


def point_rows(
    points: Mapping[str, NDArray[Any]], per_view: Sequence[Mapping[str, NDArray[Any]]]
) -> tuple[list[dict[str, Any]], set[str]]:
    """A table of the points, and the names of those that are not sure.

    `per_view`: the points in each of several views; with only one, nothing is known about how sure they are.
    """
    finger = float(np.mean(list(lengths(points).values())))
    rows, unsure = [], set()
    for name, (x, y) in points.items():
        row: dict[str, Any] = {
            "colour": COLOURS[part_of(name)],
            "point": title_of(name),
            "x_px": round(float(x), 1),
            "y_px": round(float(y), 1),
        }
        if len(per_view) > 1:
            apart = [((view[name] - points[name]) ** 2).sum() for view in per_view]
            row["spread_px"] = round(float(np.sqrt(np.mean(apart))), 1)
            if row["spread_px"] > UNSURE * finger:
                unsure.add(name)
        rows.append(row)
    return rows, unsure


def finger_rows(length: Mapping[str, float]) -> list[dict[str, Any]]:
    """A table of `lengths`, each also in percent of the middle finger's."""
    return [
        {
            "colour": COLOURS[finger],
            "finger": name,
            "length_px": round(length[finger], 1),
            "of_middle_percent": round(100 * length[finger] / length["middle"], 1),
        }
        for finger, name in FINGERS.items()
    ]


def ratio_rows(length: Mapping[str, float], per_view: Sequence[Mapping[str, float]]) -> list[dict[str, Any]]:
    """A table of RATIOS; with the `lengths` in several views also how far those are apart (standard deviation)."""
    rows = []
    for name, one, other in RATIOS:
        row = {"ratio": name, "value": round(length[one] / length[other], 3)}
        if len(per_view) > 1:
            row["spread"] = round(float(np.std([view[one] / view[other] for view in per_view])), 3)
        rows.append(row)
    return rows


def draw_hand(image: Image.Image, points: Mapping[str, NDArray[Any]], unsure: Collection[str] = ()) -> Image.Image:
    """Fingers and heart line over an RGB photo, each with its name; points that are not sure are hollow.

    The new picture is at most LONGEST px long.
    """
    small = shrink(image)
    place = {name: point * (np.array(small.size) / image.size) for name, point in points.items()}
    middle = float(np.mean([np.hypot(*(place[f"tip_{f}"] - place[f"base_{f}"])) for f in FINGERS]))
    longest = max(small.size)
    width = float(np.clip(middle / 50, longest / 500, longest / 170))  # half a line's width
    size = float(np.clip(middle / 11, longest / 52, longest / 29))  # of the letters
    drawing = Drawing(small)
    chains = {finger: [f"base_{finger}", f"tip_{finger}"] for finger in FINGERS}
    chains["heart"] = [name for name in points if part_of(name) == "heart"]
    for edge, colours in ((1.5, dict.fromkeys(chains, DARK)), (0.0, COLOURS)):  # a dark edge, readable on any skin
        for which, names in chains.items():
            for start, end in pairwise(names):
                drawing.line(place[start], place[end], 0.7 * width + edge, colours[which])
    for which, names in chains.items():
        for name in names:
            inner = DARK if name in unsure else COLOURS[which]
            for radius, colour in ((2.0 * width + 1.5, DARK), (2.0 * width, LIGHT), (1.3 * width, inner)):
                drawing.dot(place[name], radius, colour)
    for which, names in chains.items():
        # Beyond the finger tip; for the heart line, beyond its end at the edge of the hand.
        end, before = (names[0], names[1]) if which == "heart" else (names[1], names[0])
        text = FINGERS.get(which, "Heart line")
        drawing.name(text, place[end], place[end] - place[before], 3.5 * width, size, (COLOURS[which], DARK))
    return drawing.image
