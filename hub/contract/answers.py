"""What a page's answers must be, and how far two may be apart."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from hub.decoding.decode import ImageLimits
from hub.decoding.played import audio, video
from hub.pages.kinds import written_output
from hub.results.result import Picture, Result
from hub.spec import (
    AudioOutput,
    Boxes,
    Demo,
    Gallery,
    ImageOutput,
    Json,
    Labels,
    Mask,
    Output,
    Plot,
    Progress,
    TextOutput,
    VideoOutput,
)

# How far a batch may be from single runs, by the dtype of the model.
PROBABILITY = {"float32": 1e-4, "bfloat16": 0.02}
NUMBER = {"float32": 0.01, "bfloat16": 1.0}  # in JSON: percent, degrees, years
EQUAL_PIXELS = 0.995  # of a mask
PIXEL_LEVELS = 2.0  # mean difference of a picture


class BrokenError(Exception):
    """A rule of the contract that a page does not keep."""


def check(holds: object, text: str) -> None:
    """Raises BrokenError where something does not hold."""
    if not holds:
        raise BrokenError(text)


def check_shape(picture: Picture, size: tuple[int, int]) -> None:
    """A picture to compare has the shape of its input, to half a pixel."""
    width, height = size
    off = abs(picture.width * height - picture.height * width)
    check(off <= max(size) / 2 + 1, f"{picture.width} x {picture.height} beside {width} x {height}")


def check_outputs(demo: Demo, result: Result, sizes: Mapping[str, tuple[int, int]]) -> None:
    """All declared outputs are there, none else, each as its kind says; `sizes` are those of the input pictures."""
    values = result.values
    check(json.loads(json.dumps(values, allow_nan=False)) == values, "the values are not JSON")
    declared = {field.name for field in demo.outputs}
    needed = {field.name for field in demo.outputs if not field.optional}
    there = set(values) | set(result.pictures)
    check(needed <= there <= declared, f"outputs {sorted(there)} where {sorted(declared)} are declared")
    for field in demo.outputs:
        if field.name in there:
            _check_output(field, values.get(field.name), result.pictures.get(field.name, ()), sizes)


def _check_output(field: Output, value: Any, stored: tuple[Picture, ...], sizes: Mapping[str, tuple[int, int]]) -> None:
    name = field.name
    if isinstance(field, ImageOutput) and field.compare:
        check_shape(stored[0], sizes[field.compare])
    if isinstance(field, Labels):
        check(value and all(0 <= probability <= 1 for probability in value.values()), f"{name}: no probabilities")
    elif isinstance(field, Json):
        check(not field.table or all(isinstance(row, dict) for row in value), f"{name}: a row is no dict")
    elif isinstance(field, TextOutput):
        check(isinstance(value, str), f"{name}: no text")
    elif isinstance(field, Boxes):
        check_boxes(value, stored)
    elif isinstance(field, Plot):
        check_plot(name, value, stored)
    elif isinstance(field, VideoOutput | AudioOutput):
        check_played(field, value, stored)
    else:
        check(len(stored) == 1 or isinstance(field, Gallery), f"{name}: {len(stored)} pictures")
        for one in stored:
            with Image.open(io.BytesIO(one.data)) as image:
                check(image.size == (one.width, one.height), f"{name}: another size than is told")
                check(image.mode == ("L" if isinstance(field, Mask) else "RGB"), f"{name}: its mode is {image.mode}")
                wanted = field.format.upper() if isinstance(field, ImageOutput) else image.format
                check(image.format == wanted, f"{name}: {image.format} where {wanted} is declared")


def check_boxes(found: Mapping[str, Any], stored: tuple[Picture, ...]) -> None:
    """Boxes lie in the picture, the surest first; the drawn picture stands before the plain one of the same shape."""
    drawn, plain = stored
    check_shape(plain, (found["width"], found["height"]))
    check(drawn.height >= plain.height, "the drawn picture is smaller than the plain one")
    scores = [box["score"] for box in found["boxes"]]
    check(scores == sorted(scores, reverse=True), "the surest box does not come first")
    for box in found["boxes"]:
        across, down = 0 <= box["x0"] < box["x1"] <= found["width"], 0 <= box["y0"] < box["y1"] <= found["height"]
        check(box["label"] and 0 <= box["score"] <= 1 and across and down, f"a box that is none: {box}")


def check_plot(name: str, data: Mapping[str, Any], stored: tuple[Picture, ...]) -> None:
    """Every series has a point at each place and a colour; it is drawn for light pages and for dark ones."""
    check(data["series"].keys() == data["colours"].keys(), f"{name}: a series has no colour")
    check({len(points) for points in data["series"].values()} == {len(data["x"])}, f"{name}: a series of other length")
    corners = [np.asarray(Image.open(io.BytesIO(one.data)).convert("L"))[2, 2] for one in stored]
    check(len(corners) == 2 and corners[0] > 200 and corners[1] < 60, f"{name}: not drawn for light and for dark pages")


def check_played(field: VideoOutput | AudioOutput, facts: Mapping[str, Any], stored: tuple[Picture, ...]) -> None:
    """What is said of a video or a sound is true of its file, before which stands what it looks like."""
    still, played = stored
    with Image.open(io.BytesIO(still.data)) as image:
        check(image.size == (still.width, still.height), f"{field.name}: its still has another size than is told")
    if isinstance(field, VideoOutput):
        size = (played.width, played.height)
        check(
            played.media_type == "video/mp4" and size == (still.width, still.height),
            f"{field.name}: no MP4 of the still's size",
        )
        clip = video.read(played.data, ImageLimits(), name=field.name, max_seconds=1000, rate=60)
        check(clip.size == (facts["width"], facts["height"]), f"{field.name}: another size than is told")
        check(abs(clip.seconds - facts["seconds"]) <= 0.3, f"{field.name}: another length than is told")
        check(sum(1 for _ in clip.frames()) == facts["frames"], f"{field.name}: other frames than are told")
    else:
        rate = facts["sample_rate"]
        samples = audio.read(played.data, ImageLimits(), name=field.name, max_seconds=1000, sample_rate=rate)
        check(samples.size == round(facts["seconds"] * rate), f"{field.name}: another length than is told")


def check_step(demo: Demo, step: Any, count: int) -> None:
    """What is told on the way: how far it is, and a preview and a text so far for each of `count` items, or none."""
    check(isinstance(step, Progress), f"infer yields a {type(step).__name__}; Progress is wanted")
    check(0 <= step.step <= step.total or not step.total, f"infer tells step {step.step} of {step.total}")
    for kind, parts in (("previews", step.preview), ("texts", step.text)):
        check(parts is None or len(parts) == count, f"infer tells {parts and len(parts)} {kind} of {count} items")
    texts = [text for text in step.text or () if text is not None]
    check(all(isinstance(text, str) for text in texts), "infer tells a text that is none")
    check(not texts or written_output(demo), "infer tells a text so far, and no TextOutput is declared that it is of")


def compare(demo: Demo, dtype: str, alone: Mapping[str, Any], together: Mapping[str, Any]) -> None:
    """What `present` returned twice is equal, within what a precision allows."""
    for field in demo.outputs:
        one, other = alone.get(field.name), together.get(field.name)
        if field.optional and (one is None or other is None):
            check(one is other is None, f"{field.name} is there in one run and not in the other")
            continue
        if isinstance(field, Mask):
            equal = np.mean(np.asarray(one) == np.asarray(other))
            check(equal >= EQUAL_PIXELS, f"{field.name}: {equal:.1%} of the pixels are equal")
        elif isinstance(field, Boxes):
            rows = [[{**box, "box": list(box["box"])} for box in shown[1]] for shown in (one, other) if shown]
            check_close(field.name, rows[0], rows[1], NUMBER[dtype])
        elif isinstance(field, VideoOutput):
            continue  # a stream of frames, which `check_outputs` looks at once it is a file
        elif isinstance(field, AudioOutput):
            (samples, rate), (others, other_rate) = one or ((), 0), other or ((), 0)
            equal = rate == other_rate and np.allclose(samples, others, atol=NUMBER[dtype])
            check(equal, f"{field.name}: the sounds differ")
        elif isinstance(field, ImageOutput | Gallery):
            if isinstance(field, ImageOutput):  # with or without a caption
                one, other = ([shown if isinstance(shown, tuple) else (shown, "")] for shown in (one, other))
            for (a, _), (b, _) in zip(one or (), other or (), strict=True):
                apart = np.abs(np.asarray(a, np.float32) - np.asarray(b, np.float32)).mean()
                check(apart <= PIXEL_LEVELS, f"{field.name}: the pictures are {apart:.1f} levels apart")
        else:
            tolerance = PROBABILITY[dtype] if isinstance(field, Labels) else NUMBER[dtype]
            check_close(field.name, one, other, tolerance)


def check_close(name: str, one: Any, other: Any, tolerance: float) -> None:
    """Equal JSON, but for numbers within `tolerance`; rows of a table in any order."""
    check(type(one) is type(other), f"{name}: {type(one).__name__} in one run, {type(other).__name__} in the other")
    if isinstance(one, dict):
        check(list(one) == list(other), f"{name}: {list(one)} in one run, {list(other)} in the other")
        for key in one:
            check_close(f"{name}, {key}", one[key], other[key], tolerance)
    elif isinstance(one, list):
        check(len(one) == len(other), f"{name}: {len(one)} in one run, {len(other)} in the other")
        for a, b in zip(sorted(one, key=_text_of), sorted(other, key=_text_of), strict=True):
            check_close(name, a, b, tolerance)
    else:
        equal = abs(one - other) <= tolerance if isinstance(one, float) else one == other
        check(equal, f"{name}: {one!r} in one run, {other!r} in the other")


def _text_of(row: Any) -> str:
    """What names a row: its values that are not numbers."""
    return repr([v for v in row.values() if isinstance(v, str)] if isinstance(row, dict) else row)
