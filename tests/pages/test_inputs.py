"""What a value may be, and what the message says when it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hub.decoding.decode import Enough, ImageLimits
from hub.errors import DeclarationError, InputError, TooLargeError
from hub.images import encode
from hub.pages.inputs import Inputs, decoded, default, options, read
from hub.pages.kinds import enough_pixels
from hub.pages.values import SEED_LIMIT
from hub.spec import Choice, Choices, Demo, ImageInput, Json, Number, Seed, Slider, Text, Toggle, Weights
from tests.fakes import picture

HUGE = 10**5000  # more digits than Python writes out


def demo(*fields: Any, **changes: Any) -> Demo:
    nothing = lambda *given, **named: {}  # noqa: E731
    return Demo(
        title="T",
        summary="S",
        task="K",
        inputs=fields,
        outputs=(Json("j", "J"),),
        load=nothing,
        prepare=nothing,
        infer=nothing,
        present=nothing,
        **changes,
    )


def value(field: Any, given: Any) -> Any:
    return read(demo(field), {field.name: given}).parameters[field.name]


def message(field: Any, given: Any) -> str:
    with pytest.raises(InputError) as caught:
        read(demo(field), {field.name: given})
    assert caught.value.field == field.name
    assert caught.value.status == 422
    return str(caught.value)


# --- numbers --------------------------------------------------------------------------------------

THRESHOLD = Slider("threshold", "Threshold", 0.0, 1.0, 0.5, 0.05)
STEPS = Slider("steps", "Steps", 1, 50, 4, 1, unit="steps")


@pytest.mark.parametrize(
    ("given", "got"),
    [(0, 0.0), (1, 1.0), (0.25, 0.25), ("0.25", 0.25), (" 1e-1 ", 0.1), (None, 0.5), ("", 0.5), (np.float64(0.5), 0.5)],
)
def test_a_slider_takes_numbers_and_numbers_as_text(given: Any, got: float) -> None:
    number = value(THRESHOLD, given)
    assert number == got
    assert isinstance(number, float)


@pytest.mark.parametrize(("given", "got"), [(4, 4), (4.0, 4), ("7", 7), ("7.0", 7), (None, 4), ("", 4)])
def test_a_slider_of_whole_numbers_gives_an_int(given: Any, got: int) -> None:
    number = value(STEPS, given)
    assert number == got
    assert type(number) is int


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (300, "threshold must be between 0 and 1, got 300."),
        (-0.1, "threshold must be between 0 and 1, got -0.1."),
        (" 300 ", "threshold must be between 0 and 1, got 300."),
        (float("nan"), "threshold must be between 0 and 1, got nan."),
        ("nan", "threshold must be between 0 and 1, got nan."),
        (float("inf"), "threshold must be between 0 and 1, got inf."),
        (float("-inf"), "threshold must be between 0 and 1, got -inf."),
        ("1e999", "threshold must be between 0 and 1, got 1e999."),
        (10**300, "threshold must be between 0 and 1, got 1" + "0" * 58 + "…."),
        pytest.param(
            HUGE, "threshold must be a number between 0 and 1, got a number of more than 60 digits.", id="huge"
        ),
        ("high", "threshold must be a number between 0 and 1, got 'high'."),
        (True, "threshold must be a number between 0 and 1, got true."),
        (False, "threshold must be a number between 0 and 1, got false."),
        ([0.5], "threshold must be a number between 0 and 1, got a list."),
        ({"a": 1}, "threshold must be a number between 0 and 1, got a dict."),
        (b"0.5", "threshold must be a number between 0 and 1, got a bytes."),
        ("9" * 100, "threshold must be between 0 and 1, got " + "9" * 59 + "…."),
    ],
)
def test_a_number_that_is_refused_says_what_was_given_and_what_is_allowed(given: Any, told: str) -> None:
    assert message(THRESHOLD, given) == told


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (2.5, "steps must be a whole number between 1 and 50 steps, got 2.5."),
        ("2.5", "steps must be a whole number between 1 and 50 steps, got 2.5."),
        (51, "steps must be between 1 and 50 steps, got 51."),
        ("many", "steps must be a whole number between 1 and 50 steps, got 'many'."),
    ],
)
def test_a_whole_number_that_is_refused_names_its_unit(given: Any, told: str) -> None:
    assert message(STEPS, given) == told


PRICE, COUNT = Number("price", "Price", unit="EUR"), Number("count", "Count", 3, 0, 2**53, integer=True)


@pytest.mark.parametrize(
    ("field", "given", "got"),
    [(PRICE, 1, 1.0), (PRICE, "-2.5", -2.5), (COUNT, None, 3), (COUNT, "7.0", 7), (COUNT, 2**53 - 1, 2**53 - 1)],
)
def test_a_typed_number_is_a_float_or_an_int_as_declared(field: Number, given: Any, got: float) -> None:
    number = value(field, given)
    assert number == got
    assert type(number) is type(got)


def test_a_typed_number_without_a_default_must_be_given_and_keeps_its_bounds() -> None:
    assert message(PRICE, "") == "price is missing: write a number."
    assert message(COUNT, -1) == "count must be between 0 and 9.0072e+15, got -1."
    assert message(COUNT, 0.5) == "count must be a whole number between 0 and 9.0072e+15, got 0.5."
    assert "a number between" in message(PRICE, HUGE)


@pytest.mark.parametrize(
    ("given", "got"),
    [(True, True), (False, False), (1, True), (0, False), (" YES ", True), ("off", False), (None, True), ("", True)],
)
def test_a_switch_takes_the_words_that_forms_and_flags_have(given: Any, got: bool) -> None:
    assert value(Toggle("deep", "Deep", default=True), given) is got


@pytest.mark.parametrize(
    "given", ["perhaps", 2, pytest.param(HUGE, id="huge"), 1.0, [True], pytest.param("on" * 10**6, id="long")]
)
def test_a_switch_takes_nothing_else(given: Any) -> None:
    assert message(Toggle("deep", "Deep"), given).startswith("deep must be true or false, got ")


def test_equal_numbers_are_one_value_however_they_are_written() -> None:
    slider = Slider("x", "X", -1.0, 1, 0, 0.5)
    assert [repr(value(slider, given)) for given in (None, 0, 0.0, -0.0, "0", "-0.0")] == ["0.0"] * 6


def test_a_long_text_is_cut_in_the_message() -> None:
    assert len(message(THRESHOLD, "x" * 10_000)) < 150


# --- seeds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "got"), [(0, 0), (7, 7), ("7", 7), (7.0, 7), (SEED_LIMIT - 1, SEED_LIMIT - 1), (" 12 ", 12)]
)
def test_a_seed_that_is_given_is_used(given: Any, got: int) -> None:
    assert value(Seed(), given) == got


@pytest.mark.parametrize("given", [None, "", -1, -1.0, "-1"])
def test_a_seed_that_is_not_given_is_drawn(given: Any) -> None:
    drawn = {value(Seed(), given) for _ in range(8)}
    assert len(drawn) > 1
    assert all(0 <= seed < SEED_LIMIT for seed in drawn)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (-2, "-2"),
        (SEED_LIMIT, "4294967296"),
        (1.5, "1.5"),
        ("1.5", "'1.5'"),
        ("abc", "'abc'"),
        (True, "true"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        pytest.param(HUGE, "a number of more than 60 digits", id="huge"),
        ("9" * 5000, "'" + "9" * 59 + "…'"),
        ([], "a list"),
    ],
)
def test_a_seed_that_is_refused_says_what_is_allowed(given: Any, said: str) -> None:
    told = message(Seed(), given)
    assert told == f"seed must be a whole number from 0 to 4294967295, or empty for a new one, got {said}."


# --- choices and text -----------------------------------------------------------------------------

STYLE = Choice("style", "Style", ("photo", "drawing"), default="photo")
PROMPT = Text("prompt", "Prompt", max_chars=10)


def test_a_choice_takes_one_of_its_options_and_has_a_default() -> None:
    assert [value(STYLE, given) for given in ("drawing", None, "")] == ["drawing", "photo", "photo"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("drawin", "style: no option 'drawin'. Did you mean 'drawing'? There are: 'photo', 'drawing'."),
        ("oil", "style: no option 'oil'. There are: 'photo', 'drawing'."),
        (1, "style must be one of 'photo', 'drawing', got 1."),
        (["photo"], "style must be one of 'photo', 'drawing', got a list."),
    ],
)
def test_a_choice_that_is_refused_lists_or_suggests_options(given: Any, told: str) -> None:
    assert message(STYLE, given) == told


PAINTS = Choices("paints", "Paints", ("red", "green", "dark blue"), default=("green",))


@pytest.mark.parametrize(
    ("given", "got"),
    [
        (None, ("green",)),
        ("", ()),
        ([], ()),
        ("dark blue", ("dark blue",)),
        ("dark blue, red", ("red", "dark blue")),
        (["dark blue", "red", "red"], ("red", "dark blue")),
        (("green",), ("green",)),
    ],
)
def test_several_options_come_as_text_or_list_and_go_in_their_declared_order(given: Any, got: tuple[str, ...]) -> None:
    assert value(PAINTS, given) == got


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("dark", "paints: no option 'dark'. Did you mean 'dark blue'? There are: 'red', 'green', 'dark blue'."),
        (["red", "oil"], "paints: no option 'oil'. There are: 'red', 'green', 'dark blue'."),
        (5, "paints must be a list of texts, or text with commas, got 5."),
        (["red", 5], "paints must be a list of texts, or text with commas, got 5 in a list."),
        ({"red": True}, "paints must be a list of texts, or text with commas, got a dict."),
    ],
)
def test_options_that_are_refused_say_what_is_allowed(given: Any, told: str) -> None:
    assert message(PAINTS, given) == told


# --- options that come with the weights -----------------------------------------------------------

LABEL = Choice("label", "Label", ("the best",), default="the best", options_from="label_names")
LABELS = Choices("labels", "Labels", options_from="label_names")
CONFIGS: dict[str, dict[str, Any]] = {
    "cars": {"label_names": ["saloon", "van, long"]},
    "trees": {"label_names": [{"name": "oak", "colour": [1, 2, 3]}, {"name": "the best"}]},
}
OF_WEIGHTS = demo(LABEL, LABELS, weights=(Weights("cars"), Weights("trees")))


def of_weights(weights: str, **given: Any) -> dict[str, Any]:
    return read(OF_WEIGHTS, {"weights": weights, **given}, None, CONFIGS.__getitem__).parameters


def test_options_of_the_chosen_weights_follow_the_declared_ones() -> None:
    assert of_weights("cars", label="saloon") == {"label": "saloon", "labels": ()}
    assert of_weights("trees", labels=["the best", "oak"]) == {"label": "the best", "labels": ("oak", "the best")}


def test_an_option_with_a_comma_may_be_given_alone_as_text() -> None:
    assert of_weights("cars", labels="van, long")["labels"] == ("van, long",)
    assert of_weights("cars", labels=["van, long", "saloon"])["labels"] == ("saloon", "van, long")


def test_of_very_many_options_the_first_are_named() -> None:
    with pytest.raises(InputError) as caught:
        value(Choice("kind", "Kind", tuple(f"kind {n}" for n in range(1000)), "kind 0"), "oak")
    assert caught.value.message.endswith("'kind 18', 'kind 19' and 980 more.")


def test_an_option_of_other_weights_is_refused() -> None:
    for given in ({"label": "oak"}, {"labels": ["oak"]}):
        with pytest.raises(InputError, match=r"There are: .*'saloon', 'van, long'") as caught:
            of_weights("cars", **given)
        assert caught.value.field in given


@pytest.mark.parametrize("listed", [None, [], "saloon", [1], ["saloon", ""], [{"title": "saloon"}], {"0": "saloon"}])
def test_weights_without_the_list_are_told_by_name(listed: Any) -> None:
    with pytest.raises(DeclarationError, match=r"config.json of the weights 'odd' must have a list 'label_names'"):
        options(LABEL, "odd", {"label_names": listed})


# --- defaults that come with the weights ----------------------------------------------------------

LEAST = Slider("least", "Least", 0.0, 1.0, 0.5, 0.01, default_from="threshold")
MOST = Slider("most", "Most", 1, 9, 5, 1, default_from="count")
NUMBERS: dict[str, dict[str, Any]] = {"cars": {"threshold": 0.3, "count": 2}, "trees": {"threshold": 1, "count": 9}}
OF_NUMBERS = demo(LEAST, MOST, weights=(Weights("cars"), Weights("trees")))


def test_a_number_that_is_left_out_is_that_of_the_chosen_weights_and_0_means_0() -> None:
    def given(**values: Any) -> dict[str, Any]:
        return read(OF_NUMBERS, values, None, NUMBERS.__getitem__).parameters

    assert given() == {"least": 0.3, "most": 2}
    found = given(weights="trees", least="", most=None)
    assert found == {"least": 1.0, "most": 9}
    assert [type(value) for value in found.values()] == [float, int]
    assert given(weights="trees", least=0, most="3") == {"least": 0.0, "most": 3}
    assert read(OF_NUMBERS, {}).parameters == {"least": 0.5, "most": 5}, "the weights are not known"


@pytest.mark.parametrize("number", [None, "0.3", True, 1.5, -0.1, float("nan"), [0.3]])
def test_weights_without_the_number_or_with_one_out_of_range_are_told_at_every_run(number: Any) -> None:
    numbers = {"cars": {**NUMBERS["cars"], "threshold": number}}
    for values in ({}, {"least": 0.4}):
        with pytest.raises(DeclarationError) as caught:
            read(OF_NUMBERS, values, None, numbers.__getitem__)
        assert caught.value.message.startswith(
            "config.json of the weights 'cars' must have a number 'threshold' between 0 and 1 for the input 'least', "
        )
    with pytest.raises(DeclarationError, match=r"must have a whole number 'count' between 1 and 9 .* got nothing\."):
        default(MOST, "cars", {})


def test_text_is_stripped_and_kept() -> None:
    assert value(PROMPT, "  a cat\n") == "a cat"
    assert value(Text("note", "Note", default="none"), None) == "none"
    assert value(Text("note", "Note", default="none"), "") == ""


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (None, "prompt is missing: write a text."),
        ("   ", "prompt is empty: write a text."),
        ("x" * 11, "prompt has 11 characters; at most 10 are read. Shorten it."),
        (5, "prompt must be text, got 5."),
        (["a"], "prompt must be text, got a list."),
        ("a\x00b", "prompt has characters that are not valid text (NUL or half a pair)."),
        ("a\ud800", "prompt has characters that are not valid text (NUL or half a pair)."),
    ],
)
def test_text_that_is_refused_says_why(given: Any, told: str) -> None:
    assert message(PROMPT, given) == told


def test_text_of_any_script_is_taken() -> None:
    assert value(PROMPT, "猫 🐈 şahin") == "猫 🐈 şahin"


# --- pictures -------------------------------------------------------------------------------------

PHOTO = ImageInput("image", "Photo")


def opened(checked: Inputs) -> dict[str, Any]:
    return decoded(checked.parameters, checked.pictures, ImageLimits())


def test_a_picture_may_be_bytes_a_path_or_an_image(tmp_path: Path) -> None:
    data = encode(picture(), "png")
    (tmp_path / "a.png").write_bytes(data)
    for given in (data, bytearray(data), memoryview(data), tmp_path / "a.png", picture()):
        checked = read(demo(PHOTO), {"image": given})
        assert opened(checked)["image"].tobytes() == picture().tobytes()
        assert len(checked.digests["image"]) == 64


def test_equal_pictures_have_equal_digests_and_others_do_not() -> None:
    digests = [read(demo(PHOTO), {"image": picture(seed=seed)}).digests["image"] for seed in (1, 1, 2)]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (None, "image is missing: give a picture (JPEG, PNG or WebP, for example)."),
        ("", "image is missing: give a picture (JPEG, PNG or WebP, for example)."),
        ("photo.jpg", "image must be a picture file, got 'photo.jpg'."),
        (5, "image must be a picture file, got 5."),
        ([1, 2], "image must be a picture file, got a list."),
        (Path("/no/such/file.jpg"), "image: cannot read /no/such/file.jpg: No such file or directory."),
        (Path("/"), "image: cannot read /: Is a directory."),
    ],
)
def test_a_picture_that_is_refused_says_what_was_given(given: Any, told: str) -> None:
    assert message(PHOTO, given) == told


def test_bytes_that_are_no_picture_are_refused_when_decoded() -> None:
    checked = read(demo(PHOTO), {"image": b"hello, world"})
    with pytest.raises(InputError) as caught:
        opened(checked)
    assert caught.value.field == "image"


def test_a_file_over_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "big.jpg"
    with path.open("wb") as stream:
        stream.truncate(3 * 2**20)
    with pytest.raises(TooLargeError, match=r"image has 3\.0 MB; at most 1 MB are read"):
        read(demo(PHOTO), {"image": path}, ImageLimits(max_bytes=2**20))


REDUCED = ImageInput("image", "Photo", reduced_for="seen.size")


@pytest.mark.parametrize(
    "config", [{}, {"seen": [3, 8, 9]}, {"seen": {"size": "large"}}, {"seen": {"size": [3, None, 9]}}]
)
def test_a_picture_comes_whole_where_the_weights_do_not_say_what_is_enough(config: dict[str, Any]) -> None:
    assert enough_pixels(demo(REDUCED), config) == {}
    assert enough_pixels(demo(REDUCED), None) == {}
    assert enough_pixels(demo(PHOTO), {"seen": {"size": [3, 8, 9]}}) == {}


def test_a_picture_that_may_come_reduced_keeps_several_times_what_the_network_sees() -> None:
    assert enough_pixels(demo(REDUCED), {"seen": {"size": (3, 384, 512)}}) == {"image": Enough(1792, 1000)}
    one = demo(REDUCED, ImageInput("other", "Other"))
    checked = read(one, {name: encode(picture(2000, 1200), "jpeg") for name in ("image", "other")})
    enough = enough_pixels(one, {"seen": {"size": [100, 100]}})
    images = decoded(checked.parameters, checked.pictures, ImageLimits(), enough=enough)
    assert (images["image"].size, images["other"].size) == ((1000, 600), (2000, 1200))


# --- names ----------------------------------------------------------------------------------------


def test_an_unknown_name_is_refused_with_a_suggestion() -> None:
    with pytest.raises(InputError) as caught:
        read(demo(THRESHOLD, STEPS), {"treshold": 0.5})
    assert str(caught.value) == "No input 'treshold'. Did you mean 'threshold'?"
    assert caught.value.field == "treshold"


def test_a_demo_without_weights_does_not_know_the_name_weights() -> None:
    with pytest.raises(InputError, match="No input 'weights'"):
        read(demo(THRESHOLD), {"weights": "x"})


def test_weights_are_chosen_by_name_and_the_first_is_the_default() -> None:
    two = demo(THRESHOLD, weights=(Weights("small_model"), Weights("large_model")))
    assert [read(two, raw).weights for raw in ({}, {"weights": ""}, {"weights": "large_model"})] == [
        "small_model",
        "small_model",
        "large_model",
    ]
    assert read(demo(THRESHOLD), {}).weights is None
    for given in ("large", 5, ["large_model"]):
        with pytest.raises(InputError, match="No weights") as caught:
            read(two, {"weights": given})
        assert caught.value.field == "weights"
