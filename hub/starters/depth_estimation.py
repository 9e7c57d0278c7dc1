"""Depth estimation with MODEL_NAME, a network of transformers: how far away every pixel is.

The preprocessing comes with the weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hub.images import heat_picture
from hub.kit.pretrained import depths, laid_over, pixels_of, pretrained
from hub.kit.sentences import sentence
from hub.spec import Demo, ImageInput, ImageOutput, Json, Weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch
    from numpy.typing import NDArray
    from PIL import Image


def load(folder: Path, device: torch.device) -> Any:
    return pretrained(folder, ["AutoModelForDepthEstimation"], ["AutoImageProcessor"])


def prepare(image: Image.Image) -> NDArray[Any]:
    """The picture, [height, width, 3]. The network's own processor, which `infer` has, does the rest."""
    return pixels_of(image)


def infer(model: Any, items: list[NDArray[Any]]) -> list[NDArray[Any]]:
    return depths(model, items)


def present(output: NDArray[Any], image: Image.Image) -> dict[str, Any]:
    """The depths as colours, from the least to the greatest of this picture."""
    import numpy as np

    least, middle, greatest = (float(number) for number in np.quantile(output, (0.0, 0.5, 1.0)))
    levels = (output - least) / max(greatest - least, 1e-6)
    figures = {"least": round(least, 4), "middle": round(middle, 4), "greatest": round(greatest, 4)}
    return {"depth": heat_picture(laid_over(image, levels.astype(np.float32))), "figures": figures}


def headline(outputs: Mapping[str, Any]) -> str:
    figures = outputs["figures"]
    return sentence("Depths from {least} to {greatest}", least=figures["least"], greatest=figures["greatest"])


DEMO = Demo(
    title="TITLE",
    summary="Says how far away everything in a picture is.",
    task="Depth estimation",
    inputs=(ImageInput("image", "Picture", webcam=True),),
    outputs=(
        ImageOutput(
            "depth",
            "Depth",
            "Bright is near with networks of relative depth, and far with those that tell metres",
            compare="image",
        ),
        Json("figures", "The network's own numbers", "Least, middle and greatest depth", folded=True),
    ),
    load=load,
    prepare=prepare,
    infer=infer,
    present=present,
    headline=headline,
    weights=(Weights("WEIGHTS", title="MODEL_TITLE"),),
    examples=(),
    note="NOTE",
    max_batch=4,
)
