"""The pictures of `Boxes` outputs: drawn once for what is kept, the first of two; other scores when asked."""

from __future__ import annotations

import json
from collections.abc import Mapping

from hub.decoding import budget
from hub.images import encode
from hub.kit.boxes import draw_boxes
from hub.results import boxes
from hub.results.result import Picture, Result
from hub.spec import Boxes, Demo

Pictures = Mapping[str, tuple[Picture, ...]]


def with_drawn(demo: Demo, values_json: str, pictures: Pictures) -> Pictures:
    """A new answer's pictures: before the plain one of boxes stands the same with the boxes."""
    names = [field.name for field in demo.outputs if isinstance(field, Boxes) and field.name in pictures]
    if not names:
        return pictures
    values = json.loads(values_json)
    drawn = {name: (draw(pictures[name][-1], values[name]), pictures[name][-1]) for name in names}
    return {**pictures, **drawn}


def draw_again(result: Result, name: str, least: float) -> Picture:
    """The boxes of a kept result with a score of at least `least`; the model does not run. Raises BusyError."""
    drawn, plain = result.pictures[name]
    return draw(plain, boxes.surest(result.values[name], least)) if least > 0 else drawn


def draw(plain: Picture, found: boxes.Found) -> Picture:
    """A picture with boxes on it, as JPEG. Raises BusyError."""
    with budget.opened(plain.data) as image:
        sheet = draw_boxes(image, (found["width"], found["height"]), found["boxes"], boxes.colours(found))
    return Picture(encode(sheet, "jpeg"), "image/jpeg", sheet.width, sheet.height)
