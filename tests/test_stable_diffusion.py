"""The Stable Diffusion page with a pipeline that was never trained: how it runs, not what it draws."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hub import capsules, diffusion
from hub.engine import Engine
from hub.errors import CancelledError, InputError, UnavailableError
from hub.jobs import Cancel
from hub.results import Result
from hub.settings import ROOT, Settings
from hub.web import restore_ui
from weights.stable_diffusion import model

SLUG = "stable_diffusion"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A hub with the draft of the page."""
    root = tmp_path_factory.mktemp("hub")
    demos, assets, weights = root / "demos", root / "demos" / "assets" / SLUG, root / "weights" / SLUG
    assets.mkdir(parents=True)
    shutil.copy(ROOT / "demos" / f"_{SLUG}.py", demos / f"{SLUG}.py")
    Image.new("RGB", (8, 8)).save(assets / "cover.png")
    torch.manual_seed(0)
    parts = {"unet": model.denoiser(), "text_encoder": model.text_encoder(), "vae": model.autoencoder()}
    model.save_pipeline(parts, weights)
    made = Engine(
        Settings(
            device="cpu", dtype="float32", pool_gb=2.0, data=str(root / "data"), demos_folder=str(demos),
            weights_folder=str(weights.parent),
        )
    )  # fmt: skip
    yield made
    made.close()


def run(engine: Engine, **inputs: Any) -> Result:
    return engine.run(SLUG, {"prompt": "a red circle", "seed": 1, **inputs})


def pictures(result: Result) -> list[np.ndarray]:
    return [np.asarray(Image.open(io.BytesIO(one.data))) for one in result.pictures["pictures"]]


def test_a_batch_gives_the_pictures_that_single_runs_give(engine: Engine) -> None:
    together = run(engine, images=3, seed=20, steps=4)
    assert [row["seed"] for row in together.values["settings"]] == [20, 21, 22]
    for number, picture in enumerate(pictures(together)):
        (alone,) = pictures(run(engine, images=1, seed=20 + number, steps=4))
        assert np.abs(alone.astype(int) - picture).max() <= 2
    assert np.abs(pictures(together)[0].astype(int) - pictures(together)[1]).max() > 2


def test_steps_are_told_with_previews_and_cancel_ends_at_the_next(engine: Engine) -> None:
    heard, cancel = list[Any](), Cancel()

    def hear(stage: str, progress: Any) -> None:
        if progress:
            heard.append(progress)
            if progress.step == 4:
                cancel.set()

    run(engine, steps=2)  # so that loading is over
    with pytest.raises(CancelledError):
        engine.run(SLUG, {"prompt": "a red circle", "steps": 50, "images": 4}, on_event=hear, cancel=cancel)
    run(engine, steps=3)  # waits its turn: the cancelled run has ended by then
    # The wait looks at the flag four times a second; no step is begun after it has.
    assert heard[0].total == 50 and heard[-1].step < 50
    assert [now.step for now in heard] == list(range(1, len(heard) + 1))
    assert any(now.preview and now.preview[0].size == (64, 64) for now in heard)
    assert all(now.left_s > 0 for now in heard)


@pytest.mark.parametrize("scheduler", ["as trained", "Euler ancestral", "DDIM"])
def test_the_hubs_loop_draws_what_the_librarys_does(engine: Engine, scheduler: str) -> None:
    import diffusers

    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(engine.weights.find(SLUG).path)
    if diffusion.SCHEDULERS[scheduler]:
        pipeline.scheduler = getattr(diffusers, diffusion.SCHEDULERS[scheduler]).from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    chance = [torch.Generator().manual_seed(3)]
    (theirs,) = pipeline(
        "a red circle", negative_prompt="white background", num_inference_steps=4, guidance_scale=3.0, generator=chance
    ).images
    asked = {"negative_prompt": "white background", "steps": 4, "guidance": 3.0, "scheduler": scheduler, "seed": 3}
    (ours,) = pictures(run(engine, **asked))
    small = np.asarray(Image.fromarray(ours).resize(theirs.size, Image.Resampling.BOX))
    enlarged = theirs.resize((256, 256), Image.Resampling.LANCZOS).resize(theirs.size, Image.Resampling.BOX)
    assert np.abs(small.astype(int) - np.asarray(enlarged)).max() <= 1


def test_a_picture_to_begin_from_counts_the_more_the_lower_the_strength(engine: Engine) -> None:
    start = Image.effect_noise((90, 60), 90).convert("RGB")

    def changed(strength: float) -> float:
        one, other = (
            pictures(run(engine, image=i, strength=strength, steps=10))[0] for i in (start, start.rotate(180))
        )
        return float(np.abs(one.astype(int) - other).mean())

    assert changed(0.2) > changed(1.0) + 1


def test_a_downloaded_picture_brings_its_settings_back_and_runs_to_the_same_bytes(
    engine: Engine, tmp_path: Path
) -> None:
    first = run(engine, prompt="two blue stars", images=2, steps=5, guidance=3.0, scheduler="Euler", seed=99)
    file = tmp_path / "second.png"
    file.write_bytes(first.pictures["pictures"][1].data)
    filled = restore_ui.settings(engine, engine.registry.get(SLUG), file)
    assert filled.problems == [] and "picture 2" in filled.told[0] and len(filled.told) == 1
    again = engine.run(SLUG, filled.values, live=True)  # not the stored result: computed anew
    assert again.receipt.batch_size == 1 and again.capsule_json == first.capsule_json
    assert [p.data for p in again.pictures["pictures"]] == [p.data for p in first.pictures["pictures"]]
    bare = capsules.without(first.pictures["pictures"][1])
    assert b"two blue stars" not in bare.data and np.array_equal(Image.open(io.BytesIO(bare.data)), pictures(first)[1])
    file.write_bytes(bare.data)
    assert "no settings" in restore_ui.settings(engine, engine.registry.get(SLUG), file).problems[0]
    with pytest.raises(InputError):
        capsules.read(b"\x89PNG\r\n\x1a\n" + b"\xff" * 40)


def test_weights_that_are_no_pipeline_are_refused_in_words(engine: Engine, tmp_path: Path) -> None:
    load = engine.registry.get(SLUG).demo.load
    with pytest.raises(UnavailableError, match="these weights are no pipeline"):
        load(tmp_path, None)
    (tmp_path / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    with pytest.raises(UnavailableError, match="FluxPipeline"):
        load(tmp_path, None)
