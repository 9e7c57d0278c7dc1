"""The Stable Diffusion page with a pipeline that was never trained: how it runs, not what it draws.

The pipeline has a safety checker that hides nothing until a test tells it what to hide.
"""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from cachetools import LRUCache
from diffusers import PNDMScheduler
from PIL import Image

from hub.engine.jobs import Cancel
from hub.errors import CancelledError, DeadlineError, InputError, UnavailableError
from hub.execution import devices
from hub.hub import Hub
from hub.kit import diffusion, pipelines
from hub.kit.generating import offload
from hub.results import capsules
from hub.results.result import Result
from hub.settings import ROOT, Settings
from hub.web.gradio_ui import restore as restore_ui
from hub.web.gradio_ui.runs import Runs
from tests import tiny_pipelines
from tests.served import run_async

SLUG = "stable_diffusion"
# Until its model is good the page is a draft, whose name begins with _.
PAGE = ROOT / "demos" / f"{SLUG}.py"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub with the page alone, and a pipeline smaller than the bundled one, untrained, with a safety checker."""
    root = tmp_path_factory.mktemp("hub")
    demos, weights = root / "demos", root / "weights" / SLUG
    shutil.copytree(PAGE.parent / "assets" / SLUG, demos / "assets" / SLUG)
    shutil.copy(PAGE, demos / f"{SLUG}.py")
    tiny_pipelines.small(root / "small")
    tiny_pipelines.checked(weights, root / "small")
    made = Hub(
        Settings(
            device="cpu", dtype="float32", pool_gb=2.0, data=str(root / "data"), demos_folder=str(demos),
            weights_folder=str(weights.parent),
        )
    )  # fmt: skip
    yield made
    made.close()


@contextmanager
def loaded(hub: Hub) -> Iterator[Any]:
    """The model in memory."""
    hub.models.preload(SLUG)
    (status,) = hub.pool.status()
    with hub.pool.lease(status.key, lambda: pytest.fail("it is not in memory")) as lease:
        yield lease.model


@contextmanager
def stepping(hub: Hub, each: Callable[[int], None] = lambda step: None) -> Iterator[list[int]]:
    """The steps the network takes, counted as they begin; `each` hears of them."""
    begun = list[int]()

    def begin(*_: Any) -> None:
        begun.append(len(begun) + 1)
        each(len(begun))

    with loaded(hub) as found:
        handle = found.unet.register_forward_pre_hook(begin)
    yield begun
    handle.remove()


def settled(hub: Hub, begun: list[int]) -> int:
    """How many steps were taken before the one of this run, which waits for its turn."""
    run(hub, steps=1, seed=int(time.monotonic_ns() % 10**9))
    return len(begun) - 1


def run(hub: Hub, **inputs: Any) -> Result:
    return hub.engine.run(SLUG, {"prompt": "a red circle", "seed": 1, **inputs})


def pictures(result: Result) -> list[np.ndarray]:
    return [np.asarray(Image.open(io.BytesIO(one.data))) for one in result.pictures["pictures"]]


@pytest.mark.slow
def test_a_batch_gives_the_pictures_that_single_runs_give(hub: Hub) -> None:
    together = run(hub, images=3, seed=20, steps=4)
    assert [row["seed"] for row in together.values["settings"]] == [20, 21, 22]
    for number, picture in enumerate(pictures(together)):
        (alone,) = pictures(run(hub, images=1, seed=20 + number, steps=4))
        assert np.abs(alone.astype(int) - picture).max() <= 2
    assert np.abs(pictures(together)[0].astype(int) - pictures(together)[1]).max() > 2


@pytest.mark.slow
def test_steps_are_told_with_previews(hub: Hub) -> None:
    heard = list[Any]()
    wish = {"prompt": "a red circle", "steps": 20, "images": 2}
    hub.engine.run(SLUG, wish, on_event=lambda stage, progress: heard.append(progress) if progress else None)
    assert [(now.step, now.total) for now in heard] == [(step, 20) for step in range(1, 21)]
    assert any(now.preview and now.preview[0].size == (32, 32) for now in heard)
    assert all(now.left_s > 0 for now in heard[:-1])


# --- how many steps are still taken once nobody wants the picture: those under way, no other --------


def test_a_run_that_is_cancelled_begins_no_other_step(hub: Hub) -> None:
    cancel = Cancel()
    with stepping(hub, lambda step: cancel.set() if step == 4 else None) as begun:
        with pytest.raises(CancelledError):
            hub.engine.run(SLUG, {"prompt": "a red circle", "steps": 50, "images": 4}, cancel=cancel)
        assert settled(hub, begun) == 4


def test_a_run_whose_deadline_has_passed_begins_no_other_step(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with stepping(hub, lambda step: time.sleep(0.9) if step == 3 else None) as begun:
        with monkeypatch.context() as patch:
            patch.setattr(hub.engine, "settings", replace(hub.settings, deadline_s=0.8))
            with pytest.raises(DeadlineError, match="did not answer in"):
                run(hub, steps=50)
        assert settled(hub, begun) <= 3


def test_a_tab_that_is_closed_ends_its_run_at_the_step_under_way(hub: Hub) -> None:
    def work(hear: Any, cancel: Cancel) -> Result:
        return hub.engine.run(SLUG, {"prompt": "a red circle", "steps": 50, "images": 4}, on_event=hear, cancel=cancel)

    async def leave(begun: list[int]) -> int:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1) as threads:
            async with aclosing(Runs(threads).follow("tab", work)) as moments:
                async for _ in moments:
                    if len(begun) >= 3:
                        return len(begun)
        return 0

    with stepping(hub) as begun:
        then = run_async(leave(begun))
        assert 3 <= then <= settled(hub, begun) <= then + 1 < 50


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", ["as trained", "Euler ancestral", "DDIM"])
def test_the_hubs_loop_draws_what_the_librarys_does(hub: Hub, scheduler: str) -> None:
    import diffusers

    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(hub.weights.find(SLUG).path)
    if diffusion.SCHEDULERS[scheduler]:
        pipeline.scheduler = getattr(diffusers, diffusion.SCHEDULERS[scheduler]).from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    chance = [torch.Generator().manual_seed(3)]
    (theirs,) = pipeline(
        "a red circle", negative_prompt="white background", num_inference_steps=4, guidance_scale=3.0, generator=chance
    ).images
    asked = {"negative_prompt": "white background", "steps": 4, "guidance": 3.0, "scheduler": scheduler, "seed": 3}
    (ours,) = pictures(run(hub, **asked))
    small = np.asarray(Image.fromarray(ours).resize(theirs.size, Image.Resampling.BOX))
    enlarged = theirs.resize((256, 256), Image.Resampling.LANCZOS).resize(theirs.size, Image.Resampling.BOX)
    assert np.abs(small.astype(int) - np.asarray(enlarged)).max() <= 1


@pytest.mark.slow
def test_a_picture_to_begin_from_counts_the_more_the_lower_the_strength(hub: Hub) -> None:
    start = Image.effect_noise((90, 60), 90).convert("RGB")

    def changed(strength: float) -> float:
        one, other = (pictures(run(hub, image=i, strength=strength, steps=10))[0] for i in (start, start.rotate(180)))
        return float(np.abs(one.astype(int) - other).mean())

    assert changed(0.2) > changed(1.0) + 1


def test_a_downloaded_picture_brings_its_settings_back_and_runs_to_the_same_bytes(hub: Hub, tmp_path: Path) -> None:
    first = run(hub, prompt="two blue stars", images=2, steps=5, guidance=3.0, scheduler="Euler", seed=99)
    file = tmp_path / "second.png"
    file.write_bytes(first.pictures["pictures"][1].data)
    filled = restore_ui.settings(hub, hub.registry.get(SLUG), file)
    assert filled.problems == [] and "picture 2" in filled.notes[0] and len(filled.notes) == 1
    again = hub.engine.run(SLUG, filled.values, kind="live")  # not the stored result: computed anew
    assert again.receipt.batch_size == 1 and again.capsule_json == first.capsule_json
    assert [p.data for p in again.pictures["pictures"]] == [p.data for p in first.pictures["pictures"]]
    bare = capsules.without(first.pictures["pictures"][1])
    assert b"two blue stars" not in bare.data and np.array_equal(Image.open(io.BytesIO(bare.data)), pictures(first)[1])
    file.write_bytes(bare.data)
    assert "no settings" in restore_ui.settings(hub, hub.registry.get(SLUG), file).problems[0]
    with pytest.raises(InputError):
        capsules.read(b"\x89PNG\r\n\x1a\n" + b"\xff" * 40)


def test_weights_that_are_no_pipeline_are_refused_in_words(hub: Hub, tmp_path: Path) -> None:
    load = hub.registry.get(SLUG).demo.load
    with pytest.raises(UnavailableError, match="these weights are no pipeline"):
        load(tmp_path, None)
    (tmp_path / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    with pytest.raises(UnavailableError, match="FluxPipeline"):
        load(tmp_path, None)


def test_vary_seed_runs_the_shown_result_with_another_seed(hub: Hub) -> None:
    page = hub.registry.get(SLUG)
    names = [field.name for field in page.demo.inputs]
    restore, tab = restore_ui.Restore(hub, page, names), SimpleNamespace(session_hash="tab")
    first = run(hub, prompt="two blue stars", steps=4, seed=99, guidance=3.0)
    restore.remember_result(tab, first)  # type: ignore[arg-type]  # what is read of a request
    updates = dict(zip(names, run_async(restore.vary_seed(tab)), strict=True))  # type: ignore[arg-type]
    fields = {name: update["value"] for name, update in updates.items() if "value" in update}
    assert fields.pop("seed") is None and fields["prompt"] == "two blue stars" and fields["steps"] == 4
    again = hub.engine.run(SLUG, fields)
    assert again.seed != 99 and {**again.capsule["parameters"], "seed": 99} == first.capsule["parameters"]
    assert run_async(restore.keep_seed(tab)) == "99"  # type: ignore[arg-type]


def test_what_the_safety_checker_refuses_is_black_and_said_and_the_others_stay(hub: Hub) -> None:
    wish = {"prompt": "a red circle", "images": 3, "steps": 3, "seed": 50}
    before = hub.engine.run(SLUG, wish)
    assert {row["safety_checker"] for row in before.values["settings"]} == {"passed"}
    seen = Image.fromarray(pictures(before)[1]).resize((64, 64), Image.Resampling.BOX)
    with loaded(hub) as found:
        checker = found.pipeline.safety_checker
        kept = {name: value.clone() for name, value in checker.state_dict().items()}
        tiny_pipelines.forbid(found, np.array(seen))
        after = hub.engine.run(SLUG, wish, kind="live")  # computed anew
        checker.load_state_dict(kept)
    assert [row["safety_checker"] for row in after.values["settings"]] == ["passed", "hidden", "passed"]
    assert [row["seed"] for row in after.values["settings"]] == [50, 51, 52]
    assert after.pictures["pictures"][1].caption == "seed 51, hidden by the model's safety checker"
    assert [not picture.any() for picture in pictures(after)] == [False, True, False]
    for number in (0, 2):
        assert np.array_equal(pictures(after)[number], pictures(before)[number])


# --- pipelines of other sizes ---------------------------------------------------------------------


def drawn(model: Any, *samples: diffusion.Sample, **changes: Any) -> tuple[np.ndarray, int]:
    """Pictures, and how many steps they took."""
    usual = {"steps": 3, "scheduler": diffusion.AS_TRAINED, "width": 32, "height": 32, "guided": False}
    steps, count = diffusion.draw(model, diffusion.Sampling(**{**usual, **changes}), samples), 0
    with torch.inference_mode():
        while True:
            try:
                count = next(steps)[0]
            except StopIteration as stop:
                return stop.value[0], count


@pytest.mark.slow
def test_a_pipeline_with_two_text_encoders_draws_from_words_and_from_pictures(tmp_path: Path) -> None:
    tiny_pipelines.large(tmp_path)
    model = pipelines.load(tmp_path).eval().requires_grad_(False)
    assert (model.usual, model.unet.config.addition_embed_type) == (pipelines.Usual(2, 0.0, 32), "text_time")
    red, blue = (diffusion.Sample(f"a {colour} circle", "", 1, 1.0) for colour in ("red", "blue"))
    together, _ = drawn(model, red, blue)
    assert np.abs(together[0].astype(int) - drawn(model, red)[0][0]).max() <= 1
    assert len(model.embeddings) == 2  # each prompt is encoded once
    other, steps = drawn(model, red, scheduler="DDIM", guided=True)
    assert steps == 3 and not np.array_equal(other[0], together[0])
    start = replace(red, start=np.ones((3, 32, 32), np.float32))
    assert drawn(model, start, steps=4, strength=0.5)[1] == 2
    model.embeddings = LRUCache(1)  # full: what this run needs is not lost to what else it needs
    assert np.array_equal(drawn(model, red, scheduler="DDIM", guided=True)[0], other)
    model.pipeline.scheduler = PNDMScheduler()  # of SD 1.5; it takes one step more than it is asked for
    model.schedulers.clear()
    assert drawn(model, red, steps=5)[1] == 5


def test_turbo_models_and_others_have_their_own_usual_settings(tmp_path: Path) -> None:
    def usual(
        repository: str, kind: str = "PNDMScheduler", spacing: str = "leading", side: int = 64
    ) -> pipelines.Usual:
        scheduler = SimpleNamespace(config={"_class_name": kind, "timestep_spacing": spacing})
        unet = SimpleNamespace(config=SimpleNamespace(sample_size=side))
        pipeline = SimpleNamespace(scheduler=scheduler, unet=unet, vae_scale_factor=8)
        return pipelines.usual(tmp_path / repository.replace("/", "--") / "000", pipeline)

    assert usual("stabilityai/sdxl-turbo", side=128) == usual("stabilityai/sd-turbo") == pipelines.Usual(2, 0.0, 512)
    assert usual("stable-diffusion-v1-5/stable-diffusion-v1-5") == pipelines.Usual(28, 7.5, 512)
    turbo = ("EulerAncestralDiscreteScheduler", "trailing", 128)
    assert usual("somebody/turbo", *turbo) == pipelines.Usual(2, 0.0, 512)
    assert usual("somebody/xl", side=128) == pipelines.Usual(28, 7.5, 1024)


# --- pipelines larger than the device's budget ----------------------------------------------------

MB = 10**6
SD15 = offload.Need({"text_encoder": 246 * MB, "unet": 1719 * MB, "vae": 167 * MB}, 30 * MB, 608 * MB, 400 * MB)


@pytest.mark.parametrize(
    ("budget", "mode", "takes", "sliced", "tiled"),
    [
        (8000, "whole", 2740, False, False),
        (4000, "whole", 2740, True, False),
        (2800, "whole", 2740, True, True),
        (2700, "parts", 2327, True, False),
        (700, "layers", 638, True, True),
        (100, "layers", 638, True, True),  # it will not fit, which the pool says
    ],
)
def test_how_a_pipeline_is_placed_follows_from_its_bytes(
    budget: int, mode: str, takes: int, sliced: bool, tiled: bool
) -> None:
    found = offload.choose(SD15, budget * MB, together=8)
    assert (found.mode, found.bytes, found.sliced, found.tiled) == (mode, takes * MB, sliced, tiled)


@pytest.mark.parametrize("mode", ["whole", "parts", "layers"])
def test_diffusers_is_asked_for_what_was_chosen(mode: Any) -> None:
    asked = list[tuple[str, Any]]()

    class Recording(SimpleNamespace):
        def enable_model_cpu_offload(self, device: Any) -> None:
            asked.append(("parts", device))

        def enable_sequential_cpu_offload(self, device: Any) -> None:
            asked.append(("layers", device))

    vae = SimpleNamespace(
        config=SimpleNamespace(force_upcast=False),
        enable_slicing=lambda: asked.append(("slices", "")),
        enable_tiling=lambda: asked.append(("tiles", "")),
    )
    pipeline, device = Recording(vae=vae, components={"unet": torch.nn.Conv2d(2, 2, 1)}), torch.device("cuda:1")
    offload.settle(pipeline, device, torch.float16, offload.Placement(mode, 1, sliced=True, tiled=mode == "layers"))
    expected = [("slices", ""), *([("tiles", "")] if mode == "layers" else []), (mode, device)]
    assert asked == (expected if mode != "whole" else expected[:-1])
    assert pipeline.components["unet"].weight.dtype == (torch.float32 if mode == "whole" else torch.float16)


@pytest.mark.slow
def test_a_pipeline_larger_than_the_budget_draws_the_same_with_its_parts_in_turns(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The CPU stands in for a device with a memory of its own; the moving is accelerate's."""
    monkeypatch.setattr(devices, "OWN_MEMORY", ("cpu",))
    with loaded(hub) as found:
        need = offload.measure(found.pipeline, torch.float32, 64)
    budget = max(need.parts.values()) + need.stays + 1000
    assert budget < sum(need.parts.values())
    small = Hub(replace(hub.settings, pool_gb=budget / 10**9, data=str(tmp_path)))
    try:
        wish = {"images": 2, "steps": 3, "seed": 5}
        result = run(small, **wish)
        assert result.receipt.device == "cpu (its parts take turns there)"
        (status,) = small.pool.status()
        assert status.bytes <= budget < small.weights.find(SLUG).size_bytes * 2  # its files are float16
        for ours, wholly in zip(pictures(result), pictures(run(hub, **wish)), strict=True):
            assert np.abs(ours.astype(int) - wholly).max() <= 2
    finally:
        small.close()
