"""Photos as cameras make them: classifiers read them smaller, and what is told of places is in px of the photo."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hub.decoding.decode import decode
from hub.hub import Hub
from hub.pages.kinds import enough_pixels
from hub.pages.registry import Page, discover
from hub.settings import ROOT, Settings
from tests.fakes import skip_if_emulated

CLASSIFIERS = ("vehicle_classifier", "satellite_labels")
SIZE = (2400, 1800)
PAGES = discover(only=[*CLASSIFIERS, "camvid_segmentation", "palm_keypoints"]).pages


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    data = str(tmp_path_factory.mktemp("data"))
    made = Hub(Settings(device="cpu", dtype="float32", data=data, demos=",".join(PAGES)))
    yield made
    made.close()


def example(page: Page, number: int = 0) -> Image.Image:
    with Image.open(page.assets / str(page.demo.examples[number].inputs["image"])) as file:
        return file.convert("RGB")


def jpeg(image: Image.Image, size: tuple[int, int] = SIZE, turn: int = 1) -> bytes:
    """Enlarged, with the grain of a camera."""
    pixels = np.asarray(image.resize(size, Image.Resampling.BICUBIC), np.int16)
    grain = np.random.default_rng(0).normal(0, 4, (256, size[0], 1)).astype(np.int16)
    pixels = pixels + np.tile(grain, (size[1] // 256 + 1, 1, 1))[: size[1]]
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = turn
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90, exif=exif)
    return file.getvalue()


@pytest.mark.parametrize("slug", CLASSIFIERS)
def test_a_classifier_answers_of_a_photo_read_smaller_as_of_the_whole(slug: str, hub: Hub) -> None:
    skip_if_emulated("float32")
    import torch

    page = PAGES[slug]
    demo, folder = page.demo, hub.weights.find(page.demo.weights[0].name)
    others = {f.name: f.default for f in demo.inputs if f.name != "image"}
    enough = enough_pixels(demo, folder.config)["image"]
    model = demo.load(folder.path, torch.device("cpu"))
    for number in (0, 2):
        data = jpeg(example(page, number))
        answers = []
        for image in (decode(data), decode(data, enough=enough)):
            item = demo.prepare(image, **others, config=folder.config)
            with torch.inference_mode():
                (output,) = demo.infer(model, [item], config=folder.config)
            answers.append(demo.present(output, image, **others, config=folder.config)["probabilities"])
        assert image.size == (1200, 900)
        whole, small = answers
        assert max(abs(whole[name] - small[name]) for name in whole) < 0.005


def test_prepare_and_present_get_the_smaller_photo_upright_and_the_heat_map_keeps_its_size(
    make_hub: Callable[..., Hub],
) -> None:
    page, seen = PAGES["vehicle_classifier"], list[tuple[int, int]]()

    def prepare(image: Image.Image, views: str, why: str, inside: bool, config: Any) -> Any:
        seen.append(image.size)
        return page.demo.prepare(image, views, why, config)

    folders = {"weights_folder": str(ROOT / "weights")}
    hub = make_hub(folders, watched=replace(page.demo, prepare=prepare, examples=(), cover=""))
    result = hub.engine.run("watched", {"image": jpeg(example(page), turn=6), "why": "the answer"})
    assert seen == [(900, 1200)]
    assert (result.pictures["why"][0].width, result.pictures["why"][0].height) == (750, 1000)


@pytest.mark.slow
def test_a_mask_has_the_size_of_the_upright_photo(hub: Hub) -> None:
    page = PAGES["camvid_segmentation"]
    assert not enough_pixels(page.demo, hub.weights.find(page.demo.weights[0].name).config)
    turned = example(page).transpose(Image.Transpose.ROTATE_90)  # as a camera that is held upright stores it
    answers = [
        hub.engine.run(page.slug, {"image": data, "quality": "fast"})
        for data in (jpeg(example(page), (2400, 1800)), jpeg(turned, (1800, 2400), turn=6))
    ]
    for result in answers:
        for name in ("mask", "overlay"):
            assert (result.pictures[name][0].width, result.pictures[name][0].height) == (2400, 1800)
    one, other = (np.asarray(Image.open(io.BytesIO(result.pictures["mask"][0].data))) for result in answers)
    assert (one == other).mean() > 0.97


@pytest.mark.slow
def test_points_of_a_hand_are_in_px_of_the_upright_photo(hub: Hub) -> None:
    page = PAGES["palm_keypoints"]
    photo, size = example(page), (2400, 1800)
    turned = photo.transpose(Image.Transpose.ROTATE_90)
    small, large, upright = (
        hub.engine.run(page.slug, {"image": image, "quality": "fast"}).values["points"]
        for image in (photo, jpeg(photo, size), jpeg(turned, size[::-1], turn=6))
    )
    for one, two, three in zip(small, large, upright, strict=True):
        place = np.array([one["x_px"], one["y_px"]]) * np.array(size) / photo.size
        assert np.hypot(*(place - [two["x_px"], two["y_px"]])) < 40
        assert np.hypot(two["x_px"] - three["x_px"], two["y_px"] - three["y_px"]) < 40
