r"""Train the street scene segmentation. From the repository root, about an hour on two cores (36 and 27 minutes):

    CAMVID="python -m weights.camvid_segmentation.recipe --data ../shared/data/camvid \
        --backbone-weights ../shared/backbones/tf_efficientnet_lite0.safetensors"
    $CAMVID --out runs/camvid1
    $CAMVID --out runs/camvid2 --start runs/camvid1/average.safetensors --epochs 24 --learning-rate 1e-3 \
        --frozen-epochs 0 --seed 1

A U-Net of segmentation-models-pytorch. `--encoder resnet34` trains the encoder of the literature
(without --backbone-weights its ImageNet weights are downloaded).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn
from torchvision import tv_tensors
from torchvision.transforms import v2

from weights.training import data, export, unet
from weights.training.fit import Batches, add_options, fit, forward, schedule_of

# Names and colours of the CamVid benchmark with eleven classes.
CLASSES = {
    "sky": (128, 128, 128),
    "building": (128, 0, 0),
    "pole": (192, 192, 128),
    "road": (128, 64, 128),
    "pavement": (60, 40, 222),
    "tree": (128, 128, 0),
    "sign": (192, 128, 128),
    "fence": (64, 64, 128),
    "car": (64, 0, 128),
    "pedestrian": (64, 64, 0),
    "bicyclist": (0, 128, 192),
}
UNLABELLED = 11
HEIGHT, WIDTH = 360, 480
# Progressive resizing: (share of the epochs, height and width of the training crops, least share of a
# frame that a crop shows). On average things are a little larger in a crop than in a whole frame.
CROPS = ((0.5, (224, 320), 0.15), (1.0, (288, 384), 0.3))
ARCHITECTURE = {"decoder_channels": [160, 96, 64, 32, 16], "classes": len(CLASSES)}


def main() -> None:
    options = _options()
    schedule = schedule_of(options)
    model, mean, std = unet.build(options.encoder, options.backbone_weights, **ARCHITECTURE)
    train_images, train_masks = load_split(options.data, "train")
    val_images, val_masks = load_split(options.data, "val")
    weights = class_weights(train_masks)
    cross_entropy = nn.CrossEntropyLoss(weights, ignore_index=UNLABELLED).to(options.device)
    dice = smp.losses.DiceLoss("multiclass", ignore_index=UNLABELLED)

    def epoch_batches(epoch: int) -> Batches:
        progress = (epoch + 1) / schedule.epochs
        crop, least_share = next((crop, least) for until, crop, least in CROPS if progress <= until)
        augment = augmentation(crop, least_share)

        def sample(index: int) -> tuple[Tensor, Tensor]:
            image, mask = augment(tv_tensors.Image(train_images[index]), tv_tensors.Mask(train_masks[index]))
            return image.as_subclass(Tensor), mask.as_subclass(Tensor)

        for images, masks in data.batches(len(train_images), options.batch_size, sample):
            yield data.normalize(images, mean, std), masks.long()

    def validate(candidate: nn.Module) -> dict[str, float]:
        confusion = torch.zeros(len(CLASSES), len(CLASSES))
        for start in range(0, len(val_images), 4):
            images, masks = val_images[start : start + 4], val_masks[start : start + 4]
            ready = data.normalize(
                nn.functional.pad(images.float(), (0, 0, 0, -HEIGHT % 32), mode="replicate"), mean, std
            )
            with torch.inference_mode():
                predicted = forward(candidate, ready)[:, :, :HEIGHT].argmax(1).cpu()
            labelled = masks != UNLABELLED
            pairs = masks[labelled].long() * len(CLASSES) + predicted[labelled]
            confusion += torch.bincount(pairs, minlength=len(CLASSES) ** 2).view(confusion.shape)
        hits = confusion.diag()
        return {
            "val_miou": (hits / (confusion.sum(0) + confusion.sum(1) - hits)).mean().item(),
            "val_pixel_accuracy": (hits.sum() / confusion.sum()).item(),
        }

    trained = fit(
        model.to(options.device),
        unet.parameter_groups(model, options.encoder_rate),
        model.encoder,
        epoch_batches,
        len(train_images) // options.batch_size,
        lambda output, target: cross_entropy(output, target) + dice(output, target),
        validate,
        schedule,
        options.out,
    )
    export.save_repository(trained, smp_config(options.encoder, mean, std), options.out)


def load_split(folder: Path, split: str) -> tuple[Tensor, Tensor]:
    paths = sorted((folder / split).iterdir())
    masks = data.read_masks([folder / f"{split}_masks" / f"{path.stem}.png" for path in paths])
    return data.read_images(paths, (HEIGHT, WIDTH)), masks


def class_weights(masks: Tensor) -> Tensor:
    """Rare classes count more: one over the square root of the share of pixels, mean 1."""
    counts = torch.bincount(masks.flatten(), minlength=UNLABELLED + 1)[: len(CLASSES)].float()
    weights = (counts / counts.sum()).rsqrt()
    return weights / weights.mean()


def augmentation(crop: tuple[int, int], least_share: float) -> v2.Transform:
    """Masks move with the picture. Light changes much: other drives have other weather, one was filmed at dusk."""
    return v2.Compose(
        [
            v2.RandomApply(
                [
                    v2.RandomZoomOut(
                        fill={tv_tensors.Image: 127, tv_tensors.Mask: UNLABELLED},
                        side_range=(1.0, 1.5),
                        p=1.0,
                    )
                ],
                p=0.25,
            ),
            v2.RandomResizedCrop(crop, scale=(least_share, 1.0), ratio=(1.0, 1.78), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.RandomApply([v2.Lambda(_other_light, tv_tensors.Image)], p=0.5),
            v2.ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4),  # hue would cost more than it brings
            v2.RandomApply([v2.GaussianBlur(3, sigma=(0.3, 1.0))], p=0.15),
        ]
    )


def _other_light(image: Tensor) -> Tensor:
    """A gamma curve for dusk or glare, and a gain for each colour for warm or cold light."""
    gamma = float(torch.empty(()).uniform_(-0.6, 0.6).exp())
    gain = torch.empty(3, 1, 1).uniform_(0.85, 1.15)
    return (image.float().div_(255).pow_(gamma).mul_(gain).clamp_(0, 1) * 255).to(torch.uint8)


def smp_config(encoder: str, mean: unet.Numbers, std: unet.Numbers) -> dict[str, Any]:
    return unet.config(
        encoder,
        **ARCHITECTURE,
        _preprocessing={"height": HEIGHT, "width": WIDTH, "multiple": 32, "mean": list(mean), "std": list(std)},
        _classes=[{"name": name, "colour": list(colour)} for name, colour in CLASSES.items()],
        _unlabelled=UNLABELLED,
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with train, train_masks, val, val_masks")
    parser.add_argument("--encoder", default="tu-tf_efficientnet_lite0", help="any smp encoder, such as resnet34")
    add_options(parser, epochs=40, learning_rate=2e-3, batch_size=8)
    parser.add_argument("--encoder-rate", type=float, default=0.3, help="the encoder's share of the learning rate")
    return parser.parse_args()


if __name__ == "__main__":
    main()
