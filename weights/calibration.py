"""Whether "94 %" means it: how often answers of a classifier are right, by how sure they are, and a picture of that:

    python -m weights.calibration vehicle_classifier --data FOLDER [--split val] [--picture FILE] [--write]

Measured through the page, as `python -m weights.evaluate` does. The temperature that suits these pictures best is
fitted, and judged cross-fitted: each fifth of the pictures with what the others say. --write divides the last layer by
it, so that the model itself is calibrated wherever it runs; the threshold moves with it. Afterwards the lock has to be
written anew (`python -m hub lock`), and the temperature that suits best is 1. Weights that learnt these
pictures too get the --temperature that suited a network of the same recipe which did not.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file, save_file

from weights.evaluate import ROOT, find, predict
from weights.measures import MEASURES, Array

BINS, FOLDS, RESAMPLES, SEED = 10, 5, 1000, 0
TEMPERATURES = np.exp(np.linspace(np.log(0.4), np.log(2.5), 184))  # steps of a hundredth
NIL = 1e-7  # of a share: its logarithm has to be finite


@dataclass(frozen=True)
class Claims:
    """What is claimed with a share: a photo's class, or each tag of each picture.

    `logits` [pictures, claims]; `true` of the same shape. A claim of 30 % that a tag is there is one of its own; of two
    or more exclusive classes the strongest counts, and `logits` are [pictures, classes].
    """

    logits: Array
    true: Array
    exclusive: bool

    def loss(self, temperature: float) -> Array:
        """Of each picture: minus the logarithm of the share that the truth was given, summed over its claims."""
        scaled = self.logits / temperature
        if self.exclusive:
            return np.asarray(np.logaddexp.reduce(scaled, axis=1) - scaled[self.true])
        return np.asarray(np.logaddexp(0, np.where(self.true, -scaled, scaled)).sum(1))

    def shares(self, temperature: Array | float) -> tuple[Array, Array]:
        """[pictures, claims]: the share, and whether it was right; `temperature`: one, or [pictures, 1]."""
        scaled = self.logits / temperature
        if not self.exclusive:
            return 1 / (1 + np.exp(-scaled)), self.true
        shares = np.exp(scaled - np.logaddexp.reduce(scaled, axis=1, keepdims=True))
        strongest = shares.argmax(1)[:, None]
        return np.take_along_axis(shares, strongest, 1), np.take_along_axis(self.true, strongest, 1)

    def best_temperature(self, rows: Array) -> float:
        return float(min(TEMPERATURES, key=lambda one: self.loss(float(one))[rows].sum()))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("name", choices=CLASSIFIERS)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--weights", type=Path, help="another folder in the same format; default: the bundled one")
    parser.add_argument("--picture", type=Path, help="where to draw shares against how often they were right")
    parser.add_argument("--write", action="store_true", help="divide the last layer by the temperature")
    parser.add_argument("--temperature", type=float, help="write this one, of a network that did not learn them")
    options = parser.parse_args(arguments)
    folder = options.weights or ROOT / options.name
    if options.temperature is not None:
        write(folder, options.temperature)
        return 0
    if json.loads((folder / "config.json").read_bytes()).get("learned_from") == "all":
        parser.error(
            "these weights learnt from the validation pictures too (--learn-from all), and would seem too timid. "
            "Give the --temperature of a network of the same recipe that did not."
        )
    claims = collect(options.name, options.data, options.split, folder)
    everyone = np.ones(len(claims.logits), bool)
    best, crossed = claims.best_temperature(everyone), cross_fit(claims)
    print(f"{options.name}, {len(claims.logits)} pictures of '{options.split}', 95 % interval in brackets")
    for words, temperatures in (("as it is", np.ones_like(crossed)), ("with a fitted temperature", crossed)):
        error, low, high = calibration_error(claims, temperatures)
        loss = np.mean([claims.loss(float(t))[n] for n, t in enumerate(temperatures[:, 0])])
        print(f"{words:26} calibration error {error:.4f}  [{low:.4f}, {high:.4f}]  loss {loss:.4f}")
    print(f"temperature of all pictures {best:.2f}")
    if options.picture:
        draw(claims, options.picture)
    if options.write:
        write(folder, best)
    return 0


def collect(name: str, data: Path, split: str, folder: Path) -> Claims:
    """What the page answers about the pictures of a split with the weights in `folder`, and what is true."""
    demo, name = find(name)
    config = json.loads((folder / "config.json").read_bytes())
    samples = MEASURES[name].samples(data, split, config)
    answers = predict(demo, folder, config, [sample.image for sample in samples])
    labels = config["label_names"]
    rows = [[answer["probabilities"][label] for label in labels] for answer in answers]
    shares = np.clip(np.array(rows, np.float64), NIL, 1 - NIL)
    truths = [sample.truth for sample in samples]
    if isinstance(truths[0], int):
        return Claims(np.log(shares), np.array(truths)[:, None] == np.arange(len(labels)), True)
    true = np.array([[label in truth for label in labels] for truth in truths])
    return Claims(np.log(shares / (1 - shares)), true, False)


def cross_fit(claims: Claims) -> Array:
    """[pictures, 1]: for each the temperature that suits the other folds."""
    parts = np.random.default_rng(SEED).permutation(len(claims.logits)) % FOLDS
    fitted = np.array([claims.best_temperature(parts != part) for part in range(FOLDS)])
    return np.asarray(fitted[parts][:, None])


def calibration_error(claims: Claims, temperatures: Array) -> tuple[float, float, float]:
    """The expected calibration error, over BINS equally wide bins, and its 95 % bootstrap interval over pictures."""
    shares, right = claims.shares(temperatures)
    generator = np.random.default_rng(SEED)
    drawn = [generator.integers(0, len(shares), len(shares)) for _ in range(RESAMPLES)]
    low, high = np.percentile([_error(shares[rows], right[rows]) for rows in drawn], [2.5, 97.5])
    return _error(shares, right), float(low), float(high)


def _error(shares: Array, right: Array) -> float:
    place = np.minimum((shares.ravel() * BINS).astype(int), BINS - 1)
    gaps = np.bincount(place, right.ravel() - shares.ravel(), minlength=BINS)
    return float(np.abs(gaps).sum() / shares.size)


def draw(claims: Claims, path: Path) -> None:
    """Claimed shares against how often they were right, a dot a bin and as large as it has claims."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    shares, right = (part.ravel() for part in claims.shares(1.0))
    place = np.minimum((shares * BINS).astype(int), BINS - 1)
    figure, axes = pyplot.subplots(figsize=(3.6, 3.6), dpi=110, layout="constrained")
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle="--")
    filled = [number for number in range(BINS) if (place == number).any()]
    means = np.array([[shares[place == n].mean(), right[place == n].mean(), (place == n).sum()] for n in filled])
    axes.errorbar(
        means[:, 0], means[:, 1], yerr=doubt(means[:, 1], means[:, 2]), fmt="none", color="#1f6f8b", capsize=2
    )
    axes.scatter(means[:, 0], means[:, 1], s=12 + 160 * means[:, 2] / means[:, 2].max(), color="#1f6f8b", zorder=3)
    first = 1 / claims.true.shape[1] if claims.exclusive else 0.0
    axes.set(xlim=(first - 0.02, 1.02), ylim=(-0.04, 1.04))
    axes.set(xlabel="share that was claimed", ylabel="share that was right")
    figure.savefig(path, metadata={"Software": None})  # the same file from the same figures
    pyplot.close(figure)


def doubt(share: Array, count: Array) -> Array:
    """[2, n]: how far the ends of Wilson's 95 % interval are below and above each share of so many."""
    z2 = 1.96**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = np.sqrt(z2 * (share * (1 - share) / count + z2 / (4 * count**2))) / (1 + z2 / count)
    return np.stack([share - middle + half, middle + half - share]).clip(0)


def write(folder: Path, temperature: float) -> None:
    """Divides the last layer by the temperature, and moves the threshold with it."""
    path, settings = folder / "model.safetensors", folder / "config.json"
    config: dict[str, Any] = json.loads(settings.read_bytes())
    tensors = load_file(path)
    save_file(divided(tensors, config["pretrained_cfg"]["classifier"], temperature), path, metadata={"format": "pt"})
    path.chmod(0o644)  # safetensors makes files that only their owner can read
    if "threshold" in config:
        odds = np.log(config["threshold"] / (1 - config["threshold"])) / temperature
        config["threshold"] = round(float(1 / (1 + np.exp(-odds))), 2)
        settings.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n")


def divided(tensors: Mapping[str, Any], layer: str, temperature: float) -> dict[str, Any]:
    """The tensors of a model whose logits are all divided by the temperature."""
    scaled = {name: (tensors[name].float() / temperature).to(tensors[name].dtype) for name in _last(layer)}
    return {**tensors, **scaled}


def _last(layer: str) -> tuple[str, str]:
    return f"{layer}.weight", f"{layer}.bias"


CLASSIFIERS = ("vehicle_classifier", "satellite_landuse", "satellite_amazon")

if __name__ == "__main__":
    raise SystemExit(main())
