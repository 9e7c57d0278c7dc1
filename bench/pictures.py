"""Pictures a minute of the page, through the engine, against diffusers' own loop; and what a step costs beside the
networks.

Alone: `python -m bench --only pictures`. Both sides have a process of their own and draw in turn.
"""

from __future__ import annotations

import json
from statistics import median
from typing import Any

from bench.context import Bench, Findings
from bench.figures import Row, compare, spread

STEPS = 12
BATCHES = (1, 4)
MOST_OVERHEAD = 3.0  # percent of the networks' own time


def measure(bench: Bench) -> Findings:
    """Rows by size of the batch; `details` holds, in percent of the networks' time for the pictures, what a step costs
    beside the networks on both sides, and what previews cost."""
    steps = min(STEPS, bench.plan.drawing[0])
    runs = 1 if steps < STEPS else 3 if bench.plan.rounds == 1 else 2 * bench.plan.rounds
    hub, plain = (Side(bench, side) for side in ("hub", "plain"))
    rows, overheads, previews = list[Row](), {"hub": list[float](), "plain": list[float]()}, list[float]()
    for images in BATCHES:
        found: dict[str, list[list[float]]] = {"hub": [], "plain": []}
        for number in range(-1, runs):
            for side in (hub, plain) if number % 2 == 0 else (plain, hub):
                told = side.draw(images, steps, seed=1000 * images + number + 1)
                if number >= 0:  # the first is to warm up
                    found[side.name].append([60 * images / told["seconds"]])
                    beside = told["infer"] - told["own"] - told["previews"]
                    overheads[side.name].append(100 * beside / told["own"])
                    previews += [100 * told["previews"] / told["own"]] if side is hub else []
        what = f"pictures of {steps} steps, {images} at once"
        rows.append(
            compare(f"pictures.{images}", what, "1/min", found["hub"], found["plain"], "diffusers' loop", "higher")
        )
    bench.processes.stop(hub.worker, plain.worker)
    overhead: dict[str, Any] = {f"step_overhead_percent_{side}": median(values) for side, values in overheads.items()}
    spreads = {side: spread(values) for side, values in overheads.items()}
    quartiles = {f"step_overhead_quartiles_{side}": [of.q1, of.q3] for side, of in spreads.items()}
    if bench.device.startswith("cuda"):
        overhead |= {"full_size": _full_size(bench)}
    kept = overhead["step_overhead_percent_hub"] < MOST_OVERHEAD
    of_previews = {"previews_percent_hub": median(previews)}
    return Findings(tuple(rows), {**overhead, **quartiles, **of_previews, "step_overhead_kept": kept})


def _full_size(bench: Bench) -> dict[str, Any]:
    """Images a minute of Stable Diffusion 1.5's architecture, by side and batch; see bench.baselines.full_size."""
    rounds = ["--rounds", "1", "--batches", "1,4"] if bench.plan.rounds == 1 else []
    worker = bench.processes.work("full-size", ["-m", "bench.baselines.full_size", *rounds])
    line = worker.line()
    bench.processes.stop(worker)
    return dict(json.loads(line))


class Side:
    """`bench.baselines.pictures` in a process of its own."""

    def __init__(self, bench: Bench, name: str):
        self.name = name
        place = bench.folder / f"pictures-{name}"
        place.mkdir(exist_ok=True)
        where = ["--weights-folder", str(bench.weights_folder), "--data", str(place)]
        command = ["-m", "bench.baselines.pictures", name, *where, "--device", bench.device, "--dtype", bench.dtype]
        self.worker = bench.processes.work(f"pictures-{name}", command)
        self.worker.line()

    def draw(self, images: int, steps: int, seed: int) -> dict[str, Any]:
        return self.worker.ask({"images": images, "steps": steps, "seed": seed})
