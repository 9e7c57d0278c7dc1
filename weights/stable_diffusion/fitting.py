"""The training loop of both networks: seeded, resumable, by steps or by minutes, with averaged weights."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm  # type: ignore[import-untyped]  # its stubs are a package of their own

from weights.training.fit import pyplot_without_screen

Loss = Callable[[nn.ModuleDict, torch.Generator], Tensor]
Watch = Callable[[nn.ModuleDict, int], dict[str, float]]


@dataclass(frozen=True)
class Plan:
    """The numbers of one training; they are written to metrics.json. `minutes`: the end, where it comes first."""

    name: str
    steps: int
    learning_rate: float
    minutes: float | None = None
    ema_decay: float = 0.999
    weight_decay: float = 0.01
    warmup_steps: int = 200
    report_every: int = 500
    seed: int = 0


def fit(parts: nn.ModuleDict, loss: Loss, watch: Watch, plan: Plan, out: Path) -> nn.ModuleDict:
    """Train and return the averaged parts. The rate falls to nothing at the end, whichever end comes first.

    Every `report_every` steps `watch` looks at the averaged parts and a checkpoint is written; a run that was
    interrupted goes on from it.
    """
    parts.to(memory_format=torch.channels_last)
    average = copy.deepcopy(parts).eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(_groups(parts, plan), lr=plan.learning_rate, betas=(0.9, 0.99), fused=True)
    chance = torch.Generator().manual_seed(plan.seed)
    checkpoint = out / f"{plan.name}.pt"
    step, seconds, history = 0, 0.0, list[dict[str, float]]()
    if checkpoint.exists():
        # Our own file, for resuming only; weights_only refuses anything but tensors and numbers.
        state = torch.load(checkpoint, weights_only=True)
        parts.load_state_dict(state["parts"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        chance.set_state(state["chance"])
        step, seconds, history = state["step"], state["seconds"], state["history"]
    losses: list[float] = []
    bar = tqdm(total=plan.steps, initial=step, desc=plan.name, unit="step", mininterval=5)
    while _done(plan, step, seconds) < 1:
        begin = time.monotonic()
        for group in optimizer.param_groups:
            group["lr"] = plan.learning_rate * _rate(plan, step, seconds)
        parts.train()
        value = loss(parts, chance)
        optimizer.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]  # so it is in torch
        nn.utils.clip_grad_norm_(parts.parameters(), 1.0)
        optimizer.step()
        step += 1
        decay = min(plan.ema_decay, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(parts.parameters()), 1 - decay)
        losses.append(value.item())
        seconds += time.monotonic() - begin
        bar.update()
        bar.set_postfix(loss=f"{np.mean(losses[-50:]):.4f}", refresh=False)
        if step % plan.report_every == 0 or _done(plan, step, seconds) >= 1:
            begin = time.monotonic()
            with torch.no_grad():
                seen = watch(average, step)
            history.append({"step": step, "train_loss": float(np.mean(losses)), **seen})
            losses.clear()
            seconds += time.monotonic() - begin
            print(json.dumps(history[-1] | {"minutes": round(seconds / 60, 1)}), flush=True)
            state = {"step": step, "seconds": seconds, "history": history, "chance": chance.get_state()}
            _save(checkpoint, state | {"parts": parts.state_dict(), "average": average.state_dict()}, optimizer)
            _report(out, plan, history, seconds)
    bar.close()
    return average


def _done(plan: Plan, step: int, seconds: float) -> float:
    """How much of the training is over, up to 1."""
    return max(step / plan.steps, seconds / 60 / plan.minutes if plan.minutes else 0.0)


def _rate(plan: Plan, step: int, seconds: float) -> float:
    """Share of the learning rate: a short rise, then a cosine to nothing."""
    rise = min(1.0, (step + 1) / plan.warmup_steps)
    return rise * 0.5 * (1 + math.cos(math.pi * min(1.0, _done(plan, step, seconds))))


def _groups(parts: nn.Module, plan: Plan) -> list[dict[str, object]]:
    """Biases and normalisation do not decay."""
    matrices = [parameter for parameter in parts.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in parts.parameters() if parameter.ndim <= 1]
    return [{"params": matrices, "weight_decay": plan.weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def _save(path: Path, state: dict[str, object], optimizer: torch.optim.Optimizer) -> None:
    partial = path.with_suffix(".partial")
    torch.save(state | {"optimizer": optimizer.state_dict()}, partial)
    partial.replace(path)  # an interrupted write never leaves a broken checkpoint


def _report(out: Path, plan: Plan, history: list[dict[str, float]], seconds: float) -> None:
    """The plan and the history in metrics.json, and curves of both trainings as pictures."""
    path = out / "metrics.json"
    report = json.loads(path.read_text()) if path.exists() else {}
    report[plan.name] = {"plan": asdict(plan), "minutes": round(seconds / 60, 1), "history": history}
    path.write_text(json.dumps(report, indent=2) + "\n")
    names = [name for name in history[0] if name != "step"]
    pyplot = pyplot_without_screen()
    figure, axes = pyplot.subplots(1, len(names), figsize=(4 * len(names), 3), layout="constrained", squeeze=False)
    for axis, name in zip(axes[0], names, strict=True):
        axis.plot([line["step"] for line in history], [line[name] for line in history])
        axis.set(title=name, xlabel="step")
        axis.grid(alpha=0.3)
    figure.savefig(out / f"{plan.name}_curves.png", dpi=100)
    pyplot.close(figure)
