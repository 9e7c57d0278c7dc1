"""Claims of classifiers: how far they are from how often they are right, and the temperature that mends it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from weights import calibration
from weights.calibration import BINS, Claims, calibration_error, cross_fit, divided, draw, write


def too_timid(count: int, tags: int, seed: int = 0) -> Claims:
    """Tags whose logits are half of what the truth was drawn from: the temperature that suits is 0.5."""
    chance = np.random.default_rng(seed)
    logits = chance.normal(0, 2, (count, tags))
    return Claims(logits / 2, chance.random((count, tags)) < 1 / (1 + np.exp(-logits)), False)


def test_a_fitted_temperature_brings_claims_to_what_is_right() -> None:
    claims = too_timid(600, 8)
    assert claims.best_temperature(np.ones(600, bool)) == pytest.approx(0.5, abs=0.05)
    before, low, high = calibration_error(claims, np.ones((600, 1)))
    after, *_ = calibration_error(claims, cross_fit(claims))
    assert low <= before <= high
    assert after < before / 3


def test_of_exclusive_classes_the_strongest_is_what_is_claimed() -> None:
    logits = np.log([[0.95, 0.05], [0.15, 0.85], [0.75, 0.25]])  # none on the border of two bins
    true = np.array([[True, False], [True, False], [True, False]])
    claims = Claims(logits, true, True)
    shares, right = claims.shares(1.0)
    assert shares.ravel() == pytest.approx([0.95, 0.85, 0.75])
    assert right.ravel().tolist() == [True, False, True]
    assert claims.loss(1.0) == pytest.approx(-np.log([0.95, 0.15, 0.75]))
    error, *_ = calibration_error(claims, np.ones((3, 1)))
    assert error == pytest.approx((0.05 + 0.85 + 0.25) / 3)


def test_the_last_layer_takes_the_temperature_and_the_threshold_goes_with_it(tmp_path: Path) -> None:
    tensors = {"stem.weight": torch.ones(2), "head.weight": torch.ones(3, 2).half(), "head.bias": torch.ones(3).half()}
    save_file(tensors, tmp_path / "model.safetensors")
    config = {"threshold": 0.2, "pretrained_cfg": {"classifier": "head"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    write(tmp_path, 0.5)
    written = load_file(tmp_path / "model.safetensors")
    assert written["head.weight"].unique().tolist() == written["head.bias"].unique().tolist() == [2.0]
    assert written["head.weight"].dtype == torch.float16 and written["stem.weight"].tolist() == [1, 1]
    # What had 20 % has 1 / (1 + 4 ** 2) now, and is picked as before.
    assert json.loads((tmp_path / "config.json").read_text())["threshold"] == pytest.approx(1 / 17, abs=0.005)
    assert divided(tensors, "head", 1.0)["head.weight"].equal(tensors["head.weight"])


def test_no_temperature_is_fitted_to_pictures_that_were_learnt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "satellite_landuse"
    folder.mkdir()
    config = {"threshold": 0.2, "pretrained_cfg": {"classifier": "head"}, "learned_from": "all"}
    (folder / "config.json").write_text(json.dumps(config))
    save_file({"head.weight": torch.ones(3, 2), "head.bias": torch.ones(3)}, folder / "model.safetensors")
    monkeypatch.setattr(calibration, "ROOT", tmp_path)
    asked = ["satellite_landuse", "--data", str(tmp_path)]
    with pytest.raises(SystemExit):
        calibration.main([*asked, "--write"])
    assert "learnt from the validation pictures too" in capsys.readouterr().err
    assert calibration.main([*asked, "--temperature", "0.5"]) == 0
    assert load_file(folder / "model.safetensors")["head.bias"].tolist() == [2.0] * 3


def test_the_picture_is_drawn_also_where_bins_are_empty(tmp_path: Path) -> None:
    draw(too_timid(BINS, 2), tmp_path / "shares.png")
    with Image.open(tmp_path / "shares.png") as picture:
        assert min(picture.size) > 300
