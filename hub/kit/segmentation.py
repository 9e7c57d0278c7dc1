"""Segmentation networks of smp on photos of any shape: several views of one, and class ids at the photo's own size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hub.kit.networks import own_method, scores_and_deepest

if TYPE_CHECKING:
    from torch import Tensor

STRIP = 32  # rows of the photo that are worked on at a time


def size_of_area(size: tuple[int, int], area: int) -> tuple[int, int]:
    """Width and height with the shape of `size`, whatever it is, and about `area` pixels."""
    scale = (area / (size[0] * size[1])) ** 0.5
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


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
    from torch.nn.functional import interpolate, log_softmax, pad

    size = batch.shape[2:]
    height, width = (round(side * scale) for side in size)
    view = batch if scale == 1 else interpolate(batch, (height, width), mode="bilinear", align_corners=False)
    view = view.flip(3) if mirrored else view
    view = pad(view, (0, -width % multiple, 0, -height % multiple), mode="replicate")
    scores, deepest = own_method(model, scores_and_deepest)(view.contiguous(memory_format=torch.channels_last))
    logits = scores.float()[:, :, :height, :width]
    logits = logits.flip(3) if mirrored else logits
    logits = logits if scale == 1 else interpolate(logits, size, mode="bilinear", align_corners=False)
    return log_softmax(logits, 1), deepest.float().mean((2, 3))


def best_class(logits: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """The strongest class at the photo's own size (width, height), uint8 [height, width].

    `logits`: float32 [classes, rows, columns] of any size, laid over the whole photo.

    Scores are enlarged, not class ids, so that edges stay smooth; a few rows at a time, so that a large photo
    needs little memory and the rows stay in the processor's cache.
    """
    from PIL import Image

    if logits.shape[:0:-1] == size:
        ids: NDArray[Any] = logits.argmax(0).astype(np.uint8)
        return ids
    width, height = size
    planes = [Image.fromarray(plane) for plane in logits]
    mask = np.zeros((height, width), np.uint8)
    for top in range(0, height, STRIP):
        rows = mask[top : top + STRIP]
        share = logits.shape[1] / height
        box = (0, top * share, logits.shape[2], (top + len(rows)) * share)
        best = np.full(rows.shape, -np.inf, np.float32)
        for number, plane in enumerate(planes):
            enlarged = np.asarray(plane.resize(rows.shape[::-1], Image.Resampling.BILINEAR, box))
            np.copyto(rows, number, where=enlarged > best)
            np.maximum(best, enlarged, out=best)
    return mask
