"""An answer held against a true mask, true points or true boxes: counts and distances that add up over pictures."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hub.decoding.decode import ImageLimits, decode_ids
from hub.errors import HubError, InputError
from hub.jobs.reading import read_answer
from hub.jobs.records import Reading
from hub.jobs.scores import plain_name
from hub.results.boxes import count_hits
from hub.results.result import Result
from hub.spec import Boxes, Demo, Mask
from hub.texts import Sentence, sentence
from hub.weights.store import WeightsStore

IDS = 256
NOT_HELD = "It was not held against what is true of it. {why}"
X, Y = ("x_px", "x"), ("y_px", "y")  # columns of a table of points


def mask_output(demo: Demo) -> str:
    """The output that gives every pixel a class; empty: the page has none."""
    return next((field.name for field in demo.outputs if isinstance(field, Mask)), "")


def read_against(
    demo: Demo, result: Result, against: str, weights: WeightsStore, read: Callable[[str], bytes], limits: ImageLimits
) -> tuple[Reading, Sentence | str]:  # fmt: skip
    """What the answer says, with how far it is from a true mask or true points; and what was wrong with those.

    `weights` know the names of classes, `read` gets the file of a mask.
    """
    reading = read_answer(demo, result)
    if not against:
        return reading, ""
    try:
        name = result.receipt.weights
        config = weights.obtain(name).config if name else {}
        measured = measure(demo, result, config, against, read, limits)
    except HubError as error:
        return reading, sentence(NOT_HELD, why=error.message)
    return replace(reading, measured=measured, numbers={**in_a_number(measured), **reading.numbers}), ""


def measure(
    demo: Demo, result: Result, config: Mapping[str, Any], against: str, read: Callable[[str], bytes],
    limits: ImageLimits,
) -> dict[str, Any]:  # fmt: skip
    """What `Reading.measured` holds: see `measure_mask`, `measure_points`, `measure_boxes`.

    `against`: points or boxes as JSON, or a mask that `read` gets. Raises InputError that says what is wrong with it.
    """
    if against.startswith("{"):
        true = json.loads(against)
        if "points" in true:
            return measure_points(result.values, true["points"], config.get("_points", ()))
        return measure_boxes(demo, result.values, true["boxes"])
    pictures = result.pictures.get(mask_output(demo), ())
    if not pictures:
        raise InputError("The answer has no mask.")
    found = decode_ids(pictures[0].data, limits)
    return measure_mask(np.asarray(found), decode_ids(read(against), limits), class_names(config))


def class_names(config: Mapping[str, Any]) -> dict[int, str]:
    """The names of class ids, as far as the weights say them."""
    classes, of_ids = config.get("_classes"), config.get("id2label")
    if isinstance(classes, Sequence) and not isinstance(classes, str):
        return {n: str(one["name"] if isinstance(one, Mapping) else one) for n, one in enumerate(classes)}
    return {int(n): str(name) for n, name in of_ids.items()} if isinstance(of_ids, Mapping) else {}


def measure_mask(found: NDArray[np.uint8], mask: Image.Image, names: Mapping[int, str]) -> dict[str, Any]:
    """`{"classes": {name: [pixels that are rightly it, wrongly it, missed]}}`, of ids [height, width].

    Pixels that the mask gives no class of the page are left out. Raises InputError for a mask of another shape.
    """
    height, width = found.shape
    if abs(mask.width * height - mask.height * width) > max(width, height, mask.width, mask.height):
        raise InputError(
            "The true mask has {given} pixels, the picture {width} x {height}.",
            given=f"{mask.width} x {mask.height}", width=width, height=height,
        )  # fmt: skip
    true = np.asarray(mask.resize((width, height), Image.Resampling.NEAREST) if mask.size != (width, height) else mask)
    pairs = np.bincount(true.astype(np.uint16).ravel() * IDS + found.ravel(), minlength=IDS * IDS).reshape(IDS, IDS)
    known = np.array([n in names if names else n < IDS - 1 for n in range(IDS)])
    pairs[~known] = 0
    if not pairs.any():
        raise InputError("The true mask has no pixel with a number of a class: {names}.", names=_listed(names))
    hits, of_true, of_found = pairs.diagonal(), pairs.sum(1), pairs.sum(0)
    used = np.flatnonzero(of_true + of_found)
    return {
        "classes": {
            names.get(int(n), str(n)): [int(hits[n]), int(of_found[n] - hits[n]), int(of_true[n] - hits[n])]
            for n in used
        }
    }


def _listed(names: Mapping[int, str]) -> str:
    return ", ".join(f"{n} {name}" for n, name in [*names.items()][:30]) or f"0 - {IDS - 2}"


def measure_points(
    values: Mapping[str, Any], true: Mapping[str, Sequence[float]], names: Sequence[str] = ()
) -> dict[str, Any]:
    """`{"points": {name: distance in px, None where none was found}, "side": px}`.

    `side` is the longer side of the box around the true points, by which distances are compared between pictures.
    `names`: of the points as the weights have them, in the order of the page's table.
    """
    found = _points(values)
    if len(names) == len(found) and {*names} & {*true}:
        found = dict(zip(names, found.values(), strict=True))
    pairs = {name: _named(name, found) for name in true}
    if found and len(found) == len(true) and not any(pairs.values()):
        pairs = dict(zip(true, found.values(), strict=True))  # other names, and as many: in the order of both
    if found and not any(pairs.values()):
        raise InputError("None of the true points has a name of the page's: {names}.", names=", ".join(found))
    far = {
        name: None if place is None else round(float(np.hypot(place[0] - true[name][0], place[1] - true[name][1])), 3)
        for name, place in pairs.items()
    }
    return {"points": far, "side": round(float(np.ptp(np.array([*true.values()], np.float64), axis=0).max()), 3)}


def measure_boxes(demo: Demo, values: Mapping[str, Any], true: Sequence[tuple[str, Sequence[float]]]) -> dict[str, Any]:
    """`{"boxes": {label: [boxes that are right, wrong, missed]}}`; right is one that half overlaps a true one."""
    name = next((field.name for field in demo.outputs if isinstance(field, Boxes)), "")
    if name not in values:
        raise InputError("The answer has no boxes.")
    found = [(plain_name(box["label"]), box) for box in values[name]["boxes"]]  # surest first
    labels = {plain_name(box["label"]): box["label"] for _, box in found}
    counts = {}
    for plain in dict.fromkeys([*(plain_name(label) for label, _ in true), *labels]):
        ours = [(box["x0"], box["y0"], box["x1"], box["y1"]) for label, box in found if label == plain]
        theirs = [box for label, box in true if plain_name(label) == plain]
        hits = count_hits(ours, theirs)
        counts[labels.get(plain, plain)] = [hits, len(ours) - hits, len(theirs) - hits]
    return {"boxes": counts}


def _points(values: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """The answer's points by name: the table that has a column of words, of x and of y."""
    for rows in values.values():
        if not (isinstance(rows, list) and rows and isinstance(rows[0], dict)):
            continue
        x, y = (next((name for name in names if name in rows[0]), None) for names in (X, Y))
        name = next((key for key, value in rows[0].items() if isinstance(value, str) and key != "colour"), None)
        if x and y and name:
            return {str(row[name]): (float(row[x]), float(row[y])) for row in rows}
    return {}


def _named(name: str, found: Mapping[str, tuple[float, float]]) -> tuple[float, float] | None:
    """`tip_index` is `Index tip`: all of its words are in that name."""
    words = _words(name)
    return next((place for other, place in found.items() if words <= _words(other)), None)


def _words(name: str) -> set[str]:
    return set(re.split(r"[\s_-]", name.casefold())) - {""}


def in_a_number(measured: Mapping[str, Any]) -> dict[str, float]:
    """What a row of the table says of it."""
    if "classes" in measured:
        counts = np.array([*measured["classes"].values()])
        return {"pixel accuracy": round(float(counts[:, 0].sum() / (counts[:, 0] + counts[:, 2]).sum()), 6)}
    if "boxes" in measured:
        _, wrong, missed = np.array([[0, 0, 0], *measured["boxes"].values()]).sum(0)
        return {"wrong boxes": float(wrong), "missed boxes": float(missed)}
    far = [one for one in measured.get("points", {}).values() if one is not None]
    return {"mean error px": round(float(np.mean(far)), 6)} if far else {}
