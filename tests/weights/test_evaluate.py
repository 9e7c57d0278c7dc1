"""The figures that `python -m weights.evaluate` prints, on folders made for the test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from weights import evaluate

ROOT = Path(__file__).resolve().parents[2]


def photo(path: Path, seed: int, size: tuple[int, int] = (96, 72)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def vehicles(tmp_path: Path) -> Path:
    lines = ["image,emergency,split"]
    for number in range(5):
        photo(tmp_path / "images" / f"{number}.png", number)
        lines.append(f"{number}.png,{number % 2},{'val' if number < 4 else 'train'}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    return tmp_path


@pytest.fixture
def streets(tmp_path: Path) -> Path:
    for number in range(2):
        photo(tmp_path / "held" / f"{number}.png", number)
        (tmp_path / "held_masks").mkdir(exist_ok=True)
        mask = np.full((72, 96), number + 1, dtype=np.uint8)
        mask[:10] = 11
        Image.fromarray(mask).save(tmp_path / "held_masks" / f"{number}.png")
    return tmp_path


def test_json_comes_last_with_the_agreed_keys(vehicles: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "weights.evaluate",
        "vehicle_classifier",
        "--data",
        str(vehicles),
        "--json",
    ]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    result = json.loads(printed.splitlines()[-1])
    assert result["images"] == 4
    low, high = result["interval_95"]["accuracy"]
    assert 0 <= low <= result["accuracy"] <= high <= 1


def test_another_split_name_is_another_folder(streets: Path) -> None:
    result = evaluate.evaluate("camvid_segmentation", streets, split="held")
    assert result["images"] == 2
    assert 0 <= result["miou"] <= 1 and 0 <= result["pixel_accuracy"] <= 1


def test_an_unknown_split_is_named(vehicles: Path) -> None:
    with pytest.raises(SystemExit, match="no row with split 'test'"):
        evaluate.evaluate("vehicle_classifier", vehicles, split="test")


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(SystemExit, match="camvid_segmentation"):
        evaluate.find("vehicles")


def test_unlabelled_pixels_do_not_count() -> None:
    config = {"_classes": [{"name": name} for name in "abc"]}
    confusion = np.array([[2.0, 1, 0], [1, 2, 0], [0, 0, 0]])
    figures = evaluate.camvid_figures(confusion, config)
    assert figures["miou"] == pytest.approx(0.5)  # a class that is nowhere has no score
    assert figures["pixel_accuracy"] == pytest.approx(4 / 6)


def test_the_interval_holds_the_figure_and_narrows_with_more_pictures() -> None:
    def width(count: int) -> float:
        hits = np.zeros((count, 2, 2))
        hits[np.arange(count), 0, (np.arange(count) % 10 == 0).astype(int)] = 1
        low, high = evaluate.bootstrap(hits, lambda mean: evaluate.confusion_figures(mean, {}))["accuracy"]
        assert low <= hits.mean(0).trace() / hits.mean(0).sum() <= high
        return high - low

    assert width(1000) < width(50)
