"""What is wrong with the fields of a declaration, each with its fix."""

from __future__ import annotations

import math
import re

from hub.errors import InputError
from hub.pages import inputs
from hub.spec import (
    AudioInput,
    Choice,
    Choices,
    Demo,
    ImageInput,
    ImageOutput,
    Input,
    Json,
    Labels,
    Number,
    Slider,
    Text,
    Toggle,
    VideoInput,
)  # fmt: skip

SECONDS_MOST, FRAMES_MOST = 600, 1000  # of a video or sound; of the frames that are looked at
EXACT = 2**53  # up to which JSON has every whole number
TAG = re.compile(r"[^\W_A-Z](?:[\w -]{0,38}[^\W_])?")  # one or a few words


def field_problems(demo: Demo) -> list[str]:
    """Of all inputs, then of all outputs; empty when they are valid. Names are checked elsewhere."""
    texts = []
    for entry in demo.inputs:
        texts += _input_problems(entry)
        if isinstance(entry, Slider) and entry.default_from and not demo.weights:
            texts.append(
                f"{entry.name}: default_from names a number in the weights' config.json, and this demo has no weights."
            )
        if isinstance(entry, ImageInput) and entry.reduced_for and not demo.weights:
            texts.append(
                f"{entry.name}: reduced_for names a list in the weights' config.json, and this demo has no weights."
            )
        if isinstance(entry, Choice | Choices) and entry.options_from and not demo.weights:
            texts.append(
                f"{entry.name}: options_from names a list in the weights' config.json, and this demo has no weights."
            )
    if demo.similar and not any(isinstance(f, ImageInput) for f in demo.inputs):
        texts.append("similar=True is for a demo with an image input.")
    if not isinstance(demo.tags, tuple) or not all(isinstance(tag, str) and TAG.fullmatch(tag) for tag in demo.tags):
        texts.append("tags must be a tuple of short words, such as ('faces',).")
    return texts + _more_problems(demo) + _output_problems(demo) + ([] if texts else _live_problems(demo))


def _input_problems(entry: Input) -> list[str]:
    if isinstance(entry, Slider):
        numbers = (entry.minimum, entry.maximum, entry.default, entry.step)
        if not all(isinstance(n, int | float) and math.isfinite(n) for n in numbers):
            return [f"{entry.name}: minimum, maximum, default and step must be finite numbers, got {numbers}."]
        if not entry.minimum < entry.maximum:
            return [f"{entry.name}: minimum {entry.minimum} must be below maximum {entry.maximum}."]
        if not entry.minimum <= entry.default <= entry.maximum:
            return [f"{entry.name}: default {entry.default} is not between {entry.minimum} and {entry.maximum}."]
        if not 0 < entry.step <= entry.maximum - entry.minimum:
            return [f"{entry.name}: step {entry.step} must be above 0 and fit into the range."]
        if not isinstance(entry.default_from, str):
            return [f"{entry.name}: default_from must be a key of config.json, got {entry.default_from!r}."]
    if isinstance(entry, Number):
        return _number_problems(entry)
    if isinstance(entry, Toggle) and not isinstance(entry.default, bool):
        return [f"{entry.name}: default must be True or False, got {entry.default!r}."]
    if isinstance(entry, ImageInput) and not isinstance(entry.reduced_for, str):
        return [f"{entry.name}: reduced_for must be keys of config.json, got {entry.reduced_for!r}."]
    if isinstance(entry, VideoInput | AudioInput):
        return _played_problems(entry)
    if isinstance(entry, Choice | Choices):
        return _option_problems(entry)
    if isinstance(entry, Text):
        if entry.max_chars < 1:
            return [f"{entry.name}: max_chars must be 1 or more, got {entry.max_chars}."]
        if entry.default is not None and len(entry.default) > entry.max_chars:
            return [f"{entry.name}: the default has more than max_chars = {entry.max_chars} characters."]
    return []


def _played_problems(entry: VideoInput | AudioInput) -> list[str]:
    if not _is_between(entry.max_seconds, 0.1, SECONDS_MOST):
        return [f"{entry.name}: max_seconds must be between 0.1 and {SECONDS_MOST}, got {entry.max_seconds!r}."]
    if isinstance(entry, AudioInput):
        if not isinstance(entry.sample_rate, int) or not _is_between(entry.sample_rate, 4_000, 192_000):
            rate = entry.sample_rate
            return [f"{entry.name}: sample_rate must be a whole number from 4000 to 192000, got {rate!r}."]
        return []
    if not _is_between(entry.rate, 0.1, 30) or entry.rate * entry.max_seconds > FRAMES_MOST:
        return [
            f"{entry.name}: rate must be between 0.1 and 30, and times max_seconds at most {FRAMES_MOST} frames, "
            f"got {entry.rate!r}."
        ]
    return []


def _is_between(value: object, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _number_problems(entry: Number) -> list[str]:
    numbers = [entry.minimum, entry.maximum, *([] if entry.default is None else [entry.default])]
    if not all(isinstance(n, int | float) and not isinstance(n, bool) and math.isfinite(n) for n in numbers):
        return [f"{entry.name}: minimum, maximum and default must be finite numbers, got {tuple(numbers)}."]
    if entry.integer and not all(n == int(n) and abs(n) <= EXACT for n in numbers):
        return [f"{entry.name}: with integer=True all must be whole numbers up to 2**53, got {tuple(numbers)}."]
    if not entry.minimum < entry.maximum:
        return [f"{entry.name}: minimum {entry.minimum} must be below maximum {entry.maximum}."]
    if entry.default is not None and not entry.minimum <= entry.default <= entry.maximum:
        return [f"{entry.name}: default {entry.default} is not between {entry.minimum} and {entry.maximum}."]
    return []


def _option_problems(entry: Choice | Choices) -> list[str]:
    name, options = entry.name, entry.options
    if not isinstance(options, tuple) or not all(isinstance(option, str) for option in options):
        return [f"{name}: options must be a tuple of texts, such as ('low', 'high'), got {options!r}."]
    if not isinstance(entry.options_from, str):
        return [f"{name}: options_from must be a key of config.json, got {entry.options_from!r}."]
    if len(set(options)) != len(options) or (len(options) < 2 and not entry.options_from):
        return [f"{name}: options must be at least two different texts, got {options!r}."]
    if "" in options:
        return [f"{name}: an option is empty; an empty text asks for the default."]
    why = " (other options depend on the weights)" if entry.options_from else ""
    if isinstance(entry, Choice):
        if entry.default not in options:
            return [f"{name}: default {entry.default!r} is not one of {options!r}{why}."]
        return []
    if not isinstance(entry.default, tuple):
        return [f"{name}: default must be a tuple of options, such as (), got {entry.default!r}."]
    stranger = next((option for option in entry.default if option not in options), None)
    if stranger is not None:
        return [f"{name}: default {stranger!r} is not one of {options!r}{why}."]
    comma = next((option for option in options if "," in option), None)
    if comma is not None:
        return [f"{name}: the option {comma!r} has a comma, which separates options in a text; leave it out."]
    return []


def _output_problems(demo: Demo) -> list[str]:
    texts = []
    pictures = [f.name for f in demo.inputs if isinstance(f, ImageInput)]
    numbers = [f.name for f in demo.outputs if isinstance(f, Json) and not f.table and not f.optional]
    for entry in demo.outputs:
        if isinstance(entry, ImageOutput) and entry.compare and entry.compare not in pictures:
            texts.append(
                f"{entry.name}: compare={entry.compare!r} is not an image input; there is: {_quoted_names(pictures)}."
            )
        if isinstance(entry, Json) and entry.corrects and not entry.table:
            texts.append(f"{entry.name}: corrects names a column, and this output is no table.")
        if isinstance(entry, Labels) and entry.line and entry.line not in numbers:
            texts.append(
                f"{entry.name}: line={entry.line!r} is not a Json output (no table, not optional) "
                f"that holds a number; there is: {_quoted_names(numbers)}."
            )
    return texts


def _more_problems(demo: Demo) -> list[str]:
    """Of the inputs in the fold: what must be given stays in sight."""
    entries = {entry.name: entry for entry in demo.inputs}
    texts = []
    for name in demo.more:
        if name not in entries:
            texts.append(f"more: {name!r} is not an input; there is: {_quoted_names([*entries])}.")
        elif entries[name].required:
            texts.append(f"more: {name!r} must be given, so it has to be in sight; give it a default or take it out.")
    return texts


def _live_problems(demo: Demo) -> list[str]:
    """`live` fixes inputs of a page with a camera; each must be one that the page would take."""
    if not demo.live:
        return []
    if sum(isinstance(f, ImageInput) for f in demo.inputs) != 1 or not any(
        isinstance(f, ImageInput) and f.webcam for f in demo.inputs
    ):
        return ["live is for a demo with one image input that has webcam=True."]
    try:
        inputs.parameters(demo, demo.live)
    except InputError as error:
        return [f"live: {error.message}"]
    return []


def _quoted_names(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names) or "none"
