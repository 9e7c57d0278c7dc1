"""Years to add by age: the median of errors is gone, and intervals hold what they promise, also of few faces."""

from __future__ import annotations

import json

import numpy as np

from hub.kit.ages import YEARS, corrected
from weights.age_regression.corrections import AT, FOLDER, LEVEL, fit, quantile


def test_what_is_fitted_on_some_faces_holds_for_others() -> None:
    chance = np.random.default_rng(0)
    true = chance.uniform(1, 95, 4000)
    # The old are pulled to the middle and vary more, and the interval is narrow everywhere.
    age = true - np.maximum(0, true - 60) * 0.3 + chance.normal(4, 3 + true / 15)
    answers = np.stack([age, age - 5, age + 5], 1)
    table = fit(answers[::2], true[::2])
    better = corrected(answers[1::2], {"corrections": table})
    own = true[1::2]
    assert np.abs(better[:, 0] - own).mean() < np.abs(answers[1::2, 0] - own).mean() - 0.5
    for low, high in ((0, 20), (20, 50), (50, 70), (70, 200)):
        group = (age[1::2] >= low) & (age[1::2] < high)
        inside = ((own >= better[:, 1]) & (own <= better[:, 2]))[group].mean()
        assert LEVEL - 0.05 < inside < LEVEL + 0.09, (low, inside)


def test_of_few_faces_a_tail_is_taken_further_out() -> None:
    few, many = np.linspace(-1, 1, 9), np.linspace(-1, 1, 9001)
    for share in (0.1, 0.9):
        near, far = quantile(few, np.ones(9), share), quantile(many, np.ones(9001), share)
        assert abs(near) > abs(far)
    assert quantile(few, np.ones(9), 0.5) == 0


def test_the_bundled_corrections_are_for_rising_ages_and_widen_both_ends_of_life() -> None:
    config = json.loads((FOLDER / "config.json").read_text())
    table = config["corrections"]
    assert table["at"] == list(AT) and {len(table[name]) for name in YEARS} == {len(AT)}
    ages = np.array([[age, age - 8.0, age + 8.0] for age in range(0, 100, 5)], np.float32)
    better = corrected(ages, config)
    assert (np.diff(better[:, 0]) > 0).all()  # who is older stays older
    assert (better[:, 1] < better[:, 0]).all() and (better[:, 0] < better[:, 2]).all()
    assert config["reliable_to"] < 90
