"""Faces in a photo: where they are, and each cut out upright, as a network for aligned faces wants it.

The detector is YuNet (yunet/README.md: source, licence, sha256); OpenCV runs it on the CPU. Its answer for a face, here
called a detection, is a row of 15 numbers: left, top, width, height of the box, then five points (x, y), then a score
from 0 to 1. The points are eyes, nose and corners of the mouth, each pair from left to right as the viewer has it.
Lengths are px of the photo, from its top left.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hub.errors import UnavailableError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

DETECTOR = Path(__file__).parent / "yunet" / "face_detection_yunet_2023mar.onnx"
SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
DETECTION = 15  # numbers

# The detector knows faces of 10 to 400 px: a coarse look finds those that fill the photo, a fine one those in a crowd.
# With a side of 32 px or less OpenCV returns chance numbers.
SIDES = (320, 1280)
MULTIPLE, LEAST_SIDE = 32, 64
OVERLAP = 0.3  # intersection over union from which two boxes are one face
SMALLEST = 24  # px of the photo from brow to chin: nobody can tell an age from less
MOST = 100  # faces; the largest are kept

# Where the detector puts its five points in a face as it is cut out (the frame goes from 0 to 1): medians over 2,400
# aligned pictures of UTKFace, which the bundled age model learned from.
TEMPLATE = ((0.287, 0.295), (0.688, 0.292), (0.483, 0.512), (0.321, 0.683), (0.664, 0.681))
SECOND_LOOK, FAINT_SCORE = 192, 0.3  # px of the square in which a face is looked at again, about 100 px high
OVERSAMPLING = 8  # a face is cut out at its own size, but at most so many times the wanted one


def detect(image: Image.Image, least_score: float) -> NDArray[Any]:
    """The faces of an RGB photo, largest first: float32 [faces, 15], one detection a row.

    Those lower than SMALLEST px, or with a score below `least_score` (0 to 1), are left out, and of more than MOST the
    smaller ones. Boxes end at the edge of the photo, points may lie beyond it. Raises UnavailableError for a detector
    file that is missing or damaged.
    """
    import cv2
    import numpy as np
    from PIL import Image

    longest = max(image.size)
    looks = [np.empty((0, DETECTION), np.float32)]
    for side in sorted({min(side, longest) for side in SIDES}):
        width, height = (max(1, round(length * side / longest)) for length in image.size)
        small = image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=3.0)
        to_photo = np.append(np.tile([image.width / width, image.height / height], 7), 1)
        looks.append((_run_detector(np.asarray(small), least_score) * to_photo).astype(np.float32))
    faces: NDArray[Any] = np.concatenate(looks)
    faces = faces[np.isfinite(faces).all(1) & (faces[:, 3] >= SMALLEST)]
    best = cv2.dnn.NMSBoxes(faces[:, :4].tolist(), faces[:, 14].tolist(), least_score, OVERLAP)
    faces = faces[np.asarray(best, int)]
    ends = np.clip(faces[:, :2] + faces[:, 2:4], 0, image.size)
    faces[:, :2] = np.clip(faces[:, :2], 0, image.size)
    faces[:, 2:4] = ends - faces[:, :2]
    largest = np.argsort(-faces[:, 2] * faces[:, 3], kind="stable")[:MOST]
    return faces.take(largest, axis=0)


def cut_out(image: Image.Image, detections: NDArray[Any], width: int, height: int) -> list[Image.Image]:
    """Each detected face [faces, 15] of an RGB photo upright as a picture of that size, as in UTKFace."""
    import numpy as np

    pixels = np.asarray(image)
    return [crop(pixels, upright_frame(pixels, face[4:14].reshape(5, 2)), width, height) for face in detections]


def upright_frame(pixels: NDArray[Any], points: NDArray[Any]) -> NDArray[Any]:
    """The `frame` [2, 3] of a face after a second look, with the face turned upright and at one size.

    `pixels`: the photo, uint8 [height, width, 3]; `points` [5, 2] of a detection in it. A tilted face needs the second
    look: in the whole photo the detector sees it straighter, larger and further aside than it is.
    """
    import numpy as np

    matrix = frame(points)
    wider = matrix @ np.array([[2, 0, -0.5], [0, 2, -0.5], [0, 0, 1]])
    faces = _run_detector(np.asarray(crop(pixels, wider, SECOND_LOOK, SECOND_LOOK)), FAINT_SCORE)
    off_centre = np.hypot(*(faces[:, :2] + faces[:, 2:4] / 2 - SECOND_LOOK / 2).T)
    if not len(faces) or off_centre.min() > SECOND_LOOK / 8:
        return matrix
    better = faces[off_centre.argmin(), 4:14].reshape(5, 2) / SECOND_LOOK
    return frame(better @ wider[:, :2].T + wider[:, 2])


def frame(points: NDArray[Any]) -> NDArray[Any]:
    """[2, 3]: from places in an upright face's frame (0 to 1) to px of the photo.

    It turns, scales and shifts so that TEMPLATE comes as close to `points` [5, 2] as it can, in least squares.
    """
    import numpy as np

    # As complex numbers: the turn and scale is one factor, and least squares has a closed form.
    source, target = (np.asarray(p, np.float64) @ (1, 1j) for p in (TEMPLATE, points))
    spread = source - source.mean()
    factor = np.vdot(spread, target) / np.vdot(spread, spread)
    shift = target.mean() - factor * source.mean()
    return np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]])


def crop(pixels: NDArray[Any], matrix: NDArray[Any], width: int, height: int) -> Image.Image:
    """A frame as a picture of that size. `pixels`: the photo, uint8 [height, width, 3]; beyond it, its edge goes on."""
    import cv2
    import numpy as np
    from PIL import Image

    # Cut at the face's own size, then shrunk as the training pictures were: a large face must not come out jagged.
    size = float(np.hypot(*matrix[:, 0]))
    times = float(np.clip(size / max(width, height), 1, OVERSAMPLING))
    inner = round(width * times), round(height * times)
    to_photo = matrix @ np.array([[1 / inner[0], 0, 0.5 / inner[0]], [0, 1 / inner[1], 0.5 / inner[1]], [0, 0, 1]])
    to_photo[:, 2] -= 0.5  # OpenCV counts from the middles of pixels
    upright = cv2.warpAffine(
        pixels,
        to_photo,
        inner,
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return Image.fromarray(upright).resize((width, height), Image.Resampling.BICUBIC)


def _run_detector(pixels: NDArray[Any], least_score: float) -> NDArray[Any]:
    """What the detector answers of a picture, uint8 [height, width, 3]: [faces, 15] in its px."""
    import cv2
    import numpy as np

    height, width = (max(LEAST_SIDE, -(-length // MULTIPLE) * MULTIPLE) for length in pixels.shape[:2])
    canvas = np.zeros((height, width, 3), np.uint8)
    canvas[: pixels.shape[0], : pixels.shape[1]] = pixels[:, :, ::-1]  # blue, green, red
    # Made anew each time, in 2 ms: a detector holds the picture's size, and threads must not share it.
    detector = cv2.FaceDetectorYN.create(
        "onnx", _network(), np.empty(0, np.uint8), (width, height), least_score, OVERLAP
    )
    _, faces = detector.detect(canvas)
    return np.empty((0, DETECTION), np.float32) if faces is None else np.asarray(faces)


@cache
def _network() -> NDArray[Any]:
    """The bytes of the detector's file, read and checked once."""
    import numpy as np

    try:
        content = DETECTOR.read_bytes()
    except OSError:
        content = b""
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise UnavailableError(
            "The file of the face detector is missing or damaged: {path}. Install the hub anew.", path=DETECTOR
        )
    return np.frombuffer(content, np.uint8)
