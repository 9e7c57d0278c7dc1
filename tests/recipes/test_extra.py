"""Corrected pictures as extra training data: what an export has is what a recipe adds, and it trains with it."""

from __future__ import annotations

import json
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
from hub.kit.faces import detect
from hub.pages.registry import discover
from hub.people.owners import Owner
from hub.results.result import Picture
from weights import versus
from weights.age_regression import recipe as age_recipe
from weights.palm_keypoints import recipe as palm_recipe
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


def test_the_vehicle_recipe_trains_with_corrected_pictures_and_is_compared_on_them(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
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
    capsys.readouterr()
    flags_of_versus = ["vehicle_classifier", "--corrections", str(exported), "--new", str(out), "--old", str(out)]
    assert versus.main([*flags_of_versus, "--json"]) == 0
    told = capsys.readouterr().out.splitlines()
    result = json.loads(told[-1])
    assert "2 corrected pictures, which the new weights may have seen" in told[0]
    assert result["difference"]["accuracy"] == 0 and result["old"]["accuracy"] == result["new"]["accuracy"]


def test_a_fifth_of_many_rows_is_held_back_and_always_the_same() -> None:
    rows = [{"id": f"{number:024x}"} for number in range(200)]
    trained, held = extra.split(rows)
    assert 20 < len(held) < 60 and len(trained) + len(held) == 200
    assert extra.split(rows[:100])[1] == [row for row in held if row in rows[:100]]
    assert extra.split(rows[:10]) == (rows[:10], [])


def test_faces_are_cut_out_as_the_page_does_and_each_has_its_age(tmp_path: Path) -> None:
    page = discover().get("age_regression")
    with Image.open(page.assets / str(page.demo.examples[0].inputs["image"])) as file:
        faces = len(detect(file.convert("RGB"), age_recipe.LEAST_SCORE))
        photo = Picture(encode(file.convert("RGB"), "jpeg"), "image/jpeg", *file.size)
    ages = Part("faces", "Faces", "numbers", [30.0] * faces, rows=tuple(map(str, range(faces))))
    store = CorrectionStore(tmp_path / FILE, 10**8)
    said: dict[str, Any] = {"page": "age_regression", "parts": (ages,), "verdict": "wrong"}
    store.keep(replace(BLANK, target="1", value={"faces": [41.0] * faces}, **said), {"image": photo}, Owner("me"))
    export(store, tmp_path / "export", "imagefolder")
    store.close()
    images, years = age_recipe.load_extra(tmp_path / "export")
    side = age_recipe.SOURCE_PX + 2 * age_recipe.PAD_PX
    assert images.shape == (faces, 3, side, side) and years.tolist() == [41.0] * faces


def test_palms_are_turned_into_the_pose_that_the_network_knows() -> None:
    left = torch.tensor([[10.0, 20.0 + 8 * n] for n in range(4)] + [[60.0, 20.0 + 8 * n] for n in range(4)]
                        + [[80.0, 30.0]] * 4)  # fmt: skip
    image = torch.zeros(3, 60, 100, dtype=torch.uint8)
    image[:, 20, 10] = 255  # where the first finger tip is
    for turns in range(4):
        turned, points = image.rot90(turns, (1, 2)), left
        width, height = 100.0, 60.0
        for _ in range(turns):
            points, width, height = torch.stack([points[:, 1], width - points[:, 0]], 1), height, width
        again, back = palm_recipe.known_pose(turned, points, mirrored=False)
        assert torch.equal(again, image) and torch.allclose(back, left)
    mirrored, moved = palm_recipe.known_pose(image, left, mirrored=True)
    assert moved[0].tolist() == [10.0, 40.0] and mirrored[0, 39, 10] == 255
