"""Text files as people save them: with a byte order mark or without, as some editors write UTF-8 and others UTF-16."""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from typing import Any


def read_text(path: Path) -> str:
    """The text without its mark. Raises OSError, and ValueError for what is no text."""
    return decoded(path.read_bytes())


def decoded(data: bytes) -> str:
    """Bytes of a text file; lines end in "\\n". Raises ValueError."""
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = data.decode("utf-16" if marked else "utf-8-sig")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def parse_json(text: str | bytes) -> Any:
    """What JSON of somebody else holds. Raises ValueError, also where it is nested too deeply.

    Python's own reader ends deep nesting with a RecursionError, which those who expect a damaged file would miss.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
