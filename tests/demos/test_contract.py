"""What every demo must keep to: one suite over all registered pages. A new page passes it with no edit here.

It runs over demos/*.py and installed demos, a page that `python -m hub new` writes, and fakes of every kind.
Where the weights of a page are absent, what needs them is skipped and says so.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hub.contract.answers import check_outputs, compare
from hub.contract.inputs import SHAPES, bad_values, ends, opened, quick_inputs, usual_inputs
from hub.contract.parts import Parts, fingerprint
from hub.errors import InputError, NotFoundError, UnavailableError
from hub.execution import devices
from hub.execution.batching import signature
from hub.hub import Hub
from hub.pages import inputs, kinds, new, outputs
from hub.pages.registry import Page, Registry, discover
from hub.results.result import Result
from hub.settings import Settings
from hub.spec import Choice, Choices, Demo, ImageInput
from tests.fakes import (
    Calls,
    boxes_demo,
    counting_demo,
    picky_demo,
    played_demo,
    registry_of,
    shade_demo,
    skip_if_emulated,
    steps_demo,
    writing_demo,
)

WRITTEN = tempfile.TemporaryDirectory(prefix="hub-contract-")
new.create("written_page", Path(WRITTEN.name) / "demos")
PAGES: dict[str, Page] = {
    **discover().pages,
    **discover(Path(WRITTEN.name) / "demos").pages,
    **registry_of(
        fake_shade=shade_demo(),
        fake_doubler=counting_demo(Calls()),
        fake_steps=steps_demo(Calls()),
        fake_picky=picky_demo(),
        fake_boxes=boxes_demo(),
        fake_played=played_demo(),
        fake_writing=writing_demo(),
    ).pages,
}
SEES = [
    slug
    for slug, page in PAGES.items()
    if page.declared and any(isinstance(field, ImageInput) for field in page.declared.inputs)
]

# The functions of a page over videos are those of the page that its frames go to, which is tested itself.
OWN = [slug for slug, page in PAGES.items() if page.over is None]

every_page = pytest.mark.parametrize("slug", PAGES)
every_own_page = pytest.mark.parametrize("slug", OWN)
# One shape of each page is tried every time, the others before a release.
SHAPES_OF_PAGES = [
    pytest.param(slug, shape, marks=[] if shape == "strip" else pytest.mark.release)
    for slug in SEES
    for shape in SHAPES
]
every_dtype = pytest.mark.parametrize("dtype", ["float32", pytest.param("bfloat16", marks=pytest.mark.release)])


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    data = tmp_path_factory.mktemp("data")
    made = Hub(Settings(device="cpu", dtype="float32", pool_gb=4.0, data=str(data)), Registry(PAGES))
    yield made
    made.close()


def whole(slug: str) -> Demo:
    return PAGES[slug].demo


def weights_or_skip(hub: Hub, slug: str) -> list[str | None]:
    """Names of the weights to try; skips where one is absent."""
    names = [w.name for w in whole(slug).weights]
    for name in names:
        try:
            hub.weights.find(name)
        except UnavailableError as error:
            pytest.skip(f"{slug} is not tested with its model: {error}")
    return list(names) or [None]


def run(hub: Hub, slug: str, values: dict[str, Any], weights: str | None = None) -> Result:
    result = hub.engine.run(slug, {**values, "weights": weights} if weights else values)
    decoded = opened(whole(slug), inputs.read(whole(slug), values))
    sizes = {name: value.size for name, value in decoded.items() if isinstance(value, Image.Image)}
    check_outputs(whole(slug), result, sizes)
    return result


# --- the declaration, and bad inputs: no model needed ---------------------------------------------


@every_page
def test_the_page_is_whole(slug: str) -> None:
    assert PAGES[slug].error == ""


@every_page
def test_every_example_has_its_files_a_title_and_valid_inputs(slug: str) -> None:
    for example in whole(slug).examples:
        assert example.title.strip()
        opened(whole(slug), inputs.read(whole(slug), example_inputs(slug, example.inputs)))


def example_inputs(slug: str, given: Any) -> dict[str, Any]:
    files = kinds.file_inputs(whole(slug))
    return {name: PAGES[slug].assets / str(value) if name in files else value for name, value in given.items()}


@every_page
def test_bad_inputs_are_input_errors_that_name_the_field(slug: str, hub: Hub) -> None:
    demo = whole(slug)
    if any(isinstance(f, Choice | Choices) and f.options_from for f in demo.inputs):
        weights_or_skip(hub, slug)
    for field in demo.inputs:
        for bad in bad_values(field):
            with pytest.raises(InputError) as caught:
                values = {**usual_inputs(demo), field.name: bad}
                opened(demo, inputs.read(demo, values, None, lambda name: hub.weights.find(name).config))
            assert caught.value.field == field.name, repr(bad)
            assert caught.value.message.strip(), repr(bad)


@every_page
def test_unknown_inputs_and_weights_are_refused(slug: str) -> None:
    demo = whole(slug)
    for name in ("no_such_input", "" if demo.weights else "weights"):
        with pytest.raises(InputError):
            inputs.read(demo, {**usual_inputs(demo), name: "x"})
    if demo.weights:
        with pytest.raises(InputError):
            inputs.read(demo, {**usual_inputs(demo), "weights": "no_such_weights"})


@pytest.mark.parametrize("slug", [s if s in OWN else pytest.param(s, marks=pytest.mark.release) for s in PAGES])
def test_a_bad_request_leaves_the_next_one_working(slug: str, hub: Hub) -> None:
    with pytest.raises(InputError):
        hub.engine.run(slug, {**usual_inputs(whole(slug)), "no_such_input": 1})
    with pytest.raises(NotFoundError):
        hub.engine.run(f"{slug}_typo", {})
    for weights in weights_or_skip(hub, slug):
        run(hub, slug, quick_inputs(whole(slug)), weights)


# --- runs -----------------------------------------------------------------------------------------


@every_own_page
def test_the_first_example_runs(slug: str, hub: Hub) -> None:
    weights = weights_or_skip(hub, slug)[0]
    for example in whole(slug).examples[:1]:
        run(hub, slug, {**example_inputs(slug, example.inputs), **whole(slug).live}, weights)


@pytest.mark.parametrize(
    "slug", [pytest.param(s, marks=pytest.mark.slow if s in OWN else pytest.mark.release) for s in PAGES]
)
def test_every_example_runs(slug: str, hub: Hub) -> None:
    for weights in weights_or_skip(hub, slug):
        for example in whole(slug).examples:
            run(hub, slug, {**example_inputs(slug, example.inputs), **whole(slug).live}, weights)


@pytest.mark.parametrize(("slug", "shape"), SHAPES_OF_PAGES)
def test_pictures_of_every_shape_and_mode_work(slug: str, shape: str, hub: Hub) -> None:
    for weights in weights_or_skip(hub, slug):
        run(hub, slug, quick_inputs(whole(slug), SHAPES[shape]()), weights)


@pytest.mark.release
@every_own_page
def test_the_ends_of_every_range_and_every_option_work(slug: str, hub: Hub) -> None:
    demo = whole(slug)
    for weights in weights_or_skip(hub, slug):
        for field in demo.inputs:
            for value in ends(field, hub, weights):
                run(hub, slug, {**quick_inputs(demo), field.name: value}, weights)


# --- the four functions ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def parts(hub: Hub) -> Callable[..., list[Parts]]:
    made = cache(lambda slug, weights, dtype: Parts(hub, slug, weights, dtype))

    def get(slug: str, dtype: str = "float32") -> list[Parts]:
        return [made(slug, weights, dtype) for weights in weights_or_skip(hub, slug)]

    return get


@pytest.mark.slow
@every_own_page
def test_prepare_is_pure(slug: str, parts: Callable[..., list[Parts]]) -> None:
    for one in parts(slug):
        values = one.values()
        before = fingerprint(values)
        first, second = (one.call("prepare", **values) for _ in range(2))
        assert fingerprint(values) == before
        assert signature(first) == signature(second)
        assert outputs.digest(first) == outputs.digest(second)


@pytest.mark.slow
@every_own_page
def test_present_is_pure(slug: str, parts: Callable[..., list[Parts]]) -> None:
    for one in parts(slug):
        values = one.values()
        (output,) = one.infer([one.call("prepare", **values)])
        before = fingerprint(values), outputs.digest(output)
        first, second = (one.call("present", output, **values) for _ in range(2))
        assert (fingerprint(values), outputs.digest(output)) == before
        again = [(outputs.encode(slug, one.demo, shown), told) for shown, told in map(one.split, (first, second))]
        assert again[0] == again[1]


HEAVY = {"camvid_segmentation", "street_objects", "palm_keypoints"}


@every_dtype
@pytest.mark.parametrize("slug", [pytest.param(s, marks=pytest.mark.slow) if s in HEAVY else s for s in OWN])
def test_a_batch_answers_as_single_runs_do(slug: str, dtype: str, parts: Callable[..., list[Parts]]) -> None:
    skip_if_emulated(dtype, slug)
    for one in parts(slug, dtype):
        requests = [one.values(seed) for seed in range(3)]
        items = [one.call("prepare", **values) for values in requests]
        assert len({repr(signature(item)) for item in items}) == 1, "equal pictures must be able to share a batch"
        for values, item, together in zip(requests, items, one.infer(items), strict=True):
            (alone,) = one.infer([item])
            compare(one.demo, dtype, one.call("present", alone, **values), one.call("present", together, **values))


@pytest.mark.slow
@every_own_page
def test_the_same_items_give_the_same_answer(slug: str, parts: Callable[..., list[Parts]]) -> None:
    for one in parts(slug):
        values = one.values()
        first, second = (one.infer([one.call("prepare", **values)])[0] for _ in range(2))
        presented = [one.call("present", output, **values) for output in (first, second)]
        compare(one.demo, "float32", *presented)


@every_own_page
def test_a_model_says_how_large_it_is(slug: str, parts: Callable[..., list[Parts]]) -> None:
    # Else the pool cannot keep its budget.
    for one in parts(slug):
        if one.demo.weights:
            assert devices.model_bytes(one.model) > 0
