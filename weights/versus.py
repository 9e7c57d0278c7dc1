"""What corrections brought: new weights beside old ones, over the pictures that people set right.

    python -m hub corrections export --page vehicle_classifier --out corrected
    python -m weights.vehicle_classifier.recipe --extra corrected --out runs/new --data FOLDER
    python -m weights.versus vehicle_classifier --new runs/new --corrections corrected

Where the export is large enough, these are the pictures that the recipe held back; of fewer all count, which flatters
weights that were trained with them, and is said. Intervals are 95 % bootstrap intervals over pictures; that of the
difference resamples both sides together.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from weights.evaluate import ROOT, bootstrap, find, predict
from weights.measures import MEASURES, Array, Config, Figures, Sample
from weights.training import extra

PAGES = {"satellite_amazon": "satellite_labels", "satellite_landuse": "satellite_labels"}  # of weights of another name


def versus(name: str, corrections: Path, new: Path, old: Path | None = None) -> Figures:
    """The figures of both, and how far apart they are. Raises SystemExit where there is nothing to measure on."""
    demo, name = find(name)
    old = old or ROOT / name
    rows = extra.read_all(corrections, PAGES.get(name, name))
    trained, held = extra.split(rows)
    configs = [json.loads((folder / "config.json").read_bytes()) for folder in (old, new)]
    samples = samples_of(name, held or trained, configs[0])
    extra.check(samples, corrections, PAGES.get(name, name))
    sides = [counts_of(demo, name, folder, config, samples) for folder, config in zip((old, new), configs, strict=True)]
    figures, config = MEASURES[name].figures, configs[0]
    both = np.stack([side.reshape(len(samples), -1) for side in sides], 1)

    def difference(mean: Array) -> Figures:
        before, after = (figures(one.reshape(sides[0].shape[1:]), config) for one in mean)
        return {key: after[key] - before[key] for key in before}

    ends = bootstrap(both, difference)
    measured = {
        side: {**figures(counts.mean(0), config), "interval_95": bootstrap(counts, lambda mean: figures(mean, config))}
        for side, counts in zip(("old", "new"), sides, strict=True)
    }
    change = {key: round(value, 6) for key, value in difference(both.mean(0)).items()}
    return {"name": name, "images": len(samples), "held_back": bool(held), **measured,
            "difference": {**change, "interval_95": ends}}  # fmt: skip


def counts_of(demo: Any, name: str, folder: Path, config: Config, samples: Sequence[Sample]) -> Array:
    """What adds up over the pictures. Faces are looked for: corrected photos are as people gave them."""
    inputs: Mapping[str, Any] = {} if name == "age_regression" else MEASURES[name].inputs
    answers = predict(demo, folder, config, [sample.image for sample in samples], inputs)
    pairs = zip(answers, samples, strict=True)
    return np.stack([MEASURES[name].count(answer, one.truth, config) for answer, one in pairs]).astype(np.float64)


# --- what is true of a row, as the measure of each page takes it -------------------------------------------------


def samples_of(name: str, rows: Sequence[dict[str, Any]], config: Config) -> list[Sample]:
    """Of the rows that say it. Raises SystemExit for weights whose answers nobody can set right."""
    if name not in TRUTHS:
        raise SystemExit(f"Nobody can correct what {name} answers. There are: {', '.join(TRUTHS)}.")
    pairs = [(row["path"], TRUTHS[name](row, config)) for row in rows]
    return [Sample(path, truth) for path, truth in pairs if truth is not None]


def _class(row: Mapping[str, Any], config: Config) -> int | None:
    names = list(config["label_names"])
    return names.index(row["label"]) if row.get("label") in names else None


def _tags(row: Mapping[str, Any], config: Config) -> set[str] | None:
    tags = row.get("tags")
    return {*tags} if tags is not None and {*tags} <= {*config["label_names"]} else None


def _age(row: Mapping[str, Any], config: Config) -> dict[str, str] | None:
    """Of the largest face, which stands first."""
    known = row.get("numbers") or [None]
    return None if known[0] is None else {"age": str(known[0]), "decade": str(int(known[0]) // 10)}


def _palm(row: Mapping[str, Any], config: Config) -> tuple[Array, Array, str] | None:
    points, hand = row.get("points"), {"Left hand": "0", "Right hand": "1"}.get(str(row.get("label")))
    if points is None or hand is None or len(points["name"]) != len(config["_points"]) or None in points["x"]:
        return None
    return np.stack([points["x"], points["y"]], 1), np.array([row["width"], row["height"]], np.float64), hand


TRUTHS: Mapping[str, Callable[[Mapping[str, Any], Config], Any]] = {
    "vehicle_classifier": _class, "satellite_amazon": _tags, "satellite_landuse": _tags, "age_regression": _age,
    "palm_keypoints": _palm,
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("name", help="a page's slug or the name of weights")
    parser.add_argument("--corrections", type=Path, required=True, help="an imagefolder export")
    parser.add_argument("--new", type=Path, required=True, help="a folder that a recipe wrote")
    parser.add_argument("--old", type=Path, help="default: the bundled weights")
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    options = parser.parse_args(arguments)
    result = versus(options.name, options.corrections, options.new, options.old)
    which = "held back from training" if result["held_back"] else "which the new weights may have seen"
    print(f"{result['name']}, {result['images']} corrected pictures, {which}; 95 % interval in brackets")
    for key, (low, high) in result["difference"]["interval_95"].items():
        before, after, change = result["old"][key], result["new"][key], result["difference"][key]
        print(f"{key:20} {before:.4f} -> {after:.4f}   {change:+.4f}  [{low:+.4f}, {high:+.4f}]")
    if options.json:
        print(json.dumps(result, allow_nan=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
