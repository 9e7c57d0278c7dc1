"""timm classifiers: built from a backbone file, applied in parts, described the way timm reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from weights.training import export
from weights.training.fit import forward

Numbers = tuple[float, ...]


def build(
    arch: str, outputs: int, backbone_weights: Path | None, bias: float = 0.0, **settings: Any
) -> tuple[Any, Numbers, Numbers]:
    """The model with the mean and std of its backbone. Without a backbone file timm downloads its own.

    `settings` go to `timm.create_model`.
    """
    drop = {"drop_rate": 0.2} | ({"drop_path_rate": 0.1} if "efficientnet" in arch or "resnet" in arch else {})
    model: Any = timm.create_model(arch, pretrained=backbone_weights is None, num_classes=outputs, **drop, **settings)
    mean, std = tuple(model.pretrained_cfg["mean"]), tuple(model.pretrained_cfg["std"])
    if backbone_weights:
        export.load_backbone(model, backbone_weights)
        mean, std = export.statistics(arch, model.pretrained_cfg)
    # timm starts a small head with weights so large that their noise outlives the training.
    nn.init.normal_(model.get_classifier().weight, std=0.01)
    nn.init.constant_(model.get_classifier().bias, bias)
    return model, mean, std


def backbone(model: Any) -> list[nn.Module]:
    """Everything but the head."""
    head = model.get_classifier()
    return [module for module in model.children() if head not in set(module.modules())]


def predict(model: nn.Module, images: Tensor, batch_size: int = 64) -> Tensor:
    """Outputs for prepared images, float32 on the CPU."""
    with torch.inference_mode():
        starts = range(0, len(images), batch_size)
        return torch.cat([forward(model, images[start : start + batch_size]).cpu() for start in starts])


def config(
    model: Any,
    arch: str,
    tag: str,
    labels: list[str],
    side_px: int,
    mean: Numbers,
    std: Numbers,
    model_args: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """What `timm.create_model("local-dir:FOLDER", pretrained=True)` reads."""
    return {
        "architecture": arch,
        **({"model_args": model_args} if model_args else {}),
        "num_classes": len(labels),
        "num_features": model.num_features,
        "label_names": labels,
        "pretrained_cfg": {
            "tag": tag,
            "input_size": [3, side_px, side_px],
            "fixed_input_size": False,
            "interpolation": "bicubic",
            "crop_pct": 1.0,
            "crop_mode": "squash",
            "mean": list(mean),
            "std": list(std),
            "num_classes": len(labels),
            "first_conv": model.pretrained_cfg["first_conv"],
            "classifier": model.pretrained_cfg["classifier"],
            "license": "other",  # the card says what is known about the data
        },
    }
