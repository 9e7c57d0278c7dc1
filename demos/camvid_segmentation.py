"""Street scenes: an smp U-Net gives each pixel one of eleven CamVid classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hub.images import overlay
from hub.kit.layers import ASK, PICTURES
from hub.kit.segmentation import (
    BEST,
    FAST,
    VIEWS,
    best_class,
    count_regions,
    draw_inside,
    frame_item,
    infer_frames,
    load_frames,
)
from hub.kit.sentences import joined, percent, sentence
from hub.spec import Choice, Choices, Demo, Example, ImageInput, ImageOutput, Json, Mask, OverVideo, Slider, Weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from PIL import Image

CAR, LARGEST = "car", 2  # classes in the headline, beside the cars


def prepare(
    image: Image.Image,
    opacity: float,
    show: tuple[str, ...],
    quality: str,
    config: Mapping[str, Any],
    inside: bool = False,
) -> dict[str, Any]:
    return frame_item(image, config["_preprocessing"], VIEWS[quality], inside)


def present(
    output: dict[str, Any],
    image: Image.Image,
    opacity: float,
    show: tuple[str, ...],
    quality: str,
    config: Mapping[str, Any],
    inside: bool = False,
) -> dict[str, Any]:
    import numpy as np
    from PIL import Image

    mask = best_class(output["logits"], image.size)
    classes = config["_classes"]
    unlisted = [number for number, entry in enumerate(classes) if show and entry["name"] not in show]
    shares = np.array(Image.fromarray(mask).histogram()[: len(classes)]) / mask.size * 100
    legend = [
        {
            "colour": "#{:02x}{:02x}{:02x}".format(*entry["colour"]),
            "class": entry["name"],
            "percent": round(float(share), 2),
            **({"shown": number not in unlisted} if show else {}),
        }
        for number, (entry, share) in enumerate(zip(classes, shares, strict=True))
    ]
    return {
        "overlay": overlay(image, mask, [entry["colour"] for entry in classes], opacity, ignore=unlisted),
        "mask": mask,
        "legend": sorted(legend, key=lambda row: -row["percent"]),
        "inside": draw_inside(output, image, config),
    }


def headline(outputs: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """The classes that take most of the picture, and in how many places there are cars.

    Places, not cars: two that overlap are one region of pixels, and one behind a pole may be two.
    """
    rows = [row for row in outputs["legend"] if row.get("shown", True) and row["percent"] > 0]
    if not rows:
        return sentence("Nothing of what was asked for")
    parts = [sentence("{label} {share}", label=sentence(r["class"]), share=percent(r["percent"] / 100)) for r in rows]
    car = next((number for number, entry in enumerate(config["_classes"]) if entry["name"] == CAR), None)
    if car is None or CAR not in {row["class"] for row in rows}:
        return joined(parts[:LARGEST])
    parts = [part for part, row in zip(parts, rows, strict=True) if row["class"] != CAR][:LARGEST]
    count = count_regions(outputs["mask"] == car)
    text = "cars in {number} place" if count == 1 else "cars in {number} places"
    return joined([*parts, sentence(text, number=count)] if count else parts)


DEMO = Demo(
    title="Street scene",
    summary="Colours every pixel of a street photo: road, pavement, car, pedestrian and seven more.",
    task="Image segmentation",
    inputs=(
        ImageInput("image", "Street photo", "Seen from a car, by day", webcam=True),
        Slider("opacity", "Opacity", 0.0, 1.0, 0.55, 0.05, help="How strongly the colours cover the photo"),
        Choices("show", "Show only", help="None ticked: every class is coloured", options_from="_classes"),
        Choice(
            "quality",
            "Quality",
            (BEST, FAST),
            default=BEST,
            help="Best averages four views of the photo (mirrored, enlarged), which takes about five times as long",
        ),
        ASK,
    ),
    outputs=(
        ImageOutput("overlay", "Photo and classes", "Drag the line to compare", format="jpeg", compare="image"),
        Json("legend", "Legend", "Share of the pixels", table=True),
        Mask("mask", "Class ids", "Exact ids, 0 to 10, one byte a pixel"),
        PICTURES,
    ),
    load=load_frames,
    prepare=prepare,
    infer=infer_frames,
    present=present,
    headline=headline,
    weights=(Weights("camvid_segmentation"),),
    examples=(
        Example({"image": "high_street.jpg"}, title="Shopping street with parked cars and a cyclist"),
        Example({"image": "leafy_road.jpg"}, title="Tree-lined road with a cyclist ahead"),
        Example({"image": "junction.jpg"}, title="Wide junction with bare trees"),
    ),
    version="2",
    max_batch=4,
    live={"quality": FAST, "inside": False},
    similar=True,
    order=10,
    video=OverVideo(
        title="Street scene, video",
        summary="Colours a street video frame by frame, and draws each class's share of the picture over time.",
        picture="overlay",
        curve="legend",
        defaults={"quality": FAST},
        examples=(Example({"video": "drive.mp4"}, title="Three streets in ten seconds", picture="high_street.jpg"),),
    ),
)
