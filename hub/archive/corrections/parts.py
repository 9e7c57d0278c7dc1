"""The parts of an answer that people can set right, as the page declares them; and the check of what they say."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hub.errors import InputError
from hub.pages.kinds import on_page
from hub.people.terms import checked_text
from hub.results import boxes as found_boxes
from hub.spec import Boxes, Demo, Json, Labels, Output, TextOutput
from hub.suggest import unknown, unknown_option
from hub.texts import say, sentence

Kind = Literal["class", "tags", "number", "numbers", "points", "boxes", "text"]
WORDS = "words"  # the part of a page that has none that could be checked: what is right is said in words
TEXT_CHARS, BOXES_MOST, ROWS_MOST, OPTIONS_MOST = 2000, 200, 200, 1000
LARGEST = 1e12
AXES = (("x", "y"), ("x_px", "y_px"))  # columns of a point
NO_NAMES = {"colour", *(name for pair in AXES for name in pair)}


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an answer. `answer` has the form that a correction of it has.

    class: one of `options`; tags: a list of them; number; numbers: a list, one for each of `rows`, None where there is
    none; points: {row: [x, y] or None}; boxes: a list of {"label", "x0", "y0", "x1", "y1"} within `size`; text.
    """

    name: str
    label: str
    kind: Kind
    answer: Any
    options: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    size: tuple[int, int] = (0, 0)

    @classmethod
    def of_json(cls, data: Mapping[str, Any]) -> Part:
        """What `asdict` made. Raises KeyError, TypeError, ValueError."""
        width, height = data["size"]
        return cls(
            data["name"], data["label"], data["kind"], data["answer"], tuple(data["options"]), tuple(data["rows"]),
            (width, height),
        )  # fmt: skip


# --- what an answer has ---------------------------------------------------------------------------


def parts_of(demo: Demo | None, values: Mapping[str, Any]) -> tuple[Part, ...]:
    """The parts of an answer in the order of the page. None: its demo is no longer here, and words are left."""
    fields = on_page(demo) if demo else []
    parts = [part for field in fields if (part := _part(field, values)) is not None]
    return _checkable(parts)


def parts_of_document(entries: Sequence[Mapping[str, Any]]) -> tuple[Part, ...]:
    """The same of a shared result, whose document needs no demo. Documents of old tell of no column of numbers."""
    parts = [part for entry in entries if (part := _part_of_entry(entry)) is not None]
    return _checkable(parts)


def _part_of_entry(entry: Mapping[str, Any]) -> Part | None:
    name, label, value, line = entry["name"], entry["label"], entry.get("value"), entry.get("line")
    fields: dict[str, Output] = {
        "labels": Labels(name, label, line="line" if line is not None else ""),
        "boxes": Boxes(name, label),
        "table": Json(name, label, table=True, corrects=entry.get("corrects", "")),
        "json": Json(name, label),
        "text": TextOutput(name, label),
    }
    field = fields.get(entry["kind"])
    return _part(field, {name: value, "line": line}) if field and name != "line" else None


def _checkable(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Words are asked for only where nothing is that could be checked."""
    checkable = [part for part in parts if part.kind != "text"] or parts
    return tuple(checkable) or (Part(WORDS, "What is right", "text", ""),)


def _part(field: Output, values: Mapping[str, Any]) -> Part | None:
    value = values.get(field.name)
    if isinstance(field, Labels) and value and len(value) <= OPTIONS_MOST:
        return _of_labels(field, value, values.get(field.line) if field.line else None)
    if isinstance(field, Boxes) and value is not None and len(value["boxes"]) <= BOXES_MOST:
        boxes = [{name: box[name] for name in ("label", *found_boxes.SIDES)} for box in value["boxes"]]
        labels = tuple(dict.fromkeys(box["label"] for box in boxes))
        return Part(field.name, field.label, "boxes", boxes, labels, size=(value["width"], value["height"]))
    if isinstance(field, Json) and field.table and value and len(value) <= ROWS_MOST:
        return _of_table(field, value)
    if isinstance(field, Json) and _is_number(value):
        return Part(field.name, field.label, "number", value)
    if isinstance(field, TextOutput) and isinstance(value, str) and len(value) <= TEXT_CHARS:
        return Part(field.name, field.label, "text", value)
    return None


def _of_labels(field: Labels, shares: Mapping[str, float], line: Any) -> Part:
    if field.line:
        least = line if _is_number(line) else 1.0
        return Part(field.name, field.label, "tags", [name for name in shares if shares[name] >= least], tuple(shares))
    return Part(field.name, field.label, "class", max(shares, key=lambda name: shares[name]), tuple(shares))


def _of_table(field: Json, table: Sequence[Mapping[str, Any]]) -> Part | None:
    """Numbers of the column that the page says people may correct; else points, where rows have an x and a y."""
    names = tuple(_name_of(row, field.corrects) for row in table)
    if len({*names}) != len(names):
        return None
    if field.corrects and all(_is_number(row.get(field.corrects)) for row in table):
        return Part(field.name, field.label, "numbers", [row[field.corrects] for row in table], rows=names)
    for x, y in AXES:
        if all(_is_number(row.get(x)) and _is_number(row.get(y)) for row in table):
            points = {name: [row[x], row[y]] for name, row in zip(names, table, strict=True)}
            return Part(field.name, field.label, "points", points, rows=names)
    return None


def _name_of(row: Mapping[str, Any], corrects: str) -> str:
    """What a row is called: the first words or whole number that are no place, no colour and not what is corrected."""
    others = (value for name, value in row.items() if name not in {*NO_NAMES, corrects})
    named = (value for value in others if isinstance(value, str | int) and not isinstance(value, bool) and value != "")
    return str(next(named, next(iter(row.values()), "")))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


# --- what is said of it ---------------------------------------------------------------------------


def checked(parts: Sequence[Part], given: Any) -> dict[str, Any]:
    """What people say is right, by part; what is as it was is left out. Raises InputError."""
    if given is None or given == "":
        return {}
    if not isinstance(given, Mapping):
        raise InputError(
            "correction must be an object with what is right by output: {names}.",
            names=", ".join(repr(part.name) for part in parts), field="correction",
        )  # fmt: skip
    by_name, right = {part.name: part for part in parts}, {}
    for name, value in given.items():
        if name not in by_name:
            raise InputError(unknown("output", str(name)[:60], [*by_name]), field="correction")
        part = by_name[name]
        if value is not None and (one := CHECKS[part.kind](part, value)) != part.answer:
            right[name] = one
    return right


def _wrong(part: Part, wanted: str, **values: object) -> InputError:
    return InputError(
        "correction of {name} must be {wanted}.",
        name=part.name, wanted=sentence(wanted, **values), field="correction",
    )  # fmt: skip


def _class(part: Part, value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong(part, "one of the page's labels")
    if value not in part.options:
        raise InputError(unknown_option(part.name, value[:100], [*part.options]), field="correction")
    return value


def _tags(part: Part, value: Any) -> list[str]:
    if not isinstance(value, list) or len(value) > len(part.options):
        raise _wrong(part, "a list of the page's labels, each once")
    chosen = {_class(part, one) for one in value}
    return [one for one in part.options if one in chosen]


def _number(part: Part, value: Any) -> float:
    if not _is_number(value) or abs(value) > LARGEST:
        raise _wrong(part, "a number")
    return float(value) if isinstance(value, float) else int(value)


def _numbers(part: Part, value: Any) -> list[float | None]:
    if not isinstance(value, list) or len(value) != len(part.rows):
        raise _wrong(part, "a list with a number or null for each of {count} rows", count=len(part.rows))
    return [None if one is None else _number(part, one) for one in value]


def _points(part: Part, value: Any) -> dict[str, Any]:
    points: dict[str, Any] = dict(part.answer)
    if not isinstance(value, Mapping):
        raise _wrong(part, "points as [x, y] or null by name")
    for name, point in value.items():
        if name not in points:
            raise InputError(unknown("point", str(name)[:60], [*part.rows]), field="correction")
        if point is not None and not (isinstance(point, list) and len(point) == 2):
            raise _wrong(part, "points as [x, y] or null by name")
        points[name] = None if point is None else [_number(part, one) for one in point]
    return points


def _boxes(part: Part, value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or len(value) > BOXES_MOST:
        raise _wrong(part, "a list of at most {most} boxes", most=BOXES_MOST)
    boxes = []
    for box in value:
        names = {"label", *found_boxes.SIDES}
        if not isinstance(box, Mapping) or {*box} - {"score"} != names or not isinstance(box["label"], str):
            raise _wrong(part, "boxes with label, x0, y0, x1 and y1")
        corners = [_number(part, box[side]) for side in found_boxes.SIDES]
        label = found_boxes.one_line(checked_text(box["label"], "label", found_boxes.LABEL_CHARS))
        if not label:
            raise _wrong(part, "boxes that have a label")
        boxes.append({"label": label, "score": 1.0, "box": corners})
    try:
        found = found_boxes.read(*part.size, boxes)["boxes"]
    except (TypeError, ValueError):
        raise _wrong(part, "boxes whose x0 is below x1, and y0 below y1") from None
    return [{name: box[name] for name in ("label", *found_boxes.SIDES)} for box in found]


def _text(part: Part, value: Any) -> str:
    return checked_text(value, part.name, TEXT_CHARS)


CHECKS: Mapping[Kind, Callable[[Part, Any], Any]] = {
    "class": _class, "tags": _tags, "number": _number, "numbers": _numbers, "points": _points, "boxes": _boxes,
    "text": _text,
}  # fmt: skip


# --- in words -------------------------------------------------------------------------------------


def spoken(part: Part, value: Any) -> str:
    """An answer or a correction of a part in a few words, in the language of who looks."""
    between = say(", ")
    if value is None:
        return say("none")
    if part.kind == "tags":
        return between.join(say(one) for one in value) or say("none")
    if part.kind == "numbers":
        told = [say("none") if one is None else f"{one:g}" for one in value]
        moved = [n for n, one in enumerate(value) if n >= len(part.answer) or one != part.answer[n]]
        if not moved or len(told) == 1 or len(told) != len(part.rows):
            return between.join(told) or say("none")
        return between.join(f"{part.rows[n]}{say(': ')}{told[n]}" for n in moved)
    if part.kind == "number":
        return f"{value:g}"
    if part.kind == "points":
        moved = [name for name in value if value[name] != part.answer.get(name)] or [*value]
        words = [f"{name} {'-' if (at := value[name]) is None else f'{at[0]:g}/{at[1]:g}'}" for name in moved]
        return between.join(words)
    if part.kind == "boxes":
        return say("{count} box" if len(value) == 1 else "{count} boxes", count=len(value)) + (
            f": {between.join(box['label'] for box in value[:12])}" * bool(value)
        )
    return say(value)
