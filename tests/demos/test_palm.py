"""Palm keypoints with a model that knows the answer: points come back in the photo's own pixels, however the hand lies.

The photos are twelve coloured dots. The oracle finds them by colour in whatever view it is given, so a mistake in a
turn, a mirroring, a padding or the way back shows up as a point in the wrong place.
"""

from __future__ import annotations

import colorsys
from itertools import product as pairs
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from demos import palm_keypoints as page
from hub.images import LONGEST
from hub.kit import hands
from hub.kit.drawing import Drawing

NAMES = [f"{part}_{finger}" for part in ("tip", "base") for finger in hands.FINGERS] + [f"heart_{n}" for n in "1234"]
CONFIG: dict[str, Any] = {
    "_preprocessing": {"height": 144, "width": 192, "mean": [0.0] * 3, "std": [1.0] * 3},
    "_points": NAMES,
    "_min_presence": 0.5,
}
# A left hand, fingers to the left; the middle of the bases is at 0, 0 and a finger about 1 long.
TIPS = [(-1.05, 0.55), (-1.2, 0), (-1.0, -0.35), (-0.55, -0.75)]
BASES = [(0, 0.5), (-0.05, 0.15), (0.02, -0.2), (0.2, -0.55)]
HEART = [(0.55, -0.6), (0.5, -0.3), (0.4, -0.05), (0.3, 0.15)]
HAND = np.array([*TIPS, *BASES, *HEART])
RADIUS = 10.0  # of a dot, px
SIZES = {"landscape": (640, 480), "portrait": (480, 640), "square": (520, 520), "wide": (900, 420)}


def colour(number: int) -> tuple[float, float, float]:
    return colorsys.hsv_to_rgb(number / len(NAMES), 1, 1)


class Oracle(nn.Module):
    """Answers as the real network does, from the colours of the dots. Small float errors only."""

    def __init__(self) -> None:
        super().__init__()
        self.colours = nn.Parameter(torch.tensor([colour(number) for number in range(len(NAMES))]))

    def encoder(self, images: Tensor) -> list[Tensor]:
        return [images]

    def decoder(self, features: list[Tensor]) -> Tensor:
        return features[-1]

    def places(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Middles of the dots [n, 12, 2] in -1 to 1, and whether all are there [n]."""
        # The squared distance of colours is |image|² + |colour|² - 2 image · colour.
        product = torch.einsum("nchw,kc->nkhw", images, self.colours)
        apart = images.square().sum(1, keepdim=True) + self.colours.square().sum(1)[:, None, None] - 2 * product
        weight = (0.1 - apart).clamp(min=0)
        total = weight.sum((2, 3))
        lines = [(2 * torch.arange(count) + 1) / count - 1 for count in images.shape[2:]]
        x, y = (weight.sum(2) * lines[1]).sum(-1), (weight.sum(3) * lines[0]).sum(-1)
        return torch.stack([x, y], -1) / total.clamp(min=1e-6)[..., None], (total > 0.1).all(1)

    def segmentation_head(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        middles = (self.places(images)[0] + 1) / 2 * torch.tensor([width, height])
        x = torch.arange(width) + 0.5 - middles[..., :1]
        y = torch.arange(height) + 0.5 - middles[..., 1:]
        return -(x.square()[:, :, None] + y.square()[..., None]) / 2

    def classification_head(self, images: Tensor) -> Tensor:
        places, whole = self.places(images)
        ahead = places[:, :4].mean(1) - places[:, 4:8].mean(1)
        logit = 8 * -ahead[:, 0] / ahead.norm(dim=1).clamp(min=1e-6)
        little_above_index = places[:, 3, 1] < places[:, 0, 1]
        logit = torch.where(whole & little_above_index, logit, -8.0)
        return torch.cat([places.clamp(-0.99, 0.99).atanh().flatten(1), logit[:, None]], 1)


def photo(
    size: tuple[int, int], turn: float = 0.0, right: bool = False, share: float = 0.3, off: tuple[float, float] = (0, 0)
) -> tuple[Image.Image, NDArray[Any]]:
    """Dots and where they are, in px. `turn` is clockwise; `share`: a finger's length, of the photo's short side."""
    cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    points = (HAND * (1, -1 if right else 1) + (0.25, 0.05)) @ np.array([[cos, sin], [-sin, cos]])
    points = points * share * min(size) + np.array(size) / 2 + off
    drawing = Drawing(Image.new("RGB", size, (128, 128, 128)))
    for number, point in enumerate(points):
        drawing.dot(point, RADIUS, "#{:02x}{:02x}{:02x}".format(*(round(255 * c) for c in colour(number))))
    return drawing.image, points


def answers(images: list[Image.Image], quality: str = page.BEST) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """What `infer` and `present` return for each photo; all photos go through the model together."""
    items = [page.prepare(image, quality, CONFIG) for image in images]
    with torch.inference_mode():
        outputs = page.infer(Oracle(), items, CONFIG)
    return [(o, page.present(o, image, quality, CONFIG)) for o, image in zip(outputs, images, strict=True)]


def check(output: dict[str, Any], shown: dict[str, Any], points: NDArray[Any], right: bool) -> None:
    assert np.abs(output["points"] - points).max() < 1
    assert np.abs(output["per_view"] - points).max() < 1.5  # a pixel of a view is 3 to 6 of the photo
    assert max(shown["hand"], key=shown["hand"].get) == shown["overlay"][1] == (page.RIGHT if right else page.LEFT)
    rows = shown["points"]
    assert np.abs(np.array([(row["x_px"], row["y_px"]) for row in rows]) - points).max() < 1
    assert [row["point"] for row in rows][:5] == ["Index tip", "Middle tip", "Ring tip", "Little tip", "Index base"]
    wanted = np.hypot(*(points[:4] - points[4:8]).T)
    assert [row["length_px"] for row in shown["fingers"]] == pytest.approx(wanted, abs=1.5)
    assert shown["ratios"][0]["value"] == pytest.approx(wanted[0] / wanted[2], abs=0.02)


@pytest.mark.parametrize("quality", [pytest.param(page.BEST, marks=pytest.mark.slow), page.FAST])
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_points_are_in_the_photos_own_pixels_in_every_quarter_turn_and_for_both_hands(
    size: tuple[int, int], quality: str
) -> None:
    poses = list(pairs((0, 90, 180, 270), (False, True)))
    photos = [photo(size, turn, right) for turn, right in poses]
    together = answers([image for image, _ in photos], quality)
    for (_, right), (_, points), (output, shown) in zip(poses, photos, together, strict=True):
        check(output, shown, points, right)


@pytest.mark.parametrize("turn", [-40, 25, 44, 130])
def test_a_turned_small_hand_in_a_corner_gets_a_view_of_its_own(turn: float) -> None:
    for right in (False, True):
        image, points = photo((640, 480), turn, right, share=0.2, off=(90, -50))
        ((output, shown),) = answers([image])
        check(output, shown, points, right)


def test_views_apart_show_as_spread_and_one_view_has_none() -> None:
    image, _ = photo((640, 480))
    ((output, best),) = answers([image])
    ((_, fast),) = answers([image], page.FAST)
    assert all(0 <= row["spread_px"] < 1 for row in best["points"])
    assert all("spread_px" not in row for row in fast["points"])
    output["per_view"] = output["per_view"] + np.array([0, 0, 3, 3])[:, None, None]
    output["points"] = output["per_view"].mean(0)
    assert all(row["spread_px"] > 1 for row in page.present(output, image, page.BEST, CONFIG)["points"])


def test_what_is_not_sure_is_said_and_drawn_hollow() -> None:
    image, points = photo((640, 480))
    ((output, sure),) = answers([image])
    assert sure["overlay"][1] == page.LEFT

    def presented(**changed: NDArray[Any]) -> tuple[Image.Image, str]:
        overlay: tuple[Image.Image, str] = page.present(output | changed, image, page.BEST, CONFIG)["overlay"]
        return overlay

    apart = output["per_view"].copy()
    apart[0, 0] += 80
    drawing, caption = presented(per_view=apart)
    assert caption == f"{page.LEFT}, {page.HOLLOW}"
    column, row = map(round, points[0])
    assert np.asarray(drawing)[row, column].sum() < 100 < np.asarray(sure["overlay"][0])[row, column].sum()
    assert presented(logits=np.array([9.0, 8.0]))[1] == f"{page.LEFT}, {page.TWO}"
    beyond = output["points"].copy()
    beyond[3, 0] = -4.0
    assert presented(points=beyond, per_view=beyond[None])[1] == f"{page.LEFT}, {page.CUT}"


def test_without_a_hand_it_says_so_draws_nothing_and_lists_nothing() -> None:
    image = Image.new("RGB", (320, 240), (128, 128, 128))
    ((_, shown),) = answers([image])
    assert max(shown["hand"], key=shown["hand"].get) == page.NONE
    assert shown["points"] == shown["fingers"] == shown["ratios"] == []
    picture, caption = shown["overlay"]
    assert np.array_equal(np.asarray(picture), np.asarray(image))
    assert caption == page.NOT_FOUND


def test_the_drawing_is_on_the_points_and_a_large_photo_is_drawn_smaller() -> None:
    points = dict(zip(NAMES, photo((640, 480))[1], strict=True))
    for factor in (1, 8):
        grey = Image.new("RGB", (640 * factor, 480 * factor), (128, 128, 128))
        image = hands.draw_hand(grey, {name: point * factor for name, point in points.items()})
        assert image.size == (min(640 * factor, LONGEST), min(480 * factor, LONGEST * 3 // 4))
        for name, point in points.items():
            x, y = (point * image.width / 640).astype(int)
            assert "#{:02x}{:02x}{:02x}".format(*image.getpixel((int(x), int(y)))) == hands.COLOURS[hands.part_of(name)]
