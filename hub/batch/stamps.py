"""What a grid's picture says of itself: the run capsule, as those of pages do, and its line of the manifest."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from hub.decoding import budget
from hub.results import capsules, png
from hub.results.result import Picture

GRID = "grid"  # beside what hub/results/capsules.py writes and reads


def with_record(picture: Picture, capsule: Mapping[str, Any], number: int, record: Mapping[str, Any]) -> bytes:
    """A PNG file of the same pixels with `capsule`, the picture's number in its cell, and the cell's `record` in it."""
    bare = capsules.without(_as_png(picture)).data
    return capsules.add_stamp(bare, {"capsule": capsule, "picture": number, GRID: record})


def record_of(data: bytes) -> tuple[dict[str, Any], int] | None:
    """The record and the picture's number; None for a picture of no grid, or one that cannot be read."""
    for text in png.find_texts(data, capsules.KEYWORD):
        with suppress(KeyError, TypeError, ValueError, RecursionError):
            stamp = json.loads(text)
            return dict(stamp[GRID]), int(stamp["picture"])
    return None


def _as_png(picture: Picture) -> Picture:
    if picture.media_type == "image/png":
        return picture
    file = io.BytesIO()
    with budget.opened(picture.data) as image:
        image.save(file, "PNG", compress_level=1)
    return Picture(file.getvalue(), "image/png", picture.width, picture.height, picture.caption)
