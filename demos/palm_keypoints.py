"""A palm: twelve points (finger tips, finger bases, heart line), finger lengths, left or right hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hub.images import normalise, shrink
from hub.kit.hands import draw_hand, finger_rows, lengths, point_rows, ratio_rows
from hub.kit.heat_maps import map_of_points
from hub.kit.layers import ASK, PICTURES, add_layers, draw_layers
from hub.kit.networks import scores_and_deepest, segmenter
from hub.kit.sentences import joined, sentence
from hub.kit.views import cut, find_hands, find_points
from hub.spec import Choice, Demo, Example, ImageInput, ImageOutput, Json, Labels, Weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch
    from PIL import Image
    from torch import nn

FAST, BEST = "fast", "best"
# Views of the hand (turned by degrees, enlarged by); the median of their points counts. A little room around the hand
# helps: on 16 validation photos the error was 2.18 px in a view of 0.94, 2.07 in one of 0.84, 1.96 with these four.
VIEWS = {FAST: ((0.0, 0.84),), BEST: ((0.0, 0.94), (0.0, 0.74), (-15.0, 0.84), (15.0, 0.84))}
LEFT, RIGHT, NONE = "Left hand", "Right hand", "No open palm"
NOT_FOUND = "No open palm found: one hand, palm to the camera, fingers spread"
HOLLOW, TWO, CUT = "hollow points are not sure", "there may be two hands: show one", "the photo cuts the hand off"


def load(folder: Path, device: torch.device) -> nn.Module:
    return segmenter(folder)


def prepare(image: Image.Image, quality: str, config: Mapping[str, Any], inside: bool = False) -> dict[str, Any]:
    """The whole photo squashed to the network's sides (swapped if it stands upright), its true size and the views.

    The squash is undone where views are cut, so that two shapes are enough for all photos to share batches.
    """
    import numpy as np
    from PIL import Image

    settings = config["_preprocessing"]
    sides = settings["width"], settings["height"]
    canvas = image.resize(sides if image.width >= image.height else sides[::-1], Image.Resampling.BILINEAR)
    return {
        "canvas": normalise(canvas, settings["mean"], settings["std"]),
        "size": np.array(image.size, np.float64),
        "views": np.array(VIEWS[quality], np.float64),
        "inside": inside,
    }


def infer(model: Any, items: list[dict[str, Any]], config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """First which way up and which hand, from small views of all photos; then the points, from large ones.

    `points` [12, 2] and `per_view` [views, 12, 2] are in px of the photo, `logits` are those of a left and a right
    hand, `embedding` are the deepest features of the plain view, averaged over the picture.
    """
    import numpy as np
    import torch

    canvases = torch.from_numpy(np.stack([item["canvas"] for item in items])).to(next(model.parameters()).device)
    sizes = [item["size"] for item in items]
    shape = config["_preprocessing"]["height"], config["_preprocessing"]["width"]
    hands, logits = find_hands(model, canvases, sizes, shape, config["_points"])
    views = [[hand.varied(*change) for change in item["views"]] for hand, item in zip(hands, items, strict=True)]
    points, embeddings = find_points(model, canvases, sizes, shape, views)
    answers: list[dict[str, Any]] = [
        {"points": np.median(per_view, axis=0), "per_view": per_view, "logits": both, "embedding": embedding}
        for per_view, both, embedding in zip(points, logits, embeddings, strict=True)
    ]
    asked = [
        cut(canvas, size, own[:1], *shape)[0].cpu().numpy() if item["inside"] else None
        for canvas, size, own, item in zip(canvases, sizes, views, items, strict=True)
    ]
    add_layers(model, answers, asked, scores_and_deepest, map_of_points)
    return answers


def present(
    output: dict[str, Any], image: Image.Image, quality: str, config: Mapping[str, Any], inside: bool = False
) -> dict[str, Any]:
    import numpy as np

    # Three classes, of which "no hand" wins when neither hand's sigmoid reaches the least presence.
    none = np.log(config["_min_presence"] / (1 - config["_min_presence"]))
    odds = np.exp(np.clip(np.append(output["logits"], none), -30, 30))
    shares = dict(zip((LEFT, RIGHT, NONE), map(float, odds / odds.sum()), strict=True))
    layers = {"inside": draw_layers(output, None, config["_preprocessing"])}
    if max(shares[LEFT], shares[RIGHT]) < shares[NONE]:
        nothing: dict[str, Any] = {"points": [], "fingers": [], "ratios": []}
        return {"overlay": (shrink(image), NOT_FOUND), "hand": shares, **nothing, **layers}
    names = config["_points"]
    points = dict(zip(names, output["points"], strict=True))
    per_view = [dict(zip(names, view, strict=True)) for view in output["per_view"]]
    length = lengths(points)
    rows, unsure = point_rows(points, per_view)
    remarks = {
        HOLLOW: bool(unsure),
        TWO: min(shares[LEFT], shares[RIGHT]) > shares[NONE],
        CUT: any(not (0 <= x < image.width and 0 <= y < image.height) for x, y in points.values()),
    }
    hand = RIGHT if shares[RIGHT] > shares[LEFT] else LEFT
    return {
        "overlay": (draw_hand(image, points, unsure), joined([hand, *filter(remarks.get, remarks)])),
        "hand": shares,
        "points": rows,
        "fingers": finger_rows(length),
        "ratios": ratio_rows(length, [lengths(view) for view in per_view]),
        **layers,
    }


def headline(outputs: Mapping[str, Any]) -> str:
    shares, points = outputs["hand"], outputs["points"]
    if not points:
        return sentence("No open palm found")
    hand = RIGHT if shares[RIGHT] > shares[LEFT] else LEFT
    return sentence("{hand}, {number} points", hand=sentence(hand), number=len(points))


DEMO = Demo(
    title="Palm keypoints",
    summary="Finds finger tips, finger bases and the heart line on a palm; measures the fingers.",
    task="Keypoint detection",
    inputs=(
        ImageInput("image", "Photo of a palm", "One hand, palm to the camera, fingers spread", webcam=True),
        Choice(
            "quality",
            "Quality",
            (BEST, FAST),
            default=BEST,
            help="best: the median of four slightly different views, and how far they are apart; fast: one view",
        ),
        ASK,
    ),
    outputs=(
        ImageOutput("overlay", "Points", "At most 2048 px long", format="jpeg"),
        Labels("hand", "Hand", "Which hand it is, or that none is seen", top=3),
        Json("fingers", "Finger lengths", "From crease to tip, in px of the photo", table=True),
        Json("ratios", "Ratios", "Of finger lengths; index : ring is known as 2D:4D", table=True),
        Json(
            "points",
            "Points",
            "In px of the photo from its top left; spread: how far views are apart",
            table=True,
            folded=True,
        ),
        PICTURES,
    ),
    load=load,
    prepare=prepare,
    infer=infer,
    present=present,
    headline=headline,
    names={"of middle percent": "Compared with the middle finger (%)", "length px": "Length (px)"},
    weights=(Weights("palm_keypoints"),),
    examples=(
        Example({"image": "left_palm.jpg"}, title="Left hand, fingers to the left"),
        Example({"image": "right_palm.jpg"}, title="Right hand, upright"),
        Example({"image": "left_on_wood.jpg"}, title="Left hand on a wooden table"),
        Example({"image": "right_downwards.jpg"}, title="Right hand, fingers down"),
        Example({"image": "fork.jpg"}, title="A fork: no hand"),
    ),
    note="One hand, palm to the camera, fingers spread. Any way up, left or right.",
    max_batch=4,
    live={"quality": FAST, "inside": False},
    similar=True,
    order=15,
)
