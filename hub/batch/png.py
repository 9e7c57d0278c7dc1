"""What a grid's picture says of itself: the run capsule, as those of pages do, and its line of the manifest."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any

from PIL import Image

from hub.decoding import budget
from hub.results import capsules
from hub.results.result import Picture

GRID = "grid"  # beside what hub/results/capsules.py writes and reads
AFTER_HEADER = len(capsules.SIGNATURE) + 25


def with_record(picture: Picture, capsule: Mapping[str, Any], number: int, record: Mapping[str, Any]) -> bytes:
    """A PNG file of the same pixels with `capsule`, the picture's number in its cell, and the cell's `record` in it."""
    png = capsules.without(_as_png(picture)).data
    text = json.dumps({"capsule": capsule, "picture": number, GRID: record}, ensure_ascii=False, sort_keys=True)
    # As in hub/results/capsules.py: keyword, not compressed, no language, no translation, then the text.
    content = b"iTXt" + capsules.KEYWORD + b"\0\0\0\0\0" + text.encode()
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    return png[:AFTER_HEADER] + chunk + png[AFTER_HEADER:]


def record_of(png: bytes) -> tuple[dict[str, Any], int] | None:
    """The record and the picture's number; None for a picture of no grid, or one that cannot be read."""
    try:
        with Image.open(io.BytesIO(png)) as image:
            told = json.loads(image.info[capsules.KEYWORD.decode()])
        return dict(told[GRID]), int(told["picture"])
    except (OSError, KeyError, TypeError, ValueError, RecursionError):
        return None


def _as_png(picture: Picture) -> Picture:
    if picture.media_type == "image/png":
        return picture
    file = io.BytesIO()
    with budget.opened(picture.data) as image:
        image.save(file, "PNG", compress_level=1)
    return Picture(file.getvalue(), "image/png", picture.width, picture.height, picture.caption)
