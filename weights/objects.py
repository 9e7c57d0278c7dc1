"""How right boxes are: precision and recall at half an overlap, against boxes made the same way from the true masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hub.kit.regions import boxes_of_regions
from hub.results.boxes import count_hits

LABELS = {"car": "car", "pedestrian": "person", "bicyclist": "cyclist"}  # class of a mask -> label of a box
SMALLEST = 0.2  # percent of the picture; the page is measured with the same
OVERLAP = 0.5


def count_objects(answer: dict[str, Any], truth: Path, config: Any) -> NDArray[np.int64]:
    """[labels, 3]: boxes that are right, boxes found, boxes that are true."""
    from PIL import Image

    image, found = answer["objects"]
    numbers = {number: LABELS[e["name"]] for number, e in enumerate(config["_classes"]) if e["name"] in LABELS}
    with Image.open(truth) as file:
        true = boxes_of_regions(np.asarray(file), numbers, image.size, SMALLEST / 100)
    return np.array([_count(found, true, label) for label in LABELS.values()], np.int64)


def _count(found: Sequence[Any], true: Sequence[Any], label: str) -> tuple[int, int, int]:
    """Of one label: boxes that are right, boxes found, boxes that are true."""
    ours = sorted((box for box in found if box["label"] == label), key=lambda box: -box["score"])
    theirs = [box["box"] for box in true if box["label"] == label]
    return count_hits((box["box"] for box in ours), theirs, OVERLAP), len(ours), len(theirs)


def object_figures(counts: NDArray[Any], config: Any) -> dict[str, Any]:
    hits, found, true = counts.sum(0)
    return {"precision": float(hits / found) if found else 0.0, "recall": float(hits / true) if true else 0.0}


def objects_by_label(counts: NDArray[Any], config: Any) -> dict[str, float]:
    with np.errstate(invalid="ignore"):  # a kind that is never found, or never there, has no share
        precisions, recalls = counts[:, 0] / counts[:, 1], counts[:, 0] / counts[:, 2]
    rows = zip(LABELS.values(), precisions, recalls, strict=True)
    return {f"{label}, {what}": float(n) for label, p, r in rows for what, n in (("precision", p), ("recall", r))}
