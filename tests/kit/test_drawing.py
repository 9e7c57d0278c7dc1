"""hub.kit.drawing: marks lie where they should, names get in nobody's way, and the given picture stays as it was."""

from __future__ import annotations

import numpy as np
from PIL import Image

from hub.kit.drawing import Drawing

BLUE, DARK = "#0000ff", "#000000"


def changed(drawing: Drawing, image: Image.Image) -> list[tuple[int, int]]:
    """(x, y) of all pixels that differ from the picture."""
    rows, columns = np.nonzero((np.asarray(drawing.image) != np.asarray(image)).any(2))
    return list(zip(columns.tolist(), rows.tolist(), strict=True))


def test_a_line_covers_what_is_within_its_radius_with_smooth_edges() -> None:
    image = Image.new("RGB", (60, 40), "white")
    drawing = Drawing(image)
    drawing.line((10, 20), (50, 20), 3, BLUE)
    assert drawing.image.getpixel((30, 20)) == (0, 0, 255)
    assert drawing.image.getpixel((30, 26)) == (255, 255, 255)
    covered = (255 - np.asarray(drawing.image)[..., 0]).sum() / 255
    assert abs(covered - (40 * 6 + np.pi * 9)) < 3
    assert image.getpixel((30, 20)) == (255, 255, 255)


def test_what_lies_outside_of_the_picture_is_not_drawn() -> None:
    image = Image.new("RGB", (30, 30), "white")
    drawing = Drawing(image)
    drawing.line((-50, -40), (-10, -5), 3, BLUE)
    drawing.dot((500, 500), 5, BLUE)
    assert changed(drawing, image) == []
    drawing.dot((0, 0), 4, BLUE)
    assert all(x < 5 and y < 5 for x, y in changed(drawing, image))


def test_names_stay_inside_and_clear_of_each_other_and_of_lines() -> None:
    image = Image.new("RGB", (400, 300), "white")
    drawing = Drawing(image)
    for y in (60, 90, 120):
        drawing.line((5, y), (200, y), 3, BLUE)
    before = drawing.image
    plates = []
    for y in (60, 90, 120):
        earlier = drawing.image
        drawing.name("Middle", (5, y), (-1, 0), 6, 12, ("#ffcc00", DARK))
        plates.append(set(changed(drawing, earlier)))
    assert all(len(plate) > 300 for plate in plates)
    assert not plates[0] & plates[1] | plates[1] & plates[2] | plates[0] & plates[2]
    lines = set(changed(Drawing(before), image))
    assert all(len(plate & lines) < 0.2 * len(plate) for plate in plates)


def test_a_name_larger_than_the_picture_is_cut_off_not_an_error() -> None:
    image = Image.new("RGB", (12, 8), "white")
    drawing = Drawing(image)
    drawing.name("Heart line", (6, 4), (1, 0), 3, 10, (BLUE, DARK))
    assert drawing.image.size == (12, 8)
