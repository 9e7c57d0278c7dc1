"""Look inside, on every page that offers it: its last picture shows where the answer comes from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PIL import Image

from hub.hub import Hub
from hub.kit.layers import FIELD
from hub.pages.registry import discover
from hub.settings import Settings

pytestmark = pytest.mark.slow
PAGES = {
    page.slug: page
    for page in discover()
    if any(field.name == FIELD for field in page.demo.inputs) and page.pictures is page
}
OFTEN = {"vehicle_classifier", "age_regression"}  # a classifier, and the page that finds nothing in a strip
CAPTIONS = {
    "age_regression": "What adds years",
    "camvid_segmentation": "What speaks for building",
    "street_objects": "What speaks for road",
}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    made = Hub(
        Settings(device="cpu", dtype="float32", data=str(tmp_path_factory.mktemp("data")), demos=",".join(PAGES))
    )
    yield made
    made.close()


@pytest.mark.parametrize("size", [(8, 16_384), (16_384, 8), (8, 8)])
@pytest.mark.parametrize(
    "slug", [slug if slug in OFTEN else pytest.param(slug, marks=pytest.mark.release) for slug in PAGES]
)
def test_a_strip_is_looked_into_too(slug: str, size: tuple[int, int], hub: Hub) -> None:
    result = hub.engine.run(slug, {"image": Image.effect_noise(size, 90).convert("RGB"), FIELD: True})
    is_without_a_face = slug == "age_regression"
    assert bool(result.pictures.get(FIELD)) != is_without_a_face


@pytest.mark.parametrize("slug", PAGES)
def test_the_last_picture_is_what_counts(slug: str, hub: Hub) -> None:
    page = PAGES[slug]
    photo = page.assets / str(page.demo.examples[0].inputs["image"])
    plain = hub.engine.run(slug, {"image": photo})
    result = hub.engine.run(slug, {"image": photo, FIELD: True})
    *layers, last = [picture.caption for picture in result.pictures[FIELD]]
    assert last == CAPTIONS.get(slug, "What counts most")
    assert len(layers) >= 5 and layers[0].startswith("Given: ")
    assert result.headline == plain.headline
