"""What is published loads again: through the hub, and with timm and smp alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hub.errors import InputError, UnavailableError
from hub.hub import Hub
from hub.settings import ROOT, Settings
from hub.weights import publish
from hub.weights.store import WeightsStore
from tests.fakes import picture, write_weights
from tests.hub_server import TOKEN, HubServer

# huggingface_hub 2.4 hands large files to httpx2 in a way that httpx2 would rather not see.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

CARD = """---
license: mit
library_name: timm
pipeline_tag: image-classification
model-index:
  - name: small
    results:
      - task: {type: image-classification}
        dataset: {type: shapes, name: Shapes}
        metrics: [{type: accuracy, value: 0.5}]
---
# Small

    timm.create_model("local-dir:weights/small", pretrained=True)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_weights(tmp_path, "small", {"architecture": "test_resnet", "num_classes": 2, "label_names": ["a", "b"]})
    (tmp_path / "small" / "README.md").write_text(CARD)
    (tmp_path / "small" / "recipe.py").write_text("print('how it was made')\n")
    (tmp_path / "small" / "__init__.py").write_text("")
    return tmp_path / "small"


@pytest.fixture
def signed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)


def load_with_timm() -> torch.nn.Module:
    import timm

    model: torch.nn.Module = timm.create_model("hf-hub:me/it", pretrained=True)
    return model.eval()


def load_with_smp() -> torch.nn.Module:
    import segmentation_models_pytorch as smp

    model: torch.nn.Module = smp.from_pretrained("me/it")
    return model.eval()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "alone", "more"),
    [("vehicle_classifier", load_with_timm, {}), ("camvid_segmentation", load_with_smp, {"quality": "fast"})],
)
def test_a_round_trip_gives_the_same_model_here_and_without_our_code(
    hub_server: HubServer,
    tmp_path: Path,
    signed_in: None,
    name: str,
    alone: Callable[[], torch.nn.Module],
    more: dict[str, str],
) -> None:
    commit = publish.upload(publish.plan(ROOT / "weights" / name, "me/it", private=True))
    assert hub_server.repos["me/it"].private and hub_server.repos["me/it"].refs["main"] == commit

    settings = {"device": "cpu", "dtype": "float32", "pool_gb": 1.0, "data": str(tmp_path), "results_disk_mb": 0.0}
    hub = Hub(Settings(weights=f"{name}=hf://me/it", demos=name, **settings))
    inputs = {"image": picture(96, 64), **more}
    there = hub.engine.run(name, inputs)
    here = hub.engine.run(name, {**inputs, "weights": name})
    assert there.receipt.weights == "hf://me/it@main"
    assert there.receipt.digest == here.receipt.digest
    assert there.values == here.values

    ours = hub.registry.get(name).demo.load(ROOT / "weights" / name, torch.device("cpu"))
    theirs = alone().state_dict()
    assert list(theirs) == list(ours.state_dict())
    assert all(torch.equal(theirs[key], tensor) for key, tensor in ours.state_dict().items())
    hub.close()


def test_a_pipeline_makes_the_round_trip_through_plain_diffusers(
    hub_server: HubServer, tmp_path: Path, signed_in: None
) -> None:
    import diffusers
    import huggingface_hub

    from weights.stable_diffusion import model

    folder = tmp_path / "stable_diffusion"
    parts = {"unet": model.denoiser(), "text_encoder": model.text_encoder(), "vae": model.autoencoder()}
    model.save_pipeline(parts, folder)
    (folder / "README.md").write_text(
        "---\nlicense: apache-2.0\nlibrary_name: diffusers\npipeline_tag: text-to-image\n---\n\n# Shapes\n"
    )
    publish.upload(publish.plan(folder, "me/shapes"))
    # Not by its name: diffusers keeps the address of the Hub that it was imported with.
    theirs = diffusers.StableDiffusionPipeline.from_pretrained(huggingface_hub.snapshot_download("me/shapes"))
    for name, part in parts.items():
        loaded = getattr(theirs, name).state_dict()
        for key, tensor in part.state_dict().items():
            assert torch.equal(loaded[key].half(), tensor.half()), f"{name}.{key}"


def test_a_plan_touches_no_network_and_lists_what_would_go(hub_server: HubServer, folder: Path) -> None:
    planned = publish.plan(folder, "me/small")
    assert list(planned.files) == ["README.md", "config.json", "model.safetensors", "recipe.py"]
    assert planned.metrics == ("accuracy 0.5 on Shapes",)
    assert b"hf-hub:me/small" in planned.files["README.md"]  # type: ignore[operator]
    assert hub_server.hits == []


def test_publishing_again_sends_only_what_changed(hub_server: HubServer, folder: Path, signed_in: None) -> None:
    publish.upload(publish.plan(folder, "me/small"))
    first = hub_server.count("/upload/", method="PUT")
    (folder / "recipe.py").write_text("print('told better')\n")
    commit = publish.upload(publish.plan(folder, "me/small"))
    assert first == hub_server.count("/upload/", method="PUT") == 1
    assert hub_server.repos["me/small"].commits[commit]["recipe.py"] == b"print('told better')\n"


def test_without_a_token_or_with_a_wrong_one_it_says_how_to_sign_in(
    hub_server: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = publish.plan(folder, "me/small")
    with pytest.raises(UnavailableError, match="hf auth login"):
        publish.upload(planned)
    assert hub_server.hits == []
    monkeypatch.setenv("HF_TOKEN", "hf_wrongwrongwrong")
    with pytest.raises(UnavailableError, match="refused the token") as caught:
        publish.upload(planned)
    assert "wrongwrong" not in caught.value.message


def test_what_did_not_arrive_whole_is_told(hub_server: HubServer, folder: Path, signed_in: None) -> None:
    hub_server.fault("/upload/", status=403, times=99)
    with pytest.raises(UnavailableError, match="Try again") as caught:
        publish.upload(publish.plan(folder, "me/small"))
    assert TOKEN not in caught.value.message


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda f: (f / "README.md").unlink(), "README.md is missing"),
        (lambda f: (f / "README.md").write_text(CARD.replace("license: mit\n", "")), "no license"),
        (
            lambda f: (f / "README.md").write_text(CARD.replace("library_name: timm", "library_name: smp")),
            "library_name",
        ),
        (lambda f: (f / "README.md").write_text(CARD.replace("value: 0.5", "value: good")), "model-index"),
        (lambda f: (f / "README.md").write_text("---\nlicense: [\n---\n"), "YAML"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\x80\x04 a pickle"), "is no safetensors file"),
        (lambda f: (f / "model.safetensors").rename(f / "model.bin"), "can run code"),
    ],
)
def test_a_folder_that_is_not_fit_to_publish_is_refused(
    folder: Path, change: Callable[[Path], object], told: str
) -> None:
    change(folder)
    with pytest.raises((InputError, UnavailableError)) as caught:
        publish.plan(folder, "me/small")
    assert told in caught.value.message


@pytest.mark.parametrize("repo", ["small", "me/small@v1", "me/small/deep", "../x/y", ""])
def test_a_repository_that_is_none_is_refused(folder: Path, repo: str) -> None:
    with pytest.raises(InputError, match="owner/name"):
        publish.plan(folder, repo)


def test_a_published_folder_verifies_against_its_lock(
    hub_server: HubServer, folder: Path, signed_in: None, tmp_path: Path
) -> None:
    publish.upload(publish.plan(folder, "me/small"))
    store = WeightsStore(tmp_path / "elsewhere", tmp_path / "hub")
    found = store.obtain("hf://me/small@main")
    assert json.loads((found.path / "config.json").read_text())["label_names"] == ["a", "b"]
    assert found.digest == WeightsStore(tmp_path).find("small").digest
