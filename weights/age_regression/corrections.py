"""Measure what to add to the ages and to both ends of their intervals, by age, and write it to config.json:

    python -m weights.age_regression.corrections --data FOLDER [--split val] [--write]

At each of a few ages what is added is a quantile of the errors around it: the median for the age itself, and for the
ends of the interval those that leave LEVEL of the faces inside (conformal prediction in groups by age, with
straight lines between the groups). What is printed is cross-fitted: each tenth of the faces with what the others say.
"""

from __future__ import annotations

import argparse
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from demos import age_regression as page
from hub.kit.ages import YEARS, corrected
from weights.measures import Array, Config, read_rows

FOLDER = Path(__file__).resolve().parent
AT = tuple(range(0, 100, 10))  # ages; a face counts at the two that it is between
# The recipe's settings were chosen on these faces, so they flatter: where 0.798 of them were inside the interval, of
# faces held back 0.777 were.
LEVEL, MARGIN = 0.8, 0.015
FOLDS, SEED, BATCH = 10, 0, 32
GROUPS = (0, 5, 10, 20, 30, 40, 50, 60, 70, 80, 120)
RESAMPLES = 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--write", action="store_true", help="put them into config.json; then: python -m hub lock")
    options = parser.parse_args()
    config = json.loads((FOLDER / "config.json").read_bytes())
    config.pop("corrections", None)
    rows = read_rows(options.data, options.split)
    answers = predict([options.data / "images" / row["image"] for row in rows], config)
    true = np.array([float(row["age"]) for row in rows])
    parts = np.random.default_rng(SEED).permutation(len(true)) % FOLDS
    better = np.empty_like(answers)
    for part in range(FOLDS):
        table = fit(answers[parts != part], true[parts != part])
        better[parts == part] = corrected(answers[parts == part], {"corrections": table})
    report(answers, better, true)
    if options.write:
        config["corrections"] = fit(answers, true)
        (FOLDER / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n")


def predict(paths: list[Path], config: Config) -> Array:
    """[faces, 3]: age, low and high of pictures that are one face each, with the mirror image."""
    model = page.load(FOLDER, torch.device("cpu")).to(memory_format=torch.channels_last)
    answers: list[Array] = []
    for start in range(0, len(paths), BATCH):
        items = []
        for path in paths[start : start + BATCH]:
            with Image.open(path) as file:
                items.append(page.prepare(file.convert("RGB"), page.WHOLE, page.MIRRORED, 0.8, config))
        with torch.inference_mode():
            answers += [output["ages"] for output in page.infer(model, items, config)]
    return np.concatenate(answers).astype(np.float64)


def fit(answers: Array, true: Array) -> dict[str, list[float]]:
    """The "corrections" of a config, as `hub.kit.ages.corrected` reads them."""
    weights = np.stack([np.interp(answers[:, 0], AT, own) for own in np.eye(len(AT))])
    tail = (1 - LEVEL - MARGIN) / 2
    columns = zip(YEARS, answers.T, (0.5, tail, 1 - tail), strict=True)
    added = {
        name: [round(quantile(true - values, near, share), 2) for near in weights] for name, values, share in columns
    }
    return {"at": [float(age) for age in AT], **added}


def quantile(errors: Array, weights: Array, share: float) -> float:
    """Of weighted errors. A tail is taken further out where few faces count, as split conformal prediction does."""
    count = weights.sum() ** 2 / (weights**2).sum()
    if share != 0.5:
        further = max(share, 1 - share) / count
        share = min(max(share + (further if share > 0.5 else -further), 0.0), 1.0)
    order = np.argsort(errors)
    reached = np.cumsum(weights[order])
    place = min(int(np.searchsorted(reached, share * reached[-1])), len(errors) - 1)
    return float(errors[order][place])


def report(before: Array, after: Array, true: Array) -> None:
    """Tables of the mean absolute error and of the share in the interval, before and after, by answered age."""
    print("| answered age | faces | mean absolute error before | after | in the interval before | after | years wide |")
    print("|---|---|---|---|---|---|---|")
    names = [f"{low} to {high}" for low, high in pairwise(GROUPS)]
    group = np.digitize(before[:, 0], GROUPS[1:-1])
    for name, own in [("all", group >= 0), *((name, group == number) for number, name in enumerate(names))]:
        cells: list[str] = []
        for answers in (before, after):
            cells.append(_mean(np.abs(answers[own, 0].clip(0) - true[own]), 2))
        for answers in (before, after):
            inside = (true >= np.minimum(answers[:, 1].clip(0), answers[:, 0].clip(0))) & (true <= answers[:, 2])
            cells.append(_mean(inside[own].astype(float), 3))
        wide = float((after[own, 2] - after[own, 1].clip(0)).mean())
        print(f"| {name} | {own.sum()} | " + " | ".join(cells) + f" | {wide:.1f} |")


def _mean(values: Array, digits: int) -> str:
    """With its 95 % bootstrap interval."""
    generator = np.random.default_rng(SEED)
    means = values[generator.integers(0, len(values), (RESAMPLES, len(values)))].mean(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return f"{values.mean():.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


if __name__ == "__main__":
    main()
