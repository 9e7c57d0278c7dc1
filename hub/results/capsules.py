"""Run capsules inside PNG files: how a picture says what made it, and is read back.

Pictures of galleries carry theirs in a text chunk, as other makers of pictures do; the pixels are not touched. What is
shared by link goes without, because there people may leave a prompt out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hub.errors import InputError
from hub.results import png
from hub.results.result import Picture
from hub.spec import Demo, Gallery

KEYWORD = b"demo-hub"


def stamped(
    demo: Demo, pictures: Mapping[str, tuple[Picture, ...]], capsule_json: str, remarks: Sequence[str] = ()
) -> Mapping[str, tuple[Picture, ...]]:
    """The pictures of a result, those of galleries with the capsule, their number and the remarks in it."""
    galleries = {f.name for f in demo.outputs if isinstance(f, Gallery)}
    return {
        name: tuple(_stamped(picture, capsule_json, number, remarks) for number, picture in enumerate(group))
        if name in galleries
        else group
        for name, group in pictures.items()
    }


def read(data: bytes, field: str | None = None) -> tuple[dict[str, Any], int]:
    """The capsule in a PNG file and the picture's number. Raises InputError where there is none."""
    for text in png.find_texts(data, KEYWORD):
        try:
            stamp = json.loads(text)
            capsule, number = stamp["capsule"], stamp["picture"]
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
        if isinstance(capsule, dict) and isinstance(capsule.get("parameters"), dict) and isinstance(number, int):
            return capsule, number
    raise InputError(
        "This file has no settings in it. A PNG that was made here has them, unless another program wrote it anew.",
        field=field,
    )


def without(picture: Picture) -> Picture:
    """The same picture without its capsule."""
    if picture.media_type != "image/png" or KEYWORD not in picture.data[: png.MOST_BYTES]:
        return picture
    return replace(picture, data=png.remove_texts(picture.data, KEYWORD))


def _stamped(picture: Picture, capsule_json: str, number: int, remarks: Sequence[str]) -> Picture:
    if picture.media_type != "image/png":
        return picture
    more = {"remarks": [*map(str, remarks)]} if remarks else {}
    stamp = {"capsule": json.loads(capsule_json), "picture": number, **more}
    return replace(picture, data=add_stamp(picture.data, stamp))


def add_stamp(data: bytes, stamp: Mapping[str, Any]) -> bytes:
    """A PNG file with what it says of itself: a capsule, the picture's number, and what else there is to say."""
    return png.add_text(data, KEYWORD, json.dumps(stamp, ensure_ascii=False, sort_keys=True))
