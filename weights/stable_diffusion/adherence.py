"""How well the pictures follow the words: held-out prompts are drawn, and what is in the pictures is compared.

`python -m weights.evaluate stable_diffusion` runs this through the page's own prepare, infer and present.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hub.spec import Demo
from weights.stable_diffusion.detector import detect, verdict
from weights.stable_diffusion.prompts import HELD_KINDS, Request, arrange, held_request
from weights.stable_diffusion.scenes import draw

Picture = NDArray[np.uint8]
PROMPTS = 200  # of each kind
BARS = {"pairs": 0.95, "relations": 0.85}
CHECKS = ("count", "pairs", "relation", "position", "background", "style", "all")


def requests(kind: str, count: int, seed: int = 0) -> list[Request]:
    """Held-out requests of one kind, always the same."""
    chance = random.Random(f"{kind} {seed}")
    return [held_request(kind, chance) for _ in range(count)]


def evaluate(demo: Demo, folder: Path, inputs: dict[str, Any], count: int = PROMPTS) -> dict[str, Any]:
    """The shares of prompts of each kind that came out right, with intervals, and what went wrong in the others."""
    asked_for = [(kind, request) for kind in HELD_KINDS for request in requests(kind, count)]
    pictures = draw_with_page(demo, folder, [request.prompt() for _, request in asked_for], inputs)
    verdicts = [verdict(request, detect(picture)) for (_, request), picture in zip(asked_for, pictures, strict=True)]
    by_kind = {
        kind: [checks_of for (own, _), checks_of in zip(asked_for, verdicts, strict=True) if own == kind]
        for kind in HELD_KINDS
    }
    checks = {
        f"{kind}: {check}": float(np.mean([checks_of[check] for checks_of in rows if check in checks_of]))
        for kind, rows in by_kind.items()
        for check in CHECKS[:-1]
        if any(check in checks_of for checks_of in rows)
    }
    return {
        "name": "stable_diffusion",
        "split": "held-out prompts",
        "images": len(asked_for),
        **{kind: float(np.mean([checks_of["all"] for checks_of in rows])) for kind, rows in by_kind.items()},
        "interval_95": {kind: interval([checks_of["all"] for checks_of in rows]) for kind, rows in by_kind.items()},
        "table": {"the detector on drawings": detector_share(count), **checks},
        "bars": BARS,
    }


def detector_share(count: int) -> float:
    """The share of the recipe's own drawings of the same requests of which the detector says that all is right."""
    chance, right = random.Random(0), list[bool]()
    for kind in HELD_KINDS:
        for request in requests(kind, count):
            right.append(verdict(request, detect(draw(arrange(request, chance))))["all"])
    return float(np.mean(right))


def draw_with_page(demo: Demo, folder: Path, prompts: list[str], inputs: dict[str, Any]) -> list[Picture]:
    """The page's first picture for each prompt, with the prompt's number as the seed."""
    import torch
    from tqdm import tqdm  # type: ignore[import-untyped]  # its stubs are a package of their own

    defaults = {f.name: f.default for f in demo.inputs if hasattr(f, "default") and f.default is not None}
    model, pictures = demo.load(folder, torch.device("cpu")).eval(), list[Picture]()
    with tqdm(total=len(prompts), unit="prompt") as bar:
        for start in range(0, len(prompts), demo.max_batch * 2):
            values = [
                defaults | inputs | {"prompt": prompt, "seed": start + number}
                for number, prompt in enumerate(prompts[start : start + demo.max_batch * 2])
            ]
            with torch.inference_mode():
                outputs = finished(demo.infer(model, [demo.prepare(**one) for one in values]))
            for output, one in zip(outputs, values, strict=True):
                pictures.append(np.asarray(demo.present(output, **one)["pictures"][0][0]))
            bar.update(len(values))
    return pictures


def finished(steps: Any) -> list[Any]:
    """What a generator `infer` returns."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            outputs: list[Any] = stop.value
            return outputs


def interval(right: list[bool], resamples: int = 2000) -> list[float]:
    """95 % percentile interval of the share over resampled prompts: of so many draws each is right or not."""
    times = np.random.default_rng(0).binomial(len(right), float(np.mean(right)), size=resamples) / len(right)
    return [round(float(end), 4) for end in np.percentile(times, [2.5, 97.5])]
