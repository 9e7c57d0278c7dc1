"""What the answer to one picture says, in the few columns that a table of thousands has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hub.jobs.records import Reading
from hub.results.headline import headline
from hub.results.result import Result
from hub.spec import Demo, ImageInput, Json, Labels, PaintedMask

NUMBERS_MOST, NAMES_MOST = 24, 40  # of one picture
NAME_CHARS = 80


def picture_input(demo: Demo | None) -> str:
    """The input that a batch fills with its pictures; empty: the page takes none, or more than one.

    Boxes or points are then the same on all; a mask, which is a picture itself, would have to come with each.
    """
    pictures = [f for f in demo.inputs if isinstance(f, ImageInput)] if demo else []
    if demo and any(isinstance(f, PaintedMask) and f.required for f in demo.inputs):
        return ""
    return pictures[0].name if len(pictures) == 1 and pictures[0].required else ""


def read_answer(demo: Demo, result: Result) -> Reading:
    """The answer's words, labels and numbers."""
    values, words = result.values, headline(demo, result)
    labels = next((f for f in demo.outputs if isinstance(f, Labels) and values.get(f.name)), None)
    numbers = dict([*_numbers(demo, values).items()][:NUMBERS_MOST])
    if labels is None:
        width = numbers["high"] - numbers["low"] if {"low", "high"} <= numbers.keys() else None
        return Reading(words, unsure=width, numbers=numbers)
    shares: dict[str, float] = values[labels.name]
    limit = values.get(labels.line) if labels.line else None
    best = max(shares, key=lambda name: shares[name])
    if isinstance(limit, int | float):
        picked = sorted((name for name in shares if shares[name] >= limit), key=lambda name: -shares[name])
        nearest = min(abs(share - limit) for share in shares.values())
        least = min((shares[name] for name in picked), default=None)
        return Reading(words, ", ".join(picked), least, round(1 - nearest, 6), tuple(picked[:NAMES_MOST]), numbers)
    others = sorted(shares.values(), reverse=True)
    margin = others[0] - others[1] if len(others) > 1 else others[0]
    return Reading(words, best, shares[best], round(1 - margin, 6), (best,), numbers)


def _numbers(demo: Demo, values: Mapping[str, Any]) -> dict[str, float]:
    """Numbers by name: of a table with a column of words by those, of another those of its first row."""
    numbers: dict[str, float] = {}
    for field in demo.outputs:
        value = values.get(field.name)
        if not isinstance(field, Json):
            continue
        if isinstance(value, int | float) and not isinstance(value, bool):
            numbers[field.label] = value
        elif field.table and isinstance(value, list) and value and not field.folded and not field.chips:
            numbers |= _of_table(field, value)
    return {name[:NAME_CHARS]: round(float(number), 6) for name, number in numbers.items()}


def _of_table(field: Json, rows: list[dict[str, Any]]) -> dict[str, float]:
    columns = [name for name in rows[0] if name not in field.unseen and name not in ("colour", "shown")]
    words = next((name for name in columns if isinstance(rows[0][name], str)), None)
    if words is None:
        # The first column of such a table counts its rows.
        return {name: rows[0][name] for name in columns[1:] if _is_number(rows[0][name])}
    number = next((name for name in columns if _is_number(rows[0][name])), None)
    return {str(row[words]): row[number] for row in rows if number and _is_number(row.get(number))}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
