"""What a `Boxes` output holds: checked boxes in pixels of the original picture, their colours, and the same as COCO."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from unicodedata import category
from zlib import crc32

Found = Mapping[str, Any]  # {"width", "height", "boxes": [{"label", "score", "x0", "y0", "x1", "y1"}]}, surest first
MOST = 1000  # boxes of one picture
LABEL_CHARS = 100
SIDES = ("x0", "y0", "x1", "y1")
# Told apart by most people, also those who see red and green alike, on dark and on bright photos.
COLOURS = (
    "#4cc9f0 #ffd60a #ff5d8f #80ed99 #b388ff #ff9f1c #2ec4b6 #f15bb5 #a3e635 #7aa2ff #ff6b6b #e0aaff".split()
)  # fmt: skip


def read(width: int, height: int, entries: Any) -> dict[str, Any]:
    """Boxes as a page gives them, checked and clipped to the picture; one that lies beside it is left out.

    Raises TypeError or ValueError that says what is wrong.
    """
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        raise TypeError(f"a list of boxes is wanted, got a {type(entries).__name__}")
    if len(entries) > MOST:
        raise ValueError(f"there are {len(entries)} boxes; at most {MOST} are kept, so keep the best")
    boxes = [box for entry in entries if (box := _read_box(entry, width, height))["area"] > 0]
    boxes.sort(key=lambda box: -box["score"])
    return {"width": width, "height": height, "boxes": [{k: v for k, v in b.items() if k != "area"} for b in boxes]}


def _read_box(entry: Any, width: int, height: int) -> dict[str, Any]:
    if not isinstance(entry, Mapping) or set(entry) != {"label", "score", "box"}:
        raise TypeError('a box is {"label": text, "score": number, "box": (x0, y0, x1, y1)}')
    if not isinstance(entry["label"], str):
        raise TypeError(f"a label is text, got a {type(entry['label']).__name__}")
    score, corners = float(entry["score"]), [float(side) for side in entry["box"]]
    if not -1e-6 <= score <= 1 + 1e-6:  # nor NaN
        raise ValueError(f"a box has score {score}, outside [0, 1]")
    if len(corners) != len(SIDES) or not all(map(math.isfinite, corners)):
        raise ValueError(f"a box has the corners {corners}; four finite numbers are wanted")
    x0, y0, x1, y1 = corners
    if x0 > x1 or y0 > y1:
        raise ValueError(f"a box has the corners {corners}; x0 must not be above x1, nor y0 above y1")
    limits = (width, height, width, height)
    clipped = [round(min(max(side, 0.0), limit), 2) for side, limit in zip(corners, limits, strict=True)]
    return {
        "label": one_line(entry["label"]),
        "score": round(min(1.0, max(0.0, score)), 6),
        **dict(zip(SIDES, clipped, strict=True)),
        "area": (clipped[2] - clipped[0]) * (clipped[3] - clipped[1]),
    }


def one_line(text: str) -> str:
    """A label in one line of at most LABEL_CHARS letters."""
    line = " ".join("".join(" " if category(c) in ("Cc", "Cs", "Zl", "Zp") else c for c in text[:1000]).split())
    return line if len(line) <= LABEL_CHARS else line[: LABEL_CHARS - 1] + "…"


def surest(found: Found, least: float) -> dict[str, Any]:
    """Those with a score of at least `least`."""
    return {**found, "boxes": [box for box in found["boxes"] if box["score"] >= least]}


def counts(found: Found) -> dict[str, int]:
    """How many boxes each label has, the most frequent first."""
    return dict(Counter(box["label"] for box in found["boxes"]).most_common())


def colours(found: Found) -> dict[str, str]:
    """A colour for each label: the same one in every picture, as far as two labels of one do not share it."""
    taken: dict[str, str] = {}
    for label in sorted(counts(found)):
        first = crc32(label.encode("utf-8", "replace")) % len(COLOURS)
        turned = [*COLOURS[first:], *COLOURS[:first]]
        taken[label] = next((colour for colour in turned if colour not in taken.values()), turned[0])
    return taken


def to_coco(found: Found, file_name: str) -> dict[str, Any]:
    """As data sets and tools of object detection have boxes: COCO, with corner, width and height of each."""
    ids = {label: number for number, label in enumerate(sorted(counts(found)), 1)}
    return {
        "images": [{"id": 1, "width": found["width"], "height": found["height"], "file_name": file_name}],
        "categories": [{"id": number, "name": label} for label, number in ids.items()],
        "annotations": [
            {
                "id": number,
                "image_id": 1,
                "category_id": ids[box["label"]],
                "bbox": [box["x0"], box["y0"], (width := round(box["x1"] - box["x0"], 2)),
                         (height := round(box["y1"] - box["y0"], 2))],
                "area": round(width * height, 2),
                "iscrowd": 0,
                "score": box["score"],
            }
            for number, box in enumerate(found["boxes"], 1)
        ],
    }  # fmt: skip


# --- against true boxes ---------------------------------------------------------------------------


def overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes, each x0, y0, x1, y1."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0.0, width) * max(0.0, height)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if union > 0 else 0.0


def count_hits(surest_first: Iterable[Sequence[float]], true: Sequence[Sequence[float]], least: float = 0.5) -> int:
    """How many boxes are right: each takes the true one that it covers best, by `least` or more, once each."""
    left, hits = [*true], 0
    for box in surest_first:
        shares = [overlap(box, other) for other in left]
        if shares and max(shares) >= least:
            left.pop(shares.index(max(shares)))
            hits += 1
    return hits
