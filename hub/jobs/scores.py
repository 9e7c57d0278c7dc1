"""How often answers were right, where the truth is known: a metric with an interval, and what was mixed up."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hub.jobs.records import Reading
from hub.spec import Demo, Labels

RESAMPLES = 1_000
CLASSES_MOST = 30  # of a confusion matrix
PICKED = ("rightly picked", "wrongly picked", "missed")
NEAR = 0.05  # of the longer side of the box around the true points
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric over pictures whose truth is known, with its 95 % interval: Wilson's of shares, else a bootstrap."""

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Score:
    """`classes` and `confusion`: rows are the truth, columns the answers.

    Of pages that pick labels, find boxes, or give every pixel a class, each row is one, and the columns are rightly
    picked, wrongly picked, missed: pictures, boxes or pixels. `unknown`: truths that are no class of the page.
    """

    pictures: int
    figures: tuple[Figure, ...]
    classes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    unknown: tuple[str, ...] = ()


def score(demo: Demo, pairs: Iterable[tuple[str, Reading]]) -> Score | None:
    """Of each picture with an answer its truth and what was read; None: no truth is known."""
    known = [(truth, reading) for truth, reading in pairs if truth]
    if not known:
        return None
    measured = [reading.measured for _, reading in known if reading.measured]
    if measured:
        kinds = {"classes": _score_regions, "points": _score_points, "boxes": _score_boxes}
        return next(function(measured) for name, function in kinds.items() if name in measured[0])
    labels = next((f for f in demo.outputs if isinstance(f, Labels)), None)
    if labels is not None and labels.line:
        return _score_tags(known)
    if labels is not None:
        return _score_classes(known)
    return _score_numbers(known)


def _no_score(truths: Iterable[str]) -> Score:
    """Folders may be called after anything: where none of it was ever an answer, nothing is told of right and wrong."""
    return Score(0, (), unknown=tuple(sorted({*truths})[:CLASSES_MOST]))


def plain_name(text: str) -> str:
    """Names that differ only in case, lines and spaces are one."""
    return re.sub(r"[\s_-]+", " ", text).strip().casefold()


# --- one class ------------------------------------------------------------------------------------


def _score_classes(known: Sequence[tuple[str, Reading]]) -> Score:
    answers = {plain_name(reading.answer): reading.answer for _, reading in known}
    truths = {plain_name(truth): answers.get(plain_name(truth), truth) for truth, _ in known}
    if not truths.keys() & answers.keys():
        return _no_score(truths.values())
    names = list(dict.fromkeys([*sorted(truths.values()), *sorted(answers.values())]))
    pairs = Counter((truths[plain_name(truth)], reading.answer) for truth, reading in known)
    right = np.array([plain_name(truth) == plain_name(reading.answer) for truth, reading in known], np.float64)
    named = names[:CLASSES_MOST]
    matrix = tuple(tuple(pairs[row, column] for column in named) for row in named)
    unknown = tuple(name for name in sorted(truths.values()) if name not in answers.values())
    return Score(len(known), (_figure("accuracy", right),), tuple(named), tuple(named), matrix, unknown)


# --- several labels -------------------------------------------------------------------------------


def _score_tags(known: Sequence[tuple[str, Reading]]) -> Score:
    answers = {plain_name(name): name for _, reading in known for name in reading.names}
    sets = [({plain_name(n) for n in reading.names}, _tags(truth, answers)) for truth, reading in known]
    if not any(truth & answers.keys() for _, truth in sets):
        return _no_score(truth for truth, _ in known)
    names = sorted({name for pair in sets for name in (*pair[0], *pair[1])})
    found = np.array([[name in picked for name in names] for picked, _ in sets], bool)
    true = np.array([[name in truth for name in names] for _, truth in sets], bool)
    hits, wrong, missed = found & true, found & ~true, ~found & true
    counts = np.stack([hits, wrong, missed], 2).astype(np.float64)
    figures = (_figure("f2", _f2(counts)), _interval("macro_f1", counts, _macro_f1))
    totals = counts.sum(0).astype(int)
    shown = [answers.get(name, name) for name in names][:CLASSES_MOST]
    matrix = tuple(tuple(int(number) for number in row) for row in totals[:CLASSES_MOST])
    unknown = tuple(name for name in names if name not in answers)
    return Score(len(known), figures, tuple(shown), PICKED, matrix, unknown)


def _tags(truth: str, answers: Iterable[str]) -> set[str]:
    """`agriculture clear road`, or with commas or semicolons between where names have spaces."""
    parts = re.split(r"[;,|]", truth) if re.search(r"[;,|]", truth) else truth.split()
    whole = plain_name(truth)
    return {whole} if whole in answers else {name for part in parts if (name := plain_name(part))}


def _f2(counts: Array) -> Array:
    """Of each picture; one without tags on which nothing is found is right."""
    hits, wrong, missed = np.moveaxis(counts.sum(1), 1, 0)
    below = 5 * hits + 4 * missed + wrong
    return np.asarray(np.where(below > 0, 5 * hits / np.maximum(below, 1), 1.0))


def _macro_f1(mean: Array) -> float:
    hits, wrong, missed = mean.T
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.nanmean(2 * hits / (2 * hits + wrong + missed)))


# --- numbers --------------------------------------------------------------------------------------


def _score_numbers(known: Sequence[tuple[str, Reading]]) -> Score | None:
    """The page's first number against the truth, which is a number."""
    errors, inside, unknown = list[float](), list[float](), set[str]()
    for truth, reading in known:
        value = _number(truth)
        if value is None:
            unknown.add(truth)
        elif reading.numbers:
            errors.append(next(iter(reading.numbers.values())) - value)
            if {"low", "high"} <= reading.numbers.keys():
                inside.append(float(reading.numbers["low"] <= value <= reading.numbers["high"]))
    if not errors:
        return _no_score(unknown) if unknown else None
    all_errors = np.array(errors)
    figures = [_figure("mae", np.abs(all_errors)), _figure("mean_error", all_errors)]
    figures += [_figure("in_interval", np.array(inside))] if len(inside) == len(errors) else []
    return Score(len(errors), tuple(figures), unknown=tuple(sorted(unknown)[:CLASSES_MOST]))


def _number(text: str) -> float | None:
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        return None
    return value if np.isfinite(value) else None


# --- masks and points -----------------------------------------------------------------------------


def _score_regions(measured: Sequence[Mapping[str, Any]]) -> Score:
    """Over the pixels of all pictures together, as is usual: a class that is rare in each counts as the others do."""
    all_names = list(dict.fromkeys(name for one in measured for name in one["classes"]))
    counts = np.array([[one["classes"].get(name, (0, 0, 0)) for name in all_names] for one in measured], np.float64)
    totals = counts.sum(0)
    order = np.argsort(-(totals[:, 0] + totals[:, 2]), kind="stable")  # the class that takes most comes first
    names = tuple(all_names[at] for at in order)
    matrix = tuple(tuple(int(number) for number in row) for row in totals[order][:CLASSES_MOST])
    figures = (_interval("mean_iou", counts, _mean_iou), _interval("pixel_accuracy", counts, _pixel_accuracy))
    return Score(len(measured), figures, names[:CLASSES_MOST], PICKED, matrix)


def _mean_iou(mean: Array) -> float:
    """Of the classes that there are in truth."""
    hits, wrong, missed = mean[mean[:, 0] + mean[:, 2] > 0].T
    return float(np.mean(hits / (hits + wrong + missed)))


def _pixel_accuracy(mean: Array) -> float:
    hits, _, missed = mean.sum(0)
    return float(hits / (hits + missed))


def _score_points(measured: Sequence[Mapping[str, Any]]) -> Score:
    """Distances of the points that were found; the share of all points that lie near, those not found being far."""
    far = [[one for one in each["points"].values() if one is not None] for each in measured]
    near = [
        np.mean([one is not None and one <= NEAR * each["side"] for one in each["points"].values()])
        for each in measured
    ]
    found = np.array([float(bool(each)) for each in far])
    errors = np.array([np.mean(each) for each in far if each])
    figures = [_figure("mean_error_px", errors)] if len(errors) else []
    return Score(len(measured), (*figures, _figure("near_points", np.array(near)), _figure("found", found)))


def _score_boxes(measured: Sequence[Mapping[str, Any]]) -> Score:
    """Over the boxes of all pictures together."""
    names = list(dict.fromkeys(name for one in measured for name in one["boxes"]))
    counts = np.array([[one["boxes"].get(name, (0, 0, 0)) for name in names] for one in measured], np.float64)
    figures = (_interval("precision", counts, _precision), _interval("recall", counts, _recall))
    matrix = tuple(tuple(int(number) for number in row) for row in counts.sum(0)[:CLASSES_MOST])
    return Score(len(measured), figures, tuple(names[:CLASSES_MOST]), PICKED, matrix)


def _precision(mean: Array) -> float:
    hits, wrong, _ = mean.sum(0)
    return float(hits / (hits + wrong)) if hits + wrong else 0.0


def _recall(mean: Array) -> float:
    hits, _, missed = mean.sum(0)
    return float(hits / (hits + missed)) if hits + missed else 0.0


# --- intervals ------------------------------------------------------------------------------------


def _figure(name: str, values: Array) -> Figure:
    """A mean over pictures. Resamples would say of seven right ones out of seven that none will ever be wrong."""
    if np.isin(values, (0, 1)).all():
        return Figure(name, round(float(values.mean()), 6), *_wilson(float(values.mean()), len(values)))
    return _interval(name, values[:, None], lambda mean: float(mean[0]))


def _wilson(share: float, count: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson 1927)."""
    z = 1.959964
    middle, half = share + z**2 / (2 * count), z * (share * (1 - share) / count + z**2 / (4 * count**2)) ** 0.5
    low, high = ((middle + side * half) / (1 + z**2 / count) for side in (-1, 1))
    return round(max(0.0, low), 6), round(min(1.0, high), 6)


def _interval(name: str, counts: Array, of_mean: Any) -> Figure:
    """A figure of means, and where it lies for 95 % of resamples of the pictures."""
    generator, flat = np.random.default_rng(0), counts.reshape(len(counts), -1)
    means = []
    for _ in range(RESAMPLES):  # one after the other: all at once would be gigabytes for ten thousand pictures
        means.append(flat[generator.integers(0, len(flat), len(flat))].mean(0).reshape(counts.shape[1:]))
    low, high = np.nanpercentile([of_mean(mean) for mean in means], [2.5, 97.5])
    return Figure(name, round(of_mean(counts.mean(0)), 6), round(float(low), 6), round(float(high), 6))
