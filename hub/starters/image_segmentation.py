"""Image segmentation with MODEL_NAME, a network of transformers: the class of every pixel.

The labels and the preprocessing come with the weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hub.images import distinct_colours, overlay, shrink
from hub.kit.pretrained import class_of_pixels, label_names, laid_over, pixels_of, pretrained
from hub.spec import Demo, ImageInput, ImageOutput, Json, Mask, Slider, Weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch
    from numpy.typing import NDArray
    from PIL import Image


def load(folder: Path, device: torch.device) -> Any:
    kinds = ["AutoModelForSemanticSegmentation", "AutoModelForUniversalSegmentation"]
    return pretrained(folder, kinds, ["AutoImageProcessor"])


def prepare(image: Image.Image, opacity: float) -> NDArray[Any]:
    """The picture, [height, width, 3]. The network's own processor, which `infer` has, does the rest."""
    return pixels_of(image)


def infer(model: Any, items: list[NDArray[Any]]) -> list[NDArray[Any]]:
    return class_of_pixels(model, items)


def present(output: NDArray[Any], image: Image.Image, opacity: float, config: Mapping[str, Any]) -> dict[str, Any]:
    """The coloured picture, what its colours mean, and the mask."""
    import numpy as np

    ids, colours = laid_over(image, output), distinct_colours(256)
    counts = np.bincount(ids.ravel(), minlength=256)
    there = [int(number) for number in np.argsort(-counts, kind="stable") if counts[number]]
    rows = [
        {"class": name, "colour": "#{:02x}{:02x}{:02x}".format(*colours[n]), "percent": 100 * counts[n] / ids.size}
        for n, name in zip(there, label_names(config, there), strict=True)
    ]
    legend = [{**row, "percent": round(float(row["percent"]), 2)} for row in rows]
    return {"overlay": overlay(shrink(image), ids, colours, opacity), "legend": legend, "mask": ids}


DEMO = Demo(
    title="TITLE",
    summary="Colours every pixel of a picture by what it shows.",
    task="Image segmentation",
    inputs=(
        ImageInput("image", "Picture", webcam=True),
        Slider("opacity", "Opacity", 0.0, 1.0, 0.55, 0.05, help="How strongly the colours cover the photo"),
    ),
    outputs=(
        ImageOutput("overlay", "Photo and classes", "Drag the line to compare", format="jpeg", compare="image"),
        Json("legend", "Legend", "Share of the pixels", table=True),
        Mask("mask", "Class ids", "One byte a pixel"),
    ),
    load=load,
    prepare=prepare,
    infer=infer,
    present=present,
    weights=(Weights("WEIGHTS", title="MODEL_TITLE"),),
    examples=(),
    note="NOTE",
    max_batch=4,
)
