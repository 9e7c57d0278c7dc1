"""Emergency vehicle or not: a timm classifier with the probabilities of both classes, and where it looked."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from hub.images import normalise
from hub.kit.heat_maps import OFF, classify, draw_heat_map, map_of_strongest
from hub.kit.layers import ASK, PICTURES, add_layers, draw_layers, features_of
from hub.kit.networks import image_classifier, model_input
from hub.kit.sentences import joined, percent
from hub.spec import Choice, Demo, Example, ImageInput, ImageOutput, Labels, OverVideo, Weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch
    from PIL import Image
    from torch import nn

SINGLE, MIRRORED = "photo as it is", "photo and its mirror image"
ANSWER = "the answer"
VERDICTS = {"emergency": "Emergency vehicle", "ordinary": "Ordinary vehicle"}  # other weights may have other classes


def load(folder: Path, device: torch.device) -> nn.Module:
    return image_classifier(folder)


def prepare(
    image: Image.Image, views: str, why: str, config: Mapping[str, Any], inside: bool = False
) -> dict[str, Any]:
    """The photo at the model's size, as in training (the bundled weights': squashed): [views, 3, height, width]."""
    import numpy as np

    settings = config["pretrained_cfg"]
    pixels = normalise(model_input(image, settings), settings["mean"], settings["std"])
    stacked = np.stack([pixels, pixels[:, :, ::-1]] if views == MIRRORED else [pixels])
    return {"pixels": stacked, "why": why, "inside": inside}


def infer(model: nn.Module, items: list[dict[str, Any]], config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Logits and embedding, averaged over the views of each photo; the map of a class where it is asked for."""
    pixels, why = [item["pixels"] for item in items], [item["why"] for item in items]
    answers = classify(model, pixels, why, config["label_names"], exclusive=True)
    asked = [item["pixels"][0] if item["inside"] else None for item in items]
    add_layers(model, answers, asked, features_of, partial(map_of_strongest, exclusive=True))
    return answers


def present(
    output: dict[str, Any], image: Image.Image, views: str, why: str, config: Mapping[str, Any], inside: bool = False
) -> dict[str, Any]:
    import numpy as np

    shares = np.exp(output["logits"] - output["logits"].max())
    shares /= shares.sum()
    probabilities = dict(zip(config["label_names"], map(float, shares), strict=True))
    return {
        "probabilities": probabilities,
        "why": draw_heat_map(image, output, why, probabilities, config["pretrained_cfg"]),
        "inside": draw_layers(output, image, config["pretrained_cfg"]),
    }


def headline(outputs: Mapping[str, Any]) -> str:
    probabilities = outputs["probabilities"]
    best = max(probabilities, key=lambda name: probabilities[name])
    return joined([VERDICTS.get(best, best), percent(probabilities[best])])


DEMO = Demo(
    title="Emergency vehicle",
    summary="Tells police cars, ambulances and fire engines from ordinary vehicles.",
    task="Image classification",
    inputs=(
        ImageInput(
            "image", "Photo", "One vehicle, most of it visible", webcam=True, reduced_for="pretrained_cfg.input_size"
        ),
        Choice(
            "views",
            "Views",
            (SINGLE, MIRRORED),
            default=MIRRORED,
            help="Test-time augmentation: the average with the mirror image takes twice as long",
        ),
        Choice(
            "why",
            "Why",
            (OFF, ANSWER),
            default=OFF,
            help="A heat map of what speaks for the answer, or for a class",
            options_from="label_names",
        ),
        ASK,
    ),
    outputs=(
        Labels("probabilities", "Probabilities", top=2),
        ImageOutput("why", "Why", "Heat map over the photo: bright is what counts", format="jpeg", optional=True),
        PICTURES,
    ),
    load=load,
    prepare=prepare,
    infer=infer,
    present=present,
    headline=headline,
    weights=(Weights("vehicle_classifier"),),
    examples=(
        Example({"image": "police_car.jpg"}, title="Police car with blue and yellow checks"),
        Example({"image": "hatchback.jpg"}, title="Blue hatchback in a leafy street"),
        Example({"image": "ambulance.jpg"}, title="Yellow ambulance with green checks"),
        Example({"image": "pickup.jpg"}, title="Red pickup on a country lane"),
        Example({"image": "fire_engine.jpg"}, title="Fire engine in front of its station"),
        Example({"image": "saloon.jpg"}, title="Silver saloon in a car park"),
    ),
    version="3",
    max_batch=16,
    live={"views": SINGLE, "inside": False},
    similar=True,
    order=20,
    video=OverVideo(
        title="Emergency vehicle, video",
        summary="Tells frame by frame whether a video shows an emergency vehicle, and draws that over time.",
        curve="probabilities",
        defaults={"views": SINGLE},
        examples=(
            Example({"video": "vehicles.mp4"}, title="Police car, hatchback, ambulance", picture="police_car.jpg"),
        ),
    ),
)
