"""How a comparison is drawn: numbers of A and B side by side, pictures, both receipts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from markupsafe import Markup

from hub.engine.compare import Comparison
from hub.engine.differences import NumberPair, Pair
from hub.pages import kinds
from hub.results.result import Picture, Result
from hub.spec import AudioOutput, Boxes, Demo, Gallery, Json, Labels, Mask, Output, Plot, TextOutput, VideoOutput
from hub.texts import say
from hub.web.parts import html, wording
from hub.web.parts.pieces import piece

ROWS_AT_ONCE = 10  # rows of a table that are seen at once; the rest unfold
MINUS = "\N{MINUS SIGN}"
draw = partial(piece, "comparison")


@dataclass(frozen=True, slots=True)
class _Line:
    """One number of both sides, as it is drawn."""

    name: str
    a: str
    b: str
    difference: str
    place: str  # of the bar: to the left or right
    colour: str
    differs: bool


def draw_busy(mark: str, title: str, line: Markup) -> Markup:
    """Which of the two runs, above its own status line."""
    return draw("busy", mark, title, line)


def draw_head(comparison: Comparison, titles: Sequence[str]) -> Markup:
    """That it is done; who is A and who is B; what one of them could not be asked."""
    cached_count = sum(result.receipt.cached for result in (comparison.a, comparison.b))
    how = ("both ran now", "one of them answered before", "both answered before")[cached_count]
    return draw("head", how, titles, comparison.notes)


# --- pictures -------------------------------------------------------------------------------------


def draw_above(pair: Pair) -> Markup:
    """What stands above a slider: which side is which, and how many pixels differ."""
    a, b = (
        f"{wording.answer(picture.caption)}, {say(where)}" if picture and picture.caption else where
        for picture, where in zip((pair.a, pair.b), ("left", "right"), strict=True)
    )
    return draw("above", a, b, say_difference(pair))


def say_difference(pair: Pair, what: str = "pixels") -> str:
    """How many pixels differ, in words, or why that is not known."""
    if pair.differ is None:
        return say(pair.note)
    if not pair.differ:
        return say("No {what} differ.", what=say(what))
    share = wording.percent(pair.differ) if pair.differ >= 0.001 else say("Less than 0.1 %")
    if pair.levels:
        text = "{share} of the {what} differ by more than {levels} of 255."
        return say(text, share=share, what=say(what), levels=pair.levels)
    return say("{share} of the {what} differ.", share=share, what=say(what))


def draw_beside(field: Output, pairs: Sequence[Pair], comparison: Comparison, titles: Sequence[str]) -> Markup:
    """The pictures of one output, those of A beside those of B."""
    if not pairs:
        return html.NOTHING
    figures = [
        (say_difference(pair), _figure(comparison.a, pair, pair.a), _figure(comparison.b, pair, pair.b))
        for pair in pairs
    ]
    return draw("panel", field.label, draw("figures", figures, titles))


def _figure(result: Result, pair: Pair, picture: Picture | None) -> tuple[Picture | None, str, str, str]:
    words = wording.answer(picture.caption) if picture else ""
    return picture, _address(result, pair), words, pair.output


def _address(result: Result, pair: Pair) -> str:
    return f"api/v1/results/{result.picture_path(pair.output, pair.number)}"


# --- numbers --------------------------------------------------------------------------------------


def draw_answer(demo: Demo, comparison: Comparison, titles: Sequence[str]) -> Markup:
    """All outputs but the pictures that have a slider, then both receipts."""
    parts = []
    for field in kinds.on_page(demo):
        pairs = [pair for pair in comparison.pictures if pair.output == field.name]
        if isinstance(field, Labels | Json):
            parts.append(draw("panel", field.label, numbers(demo, field, comparison, titles)))
        elif isinstance(field, Mask) and pairs:
            parts.append(draw("panel", field.label, _mask(pairs[0], comparison, titles)))
        elif isinstance(field, Gallery | Plot | VideoOutput | AudioOutput):
            parts.append(draw_beside(field, pairs, comparison, titles))
        elif isinstance(field, Boxes):
            parts.append(draw_beside(field, pairs, comparison, titles))
            parts.append(draw("panel", field.label, numbers(demo, field, comparison, titles)))
        elif isinstance(field, TextOutput):
            ours, theirs = comparison.a.values.get(field.name), comparison.b.values.get(field.name)
            parts.append(draw("panel", field.label, _values(field, ours, theirs, titles)))
    return draw("answer", parts, receipts(comparison, titles))


def _mask(pair: Pair, comparison: Comparison, titles: Sequence[str]) -> Markup:
    files = [("A", titles[0], _address(comparison.a, pair)), ("B", titles[1], _address(comparison.b, pair))]
    return draw("mask", say_difference(pair, "class ids"), files)


def numbers(demo: Demo, field: Labels | Json | Boxes, comparison: Comparison, titles: Sequence[str]) -> Markup:
    """One output of both: what both have as a table, what only one has beside each other."""
    ours, theirs = comparison.a.values.get(field.name), comparison.b.values.get(field.name)
    rows = [row for row in comparison.rows if row.output == field.name and row.difference is not None]
    colours = _colours(field, theirs) | _colours(field, ours)
    pieces = [_table(field, rows, colours)] if rows else []
    alone = [[r for r in comparison.rows if r.output == field.name and getattr(r, other) is None] for other in "ba"]
    if any(alone):
        lists = (_alone(field, part, result) for part, result in zip(alone, (comparison.a, comparison.b), strict=True))
        pieces.append(draw("pair", [(mark, "only", part) for mark, part in zip("AB", lists, strict=True)]))
    if isinstance(field, Labels) and field.line and ours and theirs:
        pieces.insert(0, _lines(demo, field, comparison))
    is_whole = not isinstance(field, Json) or field.table or (_numeric(ours) and _numeric(theirs))
    if isinstance(field, Boxes):
        return Markup("").join(pieces) or draw("same", html.json_text([]))
    if not pieces or not is_whole:
        pieces.append(_values(field, ours, theirs, titles))
    return Markup("").join(pieces)


def _lines(demo: Demo, field: Labels, comparison: Comparison) -> Markup:
    """The number that is drawn as a line through each side's labels, and how many of all its labels reach it."""
    label = next((f.label for f in demo.outputs if f.name == field.line), field.line)
    sides = []
    for mark, result in zip("AB", (comparison.a, comparison.b), strict=True):
        line, values = result.values[field.line], result.values[field.name]
        sides.append((mark, wording.above_line(sum(v >= line for v in values.values()), len(values), line)))
    return draw("lines", label, sides)


def _colours(field: Labels | Json | Boxes, value: Any) -> dict[str, str]:
    """The colour of each row of a table that has them; rows are named by their first column of text."""
    if not (isinstance(field, Json) and field.table and value and "colour" in value[0]):
        return {}
    key = next((c for c, v in value[0].items() if c != "colour" and isinstance(v, str)), "colour")
    return {row[key]: str(row["colour"]) for row in value}


def _numeric(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_numeric(entry) for entry in value.values())
    return isinstance(value, int | float) and not isinstance(value, bool)


def _values(field: Labels | Json | TextOutput, ours: Any, theirs: Any, titles: Sequence[str]) -> Markup:
    """Values that are not numbers, as they are."""
    if ours == theirs:
        return draw("same", _value(field, ours))
    sides = [_value(field, value) for value in (ours, theirs)]
    return draw("pair", [*zip("AB", titles, sides, strict=True)])


def _value(field: Labels | Json | TextOutput, value: Any) -> Markup:
    if isinstance(field, TextOutput):
        return html.text(value or "", field.markdown)
    return html.table(value or []) if isinstance(field, Json) and field.table else html.json_text(value)


def _alone(field: Labels | Json | Boxes, rows: Sequence[NumberPair], result: Result) -> Markup:
    values = [(row.a if row.b is None else row.b) or 0.0 for row in rows]
    if rows and isinstance(field, Labels):
        named = {row.name: value for row, value in zip(rows, values, strict=True)}
        # These are some of the side's labels; `_lines` counts them all.
        return html.labels(named, field.top, result.values.get(field.line) if field.line else None, counted=False)
    return draw("alone", [(_name(row), _number(field, row, value)) for row, value in zip(rows, values, strict=True)])


def _table(field: Labels | Json | Boxes, rows: Sequence[NumberPair], colours: Mapping[str, str]) -> Markup:
    """Name, A, B and B - A, with a bar to the left or right; the rows that are equal unfold."""
    largest = max((abs(row.difference or 0) for row in rows), default=0) or 1
    lines = [_line(field, row, largest, colours) for row in rows]
    first = [line for line in lines if line.differs]
    first = first if len(first) < ROWS_AT_ONCE + 3 else first[:ROWS_AT_ONCE]
    rest = [line for line in lines if line not in first]
    if not first:
        text = "The number is the same." if len(rows) == 1 else "All {count} numbers are the same."
        return draw("table", say(text, count=len(rows)), first, rest, "", MINUS)
    equal = sum(not line.differs for line in lines)
    text = "{count} more, of which {equal} the same" if 0 < equal < len(rest) else "{count} more"
    more = say("{equal} that are the same" if equal == len(rest) else text, count=len(rest), equal=equal)
    points = say("Difference in percentage points.") if _in_percent(field, rows[0]) else ""
    return draw("table", points, first, rest, more, MINUS)


def _line(field: Labels | Json | Boxes, row: NumberPair, largest: float, colours: Mapping[str, str]) -> _Line:
    difference = row.difference or 0.0
    size = f"{50 * abs(difference) / largest:.1f}%"
    a, b = (_number(field, row, value or 0.0) for value in (row.a, row.b))
    return _Line(
        name=_name(row),
        a=a,
        b=b,
        difference=sign_number(difference, _in_percent(field, row), _scale(field)),
        place=f"left:50%;width:{size}" if difference > 0 else f"right:50%;width:{size}",
        colour=colours.get(row.name, ""),
        differs=bool(row.difference),
    )


def _name(row: NumberPair) -> str:
    name = say(row.name)
    return name if row.column in ("", "percent") else f"{name} · {wording.heading(row.column)}"


def _in_percent(field: Labels | Json | Boxes, row: NumberPair) -> bool:
    return isinstance(field, Labels) or row.column.endswith("percent")


def _scale(field: Labels | Json | Boxes) -> int:
    return 100 if isinstance(field, Labels) else 1  # shares in [0, 1] are written in percent


def _number(field: Labels | Json | Boxes, row: NumberPair, value: float) -> str:
    return wording.in_percent(_scale(field) * value) if _in_percent(field, row) else f"{value:.6g}"


def sign_number(difference: float, percent: bool = False, scale: int = 1) -> str:
    """`+3.2`, `\N{MINUS SIGN}0.031` or `0`: what is not equal does not look equal."""
    if not difference:
        return "0"
    size = abs(difference) * scale
    text = f"{size:.1f}" if percent and size >= 0.05 else f"{size:.2g}" if percent else f"{size:.6g}"
    return ("+" if difference > 0 else MINUS) + text


# --- receipts -------------------------------------------------------------------------------------


def receipts(comparison: Comparison, titles: Sequence[str]) -> Markup:
    """Both, beside each other, with the weights' names and digests and the results' addresses."""
    columns = [
        (mark, title, result, html.remarks(result.receipt), html.receipt(result.receipt, result.id, result.seed, True))
        for mark, title, result in zip("AB", titles, (comparison.a, comparison.b), strict=True)
    ]
    return draw("receipts", columns)
