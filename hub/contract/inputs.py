"""What a page is asked for its contract: usual values, the ends of ranges, pictures of all kinds, and wrong values."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from hub.decoding.decode import ImageLimits
from hub.hub import Hub
from hub.pages import inputs
from hub.results import sounds, videos
from hub.spec import (
    AudioInput,
    Choice,
    Choices,
    Demo,
    ImageInput,
    Marks,
    Number,
    PaintedMask,
    Seed,
    Slider,
    Text,
    Toggle,
    VideoInput,
)
from hub.weights.store import EMPTY


def picture(width: int = 64, height: int = 48, seed: int = 0, mode: str = "RGB") -> Image.Image:
    """A picture with some structure: a gradient with noise."""
    noise = np.random.default_rng(seed).integers(0, 40, (height, width, 3))
    ramp = np.linspace(0, 215, width)[None, :, None]
    return Image.fromarray((noise + ramp).astype(np.uint8)).convert(mode)


def video_file(size: tuple[int, int] = (64, 48), seconds: float = 2.0, rate: float = 10) -> bytes:
    """An MP4 that grows from black to white."""
    count = round(seconds * rate)
    frames = (Image.new("RGB", size, (round(255 * n / max(1, count - 1)),) * 3) for n in range(count))
    return videos.write((frames, rate))[1][1].data


def sound_file(seconds: float = 1.0, rate: int = 8_000, hertz: float = 440) -> bytes:
    """A WAV of one tone, at half the loudness there is."""
    at = np.arange(round(seconds * rate)) / rate
    return sounds.write((0.5 * np.sin(2 * np.pi * hertz * at), rate))[1][1].data


SHAPES: dict[str, Callable[[], Image.Image]] = {
    "landscape": lambda: picture(320, 180),
    "portrait": lambda: picture(150, 330),
    "tiny": lambda: picture(8, 8),
    "odd": lambda: picture(101, 67),
    "strip": lambda: picture(600, 12),
    "grey": lambda: picture(64, 48, mode="L"),
    "alpha": lambda: picture(64, 48, mode="RGBA"),
    "one colour": lambda: Image.new("RGB", (64, 64), "black"),
}


def usual_inputs(demo: Demo, image: Image.Image | None = None) -> dict[str, Any]:
    """Every input by name: the picture, defaults, a text where one is asked for, and a fixed seed."""
    values: dict[str, Any] = {}
    for field in demo.inputs:
        if isinstance(field, ImageInput):
            values[field.name] = image or (picture(160, 120) if field.required else None)
        elif isinstance(field, Marks | PaintedMask):
            values[field.name] = _drawn(field, values[field.on])
        elif isinstance(field, VideoInput):
            values[field.name] = video_file((160, 120), seconds=0.6)
        elif isinstance(field, AudioInput):
            values[field.name] = sound_file()
        elif isinstance(field, Seed):
            values[field.name] = 7
        elif isinstance(field, Text):
            values[field.name] = field.default or "a red car"[: field.max_chars]
        elif isinstance(field, Number):
            values[field.name] = field.minimum if field.default is None else field.default
        else:
            values[field.name] = field.default
    return values


def _drawn(field: Marks | PaintedMask, image: Image.Image | None) -> Any:
    """What is drawn on the middle of a picture."""
    if image is None:
        return None
    left, top, right, low = (share * side for share, side in zip((0.25, 0.25, 0.75, 0.75), image.size * 2, strict=True))
    if isinstance(field, PaintedMask):
        mask = Image.new("L", image.size)
        mask.paste(255, (int(left), int(top), int(right), int(low)))
        return mask
    return [[left, top, right, low]] if field.kind == "boxes" else [[left, top]]


def quick_inputs(demo: Demo, image: Image.Image | None = None) -> dict[str, Any]:
    """`usual_inputs` with what live frames are given, the page's quickest settings; others are several such passes."""
    few = {"steps": 4} if any(field.name == "steps" for field in demo.inputs) else {}
    return {**usual_inputs(demo, image), **few, **demo.live}


def opened(demo: Demo, checked: inputs.Inputs) -> dict[str, Any]:
    """Inputs as `prepare` and `present` get them."""
    fields = {field.name: field for field in demo.inputs}
    return inputs.decoded(checked.parameters, checked.pictures, ImageLimits(), fields=fields)


def bad_values(field: Any) -> list[Any]:
    """What an input must refuse."""
    wrong: list[Any] = [["a list"], {"a": 1}]
    if isinstance(field, Marks):
        return [*wrong, *_bad_marks(field)]
    if isinstance(field, ImageInput | PaintedMask):
        missing = [None, ""] if field.required else []
        return [*wrong, *missing, 5, b"", b"not a picture", b"\x89PNG\r\n\x1a\n cut off"]
    if isinstance(field, VideoInput | AudioInput):
        return [*wrong, *_bad_files(field)]
    if isinstance(field, Slider):
        return [*wrong, True, "much", "nan", float("nan"), float("inf"), field.minimum - 1, field.maximum + 1, 10**400]
    if isinstance(field, Number):
        needed = [None, ""] if field.required else []
        return [*wrong, *needed, True, "much", "nan", float("inf"), field.minimum - 1, field.maximum + 1, 10**400]
    if isinstance(field, Toggle):
        return [*wrong, "perhaps", 2, 0.5]
    if isinstance(field, Choice):
        return [*wrong, True, 1, "no such option"]
    if isinstance(field, Choices):
        return [*wrong, [1], True, 1, "no such option", [*field.default, "no such option"]]
    if isinstance(field, Seed):
        return [*wrong, True, -2, 2**32, 0.5, "x", float("nan")]
    if not isinstance(field, Text):
        return wrong
    needed = [None, "  "] if field.required else []
    return [*wrong, *needed, 5, True, "x" * (field.max_chars + 1), "\0", "\ud800"]


def _bad_marks(field: Marks) -> list[Any]:
    """None, no list, no numbers, too many, outside of the picture."""
    missing: list[Any] = [None, "", []] if field.required else []
    one = [9, 9, 20, 20] if field.kind == "boxes" else [9, 9]
    wrong = [[1], [*one[:-1], "x"], [*one[:-1], float("nan")], [*one[:-1], 10**400], [*one, 1, 1], [-999] * len(one)]
    turned = [[[20, 20, 9, 9]]] if field.kind == "boxes" else [[[9, 9, 2]]]
    return [*missing, 5, True, "x", "[" * 5000, *([mark] for mark in wrong), *turned, [one] * (field.most + 1)]


def _bad_files(field: VideoInput | AudioInput) -> list[Any]:
    """No file, no file of that kind, one that is cut off, one that is too long."""
    missing, long = [None, ""] if field.required else [], field.max_seconds + 1
    other = video_file(seconds=long, rate=2) if isinstance(field, VideoInput) else sound_file(long)
    cut = video_file()[:900] if isinstance(field, VideoInput) else b"fLaC cut off"
    file = io.BytesIO()
    picture(16, 16).save(file, "PNG")
    return [*missing, 5, b"", b"neither", file.getvalue(), cut, other]


def ends(field: Any, hub: Hub, weights: str | None) -> list[Any]:
    """The ends of a range, or every option."""
    if isinstance(field, Slider | Number):
        return [field.minimum, field.maximum]
    if isinstance(field, Toggle):
        return [False, True]
    if not isinstance(field, Choice | Choices):
        return []
    known = inputs.options(field, weights or "", hub.weights.find(weights).config if weights else EMPTY)
    return list(known) if isinstance(field, Choice) else [[], *([option] for option in known), list(known)]
