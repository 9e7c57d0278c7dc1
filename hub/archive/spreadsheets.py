"""CSV files as spreadsheets open them: known as UTF-8 by their first bytes, and nothing in them runs."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

# What begins a formula, also in the wide forms that some keyboards write.
FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n")
NUMBER = re.compile(r"[+-][0-9]{1,20}(\.[0-9]{1,20})?")
BLANK = " \u00a0\ufeff\u200b"  # before which a formula is still one to some programs


def write(file: TextIO, columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> None:
    """The table; every text in it is guarded."""
    writer = csv.DictWriter(file, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: guarded(text) for name, text in one.items()} for one in rows)


def guarded(text: str) -> str:
    """A text that a spreadsheet would take for a formula is led by an apostrophe: strangers wrote it."""
    runs = text.lstrip(BLANK).startswith(FORMULA) and not NUMBER.fullmatch(text)
    # A carriage return alone is not quoted, and begins a new row for some programs.
    return ("'" * runs + text).replace("\r\n", "\n").replace("\r", "\n")


def encoded(text: str) -> bytes:
    """The bytes of a CSV file. Without the mark in front spreadsheets read letters beyond ASCII wrongly."""
    return codecs.BOM_UTF8 + text.encode("utf-8", "backslashreplace")
