r"""Train the emergency vehicle classifier. From the repository root, twenty minutes on two cores, and half as long
for each of the two cycles that README.md has besides:

    python -m weights.vehicle_classifier.recipe --out runs/vehicle_classifier \
        --data ../shared/data/vehicle --backbone-weights ../shared/backbones/tf_efficientnet_lite0.safetensors

Many emergency photos carry the photographer's site name and a round logo near a border, and no
ordinary photo does. So in half of the training samples the border comes from a photo of the other
class: what stands at a border then says nothing about the label.

`--extra FOLDER` adds pictures that people corrected, as
`python -m hub corrections export --page vehicle_classifier --out FOLDER` writes them; what that brought,
`python -m weights.versus` says.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from timm.data import Mixup
from timm.optim import param_groups_layer_decay
from torch import Tensor, nn
from torchvision.transforms import v2

from weights.training import classifier, data, export, extra
from weights.training.fit import Batches, add_options, fit, schedule_of

LABELS = ["ordinary", "emergency"]
SOURCE_PX = 224
# Progressive resizing: (share of the epochs, side of the training pictures).
SIZES = ((0.3, 144), (0.65, 176), (1.0, 208))


def main() -> None:
    options = _options()
    schedule = schedule_of(options)
    model, mean, std = classifier.build(options.arch, len(LABELS), options.backbone_weights)
    train_images, train_labels = load_split(options.data, options.learn_from)
    if options.extra:
        images, labels = extra.read_classes(options.extra, "vehicle_classifier", LABELS, (SOURCE_PX, SOURCE_PX))
        train_images, train_labels = torch.cat([train_images, images]), torch.cat([train_labels, labels])
    val_images, val_labels = load_split(options.data, "val")
    val_ready = data.normalize(val_images, mean, std)

    def validate(candidate: nn.Module) -> dict[str, float]:
        logits = classifier.predict(candidate, val_ready)
        flipped = (logits + classifier.predict(candidate, val_ready.flip(3))) / 2
        return {
            "val_loss": nn.functional.cross_entropy(logits, val_labels).item(),
            "val_accuracy": (logits.argmax(1) == val_labels).float().mean().item(),
            "val_accuracy_flip": (flipped.argmax(1) == val_labels).float().mean().item(),
        }

    mixup = Mixup(mixup_alpha=options.mixup, label_smoothing=0.05, num_classes=2) if options.mixup else None

    def epoch_batches(epoch: int) -> Batches:
        progress = (epoch + 1) / schedule.epochs
        augment = augmentation(side_px(progress) if options.progressive else SIZES[-1][1], options.worse)
        samples = BorderSwap(train_images, train_labels, share=options.border_swap)
        for images, labels in data.batches(
            len(train_images),
            options.batch_size,
            lambda index: (augment(samples(index)), train_labels[index]),
        ):
            ready = data.normalize(images, mean, std)
            yield mixup(ready, labels) if mixup else (ready, nn.functional.one_hot(labels, 2).float())

    trained = fit(
        model.to(options.device),
        param_groups_layer_decay(model, weight_decay=schedule.weight_decay, layer_decay=options.layer_decay),
        classifier.backbone(model),
        epoch_batches,
        len(train_images) // options.batch_size,
        lambda output, target: torch.sum(-target * output.log_softmax(1), dim=1).mean(),
        validate,
        schedule,
        options.out,
    )
    config = classifier.config(trained, options.arch, "emergency", LABELS, SOURCE_PX, mean, std)
    if options.learn_from == "all":
        config["learned_from"] = "all"  # no temperature can be fitted to what was learnt
    export.save_repository(trained, config, options.out)


def load_split(folder: Path, part: str) -> tuple[Tensor, Tensor]:
    rows = data.read_part(folder, part)
    images = data.read_images([folder / "images" / row["image"] for row in rows], (SOURCE_PX, SOURCE_PX))
    return images, torch.tensor([int(row["emergency"]) for row in rows])


class BorderSwap:
    """Half of the samples wear the border of a photo of the other class."""

    def __init__(self, images: Tensor, labels: Tensor, share: float = 0.5) -> None:
        self.images, self.labels, self.share = images, labels, share
        self.others = {label: torch.nonzero(labels != label).flatten() for label in (0, 1)}

    def __call__(self, index: int) -> Tensor:
        image = self.images[index]
        if torch.rand(()) >= self.share:
            return image
        others = self.others[int(self.labels[index])]
        donor = self.images[others[torch.randint(len(others), ())]]
        return paste_border(image, donor, whole_frame=bool(torch.rand(()) < 0.4))


def paste_border(image: Tensor, donor: Tensor, whole_frame: bool) -> Tensor:
    """A copy of `image` with the donor's frame (18 % on each side), or only with the two places
    where the marks mostly are: the top strip (7 %) and the lower right corner (22 %)."""
    height, width = image.shape[-2:]
    if whole_frame:
        top, left = round(height * 0.18), round(width * 0.18)
        pasted = donor.clone()
        pasted[..., top : height - top, left : width - left] = image[..., top : height - top, left : width - left]
        return pasted
    pasted = image.clone()
    strip, corner = round(height * 0.07), (round(height * 0.22), round(width * 0.22))
    pasted[..., :strip, :] = donor[..., :strip, :]
    pasted[..., -corner[0] :, -corner[1] :] = donor[..., -corner[0] :, -corner[1] :]
    return pasted


def augmentation(side: int, worse: float = 0.0) -> v2.Transform:
    """Hue hardly moves: colour tells a fire engine from a lorry."""
    return v2.Compose(
        [
            v2.RandomResizedCrop(side, scale=(0.35, 1.0), ratio=(0.7, 1.6), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.RandomApply([v2.RandomRotation(8, interpolation=v2.InterpolationMode.BILINEAR)], p=0.25),
            v2.ColorJitter(brightness=0.3, contrast=0.3, saturation=0.3, hue=0.02),
            v2.RandomGrayscale(p=0.05),
            data.worse(worse),
            v2.RandomErasing(p=0.2, scale=(0.02, 0.15), value=[127]),
        ]
    )


def side_px(progress: float) -> int:
    return next(side for share, side in SIZES if progress <= share)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with images/ and labels.csv")
    extra.add_option(parser)
    parser.add_argument("--arch", default="tf_efficientnet_lite0", help="any timm model, such as resnet34")
    add_options(parser, epochs=20, learning_rate=1e-3, batch_size=32)
    parser.add_argument("--layer-decay", type=float, default=0.9)
    parser.add_argument("--mixup", type=float, default=0.2, help="0 turns it off")
    parser.add_argument(
        "--progressive", action=argparse.BooleanOptionalAction, default=True, help="small pictures first"
    )
    parser.add_argument("--border-swap", type=float, default=0.5, help="share of samples; 0 turns it off")
    return parser.parse_args()


if __name__ == "__main__":
    main()
