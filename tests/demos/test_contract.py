"""What every demo must keep to: one suite over all registered pages. A new page passes it with no edit here.

It runs over demos/*.py and installed demos, a page that `python -m hub new` writes, and fakes of every kind.
Where the weights of a page are absent, what needs them is skipped and says so.
"""

from __future__ import annotations

import inspect
import io
import json
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hub.decoding.decode import ImageLimits
from hub.decoding.played import audio, video
from hub.errors import InputError, NotFoundError, UnavailableError
from hub.execution import devices
from hub.execution.batching import signature
from hub.hub import Hub
from hub.pages import inputs, kinds, new, outputs
from hub.pages.registry import Page, Registry, discover, wants_config
from hub.results.result import Picture, Result
from hub.settings import Settings
from hub.spec import (
    AudioInput,
    AudioOutput,
    Boxes,
    Choice,
    Choices,
    Demo,
    Gallery,
    ImageInput,
    ImageOutput,
    Json,
    Labels,
    Mask,
    Number,
    Plot,
    Seed,
    Slider,
    Text,
    TextOutput,
    Toggle,
    VideoInput,
    VideoOutput,
)
from hub.weights.store import EMPTY
from tests.fakes import (
    Calls,
    boxes_demo,
    counting_demo,
    picky_demo,
    picture,
    played_demo,
    registry_of,
    shade_demo,
    skip_if_emulated,
    sound_file,
    steps_demo,
    video_file,
)

# How far a batch may be from single runs, by the dtype of the model.
PROBABILITY = {"float32": 1e-4, "bfloat16": 0.02}
NUMBER = {"float32": 0.01, "bfloat16": 1.0}  # in JSON: percent, degrees, years
EQUAL_PIXELS = 0.995  # of a mask
PIXEL_LEVELS = 2.0  # mean difference of a picture

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
every_page_that_sees = pytest.mark.parametrize("slug", SEES)
every_dtype = pytest.mark.parametrize("dtype", ["float32", "bfloat16"])


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


def usual_inputs(demo: Demo, image: Image.Image | None = None) -> dict[str, Any]:
    """Every input by name: the picture, defaults, a text where one is asked for, and a fixed seed."""
    values: dict[str, Any] = {}
    for field in demo.inputs:
        if isinstance(field, ImageInput):
            values[field.name] = image or (picture(160, 120) if field.required else None)
        elif isinstance(field, VideoInput):
            values[field.name] = video_file((160, 120), seconds=0.6)
        elif isinstance(field, AudioInput):
            values[field.name] = sound_file()
        elif isinstance(field, Seed):
            values[field.name] = 7
        elif isinstance(field, Text):
            values[field.name] = field.default or "a red car"[: field.max_chars]
        elif isinstance(field, Number):
            values[field.name] = field.minimum if field.default is None else field.default
        else:
            values[field.name] = field.default
    return values


def quick_inputs(demo: Demo, image: Image.Image | None = None) -> dict[str, Any]:
    """`usual_inputs` with what live frames are given, the page's quickest settings; others are several such passes."""
    few = {"steps": 4} if any(field.name == "steps" for field in demo.inputs) else {}
    return {**usual_inputs(demo, image), **few, **demo.live}


def opened(demo: Demo, checked: inputs.Inputs) -> dict[str, Any]:
    """Inputs as `prepare` and `present` get them."""
    fields = {field.name: field for field in demo.inputs}
    return inputs.decoded(checked.parameters, checked.pictures, ImageLimits(), fields=fields)


def run(hub: Hub, slug: str, values: dict[str, Any], weights: str | None = None) -> Result:
    result = hub.engine.run(slug, {**values, "weights": weights} if weights else values)
    decoded = opened(whole(slug), inputs.read(whole(slug), values))
    sizes = {name: value.size for name, value in decoded.items() if isinstance(value, Image.Image)}
    check_outputs(whole(slug), result, sizes)
    return result


def check_shape(picture: Picture, size: tuple[int, int]) -> None:
    """A picture to compare has the shape of its input, to half a pixel."""
    width, height = size
    off = abs(picture.width * height - picture.height * width)
    assert off <= max(size) / 2 + 1, f"{picture.width} x {picture.height} beside {width} x {height}"


def check_outputs(demo: Demo, result: Result, sizes: dict[str, tuple[int, int]]) -> None:
    values = result.values
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    declared = {field.name for field in demo.outputs}
    needed = {field.name for field in demo.outputs if not field.optional}
    there = set(values) | set(result.pictures)
    assert needed <= there <= declared
    for field in demo.outputs:
        if field.name not in there:
            continue
        if isinstance(field, ImageOutput) and field.compare:
            check_shape(result.pictures[field.name][0], sizes[field.compare])
        if isinstance(field, Labels):
            assert values[field.name]
            assert all(0 <= probability <= 1 for probability in values[field.name].values())
        elif isinstance(field, Json):
            assert not field.table or all(isinstance(row, dict) for row in values[field.name])
        elif isinstance(field, TextOutput):
            assert isinstance(values[field.name], str)
        elif isinstance(field, Boxes):
            check_boxes(values[field.name], result.pictures[field.name])
        elif isinstance(field, Plot):
            check_plot(values[field.name], result.pictures[field.name])
        elif isinstance(field, VideoOutput | AudioOutput):
            check_played(field, values[field.name], result.pictures[field.name])
        else:
            stored = result.pictures[field.name]
            assert len(stored) == 1 or isinstance(field, Gallery)
            for one in stored:
                with Image.open(io.BytesIO(one.data)) as image:
                    assert image.size == (one.width, one.height)
                    assert image.mode == ("L" if isinstance(field, Mask) else "RGB")
                    assert not isinstance(field, ImageOutput) or image.format == field.format.upper()


def check_boxes(found: dict[str, Any], stored: tuple[Picture, ...]) -> None:
    """Boxes lie in the picture, the surest first; the drawn picture stands before the plain one of the same shape."""
    drawn, plain = stored
    check_shape(plain, (found["width"], found["height"]))
    assert drawn.height >= plain.height
    assert [box["score"] for box in found["boxes"]] == sorted((b["score"] for b in found["boxes"]), reverse=True)
    for box in found["boxes"]:
        assert box["label"] and 0 <= box["score"] <= 1
        assert 0 <= box["x0"] < box["x1"] <= found["width"] and 0 <= box["y0"] < box["y1"] <= found["height"]


def check_plot(data: dict[str, Any], stored: tuple[Picture, ...]) -> None:
    """Every series has a point at each place and a colour; it is drawn for light pages and for dark ones."""
    assert data["series"].keys() == data["colours"].keys()
    assert {len(points) for points in data["series"].values()} == {len(data["x"])}
    light, dark = (Image.open(io.BytesIO(one.data)).convert("L").getpixel((2, 2)) for one in stored)
    assert light > 200 and dark < 60


def check_played(field: VideoOutput | AudioOutput, facts: dict[str, Any], stored: tuple[Picture, ...]) -> None:
    """What is said of a video or a sound is true of its file, before which stands what it looks like."""
    still, played = stored
    with Image.open(io.BytesIO(still.data)) as image:
        assert image.size == (still.width, still.height)
    if isinstance(field, VideoOutput):
        assert played.media_type == "video/mp4" and (played.width, played.height) == (still.width, still.height)
        clip = video.read(played.data, ImageLimits(), name="clip", max_seconds=1000, rate=60)
        assert clip.size == (facts["width"], facts["height"])
        assert clip.seconds == pytest.approx(facts["seconds"], abs=0.3)
        assert sum(1 for _ in clip.frames()) == facts["frames"]
    else:
        samples = audio.read(
            played.data, ImageLimits(), name="sound", max_seconds=1000, sample_rate=facts["sample_rate"]
        )
        assert samples.size == round(facts["seconds"] * facts["sample_rate"])


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


def bad_values(field: Any) -> list[Any]:
    wrong: list[Any] = [["a list"], {"a": 1}]
    if isinstance(field, ImageInput):
        missing = [None, ""] if field.required else []
        return [*wrong, *missing, 5, b"", b"not a picture", b"\x89PNG\r\n\x1a\n cut off"]
    if isinstance(field, VideoInput | AudioInput):
        missing = [None, ""] if field.required else []
        long = field.max_seconds + 1
        other = video_file(seconds=long, rate=2) if isinstance(field, VideoInput) else sound_file(long)
        cut = video_file()[:900] if isinstance(field, VideoInput) else b"fLaC cut off"
        return [*wrong, *missing, 5, b"", b"neither", picture_file(), cut, other]
    if isinstance(field, Slider):
        return [*wrong, True, "much", "nan", float("nan"), float("inf"), field.minimum - 1, field.maximum + 1, 10**400]
    if isinstance(field, Number):
        needed = [None, ""] if field.required else []
        return [*wrong, *needed, True, "much", "nan", float("inf"), field.minimum - 1, field.maximum + 1, 10**400]
    if isinstance(field, Toggle):
        return [*wrong, "perhaps", 2, 0.5]
    if isinstance(field, Choice):
        return [*wrong, True, 1, "no such option"]
    if isinstance(field, Choices):
        return [*wrong, [1], True, 1, "no such option", [*field.default, "no such option"]]
    if isinstance(field, Seed):
        return [*wrong, True, -2, 2**32, 0.5, "x", float("nan")]
    assert isinstance(field, Text)
    needed = [None, "  "] if field.required else []
    return [*wrong, *needed, 5, True, "x" * (field.max_chars + 1), "\0", "\ud800"]


def picture_file() -> bytes:
    file = io.BytesIO()
    picture(16, 16).save(file, "PNG")
    return file.getvalue()


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


@every_page
def test_a_bad_request_leaves_the_next_one_working(slug: str, hub: Hub) -> None:
    with pytest.raises(InputError):
        hub.engine.run(slug, {**usual_inputs(whole(slug)), "no_such_input": 1})
    with pytest.raises(NotFoundError):
        hub.engine.run(f"{slug}_typo", {})
    for weights in weights_or_skip(hub, slug):
        run(hub, slug, quick_inputs(whole(slug)), weights)


# --- runs -----------------------------------------------------------------------------------------


@every_page
def test_every_example_runs(slug: str, hub: Hub) -> None:
    for weights in weights_or_skip(hub, slug):
        for example in whole(slug).examples:
            run(hub, slug, {**example_inputs(slug, example.inputs), **whole(slug).live}, weights)


SHAPES: dict[str, Callable[[], Image.Image]] = {
    "landscape": lambda: picture(320, 180),
    "portrait": lambda: picture(150, 330),
    "tiny": lambda: picture(8, 8),
    "odd": lambda: picture(101, 67),
    "strip": lambda: picture(600, 12),
    "grey": lambda: picture(64, 48, mode="L"),
    "alpha": lambda: picture(64, 48, mode="RGBA"),
    "one colour": lambda: Image.new("RGB", (64, 64), "black"),
}


@every_page_that_sees
@pytest.mark.parametrize("shape", SHAPES)
def test_pictures_of_every_shape_and_mode_work(slug: str, shape: str, hub: Hub) -> None:
    for weights in weights_or_skip(hub, slug):
        run(hub, slug, quick_inputs(whole(slug), SHAPES[shape]()), weights)


@pytest.mark.slow
@every_page
def test_the_ends_of_every_range_and_every_option_work(slug: str, hub: Hub) -> None:
    demo = whole(slug)
    for weights in weights_or_skip(hub, slug):
        for field in demo.inputs:
            for value in ends(field, hub, weights):
                run(hub, slug, {**quick_inputs(demo), field.name: value}, weights)


def ends(field: Any, hub: Hub, weights: str | None) -> list[Any]:
    if isinstance(field, Slider | Number):
        return [field.minimum, field.maximum]
    if isinstance(field, Toggle):
        return [False, True]
    if not isinstance(field, Choice | Choices):
        return []
    known = inputs.options(field, weights or "", hub.weights.find(weights).config if weights else EMPTY)
    return list(known) if isinstance(field, Choice) else [[], *([option] for option in known), list(known)]


# --- the four functions ---------------------------------------------------------------------------


class Parts:
    """A demo's functions with the model loaded and placed as the engine does it."""

    def __init__(self, hub: Hub, slug: str, weights: str | None, dtype: str):
        import torch

        self.demo = whole(slug)
        folder = hub.weights.find(weights) if weights else None
        self.config = folder.config if folder else EMPTY
        device = torch.device("cpu")
        model = self.demo.load(folder.path if folder else None, device)
        self.model = devices.place(model, device, getattr(torch, dtype))
        self.guard = torch.inference_mode

    def call(self, name: str, *given: Any, **named: Any) -> Any:
        function = getattr(self.demo, name)
        return function(*given, **named, **({"config": self.config} if wants_config(function) else {}))

    def split(self, presented: Any) -> tuple[Any, list[Any]]:
        return outputs.split(self.demo, presented)

    def infer(self, items: list[Any]) -> list[Any]:
        with self.guard():
            answer = self.call("infer", self.model, items)
            while inspect.isgenerator(answer):
                try:
                    next(answer)
                except StopIteration as stop:
                    answer = stop.value
        return [outputs.seal(output)[0] for output in answer]

    def values(self, seed: int = 0) -> dict[str, Any]:
        """Inputs as prepare gets them."""
        return opened(self.demo, inputs.read(self.demo, quick_inputs(self.demo, picture(160, 120, seed=seed))))


@pytest.fixture(scope="module")
def parts(hub: Hub) -> Callable[..., list[Parts]]:
    made = cache(lambda slug, weights, dtype: Parts(hub, slug, weights, dtype))

    def get(slug: str, dtype: str = "float32") -> list[Parts]:
        return [made(slug, weights, dtype) for weights in weights_or_skip(hub, slug)]

    return get


def fingerprint(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: (value.mode, value.size, value.tobytes())
        if isinstance(value, Image.Image)
        else value.tobytes()
        if isinstance(value, np.ndarray)
        else value
        for name, value in values.items()
    }


@every_own_page
def test_prepare_is_pure(slug: str, parts: Callable[..., list[Parts]]) -> None:
    for one in parts(slug):
        values = one.values()
        before = fingerprint(values)
        first, second = (one.call("prepare", **values) for _ in range(2))
        assert fingerprint(values) == before
        assert signature(first) == signature(second)
        assert outputs.digest(first) == outputs.digest(second)


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


@every_dtype
@every_own_page
def test_a_batch_answers_as_single_runs_do(slug: str, dtype: str, parts: Callable[..., list[Parts]]) -> None:
    skip_if_emulated(dtype, slug)
    for one in parts(slug, dtype):
        requests = [one.values(seed) for seed in range(3)]
        items = [one.call("prepare", **values) for values in requests]
        assert len({repr(signature(item)) for item in items}) == 1, "equal pictures must be able to share a batch"
        for values, item, together in zip(requests, items, one.infer(items), strict=True):
            (alone,) = one.infer([item])
            compare(one.demo, dtype, one.call("present", alone, **values), one.call("present", together, **values))


def compare(demo: Demo, dtype: str, alone: dict[str, Any], together: dict[str, Any]) -> None:
    for field in demo.outputs:
        one, other = alone.get(field.name), together.get(field.name)
        if field.optional and (one is None or other is None):
            assert one is other is None, f"{field.name} is there in one run and not in the other"
            continue
        if isinstance(field, Labels):
            assert one == pytest.approx(other, abs=PROBABILITY[dtype])
        elif isinstance(field, Mask):
            assert np.mean(np.asarray(one) == np.asarray(other)) >= EQUAL_PIXELS
        elif isinstance(field, Boxes):
            rows = ([{**box, "box": list(box["box"])} for box in shown[1]] for shown in (one, other))
            assert_close(*rows, NUMBER[dtype])
        elif isinstance(field, VideoOutput):
            continue  # a stream of frames, which `check_outputs` looks at once it is a file
        elif isinstance(field, AudioOutput):
            assert np.allclose(one[0], other[0], atol=NUMBER[dtype]) and one[1] == other[1]
        elif isinstance(field, ImageOutput | Gallery):
            if isinstance(field, ImageOutput):  # with or without a caption
                one, other = ([shown if isinstance(shown, tuple) else (shown, "")] for shown in (one, other))
            pairs = zip(one, other, strict=True)
            for (a, _), (b, _) in pairs:
                assert np.abs(np.asarray(a, np.float32) - np.asarray(b, np.float32)).mean() <= PIXEL_LEVELS
        else:
            assert_close(one, other, NUMBER[dtype])


def assert_close(one: Any, other: Any, tolerance: float) -> None:
    """Equal JSON, but for numbers within `tolerance`; rows of a table in any order."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert list(one) == list(other)
        for name in one:
            assert_close(one[name], other[name], tolerance)
    elif isinstance(one, list):
        assert len(one) == len(other)
        for a, b in zip(sorted(one, key=text_of), sorted(other, key=text_of), strict=True):
            assert_close(a, b, tolerance)
    elif isinstance(one, float):
        assert one == pytest.approx(other, abs=tolerance)
    else:
        assert one == other


def text_of(row: Any) -> str:
    """What names a row: its values that are not numbers."""
    return repr([v for v in row.values() if isinstance(v, str)] if isinstance(row, dict) else row)


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
