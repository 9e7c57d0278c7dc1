"""What differs between two answers of one demo: their numbers side by side, and the share of pixels that differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from itertools import zip_longest
from typing import Annotated, Any

from PIL import ImageChops
from pydantic import Field

from hub.decoding import budget
from hub.pages import kinds
from hub.results import boxes
from hub.results.result import Picture, Result
from hub.spec import Boxes, Demo, Gallery, ImageOutput, Json, Labels, Mask
from hub.texts import Sentence, sentence

JPEG_LEVELS = 8  # of 255: JPEG changes the neighbours of a changed pixel by a little


@dataclass(frozen=True, slots=True)
class NumberPair:
    """One number of both answers; `difference` is b - a. None: that answer has no such number."""

    output: str
    name: str  # the label, the table's row, or the path in plain JSON, as "size.width"
    column: str  # of a table; else empty
    a: float | None
    b: float | None
    difference: Annotated[float | None, Field(description="b - a; null where one of them has no such number")]


@dataclass(frozen=True, slots=True)
class PictureDifference:
    """How much of one output picture differs between both answers."""

    output: str
    number: int  # in a gallery, from 0
    differ: Annotated[float | None, Field(ge=0, le=1, description="Share of the pixels; null: see note")]
    levels: Annotated[int, Field(description="A pixel differs when a channel does by more than this, of 255")]
    note: str


@dataclass(frozen=True, slots=True)
class Pair(PictureDifference):
    """One output picture of both answers, and how much of it differs."""

    a: Picture | None
    b: Picture | None


def rows(demo: Demo, a: Result, b: Result) -> tuple[NumberPair, ...]:
    """Every number of both answers, output by output.

    Labels, and tables with one column of numbers: the largest difference first, then what only A has, then what only
    B has, large first. Others keep the order of the answers. Of plain JSON, numbers and dicts of numbers; no lists.
    """
    values_a, values_b, all_rows = a.values, b.values, list[NumberPair]()
    for field in demo.outputs:
        if not isinstance(field, Labels | Json | Boxes):
            continue
        ours, theirs = (_numbers(field, values.get(field.name)) for values in (values_a, values_b))
        keys = dict.fromkeys([*ours, *theirs])
        part = [_row(field.name, key, ours.get(key), theirs.get(key)) for key in keys]
        ordered = isinstance(field, Labels) or (kinds.is_table(field) and len({column for _, column in keys}) == 1)
        all_rows += sorted(part, key=_rank) if ordered else part
    return tuple(all_rows)


def _row(output: str, key: tuple[str, str], a: float | None, b: float | None) -> NumberPair:
    # Ten digits: 0.7 - 0.6 is 0.1.
    difference = None if a is None or b is None else float(f"{b - a:.10g}")
    return NumberPair(output, *key, a, b, difference)


def _rank(row: NumberPair) -> tuple[int, float]:
    if row.difference is not None:
        return 0, -abs(row.difference)
    return (1, -row.a) if row.a is not None else (2, -(row.b or 0))


def _numbers(field: Labels | Json | Boxes, value: Any) -> dict[tuple[str, str], float]:
    """The numbers of one output by name and column, in the answer's order."""
    if not value and not _is_number(value):  # not there, or an empty table
        return {}
    if isinstance(field, Labels):
        return {(name, ""): share for name, share in value.items()}
    if isinstance(field, Boxes):
        return {(name, ""): count for name, count in boxes.counts(value).items()}
    return dict(_cells(value) if field.table else _leaves(value, field.name, ""))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cells(table: list[dict[str, Any]]) -> Iterator[tuple[tuple[str, str], float]]:
    """Rows are named by their first column of text, or by their first column; equal names are counted."""
    columns = [column for column in table[0] if column != "colour"]
    key = next((column for column in columns if isinstance(table[0][column], str)), columns[0] if columns else "")
    times = Counter[str]()
    for row in table:
        value = row.get(key)
        name = value if isinstance(value, str) else f"{key} {value}"
        times[name] += 1
        name = name if times[name] == 1 else f"{name} ({times[name]})"
        yield from (((name, column), row[column]) for column in columns if column != key and _is_number(row[column]))


def _leaves(value: Any, name: str, path: str) -> Iterator[tuple[tuple[str, str], float]]:
    if _is_number(value):
        yield (path or name, ""), value
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _leaves(entry, name, f"{path}.{key}" if path else str(key))


def pairs(demo: Demo, a: Result, b: Result) -> tuple[Pair, ...]:
    """Every output picture of both answers; those of galleries by their place."""
    all_pairs = []
    for field in demo.outputs:
        if isinstance(field, ImageOutput | Mask | Gallery) or kinds.has_files_beside(field):
            groups = (side.pictures.get(field.name, ()) for side in (a, b))
            # Of boxes the drawn picture: the plain one behind it is what went in. Of a video its still.
            both = zip_longest(*(group[:1] if kinds.has_files_beside(field) else group for group in groups))
            all_pairs += [_pair(field.name, number, *two) for number, two in enumerate(both)]
    return tuple(all_pairs)


def _pair(output: str, number: int, a: Picture | None, b: Picture | None) -> Pair:
    if a is None or b is None:
        note = sentence("Only {side} has this picture.", side="A" if b is None else "B")
        return Pair(output, number, None, 0, note, a, b)
    levels = JPEG_LEVELS if "image/jpeg" in (a.media_type, b.media_type) else 0
    if (a.width, a.height) != (b.width, b.height):
        text = (
            "A is {a_width} x {a_height} px, B is {b_width} x {b_height} px; "
            "pixels are compared in pictures of one size only."
        )
        sizes = {"a_width": a.width, "a_height": a.height, "b_width": b.width, "b_height": b.height}
        return Pair(output, number, None, levels, Sentence(text, sizes), a, b)
    return Pair(output, number, round(_share(a, b, levels), 6), levels, "", a, b)


def _share(a: Picture, b: Picture, levels: int) -> float:
    """The share of pixels of which a channel differs by more than `levels`."""
    if a.data == b.data:
        return 0.0
    with budget.opened(a.data) as one, budget.opened(b.data) as other:
        mode = one.mode if one.mode == other.mode and one.mode in ("L", "RGB") else "RGBA"
        apart = ImageChops.difference(one.convert(mode), other.convert(mode))
        strongest = reduce(ImageChops.lighter, apart.split())
    return sum(strongest.histogram()[levels + 1 :]) / (a.width * a.height)
