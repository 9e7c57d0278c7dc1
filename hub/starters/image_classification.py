"""Image classification with MODEL_NAME, a network of timm or transformers.

The labels, the picture's size and its normalisation come with the weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hub.images import normalise
from hub.kit.networks import image_classifier, model_input
from hub.spec import Demo, ImageInput, Labels, Weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch
    from numpy.typing import NDArray
    from PIL import Image


def load(folder: Path, device: torch.device) -> Any:
    return image_classifier(folder)


def prepare(image: Image.Image, config: Mapping[str, Any]) -> NDArray[Any]:
    """The picture as in training, [3, height, width]."""
    settings = config["pretrained_cfg"]
    return normalise(model_input(image, settings), settings["mean"], settings["std"])


def infer(model: Any, items: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """A probability for each class."""
    import numpy as np
    import torch

    pixels = torch.from_numpy(np.stack(items)).to(next(model.parameters()))
    logits = model.forward_head(model.forward_features(pixels))
    return list(logits.float().softmax(1).cpu().numpy())


def present(output: NDArray[Any], image: Image.Image, config: Mapping[str, Any]) -> dict[str, Any]:
    return {"classes": {name: float(share) for name, share in zip(config["label_names"], output, strict=True)}}


DEMO = Demo(
    title="TITLE",
    summary="Says what a picture shows.",
    task="Image classification",
    inputs=(ImageInput("image", "Picture", webcam=True),),
    outputs=(Labels("classes", "Classes"),),
    load=load,
    prepare=prepare,
    infer=infer,
    present=present,
    weights=(Weights("WEIGHTS", title="MODEL_TITLE"),),
    examples=(),
    note="NOTE",
)
