"""What `present` may return, and how items and outputs are hashed and kept."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hub.decoding.decode import decode
from hub.errors import HubError
from hub.pages.outputs import digest, encode, seal
from hub.spec import Demo, Gallery, ImageOutput, Json, Labels, Mask
from tests.fakes import picture, shade_demo


def declaring(*fields: Any) -> Demo:
    return shade_demo(outputs=fields)


def encoded(field: Any, value: Any) -> Any:
    values, pictures = encode("page", declaring(field), {field.name: value})
    return json.loads(values).get(field.name) if not pictures else pictures[field.name]


def message(field: Any, value: Any) -> str:
    with pytest.raises(HubError) as caught:
        encoded(field, value)
    return str(caught.value)


def test_labels_are_sorted_and_rounded_probabilities() -> None:
    got = encoded(Labels("l", "L"), {"a": 0.25, "b": np.float32(0.75), "c": -1e-9})
    assert list(got.items()) == [("b", 0.75), ("a", 0.25), ("c", 0.0)]


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1.5, -0.5, None, "high"])
def test_labels_outside_0_to_1_are_refused(bad: Any) -> None:
    assert message(Labels("l", "L"), {"a": bad}).startswith("page: output 'l' is not what it declares: ")


def test_a_mask_is_an_exact_8_bit_png() -> None:
    ids = np.arange(12, dtype=np.uint8).reshape(3, 4)
    (mask,) = encoded(Mask("m", "M"), ids)
    assert (mask.width, mask.height, mask.media_type) == (4, 3, "image/png")
    import io

    with Image.open(io.BytesIO(mask.data)) as image:
        assert image.mode == "L"
        assert np.array_equal(np.asarray(image), ids)


@pytest.mark.parametrize("bad", [np.zeros((3, 4)), np.zeros((3, 4, 1), np.uint8), [[1, 2]], None])
def test_a_mask_that_is_not_uint8_height_width_is_refused(bad: Any) -> None:
    assert "class ids must be a uint8 array" in message(Mask("m", "M"), bad)


@pytest.mark.parametrize(("format", "media_type"), [("png", "image/png"), ("jpeg", "image/jpeg")])
def test_a_picture_is_encoded_as_declared(format: Any, media_type: str) -> None:
    (stored,) = encoded(ImageOutput("i", "I", format=format), picture(30, 20))
    assert stored.media_type == media_type
    assert decode(stored.data).size == (30, 20)


def test_a_gallery_keeps_captions() -> None:
    stored = encoded(Gallery("g", "G"), [(picture(), "one"), (picture(), "two")])
    assert [p.caption for p in stored] == ["one", "two"]
    assert "a PIL image is wanted" in message(Gallery("g", "G"), [("x", "one")])


@pytest.mark.parametrize("bad", [np.zeros((4, 4, 3), np.uint8), None, Image.new("F", (8, 8))])
def test_what_is_no_picture_is_refused(bad: Any) -> None:
    assert message(ImageOutput("i", "I"), bad).startswith("page: output 'i' is not what it declares: ")


@pytest.mark.parametrize("bad", [{"a": math.nan}, np.float32(1), {1, 2}, b"x", {"a": np.zeros(2)}])
def test_what_is_not_json_is_refused(bad: Any) -> None:
    assert message(Json("j", "J"), bad).startswith("page: output 'j' is not what it declares: ")


def test_a_table_is_a_list_of_rows_with_equal_columns() -> None:
    table = Json("t", "T", table=True)
    assert encoded(table, [{"a": 1}, {"a": 2}]) == [{"a": 1}, {"a": 2}]
    assert encoded(table, []) == []
    assert "same columns" in message(table, [{"a": 1}, {"b": 2}])
    assert "list of dicts" in message(table, {"a": 1})


@pytest.mark.parametrize("bad", [None, {}, {"x": 1}, {"l": {}, "more": 1}, [1]])
def test_present_must_return_exactly_the_declared_outputs(bad: Any) -> None:
    with pytest.raises(HubError, match=r"page: present must return a dict with \['l'\]"):
        encode("page", declaring(Labels("l", "L")), bad)


# --- hashing items --------------------------------------------------------------------------------


def test_equal_items_have_equal_digests() -> None:
    one = {"x": np.arange(6).reshape(2, 3), "n": 3, "s": "a", "l": [1, None, 2.5]}
    other = {"l": [1, None, 2.5], "s": "a", "n": 3, "x": np.arange(6).reshape(2, 3)}
    assert digest(one) == digest(other) != ""


def test_different_items_have_different_digests() -> None:
    items: list[Any] = [
        0,
        0.0,
        False,
        "0",
        None,
        [],
        {},
        [0],
        [[0]],
        [0, 0],
        ["", ""],
        {"a": {"b": 1}, "c": 2},
        {"a": {"b": 1, "c": 2}},
        {"a": 1},
        ["a", 1],
        np.zeros(2),
        np.zeros(2, np.float32),
        np.zeros((2, 1)),
        np.zeros((1, 2)),
        [np.zeros(1), np.zeros(1)],
        np.ones(2),
    ]
    assert len({digest(item) for item in items}) == len(items)


def test_the_layout_of_an_array_does_not_change_its_digest() -> None:
    array = np.arange(12.0).reshape(3, 4)
    assert digest(array) == digest(np.asfortranarray(array)) == digest(array[::-1][::-1])


def test_tensors_of_any_dtype_are_hashed() -> None:
    import torch

    tensors = [torch.arange(4).to(dtype) for dtype in (torch.bfloat16, torch.float16, torch.float32, torch.bool)]
    tensors += [torch.tensor(1.0, requires_grad=True), torch.zeros(0), torch.arange(6).reshape(2, 3).T]
    digests = {digest(tensor) for tensor in tensors}
    assert len(digests) == len(tensors)
    assert "" not in digests
    assert digest(torch.arange(6).reshape(2, 3).T) == digest(torch.arange(6).reshape(2, 3).T.contiguous())


@pytest.mark.parametrize("item", [object(), [object()], {1: 2}, {"a": {2: 3, "b": 1}}, np.array([object()])])
def test_what_cannot_be_hashed_safely_has_no_digest(item: Any) -> None:
    assert digest(item) == ""


# --- keeping outputs ------------------------------------------------------------------------------


def test_a_kept_array_cannot_be_written_to() -> None:
    kept, size = seal({"a": np.zeros(10), "b": [np.ones(3)]})
    assert size is not None
    assert size >= 104
    for array in (kept["a"], kept["b"][0]):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_a_kept_slice_does_not_keep_the_batch_it_was_cut_from() -> None:
    import torch

    for batch in (np.zeros((8, 1000)), torch.zeros(8, 1000).numpy()):
        kept, size = seal(next(iter(batch)))
        assert kept.base is None
        assert size == kept.nbytes


def test_an_output_of_unknown_kind_has_no_size() -> None:
    assert seal(object())[1] is None
    assert seal([np.zeros(2), object()])[1] is None
    assert seal(picture())[1] is None


# --- optional outputs, and lines ------------------------------------------------------------------

MAYBE = declaring(
    Json("always", "A"),
    ImageOutput("image", "I", optional=True),
    Mask("mask", "M", optional=True),
    Labels("labels", "L", optional=True),
    Gallery("pictures", "G", optional=True),
    Json("more", "J", optional=True),
)


def test_an_optional_output_may_be_none_or_left_out() -> None:
    names = [f.name for f in MAYBE.outputs]
    for presented in ({"always": 1}, dict.fromkeys(names) | {"always": 1}):
        values, pictures = encode("page", MAYBE, presented)
        assert (json.loads(values), dict(pictures)) == ({"always": 1}, {})
    values, pictures = encode("page", MAYBE, {"always": None, "image": picture(), "more": 0})
    assert (json.loads(values), list(pictures)) == ({"always": None, "more": 0}, ["image"])


@pytest.mark.parametrize("presented", [{"image": picture()}, {"always": 1, "other": 2}, {}, None])
def test_what_is_not_optional_must_be_there_and_nothing_else_may_be(presented: Any) -> None:
    with pytest.raises(HubError, match="page: present must return a dict with"):
        encode("page", MAYBE, presented)


LINED = declaring(Labels("labels", "L", line="limit"), Json("limit", "Limit"))


@pytest.mark.parametrize("limit", [0, 0.5, 1.0])
def test_a_line_is_a_number_among_the_probabilities(limit: float) -> None:
    values, _ = encode("page", LINED, {"labels": {"a": 0.5}, "limit": limit})
    assert json.loads(values)["limit"] == limit


@pytest.mark.parametrize("limit", [None, "0.5", True, 1.5, -0.1, [0.5]])
def test_a_line_anywhere_else_is_refused(limit: Any) -> None:
    with pytest.raises(HubError, match=r"page: output 'limit' is where 'labels' draws a line; .* got "):
        encode("page", LINED, {"labels": {"a": 0.5}, "limit": limit})
