"""Ages of the faces in a photo: YuNet finds the faces, a model gives each an age with an interval.

The model tells years (outputs age, low, high, as the bundled one) or age bands (classes such as "20-29").
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from hub.images import normalise
from hub.kit.ages import LEVEL, YEARS, bands, corrected, map_of_age, predict
from hub.kit.faces import DETECTION, MOST, cut_out, detect
from hub.kit.layers import ASK, COUNTS, PICTURES, add_layers, draw_layers, features_of
from hub.kit.networks import image_classifier
from hub.kit.plates import draw_boxes
from hub.kit.sentences import joined, sentence
from hub.spec import Choice, Demo, Example, ImageInput, ImageOutput, Json, Slider, Weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch
    from PIL import Image
    from torch import nn

FIND, WHOLE = "find the faces", "the picture is one face"
SINGLE, MIRRORED = "face as it is", "face and its mirror image"
SINGLE_AGE = "About {age} years ({low:.0f} to {high:.0f})"
SEVERAL_AGES = "{number} faces: about {youngest} to {oldest} years"
# Of a face that looks older than those the weights were measured to be right about (`reliable_to` of their config).
REMARK, UNSURE, BEYOND = "remark", "less reliable", "less reliable above {years} years"
OLDER = "What adds years"
LISTED = 4  # faces whose ages a headline has one by one
CROWD = 12  # with more faces, intervals are in the table alone
BOX = ("x_px", "y_px", "width_px", "height_px")  # columns


def load(folder: Path, device: torch.device) -> nn.Module:
    return image_classifier(folder)


def prepare(
    image: Image.Image, faces: str, views: str, least_score: float, config: Mapping[str, Any], inside: bool = False
) -> dict[str, Any]:
    """The faces, largest first: "detections" [faces, 15] as `detect` and "crops" [faces, views, 3, side, side].

    Photos with equally many faces have items of one shape, and share batches.
    """
    import numpy as np
    from PIL import Image

    settings = config["pretrained_cfg"]
    if tuple(config["label_names"]) != YEARS:
        bands(config["label_names"])  # says so before a model is loaded if these weights tell no ages
    _, height, width = settings["input_size"]
    if faces == WHOLE:
        detections = np.full((1, DETECTION), np.nan, np.float32)
        detections[0, :4] = 0, 0, image.width, image.height
        pictures = [image.resize((width, height), Image.Resampling[settings["interpolation"].upper()])]
    else:
        detections = detect(image, least_score)
        pictures = cut_out(image, detections, width, height)
    crops = np.empty((len(pictures), 2 if views == MIRRORED else 1, 3, height, width), np.float32)
    for number, picture in enumerate(pictures):
        crops[number, 0] = normalise(picture, settings["mean"], settings["std"])
        crops[number, 1:] = crops[number, 0, :, :, ::-1]
    return {"detections": detections, "crops": crops, "inside": inside}


def infer(model: Any, items: list[dict[str, Any]], config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """For each photo "ages" [faces, 3] (age, low, high in years) and "detections" as in the item."""
    import numpy as np

    ages = predict(model, np.concatenate([item["crops"] for item in items]), config["label_names"])
    ages = corrected(ages, config)
    ends = np.cumsum([len(item["detections"]) for item in items])
    by_photo = np.split(ages, ends[:-1])
    answers = [{"ages": own, "detections": item["detections"]} for own, item in zip(by_photo, items, strict=True)]
    # Of the largest face.
    asked = [item["crops"][0, 0] if item.get("inside") and len(item["crops"]) else None for item in items]
    add_layers(model, answers, asked, features_of, partial(map_of_age, labels=config["label_names"]))
    return answers


def present(
    output: dict[str, Any],
    image: Image.Image,
    faces: str,
    views: str,
    least_score: float,
    config: Mapping[str, Any],
    inside: bool = False,
) -> dict[str, Any]:
    import numpy as np

    rows: list[dict[str, Any]] = []
    for number, (ages, detection) in enumerate(zip(output["ages"], output["detections"], strict=True), 1):
        age, low, high = (round(max(0.0, float(years)), 1) for years in ages)
        row: dict[str, Any] = {"face": number, "age": age, "low": min(low, age), "high": max(high, age)}
        row |= {name: round(float(length), 1) for name, length in zip(BOX, detection[:4], strict=True)}
        rows.append(row if np.isnan(detection[14]) else row | {"score": round(float(detection[14]), 3)})
    oldest = config.get("reliable_to", np.inf)
    beyond = [row["age"] > oldest for row in rows]
    if any(beyond):
        rows = [row | {REMARK: sentence(UNSURE) if unsure else ""} for row, unsure in zip(rows, beyond, strict=True)]
    remarks = [sentence(BEYOND, years=oldest)] if any(beyond) else []
    templates = {0: "No face found", 1: "{number} face", MOST: "the {number} largest faces"}
    count = sentence(templates.get(len(rows), "{number} faces"), number=len(rows))
    # The share of people whose age is in the interval, as the weights promise it.
    level = sentence("{level:.0%} intervals", level=config.get("interval_level", LEVEL))
    counts = OLDER if tuple(config["label_names"]) == YEARS else COUNTS
    boxes = np.array([[row[name] for name in BOX] for row in rows])
    overlay = draw_boxes(image, boxes, [label(row, len(rows)) for row in rows])
    return {
        "overlay": (overlay, joined([count, level, *remarks]) if rows else count),
        "faces": rows,
        "inside": draw_layers(output, None, config["pretrained_cfg"], counts),
    }


def headline(outputs: Mapping[str, Any]) -> str:
    rows = outputs["faces"]
    if not rows:
        return sentence("No face found")
    ages = [round(row["age"]) for row in rows]
    if len(rows) == 1:
        template = "About {age} year ({low:.0f} to {high:.0f})" if ages == [1] else SINGLE_AGE
        about = sentence(template, age=ages[0], low=rows[0]["low"], high=rows[0]["high"])
        return joined([about, sentence(UNSURE)]) if rows[0].get(REMARK) else about
    if len(rows) <= LISTED:
        return sentence("{number} faces: about {ages} years", number=len(rows), ages=joined(map(str, ages)))
    template = "The {number} largest faces: about {youngest} to {oldest} years" if len(rows) == MOST else SEVERAL_AGES
    return sentence(template, number=len(rows), youngest=min(ages), oldest=max(ages))


def label(row: Mapping[str, Any], count: int) -> str:
    """`34 (27-42)`; among others with the face's number, `2: 34 (27-42)`; in a crowd `2: 34`."""
    text = f"{row['age']:.0f}" if count > CROWD else f"{row['age']:.0f} ({row['low']:.0f}-{row['high']:.0f})"
    return text if count == 1 else f"{row['face']}: {text}"


DEMO = Demo(
    title="Age from faces",
    summary="Finds the faces in a photo and estimates each one's age, with the interval it may be in.",
    task="Regression",
    inputs=(
        ImageInput("image", "Photo", "Faces that look towards the camera, at least 24 px high", webcam=True),
        Choice(
            "faces",
            "Faces",
            (FIND, WHOLE),
            default=FIND,
            help="The second is for a face that is cut out already, from brow to chin",
        ),
        Choice(
            "views",
            "Views",
            (SINGLE, MIRRORED),
            default=MIRRORED,
            help="Test-time augmentation: the average with the mirror image takes twice as long",
        ),
        Slider(
            "least_score",
            "Least detector score",
            0.5,
            0.95,
            0.8,
            0.05,
            help="Lower: finds turned and covered faces, and now and then a wheel or a hand",
        ),
        ASK,
    ),
    outputs=(
        ImageOutput("overlay", "Faces", "At most 2048 px long", format="jpeg"),
        Json(
            "faces",
            "Ages",
            "In years, from low to high the interval; largest face first",
            table=True,
            unseen=BOX,
            corrects="age",
        ),
        PICTURES,
    ),
    load=load,
    prepare=prepare,
    infer=infer,
    present=present,
    headline=headline,
    weights=(Weights("age_regression"),),
    examples=(
        Example({"image": "collins.jpg"}, title="Astronaut Eileen Collins, about 1998"),
        Example({"image": "hopper.jpg"}, title="Computer pioneer Grace Hopper in 1984, aged 77"),
        Example({"image": "pinboard.jpg"}, title="Prints of two portraits, large, small and turned"),
        Example({"image": "cat.jpg"}, title="A cat: no human face"),
    ),
    note=(
        "For trying out only. Never use it to decide about a person: not for access, service, hiring or policing. "
        "An age read from a face is uncertain by many years, and the error differs by age and by group of people."
    ),
    max_batch=8,
    live={"views": SINGLE, "inside": False},
    # No similar pictures: to find faces like a face is face recognition, which nobody here has agreed to.
    similar=False,
    order=25,
)
