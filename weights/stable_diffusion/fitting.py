"""The training loop of both networks: seeded, resumable, by steps or by minutes, with averaged weights."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import Tensor, nn

from weights.training import loop

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

    def advance(step: int, share: float) -> None:
        for group in optimizer.param_groups:
            group["lr"] = plan.learning_rate * _rate(plan, step, share)
        optimizer.step()
        decay = min(plan.ema_decay, (2 + step) / (11 + step))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(parts.parameters()), 1 - decay)

    chance_state = SimpleNamespace(state_dict=chance.get_state, load_state_dict=chance.set_state)
    loop.run(
        out / f"{plan.name}.pt",
        parts,
        {"parts": parts, "average": average, "optimizer": optimizer, "chance": chance_state},
        lambda step: loss(parts.train(), chance),
        advance,
        lambda step: watch(average, step),
        lambda history, seconds: _report(out, plan, history, seconds),
        settings=asdict(plan),
        steps=plan.steps,
        every=plan.report_every,
        clip=1.0,
        minutes=plan.minutes,
    )
    return average


def _rate(plan: Plan, step: int, share: float) -> float:
    """Share of the learning rate: a short rise, then a cosine to nothing at the end of the training."""
    rise = min(1.0, (step + 1) / plan.warmup_steps)
    return rise * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def _groups(parts: nn.Module, plan: Plan) -> list[dict[str, object]]:
    """Biases and normalisation do not decay."""
    matrices = [parameter for parameter in parts.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in parts.parameters() if parameter.ndim <= 1]
    return [{"params": matrices, "weight_decay": plan.weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def _report(out: Path, plan: Plan, history: list[dict[str, float]], seconds: float) -> None:
    """The plan and the history in metrics.json, and curves of both trainings as pictures."""
    path = out / "metrics.json"
    report = json.loads(path.read_text()) if path.exists() else {}
    report[plan.name] = {"plan": asdict(plan), "minutes": round(seconds / 60, 1), "history": history}
    path.write_text(json.dumps(report, indent=2) + "\n")
    loop.curves(out / f"{plan.name}_curves.png", history)
