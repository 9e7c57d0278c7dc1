"""Backbone weights in, model repositories out: safetensors only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn


def load_backbone(model: nn.Module, path: Path, skip: tuple[str, ...] = ()) -> None:
    """Load the tensors of `path` as float32, but for names that start with one of `skip`.

    What the file lacks (a new head) stays as it is; what the model lacks is an error.
    """
    tensors = {name: tensor.float() for name, tensor in load_file(path).items() if not name.startswith(skip or "*")}
    own = model.state_dict()
    unknown = [name for name in tensors if name not in own or own[name].shape != tensors[name].shape]
    if unknown:
        raise SystemExit(f"{path} does not fit this architecture: {len(unknown)} tensors, first {unknown[0]}")
    model.load_state_dict(tensors, strict=False)


def statistics(arch: str, settings: Mapping[str, Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and std of the pictures that a backbone file was trained with; `settings`: timm's `pretrained_cfg`."""
    if arch.startswith("tf_efficientnet_lite"):
        return (127 / 255,) * 3, (128 / 255,) * 3  # what Google's weights have; timm's own differ
    return tuple(settings["mean"]), tuple(settings["std"])


def save_repository(model: nn.Module, config: dict[str, Any], out: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write config.json and model.safetensors. Integer tensors keep their type."""
    out.mkdir(parents=True, exist_ok=True)
    save_tensors(model, out / "model.safetensors", dtype)
    (out / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n")


def save_tensors(model: nn.Module, path: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write the state as safetensors, numbers with a fraction as `dtype`. Raises SystemExit when one does not fit."""
    tensors = {
        name: tensor.detach().cpu().to(dtype if tensor.is_floating_point() else tensor.dtype).contiguous()
        for name, tensor in model.state_dict().items()
    }
    if wrong := [name for name, tensor in tensors.items() if not tensor.isfinite().all()]:
        raise SystemExit(f"{path} is not written: {wrong[0]} has numbers that are too large for {dtype}, or NaN.")
    save_file(tensors, path, metadata={"format": "pt"})
    path.chmod(0o644)  # safetensors makes files that only their owner can read
