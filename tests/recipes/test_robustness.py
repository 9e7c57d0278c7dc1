"""Pictures made worse, and answers brought back to the pictures that were changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.served import command
from weights import robustness
from weights.robustness import CHANGES, UNSEEN, Change, bring_back

SIZE = (96, 72)
MOVING = [change for change in CHANGES if change.matrix]


def street() -> Image.Image:
    """A bright square on a dark ground."""
    pixels = np.full((SIZE[1], SIZE[0], 3), 40, np.uint8)
    pixels[20:40, 30:60] = 200
    return Image.fromarray(pixels)


def mask_of(image: Image.Image) -> np.ndarray[Any, Any]:
    return (np.asarray(image)[:, :, 0] > 120).astype(np.uint8)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_a_change_leaves_the_picture_it_was_given(change: Change) -> None:
    image = street()
    changed = change.apply(image, 3)
    assert (np.asarray(image) == np.asarray(street())).all()
    assert changed.mode == "RGB"
    assert change.name == "as they are" or changed.size != SIZE or (np.asarray(changed) != np.asarray(image)).any()
    assert (np.asarray(change.apply(image, 3)) == np.asarray(changed)).all()  # noise is the same each time


@pytest.mark.parametrize("change", MOVING, ids=lambda change: change.name)
def test_a_mask_lies_on_the_picture_again(change: Change) -> None:
    image = street()
    answer = {"mask": mask_of(change.apply(image, 0))}
    back = bring_back(answer, change.matrix(SIZE), SIZE)["mask"]  # type: ignore[misc]  # these all have one
    assert back.shape == SIZE[::-1]
    there = back != UNSEEN
    assert there.mean() > 0.9
    assert (back[there] == mask_of(image)[there]).mean() > 0.98


def test_points_lie_on_the_picture_again() -> None:
    for change in MOVING:
        matrix = change.matrix(SIZE)  # type: ignore[misc]  # these all have one
        there = matrix @ [30.0, 20.0, 1.0]
        answer = {"points": [{"point": "tip", "x_px": there[0], "y_px": there[1]}]}
        (row,) = bring_back(answer, matrix, SIZE)["points"]
        assert (row["x_px"], row["y_px"]) == pytest.approx((30.0, 20.0))
        assert row["point"] == "tip"


def test_the_table_has_a_line_for_each_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(robustness, "CHANGES", CHANGES[-2:])  # each loads the model
    (tmp_path / "images").mkdir()
    for number in range(4):
        street().save(tmp_path / "images" / f"{number}.png")
    rows = [f"{number}.png,{number % 2},val" for number in range(4)]
    (tmp_path / "labels.csv").write_text("\n".join(["image,emergency,split", *rows]))
    done = command(
        robustness.main, "vehicle_classifier", "--data", str(tmp_path), "--every", "2", "--set", "views=photo as it is"
    )
    assert done.returncode == 0, done.stderr
    head, rule, *lines = done.stdout.splitlines()
    assert head == "| pictures (2) | accuracy |" and rule == "|---|---|"
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines] == [change.name for change in CHANGES[-2:]]
