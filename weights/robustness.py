"""How weights do on pictures that are worse than those they are measured on, as a table for their card:

    python -m weights.robustness vehicle_classifier --data FOLDER [--split val] [--every 3] [--weights FOLDER]
        [--set NAME=VALUE]

Saved as JPEG of quality 30, blurred, noisy, darker, turned by 10 degrees, half as large. What is measured, and how, is
as in `python -m weights.evaluate`; answers that are places in a turned or smaller picture are brought back first.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageFilter

from hub.errors import InputError
from weights.evaluate import ROOT, bootstrap, count_all, find, predict, settings
from weights.measures import MEASURES, Array, Figures

QUALITY, BLUR, NOISE, LIGHT, TURN = 30, 0.008, 20.0, 0.5, 10.0
UNSEEN = 255  # of a mask: what the changed picture did not show
Matrix = Array  # [2, 3]: from places in the picture to places in the changed one, both from their top left, in px


@dataclass(frozen=True)
class Change:
    """What is done to a picture (with its number, which seeds chance), and where its places went, if they moved."""

    name: str
    apply: Callable[[Image.Image, int], Image.Image]
    matrix: Callable[[tuple[int, int]], Matrix] | None = None


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("name", help="a page's slug or the name of weights")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--weights", type=Path, help="another folder in the same format; default: the bundled one")
    parser.add_argument("--every", type=int, default=1, help="only every third picture, say")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the page")
    options = parser.parse_args(arguments)
    demo, name = find(options.name)
    if name not in MEASURES:
        parser.error(f"{name} is given no picture.")
    try:
        inputs = settings(demo, name, options.weights or ROOT / name, options.set)
    except InputError as error:
        parser.error(error.message)
    head: list[str] = []
    for change in CHANGES:
        figures = measure_changed(
            options.name, options.data, options.split, change, inputs, options.every, options.weights
        )
        names = list(figures["interval_95"])
        if not head:
            head = [f"pictures ({figures['images']})", *names]
            print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
        cells = ["{:.4f} ({:.4f} to {:.4f})".format(figures[one], *figures["interval_95"][one]) for one in names]
        print("| " + " | ".join([change.name, *cells]) + " |", flush=True)
    return 0


def measure_changed(
    asked: str,
    data: Path,
    split: str,
    change: Change,
    inputs: dict[str, Any],
    every: int = 1,
    weights: Path | None = None,
) -> Figures:
    """The metrics of `asked` on one picture in `every` of a split, after the change."""
    demo, name = find(asked)
    folder = weights or ROOT / name
    config = json.loads((folder / "config.json").read_bytes())
    measure = MEASURES.get(asked) or MEASURES[name]
    samples = measure.samples(data, split, config)[::every]
    sizes, pictures = [], []
    for number, sample in enumerate(samples):
        with Image.open(sample.image) as file:
            picture = file.convert("RGB")
        sizes.append(picture.size)
        pictures.append(change.apply(picture, number))
    answers = predict(demo, folder, config, pictures, dict(measure.inputs) | inputs)
    if change.matrix:
        back = change.matrix
        answers = (bring_back(answer, back(size), size) for answer, size in zip(answers, sizes, strict=True))
    counts = count_all(measure, answers, samples, config)
    figures = measure.figures(counts.mean(0), config)
    return {
        "images": len(samples),
        **figures,
        "interval_95": bootstrap(counts, lambda mean: measure.figures(mean, config)),
    }


def bring_back(answer: dict[str, Any], matrix: Matrix, size: tuple[int, int]) -> dict[str, Any]:
    """The answer with its mask and its points as they lie in the picture of `size` that was changed."""
    if "mask" in answer:
        centred = matrix.copy()  # a pixel's middle is half a pixel from its top left
        centred[:, 2] += matrix[:, :2].sum(1) / 2 - 0.5
        mask = cv2.warpAffine(
            np.asarray(answer["mask"]),
            centred,
            size,
            flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=UNSEEN,
        )
        return answer | {"mask": mask}
    if answer.get("points"):
        inverse = cv2.invertAffineTransform(matrix)
        places = np.array([[row["x_px"], row["y_px"]] for row in answer["points"]]) @ inverse[:, :2].T + inverse[:, 2]
        rows = zip(answer["points"], places.tolist(), strict=True)
        return answer | {"points": [row | {"x_px": x, "y_px": y} for row, (x, y) in rows]}
    return answer


# --- the changes ----------------------------------------------------------------------------------


def leave(image: Image.Image, number: int) -> Image.Image:
    return image


def save_badly(image: Image.Image, number: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    return Image.open(file).convert("RGB")


def blur(image: Image.Image, number: int) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(BLUR * max(image.size)))


def add_noise(image: Image.Image, number: int) -> Image.Image:
    pixels = np.asarray(image, np.float32)
    grain = np.random.default_rng(number).normal(0, NOISE, pixels.shape)
    return Image.fromarray((pixels + grain).round().clip(0, 255).astype(np.uint8))


def darken(image: Image.Image, number: int) -> Image.Image:
    return image.point([round(level * LIGHT) for level in range(256)] * 3)


def turn(image: Image.Image, number: int) -> Image.Image:
    """Around its middle, at the same size: corners are cut off, and what comes in mirrors what is beside it."""
    centred = turned(image.size)
    centred[:, 2] += centred[:, :2].sum(1) / 2 - 0.5
    pixels = cv2.warpAffine(
        np.asarray(image), centred, image.size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    return Image.fromarray(pixels)


def turned(size: tuple[int, int]) -> Matrix:
    return np.asarray(cv2.getRotationMatrix2D((size[0] / 2, size[1] / 2), TURN, 1.0))


def halve(image: Image.Image, number: int) -> Image.Image:
    return image.resize(half(image.size), Image.Resampling.BICUBIC, reducing_gap=3.0)


def half(size: tuple[int, int]) -> tuple[int, int]:
    return max(1, size[0] // 2), max(1, size[1] // 2)


def halved(size: tuple[int, int]) -> Matrix:
    width, height = half(size)
    return np.array([[width / size[0], 0, 0], [0, height / size[1], 0]], np.float64)


CHANGES = (
    Change("as they are", leave),
    Change(f"JPEG, quality {QUALITY}", save_badly),
    Change(f"blurred by {BLUR:.1%} of the longer side", blur),
    Change(f"noise of {NOISE:.0f} levels", add_noise),
    Change("half as bright", darken),
    Change(f"turned by {TURN:.0f} degrees", turn, turned),
    Change("half as large", halve, halved),
)

if __name__ == "__main__":
    raise SystemExit(main())
