"""Inpainting with MODEL_NAME, a pipeline of diffusers: what is painted over is drawn anew, as the words say.

It runs as its authors wrote it; what suits it comes with the weights. All that is not painted over stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hub.images import shrink
from hub.kit.generating.pictures import draw, fitted, load_pipeline
from hub.kit.sentences import sentence
from hub.spec import Demo, Drawn, ImageInput, ImageOutput, Progress, Seed, Slider, Text, Weights

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

    import torch

MOST_START = 1536  # pixels of the longer side that the model may be given
SOFT = 0.006  # of the longer side: how wide the edge is, within what is painted over


def load(folder: Path, device: torch.device) -> Any:
    return load_pipeline(folder, fills=True)


def prepare(image: Drawn, **settings: Any) -> dict[str, Any]:
    """The wish as it is, with a picture and a mask of one size; what suits the model is known in `infer` only."""
    import numpy as np
    from PIL import Image

    picture = shrink(image.picture, MOST_START)
    # A thin stroke on a large picture must not fall between two pixels of the smaller one.
    mask = image.mask.resize(picture.size, Image.Resampling.BOX).point(lambda share: 255 if share else 0)
    return {**settings, "image": np.asarray(picture), "mask": np.asarray(mask)}


def infer(model: Any, items: list[dict[str, Any]]) -> Generator[Progress, None, list[Any]]:
    """A picture for each wish, uint8 [height, width, 3], in the model's own size."""
    import numpy as np
    from PIL import Image

    answers = []
    for item in items:
        picture, mask = Image.fromarray(item["image"]), Image.fromarray(item["mask"])
        size = fitted(model, picture.size, item["side"])
        wish = {**item, "image": picture.resize(size), "mask": mask.resize(size, Image.Resampling.NEAREST)}
        answers.append(np.asarray((yield from draw(model, wish)).convert("RGB")))
    return answers


def present(output: Any, image: Drawn, **_: Any) -> dict[str, Any]:
    """What was drawn, laid into the picture where it was painted over."""
    from PIL import Image, ImageChops, ImageFilter

    picture = shrink(image.picture)
    mask = image.mask.resize(picture.size, Image.Resampling.NEAREST)
    soft = mask.filter(ImageFilter.GaussianBlur(SOFT * max(picture.size)))
    drawn = Image.fromarray(output).resize(picture.size, Image.Resampling.LANCZOS)
    return {"picture": Image.composite(drawn, picture, ImageChops.darker(mask, soft))}


def headline(outputs: Mapping[str, Any], prompt: str) -> str:
    return sentence("{words}", words=prompt)


DEMO = Demo(
    title="TITLE",
    summary="Draws a part of a picture anew, as words say.",
    task="Inpainting",
    inputs=(
        ImageInput("image", "Picture", "Paint over what is to be drawn anew", draw="mask"),
        Text("prompt", "Prompt", "What the painted part shows; Enter runs it", max_chars=1000, lines=1),
        Text("negative_prompt", "Negative prompt", "What it should not show", default="", max_chars=1000, lines=1),
        Seed(),
        Slider("steps", "Steps", 0, 100, 0, 1, help="0: as suits the model; more is slower and finer"),
        Slider(
            "guidance", "Guidance", 0.0, 15.0, 0.0, 0.5, help="How closely it follows the words; 0: as suits the model"
        ),
        Slider("strength", "Strength", 0.1, 1.0, 1.0, 0.05, help="How much of what is painted over may change"),
        Slider("side", "Side", 0, 1536, 0, 64, unit="px", help="0: as suits the model"),
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
    more=("steps", "guidance", "side", "strength"),
    max_batch=1,
)
