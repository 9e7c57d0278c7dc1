r"""Train the street scene segmentation. From the repository root, about two hours on two cores:

    CAMVID="python -m weights.camvid_segmentation.recipe --data ../shared/data/camvid \
        --backbone-weights ../shared/backbones/tf_efficientnet_lite0.safetensors"
    $CAMVID --out runs/camvid1
    $CAMVID --out runs/camvid2 --start runs/camvid1/average.safetensors --epochs 24 --learning-rate 1e-3 \
        --frozen-epochs 0 --seed 1
    $CAMVID --out runs/camvid3 --start runs/camvid2/average.safetensors --epochs 10 --learning-rate 1e-3 \
        --frozen-epochs 0 --seed 2 --learn-from all --average-with runs/camvid2/average.safetensors
    $CAMVID --out runs/camvid4 --start runs/camvid3/model.safetensors --epochs 5 --learning-rate 6e-4 \
        --frozen-epochs 0 --seed 4 --learn-from all --average-with runs/camvid3/model.safetensors --light strong \
        --worse 0.4

To choose a recipe, leave out a whole drive: `--learn-from 0006R0` looks at the frames of that drive alone, as the
validation frames are all of one drive that training has, too.

A U-Net of segmentation-models-pytorch. `--encoder resnet34` trains the encoder of the literature
(without --backbone-weights its ImageNet weights are downloaded).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
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
RARE = torch.tensor([list(CLASSES).index(name) for name in ("pole", "sign", "fence", "pedestrian", "bicyclist")])
HEIGHT, WIDTH = 360, 480
# Progressive resizing: (share of the epochs, height and width of the training crops, least share of a
# frame that a crop shows, and the greatest). On average things are a little larger in a crop than in a whole frame.
CROPS = ((0.5, (224, 320), 0.15, 1.0), (1.0, (288, 384), 0.3, 1.0))
# To compare recipes in half the time: things are as large as in the crops above, and a crop shows less around them.
SMALL_CROPS = ((1.0, (192, 256), 0.15, 0.6),)
ARCHITECTURE = {"decoder_channels": [160, 96, 64, 32, 16], "classes": len(CLASSES)}


def main() -> None:
    options = _options()
    schedule = schedule_of(options)
    model, mean, std = unet.build(options.encoder, options.backbone_weights, **ARCHITECTURE)
    (train_images, train_masks), (val_images, val_masks) = load_frames(options.data, options.learn_from)
    weights = class_weights(train_masks)
    cross_entropy = nn.CrossEntropyLoss(weights, ignore_index=UNLABELLED).to(options.device)
    crops = SMALL_CROPS if options.small_crops else CROPS
    dice = smp.losses.DiceLoss("multiclass", ignore_index=UNLABELLED)

    def epoch_batches(epoch: int) -> Batches:
        progress = (epoch + 1) / schedule.epochs
        crop, shares = next((crop, shares) for until, crop, *shares in crops if progress <= until)
        augment, worse = augmentation(crop, shares, options.light), data.worse(options.worse)

        def sample(index: int) -> tuple[Tensor, Tensor]:
            image, mask = augment(tv_tensors.Image(train_images[index]), tv_tensors.Mask(train_masks[index]))
            return worse(image.as_subclass(Tensor)), mask.as_subclass(Tensor)

        for images, masks in data.batches(len(train_images), options.batch_size, sample):
            if options.paste:
                images, masks = paste_rare(images, masks)
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


def load_frames(folder: Path, learn_from: str) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Pictures and masks to train with, and those to look at after each epoch.

    `learn_from`: "train" as the data is split, "all" with the validation frames too, or all drives but one, whose
    name is given ("0006R0"): its frames are looked at then.
    """
    splits = [(split, path) for split in ("train", "val") for path in sorted((folder / split).iterdir())]
    looked = [of for of in splits if (of[1].name.startswith(learn_from) if learn_from[0].isdigit() else of[0] == "val")]
    if not looked:
        raise SystemExit(f"no frame's name begins with {learn_from!r}")
    learned = splits if learn_from == "all" else [of for of in splits if of not in looked]
    return _read(folder, learned), _read(folder, looked)


def _read(folder: Path, frames: list[tuple[str, Path]]) -> tuple[Tensor, Tensor]:
    masks = data.read_masks([folder / f"{split}_masks" / f"{path.stem}.png" for split, path in frames])
    return data.read_images([path for _, path in frames], (HEIGHT, WIDTH)), masks


def paste_rare(images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Half of the samples get the rare things of another one of the batch, where these are there."""
    other = int(torch.randint(1, len(images), ()))
    pasted = torch.isin(masks.roll(other, 0), RARE) & (torch.rand(len(images)) < 0.5).view(-1, 1, 1)
    return (
        torch.where(pasted[:, None], images.roll(other, 0), images),
        torch.where(pasted, masks.roll(other, 0), masks),
    )


def class_weights(masks: Tensor) -> Tensor:
    """Rare classes count more: one over the square root of the share of pixels, mean 1."""
    counts = torch.bincount(masks.flatten(), minlength=UNLABELLED + 1)[: len(CLASSES)].float()
    weights = (counts / counts.sum()).rsqrt()
    return weights / weights.mean()


def augmentation(crop: tuple[int, int], shares: Sequence[float], light: str = "mild") -> v2.Transform:
    """Crops of these shares of a frame, the least and the greatest, brought to `crop` (height, width), in other light.

    Masks move with the picture. Light changes much: other drives have other weather, one was filmed at dusk."""
    if light == "strong":
        changes = [
            v2.RandomApply([v2.Lambda(_other_light, tv_tensors.Image)], p=0.7),
            v2.RandomApply([v2.Lambda(_uneven_light, tv_tensors.Image)], p=0.3),
            v2.ColorJitter(brightness=0.5, contrast=0.5, saturation=0.6),
            v2.RandomGrayscale(0.1),
            v2.RandomApply([v2.GaussianBlur(5, sigma=(0.3, 1.5))], p=0.2),
        ]
    else:
        changes = [
            v2.RandomApply([v2.Lambda(_mild_light, tv_tensors.Image)], p=0.5),
            v2.ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4),  # hue would cost more than it brings
            v2.RandomApply([v2.GaussianBlur(3, sigma=(0.3, 1.0))], p=0.15),
        ]
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
            v2.RandomResizedCrop(crop, scale=shares, ratio=(1.0, 1.78), antialias=True),
            v2.RandomHorizontalFlip(),
            *changes,
        ]
    )


def _other_light(image: Tensor) -> Tensor:
    """A gamma curve for dusk or glare, and a gain for each colour for warm or cold light."""
    return _lit(image, 1.0, torch.empty(3, 1, 1).uniform_(0.7, 1.3))


def _mild_light(image: Tensor) -> Tensor:
    return _lit(image, 0.6, torch.empty(3, 1, 1).uniform_(0.85, 1.15))


def _uneven_light(image: Tensor) -> Tensor:
    """Low sun and shadows: some parts are lit more than others."""
    coarse = torch.empty(1, 1, 3, 4).uniform_(-0.8, 0.5).exp()
    return _lit(image, 0.0, nn.functional.interpolate(coarse, image.shape[-2:], mode="bilinear")[0])


def _lit(image: Tensor, gammas: float, gain: Tensor) -> Tensor:
    gamma = float(torch.empty(()).uniform_(-gammas, gammas).exp()) if gammas else 1.0
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
    add_options(parser, 40, 2e-3, batch_size=8, parts="; all drives but one: its name, such as 0006R0")
    parser.add_argument("--light", choices=("mild", "strong"), default="mild", help="how much light changes")
    parser.add_argument("--small-crops", action="store_true", help="to compare recipes in half the time")
    parser.add_argument("--paste", action="store_true", help="rare things of one frame are put into another")
    parser.add_argument("--encoder-rate", type=float, default=0.3, help="the encoder's share of the learning rate")
    return parser.parse_args()


if __name__ == "__main__":
    main()
