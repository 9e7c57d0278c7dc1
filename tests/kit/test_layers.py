"""Look inside: what a convolutional network makes of a picture, stage by stage, and nothing of the answer changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hub.errors import InputError
from hub.execution.backends.points import OPENVINO, Point, take_used
from hub.kit.heat_maps import map_of_class, map_of_points
from hub.kit.layers import add_layers, draw_layers
from hub.kit.networks import scores_and_deepest
from tests.fakes import picture

USUAL = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}


def network() -> nn.Sequential:
    torch.manual_seed(0)
    halving = [nn.Conv2d(3 if n == 0 else 8, 8, 3, 2, 1) for n in range(4)]
    return nn.Sequential(*[layer for one in halving for layer in (one, nn.ReLU())]).eval()


def look(model: nn.Module, run: Any, counts: Any = None) -> dict[str, Any]:
    answers: list[dict[str, Any]] = [{}, {"other": 1}]
    pixels = np.random.default_rng(0).normal(0, 1, (3, 64, 48)).astype(np.float32)
    with torch.inference_mode():
        add_layers(model, answers, [pixels, None], run, counts)
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


def test_what_counts_is_drawn_where_the_network_saw_it() -> None:
    everywhere = np.full((4, 3), 9, np.float32)
    answer = look(network(), lambda model, pixels: model(pixels), lambda model, pixels, answer: everywhere)
    photo = picture(300, 100)

    def changed(image: Any, settings: dict[str, Any]) -> tuple[int, int]:
        """Columns that are tinted, of the picture as it is drawn."""
        drawn = draw_layers(answer, image, {**USUAL, **settings})
        assert drawn is not None and drawn[-1][1] == "What counts most"
        array = np.asarray(drawn[-1][0], np.float32)
        warm = (array[..., 0] - array[..., 2]).mean(0) > 30
        return int(np.flatnonzero(warm)[0]), int(np.flatnonzero(warm)[-1])

    assert changed(photo, {}) == (0, 299)
    assert changed(photo, {"input_size": [3, 64, 64], "crop_mode": "squash"}) == (0, 299)
    assert changed(photo, {"input_size": [3, 64, 64]}) == (100, 199)
    assert changed(photo, {"input_size": [3, 64, 64], "crop_pct": 0.64}) == (118, 181)
    drawn = draw_layers(answer, None, USUAL)
    assert drawn is not None and drawn[-1][0].size == (360, 480), "over what it was given"


@pytest.mark.parametrize("counts", [map_of_class, map_of_points])
def test_a_segmentation_network_shows_where_its_scores_come_from(counts: Any) -> None:
    import segmentation_models_pytorch as smp

    torch.manual_seed(1)
    model: Any = smp.Unet("tu-lcnet_050", encoder_weights=None, classes=3, decoder_channels=(32, 16, 8, 8, 8)).eval()
    pixels = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        answer = scores_and_deepest(model, pixels)
        largest = int(answer[0][0].argmax(0).flatten().bincount().argmax())
        is_of_class = counts is map_of_class
        cam = counts(model, pixels, largest if is_of_class else answer)
    assert cam.shape == (2, 3) and cam.dtype == np.float32 and np.isfinite(cam).all() and cam.min() >= 0
    assert all(parameter.grad is None for parameter in model.parameters())
    # By hand: the gradient of the score with respect to each channel, averaged over places, weighs that channel.
    features = [one.detach().clone() for one in model.encoder(pixels)]
    last = features[-1].requires_grad_()
    scores = model.segmentation_head(model.decoder([*features[:-1], last]))[0]
    target = scores[largest][scores.argmax(0) == largest].mean() if is_of_class else scores.flatten(1).amax(1).mean()
    target.backward()
    assert last.grad is not None
    by_hand = (last.grad.mean((2, 3), keepdim=True) * last).sum(1)[0].relu().detach().numpy() * 6
    np.testing.assert_allclose(cam, by_hand, rtol=1e-3, atol=1e-5)


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
