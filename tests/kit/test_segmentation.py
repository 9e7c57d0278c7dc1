"""hub.kit.segmentation: class ids at the photo's own size."""

from __future__ import annotations

import numpy as np
from PIL import Image

from hub.kit import segmentation


def test_scores_enlarged_in_strips_are_as_enlarged_at_once() -> None:
    logits = np.random.default_rng(1).normal(size=(5, 37, 51)).astype(np.float32)
    size = (203, 3 * segmentation.STRIP + 7)
    whole = [np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BILINEAR)) for plane in logits]
    same = segmentation.best_class(logits, size) == np.stack(whole).argmax(0)
    assert same.mean() > 0.9999  # two scores may be equal but for rounding
