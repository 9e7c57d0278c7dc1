"""How each kind of answer is scored against the truth, and how data folders are read."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weights.objects import SMALLEST, count_objects, object_figures, objects_by_label

Config = Mapping[str, Any]
Figures = dict[str, Any]
Array = NDArray[Any]


@dataclass(frozen=True)
class Sample:
    """One picture with what is true about it."""

    image: Path
    truth: Any


@dataclass(frozen=True)
class Measure:
    """How one kind of answer is scored.

    `count` turns an answer and the truth into numbers that add up over pictures (a confusion
    matrix, say), `figures` turns their mean over pictures into the metrics, and `table` into further
    figures, of classes or groups. `inputs` are parameters of the page that differ from its defaults.
    """

    samples: Callable[[Path, str, Config], list[Sample]]
    count: Callable[[dict[str, Any], Any, Config], Array]
    figures: Callable[[Array, Config], Figures]
    table: Callable[[Array, Config], dict[str, float]] | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)


def read_rows(data: Path, split: str) -> list[dict[str, str]]:
    """The rows of labels.csv whose split column equals `split`. Raises SystemExit when there is none."""
    with (data / "labels.csv").open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    if not rows:
        raise SystemExit(f"{data / 'labels.csv'} has no row with split '{split}'")
    return rows


def vehicle_samples(data: Path, split: str, config: Config) -> list[Sample]:
    return [Sample(data / "images" / row["image"], int(row["emergency"])) for row in read_rows(data, split)]


def vehicle_count(answer: dict[str, Any], truth: int, config: Config) -> Array:
    shares = [answer["probabilities"][label] for label in config["label_names"]]
    confusion = np.zeros((2, 2))
    confusion[truth, int(np.argmax(shares))] = 1
    return confusion


def camvid_samples(data: Path, split: str, config: Config) -> list[Sample]:
    images = sorted(path for path in (data / split).iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if not images:
        raise SystemExit(f"{data / split} has no pictures")
    return [Sample(path, data / f"{split}_masks" / f"{path.stem}.png") for path in images]


def camvid_count(answer: dict[str, Any], truth: Path, config: Config) -> Array:
    from PIL import Image

    classes = len(config["_classes"])
    with Image.open(truth) as file:
        true_classes = np.asarray(file)
    predicted = np.asarray(answer["mask"])
    if true_classes.shape != predicted.shape:
        raise SystemExit(f"{truth} is {true_classes.shape[::-1]}, the picture is {predicted.shape[::-1]}")
    # Pixels without a label do not count, nor those that a turned photo did not show (weights/robustness.py).
    labelled = (true_classes < classes) & (predicted < classes)
    pairs = true_classes[labelled].astype(np.int64) * classes + predicted[labelled]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def confusion_figures(confusion: Array, config: Config) -> Figures:
    return {"accuracy": float(confusion.trace() / confusion.sum())}


def camvid_figures(confusion: Array, config: Config) -> Figures:
    return {
        "miou": float(np.nanmean(list(intersection_over_union(confusion, config).values()))),
        "pixel_accuracy": float(confusion.trace() / confusion.sum()),
    }


def intersection_over_union(confusion: Array, config: Config) -> dict[str, float]:
    hits = confusion.diagonal()
    with np.errstate(invalid="ignore"):  # a class that neither occurs nor is found has no score
        shares = hits / (confusion.sum(0) + confusion.sum(1) - hits)
    return {entry["name"]: float(share) for entry, share in zip(config["_classes"], shares, strict=True)}


def recalls(confusion: Array, config: Config) -> dict[str, float]:
    with np.errstate(invalid="ignore"):  # a class that does not occur has no score
        shares = confusion.diagonal() / confusion.sum(1)
    return {f"{name} found": float(share) for name, share in zip(config["label_names"], shares, strict=True)}


def tag_samples(data: Path, split: str, config: Config) -> list[Sample]:
    return [Sample(data / "images" / row["image"], set(row["tags"].split())) for row in read_rows(data, split)]


def tag_count(answer: dict[str, Any], truth: set[str], config: Config) -> Array:
    """[tags, 3]: rightly found, wrongly found, missed."""
    labels = {row["label"] for row in answer["tags"]}
    pairs = [(name in labels, name in truth) for name in config["label_names"]]
    return np.array([(f and t, f and not t, t and not f) for f, t in pairs], dtype=np.int64)


def macro_f1(counts: Array, config: Config) -> Figures:
    """Mean of the tags' F1 scores; a tag that neither occurs nor is found has none."""
    return {"macro_f1": float(np.nanmean(list(f1_by_tag(counts, config).values())))}


def f1_by_tag(counts: Array, config: Config) -> dict[str, float]:
    hits, wrong, missed = counts.T
    with np.errstate(invalid="ignore"):
        scores = 2 * hits / (2 * hits + wrong + missed)
    return {name: float(score) for name, score in zip(config["label_names"], scores, strict=True)}


# Tags whose F2 is taken picture by picture: the first number is that, then the counts by tag.


def amazon_count(answer: dict[str, Any], truth: set[str], config: Config) -> Array:
    """[1 + 3 * tags]: F2 of the chip, then rightly found, wrongly found, missed of each tag."""
    counts = tag_count(answer, truth, config)
    hits, wrong, missed = counts.sum(0)
    # A chip without tags on which nothing is found is right.
    f2 = 5 * hits / (5 * hits + 4 * missed + wrong) if hits + wrong + missed else 1.0
    return np.append(float(f2), counts.ravel())


def mean_f2(counts: Array, config: Config) -> Figures:
    return {"f2": float(counts[0])}


def f2_by_tag(counts: Array, config: Config) -> dict[str, float]:
    """F2 of each tag; NaN for one that neither occurs nor is found."""
    hits, wrong, missed = counts[1:].reshape(-1, 3).T
    with np.errstate(invalid="ignore"):
        scores = 5 * hits / (5 * hits + 4 * missed + wrong)
    return {name: float(score) for name, score in zip(config["label_names"], scores, strict=True)}


# Palms: pixels of a picture of 384x288, as the data set's users count them.
PALM_PX = (384, 288)


def palm_samples(data: Path, split: str, config: Config) -> list[Sample]:
    samples = []
    for row in read_rows(data, split):
        size = np.array([float(row["width"]), float(row["height"])])
        points = np.array([[float(row[f"{name}_{axis}"]) for axis in "xy"] for name in config["_points"]])
        samples.append(Sample(data / "images" / row["image"], (points, size, row.get("right_hand"))))
    return samples


def palm_count(answer: dict[str, Any], truth: tuple[Array, Array, str | None], config: Config) -> Array:
    """[l1_px, within 0.1, within 0.01, no hand found, wrong hand]; without a hand all points are the middle."""
    points, size, right_hand = truth
    rows = answer["points"]
    predicted = np.array([[row["x_px"], row["y_px"]] for row in rows]) if rows else np.tile(size / 2, (len(points), 1))
    error = np.abs(predicted - points) / size  # as a share of the picture's width and height
    likely = max(answer["hand"], key=answer["hand"].__getitem__)
    wrong_hand = bool(rows) and right_hand is not None and (likely == "Right hand") != (right_hand == "1")
    # The range from -1 to 1 is two widths wide.
    return np.array(
        [(error * PALM_PX).mean(), (error < 0.05).mean(), (error < 0.005).mean(), not rows, wrong_hand], np.float64
    )


def palm_figures(counts: Array, config: Config) -> Figures:
    return {"l1_px": float(counts[0]), "within_0.1": float(counts[1]), "within_0.01": float(counts[2])}


def palm_table(counts: Array, config: Config) -> dict[str, float]:
    return {"no hand found": float(counts[3]), "wrong hand": float(counts[4])}


# Ages: the data set's own codes, for tables of errors only.
DECADES = 12
AGE_GROUPS = (
    *((f"{decade * 10} to {decade * 10 + 9} years", "decade", str(decade)) for decade in range(DECADES)),
    *((name, "gender", str(code)) for code, name in enumerate(("men", "women"))),
    *(
        (f"race code {code} ({name})", "race", str(code))
        for code, name in enumerate(("White", "Black", "Asian", "Indian", "others"))
    ),
)


def age_samples(data: Path, split: str, config: Config) -> list[Sample]:
    return [
        Sample(data / "images" / row["image"], row | {"decade": str(int(float(row["age"])) // 10)})
        for row in read_rows(data, split)
    ]


def age_count(answer: dict[str, Any], truth: Mapping[str, str], config: Config) -> Array:
    """[absolute error, error, in the interval, no face; then error, in the interval and count of each group]. Years.

    The groups are AGE_GROUPS, by what is true of the face, and the decades that were answered.
    """
    faces = answer["faces"]
    # Where no face is found the middle of a life is the guess, and no interval holds it.
    missed = {"age": 40.0, "low": np.nan, "high": np.nan}
    face = max(faces, key=lambda row: row["width_px"] * row["height_px"]) if faces else missed
    age = float(truth["age"])
    error = face["age"] - age
    inside = face["low"] <= age <= face["high"]
    groups = [truth.get(column) == code for _, column, code in AGE_GROUPS]
    groups += [int(face["age"]) // 10 == decade for decade in range(DECADES)]
    rows = [(abs(error), inside, 1.0) if belongs else (0.0, 0.0, 0.0) for belongs in groups]
    return np.array([abs(error), error, inside, not faces, *np.ravel(rows)], np.float64)


def age_figures(counts: Array, config: Config) -> Figures:
    return {"mae": float(counts[0]), "mean_error": float(counts[1]), "in_interval": float(counts[2])}


def age_table(counts: Array, config: Config) -> dict[str, float]:
    groups = counts[4:].reshape(-1, 3)
    names = [name for name, *_ in AGE_GROUPS]
    names += [f"answered {decade * 10} to {decade * 10 + 9} years" for decade in range(DECADES)]
    figures = {"no face found": float(counts[3])}
    figures |= {f"mae, {name}": float(e / n) for name, (e, _, n) in zip(names, groups, strict=True) if n}
    return figures | {f"in_interval, {name}": float(i / n) for name, (_, i, n) in zip(names, groups, strict=True) if n}


MEASURES = {
    "vehicle_classifier": Measure(vehicle_samples, vehicle_count, confusion_figures, recalls),
    "satellite_amazon": Measure(tag_samples, amazon_count, mean_f2, f2_by_tag),
    "satellite_landuse": Measure(tag_samples, tag_count, macro_f1, f1_by_tag),
    "camvid_segmentation": Measure(camvid_samples, camvid_count, camvid_figures, intersection_over_union),
    # A page that answers in another way than the page its weights were made for.
    "street_objects": Measure(camvid_samples, count_objects, object_figures, objects_by_label, {"smallest": SMALLEST}),
    "palm_keypoints": Measure(palm_samples, palm_count, palm_figures, palm_table),
    # The faces of the data are aligned and cropped already.
    "age_regression": Measure(age_samples, age_count, age_figures, age_table, {"faces": "the picture is one face"}),
}
