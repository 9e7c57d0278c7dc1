"""Image features with MODEL_NAME, a network of transformers: what it sees in a picture as numbers.

The preprocessing comes with the weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hub.kit.pretrained import features, pixels_of, pretrained
from hub.kit.sentences import sentence
from hub.spec import Demo, ImageInput, Json, Weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch
    from numpy.typing import NDArray
    from PIL import Image


def load(folder: Path, device: torch.device) -> Any:
    return pretrained(folder, ["AutoModel"], ["AutoImageProcessor"])


def prepare(image: Image.Image) -> NDArray[Any]:
    """The picture, [height, width, 3]. The network's own processor, which `infer` has, does the rest."""
    return pixels_of(image)


def infer(model: Any, items: list[NDArray[Any]]) -> list[dict[str, NDArray[Any]]]:
    """ "embedding", by which the page finds pictures that look alike to the network."""
    return [{"embedding": one} for one in features(model, items)]


def present(output: dict[str, NDArray[Any]], image: Image.Image) -> dict[str, Any]:
    numbers = [round(number, 5) for number in output["embedding"].tolist()]
    return {"features": {"length": len(numbers), "numbers": numbers}}


def headline(outputs: Mapping[str, Any]) -> str:
    return sentence("{number} features", number=outputs["features"]["length"])


DEMO = Demo(
    title="TITLE",
    summary="Finds pictures that look alike to a network, and gives its numbers for each.",
    task="Image feature extraction",
    inputs=(ImageInput("image", "Picture", webcam=True),),
    outputs=(Json("features", "Features", "The network's numbers for this picture", folded=True),),
    load=load,
    prepare=prepare,
    infer=infer,
    present=present,
    headline=headline,
    weights=(Weights("WEIGHTS", title="MODEL_TITLE"),),
    examples=(),
    note="NOTE",
    similar=True,
)
