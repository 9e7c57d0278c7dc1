"""Cars, people and cyclists in a street photo: boxes around the connected regions that the street scene model finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hub.kit.layers import ASK, PICTURES
from hub.kit.regions import boxes_of_regions, probabilities
from hub.kit.segmentation import BEST, FAST, VIEWS, draw_inside, frame_item, infer_frames, load_frames
from hub.kit.sentences import joined, sentence
from hub.spec import Boxes, Choice, Choices, Demo, Example, ImageInput, Number, Slider, Weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from PIL import Image

KINDS = {"car": "car", "pedestrian": "person", "bicyclist": "cyclist"}  # class of the model -> label
COUNTED = {  # one, several
    "car": ("{number} car", "{number} cars"),
    "person": ("{number} person", "{number} people"),
    "cyclist": ("{number} cyclist", "{number} cyclists"),
}
LEAST, SMALLEST = 0.8, 0.2  # score; percent of the photo. The weights' card has the figures at these


def prepare(
    image: Image.Image,
    what: tuple[str, ...],
    least: float,
    smallest: float,
    quality: str,
    config: Mapping[str, Any],
    inside: bool = False,
) -> dict[str, Any]:
    return frame_item(image, config["_preprocessing"], VIEWS[quality], inside)


def present(
    output: dict[str, Any],
    image: Image.Image,
    what: tuple[str, ...],
    least: float,
    smallest: float,
    quality: str,
    config: Mapping[str, Any],
    inside: bool = False,
) -> dict[str, Any]:
    """Regions are found on the network's own grid: its edges are no finer, and boxes are the same for every size."""
    wanted = what or tuple(KINDS.values())
    numbers = {entry["name"]: number for number, entry in enumerate(config["_classes"])}
    labels = {numbers[name]: label for name, label in KINDS.items() if label in wanted}
    ids, sureness = probabilities(output["logits"])
    boxes = boxes_of_regions(ids, labels, image.size, smallest / 100, sureness)
    return {
        "objects": (image, [box for box in boxes if box["score"] >= least]),
        "inside": draw_inside(output, image, config),
    }


def headline(outputs: Mapping[str, Any]) -> str:
    """How many of each kind, the kinds in their usual order."""
    labels = [box["label"] for box in outputs["objects"][1]]
    counts = {label: labels.count(label) for label in KINDS.values() if label in labels}
    if not counts:
        return sentence("No cars, people or cyclists")
    return joined(sentence(COUNTED[label][count > 1], number=count) for label, count in counts.items())


DEMO = Demo(
    title="Street objects",
    summary="Finds cars, people and cyclists in a street photo, counts them and draws a box around each.",
    task="Object detection",
    inputs=(
        ImageInput("image", "Street photo", "Seen from a car, by day", webcam=True),
        Choices("what", "Look for", tuple(KINDS.values()), help="None ticked: all three"),
        Slider("least", "Least score", 0.0, 0.95, LEAST, 0.05, help="Lower finds more, also more that is not there"),
        Number("smallest", "Smallest object, % of the photo", SMALLEST, 0.02, 20, help="Smaller ones are left out"),
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
        Boxes("objects", "Objects", "What touches shares one box: parked cars in a row, people in a group"),
        PICTURES,
    ),
    load=load_frames,
    prepare=prepare,
    infer=infer_frames,
    present=present,
    headline=headline,
    weights=(Weights("camvid_segmentation"),),
    examples=(
        Example({"image": "junction.jpg"}, title="Wide junction with bare trees"),
        Example({"image": "leafy_road.jpg"}, title="Tree-lined road with a cyclist ahead"),
        Example({"image": "high_street.jpg"}, title="Shopping street with parked cars and a cyclist"),
    ),
    max_batch=4,
    live={"quality": FAST, "inside": False},
    similar=True,
    order=15,
)
