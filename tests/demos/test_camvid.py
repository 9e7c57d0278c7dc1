"""The street scene page: shapes, sizes, its two qualities, and which classes are coloured."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hub.execution.batching import signature
from hub.hub import Hub
from hub.kit.segmentation import size_of_area
from hub.pages.registry import discover
from hub.results.result import Result
from hub.settings import Settings

SLUG = "camvid_segmentation"
PAGE = discover(only=[SLUG]).get(SLUG)
MODULE: Any = __import__("sys").modules[f"demos.{SLUG}"]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    data = str(tmp_path_factory.mktemp("data"))
    made = Hub(Settings(device="cpu", dtype="float32", data=data, demos=SLUG))
    yield made
    made.close()


@pytest.fixture(scope="module")
def street() -> Image.Image:
    with Image.open(PAGE.assets / str(PAGE.demo.examples[0].inputs["image"])) as file:
        return file.convert("RGB")


def picture_of(result: Result, name: str) -> Image.Image:
    return Image.open(io.BytesIO(result.pictures[name][0].data))


def jpeg(image: Image.Image, size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    image.resize(size).save(file, "JPEG", quality=90)
    return file.getvalue()


def mask_of(result: Result) -> Any:
    return np.asarray(picture_of(result, "mask"))


def config(hub: Hub) -> Any:
    return hub.weights.find(PAGE.demo.weights[0].name).config


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "name"), [((4000, 120), "wide"), ((90, 3000), "tall"), ((16_000, 8), "thread"), ((9, 9), "tiny")]
)
def test_a_picture_of_any_shape_goes_to_the_model_undistorted(size: tuple[int, int], name: str, hub: Hub) -> None:
    settings = config(hub)["_preprocessing"]
    width, height = size_of_area(size, settings["width"] * settings["height"])
    stretch = (width / size[0]) / (height / size[1])
    assert abs(stretch - 1) <= 0.5 / min(width, height) + 0.01, name  # to half a pixel of the shorter side
    assert 0.8 <= width * height / (settings["width"] * settings["height"]) <= 1.25
    result = hub.engine.run(SLUG, {"image": Image.effect_noise(size, 60).convert("RGB"), "quality": "fast"})
    assert picture_of(result, "overlay").size == picture_of(result, "mask").size == size
    assert sum(row["percent"] for row in result.values["legend"]) == pytest.approx(100, abs=0.1)


@pytest.mark.slow
def test_24_megapixels_are_answered_at_their_own_size(hub: Hub, street: Image.Image) -> None:
    large = hub.engine.run(SLUG, {"image": jpeg(street, (6000, 4000)), "quality": "fast", "opacity": 0})
    small = hub.engine.run(SLUG, {"image": jpeg(street, (600, 400)), "quality": "fast", "opacity": 0})
    assert picture_of(large, "overlay").size == (6000, 4000)
    agree = mask_of(large)[5::10, 5::10] == mask_of(small)
    assert agree.mean() > 0.97, "the same picture, larger"


def test_fast_and_best_runs_never_share_a_batch(hub: Hub, street: Image.Image) -> None:
    items = {quality: MODULE.prepare(street, 0.5, (), quality, config=config(hub)) for quality in ("best", "fast")}
    assert signature(items["best"]) != signature(items["fast"])
    assert items["best"]["pixels"].tobytes() == items["fast"]["pixels"].tobytes()


@pytest.mark.slow
def test_best_sees_a_picture_and_its_mirror_image_alike(hub: Hub, street: Image.Image) -> None:
    mirrored = street.transpose(Image.Transpose.FLIP_LEFT_RIGHT)

    def agreement(quality: str) -> float:
        one, other = (mask_of(hub.engine.run(SLUG, {"image": i, "quality": quality})) for i in (street, mirrored))
        return float(np.mean(one == other[:, ::-1]))

    best, fast = agreement("best"), agreement("fast")
    assert best > 0.99, "both are averages over the same views"
    assert best > fast


@pytest.mark.slow
def test_views_are_probabilities_that_sum_to_one_and_an_embedding_that_quality_does_not_change(
    hub: Hub, street: Image.Image
) -> None:
    import torch

    folder = hub.weights.find(PAGE.demo.weights[0].name)
    model = PAGE.demo.load(folder.path, torch.device("cpu"))
    small = street.resize((150, 100))
    outputs = []
    with torch.inference_mode():
        for quality in ("best", "fast"):
            item = MODULE.prepare(small, 0.5, (), quality, config=folder.config)
            outputs += PAGE.demo.infer(model, [item], config=folder.config)
            assert outputs[-1]["logits"].shape[1:] == item["pixels"].shape[1:]
    total = np.exp(outputs[0]["logits"]).sum(0) / len(MODULE.VIEWS["best"])
    assert np.allclose(total, 1, atol=1e-4)
    best, fast = (output["embedding"] for output in outputs)
    assert (best.dtype, best.ndim) == (np.float32, 1)
    assert np.allclose(best, fast, atol=1e-4)


def test_only_the_chosen_classes_are_coloured_and_the_mask_stays_whole(hub: Hub, street: Image.Image) -> None:
    given = {"image": street, "quality": "fast", "opacity": 1.0}
    every, some = hub.engine.run(SLUG, given), hub.engine.run(SLUG, {**given, "show": ["road", "sky"]})
    assert some.pictures["mask"][0].data == every.pictures["mask"][0].data
    mask, names = mask_of(some), [entry["name"] for entry in config(hub)["_classes"]]
    shown = np.isin(mask, [names.index("road"), names.index("sky")])
    before, after = np.asarray(street, np.int16), np.asarray(picture_of(some, "overlay"), np.int16)
    away = np.abs(before - after).max(2)
    assert np.percentile(away[~shown], 90) <= 12, "left as in the photo, but for JPEG"
    assert np.median(away[shown]) > 30
    told = {row["class"]: row["shown"] for row in some.values["legend"]}
    assert {name for name, is_shown in told.items() if is_shown} == {"road", "sky"}
    assert all("shown" not in row for row in every.values["legend"])


def test_the_legend_counts_the_mask(hub: Hub, street: Image.Image) -> None:
    result = hub.engine.run(SLUG, {"image": street, "quality": "fast"})
    mask, names = mask_of(result), [entry["name"] for entry in config(hub)["_classes"]]
    for row in result.values["legend"]:
        assert row["percent"] == pytest.approx(100 * np.mean(mask == names.index(row["class"])), abs=0.01)
