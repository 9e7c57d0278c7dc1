"""What a `Boxes` output may hold, and what it is clipped to."""

from __future__ import annotations

import math
from typing import Any

import pytest

from hub.results import boxes


def one(**changes: Any) -> dict[str, Any]:
    return {"label": "car", "score": 0.5, "box": (1, 2, 3, 4), **changes}


def test_boxes_are_clipped_to_the_picture_and_sorted_and_those_beside_it_left_out() -> None:
    given = [
        one(box=(-5, -5, 1e9, 2)),
        one(score=0.9, box=(3.14159, 0, 5, 5)),
        one(box=(10, 0, 20, 8)),
        one(box=(2, 2, 2, 9)),
    ]
    assert boxes.read(10, 8, given)["boxes"] == [
        {"label": "car", "score": 0.9, "x0": 3.14, "y0": 0.0, "x1": 5.0, "y1": 5.0},
        {"label": "car", "score": 0.5, "x0": 0.0, "y0": 0.0, "x1": 10.0, "y1": 2.0},
    ]


@pytest.mark.parametrize(
    "given",
    [
        5, "boxes", [5], [{"label": "car"}], [one(more=1)], [one(label=5)], [one(score=1.5)], [one(score=math.nan)],
        [one(score="sure")], [one(box=(1, 2, 3))], [one(box=(1, 2, math.inf, 4))], [one(box=(3, 2, 1, 4))],
        [one(box=(1, math.nan, 3, 4))], [one(box=None)], [one()] * 1001,
    ],
)  # fmt: skip
def test_what_is_no_box_is_refused(given: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        boxes.read(10, 8, given)


def test_a_label_is_one_line_of_a_bounded_length() -> None:
    (box,) = boxes.read(10, 8, [one(label="a\nb\x1b[31m" + "c" * 10**6)])["boxes"]
    assert box["label"].startswith("a b [31mccc")
    assert len(box["label"]) == boxes.LABEL_CHARS


def test_labels_of_one_picture_have_colours_of_their_own_and_keep_them() -> None:
    def found(*labels: str) -> dict[str, Any]:
        return {"boxes": [{"label": label} for label in labels]}

    several = boxes.colours(found("car", "person", "cyclist", "dog", "bus"))
    assert len(set(several.values())) == 5
    assert boxes.colours(found("bus"))["bus"] in boxes.COLOURS
    assert len(boxes.colours(found(*map(str, range(100))))) == 100
