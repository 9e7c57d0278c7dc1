"""The shared training loop and what the recipes add to it, on tensors of a few pixels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from weights.training import data
from weights.training.fit import Schedule, fit


class Interrupted(Exception):
    """Stands for a killed process."""


def train(out: Path, stop_after: int | None = None) -> tuple[dict[str, Tensor], list[int]]:
    torch.manual_seed(7)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 2))
    images, labels = torch.rand(8, 3, 8, 8), torch.arange(8) % 2
    epochs: list[int] = []

    def epoch_batches(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        if epoch == stop_after:
            raise Interrupted
        epochs.append(epoch)
        yield from data.batches(8, 4, lambda index: (images[index] + torch.rand(()), labels[index]))

    groups = [{"params": model[0].parameters(), "lr_scale": 0.1}, {"params": model[1:].parameters()}]
    trained = fit(
        model,
        groups,
        model[0],
        epoch_batches,
        2,
        nn.functional.cross_entropy,
        lambda _: {"val": 1.0},
        Schedule(epochs=4, learning_rate=0.01),
        out,
    )
    return trained.state_dict(), epochs


def test_an_interrupted_training_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    whole, _ = train(tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(tmp_path / "parts", stop_after=2)
    resumed, epochs = train(tmp_path / "parts")
    assert epochs == [2, 3]
    for name, tensor in whole.items():
        torch.testing.assert_close(resumed[name], tensor, rtol=0, atol=0)
    assert (tmp_path / "parts" / "metrics.json").exists()
    assert (tmp_path / "parts" / "curves.png").exists()


def test_frozen_epochs_leave_the_backbone_alone(tmp_path: Path) -> None:
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(48, 2))
    before = {name: tensor.clone() for name, tensor in model[0].state_dict().items()}
    fit(
        model,
        [{"params": model.parameters()}],
        model[0],
        lambda _: iter([(torch.rand(4, 3, 4, 4), torch.tensor([0, 1, 0, 1]))]),
        1,
        nn.functional.cross_entropy,
        lambda _: {"val": 0.0},
        Schedule(epochs=2, learning_rate=0.1, frozen_epochs=2),
        tmp_path,
    )
    for name, tensor in model[0].state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_a_swapped_border_leaves_the_middle_and_takes_the_marks() -> None:
    from weights.vehicle_classifier.recipe import paste_border

    image, donor = torch.zeros(3, 100, 100, dtype=torch.uint8), torch.ones(3, 100, 100, dtype=torch.uint8)
    for whole_frame in (True, False):
        pasted = paste_border(image, donor, whole_frame)
        assert pasted[:, 20:75, 20:75].sum() == 0
        assert pasted[:, -18:, -18:].all() and pasted[:, :7].all()
    assert image.sum() == 0 and donor.all()


def test_borders_come_from_the_other_class() -> None:
    from weights.vehicle_classifier.recipe import BorderSwap

    labels = torch.tensor([0, 0, 0, 1, 1])
    images = labels.view(5, 1, 1, 1).expand(5, 3, 50, 50).to(torch.uint8)
    sample = BorderSwap(images, labels, share=1.0)
    for index in range(5):
        assert (sample(index)[:, -5:, -5:] == 1 - labels[index]).all()


def test_masks_move_with_the_picture() -> None:
    from torchvision import tv_tensors

    from weights.camvid_segmentation.recipe import UNLABELLED, augmentation

    torch.manual_seed(0)
    mask = torch.zeros(90, 120, dtype=torch.uint8)
    mask[:, 60:] = 5
    image = (mask * 40).expand(3, 90, 120).contiguous()
    for _ in range(10):
        moved, classes = augmentation((64, 96))(tv_tensors.Image(image), tv_tensors.Mask(mask))
        assert moved.shape == (3, 64, 96) and classes.shape == (64, 96)
        assert set(classes.unique().tolist()) <= {0, 5, UNLABELLED}
        if (classes == 5).any() and (classes == 0).any():
            bright, dark = moved[:, classes == 5].float().mean(), moved[:, classes == 0].float().mean()
            assert bright > dark


def test_rare_classes_count_more() -> None:
    from weights.camvid_segmentation.recipe import CLASSES, class_weights

    masks = torch.arange(len(CLASSES)).repeat_interleave(torch.arange(1, len(CLASSES) + 1) ** 2).to(torch.uint8)
    weights = class_weights(masks)
    assert (weights.diff() < 0).all()
    assert weights.mean() == pytest.approx(1.0)


def test_recall_counts_twice_and_each_tag_counts_once() -> None:
    from weights.training.tags import f1_by_tag, f2_by_picture

    wanted = torch.tensor([[True, True, False], [True, False, False]])
    missed = torch.tensor([[True, False, False], [True, False, False]])
    added = torch.tensor([[True, True, True], [True, False, False]])
    assert f2_by_picture(wanted, wanted) == f1_by_tag(wanted, wanted) == 1.0
    assert f2_by_picture(missed, wanted) < f2_by_picture(added, wanted) < 1.0
    assert f1_by_tag(missed, wanted) == 0.5  # the second tag was never found; the third never occurs


def test_one_threshold_is_chosen_for_all_tags() -> None:
    from weights.training.tags import best_threshold, f1_by_tag

    probabilities = torch.tensor([[0.9, 0.25], [0.15, 0.4]])
    threshold, score = best_threshold(probabilities, torch.tensor([[1.0, 0.0], [0.0, 1.0]]), f1_by_tag)
    assert 0.25 < threshold <= 0.4 and score == 1.0
