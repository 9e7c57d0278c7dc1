"""Samples -> medians with spread, and ratios of the hub to its baseline. No timing happens here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Literal

Better = Literal["lower", "higher"]


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and quartiles of `n` samples."""

    median: float
    q1: float
    q3: float
    n: int


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `ratio` is hub over baseline, taken within each round, so drift cancels out."""

    measurement: str
    what: str
    unit: str
    better: Better
    hub: Spread
    baseline_name: str
    baseline: Spread
    ratio: Spread

    @property
    def hub_wins(self) -> bool:
        return self.ratio.median < 1 if self.better == "lower" else self.ratio.median > 1


def spread(samples: Sequence[float]) -> Spread:
    """Raises ValueError without samples. One sample has no spread: its quartiles are itself."""
    if not samples:
        raise ValueError("nothing was measured")
    if len(samples) == 1:
        return Spread(samples[0], samples[0], samples[0], 1)
    q1, middle, q3 = quantiles(samples, n=4, method="inclusive")
    return Spread(middle, q1, q3, len(samples))


def compare(
    measurement: str,
    what: str,
    unit: str,
    hub: Sequence[Sequence[float]],
    baseline: Sequence[Sequence[float]],
    baseline_name: str,
    better: Better = "lower",
) -> Row:
    """`hub` and `baseline` hold a list of samples for each round; round `i` of both was measured back to back."""
    ratios = [median(ours) / median(theirs) for ours, theirs in zip(hub, baseline, strict=True)]
    return Row(
        measurement,
        what,
        unit,
        better,
        spread([sample for samples in hub for sample in samples]),
        baseline_name,
        spread([sample for samples in baseline for sample in samples]),
        spread(ratios),
    )
