"""Several tags per picture: what the two satellite recipes share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from timm.optim import param_groups_layer_decay
from torch import Tensor, nn
from torchvision.transforms import v2

from weights.training import classifier, data, export, extra
from weights.training.fit import Batches, add_options, fit, schedule_of

Score = Callable[[Tensor, Tensor], float]  # (found, wanted), both boolean [pictures, tags]
THRESHOLDS = torch.arange(0.05, 0.605, 0.01)


@dataclass(frozen=True)
class Task:
    """What differs between the two sets of pictures."""

    name: str
    metric: str
    score: Score
    crop_scale: tuple[float, float]
    source_px: int = 256
    sizes: tuple[tuple[float, int], ...] = ((0.35, 160), (0.7, 192), (1.0, 224))


def train(task: Task, options: argparse.Namespace) -> None:
    schedule = schedule_of(options)
    rows = {part: data.read_part(options.data, part) for part in ("train", "val", options.learn_from)}
    labels = sorted({tag for row in rows["train"] for tag in row["tags"].split()})
    # Most tags are absent from most pictures, and so the head begins.
    model, mean, std = classifier.build(options.arch, len(labels), options.backbone_weights, bias=-2.0)
    images, targets = load(task, options.data, rows[options.learn_from], labels)
    if options.extra:
        more = extra.read_tags(options.extra, "satellite_labels", labels, (task.source_px,) * 2)
        images, targets = torch.cat([images, more[0]]), torch.cat([targets, more[1]])
    val_images, val_targets = load(task, options.data, rows["val"], labels)
    val_ready = data.normalize(val_images, mean, std)

    def epoch_batches(epoch: int) -> Batches:
        progress = (epoch + 1) / schedule.epochs
        augment = augmentation(
            next(side for share, side in task.sizes if progress <= share), task.crop_scale, options.worse
        )
        for pictures, tags in data.batches(
            len(images), options.batch_size, lambda index: (augment(images[index]), targets[index])
        ):
            yield data.mixed(data.normalize(pictures, mean, std), tags, options.mixup)

    def validate(candidate: nn.Module) -> dict[str, float]:
        logits = classifier.predict(candidate, val_ready)
        views = [logits, *(classifier.predict(candidate, val_ready.flip(axes)) for axes in ((2,), (3,), (2, 3)))]
        threshold, score = best_threshold(logits.sigmoid(), val_targets, task.score)
        mean_threshold, mean_score = best_threshold(torch.stack(views).mean(0).sigmoid(), val_targets, task.score)
        return {
            "val_loss": nn.functional.binary_cross_entropy_with_logits(logits, val_targets).item(),
            f"val_{task.metric}": score,
            "threshold": threshold,
            f"val_{task.metric}_flips": mean_score,
            "threshold_flips": mean_threshold,
        }

    trained = fit(
        model.to(options.device),
        param_groups_layer_decay(model, weight_decay=schedule.weight_decay, layer_decay=options.layer_decay),
        classifier.backbone(model),
        epoch_batches,
        len(images) // options.batch_size,
        nn.functional.binary_cross_entropy_with_logits,
        validate,
        schedule,
        options.out,
    )
    config = classifier.config(trained, options.arch, task.name, labels, task.source_px, mean, std)
    threshold = options.threshold if options.learn_from == "all" else validate(trained)["threshold"]
    if options.learn_from == "all":
        config["learned_from"] = "all"  # no temperature can be fitted to what was learnt
    export.save_repository(trained, config | {"threshold": threshold}, options.out)


def load(task: Task, folder: Path, rows: list[dict[str, str]], labels: list[str]) -> tuple[Tensor, Tensor]:
    images = data.read_images([folder / "images" / row["image"] for row in rows], (task.source_px,) * 2)
    tags = [set(row["tags"].split()) for row in rows]
    return images, torch.tensor([[float(label in present) for label in labels] for present in tags])


def augmentation(side: int, crop_scale: tuple[float, float], worse: float = 0.0) -> v2.Transform:
    """Seen from above there is no upright: all eight turns and mirrorings of the square."""
    return v2.Compose(
        [
            v2.RandomResizedCrop(side, scale=crop_scale, ratio=(0.85, 1.18), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.RandomVerticalFlip(),
            v2.RandomChoice([v2.Identity(), v2.Lambda(lambda image: image.transpose(-1, -2))]),
            v2.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.15),
            data.worse(worse),
        ]
    )


def best_threshold(probabilities: Tensor, targets: Tensor, score: Score) -> tuple[float, float]:
    """(threshold, score), one threshold for all tags."""
    scores = [score(probabilities >= threshold, targets > 0.5) for threshold in THRESHOLDS]
    best = max(range(len(scores)), key=scores.__getitem__)
    return round(THRESHOLDS[best].item(), 2), scores[best]


def f2_by_picture(predicted: Tensor, true_tags: Tensor) -> float:
    """F2 of each picture (recall counts twice), mean over pictures."""
    hits, total = (predicted & true_tags).sum(1), 4 * true_tags.sum(1) + predicted.sum(1)
    # Where no tag is wanted and none is found all is right.
    return torch.where(total > 0, 5 * hits / total.clamp(min=1), 1.0).mean().item()


def f1_by_tag(predicted: Tensor, true_tags: Tensor) -> float:
    """F1 of each tag, mean over the tags that occur or are found."""
    hits = (predicted & true_tags).sum(0)
    scores = 2 * hits / (true_tags.sum(0) + predicted.sum(0)).clamp(min=1)
    return scores[true_tags.any(0) | predicted.any(0)].mean().item()


def options(description: str | None, epochs: int) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with images/ and labels.csv")
    extra.add_option(parser)
    parser.add_argument("--arch", default="tf_efficientnet_lite0", help="any timm model, such as resnet50")
    add_options(parser, epochs, learning_rate=2e-3, batch_size=32)
    parser.add_argument("--layer-decay", type=float, default=0.9)
    parser.add_argument("--mixup", type=float, default=0.2, help="0 turns it off")
    parser.add_argument("--threshold", type=float, help="with --learn-from all: that of the weights of before")
    given = parser.parse_args()
    if (given.learn_from == "all") != (given.threshold is not None):
        parser.error("--threshold goes with --learn-from all: on pictures that were learnt none can be chosen.")
    return given
