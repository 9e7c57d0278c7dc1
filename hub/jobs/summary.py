"""What a batch says as a whole: how often each label, how numbers are spread, how often it was right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hub.jobs.records import StoredJob
from hub.jobs.rows import RowStore
from hub.jobs.scores import Score, score
from hub.spec import Demo

NAMES_MOST, BINS, HISTOGRAMS_MOST = 60, 20, 24


@dataclass(frozen=True, slots=True)
class Histogram:
    """How the values of one number are spread: `counts` between each two of `edges`."""

    name: str
    count: int
    mean: float
    low: float
    high: float
    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """Of the pictures that have an answer so far."""

    done: int
    failed: int
    names: tuple[tuple[str, int], ...]  # labels with their counts, the most frequent first
    histograms: tuple[Histogram, ...]
    score: Score | None


def summarise(rows: RowStore, job: StoredJob, demo: Demo) -> Summary:
    """Reads all rows of a batch. Raises StorageError."""
    done, failed = rows.counts(job.id)
    pairs = ((row.truth, row.reading) for row in rows.all(job.id) if row.state == "done") if job.labelled else ()
    return Summary(
        done, failed, tuple(rows.names(job.id, NAMES_MOST)), histograms(rows.numbers(job.id)), score(demo, pairs)
    )


def histograms(numbers: Mapping[str, Sequence[float]]) -> tuple[Histogram, ...]:
    """One of each number that there is."""
    made = []
    for name, values in [*numbers.items()][:HISTOGRAMS_MOST]:
        if not values:
            continue
        array = np.asarray(values, np.float64)
        low, high = float(array.min()), float(array.max())
        counts, edges = np.histogram(array, BINS if high > low else 1)
        made.append(
            Histogram(
                name, len(values), round(float(array.mean()), 6), low, high,
                tuple(round(float(edge), 6) for edge in edges), tuple(int(count) for count in counts),
            )
        )  # fmt: skip
    return tuple(made)
