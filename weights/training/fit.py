"""One seeded, resumable training loop: AdamW, one-cycle, EMA, mixed precision, frozen then unfrozen."""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from tqdm import tqdm  # type: ignore[import-untyped]  # its stubs are a package of their own

from hub.execution.devices import pick_dtype
from weights.training import data, export, loop

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
    learn_from: str = "train"
    average_with: str = ""


def add_options(
    parser: argparse.ArgumentParser, epochs: int, learning_rate: float, batch_size: int, parts: str = ""
) -> None:
    """What every recipe can be told; `schedule_of` reads the part of it that is the schedule.

    `parts`: what else may be learnt from, in words.
    """
    parser.add_argument("--out", type=Path, required=True, help="where results and checkpoints go")
    parser.add_argument(
        "--learn-from",
        default="train",
        choices=None if parts else [*data.PARTS],
        help=f"train; all: with the validation pictures, once a recipe stands{parts}",
    )
    parser.add_argument("--average-with", type=Path, help="weights of an earlier cycle: half of each is kept")
    parser.add_argument("--backbone-weights", type=Path, help="ImageNet weights; without it they are downloaded")
    parser.add_argument(
        "--start", type=Path, help="weights of an earlier cycle (average.safetensors): a further one from there"
    )
    parser.add_argument(
        "--worse", type=float, default=0.0, help="share of samples saved badly, blurred, noisy, dark or small"
    )
    parser.add_argument("--batch-size", type=int, default=batch_size)
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--learning-rate", type=float, default=learning_rate)
    parser.add_argument("--frozen-epochs", type=int, default=1, help="the backbone stands still so long")
    parser.add_argument("--policy", choices=("one-cycle", "constant"), default="one-cycle", help="of the learning rate")
    parser.add_argument(
        "--precision",
        choices=("auto", "bf16", "fp32"),
        default="auto",
        help="of the forward pass; auto: what is quick here",
    )
    parser.add_argument("--find-rate", action="store_true", help="only sweep the learning rate: rate.png, rate.json")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2, help="of the CPU")


def schedule_of(options: argparse.Namespace, **settings: Any) -> Schedule:
    """The schedule that was asked for. Also sets threads and seed, so call it before a model is made."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    names = ("epochs", "learning_rate", "frozen_epochs", "policy", "find_rate", "seed", "learn_from")
    arguments = {name: getattr(options, name) for name in names}
    precision = quick_precision(options.device) if options.precision == "auto" else options.precision
    arguments |= {name: str(getattr(options, name) or "") for name in ("start", "average_with")}
    return Schedule(**arguments, precision=precision, **settings)


@lru_cache(maxsize=4)
def quick_precision(device: str) -> str:
    """bf16 where the device is quicker in it, measured once; some processors take ten times as long for it."""
    return "bf16" if pick_dtype("auto", torch.device(device)) == torch.bfloat16 else "fp32"


def mixed(device: str = "cpu", precision: str = "auto") -> torch.autocast:
    """Within it, the passes on `device` are in bfloat16 where that is asked for, or quick."""
    chosen = quick_precision(device) if precision == "auto" else precision
    return torch.autocast(torch.device(device).type, dtype=torch.bfloat16, enabled=chosen == "bf16")


def forward(model: nn.Module, images: Tensor, precision: str = "auto") -> Tensor:
    """One mixed-precision pass on the model's own device; float32 out, on that device."""
    device = next(model.parameters()).device
    with mixed(str(device), precision):
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

    Every epoch starts from its own seed and ends with a checkpoint, so a run that was interrupted goes on as if
    nothing had happened. `schedule.start` names safetensors of this very model to begin with; `validate` gives the
    figures of an epoch. Raises SystemExit after a sweep, and when `out` has the checkpoint of another schedule.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(schedule.seed)
    if schedule.start:
        model.load_state_dict(read_state(model, Path(schedule.start)))
    device = next(model.parameters()).device
    model.to(memory_format=torch.channels_last)
    if schedule.find_rate:
        sweep(model, groups, epoch_batches, loss, schedule, out)
        print(f"The sweep of the learning rate is in {out / 'rate.png'}.")
        raise SystemExit(0)
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
    batches: Batches = iter(())

    def next_loss(step: int) -> Tensor:
        nonlocal batches
        epoch, step_of_epoch = divmod(step, steps_per_epoch)
        if not step_of_epoch:
            torch.manual_seed(schedule.seed * 1000 + epoch)
            np.random.seed(schedule.seed * 1000 + epoch)  # timm's Mixup draws from numpy
            model.train()
            _freeze(backbone, epoch < schedule.frozen_epochs)
            batches = epoch_batches(epoch)
        images, targets = next(batches)
        return loss(forward(model, images, schedule.precision), targets.to(device))

    def advance(step: int, share: float) -> None:
        optimizer.step()
        scheduler.step()
        average.update(model, step=step)

    def look(step: int) -> dict[str, float]:
        average.module.eval()
        return {"epoch": step // steps_per_epoch, **validate(average.module)}

    loop.run(
        out / "checkpoint.pt",
        model,
        {"model": model, "average": average.module, "optimizer": optimizer, "scheduler": scheduler},
        next_loss,
        advance,
        look,
        lambda history, seconds: write_report(out, history, schedule, seconds),
        settings=asdict(schedule),
        steps=schedule.epochs * steps_per_epoch,
        every=steps_per_epoch,
        clip=5.0,
    )
    trained: nn.Module = average.module
    export.save_tensors(trained, out / "average.safetensors")
    if schedule.average_with:
        average_with(trained, Path(schedule.average_with))
    return trained


def read_state(model: nn.Module, path: Path) -> dict[str, Tensor]:
    """The tensors of a file, named as `model` names them: what is trained may hold what is stored as its `model`."""
    tensors, names = load_file(path), model.state_dict().keys()
    inner = {f"model.{name}": tensor for name, tensor in tensors.items()}
    return inner if inner.keys() == names else tensors


def average_with(model: nn.Module, path: Path) -> None:
    """The mean of `model` and the end of an earlier cycle: what both lie around does better on what neither has seen.

    Stochastic weight averaging (Izmailov et al. 2018).
    """
    earlier = read_state(model, path)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                value.lerp_(earlier[name].to(value), 0.5)


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
        smoothed = average / (1 - 0.9 ** (step + 1))
        if not np.isfinite(smoothed):
            break
        rates.append(rate)
        losses.append(smoothed)
        if smoothed > 4 * min(losses):
            break
    model.load_state_dict(before)
    suggestion = rates[int(np.argmin(losses))] / 3
    out.joinpath("rate.json").write_text(
        json.dumps({"suggestion": suggestion, "rates": rates, "losses": losses}) + "\n"
    )
    pyplot = loop.pyplot_without_screen()
    figure, axis = pyplot.subplots(figsize=(5, 3.2), layout="constrained")
    axis.plot(rates, losses)
    axis.axvline(suggestion, linestyle="--", label=f"suggestion {suggestion:.1e}")
    axis.set(xscale="log", xlabel="learning rate", ylabel="training loss, smoothed")
    axis.legend()
    figure.savefig(out / "rate.png", dpi=100)
    pyplot.close(figure)


def write_report(out: Path, history: list[dict[str, float]], schedule: Schedule, seconds: float) -> None:
    """metrics.json and curves.png."""
    report = {"schedule": asdict(schedule), "minutes": round(seconds / 60, 1), "history": history}
    (out / "metrics.json").write_text(json.dumps(report, indent=2) + "\n")
    loop.curves(out / "curves.png", history)


def _freeze(backbone: nn.Module | list[nn.Module], frozen: bool) -> None:
    for module in backbone if isinstance(backbone, list) else [backbone]:
        module.requires_grad_(not frozen)
        if frozen:
            module.eval()  # frozen layers keep their batch statistics too
