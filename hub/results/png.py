"""Text chunks of PNG files (iTXt), by which a picture says something of itself. Its pixels are not touched."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
AFTER_HEADER = len(SIGNATURE) + 25  # IHDR comes first and always has 13 bytes
MOST_BYTES = 1_000_000  # of one text that is read; other programs skip longer ones, too


def add_text(data: bytes, keyword: bytes, text: str) -> bytes:
    """The same file with one more text, right after its header."""
    # Keyword, not compressed, no language, no translation, then the text.
    chunk = _chunk(b"iTXt", keyword + b"\0\0\0\0\0" + text.encode())
    return data[:AFTER_HEADER] + chunk + data[AFTER_HEADER:]


def find_texts(data: bytes, keyword: bytes) -> Iterator[bytes]:
    """The texts of that keyword, in UTF-8 where `add_text` wrote them; none in what is no PNG file."""
    for kind, content in _chunks(data):
        if kind == b"iTXt" and content.startswith(keyword + b"\0") and len(content) <= MOST_BYTES:
            yield content.split(b"\0", 5)[-1]


def remove_texts(data: bytes, keyword: bytes) -> bytes:
    """The same file without any chunk of that keyword."""
    others = (_chunk(kind, content) for kind, content in _chunks(data) if not content.startswith(keyword + b"\0"))
    return SIGNATURE + b"".join(others)


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
