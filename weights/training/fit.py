"""One seeded, resumable training loop: AdamW, one-cycle, EMA, mixed precision, frozen then unfrozen."""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from tqdm import tqdm  # type: ignore[import-untyped]  # its stubs are a package of their own

from weights.training import export

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
    policy: str = "one-cycle"
    precision: str = "bf16"
    find_rate: bool = False
    start: str = ""


def add_options(parser: argparse.ArgumentParser, epochs: int, learning_rate: float, batch_size: int) -> None:
    """What every recipe can be told; `schedule_of` reads the part of it that is the schedule."""
    parser.add_argument("--out", type=Path, required=True, help="where results and checkpoints go")
    parser.add_argument("--backbone-weights", type=Path, help="ImageNet weights; without it they are downloaded")
    parser.add_argument("--start", type=Path, help="average.safetensors of an earlier run: a further cycle from there")
    parser.add_argument("--batch-size", type=int, default=batch_size)
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--learning-rate", type=float, default=learning_rate)
    parser.add_argument("--frozen-epochs", type=int, default=1, help="the backbone stands still so long")
    parser.add_argument("--policy", choices=("one-cycle", "constant"), default="one-cycle", help="of the learning rate")
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16", help="of the forward pass")
    parser.add_argument("--find-rate", action="store_true", help="only sweep the learning rate: rate.png, rate.json")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2, help="of the CPU")


def schedule_of(options: argparse.Namespace, **settings: Any) -> Schedule:
    """The schedule that was asked for. Also sets threads and seed, so call it before a model is made."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    named = {
        name: getattr(options, name)
        for name in (
            "epochs",
            "learning_rate",
            "frozen_epochs",
            "policy",
            "precision",
            "find_rate",
            "seed",
        )
    }
    return Schedule(**named, start=str(options.start or ""), **settings)


def forward(model: nn.Module, images: Tensor, precision: str = "bf16") -> Tensor:
    """One mixed-precision pass on the model's own device; float32 out, on that device."""
    device = next(model.parameters()).device
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16"):
        output: Tensor = model(images.to(device))
    return output.float()


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
    if schedule.start:
        model.load_state_dict(load_file(schedule.start))
    device = next(model.parameters()).device
    model.to(memory_format=torch.channels_last)
    if schedule.find_rate:
        sweep(model, groups, epoch_batches, loss, schedule, out)
        raise SystemExit(f"The sweep of the learning rate is in {out / 'rate.png'}.")
    optimizer = torch.optim.AdamW(groups, lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
    rates = [schedule.learning_rate * group.get("lr_scale", 1.0) for group in groups]
    scheduler: torch.optim.lr_scheduler.LRScheduler
    if schedule.policy == "one-cycle":
        scheduler = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=rates,
            total_steps=schedule.epochs * steps_per_epoch,
            pct_start=schedule.warmup_share,
        )
    else:
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    average = ModelEmaV3(model, decay=schedule.ema_decay, use_warmup=True)
    history: list[dict[str, float]] = []
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists():
        # Our own file, for resuming only; weights_only refuses anything but tensors and numbers.
        state = torch.load(checkpoint, weights_only=True, map_location=device)
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
            value = loss(forward(model, images, schedule.precision), targets.to(device))
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
    export.save_tensors(trained, out / "average.safetensors")
    return trained


def sweep(
    model: nn.Module,
    groups: list[dict[str, Any]],
    epoch_batches: Callable[[int], Batches],
    loss: Callable[[Tensor, Tensor], Tensor],
    schedule: Schedule,
    out: Path,
    lowest: float = 1e-6,
    highest: float = 1.0,
    steps: int = 80,
) -> None:
    """Learning-rate finder (Smith 2017): the rate grows by a factor each step, and the loss is written down.

    The suggestion is a third of the rate at which the smoothed loss is lowest. The model keeps its weights.
    """
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.AdamW(groups, lr=lowest, weight_decay=schedule.weight_decay)
    rates, losses = [], []
    average = 0.0
    epoch, batches = 0, epoch_batches(0)
    model.train()
    for step in tqdm(range(steps), desc="sweep"):
        rate = lowest * (highest / lowest) ** (step / (steps - 1))
        for group in optimizer.param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0)
        batch = next(batches, None)
        if batch is None:
            epoch += 1
            batches = epoch_batches(epoch)
            batch = next(batches)
        value = loss(forward(model, batch[0], schedule.precision), batch[1].to(next(model.parameters()).device))
        optimizer.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]  # so it is in torch
        optimizer.step()
        average = 0.9 * average + 0.1 * value.item()
        rates.append(rate)
        losses.append(average / (1 - 0.9 ** (step + 1)))
        if not np.isfinite(losses[-1]) or losses[-1] > 4 * min(losses):
            break
    model.load_state_dict(before)
    suggestion = rates[int(np.argmin(losses))] / 3
    out.joinpath("rate.json").write_text(
        json.dumps({"suggestion": suggestion, "rates": rates, "losses": losses}) + "\n"
    )
    pyplot = pyplot_without_screen()
    figure, axis = pyplot.subplots(figsize=(5, 3.2), layout="constrained")
    axis.plot(rates, losses)
    axis.axvline(suggestion, linestyle="--", label=f"suggestion {suggestion:.1e}")
    axis.set(xscale="log", xlabel="learning rate", ylabel="training loss, smoothed")
    axis.legend()
    figure.savefig(out / "rate.png", dpi=100)
    pyplot.close(figure)


def write_report(out: Path, history: list[dict[str, float]], schedule: Schedule) -> None:
    """metrics.json and curves.png."""
    report = {
        "schedule": asdict(schedule),
        "minutes": round(sum(line["seconds"] for line in history) / 60, 1),
        "history": history,
    }
    (out / "metrics.json").write_text(json.dumps(report, indent=2) + "\n")
    pyplot = pyplot_without_screen()
    names = [name for name in history[0] if name not in ("epoch", "seconds")]
    figure, axes = pyplot.subplots(1, len(names), figsize=(4 * len(names), 3), layout="constrained")
    for axis, name in zip(axes, names, strict=True):
        axis.plot([line["epoch"] for line in history], [line[name] for line in history])
        axis.set(title=name, xlabel="epoch")
        axis.grid(alpha=0.3)
    figure.savefig(out / "curves.png", dpi=100)
    pyplot.close(figure)


def pyplot_without_screen() -> Any:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    return pyplot


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
