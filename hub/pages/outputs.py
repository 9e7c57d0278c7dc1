"""What a demo returned -> what is stored: checked values as JSON text, pictures encoded once."""

from __future__ import annotations

import hashlib
import json
import math
import unicodedata
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from PIL import Image

from hub.errors import HubError
from hub.images import encode as encode_image
from hub.images import encode_mask
from hub.results import boxes, plots, sounds, videos
from hub.results.result import Picture
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
    TextOutput,
    VideoOutput,
)
from hub.texts import Sentence, sentence

REMARKS, REMARKS_MOST = "remarks", 8  # what `present` may return beside the declared outputs
MEDIA_TYPES = {"png": "image/png", "jpeg": "image/jpeg"}
TEXT_CHARS = 20_000  # of a text that is an output
BESIDE_BOXES_PX = 2048  # the longer side of the picture that boxes are shown on


def split(demo: Demo, presented: Any) -> tuple[Any, list[Sentence]]:
    """What `present` returned, and what it has to say of the inputs: at most REMARKS_MOST sentences."""
    if not isinstance(presented, Mapping) or REMARKS in {f.name for f in demo.outputs}:
        return presented, []
    remarks = [
        text if isinstance(text, Sentence) else sentence("{words}", words=text) for text in presented.get(REMARKS, ())
    ]
    return {name: value for name, value in presented.items() if name != REMARKS}, remarks[:REMARKS_MOST]


def encode(slug: str, demo: Demo, presented: Any) -> tuple[str, Mapping[str, tuple[Picture, ...]]]:
    """Checks `present`'s dict against the declared outputs. Raises HubError that names the output at fault."""
    names = [f.name for f in demo.outputs]
    required = {f.name for f in demo.outputs if not f.optional}
    if not isinstance(presented, Mapping) or not required <= set(presented) <= set(names):
        given = sorted(presented) if isinstance(presented, Mapping) else type(presented).__name__
        raise HubError(
            "{slug}: present must return a dict with {names}, got {given}.", slug=slug, names=names, given=given
        )
    values: dict[str, Any] = {}
    pictures: dict[str, tuple[Picture, ...]] = {}
    for field in demo.outputs:
        value = presented.get(field.name)
        if field.optional and value is None:
            continue
        try:
            if isinstance(field, Boxes | Plot | VideoOutput | AudioOutput):
                values[field.name], pictures[field.name] = _with_pictures(field, value)
            elif isinstance(field, ImageOutput | Mask | Gallery):
                pictures[field.name] = _pictures(field, value)
            else:
                values[field.name] = _value(field, value)
        except (TypeError, ValueError, OSError) as error:  # OSError: a mode that Pillow cannot write
            raise HubError(
                "{slug}: output {name!r} is not what it declares: {reason}.", slug=slug, name=field.name, reason=error
            ) from error
    for field in demo.outputs:
        if isinstance(field, Labels) and field.line and not _is_share(values[field.line]):
            raise HubError(
                "{slug}: output {line!r} is where {name!r} draws a line; it must be a number in [0, 1], got {given!r}.",
                slug=slug,
                line=field.line,
                name=field.name,
                given=values[field.line],
            )
    return json.dumps(values, allow_nan=False, ensure_ascii=False), MappingProxyType(pictures)


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _pictures(field: Output, value: Any) -> tuple[Picture, ...]:
    if isinstance(field, Mask):
        ids = np.asarray(value)
        return (Picture(encode_mask(ids), "image/png", ids.shape[1], ids.shape[0]),)
    if isinstance(field, ImageOutput):
        image, caption = value if isinstance(value, tuple) and len(value) == 2 else (value, "")
        return (_picture(image, field.format, caption),)
    if not isinstance(value, Sequence):
        raise TypeError(f"a list of (image, caption) is wanted, got a {type(value).__name__}")
    return tuple(_picture(image, "png", caption) for image, caption in value)


def _picture(image: Any, format: Any, caption: Any) -> Picture:
    if not isinstance(image, Image.Image):
        raise TypeError(f"a PIL image is wanted, got a {type(image).__name__}")
    words = caption if isinstance(caption, Sentence) else str(caption)
    return Picture(encode_image(image, format), MEDIA_TYPES[format], image.width, image.height, words)


def _value(field: Output, value: Any) -> Any:
    if isinstance(field, Labels):
        return _labels(value)
    if isinstance(field, TextOutput):
        return _text(value)
    assert isinstance(field, Json)
    if field.table:
        if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
            raise TypeError("a table is a list of dicts")
        if value and any(list(row) != list(value[0]) for row in value):
            raise ValueError("the rows of a table must have the same columns in the same order")
    json.dumps(value, allow_nan=False)  # TypeError or ValueError names what is not JSON
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a text is wanted, got a {type(value).__name__}")
    if len(value) > TEXT_CHARS:
        raise ValueError(f"the text has {len(value)} characters; at most {TEXT_CHARS} are kept")
    return value if isinstance(value, Sentence) else clean(value)


def clean(text: str) -> str:
    """A text without half a pair, which no file can hold, and without what a terminal would act on."""
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs"))


def _with_pictures(
    field: Boxes | Plot | VideoOutput | AudioOutput, value: Any
) -> tuple[dict[str, Any], tuple[Picture, ...]]:
    """An output that is data and files: the data, and the files with what can be looked at in front."""
    if isinstance(field, Boxes):
        return _boxes(value)
    if isinstance(field, VideoOutput):
        return videos.write(value)
    if isinstance(field, AudioOutput):
        return sounds.write(value)
    data = plots.read(value, field.bars)
    return data, plots.pictures(data, plots.Looks.of(field))


def _boxes(value: Any) -> tuple[dict[str, Any], tuple[Picture, ...]]:
    """The boxes, and the picture that they are shown on: a copy that is not too large."""
    if not isinstance(value, tuple) or len(value) != 2 or not isinstance(value[0], Image.Image):
        raise TypeError("(a PIL image, a list of boxes) is wanted")
    image, entries = value
    found = boxes.read(image.width, image.height, entries)
    image = image.convert("RGB")
    image.thumbnail((BESIDE_BOXES_PX, BESIDE_BOXES_PX), Image.Resampling.LANCZOS)
    return found, (_picture(image, "jpeg", ""),)


def _labels(value: Any) -> dict[str, float]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise TypeError(f"labels are a dict of text to probability, got a {type(value).__name__}")
    labels = {name: float(probability) for name, probability in value.items()}
    for name, probability in labels.items():
        if not math.isfinite(probability) or not -1e-6 <= probability <= 1 + 1e-6:
            raise ValueError(f"{name!r} has probability {probability}, outside [0, 1]")
    ordered = sorted(labels.items(), key=lambda entry: -entry[1])
    return {name: round(min(1.0, max(0.0, probability)), 6) for name, probability in ordered}


# --- model inputs and outputs in memory -----------------------------------------------------------


def digest(item: Any) -> str:
    """A hash of an item's arrays and values; empty when it holds something that cannot be hashed safely."""
    state = hashlib.sha256()  # twice as fast as blake2b where the processor helps, as most do
    return state.hexdigest() if _hash(item, state) else ""


def _hash(item: Any, state: Any) -> bool:
    if isinstance(item, dict):
        if not all(isinstance(key, str) for key in item):
            return False
        state.update(f"{{{len(item)}".encode())
        return all(_hash(key, state) and _hash(item[key], state) for key in sorted(item))
    if isinstance(item, list | tuple):
        state.update(f"[{len(item)}".encode())
        return all(_hash(value, state) for value in item)
    if item is None or isinstance(item, str | int | float | bool):
        state.update(f"{type(item).__name__}:{item!r};".encode())
        return True
    if hasattr(item, "untyped_storage"):  # a torch tensor, of any dtype: numpy has no bfloat16
        import torch

        state.update(f"{item.dtype}{tuple(item.shape)}".encode())
        state.update(item.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        return True
    if isinstance(item, np.ndarray) and not item.dtype.hasobject:
        state.update(f"{item.dtype}{item.shape}".encode())
        state.update(np.ascontiguousarray(item).view(np.uint8).data)
        return True
    return False


def seal(output: Any) -> tuple[Any, int | None]:
    """The output with read-only arrays that own their memory, and its bytes; None when it holds something unknown.

    A view would keep the whole batch it was cut from, uncounted.
    """
    if isinstance(output, np.ndarray):
        array = output if output.flags.owndata else output.copy()
        array.flags.writeable = False
        return array, int(array.nbytes)
    if type(output) in (list, tuple):
        parts = [seal(value) for value in output]
        return type(output)(value for value, _ in parts), _total([size for _, size in parts])
    if type(output) is dict:
        parts_by_key = {key: seal(value) for key, value in output.items()}
        return {key: value for key, (value, _) in parts_by_key.items()}, _total(
            [size for _, size in parts_by_key.values()]
        )
    is_plain = output is None or isinstance(output, str | int | float | bool)
    return output, 64 + len(output) * 4 if isinstance(output, str) else 64 if is_plain else None


def _total(sizes: list[int | None]) -> int | None:
    return None if None in sizes else sum(size or 0 for size in sizes) + 64
