"""Image to text with MODEL_NAME, a network of transformers.

The words it knows and the preprocessing come with the weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hub.kit.pretrained import captions, pixels_of, pretrained
from hub.spec import Demo, ImageInput, Slider, TextOutput, Weights

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from PIL import Image


def load(folder: Path, device: torch.device) -> Any:
    return pretrained(folder, ["AutoModelForImageTextToText"], ["AutoImageProcessor", "AutoTokenizer"])


def prepare(image: Image.Image, length: int) -> dict[str, Any]:
    """The picture, [height, width, 3]. The network's own processor, which `infer` has, does the rest."""
    return {"pixels": pixels_of(image), "length": length}


def infer(model: Any, items: list[dict[str, Any]]) -> list[str]:
    return captions(model, [item["pixels"] for item in items], [item["length"] for item in items])


def present(output: str, image: Image.Image, length: int) -> dict[str, Any]:
    return {"text": output}


DEMO = Demo(
    title="TITLE",
    summary="Writes a text about a picture.",
    task="Image to text",
    inputs=(
        ImageInput("image", "Picture", webcam=True),
        Slider("length", "Longest text", 5, 100, 40, 5, unit="tokens", help="A token is a word or a part of one"),
    ),
    outputs=(TextOutput("text", "Text"),),
    load=load,
    prepare=prepare,
    infer=infer,
    present=present,
    weights=(Weights("WEIGHTS", title="MODEL_TITLE"),),
    examples=(),
    note="NOTE",
    max_batch=4,
)
