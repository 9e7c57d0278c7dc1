"""A page of pictures over a video: its frames meet the model as pictures do, and what comes of them is one answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hub.decoding.decode import ImageLimits
from hub.decoding.played import video
from hub.engine.jobs import Cancel
from hub.errors import CancelledError, DeadlineError, HubError
from hub.hub import Hub
from hub.pages import over_video
from hub.pages.problems import problems
from hub.pages.registry import Page, Registry, discover
from hub.settings import Settings
from hub.spec import Demo, ImageInput, ImageOutput, Json, Labels, OverVideo, Plot, Slider, VideoInput, VideoOutput
from tests.fakes import FakeModel, video_file

pytestmark = pytest.mark.slow

FILM = video_file((64, 48), seconds=3, rate=10)
SLUG, VIDEO = "light", "light_video"


class Passes:
    """What the model was given: how many at once, in each pass."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.gate = threading.Event()
        self.gate.set()


def light_demo(passes: Passes, **changes: Any) -> Demo:
    """How bright a picture is, and the picture a little redder."""

    def prepare(image: Image.Image, red: int) -> np.ndarray:
        return np.asarray(image.resize((8, 8)), np.float32) / 255

    def infer(model: Any, items: list[np.ndarray]) -> list[np.ndarray]:
        passes.gate.wait(20)
        passes.sizes.append(len(items))
        return [item.mean(keepdims=True) for item in items]

    def present(output: np.ndarray, image: Image.Image, red: int) -> dict[str, Any]:
        share = float(output.reshape(-1)[0])
        rows = [{"colour": "#ff0000", "what": "light", "percent": 100 * share}]
        return {
            "redder": Image.blend(image, Image.new("RGB", image.size, (red, 0, 0)), 0.3),
            "shares": {"bright": share, "dark": 1 - share},
            "rows": rows,
            "remarks": ["Seen by a test."],
        }

    declared: dict[str, Any] = {
        "title": "Light", "summary": "How bright a picture is.", "task": "Image classification",
        "inputs": (ImageInput("image", "Photo"), Slider("red", "Red", 0, 255, 200, 1)),
        "outputs": (ImageOutput("redder", "Redder"), Labels("shares", "Shares"), Json("rows", "Rows", table=True)),
        "load": lambda folder, device: FakeModel(), "prepare": prepare, "infer": infer, "present": present,
        "video": OverVideo("Light, video", "Over time.", curve="shares", picture="redder", defaults={"red": 0}),
    }  # fmt: skip
    return Demo(**{**declared, **changes})


def pages_of(demo: Demo, folder: Path) -> Registry:
    page = Page(SLUG, "a test", folder, declared=demo)
    return Registry({SLUG: page, VIDEO: Page(VIDEO, "a test", folder, declared=over_video.declare(demo), over=page)})


@pytest.fixture
def passes() -> Passes:
    return Passes()


@pytest.fixture
def hub(passes: Passes, tmp_path: Path) -> Iterator[Hub]:
    settings = Settings(device="cpu", dtype="float32", data=str(tmp_path / "data"))
    made = Hub(settings, pages_of(light_demo(passes), tmp_path))
    yield made
    passes.gate.set()
    made.close()


def test_every_frame_is_answered_in_order_in_batches(hub: Hub, passes: Passes) -> None:
    seen: list[Any] = []
    result = hub.engine.run(VIDEO, {"video": FILM}, on_event=lambda stage, now: seen.append(now) if now else None)
    curve, clip = result.values["curve"], result.values["clip"]
    assert curve["x"] == [round(n / 5, 3) for n in range(15)]
    assert curve["series"]["bright"] == sorted(curve["series"]["bright"]) and curve["series"]["bright"][-1] > 90
    assert (clip["frames"], clip["rate"], clip["width"]) == (15, 5, 64)
    assert sum(passes.sizes) == 15
    assert (seen[-1].step, seen[-1].total) == (15, 15) and isinstance(seen[-1].preview[0], Image.Image)
    assert [str(remark) for remark in result.receipt.remarks] == ["Seen by a test."], "told once, not for each frame"
    average = {row["name"]: row for row in result.values["average"]}
    assert average["bright"]["lowest"] < average["bright"]["percent"] < average["bright"]["highest"]
    assert "bright" in result.headline


def test_the_frames_of_the_video_are_those_of_the_answers_and_settings_count(hub: Hub, passes: Passes) -> None:
    frames = {}
    for red in (0, 255):
        result = hub.engine.run(VIDEO, {"video": FILM, "red": red})
        clip = video.read(result.pictures["clip"][1].data, ImageLimits(), name="clip", max_seconds=10, rate=5)
        frames[red] = np.asarray(next(clip.frames())[1])
    assert int(frames[255][..., 0].mean()) - int(frames[0][..., 0].mean()) > 50
    assert sum(passes.sizes) == 15, "a setting that only `present` uses runs the model for no frame again"


def test_a_picture_and_a_video_share_one_model(hub: Hub) -> None:
    hub.engine.run(VIDEO, {"video": FILM})
    result = hub.engine.run(SLUG, {"image": Image.new("RGB", (16, 16), "white")})
    assert not result.receipt.cold
    assert [one.demo for one in hub.models.residents()] == [SLUG], "one line for one model"
    assert hub.models.is_loaded(VIDEO)


def test_a_video_is_stopped_between_two_frames(hub: Hub, passes: Passes) -> None:
    cancel = Cancel()

    def hear(stage: str, now: Any) -> None:
        if now is not None:
            cancel.set()

    with pytest.raises(CancelledError):
        hub.engine.run(VIDEO, {"video": FILM}, on_event=hear, cancel=cancel)
    assert sum(passes.sizes) < 15
    assert hub.engine.run(VIDEO, {"video": FILM}).values["clip"]["frames"] == 15


def test_a_video_has_the_deadline_of_a_run(hub: Hub, passes: Passes) -> None:
    passes.gate.clear()
    with pytest.raises(DeadlineError):
        hub.engine.run(VIDEO, {"video": FILM}, deadline_s=0.5)


def test_a_frame_that_fails_is_the_error_of_the_run(passes: Passes, tmp_path: Path) -> None:
    def present(output: Any, image: Any, red: int) -> dict[str, Any]:
        raise ValueError("no such light")

    settings = Settings(device="cpu", dtype="float32", data=str(tmp_path / "data"))
    made = Hub(settings, pages_of(light_demo(passes, present=present), tmp_path))
    try:
        with pytest.raises(HubError, match="no such light"):
            made.engine.run(VIDEO, {"video": FILM})
    finally:
        made.close()


def test_a_table_gives_its_colours_to_the_curve(passes: Passes) -> None:
    demo = light_demo(passes, video=OverVideo("Light", "Over time.", curve="rows"))
    rows = [{"colour": "#ff0000", "what": "light", "percent": 40.0}, {"what": "x", "percent": 1, "shown": False}]
    assert over_video.shares_of(demo, {"rows": rows}) == ({"light": 40.0}, {"light": "#ff0000"})


# --- the declaration ------------------------------------------------------------------------------


def test_the_page_over_videos_takes_a_video_in_the_picture_place(passes: Passes) -> None:
    demo = over_video.declare(light_demo(passes))
    film, red = demo.inputs
    assert isinstance(film, VideoInput) and isinstance(red, Slider) and red.default == 0
    assert [type(field) for field in demo.outputs] == [VideoOutput, Plot, Json]
    assert problems(VIDEO, demo, Path(), functions=False) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"curve": "redder"}, "curve='redder' is not a Labels output, or a Json table"),
        ({"picture": "rows"}, "picture='rows' is not an image output"),
        ({"defaults": {"red": 999}}, "defaults: red must be between 0 and 255, got 999."),
        ({"defaults": {"image": "x"}}, "defaults: No input 'image'"),
    ],
)
def test_what_is_wrong_with_it_is_told(passes: Passes, changes: dict[str, Any], told: str) -> None:
    demo = light_demo(passes)
    assert demo.video is not None
    wrong = replace(demo, video=replace(demo.video, **changes))
    assert any(told in fault for fault in problems(SLUG, wrong, Path()))


def test_a_page_and_its_videos_are_asked_for_together_or_alone() -> None:
    both = discover(only=("camvid_segmentation",)).pages
    assert [*both] == ["camvid_segmentation", "camvid_segmentation_video"]
    assert [*discover(only=("camvid_segmentation_video",)).pages] == ["camvid_segmentation_video"]
