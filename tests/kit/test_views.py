"""hub.kit.views: places go from a view to the photo and back, and heat maps are read between pixels."""

from __future__ import annotations

from itertools import product as pairs

import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool2d

from hub.kit import views
from hub.kit.views import View

NAMES = ["tip_index", "tip_middle", "base_index", "base_middle"]


@pytest.mark.parametrize(("size", "number"), list(pairs([(640, 480), (480, 640), (900, 420)], range(views.POSES))))
def test_what_a_view_shows_is_what_lies_there_in_the_photo(size: tuple[int, int], number: int) -> None:
    width, height = size
    photo = torch.zeros(3, height, width)
    photo[:, 100:116, 200:216] = 1  # its middle: 208, 108
    view = views.poses(width, height)[number]
    assert views.NARROWEST <= view.half_width / view.half_height <= views.WIDEST + 1e-9
    (picture,) = views.cut(photo, np.array(size, np.float64), [view], 288, 384)
    rows, columns = torch.where(picture[0] > 0.5)
    place = np.array([[(columns.float().mean() + 0.5) / 192 - 1, (rows.float().mean() + 0.5) / 144 - 1]])
    assert view.to_photo(place)[0] == pytest.approx([208, 108], abs=1.5)


def test_beyond_the_photo_its_edge_goes_on() -> None:
    photo = avg_pool2d(torch.rand(1, 3, 64, 64), 64)[0].expand(3, 64, 64)
    (picture,) = views.cut(photo, np.array([64.0, 64.0]), [View(0, 0, 200, 160, 33)], 24, 32)
    assert torch.allclose(picture, photo[:, :1, :1].expand_as(picture), atol=1e-6)


def test_a_hand_as_in_training_keeps_its_view_and_any_other_gets_one_in_which_it_is_so() -> None:
    as_trained = View(320, 240, 300, 300 / views.ASPECT)
    bases = as_trained.to_photo(np.array([views.BASES]))[0]
    points = np.array([bases - (views.REACH * 300, 20), bases - (views.REACH * 300, -20), bases, bases])
    assert views.refit(as_trained, points, NAMES) is as_trained
    upright = as_trained.varied(90, 1)
    assert views.refit(upright, points, NAMES) == View(pytest.approx(320), pytest.approx(240), 300, 300 / views.ASPECT)
    small = views.refit(as_trained.varied(0, 0.4), points, NAMES)
    assert (small.half_width, small.turn) == (pytest.approx(300), 0)


def test_the_expected_position_is_where_the_heat_is() -> None:
    heat = torch.full((1, 2, 6, 8), -30.0)
    heat[0, 0, 0, 0] = 30.0
    heat[0, 1, 2, 5] = heat[0, 1, 3, 5] = 30.0
    points, spread = views.expectation(heat)
    torch.testing.assert_close(points[0], torch.tensor([[-1 + 1 / 8, -1 + 1 / 6], [11 / 8 - 1, 0.0]]))
    assert spread[0, 0].max() < 1e-3 and spread[0, 1, 1] == pytest.approx(1 / 6, abs=1e-4)
