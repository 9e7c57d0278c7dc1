"""Aerial pictures: every label that fits, picked by a threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hub.images import normalise
from hub.spec import Demo, Example, ImageInput, Json, Labels, Slider, Weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch
    from numpy.typing import NDArray
    from PIL import Image
    from torch import nn


def load(folder: Path, device: torch.device) -> nn.Module:
    import timm

    model: nn.Module = timm.create_model(f"local-dir:{folder}", pretrained=True)
    return model.eval()


def prepare(image: Image.Image, threshold: float, config: Mapping[str, Any]) -> NDArray[Any]:
    """The whole picture, squashed to the model's square as in training: [3, height, width]."""
    from PIL import Image

    settings = config["pretrained_cfg"]
    _, height, width = settings["input_size"]
    square = image.resize((width, height), Image.Resampling[settings["interpolation"].upper()], reducing_gap=3.0)
    return normalise(square, settings["mean"], settings["std"])


def infer(model: nn.Module, items: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """One logit a label. Mirror images at test time brought nothing here (weights/LOG.md)."""
    import numpy as np
    import torch

    batch = torch.from_numpy(np.stack(items)).to(next(model.parameters()))
    return list(model(batch.contiguous(memory_format=torch.channels_last)).float().cpu().numpy())


def present(output: NDArray[Any], image: Image.Image, threshold: float, config: Mapping[str, Any]) -> dict[str, Any]:
    import numpy as np

    # 0 asks for the threshold that was chosen on the validation pictures of these weights.
    limit = threshold or config["threshold"]
    probabilities = dict(zip(config["label_names"], map(float, 1 / (1 + np.exp(-output))), strict=True))
    picked = sorted((n for n, p in probabilities.items() if p >= limit), key=lambda n: -probabilities[n])
    return {
        "tags": [{"label": n, "percent": round(100 * probabilities[n], 1)} for n in picked],
        "probabilities": probabilities,
    }


DEMO = Demo(
    title="Satellite labels",
    summary="Names everything it sees from above: buildings, cars, trees, water, courts and more.",
    task="Multi-label image classification",
    inputs=(
        ImageInput("image", "Aerial picture", "Straight down, about 80 m across"),
        Slider(
            "threshold",
            "Threshold",
            0.0,
            1.0,
            0.0,
            0.01,
            help="Labels at or above it are picked. 0: the value chosen on validation for these weights",
        ),
    ),
    outputs=(
        Json("tags", "Picked labels", "At or above the threshold", table=True),
        Labels("probabilities", "All probabilities", top=17),
    ),
    load=load,
    prepare=prepare,
    infer=infer,
    present=present,
    weights=(Weights("satellite_landuse", "Land use (17 labels)"),),
    examples=(
        Example({"image": "houses.jpg"}, title="Houses along a street"),
        Example({"image": "harbour.jpg"}, title="Boats at their jetties"),
        Example({"image": "courts.jpg"}, title="Three tennis courts in a park"),
        Example({"image": "car_park.jpg"}, title="Car park"),
    ),
    max_batch=8,
    order=30,
)
