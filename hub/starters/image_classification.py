"""Image classification with MODEL_NAME, a network of timm or transformers.

The labels, the picture's size and its normalisation come with the weights.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from hub.images import normalise
from hub.kit.heat_maps import map_of_strongest
from hub.kit.layers import ASK, PICTURES, add_layers, draw_layers, features_of
from hub.kit.networks import image_classifier, model_input
from hub.spec import Demo, ImageInput, Labels, Weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch
    from PIL import Image


SEEN = partial(map_of_strongest, exclusive=True)


def load(folder: Path, device: torch.device) -> Any:
    return image_classifier(folder)


def prepare(image: Image.Image, config: Mapping[str, Any], inside: bool = False) -> dict[str, Any]:
    """The picture as in training, [3, height, width]."""
    settings = config["pretrained_cfg"]
    pixels = normalise(model_input(image, settings), settings["mean"], settings["std"])
    return {"pixels": pixels, "inside": inside}


def infer(model: Any, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A probability for each class, "shares"; the layers where they are asked for."""
    import numpy as np
    import torch

    pixels = torch.from_numpy(np.stack([item["pixels"] for item in items])).to(next(model.parameters()))
    logits = model.forward_head(model.forward_features(pixels))
    answers = [{"shares": shares} for shares in logits.float().softmax(1).cpu().numpy()]
    add_layers(model, answers, [item["pixels"] if item["inside"] else None for item in items], features_of, SEEN)
    return answers


def present(
    output: dict[str, Any], image: Image.Image, config: Mapping[str, Any], inside: bool = False
) -> dict[str, Any]:
    shares = map(float, output["shares"])
    return {
        "classes": dict(zip(config["label_names"], shares, strict=True)),
        "inside": draw_layers(output, image, config["pretrained_cfg"]),
    }


DEMO = Demo(
    title="TITLE",
    summary="Says what a picture shows.",
    task="Image classification",
    inputs=(ImageInput("image", "Picture", webcam=True), ASK),
    outputs=(Labels("classes", "Classes"), PICTURES),
    load=load,
    prepare=prepare,
    infer=infer,
    present=present,
    weights=(Weights("WEIGHTS", title="MODEL_TITLE"),),
    examples=(),
    live={"inside": False},
    note="NOTE",
)
