"""Look inside: what a convolutional network makes of a picture, stage by stage, and nothing of the answer changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hub.errors import InputError
from hub.execution.backends.points import OPENVINO, Point, take_used
from hub.kit.layers import add_layers, draw_layers
from tests.fakes import picture

USUAL = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}


def network() -> nn.Sequential:
    torch.manual_seed(0)
    halving = [nn.Conv2d(3 if n == 0 else 8, 8, 3, 2, 1) for n in range(4)]
    return nn.Sequential(*[layer for one in halving for layer in (one, nn.ReLU())]).eval()


def look(model: nn.Module, run: Any) -> dict[str, Any]:
    answers: list[dict[str, Any]] = [{}, {"other": 1}]
    pixels = np.random.default_rng(0).normal(0, 1, (3, 64, 48)).astype(np.float32)
    with torch.inference_mode():
        add_layers(model, answers, [pixels, None], run)
    assert answers[1] == {"other": 1}
    return answers[0]


def test_each_size_of_maps_is_a_stage_and_no_hook_stays() -> None:
    model = network()
    answer = look(model, lambda model, pixels: model(pixels))
    assert not any(module._forward_hooks for module in model.modules())
    drawn = draw_layers(answer, picture(480, 640), USUAL)
    assert drawn is not None
    assert [words for _, words in drawn] == [
        "Given: 48 x 64",
        "8 filters, 3 x 3",
        "1: 8 maps, 24 x 32",
        "2: 8 maps, 12 x 16",
        "3: 8 maps, 6 x 8",
        "4: 8 maps, 3 x 4",
    ]
    assert all(360 <= max(one.size) <= 500 for one, _ in drawn)
    assert draw_layers({}, picture(), USUAL) is None


def test_a_stage_shows_what_its_last_layer_answered() -> None:
    model = network()
    answer = look(model, lambda model, pixels: model(pixels))
    pixels = torch.from_numpy(answer["layers"]["picture"][None])
    last = model(pixels)[0].detach().numpy()
    shown = answer["layers"]["stage_04"].astype(np.float32)
    assert shown.shape == last.shape
    for one, map in zip(shown, last, strict=True):
        if map.std() > 1e-3:
            assert np.corrcoef(one.ravel(), map.ravel())[0, 1] > 0.95


def test_a_network_that_has_a_compiled_form_is_looked_into_eagerly() -> None:
    model: Any = network()
    point = Point(model, "forward", lambda point, kind, seen: point.settle(kind, lambda tensors: tensors[0] * 0))
    model.forward = point
    pixels = torch.zeros(1, 3, 64, 48)
    with torch.inference_mode():
        model(pixels), model(pixels)
    assert take_used() == OPENVINO
    answer = look(model, lambda model, pixels: model(pixels))
    assert take_used() != OPENVINO
    assert len([name for name in answer["layers"] if name.startswith("stage")]) == 4


def test_a_network_without_maps_is_refused_by_the_name_of_the_field() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 16, 16), nn.Flatten(2), nn.Linear(12, 12)).eval()
    with pytest.raises(InputError, match="is not convolutional") as caught:
        look(model, lambda model, pixels: model(pixels))
    assert caught.value.field == "inside"
