"""What people draw on a picture (`ImageInput(draw=...)`): the input that brings it, and what `prepare` gets of it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, NoReturn

from PIL import Image

from hub.errors import InputError
from hub.files import parse_json
from hub.pages.values import described
from hub.spec import Demo, Drawn, Example, ImageInput, Input, Marks, PaintedMask
from hub.texts import Sentence, sentence

Hint = Marks | PaintedMask
ENDS = {"box": "boxes", "points": "points", "mask": "mask"}  # of the input's name, by what is drawn
LABELS = {"box": "Boxes", "points": "Marked points", "mask": "Mask"}
HELP = {
    "box": "Draw on the picture, or write [[x0, y0, x1, y1], ...] in pixels",
    "points": "Click on the picture, or write [[x, y], ...] in pixels; [x, y, 0] is a point to stay out of",
    "mask": "Paint on the picture, or choose a picture that is white where the area is, and black elsewhere",
}
MOST_CHARS = 20_000  # of boxes or points as a text
MOST_PX = 1_000_000  # where a place may be, and how large a picture
PAINTED = [0] * 128 + [255] * 128
SHAPES: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "boxes": ("[x0, y0, x1, y1]", (4,)),
    "points": ("[x, y] or [x, y, wanted]", (2, 3)),
}


# --- declarations ---------------------------------------------------------------------------------


def hint_of(field: ImageInput) -> Hint:
    """The input by which what is drawn on a picture comes."""
    name, label = f"{field.name}_{ENDS[field.draw]}", LABELS[field.draw]
    optional = field.optional or field.draw_optional
    if field.draw == "mask":
        return PaintedMask(name, label, field.name, HELP[field.draw], optional)
    kind = "boxes" if field.draw == "box" else "points"
    return Marks(name, label, field.name, kind, field.draw_most, HELP[field.draw], optional)  # type: ignore[arg-type]  # a Literal


def with_hints(demo: Demo) -> Demo:
    """The page with an input for what is drawn behind each picture that is drawn on; the same where nothing is."""
    names, inputs = {f.name for f in demo.inputs}, list[Input]()
    for field in demo.inputs:
        inputs.append(field)
        if isinstance(field, ImageInput) and field.draw and (hint := hint_of(field)).name not in names:
            inputs.append(hint)
    if len(inputs) == len(demo.inputs):
        return demo
    marks = [field for field in inputs if isinstance(field, Marks)]
    return replace(demo, inputs=tuple(inputs), examples=tuple(_with_texts(one, marks) for one in demo.examples))


def _with_texts(example: Any, marks: Iterable[Marks]) -> Any:
    """The example with its boxes and points as all doors have them; what is wrong with them is told elsewhere."""
    if not isinstance(example, Example):
        return example
    values = dict(example.inputs)
    for field in marks:
        if field.name in values:
            with suppress(InputError):
                values[field.name] = read_marks(field, values[field.name])
    return replace(example, inputs=values)


def without_hints(demo: Demo) -> dict[str, None]:
    """The names that `prepare` and `present` have: of a picture and what is drawn on it that of the picture alone."""
    return {f.name: None for f in demo.inputs if not isinstance(f, Hint)}


def problems(demo: Demo) -> list[str]:
    """What is wrong with `draw` of a page's own declaration, each with its fix."""
    texts, names = list[str](), [f.name for f in demo.inputs]
    drawn = {f.name for f in demo.inputs if isinstance(f, ImageInput) and f.draw}
    for field in demo.inputs:
        if isinstance(field, Hint) and field.on not in drawn:
            texts.append(f"{field.name}: it comes by itself; declare ImageInput({field.on!r}, ..., draw=...) alone.")
        if not isinstance(field, ImageInput):
            continue
        if field.draw not in ("", *ENDS):
            listed = ", ".join(repr(kind) for kind in ENDS)
            texts.append(f"{field.name}: draw must be one of {listed}, or empty, got {field.draw!r}.")
        elif field.draw:
            name = f"{field.name}_{ENDS[field.draw]}"
            if name in names and not isinstance(demo.inputs[names.index(name)], Hint):
                texts.append(f"{field.name}: what is drawn on it comes as the input {name!r}; rename the other one.")
            if not isinstance(field.draw_most, int) or not 1 <= field.draw_most <= 1000:
                texts.append(f"{field.name}: draw_most must be a whole number from 1 to 1000, got {field.draw_most!r}.")
            if field.reduced_for:
                texts.append(f"{field.name}: places are in the picture's own pixels, so reduced_for must be empty.")
            if demo.live:
                texts.append(f"{field.name}: nobody draws on a live camera's frames, so live must be empty.")
    return texts


# --- what comes through a door --------------------------------------------------------------------


def read_marks(field: Marks, value: Any) -> str:
    """Boxes or points as JSON in a text, always written alike; empty for none. Raises InputError."""
    if isinstance(value, str):
        value = _parsed(field, value)
    of: list[int] | None = None
    if isinstance(value, Mapping):
        if {*value} - {"of", field.kind}:
            _refuse(field, sentence('an object with "of" and "{kind}" alone', kind=field.kind), value)
        value, of = value.get(field.kind), _size(field, value.get("of"))
    if value is None or value == []:
        if field.required:
            raise InputError(
                "{name} is missing: draw on the picture, or give {what}.",
                name=field.name,
                what=sentence("a list of {shape} in pixels", shape=SHAPES[field.kind][0]),
                field=field.name,
            )
        return ""
    if not isinstance(value, list | tuple):
        _refuse(field, sentence("a list of {shape} in pixels", shape=SHAPES[field.kind][0]), value)
    if len(value) > field.most:
        raise InputError(
            "{name} has {count} of them; at most {most} are taken.",
            name=field.name,
            count=len(value),
            most=field.most,
            field=field.name,
        )
    marks = [_mark(field, number, one) for number, one in enumerate(value, 1)]
    document: Any = marks if of is None else {"of": of, field.kind: marks}
    return json.dumps(document, separators=(",", ":"))


def _parsed(field: Marks, text: str) -> Any:
    if not text.strip():
        return None
    try:
        return parse_json(text if len(text) <= MOST_CHARS else "")
    except ValueError:
        _refuse(field, sentence("a list of {shape} in pixels", shape=SHAPES[field.kind][0]), text)


def _size(field: Marks, value: Any) -> list[int] | None:
    if value is None:
        return None
    is_size = isinstance(value, list | tuple) and len(value) == 2
    if not is_size or not all(type(side) is int and 0 < side <= MOST_PX for side in value):
        _refuse(field, sentence('an object whose "of" is [width, height] in pixels'), value)
    return list(value)


def _mark(field: Marks, number: int, value: Any) -> list[float]:
    """One box or point, in tenths of a pixel."""
    shape, lengths = SHAPES[field.kind]
    if not isinstance(value, list | tuple) or len(value) not in lengths or not all(map(_is_place, value)):
        _refuse(field, sentence("a list of {shape} in pixels", shape=shape), value, number)
    numbers = [_tenths(one) for one in value]
    if field.kind == "points":
        if len(numbers) == 3 and numbers[2] not in (0, 1):
            _refuse(field, sentence("a list of {shape} in pixels", shape=shape), value, number)
        return [*numbers[:2], int(numbers[2]) if len(numbers) == 3 else 1]
    if numbers[0] >= numbers[2] or numbers[1] >= numbers[3]:
        _refuse(field, sentence("boxes with x0 < x1 and y0 < y1"), value, number)
    return numbers


def _is_place(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and -MOST_PX <= value <= MOST_PX and math.isfinite(value)


def _tenths(value: float) -> float:
    tenths = round(float(value), 1)
    return int(tenths) if tenths == int(tenths) else tenths


def _refuse(field: Hint, what: Sentence, value: Any, number: int = 0) -> NoReturn:
    is_list = number and isinstance(value, list | tuple)
    given = f"[{', '.join(map(described, value[:6]))}]" if is_list else described(value)
    raise InputError(
        "{name} must be {what}, got {given}.",
        name=field.name,
        what=what,
        given=sentence("{given} as number {number}", given=given, number=number) if number else given,
        field=field.name,
    )


def check_pictures(fields: Mapping[str, Input], given: Mapping[str, Any]) -> None:
    """That nothing is drawn on a picture that is not there. `given`: by name, what is. Raises InputError."""
    for field in fields.values():
        if isinstance(field, Hint) and given.get(field.name) and field.on not in given:
            text = "{name} is drawn on {on}, which is missing: give both, or neither."
            raise InputError(text, name=field.name, on=field.on, field=field.on)


# --- what `prepare` gets --------------------------------------------------------------------------


def drawn_on(values: Mapping[str, Any], fields: Mapping[str, Input]) -> dict[str, Any]:
    """The inputs with a `Drawn` in the place of each picture that is drawn on, and of what is drawn. Raises InputError.

    `values`: by name, pictures open.
    """
    hints = {field.on: field for field in fields.values() if isinstance(field, Hint)}
    if not hints:
        return dict(values)
    names = {hint.name for hint in hints.values()}
    return {
        name: _drawn(value, hints[name], values.get(hints[name].name)) if name in hints else value
        for name, value in values.items()
        if name not in names
    }


def picture_of(value: Any) -> Any:
    """The picture of an input, whether it is drawn on or not."""
    return value.picture if isinstance(value, Drawn) else value


def _drawn(picture: Image.Image, hint: Hint, value: Any) -> Drawn:
    if isinstance(hint, PaintedMask):
        return Drawn(picture, mask=None if value is None else _mask(hint, value, picture))
    document = parse_json(value) if value else []
    marks, scale = document, (1.0, 1.0)
    if isinstance(document, dict):
        marks, of = document[hint.kind], document["of"]
        _check_shape(hint, tuple(of), picture)
        scale = picture.width / of[0], picture.height / of[1]
    if hint.kind == "points":
        return Drawn(picture, points=tuple(_point(hint, n, one, scale, picture) for n, one in enumerate(marks, 1)))
    return Drawn(picture, boxes=tuple(_box(hint, n, one, scale, picture) for n, one in enumerate(marks, 1)))


def _box(
    hint: Hint, number: int, box: Sequence[float], scale: tuple[float, float], picture: Image.Image
) -> tuple[float, float, float, float]:
    """Clipped to the picture."""
    x0, x1 = (min(max(0.0, x * scale[0]), float(picture.width)) for x in box[::2])
    y0, y1 = (min(max(0.0, y * scale[1]), float(picture.height)) for y in box[1::2])
    if x0 >= x1 or y0 >= y1:
        _outside(hint, number, box, picture)
    return x0, y0, x1, y1


def _point(
    hint: Hint, number: int, point: Sequence[float], scale: tuple[float, float], picture: Image.Image
) -> tuple[float, float, bool]:
    x, y = point[0] * scale[0], point[1] * scale[1]
    if not (0 <= x <= picture.width and 0 <= y <= picture.height):
        _outside(hint, number, point, picture)
    return x, y, bool(point[2])


def _outside(hint: Hint, number: int, mark: Sequence[float], picture: Image.Image) -> None:
    raise InputError(
        "{name}: number {number}, {given}, is outside of the picture, which is {width} x {height} px.",
        name=hint.name,
        number=number,
        given=str(list(mark)),
        width=picture.width,
        height=picture.height,
        field=hint.name,
    )


def _mask(hint: PaintedMask, painted: Image.Image, picture: Image.Image) -> Image.Image | None:
    """In the picture's size. An empty one is none, where there need not be one."""
    grey = painted.convert("L")
    if grey.size != picture.size:
        _check_shape(hint, grey.size, picture)
        grey = grey.resize(picture.size, Image.Resampling.NEAREST)
    mask = grey.point(PAINTED)
    if mask.getbbox() is not None:
        return mask
    if not hint.required:
        return None
    raise InputError(
        "{name} marks nothing: white is what is meant, and it has none. Paint on the picture, then run it.",
        name=hint.name,
        field=hint.name,
    )


def _check_shape(hint: Hint, size: tuple[int, ...], picture: Image.Image) -> None:
    """Raises InputError for what was drawn on a picture of another shape."""
    width, height = size
    # As large as a side that was rounded may make it.
    most = max(width, height, *picture.size)
    if abs(width * picture.height - height * picture.width) > most:
        raise InputError(
            "{name} is of a picture of {width} x {height} px, and {on} has {across} x {down} px: another shape.",
            name=hint.name,
            width=width,
            height=height,
            on=hint.on,
            across=picture.width,
            down=picture.height,
            field=hint.name,
        )
