"""One seeded, resumable training loop: AdamW, one-cycle, EMA, bf16 autocast, frozen then unfrozen."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from tqdm import tqdm  # type: ignore[import-untyped]  # its stubs are a package of their own

Batches = Iterator[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Schedule:
    """The numbers of one training run; they are written to metrics.json beside the results."""

    epochs: int
    learning_rate: float
    weight_decay: float = 0.02
    warmup_share: float = 0.25
    frozen_epochs: int = 1
    ema_decay: float = 0.99
    seed: int = 0


def fit(
    model: nn.Module,
    groups: list[dict[str, Any]],
    backbone: nn.Module | list[nn.Module],
    epoch_batches: Callable[[int], Batches],
    steps_per_epoch: int,
    loss: Callable[[Tensor, Tensor], Tensor],
    validate: Callable[[nn.Module], dict[str, float]],
    schedule: Schedule,
    out: Path,
) -> nn.Module:
    """Train and return the averaged (EMA) model. Each group of parameters carries `lr_scale`.

    Every epoch starts from its own seed and ends with a checkpoint, so a run that was
    interrupted goes on as if nothing had happened.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(schedule.seed)
    model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(groups, lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=[schedule.learning_rate * group.get("lr_scale", 1.0) for group in groups],
        total_steps=schedule.epochs * steps_per_epoch,
        pct_start=schedule.warmup_share,
    )
    average = ModelEmaV3(model, decay=schedule.ema_decay, use_warmup=True)
    history: list[dict[str, float]] = []
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists():
        # Our own file, for resuming only; weights_only refuses anything but tensors and numbers.
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        average.module.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        scheduler.load_state_dict(state["scheduler"])
        history = state["history"]
    for epoch in range(len(history), schedule.epochs):
        torch.manual_seed(schedule.seed * 1000 + epoch)
        np.random.seed(schedule.seed * 1000 + epoch)  # timm's Mixup draws from numpy
        started = time.monotonic()
        model.train()
        _freeze(backbone, epoch < schedule.frozen_epochs)
        losses = []
        progress = tqdm(epoch_batches(epoch), total=steps_per_epoch, desc=f"epoch {epoch + 1}/{schedule.epochs}")
        for step, (images, targets) in enumerate(progress):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                output = model(images)
            value = loss(output.float(), targets)
            optimizer.zero_grad(set_to_none=True)
            value.backward()  # type: ignore[no-untyped-call]  # so it is in torch
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            scheduler.step()
            average.update(model, step=epoch * steps_per_epoch + step)
            losses.append(value.item())
            progress.set_postfix(loss=f"{np.mean(losses[-20:]):.3f}")
        average.module.eval()
        line = {"epoch": epoch + 1, "train_loss": float(np.mean(losses)), **validate(average.module)}
        line["seconds"] = time.monotonic() - started
        history.append(line)
        print(json.dumps(line), flush=True)
        _save(checkpoint, model, average, optimizer, scheduler, history)
        write_report(out, history, schedule)
    trained: nn.Module = average.module
    return trained


def write_report(out: Path, history: list[dict[str, float]], schedule: Schedule) -> None:
    """metrics.json and curves.png."""
    report = {
        "schedule": asdict(schedule),
        "minutes": round(sum(line["seconds"] for line in history) / 60, 1),
        "history": history,
    }
    (out / "metrics.json").write_text(json.dumps(report, indent=2) + "\n")
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    names = [name for name in history[0] if name not in ("epoch", "seconds")]
    figure, axes = pyplot.subplots(1, len(names), figsize=(4 * len(names), 3), layout="constrained")
    for axis, name in zip(axes, names, strict=True):
        axis.plot([line["epoch"] for line in history], [line[name] for line in history])
        axis.set(title=name, xlabel="epoch")
        axis.grid(alpha=0.3)
    figure.savefig(out / "curves.png", dpi=100)
    pyplot.close(figure)


def _freeze(backbone: nn.Module | list[nn.Module], frozen: bool) -> None:
    for module in backbone if isinstance(backbone, list) else [backbone]:
        module.requires_grad_(not frozen)
        if frozen:
            module.eval()  # frozen layers keep their batch statistics too


def _save(
    path: Path,
    model: nn.Module,
    average: ModelEmaV3,
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler,
    history: list[dict[str, float]],
) -> None:
    partial = path.with_suffix(".partial")
    torch.save(
        {
            "model": model.state_dict(),
            "average": average.module.state_dict(),
            "optimizer": optimizer.state_dict(),
            "scheduler": scheduler.state_dict(),
            "history": history,
        },
        partial,
    )
    partial.replace(path)  # an interrupted write never leaves a broken checkpoint
