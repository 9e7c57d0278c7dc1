"""Text to image with MODEL_NAME, a pipeline of diffusers.

It runs as its authors wrote it; what suits it comes with the weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hub.kit.generating.pictures import draw, load_pipeline
from hub.kit.sentences import sentence
from hub.spec import Demo, ImageInput, ImageOutput, Progress, Seed, Slider, Text, Weights

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

    import torch
    from PIL import Image

MOST_START = 1024  # pixels a side that are kept of a picture to start from


def load(folder: Path, device: torch.device) -> Any:
    return load_pipeline(folder)


def prepare(image: Image.Image | None = None, **settings: Any) -> dict[str, Any]:
    """The wish as it is; what suits the model is known in `infer` only."""
    import numpy as np

    if image is None:
        return {**settings, "image": None}
    reduced = image.copy()
    reduced.thumbnail((MOST_START, MOST_START))
    return {**settings, "image": np.asarray(reduced)}


def infer(model: Any, items: list[dict[str, Any]]) -> Generator[Progress, None, list[Any]]:
    """A picture for each wish, uint8 [height, width, 3]."""
    import numpy as np
    from PIL import Image

    answers = []
    for item in items:
        start = None if item["image"] is None else Image.fromarray(item["image"])
        answers.append(np.asarray((yield from draw(model, {**item, "image": start})).convert("RGB")))
    return answers


def present(output: Any, image: Image.Image | None = None, **_: Any) -> dict[str, Any]:
    from PIL import Image

    return {"picture": Image.fromarray(output)}


def headline(outputs: Mapping[str, Any], prompt: str) -> str:
    return sentence("{words}", words=prompt)


DEMO = Demo(
    title="TITLE",
    summary="Draws a picture from words, step by step.",
    task="Text to image",
    inputs=(
        Text("prompt", "Prompt", "What the picture shows; Enter runs it", max_chars=1000, lines=1),
        Text("negative_prompt", "Negative prompt", "What it should not show", default="", max_chars=1000, lines=1),
        Seed(),
        Slider("steps", "Steps", 0, 100, 0, 1, help="0: as suits the model; more is slower and finer"),
        Slider(
            "guidance", "Guidance", 0.0, 15.0, 0.0, 0.5, help="How closely it follows the words; 0: as suits the model"
        ),
        Slider("side", "Side", 0, 1536, 0, 64, unit="px", help="0: as suits the model"),
        ImageInput("image", "Start from a picture", "Optional, where the model can", optional=True),
        Slider("strength", "Strength", 0.1, 1.0, 0.7, 0.05, help="With a picture to start from: how much may change"),
    ),
    outputs=(ImageOutput("picture", "Picture"),),
    load=load,
    prepare=prepare,
    infer=infer,
    present=present,
    headline=headline,
    weights=(Weights("WEIGHTS", title="MODEL_TITLE"),),
    examples=(),
    note="NOTE",
    more=("steps", "guidance", "side", "image", "strength"),
    max_batch=1,
)
