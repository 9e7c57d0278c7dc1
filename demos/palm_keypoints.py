"""A palm: twelve points (finger tips, finger bases, heart line), finger lengths, left or right hand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from hub.images import normalise
from hub.kit.drawing import Drawing
from hub.kit.networks import segmenter
from hub.spec import Choice, Demo, Example, ImageInput, ImageOutput, Json, Labels, Weights
from hub.texts import joined, sentence

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    import torch
    from numpy.typing import NDArray
    from PIL import Image
    from torch import nn

FAST, BEST = "fast", "best"
# Views of the hand (turned by degrees, enlarged by); the median of their points counts. A little room around the hand
# helps: on 16 validation photos the error was 2.18 px in a view of 0.94, 2.07 in one of 0.84, 1.96 with these four.
VIEWS = {FAST: ((0.0, 0.84),), BEST: ((0.0, 0.94), (0.0, 0.74), (-15.0, 0.84), (15.0, 0.84))}
NARROWEST, WIDEST = 1.0, 1.6  # shapes of a view, width to height, that the network knows from training
# Where a hand lies in a training picture: from the middle of the bases to the middle of the tips it is REACH half
# widths to the left, and the bases' middle is at BASES (in half widths and heights).
REACH, BASES, ASPECT = 0.72, (-0.075, -0.29), 1.26
MOST_TURN, LEAST_SIZE = 20.0, 0.5  # a hand turned by more degrees, or smaller, gets a view of its own
LONGEST = 2048  # px: the drawing of a large photo is made smaller, so that it can be looked at

FINGERS = {"index": "Index", "middle": "Middle", "ring": "Ring", "pinky": "Little"}
COLOURS = {"index": "#3ec1ff", "middle": "#5ee36a", "ring": "#ffd43b", "pinky": "#d08bff", "heart": "#ff5964"}
DARK, LIGHT = "#10151c", "#ffffff"
RATIOS = (
    ("Index : ring (2D:4D)", "index", "ring"),
    ("Index : middle", "index", "middle"),
    ("Little : ring", "pinky", "ring"),
)
LEFT, RIGHT, NONE = "Left hand", "Right hand", "No open palm"
NOT_FOUND = "No open palm found: one hand, palm to the camera, fingers spread"
UNSURE = 0.15  # of a finger's mean length: a point whose views are further apart than that is not sure
HOLLOW, TWO, CUT = "hollow points are not sure", "there may be two hands: show one", "the photo cuts the hand off"


def load(folder: Path, device: torch.device) -> nn.Module:
    return segmenter(folder)


def prepare(image: Image.Image, quality: str, config: Mapping[str, Any]) -> dict[str, Any]:
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
    }


# --- views ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class View:
    """A rectangle on the photo as the network sees it; lengths in px of the photo, `turn` in degrees clockwise."""

    x: float  # its middle
    y: float
    half_width: float
    half_height: float
    turn: float = 0.0
    mirrored: bool = False  # top to bottom, before it is turned: what makes a right hand a left one

    def matrix(self) -> NDArray[Any]:
        """[2, 3]: from places in the view, -1 to 1 between its edges, to px of the photo."""
        import numpy as np

        cos, sin = np.cos(np.radians(self.turn)), np.sin(np.radians(self.turn))
        half_height = -self.half_height if self.mirrored else self.half_height
        return np.array(
            [[cos * self.half_width, -sin * half_height, self.x], [sin * self.half_width, cos * half_height, self.y]]
        )

    def to_photo(self, places: NDArray[Any]) -> NDArray[Any]:
        """[n, 2] in the view -> [n, 2] in px of the photo."""
        matrix = self.matrix()
        pixels: NDArray[Any] = places @ matrix[:, :2].T + matrix[:, 2]
        return pixels

    def varied(self, turn: float, zoom: float) -> View:
        half_width, half_height = self.half_width / zoom, self.half_height / zoom
        return replace(self, half_width=half_width, half_height=half_height, turn=self.turn + turn)


def poses(width: float, height: float) -> list[View]:
    """The whole photo in four quarter turns, then the same mirrored; padded where it would be too narrow or wide."""
    views = []
    for mirrored in (False, True):
        for quarter in range(4):
            across, down = (width / 2, height / 2) if quarter % 2 == 0 else (height / 2, width / 2)
            across, down = max(across, down * NARROWEST), max(down, across / WIDEST)
            views.append(View(width / 2, height / 2, across, down, 90.0 * quarter, mirrored))
    return views


def refit(view: View, points: NDArray[Any], names: Sequence[str]) -> View:
    """The view again, or one in which the hand lies as in training if here it is turned or small. `points` in px."""
    import numpy as np

    tips, bases = (
        points[[number for number, name in enumerate(names) if name.startswith(part)]].mean(0)
        for part in ("tip", "base")
    )
    ahead = tips - bases
    half_width = max(float(np.hypot(*ahead)) / REACH, 1.0)
    turn = float(np.degrees(np.arctan2(-ahead[1], -ahead[0])))  # fingers point left in a view
    off = (turn - view.turn + 180) % 360 - 180
    if abs(off) <= MOST_TURN and half_width >= LEAST_SIZE * view.half_width:
        return view
    centred = View(0, 0, half_width, half_width / ASPECT, turn, view.mirrored)
    x, y = bases - centred.to_photo(np.array([BASES]))[0]
    return replace(centred, x=float(x), y=float(y))


def cut(canvas: torch.Tensor, size: NDArray[Any], views: Sequence[View], height: int, width: int) -> torch.Tensor:
    """The views [n, 3, height, width] of one photo's canvas; what lies outside of the photo repeats its edge."""
    import numpy as np
    import torch

    to_canvas = np.array([2, 2]) / size
    theta = np.stack([view.matrix() * to_canvas[:, None] for view in views])
    theta[:, :, 2] -= 1
    grid = torch.nn.functional.affine_grid(
        torch.from_numpy(theta).to(canvas), [len(views), 3, height, width], align_corners=False
    )
    source = canvas.expand(len(views), -1, -1, -1)
    return torch.nn.functional.grid_sample(source, grid, padding_mode="border", align_corners=False)


# --- the model ------------------------------------------------------------------------------------


def infer(model: Any, items: list[dict[str, Any]], config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """First which way up and which hand, from small views of all photos; then the points, from large ones.

    `points` [12, 2] and `per_view` [views, 12, 2] are in px of the photo, `logits` are those of a left and a right
    hand, `embedding` are the deepest features of the plain view, averaged over the picture.
    """
    import numpy as np
    import torch

    parameter = next(model.parameters())
    height, width = config["_preprocessing"]["height"], config["_preprocessing"]["width"]
    canvases = torch.from_numpy(np.stack([item["canvas"] for item in items])).to(parameter.device)
    small = torch.nn.functional.avg_pool2d(canvases, 2)
    sizes = [item["size"] for item in items]
    tried = [poses(*size) for size in sizes]
    crops = [
        cut(canvas, size, views, height // 2, width // 2)
        for canvas, size, views in zip(small, sizes, tried, strict=True)
    ]
    first = model.classification_head(_features(model, crops)[-1]).float().cpu().numpy().reshape(len(items), 8, -1)
    chosen = []
    for size_views, answers, item in zip(tried, first, items, strict=True):
        number = int(answers[:, -1].argmax())
        view = size_views[number]
        coarse = view.to_photo(np.tanh(answers[number, :-1].astype(np.float64)).reshape(-1, 2))
        base = refit(view, coarse, config["_points"])
        chosen.append([base.varied(turn, zoom) for turn, zoom in item["views"]])
    crops = [
        cut(canvas, size, views, height, width) for canvas, size, views in zip(canvases, sizes, chosen, strict=True)
    ]
    features = _features(model, crops)
    heat = model.segmentation_head(model.decoder(features)).float()
    places = expectation(heat)[0].cpu().numpy().astype(np.float64).reshape(len(items), -1, heat.shape[1], 2)
    embeddings = features[-1].float().mean((2, 3)).cpu().numpy().reshape(len(items), places.shape[1], -1)
    outputs = []
    for views, seen, answers, embedding in zip(chosen, places, first, embeddings, strict=True):
        per_view = np.stack([view.to_photo(points) for view, points in zip(views, seen, strict=True)])
        outputs.append(
            {
                "points": np.median(per_view, axis=0),
                "per_view": per_view,
                "logits": answers[:, -1].reshape(2, 4).max(1),
                "embedding": embedding[0],
            }
        )
    return outputs


def _features(model: Any, crops: list[torch.Tensor]) -> Any:
    import torch

    batch = torch.cat(crops).to(next(model.parameters()).dtype)
    return model.encoder(batch.contiguous(memory_format=torch.channels_last))


def expectation(heat: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Heat maps [n, points, height, width] -> mean places and standard deviations, [n, points, 2] in -1 to 1."""
    import torch

    shares = heat.flatten(2).softmax(2).view_as(heat)
    found = []
    for axis, other in ((3, 2), (2, 3)):
        count = heat.shape[axis]
        places = (torch.arange(count, device=heat.device) * 2 + 1) / count - 1
        line = shares.sum(other)
        mean = line @ places
        found.append((mean, (line @ places.square() - mean.square()).clamp(min=1e-8).sqrt()))
    (x, x_spread), (y, y_spread) = found
    return torch.stack([x, y], -1), torch.stack([x_spread, y_spread], -1)


# --- what people see ------------------------------------------------------------------------------


def present(output: dict[str, Any], image: Image.Image, quality: str, config: Mapping[str, Any]) -> dict[str, Any]:
    import numpy as np

    # Three classes, of which "no hand" wins when neither hand's sigmoid reaches the least presence.
    none = np.log(config["_min_presence"] / (1 - config["_min_presence"]))
    odds = np.exp(np.clip(np.append(output["logits"], none), -30, 30))
    shares = dict(zip((LEFT, RIGHT, NONE), map(float, odds / odds.sum()), strict=True))
    if max(shares[LEFT], shares[RIGHT]) < shares[NONE]:
        return {"overlay": (reduced(image), NOT_FOUND), "hand": shares, "points": [], "fingers": [], "ratios": []}
    names = config["_points"]
    points = dict(zip(names, output["points"], strict=True))
    per_view = [dict(zip(names, view, strict=True)) for view in output["per_view"]]
    length = lengths(points)
    finger = float(np.mean(list(length.values())))
    rows, unsure = [], set()
    for name, (x, y) in points.items():
        row: dict[str, Any] = {
            "colour": COLOURS[part(name)],
            "point": title(name),
            "x_px": round(float(x), 1),
            "y_px": round(float(y), 1),
        }
        if len(per_view) > 1:
            apart = [((view[name] - points[name]) ** 2).sum() for view in per_view]
            row["spread_px"] = round(float(np.sqrt(np.mean(apart))), 1)
            if row["spread_px"] > UNSURE * finger:
                unsure.add(name)
        rows.append(row)
    remarks = {
        HOLLOW: bool(unsure),
        TWO: min(shares[LEFT], shares[RIGHT]) > shares[NONE],
        CUT: any(not (0 <= x < image.width and 0 <= y < image.height) for x, y in points.values()),
    }
    hand = RIGHT if shares[RIGHT] > shares[LEFT] else LEFT
    return {
        "overlay": (drawn(image, points, unsure), joined([hand, *filter(remarks.get, remarks)])),
        "hand": shares,
        "points": rows,
        "fingers": finger_rows(length),
        "ratios": ratio_rows(length, [lengths(view) for view in per_view]),
    }


def part(name: str) -> str:
    """`index` of `tip_index`, `heart` of `heart_1`."""
    return "heart" if name.startswith("heart") else name.split("_")[1]


def title(name: str) -> str:
    """`Index tip` of `tip_index`, `Heart line 1` of `heart_1`."""
    kind, which = name.split("_")
    if kind == "heart":
        return sentence("Heart line {number}", number=which)
    return sentence("{finger} tip" if kind == "tip" else "{finger} base", finger=sentence(FINGERS[which]))


def lengths(points: Mapping[str, NDArray[Any]]) -> dict[str, float]:
    """From crease to tip, in px."""
    import numpy as np

    return {
        finger: max(float(np.hypot(*(points[f"tip_{finger}"] - points[f"base_{finger}"]))), 1e-6) for finger in FINGERS
    }


def finger_rows(length: Mapping[str, float]) -> list[dict[str, Any]]:
    return [
        {
            "colour": COLOURS[finger],
            "finger": name,
            "length_px": round(length[finger], 1),
            "of_middle_percent": round(100 * length[finger] / length["middle"], 1),
        }
        for finger, name in FINGERS.items()
    ]


def ratio_rows(length: Mapping[str, float], per_view: Sequence[Mapping[str, float]]) -> list[dict[str, Any]]:
    import numpy as np

    rows = []
    for name, one, other in RATIOS:
        row = {"ratio": name, "value": round(length[one] / length[other], 3)}
        if len(per_view) > 1:
            row["spread"] = round(float(np.std([view[one] / view[other] for view in per_view])), 3)
        rows.append(row)
    return rows


def reduced(image: Image.Image) -> Image.Image:
    """The photo, at most LONGEST px long."""
    scale = min(1.0, LONGEST / max(image.size))
    return (
        image if scale == 1 else image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    )


def drawn(image: Image.Image, points: Mapping[str, NDArray[Any]], unsure: Collection[str] = ()) -> Image.Image:
    """Fingers and heart line over the photo, each with its name; points that are not sure are hollow."""
    import numpy as np

    small = reduced(image)
    place = {name: point * (np.array(small.size) / image.size) for name, point in points.items()}
    middle = float(np.mean([np.hypot(*(place[f"tip_{f}"] - place[f"base_{f}"])) for f in FINGERS]))
    longest = max(small.size)
    width = float(np.clip(middle / 50, longest / 500, longest / 170))  # half a line's width
    size = float(np.clip(middle / 11, longest / 52, longest / 29))  # of the letters
    drawing = Drawing(small)
    chains = {finger: [f"base_{finger}", f"tip_{finger}"] for finger in FINGERS}
    chains["heart"] = [name for name in points if part(name) == "heart"]
    for edge, colours in ((1.5, dict.fromkeys(chains, DARK)), (0.0, COLOURS)):  # a dark edge, readable on any skin
        for which, names in chains.items():
            for start, end in pairwise(names):
                drawing.line(place[start], place[end], 0.7 * width + edge, colours[which])
    for which, names in chains.items():
        for name in names:
            inner = DARK if name in unsure else COLOURS[which]
            for radius, colour in ((2.0 * width + 1.5, DARK), (2.0 * width, LIGHT), (1.3 * width, inner)):
                drawing.dot(place[name], radius, colour)
    for which, names in chains.items():
        # Beyond the finger tip; for the heart line, beyond its end at the edge of the hand.
        end, before = (names[0], names[1]) if which == "heart" else (names[1], names[0])
        text = FINGERS.get(which, "Heart line")
        drawing.name(text, place[end], place[end] - place[before], 3.5 * width, size, (COLOURS[which], DARK))
    return drawing.image


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
    ),
    outputs=(
        ImageOutput("overlay", "Points", "At most 2048 px long", format="jpeg"),
        Labels("hand", "Hand", "Which hand it is, or that none is seen", top=3),
        Json("fingers", "Finger lengths", "From crease to tip, in px of the photo", table=True),
        Json("ratios", "Ratios", "Of finger lengths; index : ring is known as 2D:4D", table=True),
        Json("points", "Points", "In px of the photo from its top left; spread: how far views are apart", table=True),
    ),
    load=load,
    prepare=prepare,
    infer=infer,
    present=present,
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
    live={"quality": FAST},
    similar=True,
    order=15,
)
