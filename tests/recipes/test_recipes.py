"""The shared training loop and what the recipes add to it, on tensors of a few pixels."""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from weights.training import data, export, tags
from weights.training.fit import Schedule, add_options, average_with, fit, quick_precision, read_state, schedule_of

pytestmark = pytest.mark.slow


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


@pytest.mark.slow
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


@pytest.mark.parametrize("light", ["mild", "strong"])
def test_masks_move_with_the_picture(light: str) -> None:
    from torchvision import tv_tensors

    from weights.camvid_segmentation.recipe import UNLABELLED, augmentation

    torch.manual_seed(0)
    mask = torch.zeros(90, 120, dtype=torch.uint8)
    mask[:, 60:] = 5
    image = (mask * 40).expand(3, 90, 120).contiguous()
    for _ in range(10):
        moved, classes = augmentation((64, 96), (0.3, 1.0), light)(tv_tensors.Image(image), tv_tensors.Mask(mask))
        assert moved.shape == (3, 64, 96) and classes.shape == (64, 96)
        assert set(classes.unique().tolist()) <= {0, 5, UNLABELLED}
        if (classes == 5).any() and (classes == 0).any():
            bright, dark = moved[:, classes == 5].float().mean(), moved[:, classes == 0].float().mean()
            assert bright > dark


def test_as_many_pictures_are_made_worse_as_was_asked_for() -> None:
    """And they keep their shape, their type and roughly what they show."""
    torch.manual_seed(0)
    picture = torch.arange(64).repeat(3, 48, 1).mul(3).to(torch.uint8)
    before = picture.clone()
    changed = [data.worse(0.5)(picture) for _ in range(200)]
    assert torch.equal(picture, before)
    assert {(tuple(image.shape), image.dtype) for image in changed} == {((3, 48, 64), torch.uint8)}
    assert 70 < sum(not torch.equal(image, picture) for image in changed) < 130
    for image in changed:
        across = image.float().mean((0, 1))
        assert across[-8:].mean() > across[:8].mean() + 40
    assert all(torch.equal(data.worse(0.0)(picture), picture) for _ in range(10))


def test_a_drive_is_left_out_whole(tmp_path: Path) -> None:
    from PIL import Image

    from weights.camvid_segmentation.recipe import load_frames

    for split, names in (("train", ("0006R0_1", "0016E5_1", "0016E5_2")), ("val", ("0016E5_3",))):
        for folder in (split, f"{split}_masks"):
            (tmp_path / folder).mkdir()
        for name in names:
            shade = int(name[2] + name[-1])  # 1, 11, 12, 13
            Image.new("RGB", (8, 6), (shade,) * 3).save(tmp_path / split / f"{name}.png")
            Image.new("L", (8, 6), shade % 10).save(tmp_path / f"{split}_masks" / f"{name}.png")

    def shades(learn_from: str) -> list[list[int]]:
        both = load_frames(tmp_path, learn_from)
        assert all((images[:, 0, 0, 0] % 10 == masks[:, 0, 0]).all() for images, masks in both)
        return [images[:, 0, 0, 0].tolist() for images, _ in both]

    assert shades("train") == [[1, 11, 12], [13]]
    assert shades("all") == [[1, 11, 12, 13], [13]]
    assert shades("0006R0") == [[11, 12, 13], [1]]
    assert shades("0016E5") == [[1], [11, 12, 13]], "also those that are for validation"
    with pytest.raises(SystemExit, match="'0099'"):
        load_frames(tmp_path, "0099")


def test_rare_things_are_put_into_other_frames_with_their_classes() -> None:
    from weights.camvid_segmentation.recipe import CLASSES, paste_rare

    road, pole = (list(CLASSES).index(name) for name in ("road", "pole"))
    masks = torch.full((4, 4, 4), road, dtype=torch.uint8)
    masks[0, :, 0] = pole
    images = torch.arange(4, dtype=torch.uint8).view(4, 1, 1, 1).expand(4, 3, 4, 4).contiguous()
    torch.manual_seed(0)
    times = 0
    for _ in range(20):
        mixed, classes = paste_rare(images, masks)
        for number in range(1, 4):
            has_pole = bool((classes[number] == pole).any())
            times += has_pole
            assert (classes[number, :, 1:] == road).all() and (mixed[number, :, :, 1:] == number).all()
            assert (mixed[number, :, :, 0] == (0 if has_pole else number)).all(), "its own pixels come with it"
    assert 5 < times < 25, "half of the time into one of the three"


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


def test_the_rate_finder_leaves_the_model_as_it_was_and_finds_a_rate_that_works(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 1)
    truth = torch.tensor([[1.0, -2.0, 0.5, 3.0]])
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    def epoch_batches(_: int) -> Iterator[tuple[Tensor, Tensor]]:
        for _step in range(100):
            inputs = torch.randn(32, 4)
            yield inputs, inputs @ truth.T

    def run(schedule: Schedule, out: Path) -> float:
        trained = fit(
            model, [{"params": model.parameters()}], [], epoch_batches, 100, nn.functional.mse_loss,
            lambda m: {"weight_error": (m.weight - truth).abs().max().item()}, schedule, out,
        )  # fmt: skip
        return (trained.weight - truth).abs().max().item()

    tmp_path.joinpath("sweep").mkdir()
    with pytest.raises(SystemExit, match=r"^0$"):
        run(Schedule(1, 0.1, precision="fp32", find_rate=True), tmp_path / "sweep")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert (tmp_path / "sweep" / "rate.png").stat().st_size > 5000
    suggestion = json.loads((tmp_path / "sweep" / "rate.json").read_text())["suggestion"]
    assert 1e-3 < suggestion < 1
    assert run(Schedule(3, suggestion, precision="fp32", frozen_epochs=0), tmp_path / "train") < 0.3


def test_the_schedule_is_what_was_asked_for() -> None:
    parser = argparse.ArgumentParser()
    add_options(parser, epochs=7, learning_rate=1e-3, batch_size=4)
    schedule = schedule_of(
        parser.parse_args(["--out", "runs", "--policy", "constant", "--frozen-epochs", "0"]), ema_decay=0.5
    )
    assert (schedule.epochs, schedule.learning_rate, schedule.policy) == (7, 1e-3, "constant")
    assert (schedule.frozen_epochs, schedule.ema_decay, schedule.precision) == (0, 0.5, quick_precision("cpu"))


def test_the_ends_of_two_cycles_are_averaged(tmp_path: Path) -> None:
    first, second = (nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)) for _ in range(2))
    second[1].num_batches_tracked += 5
    save_file(first.state_dict(), tmp_path / "average.safetensors")
    wanted = (first[0].weight + second[0].weight) / 2
    average_with(second, tmp_path / "average.safetensors")
    assert torch.allclose(second[0].weight, wanted) and int(second[1].num_batches_tracked) == 5


def test_a_cycle_begins_with_stored_weights_of_the_network_inside(tmp_path: Path) -> None:
    class Around(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = nn.Linear(2, 3)

    stored, around = nn.Linear(2, 3), Around()
    export.save_tensors(stored, tmp_path / "model.safetensors")
    export.save_tensors(around, tmp_path / "average.safetensors")
    assert torch.equal(read_state(around, tmp_path / "model.safetensors")["model.weight"], stored.weight)
    assert torch.equal(read_state(around, tmp_path / "average.safetensors")["model.bias"], around.model.bias)


def test_a_recipe_learns_from_validation_pictures_only_where_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("image,split\na,train\nb,val\nc,train\n")
    rows = {part: [row["image"] for row in data.read_part(tmp_path, part)] for part in ("train", "val", "all")}
    assert rows == {"train": ["a", "c"], "val": ["b"], "all": ["a", "c", "b"]}


@pytest.mark.parametrize("given", [["--learn-from", "all"], ["--threshold", "0.4"], ["--learn-from", "some"]])
def test_tags_learnt_from_all_pictures_keep_the_threshold_that_was_chosen_before(
    given: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["recipe", "--data", "d", "--out", "o", *given])
    with pytest.raises(SystemExit):
        tags.options(None, epochs=1)
    monkeypatch.setattr("sys.argv", ["recipe", "--data", "d", "--out", "o", "--learn-from", "all", "--threshold", "1"])
    assert tags.options(None, epochs=1).threshold == 1.0


@pytest.mark.parametrize("given", [["--learn-from", "all"], ["--wider", "1"]])
def test_an_interval_is_not_fitted_on_faces_that_were_learnt(given: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from weights.age_regression import recipe

    monkeypatch.setattr("sys.argv", ["recipe", "--data", "d", "--out", "o", *given])
    with pytest.raises(SystemExit):
        recipe._options()
    ages = torch.tensor([20.0, 30.0, 40.0, 50.0])
    exact = (ages[:, None] - recipe.CENTRE) / recipe.SCALE * torch.ones(4, 3)
    wider, inside = recipe.fit_interval([exact, exact], ages)
    assert wider == pytest.approx(0.0, abs=1e-4) and inside in (0.0, 0.5, 1.0)


def test_a_constant_rate_stays(tmp_path: Path) -> None:
    seen = []
    model = nn.Linear(2, 1)
    torch.manual_seed(0)

    def loss(output: Tensor, target: Tensor) -> Tensor:
        seen.append(model.weight.detach().clone())
        return output.mean()  # a constant gradient, so that each AdamW step is as long as the rate

    fit(
        model, [{"params": model.parameters()}], [], lambda _: iter([(torch.ones(1, 2), torch.ones(1))] * 4), 4, loss,
        lambda _: {"val": 0.0}, Schedule(1, 0.01, weight_decay=0.0, policy="constant", precision="fp32"), tmp_path,
    )  # fmt: skip
    steps = [float((b - a).abs().max()) for a, b in itertools.pairwise(seen)]
    assert steps == pytest.approx([0.01] * 3, rel=1e-3)


def test_points_move_with_the_hand() -> None:
    """A bright dot stands for the point: after all the geometry it is still where the point says."""
    from torchvision import tv_tensors

    from weights.palm_keypoints.recipe import SOURCE, geometry, inside, normalised

    torch.manual_seed(0)
    seen = 0
    for _ in range(8):
        image = torch.zeros(3, *SOURCE, dtype=torch.uint8)
        image[0, 170:186, 290:306] = 255  # red; what comes from beyond the photo is white
        points = tv_tensors.KeyPoints(torch.tensor([[298.0, 178.0]]), canvas_size=SOURCE)
        mask = tv_tensors.Mask(torch.zeros(SOURCE, dtype=torch.uint8))
        moved, behind, found = geometry((144, 192), wide=True)(tv_tensors.Image(image), mask, points)
        assert moved.shape == (3, 144, 192) and behind.shape == (144, 192)
        bright = (moved[0] > 128) & (moved[2] < 64)
        if bright.sum() > 8:
            seen += 1
            row, column = (place.float().mean() + 0.5 for place in torch.where(bright))
            assert (found.as_subclass(Tensor)[0] - torch.stack([column, row])).abs().max() < 1.5
    assert seen >= 4
    gone = inside(normalised(torch.tensor([[[-5.0, 10.0], [96.0, 72.0]]]), (144, 192)))
    assert gone[0, 0].isnan().all() and gone[0, 1].tolist() == [0.0, 0.0]


def test_points_that_are_not_known_teach_nothing() -> None:
    from weights.palm_keypoints.recipe import loss

    output = torch.zeros(1, 73, requires_grad=True)
    target = torch.full((1, 25), float("nan"))
    target[0, :2], target[0, 24] = 0.5, 1.0
    loss(output, target).backward()
    assert output.grad is not None
    taught = output.grad[0].nonzero().flatten().tolist()
    assert set(taught) == {0, 1, 24, 25, 48, 49, 72}


def test_the_folded_head_answers_like_the_trained_one() -> None:
    from weights.age_regression.recipe import CENTRE, SCALE, fold_head, unfold_head, widening

    torch.manual_seed(0)

    class Model(nn.Module):
        pretrained_cfg: ClassVar = {"classifier": "head"}

        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(6, 6)
            self.head: nn.Module = nn.Sequential(nn.BatchNorm1d(6), nn.Dropout(0.3), nn.Linear(6, 3))

        def get_classifier(self) -> nn.Module:
            return self.head

        def forward(self, features: Tensor) -> Tensor:
            answer: Tensor = self.head(self.body(features))
            return answer

    model, features = Model(), torch.randn(16, 6) * 3 + 1
    model(features)  # gives BatchNorm something to remember
    model.eval()
    before = model(features) * SCALE + CENTRE
    fold_head(model, wider=2.0)
    assert isinstance(model.head, nn.Linear)
    folded = model(features)
    torch.testing.assert_close(folded, before + torch.tensor([0.0, -2.0, 2.0]), rtol=1e-4, atol=1e-3)

    further = Model()  # a further cycle begins with what was exported
    unfold_head(further, model.state_dict(), features)
    torch.testing.assert_close(further(features) * SCALE + CENTRE, folded, rtol=1e-4, atol=1e-2)
    further.head[1] = nn.Identity()  # type: ignore[operator]  # no dropout
    training = further.train()(features) * SCALE + CENTRE  # each batch has its own statistics, here those of before
    torch.testing.assert_close(training, folded, rtol=0.1, atol=1.0)

    ages = torch.arange(100.0)
    found = torch.stack([ages, ages - 5, ages + 5], 1) + torch.linspace(-10, 10, 100)[:, None]
    wider = widening(found, ages)
    inside = (ages >= found[:, 1] - wider) & (ages <= found[:, 2] + wider)
    assert inside.float().mean() == pytest.approx(0.8, abs=0.02)


def test_a_run_begins_with_given_weights_and_does_not_go_on_with_other_settings(tmp_path: Path) -> None:
    model = nn.Linear(2, 1)
    given = {name: tensor + 1 for name, tensor in model.state_dict().items()}
    save_file(given, tmp_path / "given.safetensors")

    def run(**settings: Any) -> nn.Module:
        return fit(
            model, [{"params": model.parameters()}], [], lambda _: iter([(torch.ones(1, 2), torch.ones(1, 1))]), 1,
            nn.functional.mse_loss, lambda _: {"val": 0.0}, Schedule(**settings), tmp_path / "run",
        )  # fmt: skip

    kept = run(epochs=1, learning_rate=0.0, start=str(tmp_path / "given.safetensors")).state_dict()
    assert all(torch.equal(kept[name], tensor) for name, tensor in given.items())
    with pytest.raises(SystemExit, match=r"learning_rate was 0\.0 and is 0\.1.*Delete it"):
        run(epochs=1, learning_rate=0.1, start=str(tmp_path / "given.safetensors"))


def test_positions_in_mixed_precision_are_as_exact_as_without() -> None:
    from weights.palm_keypoints.recipe import Trained

    class Ideal(nn.Module):
        def forward(self, heat: Tensor) -> tuple[Tensor, Tensor]:
            return heat, torch.zeros(len(heat), 25)

    x, y = torch.linspace(-1, 1, 384), torch.linspace(-1, 1, 288)[:, None]
    heat = (-((x - 0.812) ** 2 + (y + 0.303) ** 2) / (2 * 0.03**2)).expand(1, 12, -1, -1)
    exact = Trained(Ideal())(heat)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = Trained(Ideal())(heat)
    torch.testing.assert_close(mixed[:, :48], exact[:, :48])
    assert exact[0, 24].item() == pytest.approx(0.03, rel=0.05)


def test_numbers_that_do_not_fit_are_not_written(tmp_path: Path) -> None:
    model = nn.Linear(1, 1)
    nn.init.constant_(model.bias, 1e6)
    with pytest.raises(SystemExit, match="bias has numbers that are too large"):
        export.save_repository(model, {}, tmp_path)
