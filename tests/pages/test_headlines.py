"""Headlines: what pages say in a few words, and that one that fails costs nobody a result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hub.cli.show import document
from hub.hub import Hub
from hub.pages.headlines import MOST_CHARS, bounded, headline_without
from hub.pages.registry import discover
from hub.results.headline import headline
from hub.texts import CHINESE, Sentence, catalogues, joined, sentence
from tests.fakes import picture, shade_demo

NBSP = "\N{NO-BREAK SPACE}"
CLASSES = {"_classes": [{"name": name} for name in ("road", "car", "building")]}


def legend(**percents: float) -> list[dict[str, Any]]:
    return [{"colour": "#000000", "class": name, "percent": percent} for name, percent in percents.items()]


def cars(*columns: int) -> np.ndarray[Any, Any]:
    mask = np.zeros((90, 300), np.uint8)
    for column in columns:
        mask[40:60, column : column + 20] = 1
    mask[5, 5] = 1  # a speckle
    return mask


def face(age: float, low: float = 0.0, high: float = 99.0) -> dict[str, Any]:
    return {"face": 1, "age": age, "low": low, "high": high}


UNSURE = face(88, 70, 96) | {"remark": "less reliable"}
SURE, TRAM = {"ordinary": 1.0, "emergency": 0.0}, {"tram": 0.6, "bus": 0.4}
CASES = [
    ("vehicle_classifier", {"probabilities": {"emergency": 0.94}}, {}, f"Emergency vehicle, 94{NBSP}%"),
    ("vehicle_classifier", {"probabilities": SURE}, {}, f"Ordinary vehicle, over 99{NBSP}%"),
    ("vehicle_classifier", {"probabilities": TRAM}, {}, f"tram, 60{NBSP}%"),
    ("age_regression", {"faces": [face(35.4, 26.2, 46.7)]}, {}, "About 35 years (26 to 47)"),
    ("age_regression", {"faces": [UNSURE]}, {}, "About 88 years (70 to 96), less reliable"),
    ("age_regression", {"faces": []}, {}, "No face found"),
    ("age_regression", {"faces": [face(35), face(8)]}, {}, "2 faces: about 35, 8 years"),
    ("age_regression", {"faces": [face(age) for age in (35, 8, 70, 2, 40)]}, {}, "5 faces: about 2 to 70 years"),
    ("palm_keypoints", {"hand": {"Left hand": 0, "Right hand": 1}, "points": [0] * 12}, {}, "Right hand, 12 points"),
    ("palm_keypoints", {"hand": {"Left hand": 0.1, "Right hand": 0.1}, "points": []}, {}, "No open palm found"),
    ("satellite_labels", {"tags": [{"label": "blow_down"}, {"label": "road"}]}, {}, "trees blown down, road"),
    ("satellite_labels", {"tags": [], "probabilities": {"sea": 0.3}}, {}, f"Nothing picked; sea, 30{NBSP}%"),
    ("stable_diffusion", {"pictures": [0]}, {"prompt": "a {red} star"}, "a {red} star"),
    ("stable_diffusion", {"pictures": [0, 1]}, {"prompt": "a star"}, "a star, 2 pictures"),
    (
        "camvid_segmentation",
        {"legend": legend(building=38.4, road=31.2, car=5.0), "mask": cars(10, 100, 200)},
        {"config": CLASSES},
        f"building 38{NBSP}%, road 31{NBSP}%, cars in 3 places",
    ),
    (
        "camvid_segmentation",
        {"legend": legend(road=90, building=10, car=0.0), "mask": cars()},
        {"config": CLASSES},
        f"road 90{NBSP}%, building 10{NBSP}%",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("slug", "outputs", "more", "words"), CASES)
def test_the_bundled_pages_say_their_answer_in_plain_words(
    slug: str, outputs: dict[str, Any], more: dict[str, Any], words: str
) -> None:
    demo = discover().get(slug).demo
    assert demo.headline is not None
    assert bounded(demo.headline(outputs, **more)) == words


def test_headlines_are_translated_and_what_a_visitor_wrote_is_not() -> None:
    pages = discover()
    chinese = catalogues(page.assets for page in pages)[CHINESE]
    told = {slug: pages.get(slug).demo.headline(outputs, **more) for slug, outputs, more, _ in CASES}  # type: ignore[misc]  # all have one
    assert chinese.say(told["palm_keypoints"]) == "未找到张开的手掌"
    assert chinese.say(told["satellite_labels"]) == "没有选中的标签；海洋，30%"
    star = pages.get("stable_diffusion").demo.headline({"pictures": [0]}, prompt="road")  # type: ignore[misc]
    assert chinese.say(star) == "road"


def fail(outputs: Any) -> str:
    raise SystemExit("no headline")


@pytest.mark.parametrize("bad", [fail, lambda outputs: None, lambda outputs: " \n", lambda outputs: 1 / 0])
def test_a_headline_that_fails_costs_no_result(make_hub: Callable[..., Hub], bad: Any) -> None:
    hub = make_hub(shade=shade_demo(headline=bad))
    result = hub.engine.run("shade", {"image": picture()})
    assert result.values and result.headline.endswith("%")


@pytest.mark.parametrize(
    "text", ["a\nb\u202e" * 9000, sentence("{words}", words="x" * 9000), joined(["a b"] * 5000), "\ud800" * 5]
)
def test_a_hostile_headline_is_one_short_line_or_none(text: str) -> None:
    try:
        line = bounded(text)
    except ValueError:
        assert not text.strip("\ud800")
        return
    assert 0 < len(line) <= MOST_CHARS
    assert not {"\n", "\u202e"} & set(line)
    assert isinstance(line, Sentence)


def test_words_of_inputs_are_in_no_headline_that_goes_without_them(
    make_hub: Callable[..., Hub],
) -> None:
    demo = shade_demo(headline=lambda outputs, image: sentence("seed {number}", number=image.width))
    hub = make_hub(shade=demo)
    result = hub.engine.run("shade", {"image": picture(40, 30)})
    assert result.headline == headline(demo, result) == document(demo, result, {})["headline"] == "seed 40"
    assert headline_without(demo, result, ["image"]).endswith("%")
    assert headline_without(demo, result, ["other"]) == "seed 40"


def test_a_headline_must_fit_the_declared_inputs() -> None:
    from hub.pages.problems import problems

    def wants_more(outputs: Any, nothing: Any) -> str:
        return ""

    (fault,) = problems("shade", shade_demo(headline=wants_more), discover().get("camvid_segmentation").assets)
    assert "write def headline(outputs)" in fault
