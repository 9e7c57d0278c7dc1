"""One training loop for every recipe: steps, and every so often a look at the averaged weights and a checkpoint."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm  # type: ignore[import-untyped]  # its stubs are a package of their own

Line = dict[str, float]


def run(
    checkpoint: Path,
    model: nn.Module,
    kept: Mapping[str, Any],
    loss: Callable[[int], Tensor],
    advance: Callable[[int, float], None],
    look: Callable[[int], Line],
    report: Callable[[list[Line], float], None],
    *,
    settings: Mapping[str, Any],
    steps: int,
    every: int,
    clip: float,
    minutes: float | None = None,
) -> None:
    """Train `model` in place for `steps` steps, or `minutes` if they are over before.

    `kept`: what a checkpoint holds, by name ("optimizer" among them), each with `state_dict` and `load_state_dict`.
    `loss(step)` is the forward pass; `advance(step, share)` moves the optimizer, the rate and the averages, `share`
    of the training being over. Every `every` steps and at the end `look(step)` gives the figures of a line of
    history, a checkpoint is written, and `report(history, seconds)` is called. An interrupted run goes on from there.

    Raises SystemExit when the checkpoint is of a run with other `settings` (numbers and texts, by name).
    """
    step, seconds, history = 0, 0.0, list[Line]()
    if checkpoint.exists():
        # Our own file, for resuming only; weights_only refuses anything but tensors and numbers.
        state = torch.load(checkpoint, weights_only=True, map_location=next(model.parameters()).device)
        had = state.get("settings", settings)
        if other := [name for name, value in settings.items() if had.get(name) != value]:
            changes = ", ".join(f"{name} was {had.get(name)!r} and is {settings[name]!r}" for name in other)
            raise SystemExit(f"{checkpoint} is of another run: {changes}. Delete it, or give another --out.")
        for name, part in kept.items():
            part.load_state_dict(state[name])
        history = state["history"]
        step = state.get("step", len(history) * every)
        seconds = state.get("seconds", sum(line.get("seconds", 0.0) for line in history))
    losses: list[float] = []

    def over() -> float:
        return max(step / steps, seconds / 60 / minutes if minutes else 0.0)

    bar = tqdm(total=steps, initial=step, desc=checkpoint.parent.name, unit="step", mininterval=5)
    reported_s = seconds
    while over() < 1:
        begin = time.monotonic()
        value = loss(step)
        kept["optimizer"].zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]  # so it is in torch
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        advance(step, over())
        step += 1
        losses.append(value.item())
        seconds += time.monotonic() - begin
        bar.update()
        bar.set_postfix(loss=f"{np.mean(losses[-50:]):.4f}", refresh=False)
        if step % every == 0 or over() >= 1:
            begin = time.monotonic()
            with torch.no_grad():
                line = {"step": step, "train_loss": float(np.mean(losses)), **look(step)}
            losses.clear()
            seconds += time.monotonic() - begin
            history.append(line | {"seconds": seconds - reported_s})
            reported_s = seconds
            print(json.dumps(history[-1]), flush=True)
            state = {name: part.state_dict() for name, part in kept.items()}
            partial = checkpoint.with_suffix(".partial")
            about = {"settings": dict(settings), "step": step, "seconds": seconds, "history": history}
            torch.save(state | about, partial)
            partial.replace(checkpoint)  # an interrupted write never leaves a broken checkpoint
            report(history, seconds)
    bar.close()


def curves(path: Path, history: list[Line]) -> None:
    """A picture of every figure of the history over the steps."""
    pyplot = pyplot_without_screen()
    names = [name for name in history[0] if name not in ("epoch", "step", "seconds")]
    figure, axes = pyplot.subplots(1, len(names), figsize=(4 * len(names), 3), layout="constrained", squeeze=False)
    over = "epoch" if "epoch" in history[0] else "step"
    for axis, name in zip(axes[0], names, strict=True):
        axis.plot([line[over] for line in history], [line[name] for line in history])
        axis.set(title=name, xlabel=over)
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def pyplot_without_screen() -> Any:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    return pyplot
