"""Objects as connected regions of a mask: a box around each, and how sure the network is of what lies in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST = 1000  # of one picture; the largest regions stay


def boxes_of_regions(
    ids: NDArray[np.uint8],
    labels: Mapping[int, str],
    size: tuple[int, int],
    least: float,
    sureness: NDArray[np.float32] | None = None,
) -> list[dict[str, Any]]:
    """A box for each connected region of a labelled class that takes at least the share `least` of the picture.

    `ids` [height, width] lies over a picture of `size` (width, height), in whose pixels the boxes are. The score is the
    mean of `sureness` [height, width] over the region's pixels, 1 without it. Gaps of one place are closed, so that a
    seam does not part an object; objects that touch are one region.
    """
    import cv2

    across, down = size[0] / ids.shape[1], size[1] / ids.shape[0]
    found = []
    for number, label in labels.items():
        there = np.ascontiguousarray(ids == number, np.uint8)
        closed = cv2.morphologyEx(there, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
        count, regions, facts, _ = cv2.connectedComponentsWithStats(closed, connectivity=8)
        if count == 1:
            continue
        inside = regions[there > 0]
        pixels = np.bincount(inside, minlength=count)
        sums = pixels if sureness is None else np.bincount(inside, sureness[there > 0], minlength=count)
        for region in range(1, count):
            left, top, width, height, area = (int(fact) for fact in facts[region])
            if area >= least * ids.size:
                box = (left * across, top * down, (left + width) * across, (top + height) * down)
                score = float(sums[region] / max(1, pixels[region]))
                found.append((area, {"label": label, "score": min(1.0, score), "box": box}))
    found.sort(key=lambda one: -one[0])
    return [box for _, box in found[:MOST]]


def probabilities(logits: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The strongest class of each place and its probability, [height, width] each, of logits [classes, ...]."""
    best = logits.max(0)
    return logits.argmax(0).astype(np.uint8), 1 / np.exp(logits - best).sum(0)
