"""Pictures from words: a diffusion pipeline of diffusers, the bundled small one or a large one from the Hub."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hub.images import enlarge
from hub.kit import pipelines, prompts
from hub.kit.diffusion import AS_TRAINED, SCHEDULERS, SEEDS, Sample, Sampling, start_from
from hub.kit.requests import Request, fill
from hub.kit.sentences import joined, sentence
from hub.spec import Choice, Demo, Example, Gallery, ImageInput, Json, Progress, Seed, Slider, Text, Weights

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

    import torch
    from PIL import Image
    from torch import nn

LABELS = {"prompt": "Prompt", "negative_prompt": "Negative prompt"}
SQUARE = "square"
SHAPES = {SQUARE: (1.0, 1.0), "landscape, 3:2": (1.5, 1.0), "portrait, 2:3": (1.0, 1.5)}
MOST_START = 1024  # pixels a side that are kept of a picture to start from
SMALL = 256  # narrower pictures are shown enlarged


def load(folder: Path, device: torch.device) -> nn.Module:
    model: nn.Module = pipelines.load(folder)
    return model


def prepare(image: Image.Image | None = None, **settings: Any) -> dict[str, Any]:
    """The wish as it is; what suits the model is known in `infer` only. `image` as an array, not too large."""
    import numpy as np

    if image is None:
        return {**settings, "start": None, "strength": 1.0}
    reduced = image.copy()
    reduced.thumbnail((MOST_START, MOST_START))
    return {**settings, "start": np.asarray(reduced)}


def infer(model: Any, items: list[dict[str, Any]]) -> Generator[Progress, None, list[dict[str, Any]]]:
    """Each item's pictures, uint8 [n, height, width, 3], with the settings that were used."""
    requests = [make_request(model, item) for item in items]
    tokenizer, pairs = model.pipeline.tokenizer, zip(items, requests, strict=True)
    readings = [prompts.read_used(tokenizer, item, guided=request.sampling.guided) for item, request in pairs]
    answers = yield from fill(model, requests)
    return [
        {
            "pictures": pictures,
            "hidden": hidden,
            "checked": getattr(model.pipeline, "safety_checker", None) is not None,
            "steps": request.sampling.steps,
            "guidance": request.samples[0].guidance,
            "seeds": [sample.seed for sample in request.samples],
            "read": words,
        }
        for request, words, (pictures, hidden) in zip(requests, readings, answers, strict=True)
    ]


def make_request(model: Any, item: dict[str, Any]) -> Request:
    """What an item asks for, with what suits the model where it asks for nothing."""
    width, height = model.sides(*SHAPES[item["size"]])
    guidance = item["guidance"] or model.usual.guidance
    start = None if item["start"] is None else start_from(item["start"], width, height)
    steps = item["steps"] or model.usual.steps
    sampling = Sampling(steps, item["scheduler"], width, height, guidance > 1, float(item["strength"]))
    seeds = [(item["seed"] + number) % SEEDS for number in range(item["images"])]
    words = item["prompt"], item["negative_prompt"]
    return Request(sampling, tuple(Sample(*words, seed, guidance, start) for seed in seeds))


def present(output: dict[str, Any], scheduler: str, **_: Any) -> dict[str, Any]:
    """The pictures, small ones enlarged, each with the seed by which it comes again, alone or among others."""
    from PIL import Image

    unread = {k: v for name, words in output["read"].items() for k, v in prompts.columns(name, words).items()}
    rows, pictures = list[dict[str, Any]](), []
    for picture, hidden, own in zip(output["pictures"], output["hidden"], output["seeds"], strict=True):
        height, width = picture.shape[:2]
        caption = [sentence("seed {number}", number=own), *["hidden by the model's safety checker"] * hidden]
        checked = "hidden" if hidden else "passed" if output["checked"] else "none in this model"
        pictures.append((enlarge(Image.fromarray(picture), SMALL), joined(caption)))
        rows.append(
            {
                "picture": len(rows) + 1,
                "seed": own,
                "steps": output["steps"],
                "guidance": output["guidance"],
                "scheduler": scheduler,
                "size": f"{width} x {height}",
                "safety_checker": checked,
                **unread,
            }
        )
    remarks = [one for name, words in output["read"].items() for one in prompts.remarks(LABELS[name], words)]
    return {"pictures": pictures, "settings": rows, "remarks": remarks}


def headline(outputs: Mapping[str, Any], prompt: str) -> str:
    """The prompt; how many pictures, where there are several."""
    count = len(outputs["pictures"])
    words = sentence("{words}", words=prompt)
    return words if count == 1 else sentence("{words}, {number} pictures", words=words, number=count)


NOTE = (
    "The bundled model is very small. It draws coloured shapes on 64 pixels and nothing else: circles, squares, "
    "triangles, stars, hearts and crosses in red, orange, yellow, green, cyan, blue, purple or pink; small or large, "
    "outlined or striped; one to three of a kind, at a place ('at the top left'), or two 'left of', 'right of', "
    "'above' or 'below' each other; on a white, black, gray or beige background. For anything else take a large model: "
    "--weights stable_diffusion=hf://stabilityai/sd-turbo; 'python -m hub catalogue' lists more."
)

DEMO = Demo(
    title="Stable Diffusion",
    summary="Draws pictures from words, step by step.",
    task="Text-to-image",
    inputs=(
        Text("prompt", LABELS["prompt"], "What the picture shows; Enter runs it", max_chars=500, lines=1),
        Text(
            "negative_prompt", LABELS["negative_prompt"], "What it should not show", default="", max_chars=500, lines=1
        ),
        Slider("images", "Images", 1, 4, default=1, step=1, help="Each has a seed of its own: the next number"),
        Seed(help="Empty: a new one each run. 'Keep this seed', below the pictures, writes theirs here"),
        Slider("steps", "Steps", 0, 50, default=0, step=1, help="0: as suits the model; more is slower and finer"),
        Slider(
            "guidance",
            "Guidance",
            0.0,
            15.0,
            default=0.0,
            step=0.5,
            help="How closely it follows the words. 0: as suits the model; 1: no guidance, and no negative prompt",
        ),
        Choice("size", "Shape", tuple(SHAPES), default=SQUARE),
        Choice("scheduler", "Scheduler", tuple(SCHEDULERS), default=AS_TRAINED, help="How the steps are taken"),
        ImageInput(
            "image", "Start from a picture", "Optional: a picture whose colours and places are kept", optional=True
        ),
        Slider(
            "strength",
            "Strength",
            0.1,
            1.0,
            default=0.7,
            step=0.05,
            help="With a picture to start from: how much of it may change",
        ),
    ),
    outputs=(
        Gallery("pictures", "Pictures", "With the seed of each"),
        Json("settings", "Settings", table=True),
    ),
    load=load,
    prepare=prepare,
    infer=infer,
    present=present,
    headline=headline,
    weights=(Weights("stable_diffusion", "Coloured shapes, bundled"),),
    examples=(
        Example(
            {"prompt": "a blue square left of a red star on a white background", "seed": 1},
            "Two in a relation",
            "relation.png",
        ),
        Example(
            {"prompt": "a cyan star at the top left on a black background", "seed": 2}, "At a named place", "place.png"
        ),
        Example({"prompt": "three pink hearts on a beige background", "seed": 8}, "A number of them", "number.png"),
        Example(
            {"prompt": "a large striped green circle", "negative_prompt": "white background", "seed": 4},
            "In stripes",
            "stripes.png",
        ),
    ),
    note=NOTE,
    more=("steps", "guidance", "size", "scheduler", "image", "strength"),
    max_batch=4,
    version="2",
    order=60,
)
