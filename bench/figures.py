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
    """One line of the table. `key` names it for bars and programs: the part's name, a dot, and what it is.

    `ratio` is hub over baseline, taken within each round, so drift cancels out; None without a baseline.
    """

    key: str
    what: str
    unit: str
    better: Better
    hub: Spread
    baseline_name: str = ""
    baseline: Spread | None = None
    ratio: Spread | None = None

    @property
    def figure(self) -> float:
        """What a bar is held against: the ratio, or the hub's own number where there is nothing to compare."""
        return self.hub.median if self.ratio is None else self.ratio.median

    @property
    def hub_wins(self) -> bool:
        if self.ratio is None:
            return False
        return self.ratio.median < 1 if self.better == "lower" else self.ratio.median > 1


@dataclass(frozen=True, slots=True)
class Gap:
    """A line of the table that could not be measured. Without a dot `key` stands for a whole part."""

    key: str
    reason: str


def spread(samples: Sequence[float]) -> Spread:
    """Raises ValueError without samples. One sample has no spread: its quartiles are itself."""
    if not samples:
        raise ValueError("nothing was measured")
    if len(samples) == 1:
        return Spread(samples[0], samples[0], samples[0], 1)
    q1, middle, q3 = quantiles(samples, n=4, method="inclusive")
    return Spread(middle, q1, q3, len(samples))


def percentile95(samples: Sequence[float]) -> float:
    return samples[0] if len(samples) == 1 else quantiles(samples, n=20, method="inclusive")[-1]


def compare(
    key: str,
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
        key,
        what,
        unit,
        better,
        spread([sample for samples in hub for sample in samples]),
        baseline_name,
        spread([sample for samples in baseline for sample in samples]),
        spread(ratios),
    )


def compare95(
    key: str,
    what: str,
    unit: str,
    hub: Sequence[Sequence[float]],
    baseline: Sequence[Sequence[float]],
    baseline_name: str,
) -> Row:
    """As `compare`, of each round's 95th percentile."""
    ours, theirs = ([[percentile95(samples)] for samples in side] for side in (hub, baseline))
    return compare(key, f"{what}, p95", unit, ours, theirs, baseline_name)


def count(key: str, what: str, unit: str, number: float) -> Row:
    """A number of the hub's own."""
    return Row(key, what, unit, "lower", spread([number]))
