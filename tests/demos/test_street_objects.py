"""The street objects page: what it finds, counts and leaves out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.hub import Hub
from hub.pages.registry import discover
from hub.results.boxes import overlap
from hub.settings import Settings
from weights import objects

SLUG = "street_objects"
PAGE = discover(only=[SLUG]).get(SLUG)
STREET = PAGE.assets / "high_street.jpg"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    made = Hub(Settings(device="cpu", dtype="float32", data=str(tmp_path_factory.mktemp("data")), demos=SLUG))
    yield made
    made.close()


def test_cars_are_found_in_a_street_and_the_headline_counts_them(hub: Hub) -> None:
    result = hub.engine.run(SLUG, {"image": STREET, "quality": "fast"})
    boxes = result.values["objects"]["boxes"]
    cars = sum(box["label"] == "car" for box in boxes)
    assert cars
    assert result.headline.startswith(f"{cars} car")
    assert all(box["score"] >= 0.8 for box in boxes)
    every = hub.engine.run(SLUG, {"image": STREET, "quality": "fast", "least": 0, "smallest": 0.02})
    more = every.values["objects"]["boxes"]
    assert len(more) > len(boxes)
    assert all(box in more for box in boxes), "the same boxes, and those that were too small or too unsure"
    cyclists = hub.engine.run(SLUG, {"image": STREET, "quality": "fast", "what": "cyclist"}).values["objects"]["boxes"]
    assert {box["label"] for box in cyclists} <= {"cyclist"}


def test_the_street_scene_page_and_its_video_share_one_model_with_this_page(tmp_path: Path) -> None:
    scene, video = "camvid_segmentation", "camvid_segmentation_video"
    hub = Hub(Settings(device="cpu", dtype="float32", data=str(tmp_path), demos=f"{SLUG},{scene},{video}"))
    try:
        assert {page.model_slug for page in hub.registry} == {scene}
        assert hub.engine.run(scene, {"image": STREET, "quality": "fast"}).receipt.cold
        receipt = hub.engine.run(SLUG, {"image": STREET, "quality": "fast"}).receipt
        assert not receipt.cold and not receipt.batch_size, "what the model saw in this picture is still there"
        assert hub.models.is_loaded(SLUG) and [one.demo for one in hub.models.residents()] == [scene]
        assert hub.change_model(SLUG, "", "unload").state == "absent" and not hub.models.is_loaded(scene)
        assert hub.change_model(SLUG, "", "load").state == "ready" and hub.models.is_loaded(scene)
    finally:
        hub.close()


def test_counts_are_said_in_words() -> None:
    def said(*labels: str) -> str:
        headline: Any = PAGE.demo.headline
        return str(headline({"objects": (None, [{"label": label} for label in labels])}))

    assert said("person", "car", "person", "cyclist", "car") == "2 cars, 2 people, 1 cyclist"
    assert said() == "No cars, people or cyclists"


def test_a_box_is_right_where_half_of_it_is_and_is_counted_once() -> None:
    def box(label: str, *corners: float, score: float = 1.0) -> dict[str, Any]:
        return {"label": label, "score": score, "box": corners}

    true = [box("car", 0, 0, 10, 10), box("car", 20, 0, 30, 10)]
    found = [box("car", 0, 0, 10, 9, score=0.4), box("car", 0, 0, 10, 10), box("person", 20, 0, 30, 10)]
    assert objects._count(found, true, "car") == (1, 2, 2)
    assert objects._count(found, true, "person") == (0, 1, 0)
    assert overlap((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(1 / 3)
