"""Aerial pictures: every label that fits, picked by a threshold, and what speaks for one of them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from hub.images import normalise
from hub.kit.heat_maps import OFF, classify, draw_heat_map, map_of_strongest
from hub.kit.layers import ASK, PICTURES, add_layers, draw_layers, features_of
from hub.kit.networks import image_classifier, model_input
from hub.kit.sentences import Sentence, joined, percent, sentence
from hub.spec import Choice, Demo, Example, ImageInput, ImageOutput, Json, Labels, Slider, Weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch
    from PIL import Image
    from torch import nn

STRONGEST = "strongest"
AMAZON = "satellite_amazon"
LISTED = 5  # labels in the headline
NAMES = {  # what a label means, where its own name does not say so
    "artisinal_mine": "artisanal mine",
    "bare-soil": "bare soil",
    "bare_ground": "bare ground",
    "blooming": "trees in bloom",
    "blow_down": "trees blown down",
    "chaparral": "shrubs",
    "clear": "clear sky",
    "conventional_mine": "conventional mine",
    "court": "sports court",
    "cultivation": "small farm plots",
    "habitation": "dwellings",
    "mobile-home": "mobile homes",
    "partly_cloudy": "partly cloudy",
    "primary": "rain forest",
    "selective_logging": "selective logging",
    "slash_burn": "slash-and-burn clearing",
    "tanks": "storage tanks",
}


def load(folder: Path, device: torch.device) -> nn.Module:
    return image_classifier(folder)


def prepare(
    image: Image.Image, threshold: float, why: str, config: Mapping[str, Any], inside: bool = False
) -> dict[str, Any]:
    """The picture at the model's size as in training: "pixels" [1, 3, height, width]."""
    settings = config["pretrained_cfg"]
    pixels = normalise(model_input(image, settings), settings["mean"], settings["std"])
    return {"pixels": pixels[None], "why": why, "inside": inside}


def infer(model: nn.Module, items: list[dict[str, Any]], config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One logit a label, and more. Mirror images at test time brought nothing here (weights/LOG.md)."""
    pixels, why = [item["pixels"] for item in items], [item["why"] for item in items]
    answers = classify(model, pixels, why, config["label_names"], exclusive=False)
    asked = [item["pixels"][0] if item["inside"] else None for item in items]
    add_layers(model, answers, asked, features_of, partial(map_of_strongest, exclusive=False))
    return answers


def present(
    output: dict[str, Any],
    image: Image.Image,
    threshold: float,
    why: str,
    config: Mapping[str, Any],
    inside: bool = False,
) -> dict[str, Any]:
    import numpy as np

    shares = 1 / (1 + np.exp(-output["logits"]))
    probabilities = dict(zip(config["label_names"], map(float, shares), strict=True))
    tags = sorted((n for n, p in probabilities.items() if p >= threshold), key=lambda n: -probabilities[n])
    return {
        "tags": [{"label": n, "percent": round(100 * probabilities[n], 1)} for n in tags],
        "threshold_used": threshold,
        "probabilities": probabilities,
        "why": draw_heat_map(image, output, why, probabilities, config["pretrained_cfg"]),
        "inside": draw_layers(output, image, config["pretrained_cfg"]),
    }


def headline(outputs: Mapping[str, Any]) -> str:
    """The picked labels; where none is, the strongest."""
    tags = [readable(row["label"]) for row in outputs["tags"]]
    if not tags:
        shares = outputs["probabilities"]
        best = max(shares, key=lambda name: shares[name])
        return sentence("Nothing picked; {label}, {share}", label=readable(best), share=percent(shares[best]))
    first, more = joined(tags[:LISTED]), len(tags) - LISTED
    return sentence("{first} and {number} more", first=first, number=more) if more > 0 else first


def readable(label: str) -> Sentence:
    return sentence(NAMES.get(label, label))


DEMO = Demo(
    title="Satellite labels",
    summary="Names everything it sees from above: buildings, cars, trees, rivers, fields, forest and more.",
    task="Multi-label image classification",
    inputs=(
        ImageInput(
            "image",
            "Aerial picture",
            "Straight down: 80 m across for land use, 1 km for the Amazon",
            reduced_for="pretrained_cfg.input_size",
        ),
        Slider(
            "threshold",
            "Threshold",
            0.0,
            1.0,
            0.5,
            0.01,
            help="Labels at or above it are picked. It starts where these weights did best on validation pictures",
            default_from="threshold",
        ),
        Choice(
            "why",
            "Why",
            (OFF, STRONGEST),
            default=OFF,
            help="A heat map of what speaks for the strongest label, or for another",
            options_from="label_names",
        ),
        ASK,
    ),
    outputs=(
        Json("tags", "Picked labels", "At or above the threshold", table=True, chips=True),
        ImageOutput("why", "Why", "Heat map over the picture: bright is what counts", format="jpeg", optional=True),
        PICTURES,
        Json("threshold_used", "Threshold used"),
        Labels("probabilities", "All probabilities", top=17, line="threshold_used", folded=True),
    ),
    load=load,
    prepare=prepare,
    infer=infer,
    present=present,
    headline=headline,
    names=NAMES,
    weights=(Weights("satellite_landuse", "Land use (17 labels)"), Weights(AMAZON, "Amazon (17 tags)")),
    examples=(
        Example({"image": "houses.jpg"}, title="Houses along a street"),
        Example({"image": "harbour.jpg"}, title="Boats at their jetties"),
        Example({"image": "courts.jpg"}, title="Three tennis courts in a park"),
        Example({"image": "car_park.jpg"}, title="Car park"),
        Example({"image": "forest_river.jpg", "weights": AMAZON}, title="River in a rain forest"),
        Example({"image": "forest_fields.jpg", "weights": AMAZON}, title="Fields, a road and farms in a forest"),
        Example({"image": "forest_clouds.jpg", "weights": AMAZON}, title="Clouds over a rain forest"),
    ),
    version="4",
    max_batch=8,
    similar=True,
    order=30,
)
