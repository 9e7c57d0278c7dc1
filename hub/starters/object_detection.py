"""Object detection with MODEL_NAME, a network of transformers.

The labels and the preprocessing come with the weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hub.kit.pretrained import find_objects, label_names, pixels_of, pretrained, sure_boxes
from hub.spec import Boxes, Demo, ImageInput, Slider, Weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch
    from numpy.typing import NDArray
    from PIL import Image


def load(folder: Path, device: torch.device) -> Any:
    return pretrained(folder, ["AutoModelForObjectDetection"], ["AutoImageProcessor"])


def prepare(image: Image.Image, least: float) -> NDArray[Any]:
    """The picture, [height, width, 3]. The network's own processor, which `infer` has, does the rest."""
    return pixels_of(image)


def infer(model: Any, items: list[NDArray[Any]]) -> list[dict[str, NDArray[Any]]]:
    return find_objects(model, items)


def present(
    output: dict[str, NDArray[Any]], image: Image.Image, least: float, config: Mapping[str, Any]
) -> dict[str, Any]:
    labels = label_names(config, output["labels"].tolist())
    return {"objects": (image, sure_boxes(output, labels, image, least))}


DEMO = Demo(
    title="TITLE",
    summary="Finds objects in a picture and draws a box around each.",
    task="Object detection",
    inputs=(
        ImageInput("image", "Picture", webcam=True),
        Slider("least", "Least score", 0.0, 0.95, 0.5, 0.05, help="Lower finds more, also more that is not there"),
    ),
    outputs=(Boxes("objects", "Objects"),),
    load=load,
    prepare=prepare,
    infer=infer,
    present=present,
    weights=(Weights("WEIGHTS", title="MODEL_TITLE"),),
    examples=(),
    note="NOTE",
    max_batch=4,
)
