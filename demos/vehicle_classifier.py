"""Emergency vehicle or not: a timm classifier with the probabilities of both classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hub.images import normalise
from hub.spec import Choice, Demo, Example, ImageInput, Labels, Weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch
    from numpy.typing import NDArray
    from PIL import Image
    from torch import nn

SINGLE, MIRRORED = "photo as it is", "photo and its mirror image"


def load(folder: Path, device: torch.device) -> nn.Module:
    import timm

    model: nn.Module = timm.create_model(f"local-dir:{folder}", pretrained=True)
    return model.eval()


def prepare(image: Image.Image, views: str, config: Mapping[str, Any]) -> NDArray[Any]:
    """The whole photo, squashed to the model's square as in training: [views, 3, height, width]."""
    import numpy as np
    from PIL import Image

    settings = config["pretrained_cfg"]
    _, height, width = settings["input_size"]
    square = image.resize((width, height), Image.Resampling[settings["interpolation"].upper()])
    pixels = normalise(square, settings["mean"], settings["std"])
    return np.stack([pixels, pixels[:, :, ::-1]] if views == MIRRORED else [pixels])


def infer(model: nn.Module, items: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """Logits, averaged over the views of each photo."""
    import numpy as np
    import torch

    batch = torch.from_numpy(np.stack(items)).to(next(model.parameters()))
    logits = model(batch.flatten(0, 1).contiguous(memory_format=torch.channels_last)).float()
    return list(logits.unflatten(0, batch.shape[:2]).mean(1).cpu().numpy())


def present(output: NDArray[Any], image: Image.Image, views: str, config: Mapping[str, Any]) -> dict[str, Any]:
    import numpy as np

    shares = np.exp(output - output.max())
    shares /= shares.sum()
    return {"probabilities": dict(zip(config["label_names"], map(float, shares), strict=True))}


DEMO = Demo(
    title="Emergency vehicle",
    summary="Tells police cars, ambulances and fire engines from ordinary vehicles.",
    task="Image classification",
    inputs=(
        ImageInput("image", "Photo", "One vehicle, most of it visible", webcam=True),
        Choice(
            "views",
            "Views",
            (SINGLE, MIRRORED),
            default=MIRRORED,
            help="Test-time augmentation: the average with the mirror image takes twice as long",
        ),
    ),
    outputs=(Labels("probabilities", "Probabilities", top=2),),
    load=load,
    prepare=prepare,
    infer=infer,
    present=present,
    weights=(Weights("vehicle_classifier"),),
    examples=(
        Example({"image": "police_car.jpg"}, title="Police car with blue and yellow checks"),
        Example({"image": "hatchback.jpg"}, title="Blue hatchback in a leafy street"),
        Example({"image": "ambulance.jpg"}, title="Yellow ambulance with green checks"),
        Example({"image": "pickup.jpg"}, title="Red pickup on a country lane"),
        Example({"image": "fire_engine.jpg"}, title="Fire engine in front of its station"),
        Example({"image": "saloon.jpg"}, title="Silver saloon in a car park"),
    ),
    max_batch=16,
    order=20,
)
