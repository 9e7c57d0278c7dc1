"""A LoRA by a second id: fetched from the local Hub by the real client, and added to a tiny pipeline's weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, load_file, save

from hub.cli import main as cli
from hub.errors import InputError, UnavailableError
from hub.hub import Hub
from hub.kit.generating import adapting
from hub.settings import Settings
from hub.starters import making, serving
from hub.weights.sources import parse_hub
from hub.weights.store import WeightsStore
from tests.hub_server import HubServer
from tests.starters.tiny_models import card

pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.slow]  # diffusers' and peft's own
needs_peft = pytest.mark.skipif(adapting.find_spec(adapting.PACKAGE) is None, reason="requirements-lora.txt: no peft")
Files = dict[str, bytes]
BASE, ADDED = "someone/tiny-pipeline", "someone-else/tiny-lora"
UNET = "unet/diffusion_pytorch_model.safetensors"
RANK = 2


@pytest.fixture
def store(tmp_path: Path) -> WeightsStore:
    return WeightsStore(tmp_path / "weights", tmp_path / "hub")


@pytest.fixture(scope="module")
def base(files_of: Callable[[str], Files]) -> Files:
    return {**files_of("text-to-image"), "README.md": card("text-to-image", license="mit")}


def lora_of(base: Files, stretch: int = 1, more: dict[str, Any] | None = None) -> dict[str, Any]:
    """A LoRA with random numbers on all queries of the denoiser. `stretch`: of one that is so many times as wide."""
    chance = np.random.default_rng(0)
    tensors: dict[str, Any] = {}
    for name, weight in load(base[UNET]).items():
        if name.endswith("to_q.weight"):
            rows, columns = (side * stretch for side in weight.shape)
            where = f"unet.{name.removesuffix('.weight')}"
            tensors[f"{where}.lora_A.weight"] = chance.normal(0, 0.5, (RANK, columns)).astype(np.float32)
            tensors[f"{where}.lora_B.weight"] = chance.normal(0, 0.5, (rows, RANK)).astype(np.float32)
    assert tensors
    return {**tensors, **(more or {})}


def written(tensors: dict[str, Any]) -> Files:
    return {"pytorch_lora_weights.safetensors": save(tensors, {"format": "pt"}), "README.md": card(license="mit")}


def settings_of(tmp_path: Path, **given: Any) -> Settings:
    usual = {
        "device": "cpu",
        "dtype": "float32",
        "pool_gb": 1.0,
        "results_disk_mb": 0.0,
        "data": str(tmp_path / "data"),
    }
    folders = {"weights_folder": str(tmp_path / "weights"), "hub_folder": str(tmp_path / "hub")}
    return Settings(**{**usual, **folders, "demos_folder": str(tmp_path / "demos"), **given})


def drawn_by(hub: Hub, slug: str) -> bytes:
    result = hub.engine.run(slug, {"prompt": "a red circle", "steps": 2, "seed": 5})
    return result.pictures["picture"][0].data


@pytest.mark.slow
@needs_peft
def test_a_page_draws_with_the_lora_and_locks_both_commits(
    hub_server: HubServer, base: Files, store: WeightsStore, tmp_path: Path
) -> None:
    of_base, of_lora = hub_server.add(BASE, base), hub_server.add(ADDED, written(lora_of(base)))
    making.create_from(f"hf://{BASE}", "plain", tmp_path / "demos", store)
    made = making.create_from(f"hf://{BASE}", "styled", tmp_path / "demos", store, lora=f"hf://{ADDED}")
    name = f"hf://{BASE}@main+hf://{ADDED}@main"
    assert made.repository.commit == store.locked()[name].commit == f"{of_base}+{of_lora}"
    assert "lora/pytorch_lora_weights.safetensors" in store.locked()[name].files
    hub = Hub(settings_of(tmp_path))
    try:
        assert [hub.registry.get(slug).error for slug in ("plain", "styled")] == ["", ""]
        title = hub.registry.get("styled").demo.weights[0].title
        assert BASE in title and ADDED in title
        plain, styled = drawn_by(hub, "plain"), drawn_by(hub, "styled")
        assert plain != styled and styled == drawn_by(hub, "styled")
        facts = hub.weights.find(name)
        assert facts.digest != hub.weights.find(f"hf://{BASE}@main").digest and facts.locked
    finally:
        hub.close()
    assert hub_server.count(rf"resolve/.*/{UNET}$") == 1, "the base is not fetched twice"


@needs_peft
def test_the_weights_are_the_sum_that_a_lora_means(
    hub_server: HubServer, base: Files, store: WeightsStore, tmp_path: Path
) -> None:
    from hub.kit.generating.pictures import load_pipeline

    tensors = lora_of(base)
    hub_server.add(BASE, base)
    hub_server.add(ADDED, written(tensors))
    folder = store.obtain(f"hf://{BASE}@main+hf://{ADDED}@main").path
    model, before = load_pipeline(folder), load(base[UNET])
    after = {name: value.numpy() for name, value in model.pipeline.unet.state_dict().items()}
    assert after.keys() == before.keys(), "no adapter is left beside the weights"
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {name for name in before if name.endswith("to_q.weight")}
    for name in changed:
        where = f"unet.{name.removesuffix('.weight')}"
        added = tensors[f"{where}.lora_B.weight"] @ tensors[f"{where}.lora_A.weight"]
        np.testing.assert_allclose(after[name], before[name] + added, atol=1e-5)


@needs_peft
@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"stretch": 2}, "does not fit these weights: "),
        (
            {
                "more": {
                    f"unet.elsewhere.{n}.to_q.lora_{side}.weight": np.ones((2, 2), np.float32)
                    for n in (0, 1)
                    for side in "AB"
                }
            },
            r"does not fit these weights: StableDiffusionPipeline has a place for \d+ of its \d+ parts",
        ),
    ],
)
def test_one_that_does_not_fit_is_refused_in_words(
    wrong: dict[str, Any], told: str, hub_server: HubServer, base: Files, store: WeightsStore, tmp_path: Path
) -> None:
    hub_server.add(BASE, base)
    hub_server.add(ADDED, written(lora_of(base, **wrong)))
    making.create_from(f"hf://{BASE}", "styled", tmp_path / "demos", store, lora=f"hf://{ADDED}")
    hub = Hub(settings_of(tmp_path))
    try:
        with pytest.raises(UnavailableError, match=told) as refused:
            hub.engine.run("styled", {"prompt": "a red circle", "steps": 2, "seed": 5})
        assert "\n" not in refused.value.message and len(refused.value.message) < 400
    finally:
        hub.close()


@needs_peft
@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"pytorch_lora_weights.bin": b"\x80\x02"}, "can run code when read"),
        ({"model.safetensors": save({"weight": np.ones(3, np.float32)})}, "model.safetensors is no LoRA"),
        (
            {"a.safetensors": b"", "b.safetensors": b""},
            r"has several files \(a.safetensors, b.safetensors\). Name one: ",
        ),
        ({"pytorch_lora_weights.safetensors": b"nothing of the kind"}, "cannot be read"),
        ({"README.md": b"# Nothing"}, "hold no .safetensors file"),
    ],
)
def test_what_is_no_lora_is_refused_before_there_is_a_page(
    files: Files, told: str, hub_server: HubServer, base: Files, store: WeightsStore, tmp_path: Path
) -> None:
    hub_server.add(BASE, base)
    hub_server.add(ADDED, files)
    with pytest.raises(UnavailableError, match=told):
        making.create_from(f"hf://{BASE}", "styled", tmp_path / "demos", store, lora=f"hf://{ADDED}")
    assert not (tmp_path / "demos" / "styled.py").exists() and store.locked() == {}
    assert hub_server.count(r"\.bin") == 0


@needs_peft
def test_one_of_several_files_is_named(hub_server: HubServer, base: Files, store: WeightsStore, tmp_path: Path) -> None:
    hub_server.add(BASE, base)
    (data, _) = written(lora_of(base)).values()
    hub_server.add(ADDED, {"one.safetensors": data, "two.safetensors": b"another"})
    made = making.create_from(
        f"hf://{BASE}", "styled", tmp_path / "demos", store, lora=f"hf://{ADDED}@main/one.safetensors"
    )
    assert "lora/one.safetensors" in made.repository.locked.files


def test_only_a_pipeline_of_the_hub_takes_one(
    hub_server: HubServer, files_of: Callable[[str], Files], base: Files, store: WeightsStore, tmp_path: Path
) -> None:
    hub_server.add("someone/classifier", files_of("image-classification"))
    hub_server.add(ADDED, written(lora_of(base)))
    with pytest.raises(UnavailableError, match="someone/classifier is no pipeline of diffusers, to which a LoRA"):
        making.create_from("hf://someone/classifier", "styled", tmp_path / "demos", store, lora=f"hf://{ADDED}")
    for source, lora in ((str(tmp_path), f"hf://{ADDED}"), (f"hf://{BASE}", "./lora.safetensors")):
        with pytest.raises(InputError, match="are both repositories of the Hub"):
            making.create_from(source, "styled", tmp_path / "demos", store, lora=lora)
    with pytest.raises(InputError, match=r"one LoRA goes with a whole repository"):
        parse_hub(f"hf://{BASE}+hf://{ADDED}+hf://{ADDED}")


def test_what_it_takes_is_told_in_one_line(
    hub_server: HubServer, base: Files, store: WeightsStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub_server.add(BASE, base)
    hub_server.add(ADDED, written(lora_of(base)))
    monkeypatch.setattr(adapting, "find_spec", lambda name: None)
    with pytest.raises(UnavailableError, match=r"A LoRA needs the package peft: .*requirements-lora.txt"):
        making.create_from(f"hf://{BASE}", "styled", tmp_path / "demos", store, lora=f"hf://{ADDED}")


@pytest.mark.slow
@needs_peft
def test_it_is_served_at_once_and_by_the_command(
    hub_server: HubServer, base: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub_server.add(BASE, base)
    commit = hub_server.add(ADDED, written(lora_of(base)))
    settings = serving.with_models(settings_of(tmp_path), [f"hf://{BASE}"], f"hf://{ADDED}@{commit}")
    assert settings.demos == "tiny_lora"
    hub = Hub(settings)
    try:
        assert drawn_by(hub, "tiny_lora")
    finally:
        hub.close()
    with pytest.raises(InputError, match=r"--lora goes with one --model, got 2\."):
        serving.with_models(settings_of(tmp_path), [f"hf://{BASE}"] * 2, f"hf://{ADDED}")
    places = ["--demos-folder", str(tmp_path / "demos"), "--weights-folder", str(tmp_path / "weights")]
    more = ["--hub-folder", str(tmp_path / "hub"), "--data", str(tmp_path / "data")]
    assert cli.main(["new", "styled", "--from", f"hf://{BASE}", "--lora", f"hf://{ADDED}", *places, *more]) == 0
    assert f"with the LoRA at commit {commit[:12]}" in capsys.readouterr().out
    assert cli.main(["new", "other", "--lora", f"hf://{ADDED}", *places, *more]) == 2
    assert "--lora goes with --from" in capsys.readouterr().err


@needs_peft
def test_without_the_hub_the_locked_files_serve_and_a_changed_one_is_fetched_again(
    hub_server: HubServer, base: Files, store: WeightsStore, tmp_path: Path
) -> None:
    hub_server.add(BASE, base)
    hub_server.add(ADDED, written(lora_of(base)))
    made = making.create_from(f"hf://{BASE}", "styled", tmp_path / "demos", store, lora=f"hf://{ADDED}")
    name = f"hf://{BASE}@main+hf://{ADDED}@main"
    folder = store.obtain(name).path
    file = folder / "lora" / "pytorch_lora_weights.safetensors"
    assert load_file(file).keys() and made.repository.licence == "mit"
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    with pytest.raises(UnavailableError, match=r"are refused: lora/pytorch_lora_weights\.safetensors has"):
        WeightsStore(tmp_path / "weights", tmp_path / "hub").find(name)
    source = parse_hub(name)
    assert store.snapshots.drop_wrong(source, store.locked()[name])
    assert store.obtain(name).path == folder
    hub_server.repos.clear()
    assert WeightsStore(tmp_path / "weights", tmp_path / "hub", offline=True).obtain(name).locked
    assert json.loads((tmp_path / "weights" / "lock.json").read_text())["sources"][name]["commit"].count("+") == 1
