"""Ages in years from a network that tells years, or from a classifier of age bands ("20-29", "more than 70")."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hub.errors import UnavailableError
from hub.kit.heat_maps import class_maps, map_of_strongest

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

YEARS = ("age", "low", "high")  # outputs of a model that tells years; any other tells bands
LEVEL = 0.8  # share of a distribution over bands that is in the interval; other weights bring theirs
CHUNK = 32  # faces in one forward pass
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


def predict(model: Any, crops: NDArray[Any], labels: Sequence[str]) -> NDArray[Any]:
    """float32 [faces, 3]: age, low and high in years, means over the views of each face.

    `model`: of timm, on any device; `crops`: float32 [faces, views, 3, height, width]; `labels`: what the model's
    outputs are, `YEARS` or names of age bands. Raises UnavailableError for labels that are neither.
    """
    import torch

    pixels = torch.from_numpy(crops)
    parts = torch.split(pixels.flatten(0, 1), CHUNK) if len(pixels) else ()
    if tuple(labels) == YEARS:
        ages: NDArray[Any] = _mean_of_views([_years_of(model, part) for part in parts], pixels, 3).cpu().numpy()
        return ages
    logits = [model.forward_head(model.forward_features(_to_model(model, part))).float() for part in parts]
    shares = _mean_of_views(logits, pixels, len(labels)).softmax(1).cpu().numpy()
    return years(shares, bands(labels), LEVEL)


def corrected(ages: NDArray[Any], config: Mapping[str, Any]) -> NDArray[Any]:
    """[faces, 3] as `predict` says them, with the years added that these weights' config.json has for such ages.

    "corrections" there: "at", ages in rising order, and under each name of `YEARS` what to add to it where the age is
    that; between two of them on a straight line. Weights without it answer as they are.
    """
    import numpy as np

    table = config.get("corrections")
    if not table:
        return ages
    added = [np.interp(ages[:, 0], table["at"], table[name]) for name in YEARS]
    better: NDArray[Any] = (ages + np.stack(added, 1)).astype(np.float32)
    return better


def map_of_age(model: Any, pixels: torch.Tensor, features: Any, labels: Sequence[str]) -> NDArray[Any]:
    """float32 [rows, columns] of one face: the years that each place adds; of bands, what speaks for the strongest."""
    if tuple(labels) == YEARS:
        (only,) = class_maps(model, features, [YEARS.index("age")], exclusive=False)
        return only  # type: ignore[no-any-return]  # numpy: an item of an array may be anything
    return map_of_strongest(model, pixels, features, exclusive=True)


def _years_of(model: Any, crops: torch.Tensor) -> torch.Tensor:
    """[crops, 3] in years. The last layer runs in float32: bfloat16 knows only quarters of a year at 40."""
    import torch

    head = model.get_classifier()
    features = model.forward_head(model.forward_features(_to_model(model, crops)), pre_logits=True).flatten(1)
    return torch.nn.functional.linear(features.float(), head.weight.float(), head.bias.float())


def _to_model(model: Any, crops: torch.Tensor) -> torch.Tensor:
    """The crops where the model is and in its dtype."""
    import torch

    return crops.to(next(model.parameters())).contiguous(memory_format=torch.channels_last)


def _mean_of_views(answers: list[torch.Tensor], crops: torch.Tensor, outputs: int) -> torch.Tensor:
    """[faces, outputs]: the mean over the views of each face; `crops` are [faces, views, ...]."""
    import torch

    together = torch.cat(answers) if answers else torch.zeros(0, outputs)
    return together.reshape(*crops.shape[:2], outputs).mean(1)


def bands(labels: Sequence[str]) -> list[Band]:
    """The ages of each label, from (included) to (excluded), in years. Raises UnavailableError if one names no age."""
    ages = [_band(label) for label in labels]
    if None in ages:
        strange = labels[ages.index(None)]
        raise UnavailableError(
            "This page needs weights that tell ages, with the outputs age, low and high or with age bands such "
            "as '20-29' as classes. These have a class {strange!r}.",
            strange=strange,
        )
    return [band for band in ages if band is not None]


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
    rows = []
    for row in np.asarray(shares, np.float64)[:, order]:
        reached = np.cumsum(row / row.sum())
        below = np.concatenate([[0.0], reached[:-1]])
        rows.append(np.interp(quantiles, np.stack([below, reached], 1).ravel(), places))
    return np.array(rows, np.float32).reshape(-1, 3)
