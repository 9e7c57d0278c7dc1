"""Measure bundled weights through the page's own prepare, infer and present:

    python -m weights.evaluate vehicle_classifier --data FOLDER [--split val] [--weights FOLDER] [--json]
    python -m weights.evaluate street_objects --data FOLDER
    python -m weights.evaluate stable_diffusion [--prompts 200]

FOLDER is laid out like the training data: images/ and labels.csv with a split column, or for
CamVid the folders NAME and NAME_masks. stable_diffusion needs none: it draws prompts that training never
showed, and what is in the pictures is found by image analysis. Intervals are 95 % bootstrap intervals over pictures.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hub.errors import InputError
from hub.execution.batching import signature
from hub.pages.calls import wants_config
from hub.pages.inputs import default, parameters
from hub.pages.registry import discover
from hub.spec import Demo, Slider
from weights.measures import MEASURES, Array, Config, Figures, Measure, Sample
from weights.stable_diffusion import adherence

ROOT = Path(__file__).resolve().parent
RESAMPLES = 2000
DRAWING = "stable_diffusion"  # answers pictures, so it is measured in a way of its own


def evaluate(
    name: str,
    data: Path,
    split: str = "val",
    weights: Path | None = None,
    inputs: Mapping[str, Any] | None = None,
) -> Figures:
    """The metrics of the weights `name` (or of the default weights of the page `name`)."""
    asked = name
    demo, name = find(asked)
    folder = weights or ROOT / name
    config = json.loads((folder / "config.json").read_bytes())
    measure = MEASURES.get(asked) or MEASURES[name]
    samples = measure.samples(data, split, config)
    answers = predict(
        demo, folder, config, [sample.image for sample in samples], dict(measure.inputs) | dict(inputs or {})
    )
    counts = count_all(measure, answers, samples, config)
    figures = measure.figures(counts.mean(0), config)
    intervals = bootstrap(counts, lambda mean: measure.figures(mean, config))
    result: Figures = {
        "name": asked if asked in MEASURES else name,
        "split": split,
        "images": len(samples),
        **figures,
        "interval_95": intervals,
    }
    if table := measure.table:
        rows = table(counts.mean(0), config).items()
        result["table"] = {name: None if np.isnan(value) else value for name, value in rows}
        result["table_interval_95"] = bootstrap(counts, lambda mean: table(mean, config))
    return result


def count_all(measure: Measure, answers: Iterable[dict[str, Any]], samples: Sequence[Sample], config: Config) -> Array:
    """[samples, ...]: what `measure` counts of each answer."""
    pairs = zip(answers, samples, strict=True)
    return np.stack([measure.count(answer, sample.truth, config) for answer, sample in pairs]).astype(np.float64)


def find(name: str) -> tuple[Demo, str]:
    """The page and the weights that `name` stands for: a slug, or a weights name."""
    pages = [page for page in discover() if page.declared is not None]
    pages.sort(key=lambda page: page.slug != name)  # a page's own name before pages that share its weights
    for page in pages:
        names = [weights.name for weights in page.demo.weights]
        if name in names or page.slug == name:
            weights_name = name if name in names else names[0]
            if weights_name in MEASURES or weights_name == DRAWING:
                return page.demo, weights_name
    raise SystemExit(f"Nothing to measure is called '{name}'. There are: {', '.join([*MEASURES, DRAWING])}.")


def settings(demo: Demo, name: str, folder: Path, texts: Sequence[str]) -> dict[str, Any]:
    """Parameters of the page from NAME=VALUE texts, checked as the page does. Raises InputError."""
    if wrong := [text for text in texts if "=" not in text]:
        raise InputError("--set takes NAME=VALUE, got {given!r}.", given=wrong[0])
    read_config = None if name == DRAWING else lambda _: json.loads((folder / "config.json").read_bytes())
    return parameters(demo, dict(text.split("=", 1) for text in texts), name, read_config)


def predict(
    demo: Demo,
    folder: Path,
    config: Config,
    images: Sequence[Path | Any],
    inputs: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> Iterator[dict[str, Any]]:
    """The page's answers: files or PIL images in, `present`'s dictionaries out, in order."""
    import torch
    from PIL import Image
    from tqdm import tqdm  # type: ignore[import-untyped]  # its stubs are a package of their own

    def call(function: Callable[..., Any], *values: Any, **keywords: Any) -> Any:
        return function(*values, **keywords, **({"config": config} if wants_config(function) else {}))

    defaults = {field.name: field.default for field in demo.inputs if hasattr(field, "default")}
    defaults |= {field.name: default(field, folder.name, config) for field in demo.inputs if isinstance(field, Slider)}
    defaults |= dict(inputs or {})
    model = demo.load(folder, torch.device("cpu")).to(memory_format=torch.channels_last)
    with tqdm(total=len(images), unit="image", disable=not progress) as bar:
        for start in range(0, len(images), demo.max_batch):
            batch = []
            for image in images[start : start + demo.max_batch]:
                if isinstance(image, Path):
                    with Image.open(image) as file:
                        image = file.convert("RGB")
                batch.append({"image": image} | defaults)
            items = [call(demo.prepare, **values) for values in batch]
            # Pictures of different shape cannot share a batch; the engine does the same.
            alike = len({signature(item) for item in items}) == 1
            with torch.inference_mode():
                outputs = (
                    call(demo.infer, model, items) if alike else [call(demo.infer, model, [item])[0] for item in items]
                )
            for output, values in zip(outputs, batch, strict=True):
                yield call(demo.present, output, **values)
            bar.update(len(batch))


def bootstrap(counts: Array, figures: Callable[[Array], Figures], seed: int = 0) -> dict[str, list[float]]:
    """95 % percentile intervals of each figure over resampled pictures."""
    generator = np.random.default_rng(seed)
    flat = counts.reshape(len(counts), -1)
    times = generator.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), size=RESAMPLES)
    means = (times @ flat / len(counts)).reshape(RESAMPLES, *counts.shape[1:])
    # Of a group that is small, a resample may have nobody.
    resamples = [{name: value for name, value in figures(mean).items() if not np.isnan(value)} for mean in means]
    names = [name for name, value in figures(counts.mean(0)).items() if not np.isnan(value)]
    values = {name: [row[name] for row in resamples if name in row] for name in names}
    return {name: [round(float(end), 4) for end in np.percentile(of, [2.5, 97.5])] for name, of in values.items()}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("name", help="a page's slug or the name of weights")
    parser.add_argument("--data", type=Path, help="what to measure on; stable_diffusion needs none")
    parser.add_argument("--prompts", type=int, default=200, help="of stable_diffusion: how many of each kind")
    parser.add_argument("--split", default="val")
    parser.add_argument("--weights", type=Path, help="another folder in the same format; default: the bundled one")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the page")
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    options = parser.parse_args(arguments)
    demo, name = find(options.name)
    folder = options.weights or ROOT / name
    try:
        inputs = settings(demo, name, folder, options.set)
    except InputError as error:
        parser.error(error.message)
    if name == DRAWING:
        result = adherence.evaluate(demo, folder, inputs, options.prompts)
    elif options.data is None:
        parser.error(f"--data is missing: {name} is measured on a folder of pictures.")
    else:
        result = evaluate(options.name, options.data, options.split, options.weights, inputs)
    print(f"{result['name']}, {result['images']} pictures of '{result['split']}', 95 % interval in brackets")
    for name, (low, high) in result["interval_95"].items():
        print(f"{name:20} {result[name]:.4f}  [{low:.4f}, {high:.4f}]")
    for name, value in result.get("table", {}).items():
        low, high = result.get("table_interval_95", {}).get(name, (None, None))
        within = "" if low is None else f"  [{low:.4f}, {high:.4f}]"
        print(f"  {name:30} {'-' if value is None else format(value, '.4f')}{within}")
    if options.json:
        print(json.dumps(result, allow_nan=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
