"""Boxes on a picture: they are where they should be, in their colours, whatever the picture and the labels."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image

from hub.kit.boxes import draw_boxes


def box(label: str, x0: float, y0: float, x1: float, y1: float, score: float = 0.9) -> dict[str, Any]:
    return {"label": label, "score": score, "x0": x0, "y0": y0, "x1": x1, "y1": y1}


def test_a_box_has_its_colour_on_its_edge_and_leaves_the_inside_as_it_was() -> None:
    grey = Image.new("RGB", (400, 300), (90, 90, 90))
    drawn = draw_boxes(grey, (800, 600), [box("car", 200, 300, 600, 500)], {"car": "#00ff00"})
    assert drawn.getpixel((200, 151)) != (90, 90, 90)
    assert drawn.getpixel((299, 200)) in {(0, 255, 0), (0, 0, 0)}
    assert drawn.getpixel((200, 200)) == (90, 90, 90)
    assert drawn.height > 300, "the legend stands below the picture"
    assert grey.getpixel((200, 151)) == (90, 90, 90), "the picture that was given is not drawn on"


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (600, 12), (12, 600), (2048, 30)])
@pytest.mark.parametrize("count", [0, 1, 1000])
def test_pictures_of_every_shape_can_be_drawn_on(size: tuple[int, int], count: int) -> None:
    boxes = [box(f"label {n} \N{AUTOMOBILE}" * 5, 0, 0, size[0], size[1] * (n + 1) / count) for n in range(count)]
    colours = {one["label"]: "#ff0000" for one in boxes}
    drawn = draw_boxes(Image.new("RGB", size), size, boxes, colours)
    assert drawn.width >= size[0] and drawn.height >= size[1]
    assert drawn.height < max(size[1], 400) * 2, "a legend of very many labels is cut"
