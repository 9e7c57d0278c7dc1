r"""Train the palm keypoints. From the repository root, under four hours on two cores (43, 11, 8, some 40 and 124
minutes, beside other work, which for the last two was most of the time):

    PALM="python -m weights.palm_keypoints.recipe --data ../shared/data/palm --more ../shared/data/palm_small \
        --others ../shared/data/vehicle/images --others ../shared/data/camvid/train \
        --backbone-weights ../shared/backbones/tf_efficientnet_lite0.safetensors"
    $PALM --out runs/palm1
    $PALM --out runs/palm2 --start runs/palm1/average.safetensors --epochs 10 --learning-rate 1e-3 --frozen-epochs 0 \
        --seed 1
    $PALM --out runs/palm3 --start runs/palm2/average.safetensors --epochs 8 --learning-rate 6e-4 --frozen-epochs 0 \
        --seed 2
    $PALM --out runs/palm4 --start runs/palm3/average.safetensors --epochs 8 --learning-rate 6e-4 --frozen-epochs 0 \
        --seed 3
    $PALM --out runs/palm5 --start runs/palm4/average.safetensors --epochs 8 --learning-rate 6e-4 --frozen-epochs 0 \
        --seed 4 --learn-from all --average-with runs/palm4/average.safetensors

A U-Net of segmentation-models-pytorch with one heat map a point; a point is the expected position of
its heat map, in [-1, 1], learned with an L1 loss. A second head regresses the same 24 coordinates through tanh
and says whether the picture shows a palm in the pose that the network knows: a left hand, fingers to
the left. Right hands are mirrored. `--encoder resnet34` trains the encoder of the literature.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, interpolate
from torchvision import tv_tensors
from torchvision.transforms import v2

from hub.kit.hands import title_of
from hub.kit.views import expectation
from weights.training import classifier, data, export, extra, unet
from weights.training.fit import Batches, add_options, fit, schedule_of

FINGERS = ("index", "middle", "ring", "pinky")
POINTS = (
    *(f"tip_{finger}" for finger in FINGERS),
    *(f"base_{finger}" for finger in FINGERS),
    *(f"heart_{number}" for number in (1, 2, 3, 4)),
)
TIPS = (8, 12, 16, 20)  # of the 21 landmarks of `--more`, in the order of POINTS
HANDS = ("Left hand", "Right hand")  # as people call them who set the page's answers right
HEIGHT, WIDTH = 288, 384
SOURCE = (360, 480)  # pictures wait in memory at this size, so that crops stay sharp
# Progressive resizing: (share of the epochs, heights of the training batches, drawn at random).
HEIGHTS = ((0.4, (144, 144, 216)), (0.75, (144, 216, 288)), (1.0, (216, 288, 288)))
SPREAD = 0.03  # wanted standard deviation of a heat map, in [-1, 1]: about 6 px
ARCHITECTURE = {
    "decoder_channels": [96, 48, 32, 16, 8],
    "classes": len(POINTS),
    "aux_params": {"classes": 25, "pooling": "avg", "dropout": 0.2, "activation": None},
}
COARSE = slice(0, 24)
PRESENCE = 24


@dataclass(frozen=True)
class Hands:
    """Left palms (or mirrored right ones) with the fingers to the left."""

    images: Tensor  # uint8 [n, 3, 360, 480]
    background: Tensor  # uint8 [n, 360, 480], 255 where the light background is
    points: Tensor  # [n, 12, 2] pixels of the 360x480 picture; NaN where unknown

    def joined(self, others: Hands) -> Hands:
        """These and others."""
        pairs = ((self.images, others.images), (self.background, others.background), (self.points, others.points))
        return Hands(*(torch.cat(pair) for pair in pairs))


class Trained(nn.Module):
    """What the loss looks at, as one tensor [n, 73]: points, spreads, coarse coordinates, presence."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        heat, other = self.model(images)
        # In bfloat16, numbers near 1 are 0.004 apart: coarser than a spread, which is a difference of two of them.
        with torch.autocast(heat.device.type, enabled=False):
            points, spread = expectation(heat.float())
        other = other.float()
        return torch.cat([points.flatten(1), spread.flatten(1), other[:, COARSE].tanh(), other[:, PRESENCE:]], 1)


def main() -> None:
    options = _options()
    schedule = schedule_of(options)
    model, mean, std = unet.build(options.encoder, options.backbone_weights, **ARCHITECTURE)
    palms = load_palms(options.data, options.learn_from)
    palms = palms.joined(load_extra(options.extra)) if options.extra else palms
    hands = [palms] + ([load_more(options.more)] if options.more else [])
    val = load_palms(options.data, "val")
    val_ready = data.normalize(
        interpolate(val.images.float(), (HEIGHT, WIDTH), mode="bilinear", antialias=True), mean, std
    )
    others = load_others(options.others, options.seed)
    per_epoch = options.samples // options.batch_size
    worse = data.worse(options.worse)

    def epoch_batches(epoch: int) -> Batches:
        progress = (epoch + 1) / schedule.epochs
        heights = next(heights for until, heights in HEIGHTS if progress <= until)
        for _ in range(per_epoch):
            height = heights[int(torch.randint(len(heights), ()))]
            samples = [draw(hands, others, (height, height * WIDTH // HEIGHT)) for _ in range(options.batch_size)]
            images, targets = zip(*samples, strict=True)
            yield data.normalize(torch.stack([*map(worse, images)]), mean, std), torch.stack(targets)

    def validate(candidate: nn.Module) -> dict[str, float]:
        output = classifier.predict(candidate, val_ready, batch_size=8)
        target = normalised(val.points, SOURCE)
        half = torch.tensor([WIDTH / 2, HEIGHT / 2])
        fine, coarse = ((output[:, part].view(-1, 12, 2) - target).abs() for part in (slice(0, 24), slice(48, 72)))
        return {
            "val_l1_px": (fine * half).mean().item(),
            "val_l1_px_tanh": (coarse * half).mean().item(),
            "val_within_0.1": (fine < 0.1).float().mean().item(),
            "val_within_0.01": (fine < 0.01).float().mean().item(),
        }

    trained = fit(
        Trained(model).to(options.device),
        unet.parameter_groups(model, options.encoder_rate),
        model.encoder,
        epoch_batches,
        per_epoch,
        loss,
        validate,
        schedule,
        options.out,
    )
    export.save_repository(trained.get_submodule("model"), smp_config(options.encoder, mean, std), options.out)


def loss(output: Tensor, target: Tensor) -> Tensor:
    """L1 of both heads where a point is known, the wanted spread, and presence. `target` is [n, 25]."""
    points, present = target[:, COARSE], target[:, PRESENCE]
    mask = (~points.isnan()).float()
    true_points = points.nan_to_num()
    count = mask.sum().clamp(min=1)
    fine = ((output[:, :24] - true_points).abs() * mask).sum() / count
    coarse = ((output[:, 48:72] - true_points).abs() * mask).sum() / count
    spread = ((output[:, 24:48] - SPREAD).abs() * mask).sum() / count
    return 10 * fine + 2 * coarse + 2 * spread + 0.3 * binary_cross_entropy_with_logits(output[:, 72], present)


def load_palms(folder: Path, part: str) -> Hands:
    rows = data.read_part(folder, part)
    images = data.read_images([folder / "images" / row["image"] for row in rows], SOURCE)
    points = torch.tensor([[[float(row[f"{name}_{axis}"]) for axis in "xy"] for name in POINTS] for row in rows])
    sizes = torch.tensor([[float(row["width"]), float(row["height"])] for row in rows])
    points = points * torch.tensor(SOURCE[::-1]) / sizes[:, None]
    for index, row in enumerate(rows):
        if row["right_hand"] == "1":
            images[index] = images[index].flip(1)
            points[index, :, 1] = SOURCE[0] - points[index, :, 1]
    return Hands(images, background(images), points)


def load_more(folder: Path) -> Hands:
    """Upright hands of many people, of which only the finger tips are the same points: turned, mirrored, padded."""
    with (folder / "labels.csv").open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    small = data.read_images([folder / "images" / row["image"] for row in rows])
    side, height = small.shape[-1], SOURCE[0]
    images = torch.full((len(rows), 3, *SOURCE), 255, dtype=torch.uint8)
    points = torch.full((len(rows), len(POINTS), 2), float("nan"))
    left = (SOURCE[1] - height) // 2
    for index, row in enumerate(rows):
        picture = small[index].rot90(1, (1, 2))  # a quarter turn to the left: (x, y) becomes (y, side - x)
        tips = torch.tensor([[float(row[f"p{tip}_y"]), side - float(row[f"p{tip}_x"])] for tip in TIPS])
        if row["side"].endswith("right"):
            picture, tips[:, 1] = picture.flip(1), side - tips[:, 1]
        big = interpolate(picture[None].float(), (height, height), mode="bicubic").clamp(0, 255)[0]
        images[index, :, :, left : left + height] = big.to(torch.uint8)
        points[index, :4] = tips * (height / side) + torch.tensor([left, 0])
    return Hands(images, background(images), points)


def load_extra(folder: Path) -> Hands:
    """Palms whose points people set right, brought into the pose that the network knows."""
    places = {str(title_of(name)): at for at, name in enumerate(POINTS)}
    images, points = list[Tensor](), list[Tensor]()
    for row in extra.read_rows(folder, "palm_keypoints"):
        known = row.get("points")
        if row.get("label") not in HANDS or known is None or not {*known["name"]} <= {*places}:
            continue
        own = torch.full((len(POINTS), 2), float("nan"))
        for name, x, y in zip(known["name"], known["x"], known["y"], strict=True):
            if x is not None and y is not None:
                own[places[name]] = torch.tensor([x, y])
        image, own = known_pose(data.read_images([row["path"]])[0], own, mirrored=row["label"] == HANDS[1])
        if own[:8].isfinite().any():  # something tells which way the fingers point
            size = torch.tensor([image.shape[2], image.shape[1]])
            images.append(v2.functional.resize(image, list(SOURCE), antialias=True))
            points.append(own * torch.tensor(SOURCE[::-1]) / size)
    extra.check(images, folder, "palm_keypoints")
    stacked = torch.stack(images)
    return Hands(stacked, background(stacked), torch.stack(points))


def known_pose(image: Tensor, points: Tensor, mirrored: bool) -> tuple[Tensor, Tensor]:
    """The fingers to the left by quarter turns; a right hand `mirrored`. Points are in pixels."""
    for _ in range(4):
        across, down = (points[:4].nanmean(0) - points[4:8].nanmean(0)).tolist()
        if across <= -abs(down):
            break
        # A quarter turn to the left: (x, y) becomes (y, width - x).
        image, points = image.rot90(1, (1, 2)), torch.stack([points[:, 1], image.shape[2] - points[:, 0]], 1)
    if mirrored:
        image = image.flip(1)
        points = torch.stack([points[:, 0], image.shape[1] - points[:, 1]], 1)
    return image, points


def load_others(folders: Sequence[Path], seed: int, most: int = 800) -> Tensor:
    """Pictures without a hand, small: backgrounds and examples of "no palm"."""
    paths = [path for folder in folders for path in sorted(folder.iterdir())]
    generator = torch.Generator().manual_seed(seed)
    sample = [paths[index] for index in torch.randperm(len(paths), generator=generator)[:most].tolist()]
    return data.read_images(sample, (144, 192)) if sample else torch.zeros(0, 3, 144, 192, dtype=torch.uint8)


def background(images: Tensor) -> Tensor:
    """Where the light background is. Skin has clearly less blue than red, whatever its tone; paper has not."""
    masks = []
    for image in images:
        red, _, blue = image.float() + 1
        masks.append(((blue / red - 0.82) * 20).sigmoid().mul(255).to(torch.uint8))
    return torch.stack(masks)


# --- augmentation -----------------------------------------------------------------------------------


def draw(hands: list[Hands], others: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """One sample: 70 % palms in the known pose, 20 % in another pose, 10 % without a hand."""
    kind = torch.rand(()).item()
    target = torch.full((25,), float("nan"))
    target[PRESENCE] = 0.0
    if kind > 0.9 and len(others):
        image = others[int(torch.randint(len(others), ()))]
        return _turned(v2.functional.resize(image, list(size), antialias=True)), target
    # Half of the palms have all twelve points, half are other people's hands.
    source = hands[int(torch.randint(len(hands), ()))]
    index = int(torch.randint(len(source.images), ()))
    image, behind, points = source.images[index], source.background[index], source.points[index]
    is_known = kind < 0.7
    if not is_known:
        image, behind = other_pose(image, behind)
    points = points.nan_to_num(-1000.0)
    image, behind, points = geometry(size, wide=is_known)(
        tv_tensors.Image(image), tv_tensors.Mask(behind), tv_tensors.KeyPoints(points, canvas_size=SOURCE)
    )
    if is_known:
        target = torch.cat([inside(normalised(points.as_subclass(Tensor), size)).flatten(), torch.ones(1)])
    return colours(image.as_subclass(Tensor), behind.as_subclass(Tensor), others), target


def other_pose(image: Tensor, behind: Tensor) -> tuple[Tensor, Tensor]:
    """One of the seven other quarter turns and mirrorings, in a frame of the same size."""
    pose = int(torch.randint(1, 8, ()))
    layers = torch.cat([image, behind[None]])
    if pose >= 4:
        layers = layers.flip(1)
    layers = layers.rot90(pose % 4, (1, 2))
    if pose % 2:  # now upright: shrunk into the middle
        width = SOURCE[0] * SOURCE[0] // SOURCE[1]
        layers = v2.functional.resize(layers, [SOURCE[0], width], antialias=True)
        left = (SOURCE[1] - width) // 2
        layers = v2.functional.pad(layers, [left, 0, SOURCE[1] - width - left, 0], fill=255)
    return layers[:3], layers[3]


def geometry(size: tuple[int, int], wide: bool) -> v2.Transform:
    """Points and background move with the picture. Rotation is strong: the page brings hands into this pose
    by quarter turns only."""
    fill = {tv_tensors.Image: 255, tv_tensors.Mask: 255}
    degrees = (55 if torch.rand(()) < 0.4 else 20) if wide else 20
    return v2.Compose(
        [
            v2.RandomAffine(
                degrees,
                translate=(0.12, 0.12),
                scale=(0.6, 1.2),
                shear=8,
                interpolation=v2.InterpolationMode.BILINEAR,
                fill=fill,
            ),
            v2.RandomPerspective(0.2, p=0.3, fill=fill),
            v2.Resize(size, antialias=True),
        ]
    )


def colours(image: Tensor, behind: Tensor, others: Tensor) -> Tensor:
    """Skin of other tones on other backgrounds in other light."""
    pixels, share = image.float() / 255, behind.float()[None] / 255
    if torch.rand(()) < 0.7:
        gamma = float(torch.empty(()).uniform_(-0.9, 0.4).exp())  # mostly lighter: the palms of --data are dark
        pixels = pixels.pow(gamma) * torch.empty(3, 1, 1).uniform_(0.85, 1.15)
    if torch.rand(()) < 0.6:
        pixels = pixels.lerp(_shaded(_scene(pixels.shape[1:], others), share), share)
    image = (pixels.clamp(0, 1) * 255).to(torch.uint8)
    image = v2.functional.adjust_brightness(image, float(torch.empty(()).uniform_(0.7, 1.3)))
    toned: Tensor = v2.functional.adjust_saturation(image, float(torch.empty(()).uniform_(0.6, 1.3)))
    return toned


def _scene(size: torch.Size, others: Tensor) -> Tensor:
    """A picture without a hand, a table of boards, or soft patches of colour."""
    kind = torch.rand(()).item()
    if kind < 0.3:
        return _boards(size)
    if len(others) and kind < 0.65:
        other = others[int(torch.randint(len(others), ()))]
        return interpolate(other[None].float() / 255, tuple(size), mode="bilinear")[0]
    patches = torch.rand(3, 1, 1) + 0.3 * torch.rand(()) * torch.randn(3, *torch.randint(2, 12, (2,)).tolist())
    return interpolate(patches[None], tuple(size), mode="bicubic")[0].clamp(0, 1)


def _boards(size: torch.Size) -> Tensor:
    """Wood: boards with grain along them and dark gaps, in tones that are close to skin's."""
    count, grain = int(torch.randint(2, 9, ())), int(torch.randint(20, 120, ()))
    red = torch.empty(()).uniform_(0.3, 0.9)
    tone = torch.stack([red, red * torch.empty(()).uniform_(0.6, 0.9), red * torch.empty(()).uniform_(0.35, 0.75)])
    height, width = size[::-1] if torch.rand(()) < 0.5 else size
    rows = torch.linspace(0, count - 1e-3, height) + torch.rand(())
    boards = 1 + 0.12 * torch.randn(count + 2)[rows.long()]
    gaps = 1 - 0.8 * (rows.frac() < 0.02 + 0.04 * torch.rand(())).float()
    lines = interpolate(torch.randn(1, 1, grain, 4), (height, width), mode="bicubic")[0, 0]
    wood = (tone.view(3, 1, 1) * (boards * gaps)[:, None] * (1 + 0.12 * torch.rand(()) * lines)).clamp(0, 1)
    return wood if (height, width) == tuple(size) else wood.transpose(1, 2)


def _shaded(scene: Tensor, share: Tensor) -> Tensor:
    """The hand's shadow falls on half of the backgrounds; `share` [1, height, width] is 1 beside the hand."""
    if torch.rand(()) < 0.5:
        return scene
    height, width = share.shape[1:]
    across, down = ((torch.rand(()) - 0.5) * 0.16 * side for side in (width, height))
    soft = 2 * int(torch.randint(1, max(2, height // 24), ())) + 1
    shifted = v2.functional.affine(1 - share, 0, [int(across), int(down)], 1.0, [0.0, 0.0])
    shadow = nn.functional.avg_pool2d(shifted, soft, 1, soft // 2, count_include_pad=False)
    return scene * (1 - torch.empty(()).uniform_(0.2, 0.75) * shadow)


def _turned(image: Tensor) -> Tensor:
    return image.flip(2) if torch.rand(()) < 0.5 else image


def normalised(points: Tensor, size: tuple[int, int]) -> Tensor:
    """Pixels to [-1, 1], where -1 and 1 are the edges of the picture."""
    return points / torch.tensor(size[::-1]) * 2 - 1


def inside(points: Tensor) -> Tensor:
    """Points beyond the edge become unknown."""
    outside = (points.abs() > 0.995).any(-1, keepdim=True)
    return points.masked_fill(outside, float("nan"))


# --- the model's files ------------------------------------------------------------------------------


def smp_config(encoder: str, mean: unet.Numbers, std: unet.Numbers) -> dict[str, Any]:
    return unet.config(
        encoder,
        **ARCHITECTURE,
        _preprocessing={"height": HEIGHT, "width": WIDTH, "mean": list(mean), "std": list(std)},
        _points=list(POINTS),
        _min_presence=0.997,  # of eight views the best one counts: palms reach 0.999, few other pictures do
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with images/ and labels.csv (12 points)")
    extra.add_option(parser)
    parser.add_argument("--more", type=Path, help="folder with further hands and 21 landmarks")
    parser.add_argument("--others", type=Path, action="append", default=[], help="folder of pictures without a hand")
    parser.add_argument("--encoder", default="tu-tf_efficientnet_lite0", help="any smp encoder, such as resnet34")
    add_options(parser, epochs=24, learning_rate=2e-3, batch_size=16)
    parser.add_argument("--samples", type=int, default=640, help="augmented samples an epoch")
    parser.add_argument("--encoder-rate", type=float, default=0.5, help="the encoder's share of the learning rate")
    return parser.parse_args()


if __name__ == "__main__":
    main()
