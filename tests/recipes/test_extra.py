"""Corrected pictures as extra training data: what an export has is what a recipe adds, and it trains with it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from hub.archive.corrections.dataset import export
from hub.archive.corrections.parts import Part
from hub.archive.corrections.store import FILE, Correction, CorrectionStore
from hub.images import encode
from hub.people.owners import Owner
from hub.results.result import Picture
from weights.training import extra
from weights.vehicle_classifier import recipe

KINDS = ("emergency", "ordinary")
VEHICLE = Part("probabilities", "Probabilities", "class", "emergency", KINDS)
TAGS = Part("probabilities", "Probabilities", "tags", ["cars"], ("cars", "trees"))
BLANK = Correction("", "", "", "vehicle_classifier", "w", "d", "1", "", (VEHICLE,), "right", {}, "", "", "", 0.0)


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    store = CorrectionStore(tmp_path / FILE, 10**7)

    def say(target: str, **more: Any) -> None:
        photo = Picture(encode(Image.new("RGB", (40, 30), "red"), "png"), "image/png", 40, 30)
        store.keep(replace(BLANK, target=target, **more), {"image": photo}, Owner("me"))

    say("1")
    say("2", verdict="wrong", value={"probabilities": "ordinary"})
    say("3", page="satellite_labels", parts=(TAGS,), verdict="wrong", value={"probabilities": ["trees"]})
    export(store, tmp_path / "export", "imagefolder")
    store.close()
    return tmp_path / "export"


def test_classes_and_tags_are_read_as_the_recipe_numbers_them(exported: Path) -> None:
    images, labels = extra.read_classes(exported, "vehicle_classifier", recipe.LABELS, (8, 8))
    assert (images.shape, labels.tolist()) == ((2, 3, 8, 8), [1, 0])
    images, tags = extra.read_tags(exported / "satellite_labels", "satellite_labels", ["trees", "cars"], (8, 8))
    assert (images.shape, tags.tolist()) == ((1, 3, 8, 8), [[1.0, 0.0]])
    for page, labels_known in (("nowhere", recipe.LABELS), ("vehicle_classifier", ["cat"])):
        with pytest.raises(SystemExit):
            extra.read_classes(exported, page, labels_known, (8, 8))


def test_the_vehicle_recipe_trains_with_corrected_pictures(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    (data / "images").mkdir(parents=True)
    lines = ["image,emergency,split"]
    for number in range(4):
        name, split = f"{number}.png", "train" if number < 2 else "val"
        Image.new("RGB", (30, 30), ("blue", "grey")[number % 2]).save(data / "images" / name)
        lines.append(f"{name},{number % 2},{split}")
    (data / "labels.csv").write_text("\n".join(lines))
    backbone = timm.create_model("test_resnet", pretrained=False, num_classes=2).state_dict()
    save_file(
        {name: value for name, value in backbone.items() if not name.startswith("fc.")}, tmp_path / "b.safetensors"
    )
    monkeypatch.setattr(recipe, "SOURCE_PX", 32)
    monkeypatch.setattr(recipe, "SIZES", ((1.0, 32),))
    out = tmp_path / "out"
    flags = {"--out": out, "--data": data, "--extra": exported, "--arch": "test_resnet", "--epochs": 1,
             "--backbone-weights": tmp_path / "b.safetensors", "--batch-size": 4, "--frozen-epochs": 0,
             "--precision": "fp32", "--device": "cpu", "--threads": 1}  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["recipe", *(str(one) for pair in flags.items() for one in pair)])
    threads = torch.get_num_threads()
    recipe.main()  # a batch of four: two pictures of its own, and two corrected ones
    torch.set_num_threads(threads)
    assert (out / "model.safetensors").exists()
