"""Look at the pictures that weights get most wrong:

    python -m weights.worst age_regression --data FOLDER --out worst.jpg [--split val] [--count 12]

One sheet: each picture as the page shows it, with what was answered and what is true. For looking only: pictures
of real people on it may not be published.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from weights.evaluate import ROOT, find, predict
from weights.measures import MEASURES, Array, Config

TILE, TEXT = (320, 240), 44  # px of a picture, and below it for the words
ACROSS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("name", help="a page's slug or the name of weights")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--out", type=Path, required=True, help="the picture to write")
    parser.add_argument("--count", type=int, default=12)
    options = parser.parse_args()
    demo, name = find(options.name)
    config, measure = json.loads((ROOT / name / "config.json").read_bytes()), MEASURES[name]
    samples = measure.samples(options.data, options.split, config)
    entries = []
    for sample, answer in zip(
        samples, predict(demo, ROOT / name, config, [s.image for s in samples], measure.inputs), strict=True
    ):
        counts = np.asarray(measure.count(answer, sample.truth, config), np.float64)
        entries.append((badness(name, counts, answer, config), sample, answer))
    entries.sort(key=lambda entry: -entry[0])
    tiles = [tile(bad, sample.image, answer, sample.truth) for bad, sample, answer in entries[: options.count]]
    sheet = Image.new("RGB", (ACROSS * TILE[0], -(-len(tiles) // ACROSS) * (TILE[1] + TEXT)), "white")
    for number, one in enumerate(tiles):
        sheet.paste(one, (number % ACROSS * TILE[0], number // ACROSS * (TILE[1] + TEXT)))
    sheet.save(options.out, quality=90)
    print(f"{options.out}: the {len(tiles)} worst of {len(samples)}")


def badness(name: str, counts: Array, answer: dict[str, Any], config: Config) -> float:
    """How wrong one answer is: years or px off, or one minus a score; wrong classes by how sure they are."""
    if name in ("age_regression", "palm_keypoints"):
        return float(counts[0])
    if name == "vehicle_classifier":
        shares = [answer["probabilities"][label] for label in config["label_names"]]
        return float(1 - shares[int(counts.sum(1).argmax())])
    if name == "camvid_segmentation":
        return float(1 - counts.trace() / max(counts.sum(), 1))
    return float(1 - counts[0]) if name == "satellite_amazon" else float(counts[:, 1:].sum() / max(counts.sum(), 1))


def tile(bad: float, path: Path, answer: dict[str, Any], truth: Any) -> Image.Image:
    overlay = answer.get("overlay")
    picture = (overlay[0] if isinstance(overlay, tuple) else overlay) or Image.open(path)
    canvas = Image.new("RGB", (TILE[0], TILE[1] + TEXT), "white")
    canvas.paste(ImageOps.contain(picture.convert("RGB"), TILE), (0, 0))
    words = f"{bad:.2f}  {path.name}\n" + describe(answer, truth)
    ImageDraw.Draw(canvas).multiline_text((4, TILE[1] + 2), words, "black", ImageFont.load_default(11))
    return canvas


def describe(answer: dict[str, Any], truth: Any) -> str:
    if "tags" in answer:
        labels = {row["label"] for row in answer["tags"]}
        return f"wrong: {' '.join(sorted(labels - truth))}\nmissed: {' '.join(sorted(truth - labels))}"
    if "faces" in answer:
        ages = ", ".join(f"{row['age']} ({row['low']} to {row['high']})" for row in answer["faces"]) or "no face"
        return f"found {ages}\ntrue {truth['age']}, group {truth.get('gender')} {truth.get('race')}"
    if "probabilities" in answer:
        label = max(answer["probabilities"], key=answer["probabilities"].__getitem__)
        return f"found {label}\ntrue class {truth}"
    return ""


if __name__ == "__main__":
    main()
