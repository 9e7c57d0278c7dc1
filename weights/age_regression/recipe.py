r"""Train the age regression. From the repository root, a first cycle and five shorter ones that start from its
weights, about a hundred minutes on two cores (18, 16, 9, 7, 24 and 18, beside other work):

    DATA="--data ../shared/data/age --backbone-weights ../shared/backbones/tf_efficientnet_lite0.safetensors"
    AGE="python -m weights.age_regression.recipe $DATA"
    $AGE --out runs/age1
    $AGE --out runs/age2 --start runs/age1/average.safetensors --epochs 8 --least-px 128 --frozen-epochs 0 \
        --learning-rate 1.5e-3 --seed 1
    $AGE --out runs/age3 --start runs/age2/average.safetensors --epochs 4 --least-px 160 --frozen-epochs 0 \
        --learning-rate 3e-4 --seed 2
    $AGE --out runs/age4 --start runs/age3/average.safetensors --epochs 3 --least-px 160 --frozen-epochs 0 \
        --learning-rate 4e-4 --mixup 0 --seed 3
    $AGE --out runs/age5 --start runs/age4/average.safetensors --epochs 8 --least-px 160 --frozen-epochs 0 \
        --learning-rate 6e-4 --mixup 0 --seed 4
    $AGE --out runs/age6 --start runs/age5/model.safetensors --average-with runs/age5/model.safetensors --epochs 5 \
        --least-px 160 --frozen-epochs 0 --learning-rate 6e-4 --mixup 0 --worse 0.4 --seed 5 --precision fp32
    python -m weights.age_regression.corrections --data ../shared/data/age --write  # once runs/age6 lies here

Average and maximum pooling side by side, BatchNorm, dropout and one linear layer; SmoothL1 on the age, and
the two ends of an interval by the pinball loss. The exported file is a plain timm model with the
outputs [age, low, high] in years: BatchNorm and the scale are folded into the linear layer.
`--arch resnet34` or `resnet50` trains the backbone of the literature.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from timm.optim import param_groups_layer_decay
from torch import Tensor, nn
from torch.nn.functional import interpolate, smooth_l1_loss
from torchvision.transforms import v2

from hub.kit.faces import cut_out, detect
from weights.training import classifier, data, export, extra
from weights.training.fit import Batches, Schedule, add_options, fit, schedule_of

SOURCE_PX = 200
PAD_PX = 12  # edges repeated, so that a crop can be wider than the face's frame
# Progressive resizing: (share of the epochs, side of the training pictures).
SIZES = ((0.35, 96), (0.7, 128), (1.0, 160))
SIDE_PX = 160
CENTRE, SCALE = 40.0, 20.0  # years; the network learns (age - CENTRE) / SCALE
LEAST_SCORE = 0.8  # of a face, as on the page
FEATURES_OF = 1000  # faces, where an exported head is taken apart
LEVEL = 0.8  # share of people whose age should be in the interval


def main() -> None:
    options = _options()
    schedule = schedule_of(options, ema_decay=0.995)
    model, mean, std = build(options.arch, options.backbone_weights, options.dropout)
    images, ages = load_split(options.data, options.learn_from)
    schedule = begin_with_exported(schedule, model, mean, std, images, options)
    if options.extra:
        faces, years = load_extra(options.extra)
        images, ages = torch.cat([images, faces]), torch.cat([ages, years])
    val_images, val_ages = load_split(options.data, "val")
    val_ready = _ready(val_images, mean, std)

    def epoch_batches(epoch: int) -> Batches:
        progress = (epoch + 1) / schedule.epochs
        side = next(side for until, side in SIZES if progress <= until)
        augment = augmentation(max(side, options.least_px), options.worse)
        for pictures, years in data.batches(
            len(images), options.batch_size, lambda index: (augment(images[index]), ages[index])
        ):
            yield data.mixed(data.normalize(pictures, mean, std), years, options.mixup)

    def validate(candidate: nn.Module) -> dict[str, float]:
        estimates = classifier.predict(candidate, val_ready) * SCALE + CENTRE
        both = (estimates + classifier.predict(candidate, val_ready.flip(3)) * SCALE + CENTRE) / 2
        return {
            "val_mae": (estimates[:, 0] - val_ages).abs().mean().item(),
            "val_mae_flip": (both[:, 0] - val_ages).abs().mean().item(),
            "val_inside": ((val_ages >= estimates[:, 1]) & (val_ages <= estimates[:, 2])).float().mean().item(),
        }

    trained = fit(
        model.to(options.device),
        param_groups_layer_decay(model, weight_decay=schedule.weight_decay, layer_decay=options.layer_decay),
        classifier.backbone(model),
        epoch_batches,
        len(images) // options.batch_size,
        loss,
        validate,
        schedule,
        options.out,
    )
    if options.wider is None:
        wider, inside = fit_interval(
            [classifier.predict(trained, view) for view in (val_ready, val_ready.flip(3))], val_ages
        )
        (options.out / "interval.json").write_text(
            json.dumps({"wider_years": wider, "inside_other_half": inside}) + "\n"
        )
    else:
        wider = options.wider
    fold_head(trained, wider)
    pooling = {"global_pool": "catavgmax"}
    config = classifier.config(trained, options.arch, "age", ["age", "low", "high"], SIDE_PX, mean, std, pooling)
    export.save_repository(trained, config | {"interval_level": LEVEL}, options.out)


def build(
    arch: str, backbone_weights: Path | None, dropout: float
) -> tuple[Any, classifier.Numbers, classifier.Numbers]:
    model, mean, std = classifier.build(arch, 3, backbone_weights, global_pool="catavgmax")
    linear = model.get_classifier()
    head = nn.Sequential(nn.BatchNorm1d(linear.in_features), nn.Dropout(dropout), linear)
    model.set_submodule(model.pretrained_cfg["classifier"], head)
    return model, mean, std


def fold_head(model: Any, wider: float) -> None:
    """BatchNorm, the scale to years and the wider interval become part of the linear layer."""
    norm, _, linear = model.get_classifier()
    gain = norm.weight / (norm.running_var + norm.eps).sqrt()
    shift = norm.bias - norm.running_mean * gain
    folded = nn.Linear(linear.in_features, 3, device=linear.weight.device)
    with torch.no_grad():
        folded.weight.copy_(linear.weight * gain * SCALE)
        folded.bias.copy_(
            (linear.bias + linear.weight @ shift) * SCALE
            + CENTRE
            + torch.tensor([0.0, -wider, wider]).to(linear.weight)
        )
    model.set_submodule(model.pretrained_cfg["classifier"], folded)


def begin_with_exported(
    schedule: Schedule,
    model: Any,
    mean: classifier.Numbers,
    std: classifier.Numbers,
    images: Tensor,
    options: argparse.Namespace,
) -> Schedule:
    """The schedule with what it names taken apart where that is an exported file, whose head is folded.

    What comes of it lies in `options.out`, named as `model` names its tensors. BatchNorm goes in front of the linear
    layer again, with the features of some of `images` (uint8 [n, 3, side, side]), so that it changes nothing.
    """
    parts: dict[str, Any] = {}
    for name in ("start", "average_with"):
        path: Path | None = getattr(options, name)
        if path is None or f"{model.pretrained_cfg['classifier']}.weight" not in (tensors := load_file(path)):
            continue
        unfolded = copy.deepcopy(model)
        unfold_head(unfolded, tensors, _ready(images[:: max(1, len(images) // FEATURES_OF)], mean, std))
        options.out.mkdir(parents=True, exist_ok=True)
        parts[name] = str(options.out / f"{name}.safetensors")
        export.save_tensors(unfolded, Path(parts[name]))
    return replace(schedule, **parts)


def unfold_head(model: Any, tensors: dict[str, Tensor], images: Tensor) -> None:
    """What `fold_head` made of a head, taken apart: `model` answers as the export does, `images` being normalised."""
    name = model.pretrained_cfg["classifier"]
    head = model.eval().get_classifier()
    norm, _, linear = head
    model.load_state_dict(
        {key: value for key, value in tensors.items() if not key.startswith(f"{name}.")}, strict=False
    )
    model.set_submodule(name, nn.Identity())
    features = classifier.predict(model, images)
    model.set_submodule(name, head)
    with torch.no_grad():
        norm.running_mean.copy_(features.mean(0))
        norm.running_var.copy_(features.var(0))
        norm.weight.copy_((norm.running_var + norm.eps).sqrt())
        norm.bias.copy_(norm.running_mean)
        linear.weight.copy_(tensors[f"{name}.weight"].float() / SCALE)
        linear.bias.copy_((tensors[f"{name}.bias"].float() - CENTRE) / SCALE)


def loss(output: Tensor, years: Tensor) -> Tensor:
    """SmoothL1 of the age, pinball loss of both ends of the interval."""
    target = (years - CENTRE) / SCALE
    age = smooth_l1_loss(output[:, 0], target, beta=0.1)
    tail = (1 - LEVEL) / 2
    # The interval learns from the same features without pulling at them much.
    ends = torch.zeros(())
    for column, share in ((1, tail), (2, 1 - tail)):
        error = target - output[:, column]
        ends = ends + torch.maximum(share * error, (share - 1) * error).mean()
    return age + 0.5 * ends


def fit_interval(views: list[Tensor], ages: Tensor) -> tuple[float, float]:
    """Years to add at both ends, as every second face asks for, and the share of the others that is then inside.

    `views`: the network's outputs [n, 3] for the faces and their mirror images, which the page averages.
    """
    estimates = (views[0] + views[1]) / 2 * SCALE + CENTRE
    wider = widening(estimates[::2], ages[::2])
    low, high = estimates[1::2, 1] - wider, estimates[1::2, 2] + wider
    return wider, ((ages[1::2] >= low) & (ages[1::2] <= high)).float().mean().item()


def widening(estimates: Tensor, ages: Tensor) -> float:
    """Years to add at both ends so that LEVEL of these faces are inside (split conformal prediction)."""
    outside = torch.maximum(estimates[:, 1] - ages, ages - estimates[:, 2])
    rank = min(len(ages), math.ceil((len(ages) + 1) * LEVEL))
    return outside.kthvalue(rank).values.item()


def load_split(folder: Path, part: str) -> tuple[Tensor, Tensor]:
    rows = data.read_part(folder, part)
    images = data.read_images([folder / "images" / row["image"] for row in rows], (SOURCE_PX, SOURCE_PX))
    padded = v2.functional.pad(images, [PAD_PX], padding_mode="edge")
    return padded, torch.tensor([float(row["age"]) for row in rows])


def _ready(images: Tensor, mean: classifier.Numbers, std: classifier.Numbers) -> Tensor:
    """Padded faces as the page shows them to the network."""
    inner = slice(PAD_PX, PAD_PX + SOURCE_PX)
    faces = interpolate(images[:, :, inner, inner].float(), (SIDE_PX, SIDE_PX), mode="bicubic", antialias=True)
    return data.normalize(faces.clamp(0, 255), mean, std)


def load_extra(folder: Path) -> tuple[Tensor, Tensor]:
    """Faces that people set right, cut out as the page does; photos in which other faces are found are left out."""
    faces, ages = list[Image.Image](), list[float]()
    for row in extra.read_rows(folder, "age_regression"):
        known = row.get("numbers") or []
        with Image.open(row["path"]) as file:
            image = file.convert("RGB")
        found = detect(image, LEAST_SCORE)
        if len(found) == len(known):
            pictures = cut_out(image, found, SOURCE_PX, SOURCE_PX)
        else:  # one that was said to be one face
            pictures = [image.resize((SOURCE_PX, SOURCE_PX), Image.Resampling.BICUBIC)] if len(known) == 1 else []
        pairs = [(face, age) for face, age in zip(pictures, known, strict=False) if age is not None]
        faces += [face for face, _ in pairs]
        ages += [age for _, age in pairs]
    extra.check(ages, folder, "age_regression")
    stacked = torch.stack([torch.from_numpy(np.array(face)).permute(2, 0, 1) for face in faces])
    return v2.functional.pad(stacked, [PAD_PX], padding_mode="edge"), torch.tensor(ages)


def augmentation(side: int, worse: float = 0.0) -> v2.Transform:
    """A detector's crop is not exactly the frame of the data: 0.9 to 1.12 in scale, up to 11 % in place, 7 degrees."""
    least = (0.9 * SOURCE_PX / (SOURCE_PX + 2 * PAD_PX)) ** 2
    return v2.Compose(
        [
            v2.RandomApply([v2.RandomRotation(7, interpolation=v2.InterpolationMode.BILINEAR, fill=127)], p=0.3),
            v2.RandomResizedCrop(side, scale=(least, 1.0), ratio=(0.93, 1.07), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(brightness=0.3, contrast=0.3, saturation=0.3),
            v2.RandomGrayscale(p=0.08),  # old people are more often on old photographs: colour should not tell
            v2.RandomApply([v2.Lambda(_far_away)], p=0.2),
            data.worse(worse),
            v2.RandomErasing(p=0.15, scale=(0.02, 0.12), value=[127]),
        ]
    )


def _far_away(image: Tensor) -> Tensor:
    """A small face, enlarged."""
    return data.enlarged(image, int(torch.randint(32, 90, ())) / image.shape[-1])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with images/ and labels.csv")
    extra.add_option(parser)
    parser.add_argument("--arch", default="tf_efficientnet_lite0", help="any timm model, such as resnet34")
    add_options(parser, epochs=10, learning_rate=2e-3, batch_size=48)
    parser.add_argument("--layer-decay", type=float, default=0.9)
    parser.add_argument("--least-px", type=int, default=0, help="smallest side of the training pictures")
    parser.add_argument("--dropout", type=float, default=0.3)
    parser.add_argument("--mixup", type=float, default=0.2, help="0 turns it off")
    parser.add_argument("--wider", type=float, help="with --learn-from all: years, from interval.json of before")
    given = parser.parse_args()
    if (given.learn_from == "all") != (given.wider is not None):
        parser.error("--wider goes with --learn-from all: faces that were learnt would make the interval too narrow.")
    return given


if __name__ == "__main__":
    main()
