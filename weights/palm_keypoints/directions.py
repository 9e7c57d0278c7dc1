"""How the points fare on palms that lie differently, on other people's palms, and on pictures without one:

    python -m weights.palm_keypoints.directions --data FOLDER [--more FOLDER] [--others FOLDER ...] [--most 60] [--json]

Through the page's own code. FOLDER is laid out like the training data; `--more` has hands with 21 landmarks, of which
the finger tips are compared. Errors are in px of a picture of 384x288, mirrored and turned back.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from weights.evaluate import ROOT, find, predict
from weights.measures import PALM_PX, Array, palm_samples

NAME = "palm_keypoints"
TIPS = (8, 12, 16, 20)  # of the 21 landmarks
Points = tuple[Image.Image, Array, bool]  # picture, points in its px, right hand


def measure(options: argparse.Namespace) -> dict[str, float]:
    demo, _ = find(NAME)
    config = json.loads((options.weights / "config.json").read_bytes())
    samples = palm_samples(options.data, options.split, config)[: options.most]
    palms = [(_read(sample.image), sample.truth[0], sample.truth[2] == "1") for sample in samples]

    def figures(name: str, samples: Sequence[Points], points: slice) -> dict[str, float]:
        inputs = {"quality": options.quality}
        answers = predict(demo, options.weights, config, [sample[0] for sample in samples], inputs, progress=False)
        errors, missed, wrong_hand = [], 0, 0
        for (image, true_points, right), answer in zip(samples, answers, strict=True):
            if not answer["points"]:
                missed += 1
                continue
            hand = max(answer["hand"], key=answer["hand"].__getitem__)
            wrong_hand += (hand == "Right hand") != right
            predicted = np.array([[row["x_px"], row["y_px"]] for row in answer["points"]])[points]
            # The longer side of a picture counts as 384 px, whichever way it lies.
            size = PALM_PX if image.width >= image.height else PALM_PX[::-1]
            errors.append((np.abs(predicted - true_points) / image.size * size).mean())
        return {
            f"{name}: l1_px": float(np.mean(errors)) if errors else float("nan"),
            f"{name}: not found": missed / len(samples),
            f"{name}: wrong hand": wrong_hand / len(samples),
        }

    result = figures("as they are", palms, slice(None))
    for quarters in (1, 2, 3):
        result |= figures(f"turned by {90 * quarters}", [turn_palm(palm, quarters) for palm in palms], slice(None))
    result |= figures("mirrored", [mirror_palm(palm) for palm in palms], slice(None))
    if options.more:
        result |= figures("other people's finger tips", load_more(options.more)[:: options.every], slice(0, 4))
    if options.others:
        paths = [path for folder in options.others for path in sorted(folder.iterdir())[:: options.every]]
        inputs = {"quality": options.quality}
        answers = predict(demo, options.weights, config, paths, inputs, progress=False)
        result["pictures without a palm: found one"] = float(np.mean([bool(answer["points"]) for answer in answers]))
    return {name: round(value, 4) for name, value in result.items()}


def turn_palm(palm: Points, quarters: int) -> Points:
    """By quarter turns to the left."""
    image, points, right = palm
    for _ in range(quarters):
        points = np.stack([points[:, 1], image.width - points[:, 0]], 1)
        image = image.transpose(Image.Transpose.ROTATE_90)
    return image, points, right


def mirror_palm(palm: Points) -> Points:
    image, points, right = palm
    flipped = np.stack([image.width - points[:, 0], points[:, 1]], 1)
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), flipped, not right


def load_more(data: Path) -> list[Points]:
    import csv

    with (data / "labels.csv").open(newline="", encoding="utf-8-sig") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    return [
        (
            _read(data / "images" / row["image"]),
            np.array([[float(row[f"p{tip}_{axis}"]) for axis in "xy"] for tip in TIPS]),
            row["side"].endswith("right"),
        )
        for row in rows
    ]


def _read(path: Path) -> Image.Image:
    with Image.open(path) as file:
        return file.convert("RGB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--more", type=Path)
    parser.add_argument("--others", type=Path, action="append", default=[])
    parser.add_argument("--weights", type=Path, default=ROOT / NAME)
    parser.add_argument("--quality", choices=("best", "fast"), default="fast")
    parser.add_argument("--most", type=int, help="so many palms of --data; default: all")
    parser.add_argument("--every", type=int, default=1, help="every n-th picture of --more and --others")
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    options = parser.parse_args()
    result = measure(options)
    for name, value in result.items():
        print(f"{name:44} {value:.4f}")
    if options.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
