"""Detection of what is asked for in words with MODEL_NAME, a network of transformers.

The words it knows and the preprocessing come with the weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hub.kit.pretrained import find_named, pixels_of, pretrained, sure_boxes
from hub.spec import Boxes, Demo, ImageInput, Slider, Text, Weights

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from numpy.typing import NDArray
    from PIL import Image

MOST_NAMES = 20  # things that are looked for at a time


def load(folder: Path, device: torch.device) -> Any:
    return pretrained(folder, ["AutoModelForZeroShotObjectDetection"], ["AutoProcessor"])


def prepare(image: Image.Image, names: str, least: float) -> dict[str, Any]:
    """The picture, [height, width, 3]. The network's own processor, which `infer` has, does the rest."""
    return {"pixels": pixels_of(image), "names": names_in(names)}


def infer(model: Any, items: list[dict[str, Any]]) -> list[dict[str, NDArray[Any]]]:
    return [find_named(model, item["pixels"], item["names"]) for item in items]


def present(output: dict[str, NDArray[Any]], image: Image.Image, names: str, least: float) -> dict[str, Any]:
    labels = [names_in(names)[number] for number in output["labels"].tolist()]
    return {"objects": (image, sure_boxes(output, labels, image, least))}


def names_in(text: str) -> list[str]:
    """What is looked for: the words between the commas, each once."""
    names = dict.fromkeys(" ".join(name.split()) for name in text.split(","))
    return [name for name in names if name][:MOST_NAMES] or ["object"]


DEMO = Demo(
    title="TITLE",
    summary="Finds in a picture what you name, and draws a box around each.",
    task="Zero-shot object detection",
    inputs=(
        ImageInput("image", "Picture", webcam=True),
        Text("names", "What to look for", "Up to twenty things, with commas between them", "person, car", 400),
        Slider("least", "Least score", 0.0, 0.95, 0.1, 0.05, help="Lower finds more, also more that is not there"),
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
