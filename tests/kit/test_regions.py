"""Boxes around regions of a mask: where they lie, how sure they are, what is too small."""

from __future__ import annotations

import numpy as np
import pytest

from hub.kit import regions
from hub.kit.regions import boxes_of_regions, probabilities

LABELS = {1: "car", 2: "person"}


def test_each_region_has_a_box_in_pixels_of_the_photo_the_largest_first() -> None:
    ids = np.zeros((50, 100), np.uint8)
    ids[10:20, 10:30] = 1
    ids[10:20, 60:64] = 1
    ids[30:50, 90:100] = 2
    found = boxes_of_regions(ids, LABELS, (200, 200), 0.001)
    assert [(box["label"], box["box"]) for box in found] == [
        ("car", (20, 40, 60, 80)), ("person", (180, 120, 200, 200)), ("car", (120, 40, 128, 80))
    ]  # fmt: skip
    assert {box["score"] for box in found} == {1.0}
    assert len(boxes_of_regions(ids, LABELS, (200, 200), 0.01)) == 2, "what is too small is left out"
    assert boxes_of_regions(ids, {3: "bus"}, (200, 200), 0) == []


def test_a_score_is_the_mean_probability_over_the_regions_own_pixels_and_seams_are_closed() -> None:
    ids = np.zeros((20, 20), np.uint8)
    ids[5:15, 5:15] = 1
    ids[:, 10] = 2  # a pole before the car
    sureness = np.full(ids.shape, 0.5, np.float32)
    sureness[ids == 2] = 0.1
    (car,) = boxes_of_regions(ids, {1: "car"}, (20, 20), 0.01, sureness)
    assert car["box"] == (5, 5, 15, 15)
    assert car["score"] == pytest.approx(0.5)


def test_of_very_many_regions_the_largest_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regions, "MOST", 2)
    ids = np.zeros((30, 30), np.uint8)
    ids[::6, ::6] = 1
    ids[24:26, 24:28] = 1
    found = boxes_of_regions(ids, LABELS, (30, 30), 0)
    assert len(found) == 2 and found[0]["box"][2] > 25


def test_probabilities_are_those_of_the_strongest_class() -> None:
    logits = np.log(np.array([[[0.25]], [[0.75]]], np.float32)) + 7
    ids, sureness = probabilities(logits)
    assert ids.tolist() == [[1]]
    assert sureness == pytest.approx(np.array([[0.75]]))
