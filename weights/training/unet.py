"""U-Nets of segmentation-models-pytorch: built on a backbone file, applied in parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp

from weights.training import export

Numbers = tuple[float, ...]


def build(encoder: str, backbone_weights: Path | None, **settings: Any) -> tuple[Any, Numbers, Numbers]:
    """The U-Net with the mean and std of its encoder. Without a backbone file smp downloads its own.

    `settings` go to `smp.Unet`. Raises SystemExit for a backbone file with an encoder that is not timm's.
    """
    if backbone_weights and not encoder.startswith("tu-"):
        raise SystemExit(
            f"--backbone-weights fits the timm encoders (tu-...), not {encoder!r}: leave it out, and smp downloads "
            "its own."
        )
    model = smp.Unet(encoder, encoder_weights=None if backbone_weights else "imagenet", **settings)
    if backbone_weights is None:
        statistics = smp.encoders.get_preprocessing_params(encoder)
        return model, tuple(statistics["mean"]), tuple(statistics["std"])
    # The last 1x1 convolution of the classifier is no part of a feature encoder.
    export.load_backbone(model.encoder.model, backbone_weights, skip=("conv_head", "bn2", "classifier"))
    return model, *export.statistics(encoder.removeprefix("tu-"), model.encoder.model.pretrained_cfg)


def parameter_groups(model: Any, encoder_rate: float) -> list[dict[str, Any]]:
    """The pretrained encoder learns more slowly; biases and normalisation do not decay."""
    groups = []
    for name, part in model.named_children():
        scale = encoder_rate if name == "encoder" else 1.0
        matrices = [parameter for parameter in part.parameters() if parameter.ndim > 1]
        vectors = [parameter for parameter in part.parameters() if parameter.ndim <= 1]
        groups.append({"params": matrices, "lr_scale": scale})
        groups.append({"params": vectors, "lr_scale": scale, "weight_decay": 0.0})
    return groups


def config(encoder: str, **settings: Any) -> dict[str, Any]:
    """What `smp.from_pretrained(FOLDER)` reads; it passes over keys which start with an underscore."""
    return {
        "_model_class": "Unet",
        "encoder_name": encoder,
        "encoder_depth": 5,
        # Not "imagenet": smp would ask the Hub for weights which this file already holds.
        "encoder_weights": None,
        "in_channels": 3,
        "activation": None,
        **settings,
    }
