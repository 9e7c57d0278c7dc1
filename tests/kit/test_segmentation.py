"""hub.kit.segmentation: class ids at the photo's own size."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from hub.kit import segmentation


def test_scores_enlarged_in_strips_are_as_enlarged_at_once() -> None:
    logits = np.random.default_rng(1).normal(size=(5, 37, 51)).astype(np.float32)
    size = (203, 3 * segmentation.STRIP + 7)
    whole = [np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BILINEAR)) for plane in logits]
    same = segmentation.best_class(logits, size) == np.stack(whole).argmax(0)
    assert same.mean() > 0.9999  # two scores may be equal but for rounding


@pytest.mark.parametrize("size", [(503, 331), (204, 148), (2040, 149), (700, 2000)])
@pytest.mark.parametrize("kind", ["noise", "regions", "ties", "flat"])
def test_the_mask_of_a_large_photo_is_that_of_all_scores_enlarged_to_the_last_bit(
    size: tuple[int, int], kind: str
) -> None:
    random = np.random.default_rng(2)
    logits = random.normal(size=(7, 37, 51)).astype(np.float32)
    if kind == "regions":  # as networks answer: a class leads by far in most places
        logits += 30 * np.kron(random.random((7, 5, 6)), np.ones((8, 9)))[:, :37, :51].astype(np.float32)
    logits = {"ties": logits.round(), "flat": logits * 0}.get(kind, logits)
    whole = np.zeros(size[::-1], np.uint8)
    planes = [Image.fromarray(plane) for plane in logits]
    share = 37 / size[1]
    for top in range(0, size[1], segmentation.STRIP):
        strip = whole[top : top + segmentation.STRIP]
        segmentation._compare_all(planes, strip, top * share, (top + len(strip)) * share)
    assert min(size[0] / 51, size[1] / 37) >= segmentation.FEW
    assert np.array_equal(segmentation.best_class(logits, size), whole)
