"""Show that the answer does not come from the photographers' marks near the borders:

    python -m weights.vehicle_classifier.watermark --data FOLDER [--split val] [--weights FOLDER] [--json]

Borders are covered, or exchanged between photos. Exchanging with a photo of the same class is the
control: it disturbs as much, but says nothing about the class.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from weights.evaluate import ROOT, find, predict
from weights.measures import read_rows

NAME = "vehicle_classifier"
FRAME, STRIP, CORNER = 0.12, 0.07, 0.22
Change = Callable[[NDArray[np.uint8], NDArray[np.uint8]], NDArray[np.uint8]]


def measure(data: Path, split: str, weights: Path) -> dict[str, float]:
    demo, _ = find(NAME)
    config = json.loads((weights / "config.json").read_bytes())
    rows = read_rows(data, split)
    truth = np.array([int(row["emergency"]) for row in rows])
    photos = [_read(data / "images" / row["image"]) for row in rows]
    donors = _donors(truth)

    def emergency(change: Change | None, same_class: bool = False) -> NDArray[np.bool_]:
        donors_of = donors[same_class]
        edited = [change(photo, photos[donors_of[i]]) for i, photo in enumerate(photos)] if change else photos
        answers = predict(demo, weights, config, [Image.fromarray(photo) for photo in edited], progress=False)
        return np.array([answer["probabilities"][config["label_names"][1]] > 0.5 for answer in answers])

    plain = emergency(None)
    result = {
        "accuracy": float((plain == truth).mean()),
        "accuracy_frame_covered": float((emergency(cover_frame) == truth).mean()),
        "accuracy_marks_covered": float((emergency(cover_marks) == truth).mean()),
    }
    for name, change in (("frame", paste_frame), ("marks", paste_marks)):
        swapped, control = emergency(change), emergency(change, same_class=True)
        result |= {
            f"accuracy_{name}_of_other_class": float((swapped == truth).mean()),
            f"accuracy_{name}_of_same_class": float((control == truth).mean()),
            # The share of ordinary photos that become "emergency" when they wear such a border.
            f"ordinary_turned_by_{name}": float((swapped & ~plain)[truth == 0].mean()),
            f"ordinary_turned_by_{name}_control": float((control & ~plain)[truth == 0].mean()),
        }
    return {name: round(value, 4) for name, value in result.items()}


def cover_frame(photo: NDArray[np.uint8], donor: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return paste_frame(photo, np.full_like(photo, 127))


def cover_marks(photo: NDArray[np.uint8], donor: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return paste_marks(photo, np.full_like(photo, 127))


def paste_frame(photo: NDArray[np.uint8], donor: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The donor's frame, 12 % of each side, around the photo."""
    top, left = (round(side * FRAME) for side in photo.shape[:2])
    pasted = donor.copy()
    pasted[top:-top, left:-left] = photo[top:-top, left:-left]
    return pasted


def paste_marks(photo: NDArray[np.uint8], donor: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Where the site name (top strip) and the logo (lower right corner) mostly are."""
    height, width = photo.shape[:2]
    pasted = photo.copy()
    pasted[: round(height * STRIP)] = donor[: round(height * STRIP)]
    corner = np.s_[height - round(height * CORNER) :, width - round(width * CORNER) :]
    pasted[corner] = donor[corner]
    return pasted


def _read(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as file:
        return np.asarray(file.convert("RGB").resize((224, 224), Image.Resampling.BICUBIC))


def _donors(truth: NDArray[np.int_]) -> dict[bool, list[int]]:
    """For each photo one of the other class, and another of the same class."""
    generator = np.random.default_rng(0)
    members = {label: np.flatnonzero(truth == label) for label in (0, 1)}
    other = [int(generator.choice(members[1 - label])) for label in truth]
    same = [int(generator.choice(members[label][members[label] != i])) for i, label in enumerate(truth)]
    return {False: other, True: same}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--weights", type=Path, default=ROOT / NAME)
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    options = parser.parse_args()
    result = measure(options.data, options.split, options.weights)
    for name, value in result.items():
        print(f"{name:36} {value:.4f}")
    if options.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
