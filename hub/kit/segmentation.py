"""Segmentation networks of smp on photos of any shape: several views of one, and class ids at the photo's own size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hub.images import normalise
from hub.kit.heat_maps import map_of_class
from hub.kit.layers import add_layers, draw_layers
from hub.kit.networks import own_method, scores_and_deepest, segmenter
from hub.texts import sentence

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from PIL import Image
    from torch import Tensor, nn

BEST, FAST = "best", "fast"
# Test-time augmentation: the probabilities of these views are averaged. Each is (scale, mirrored).
VIEWS = {BEST: ((1.0, 0.0), (1.0, 1.0), (1.25, 0.0), (1.25, 1.0)), FAST: ((1.0, 0.0),)}
STRIP = 32  # rows of the photo that are worked on at a time
COUNTED = 480  # places a side
FEW = 4  # pixels of the photo to a place of the network's grid and side: with fewer, most cells lie at an edge
FINE = 8  # px of the picture a side that a place of a map stands for, where its edge is cut off
SURE = 2.0**-20  # of the largest score: a lead that no rounding turns into a tie


def size_of_area(size: tuple[int, int], area: int) -> tuple[int, int]:
    """Width and height with the shape of `size`, whatever it is, and about `area` pixels."""
    scale = (area / (size[0] * size[1])) ** 0.5
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def frame_item(
    image: Image.Image, settings: Mapping[str, Any], views: Sequence[tuple[float, float]], inside: bool = False
) -> dict[str, Any]:
    """`pixels` [3, height, width] in the photo's own shape, with the area of a training frame; `views` [views, 2].

    `inside`: whether the network is looked into (hub/kit/layers.py).

    The number of views is part of the item's shape, so runs with few and with many views never share a batch.
    """
    from PIL import Image

    size = size_of_area(image.size, settings["width"] * settings["height"])
    if image.size != size:
        image = image.resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0)
    pixels = normalise(image, settings["mean"], settings["std"])
    return {"pixels": pixels, "views": np.array(views, np.float32), "inside": inside}


def load_frames(folder: Path, device: torch.device) -> nn.Module:
    """`load` of every page over such a network: pages with the same `load` and `infer` share one model."""
    return segmenter(folder)


def infer_frames(model: Any, items: Sequence[Mapping[str, Any]], config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """`infer` of these pages, on items of `frame_item`.

    `logits` [classes, height, width]: logarithms of the views' summed probabilities, at the item's own size.
    `embedding` [features]: the deepest features of the first view, averaged over it; whatever the number of views.
    """
    import torch

    multiple = config["_preprocessing"]["multiple"]

    batch = torch.from_numpy(np.stack([item["pixels"] for item in items])).to(next(model.parameters()))
    logits, features = look_at_views(model, batch, items[0]["views"].tolist(), multiple)
    pairs = zip(logits.cpu().numpy(), features.cpu().numpy(), strict=True)
    answers = [{"logits": one, "embedding": embedding} for one, embedding in pairs]
    asked = [item["pixels"] if item.get("inside") else None for item in items]
    add_layers(
        model,
        answers,
        asked,
        lambda model, pixels: scores_and_deepest(model, _padded(pixels, multiple)),
        [partial(_map_unpadded, multiple=multiple, logits=answer["logits"]) for answer in answers],
    )
    return answers


def look_at_views(
    model: Any, batch: Tensor, views: Sequence[tuple[float, float]], multiple: int
) -> tuple[Tensor, Tensor]:
    """Logarithms of the summed probabilities of all views, [n, classes, height, width], and features [n, features].

    `batch` [n, 3, height, width]; `views`: (scale, mirrored) of each; `multiple`: what sides are to be multiples
    of. The features are the deepest ones of the first view, averaged over the picture.
    """
    import torch

    answers = [_look(model, batch, scale, bool(mirrored), multiple) for scale, mirrored in views]
    logits = answers[0][0] if len(answers) == 1 else torch.stack([scores for scores, _ in answers]).logsumexp(0)
    return logits, answers[0][1]


def _look(model: Any, batch: Tensor, scale: float, mirrored: bool, multiple: int) -> tuple[Tensor, Tensor]:
    """One view of a batch [n, 3, height, width]: log probabilities [n, classes, height, width] and features [n, f].

    Sides are padded to what the network divides by, with the photo's own edge, and cut again.
    """
    import torch
    from torch.nn.functional import interpolate, log_softmax

    size = batch.shape[2:]
    height, width = (round(side * scale) for side in size)
    view = batch if scale == 1 else interpolate(batch, (height, width), mode="bilinear", align_corners=False)
    view = view.flip(3) if mirrored else view
    view = _padded(view, multiple)
    scores, deepest = own_method(model, scores_and_deepest)(view.contiguous(memory_format=torch.channels_last))
    logits = scores.float()[:, :, :height, :width]
    logits = logits.flip(3) if mirrored else logits
    logits = logits if scale == 1 else interpolate(logits, size, mode="bilinear", align_corners=False)
    return log_softmax(logits, 1), deepest.float().mean((2, 3))


def draw_inside(
    answer: Mapping[str, Any], image: Image.Image, config: Mapping[str, Any]
) -> list[tuple[Image.Image, str]] | None:
    """As `draw_layers`; the last picture says which class it speaks for: the one that takes most of the photo."""
    if "layers" not in answer:
        return None
    name = config["_classes"][_largest(answer["logits"])]["name"]
    caption = sentence("What speaks for {label}", label=sentence(name))
    return draw_layers(answer, image, config["_preprocessing"], caption)


def _largest(logits: NDArray[Any]) -> int:
    return int(np.bincount(logits.argmax(0).ravel()).argmax())


def _map_unpadded(
    model: Any, pixels: Tensor, passed: Any, *, multiple: int, logits: NDArray[Any]
) -> NDArray[np.float32]:
    """As `map_of_class`, less what lies beside the picture."""
    import torch
    from torch.nn.functional import interpolate

    padded = _padded(pixels, multiple)
    cam = map_of_class(model, padded, _largest(logits))
    height, width = (-(-side // FINE) for side in pixels.shape[2:])  # a strip has one at least
    finer = tuple(side // FINE for side in padded.shape[2:])
    enlarged = interpolate(torch.from_numpy(cam)[None, None], finer, mode="bilinear")[0, 0, :height, :width]
    return enlarged.numpy()


def _padded(view: Tensor, multiple: int) -> Tensor:
    from torch.nn.functional import pad

    height, width = view.shape[2:]
    return pad(view, (0, -width % multiple, 0, -height % multiple), mode="replicate")


def best_class(logits: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """The strongest class at the photo's own size (width, height), uint8 [height, width].

    `logits`: float32 [classes, rows, columns] of any size, laid over the whole photo.

    Scores are enlarged, not class ids, so that edges stay smooth; a few rows at a time, so that a large photo
    needs little memory and the rows stay in the processor's cache.
    """
    from PIL import Image

    width, height = size
    rows, columns = logits.shape[1:]
    if (columns, rows) == size:
        ids: NDArray[Any] = logits.argmax(0).astype(np.uint8)
        return ids
    large = width >= FEW * columns and height >= FEW * rows
    fill = _Cells(logits, width).fill if large else partial(_compare_all, [Image.fromarray(plane) for plane in logits])
    mask = np.zeros((height, width), np.uint8)
    share = rows / height
    for top in range(0, height, STRIP):
        strip = mask[top : top + STRIP]
        fill(strip, top * share, (top + len(strip)) * share)
    return mask


def count_regions(there: NDArray[np.bool_], least: float = 0.002) -> int:
    """How many connected regions of a mask [height, width] take at least `least` of the picture.

    A grid of about COUNTED places a side is looked at, and gaps of one place are closed: speckles and seams are none.
    """
    import cv2

    step = max(1, max(there.shape) // COUNTED)
    coarse = np.ascontiguousarray(there[::step, ::step], np.uint8)
    closed = cv2.morphologyEx(coarse, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    _, _, facts, _ = cv2.connectedComponentsWithStats(closed, connectivity=8)
    return int((facts[1:, cv2.CC_STAT_AREA] >= least * coarse.size).sum())


def _compare_all(planes: Sequence[Image.Image], strip: NDArray[Any], start: float, end: float) -> None:
    """Writes the strongest class of each pixel of a strip, which lies over the rows from `start` to `end`."""
    from PIL.Image import Resampling

    best = np.full(strip.shape, -np.inf, np.float32)
    for number, plane in enumerate(planes):
        enlarged = np.asarray(plane.resize(strip.shape[::-1], Resampling.BILINEAR, (0, start, plane.width, end)))
        np.copyto(strip, number, where=enlarged > best)
        np.maximum(best, enlarged, out=best)


class _Cells:
    """The same mask in a tenth of the time, for photos much larger than the network's grid.

    A cell is what lies between four neighbours on the grid. Where one class leads at all four, it leads in the whole
    cell: nothing need be enlarged there. Only where it does not are scores enlarged, to the last bit as Pillow does.
    """

    def __init__(self, logits: NDArray[Any], width: int):
        self.logits = logits
        self.across = _between(logits.shape[2], 0, logits.shape[2], width)
        second, first = np.partition(logits, -2, axis=0)[-2:]
        self.ids = logits.argmax(0).astype(np.uint8)
        unsure = ~(first - second > SURE * np.abs(logits).max())
        down, right = (np.minimum(np.arange(count) + 1, count - 1) for count in self.ids.shape)
        for other in (self.ids[down], self.ids[:, right], self.ids[down][:, right]):
            unsure |= other != self.ids
        for axis, following in ((0, down), (1, right)):
            unsure |= unsure.take(following, axis)
        self.unsure = unsure

    def fill(self, strip: NDArray[Any], start: float, end: float) -> None:
        """As `_compare_all`."""
        along, across = _between(self.logits.shape[1], start, end, len(strip)), self.across
        edges = [0, *np.flatnonzero(np.diff(along.low)) + 1, len(strip)]
        for top, bottom in pairwise(edges):  # rows between the same two of the grid
            row, rows = along.low[top], slice(top, bottom)
            strip[rows] = self.ids[row][across.low]
            undecided = np.flatnonzero(self.unsure[row][across.low])
            near = self.logits[:, [row, along.high[bottom - 1]]]
            left, right = near[:, :, across.low[undecided]], near[:, :, across.high[undecided]]
            scores = (left * across.low_share[undecided] + right * across.high_share[undecided]).astype(np.float32)
            best = np.full((bottom - top, len(undecided)), -np.inf, np.float32)
            ids = np.zeros(best.shape, np.uint8)
            for number, (above, below) in enumerate(scores):
                blended = above * along.low_share[rows, None] + below * along.high_share[rows, None]
                enlarged = blended.astype(np.float32)
                np.copyto(ids, number, where=enlarged > best)
                np.maximum(best, enlarged, out=best)
            strip[rows, undecided] = ids


@dataclass(frozen=True, slots=True)
class _Between:
    """For each of many pixels in a line: the two places of the grid it lies between, and what each counts."""

    low: NDArray[Any]
    high: NDArray[Any]  # at the ends of the grid the same as `low`
    low_share: NDArray[Any]
    high_share: NDArray[Any]


def _between(count: int, start: float, end: float, pixels: int) -> _Between:
    """`pixels` over the part from `start` to `end` of `count` places, as Pillow's enlarging filter lays them."""
    first, last = np.float32(start), np.float32(end)  # Pillow keeps a box in single precision, all else in double
    middles = float(first) + (np.arange(pixels) + 0.5) * (float(last - first) / pixels)
    low = np.maximum(middles - 0.5, 0).astype(int)
    high = np.minimum((middles + 1.5).astype(int), count) - 1
    low_share = 1 - np.abs(low - middles + 0.5)
    high_share = np.where(high > low, 1 - np.abs(high - middles + 0.5), 0)
    total = low_share + high_share
    return _Between(low, high, low_share / total, high_share / total)
