"""Backbone weights in, model repositories out: safetensors only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn


def load_backbone(model: nn.Module, path: Path, skip: tuple[str, ...] = ()) -> None:
    """Load the tensors of `path` as float32, but for names that start with one of `skip`.

    What the file lacks (a new head) stays as it is; what the model lacks is an error. Of a DenseNet whose last
    block is shorter than the file's, the layers it has are loaded: each layer there only adds channels at the end.
    """
    tensors = {name: tensor.float() for name, tensor in load_file(path).items() if not name.startswith(skip or "*")}
    own = model.state_dict()
    if "features.norm5.weight" in own:
        channels = len(own["features.norm5.weight"])
        tensors = {
            name: tensor[:channels] if name.startswith("features.norm5.") and tensor.ndim else tensor
            for name, tensor in tensors.items()
            if name in own or not name.startswith("features.denseblock4.")
        }
    unknown = [name for name in tensors if name not in own or own[name].shape != tensors[name].shape]
    if unknown:
        raise SystemExit(f"{path} does not fit this architecture: {len(unknown)} tensors, first {unknown[0]}")
    model.load_state_dict(tensors, strict=False)


def save_repository(model: nn.Module, config: dict[str, Any], out: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write config.json and model.safetensors. Integer tensors keep their type."""
    out.mkdir(parents=True, exist_ok=True)
    save_tensors(model, out / "model.safetensors", dtype)
    (out / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n")


def save_tensors(model: nn.Module, path: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write the state as safetensors, numbers with a fraction as `dtype`."""
    tensors = {
        name: tensor.detach().cpu().to(dtype if tensor.is_floating_point() else tensor.dtype).contiguous()
        for name, tensor in model.state_dict().items()
    }
    save_file(tensors, path, metadata={"format": "pt"})
    path.chmod(0o644)  # safetensors makes files that only their owner can read
