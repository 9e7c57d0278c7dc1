"""Ages from a classifier of age bands ("20-29", "more than 70"), for the page that reads years.

Demos may import this module beside hub.spec, hub.images, hub.native and hub.why.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from hub.errors import UnavailableError

if TYPE_CHECKING:
    from numpy.typing import NDArray

OLDEST = 100.0  # where a band without an upper end stops
Band = tuple[float, float]
_UNIT = re.compile(r"(?:years?|yrs?)(?:\s+old)?")
_FORMS: tuple[tuple[re.Pattern[str], Callable[..., Band]], ...] = (
    (re.compile(r"\(?(\d+)\s*(?:-|\u2013|to|_|,)\s*(\d+)\)?"), lambda low, high: (low, high + 1)),
    (re.compile(r"(?:more than|over|above|older than|>=?)\s*(\d+)"), lambda low: (low, max(OLDEST, low + 1))),
    (re.compile(r"(\d+)\s*(?:\+|and (?:over|older|above|more))"), lambda low: (low, max(OLDEST, low + 1))),
    (re.compile(r"(?:less than|under|below|younger than|<)\s*(\d+)"), lambda high: (0.0, high)),
    (re.compile(r"(\d+)"), lambda age: (age, age + 1)),
)


def bands(labels: Sequence[str]) -> list[Band]:
    """The ages of each label, from (included) to (excluded), in years. Raises UnavailableError if one names no age."""
    found = [_band(label) for label in labels]
    if None in found:
        strange = labels[found.index(None)]
        raise UnavailableError(
            "This page needs weights that tell ages, with the outputs age, low and high or with age bands such "
            "as '20-29' as classes. These have a class {strange!r}.",
            strange=strange,
        )
    return [band for band in found if band is not None]


def _band(label: str) -> Band | None:
    text = " ".join(_UNIT.sub(" ", label.lower()).split())
    for pattern, ends in _FORMS:
        if match := pattern.fullmatch(text):
            low, high = ends(*map(float, match.groups()))
            return (low, high) if low < high else None
    return None


def years(shares: NDArray[Any], ages: Sequence[Band], level: float) -> NDArray[Any]:
    """[faces, bands] of probabilities to [faces, 3]: the median age and the ends of the middle `level` of the
    distribution, in years, every age within a band being as likely as the next."""
    import numpy as np

    order = sorted(range(len(ages)), key=ages.__getitem__)
    places = np.array([ages[number] for number in order]).ravel()
    quantiles = (0.5, (1 - level) / 2, (1 + level) / 2)
    found = []
    for row in np.asarray(shares, np.float64)[:, order]:
        reached = np.cumsum(row / row.sum())
        below = np.concatenate([[0.0], reached[:-1]])
        found.append(np.interp(quantiles, np.stack([below, reached], 1).ravel(), places))
    return np.array(found, np.float32).reshape(-1, 3)
