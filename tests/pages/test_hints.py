"""What is drawn on a picture, between a door and `prepare`: read, bounded, in pixels of the picture."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hub.decoding.decode import ImageLimits
from hub.errors import InputError
from hub.pages import inputs
from hub.pages.hints import with_hints
from hub.pages.problems import problems
from hub.spec import Drawn, Example, ImageInput, Marks, OverVideo, Text
from tests.drawn_pages import drawn_demo
from tests.fakes import picture

BOXES, POINTS, MASK = (with_hints(drawn_demo(kind)) for kind in ("box", "points", "mask"))


def opened(demo: Any, **given: Any) -> Drawn:
    checked = inputs.read(demo, given)
    values = inputs.decoded(
        checked.parameters, checked.pictures, ImageLimits(), fields={f.name: f for f in demo.inputs}
    )
    assert set(values) == {"photo", "level"}
    drawn = values["photo"]
    assert isinstance(drawn, Drawn)
    return drawn


def painted(size: tuple[int, int], box: tuple[int, int, int, int], colour: Any = 255, mode: str = "L") -> Image.Image:
    mask = Image.new(mode, size)
    mask.paste(colour, box)
    return mask


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([[10, 20, 30, 40]], ((10, 20, 30, 40),)),
        ("[[10, 20, 30.04, 40]]", ((10, 20, 30, 40),)),
        ([[-5, -5, 999, 50], [0, 0, 1, 1]], ((0, 0, 160, 50), (0, 0, 1, 1))),
        ({"of": [80, 60], "boxes": [[5, 10, 15, 20]]}, ((10, 20, 30, 40),)),
        ('{"of": [320, 240], "boxes": [[20, 40, 60, 80]]}', ((10, 20, 30, 40),)),
    ],
)
def test_boxes_are_in_pixels_of_the_picture_and_within_it(given: Any, expected: Any) -> None:
    assert opened(BOXES, photo=picture(160, 120), photo_boxes=given).boxes == expected


def test_points_say_whether_they_are_wanted() -> None:
    drawn = opened(POINTS, photo=picture(160, 120), photo_points=[[10, 20], [0, 0, 0], [160, 120, 1]])
    assert drawn.points == ((10, 20, True), (0, 0, False), (160, 120, True))
    assert drawn.boxes == () and drawn.mask is None


def test_one_drawing_is_one_text_however_it_is_written() -> None:
    ways = ([[10, 20, 30, 40.0]], "[[10,20,30,40]]", " [[1e1, 20.01, 30, 40]]\n", {"boxes": [[10, 20, 30, 40]]})
    texts = {inputs.read(BOXES, {"photo": b"x", "photo_boxes": way}).parameters["photo_boxes"] for way in ways}
    assert texts == {"[[10,20,30,40]]"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (None, "photo_boxes is missing: draw on the picture, or give a list of [x0, y0, x1, y1] in pixels."),
        ("[]", "photo_boxes is missing"),
        ("[[1, 2", "photo_boxes must be a list of [x0, y0, x1, y1] in pixels, got '[[1, 2'."),
        ("[" * 20_000, "photo_boxes must be a list of"),
        ("[[0,0,1,1]," + "[0,0,1,1]," * 3000 + "[0,0,1,1]]", "photo_boxes must be a list of"),
        ([[0, 0, 1, 1]] * 17, "photo_boxes has 17 of them; at most 16 are taken."),
        ([[0, 0, 1]], "photo_boxes must be a list of [x0, y0, x1, y1] in pixels, got [0, 0, 1] as number 1."),
        (
            [[0, 0, 1, 1], [5, 5, 5, 9]],
            "photo_boxes must be boxes with x0 < x1 and y0 < y1, got [5, 5, 5, 9] as number 2.",
        ),
        (
            [[0, 0, True, 1]],
            "photo_boxes must be a list of [x0, y0, x1, y1] in pixels, got [0, 0, true, 1] as number 1.",
        ),
        ("[[0, 0, NaN, 1]]", "photo_boxes must be a list of"),
        ("[[0, 0, 1e999, 1]]", "photo_boxes must be a list of"),
        (
            {"of": [0, 9], "boxes": []},
            'photo_boxes must be an object whose "of" is [width, height] in pixels, got a list.',
        ),
        ({"points": [[1, 2]]}, 'photo_boxes must be an object with "of" and "boxes" alone, got a dict.'),
        (
            [[200, 0, 300, 9]],
            "photo_boxes: number 1, [200, 0, 300, 9], is outside of the picture, which is 160 x 120 px.",
        ),
        (
            {"of": [100, 100], "boxes": [[0, 0, 9, 9]]},
            "photo_boxes is of a picture of 100 x 100 px, and photo has 160 x 120",
        ),
    ],
)
def test_what_is_no_box_on_the_picture_is_refused_in_words(given: Any, told: str) -> None:
    with pytest.raises(InputError) as refused:
        opened(BOXES, photo=picture(160, 120), photo_boxes=given)
    assert refused.value.field == "photo_boxes"
    assert str(refused.value.message).startswith(told)


def test_lists_in_lists_cost_no_stack() -> None:
    deep: Any = []
    for _ in range(900):
        deep = [deep]
    with pytest.raises(InputError, match="got \\[a list\\] as number 1"):
        inputs.read(BOXES, {"photo": b"x", "photo_boxes": [deep]})


@pytest.mark.parametrize("size", [(160, 120), (80, 60), (53, 40), (640, 480)])
@pytest.mark.parametrize(("colour", "mode"), [(255, "L"), ((255, 255, 255), "RGB"), ((255, 255, 255, 255), "RGBA")])
def test_a_mask_has_the_pictures_size_and_two_values(size: tuple[int, int], colour: Any, mode: str) -> None:
    share = size[0] / 160
    box = tuple(round(side * share) for side in (40, 30, 80, 60))
    background = Image.new("RGBA", size, (0, 0, 0, 255)) if mode == "RGBA" else Image.new(mode, size)
    background.paste(colour, box)
    mask = opened(MASK, photo=picture(160, 120), photo_mask=background).mask
    assert (mask.mode, mask.size) == ("L", (160, 120))
    assert np.allclose(mask.getbbox(), (40, 30, 80, 60), atol=3)
    assert {*np.unique(np.asarray(mask))} == {0, 255}


@pytest.mark.parametrize(
    ("mask", "told"),
    [
        (painted((160, 120), (0, 0, 0, 0)), "photo_mask marks nothing: white is what is meant"),
        (painted((160, 120), (0, 0, 90, 90), 100), "photo_mask marks nothing"),
        (painted((120, 160), (0, 0, 90, 90)), "photo_mask is of a picture of 120 x 160 px, and photo has 160 x 120 px"),
        (b"no picture", "photo_mask looks like text"),
        ("[[1, 2]]", "photo_mask must be a picture file, got '[[1, 2]]'."),
        (None, "photo_mask is missing: paint on the picture, or give one that is white where the area is."),
    ],
)
def test_what_is_no_mask_of_the_picture_is_refused_in_words(mask: Any, told: str) -> None:
    with pytest.raises(InputError) as refused:
        opened(MASK, photo=picture(160, 120), photo_mask=mask)
    assert refused.value.field == "photo_mask"
    assert str(refused.value.message).startswith(told)


def test_a_mask_is_bounded_as_any_picture_is(tmp_path: Path) -> None:
    huge = tmp_path / "mask.png"
    Image.new("1", (8, 8)).save(huge)
    head = b"IHDR" + struct.pack(">II", 30_000, 30_000) + huge.read_bytes()[24:29]
    data = huge.read_bytes()
    huge.write_bytes(data[:12] + head + struct.pack(">I", zlib.crc32(head)) + data[33:])
    with pytest.raises(InputError, match="photo_mask") as refused:
        opened(MASK, photo=picture(160, 120), photo_mask=huge)
    assert refused.value.field == "photo_mask"


def test_what_need_not_be_drawn_may_be_left_out_and_an_empty_mask_is_none() -> None:
    for kind, value in (("box", ""), ("points", []), ("mask", painted((160, 120), (0, 0, 0, 0)))):
        demo = with_hints(drawn_demo(kind, draw_optional=True))  # type: ignore[arg-type]  # one of three
        hint = demo.inputs[1].name
        for given in ({}, {hint: value}, {hint: None}):
            drawn = opened(demo, photo=picture(160, 120), **given)
            assert (drawn.boxes, drawn.points, drawn.mask) == ((), (), None)


def test_nothing_is_drawn_on_a_picture_that_is_not_there() -> None:
    demo = with_hints(drawn_demo("box", optional=True))
    assert inputs.read(demo, {}).pictures == {}
    with pytest.raises(InputError, match=r"photo_boxes is drawn on photo, which is missing: give both, or neither\."):
        inputs.read(demo, {"photo_boxes": [[0, 0, 9, 9]]})


def test_the_picture_is_upright_before_places_are_counted() -> None:
    import io

    file = io.BytesIO()
    exif = Image.Exif()
    exif[274] = 6  # turned by a quarter
    picture(160, 120).save(file, "JPEG", exif=exif)
    drawn = opened(BOXES, photo=file.getvalue(), photo_boxes=[[0, 140, 100, 999]])
    assert drawn.picture.size == (120, 160) and drawn.boxes == ((0, 140, 100, 160),)


# --- declarations ---------------------------------------------------------------------------------


def test_a_page_gets_the_inputs_by_itself_and_examples_their_places_as_text(tmp_path: Path) -> None:
    picture(160, 120).save(tmp_path / "a.png")
    demo = replace(drawn_demo("box"), examples=(Example({"photo": "a.png", "photo_boxes": [[1, 2, 30, 40]]}, "A"),))
    assert problems("drawn", demo, tmp_path) == []
    full = with_hints(demo)
    assert [f.name for f in full.inputs] == ["photo", "photo_boxes", "level"] and with_hints(full) == full
    assert full.examples[0].inputs["photo_boxes"] == "[[1,2,30,40]]"
    bad = replace(demo, examples=(Example({"photo": "a.png", "photo_boxes": [[9]]}, "A"),))
    assert "photo_boxes must be a list" in problems("drawn", bad, tmp_path)[0]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"draw": "line"}, "photo: draw must be one of 'box', 'points', 'mask', or empty, got 'line'."),
        ({"draw_most": 0}, "photo: draw_most must be a whole number from 1 to 1000, got 0."),
        ({"reduced_for": "size"}, "photo: places are in the picture's own pixels, so reduced_for must be empty."),
    ],
)
def test_what_is_wrong_with_a_declaration_is_told(change: dict[str, Any], told: str, tmp_path: Path) -> None:
    demo = drawn_demo("box")
    assert isinstance(demo.inputs[0], ImageInput)
    changed = replace(demo, inputs=(replace(demo.inputs[0], **change), *demo.inputs[1:]))
    assert told in problems("drawn", changed, tmp_path)


def test_what_does_not_go_with_drawing_is_told(tmp_path: Path) -> None:
    demo = drawn_demo("box")
    taken = replace(demo, inputs=(*demo.inputs, Text("photo_boxes", "Mine", default="")))
    assert "comes as the input 'photo_boxes'; rename the other one" in problems("drawn", taken, tmp_path)[0]
    own = replace(demo, inputs=(*demo.inputs, Marks("mine", "Mine", "other", "boxes", 3)))
    assert "declare ImageInput('other', ..., draw=...) alone" in problems("drawn", own, tmp_path)[0]
    over = replace(demo, video=OverVideo("Over", "Over a video.", curve="drawn"))
    assert "video is for a demo whose picture nobody draws on." in problems("drawn", over, tmp_path)


def test_examples_are_json(tmp_path: Path) -> None:
    demo = replace(drawn_demo("points"), examples=(Example({"photo": "a.png", "photo_points": [[1, 2, 0]]}, "A"),))
    assert json.loads(with_hints(demo).examples[0].inputs["photo_points"]) == [[1, 2, 0]]
