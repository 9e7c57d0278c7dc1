"""Every bundled model repository can be read by the library it is for, and its card says what it must."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from hub.weights import lock
from hub.weights.formats import files_of
from weights.evaluate import DRAWING, MEASURES

ROOT = Path(__file__).resolve().parents[2] / "weights"
REPOSITORIES = sorted(path.parent for path in ROOT.glob("*/config.json"))
SECTIONS = ["Data", "Metrics", "Limits", "Licence", "Recipe"]

pytestmark = pytest.mark.parametrize("folder", REPOSITORIES, ids=lambda folder: folder.name)


def card(folder: Path) -> tuple[dict, str]:
    _, front, text = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(front), text


def test_the_card_has_metadata_and_sections(folder: Path) -> None:
    front, text = card(folder)
    assert {"license", "library_name", "tags", "pipeline_tag", "datasets", "model-index"} <= front.keys()
    assert re.findall(r"^## (.+)$", text, re.M)[: len(SECTIONS)] == SECTIONS
    assert f"python -m weights.{folder.name}.recipe" in text
    if folder.name in (*MEASURES, DRAWING):  # others have no page yet whose code could measure them
        assert f"python -m weights.evaluate {folder.name}" in text


def test_the_metadata_and_the_table_give_the_same_figures(folder: Path) -> None:
    front, text = card(folder)
    for metric in front["model-index"][0]["results"][0]["metrics"]:
        assert re.search(rf"^\| {metric['type']} +\| {metric['value']:.4f} ", text, re.M), metric


def test_weights_are_small_safetensors_only(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    tensors = [path for path in files if path.suffix == ".safetensors"]
    assert (folder / "model.safetensors") in tensors or (folder / "model_index.json") in files
    assert not [path for path in files if path.suffix in (".bin", ".pt", ".pth", ".ckpt", ".pkl")]
    assert 0 < sum(path.stat().st_size for path in tensors) < 25_000_000


def test_the_lock_that_is_committed_holds_for_these_files(folder: Path) -> None:
    """After a change of weights: python -m hub lock"""
    assert lock.read(ROOT / lock.FILE)[folder.name] == lock.of_files(files_of(folder, folder.name))


def test_the_library_loads_it_natively(folder: Path) -> None:
    library = card(folder)[0]["library_name"]
    if library == "diffusers":
        from diffusers import StableDiffusionPipeline

        pipeline = StableDiffusionPipeline.from_pretrained(folder)
        pipeline.set_progress_bar_config(disable=True)
        (picture,) = pipeline("a red circle", num_inference_steps=1).images
        assert picture.size == (64, 64)
        return
    config = json.loads((folder / "config.json").read_text())
    import torch

    if library == "timm":
        import timm

        model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
        side, outputs = config["pretrained_cfg"]["input_size"][1], config["num_classes"]
        assert len(config["label_names"]) == outputs
    else:
        assert library == "segmentation-models-pytorch"
        import segmentation_models_pytorch as smp

        assert config["encoder_weights"] is None
        model = smp.from_pretrained(str(folder)).float().eval()
        side, outputs = 64, config["classes"]
        assert len(config.get("_classes") or config["_points"]) == outputs
        assert len({tuple(entry["colour"]) for entry in config.get("_classes", ())}) in (0, outputs)
    with torch.inference_mode():
        answer = model(torch.zeros(1, 3, side, side))
    assert (answer[0] if isinstance(answer, tuple) else answer).shape[:2] == (1, outputs)
