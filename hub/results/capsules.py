"""Run capsules inside PNG files: how a picture says what made it, and is read back.

Pictures of galleries carry theirs in a text chunk, as other makers of pictures do; the pixels are not touched. What is
shared by link goes without, because there people may leave a prompt out.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hub.errors import InputError
from hub.results.result import Picture
from hub.spec import Demo, Gallery

KEYWORD = b"demo-hub"
SIGNATURE = b"\x89PNG\r\n\x1a\n"
MOST_BYTES = 1_000_000  # of the text of one capsule; a prompt has at most some thousand characters


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
    for kind, content in _chunks(data):
        if kind == b"iTXt" and content.startswith(KEYWORD + b"\0") and len(content) <= MOST_BYTES:
            try:
                found = json.loads(content.split(b"\0", 5)[-1])
                capsule, number = found["capsule"], found["picture"]
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
    if picture.media_type != "image/png" or KEYWORD not in picture.data[:MOST_BYTES]:
        return picture
    kept = [_chunk(kind, content) for kind, content in _chunks(picture.data) if not content.startswith(KEYWORD + b"\0")]
    return replace(picture, data=SIGNATURE + b"".join(kept))


def _stamped(picture: Picture, capsule_json: str, number: int, remarks: Sequence[str]) -> Picture:
    if picture.media_type != "image/png":
        return picture
    told = {"remarks": [*map(str, remarks)]} if remarks else {}
    content = {"capsule": json.loads(capsule_json), "picture": number, **told}
    text = json.dumps(content, ensure_ascii=False, sort_keys=True)
    # Keyword, not compressed, no language, no translation, then the text.
    chunk = _chunk(b"iTXt", KEYWORD + b"\0\0\0\0\0" + text.encode())
    after = len(SIGNATURE) + 25  # IHDR comes first and always has 13 bytes
    return replace(picture, data=picture.data[:after] + chunk + picture.data[after:])


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Chunks of a PNG file as far as it is whole; nothing of any other file."""
    place = len(SIGNATURE)
    if not data.startswith(SIGNATURE):
        return
    while place + 12 <= len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        if place + 12 + length > len(data):
            return
        yield data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        place += 12 + length
