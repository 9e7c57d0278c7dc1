"""Two sets of weights on the same inputs: what is asked, what is answered, what differs; and the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hub.cli.main import main
from hub.engine.compare import Comparison, compare, figures
from hub.engine.differences import pairs
from hub.engine.jobs import Cancel
from hub.errors import CancelledError, InputError, NotFoundError, UnavailableError
from hub.hub import Hub
from hub.images import encode
from hub.results.result import Picture
from hub.spec import ImageOutput
from hub.texts import CHINESE, own
from tests import two_weights
from tests.fakes import picture, plain, shade_demo

CHINESE_TEXTS = own()[CHINESE]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("two")
    two_weights.write(root)
    return root


@pytest.fixture(scope="module")
def hub(root: Path) -> Iterator[Hub]:
    made = two_weights.make_hub(root)
    yield made
    made.close()


@pytest.fixture(scope="module")
def photo(root: Path) -> Path:
    return root / "photo.png"


@pytest.fixture(scope="module")
def found(hub: Hub, photo: Path) -> Comparison:
    return compare(hub.engine, "pair", {"image": photo, "seed": 7}, "one", "two")


def rows(found: Comparison, output: str) -> list[tuple[Any, ...]]:
    return [(r.name, r.column, r.a, r.b, r.difference) for r in found.rows if r.output == output]


# --- what is asked --------------------------------------------------------------------------------


def test_both_answers_are_those_of_two_runs_and_a_second_comparison_runs_nothing(
    hub: Hub, photo: Path, found: Comparison
) -> None:
    alone = [hub.engine.run("pair", {"image": photo, "seed": 7, "weights": name}).id for name in ("one", "two")]
    assert [found.a.id, found.b.id] == alone
    again = compare(hub.engine, "pair", {"image": photo, "seed": 7})  # the first two sets, where none is named
    assert (again.a.receipt.weights, again.b.receipt.weights) == ("one", "two")
    assert [again.a.receipt.cached, again.b.receipt.cached] == [True, True]
    assert (again.rows, again.pictures) == (found.rows, found.pictures)


@pytest.mark.parametrize("given", [{}, {"seed": ""}, {"seed": -1}])
def test_one_seed_is_drawn_for_both(hub: Hub, photo: Path, given: dict[str, Any]) -> None:
    found = compare(hub.engine, "pair", {"image": photo, **given})
    assert isinstance(found.a.seed, int)
    assert found.a.seed == found.b.seed


def test_a_then_b_runs_and_each_tells_its_stages(hub: Hub) -> None:
    heard, new = list[tuple[str, str]](), picture(seed=1)
    compare(hub.engine, "pair", {"image": new}, on_event=lambda side, stage, progress: heard.append((side, stage)))
    sides = [side for side, _ in heard]
    assert sides == sorted(sides)
    assert {("a", "running"), ("b", "running")} <= set(heard)


@pytest.mark.parametrize("seed", [0, 2])  # of the first picture the model's output is in memory
def test_cancelling_during_a_leaves_b_unasked(hub: Hub, seed: int) -> None:
    cancel, heard = Cancel(), list[str]()

    def hear(side: str, stage: str, progress: Any) -> None:
        heard.append(side)
        cancel.set()

    with pytest.raises(CancelledError):
        compare(hub.engine, "pair", {"image": picture(seed=seed)}, cancel=cancel, on_event=hear)
    assert set(heard) == {"a"}


def test_an_option_that_one_set_lacks_falls_back_there_and_is_told(hub: Hub, photo: Path) -> None:
    given = {"image": photo, "least": 0.5}
    found = compare(hub.engine, "pair", {**given, "best": "eel", "kept": "dog,eel"})
    asked = [result.values["facts"]["asked"] for result in (found.a, found.b)]
    assert asked == [["eel", "dog", "eel"], ["off", "dog"]]
    assert found.notes == (
        "Best: weights 'two' have no 'eel', so B ran with 'off'.",
        "Kept: weights 'two' have no 'eel', so B ran with 'dog'.",
    )
    assert CHINESE_TEXTS.say(found.notes[0]) == "Best：权重 two 没有“eel”，因此 B 使用了“off”。"
    found = compare(hub.engine, "pair", {**given, "kept": ["fox"]})
    assert found.notes == ("Kept: weights 'one' have no 'fox', so A ran without.",)
    assert CHINESE_TEXTS.say(found.notes[0]) == "Kept：权重 one 没有“fox”，因此 A 运行时不含此项。"
    assert compare(hub.engine, "pair", {**given, "best": "dog"}).notes == ()


def test_a_number_that_is_left_out_is_each_sets_own_and_one_that_is_given_is_for_both(hub: Hub, photo: Path) -> None:
    def limits(found: Comparison) -> list[float]:
        return [result.values["limit"] for result in (found.a, found.b)]

    own = compare(hub.engine, "pair", {"image": photo}, "one", "two")
    assert (limits(own), own.notes) == ([0.5, 0.25], ("Least: each set has its own value, 0.5 for A and 0.25 for B.",))
    assert CHINESE_TEXTS.say(own.notes[0]) == "Least：两组权重各用自己的值，A 为 0.5，B 为 0.25。"
    given = compare(hub.engine, "pair", {"image": photo, "least": 0}, "one", "two")
    assert (limits(given), given.notes) == ([0.0, 0.0], ())


@pytest.mark.parametrize(
    ("slug", "given", "sides", "field", "text"),
    [
        (
            "pair",
            {},
            ("one", "one"),
            "weights_b",
            "weights_a and weights_b are both 'one'; .* as 'two'",
        ),
        ("pair", {}, ("one", "tow"), "weights_b", "No weights 'tow'. Did you mean 'two'"),
        ("pair", {}, ("five", ""), "weights_a", "No weights 'five'"),
        ("pair", {"weights": "one"}, ("", ""), "weights", "takes weights_a and weights_b, not weights"),
        ("pair", {"best": "cow"}, ("", ""), "best", "best: no option 'cow'"),
        ("pair", {"image": None}, ("", ""), "image", "image is missing"),
        ("single", {}, ("", ""), "weights_b", "One set has only the weights 'one'; .* --weights single=./FOLDER"),
    ],
)
def test_what_cannot_be_compared_is_told_with_what_to_do(
    slug: str, given: dict[str, Any], sides: tuple[str, str], field: str, text: str, hub: Hub, photo: Path
) -> None:
    with pytest.raises(InputError, match=text) as caught:
        compare(hub.engine, slug, {"image": photo, **given}, *sides)
    assert caught.value.field == field


def test_a_page_that_is_none_and_weights_that_are_gone_are_named(hub: Hub, photo: Path) -> None:
    with pytest.raises(NotFoundError, match=r"No demo 'pear'\. Did you mean 'pair'"):
        compare(hub.engine, "pear", {"image": photo})
    with pytest.raises(UnavailableError, match="'gone'"):
        compare(hub.engine, "pair", {"image": photo}, "one", "gone")


# --- what differs ---------------------------------------------------------------------------------


def test_labels_are_joined_the_largest_difference_first(found: Comparison) -> None:
    assert rows(found, "shares") == [
        ("dog", "", 0.2, 0.6, 0.4),
        ("cat", "", 0.7, 0.65, -0.05),
        ("eel", "", 0.1, None, None),
        ("fox", "", None, 0.05, None),
    ]
    assert rows(found, "limit") == [("limit", "", 0.5, 0.25, -0.25)]


def test_rows_of_tables_meet_by_their_text_or_first_column(found: Comparison) -> None:
    assert rows(found, "rows") == [
        ("road", "percent", 60.0, 10.0, -50.0),
        ("tree", "percent", 40.0, 90.0, 50.0),
        ("tree (2)", "percent", 1.5, None, None),
    ]
    assert rows(found, "boxes") == [("face 1", "age", 46.0, 62.0, 16.0), ("face 1", "x_px", 5, 5, 0)]


def test_of_plain_json_only_numbers_are_told(found: Comparison) -> None:
    assert rows(found, "facts") == [
        ("seed", "", 7, 7, 0),
        ("size.width", "", 16, 32, 16),
        ("size.height", "", 48, 48, 0),
    ]
    assert rows(found, "words") == []


def test_the_share_of_pixels_that_differ_is_measured(found: Comparison) -> None:
    measured = {(p.output, p.number): (p.differ, p.levels, p.note) for p in found.pictures}
    assert measured["painted", 0] == (0.25, 0, "")  # columns 16 to 31 of 64
    assert measured["ids", 0] == (0.25, 0, "")
    assert measured["photo", 0] == (1.0, 8, "")  # 64 levels apart, everywhere
    assert measured["copies", 0] == (0.0, 0, "")
    assert measured["copies", 1] == (None, 0, "Only B has this picture.")
    assert measured["heat", 0] == (None, 0, "Only B has this picture.")
    assert CHINESE_TEXTS.say(measured["heat", 0][2]) == "只有 B 有此图片。"


def test_pictures_of_two_sizes_are_not_measured_and_small_changes_of_a_jpeg_do_not_count() -> None:
    def result(image: Image.Image) -> Any:
        data = encode(image, "jpeg")
        return type("R", (), {"pictures": {"p": (Picture(data, "image/jpeg", image.width, image.height),)}})

    demo = shade_demo(outputs=(ImageOutput("p", "P", format="jpeg"),))
    grey = result(plain(100, 100, 100))
    (pair,) = pairs(demo, grey, result(plain(100, 100, 100, 32, 24)))
    assert pair.differ is None
    assert pair.note.startswith("A is 64 x 48 px, B is 32 x 24 px;")
    assert CHINESE_TEXTS.say(pair.note).startswith("A 为 64 x 48 像素，B 为 32 x 24 像素；")
    (near,), (far,) = (pairs(demo, grey, result(plain(level, level, level))) for level in (106, 112))
    assert (near.differ, far.differ) == (0.0, 1.0)


# --- the command line -----------------------------------------------------------------------------


@pytest.fixture
def command(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in two_weights.settings(root).items():
        monkeypatch.setenv(f"HUB_{name.upper()}", value)
    return root


def test_the_command_line_tells_the_same_figures_and_keeps_both_pictures(
    command: Path, photo: Path, found: Comparison, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--image", str(photo), "--set", "seed=7", "--a", "one", "--b", "two", "--out", str(tmp_path)]
    assert main(["compare", "pair", *flags, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {key: printed[key] for key in ("rows", "pictures", "notes")} == two_weights.plain(figures(found))
    assert [printed[side]["receipt"]["weights"] for side in "ab"] == ["one", "two"]
    for side, result in (("a", found.a), ("b", found.b)):
        path = Path(printed[side]["outputs"]["painted"])
        assert path == tmp_path / f"photo-{side}-painted.png"
        assert path.read_bytes() == result.pictures["painted"][0].data


def test_people_get_a_table_with_signs(command: Path, photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "pair", "--image", str(photo), "--set", "seed=7", "--set", "best=eel"]) == 0
    printed = capsys.readouterr().out
    assert "A: one   B: two" in printed
    assert "so B ran with 'off'." in printed
    assert "25.00% of the pixels differ" in printed
    lines = [line.split() for line in printed.splitlines()]
    assert ["dog", "20.0", "%", "60.0", "%", "+40.0"] in lines
    assert ["road", "60", "%", "10", "%", "-50"] in lines
    assert ["eel", "10.0", "%", "-", "-"] in lines


def test_the_command_line_refuses_in_one_line(command: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "pair", "--a", "tow"]) == 2
    assert capsys.readouterr().err == "error: No weights 'tow'. Did you mean 'two'?\n"
