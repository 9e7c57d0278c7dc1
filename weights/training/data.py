"""Labelled pictures, decoded once and kept in memory as uint8 tensors."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2
from tqdm import tqdm  # type: ignore[import-untyped]  # its stubs are a package of their own

from weights.measures import read_rows

PARTS = {"train": ("train",), "all": ("train", "val")}  # what may be learnt from, and the splits that it has


def read_part(folder: Path, part: str) -> list[dict[str, str]]:
    """The rows of labels.csv of one of `PARTS`, or of a split. Raises SystemExit when there is none."""
    return [row for split in PARTS.get(part, (part,)) for row in read_rows(folder, split)]


def read_images(paths: Sequence[Path], size: tuple[int, int] | None = None) -> Tensor:
    """Decode to one uint8 tensor [n, 3, height, width]; `size` is (height, width)."""
    images = []
    for path in tqdm(paths, desc="decode", unit="image"):
        with Image.open(path) as file:
            image = file.convert("RGB")
        if size and image.size != size[::-1]:
            image = image.resize(size[::-1], Image.Resampling.BICUBIC)
        images.append(torch.from_numpy(np.array(image)).permute(2, 0, 1))
    return torch.stack(images)


def read_masks(paths: Sequence[Path]) -> Tensor:
    """Decode class-id masks to one uint8 tensor [n, height, width]."""
    masks = []
    for path in tqdm(paths, desc="decode masks", unit="mask"):
        with Image.open(path) as file:
            masks.append(torch.from_numpy(np.array(file)))
    return torch.stack(masks)


def batches(
    count: int, batch_size: int, sample: Callable[[int], tuple[Tensor, Tensor]]
) -> Iterator[tuple[Tensor, Tensor]]:
    """One shuffled epoch of augmented samples. The last, smaller batch is dropped: batch
    normalisation learns badly from a handful of pictures."""
    order = torch.randperm(count).tolist()
    for start in range(0, count - batch_size + 1, batch_size):
        images, targets = zip(*(sample(index) for index in order[start : start + batch_size]), strict=True)
        yield torch.stack(images), torch.stack(targets)


def worse(share: float) -> v2.Transform:
    """Does to `share` of the pictures (uint8 [3, height, width]) one of the things that pictures suffer on their way:
    saved as JPEG of quality 20 to 70, out of focus, noisy, dark, made small and large again."""
    ways = (_saved_badly, _out_of_focus, _noisy, _dark, _enlarged)
    return v2.RandomApply([v2.RandomChoice([*map(v2.Lambda, ways)])], p=share)


def _between(low: float, high: float) -> float:
    return low + (high - low) * torch.rand(()).item()


def _saved_badly(image: Tensor) -> Tensor:
    file = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=int(torch.randint(20, 71, ())))
    return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)


def _out_of_focus(image: Tensor) -> Tensor:
    sigma = max(image.shape[-2:]) * _between(0.002, 0.012)
    blurred: Tensor = v2.functional.gaussian_blur(image, [2 * int(3 * sigma) + 1] * 2, [sigma, sigma])
    return blurred


def _noisy(image: Tensor) -> Tensor:
    """Grain of a sensor, of up to 28 of 255 levels; in half of the pictures the same in all three colours."""
    shape = image.shape if torch.rand(()) < 0.5 else (1, *image.shape[-2:])
    return (image + torch.randn(shape) * _between(4.0, 28.0)).round_().clamp_(0, 255).to(torch.uint8)


def _dark(image: Tensor) -> Tensor:
    return (image * _between(0.35, 0.8)).to(torch.uint8)


def _enlarged(image: Tensor) -> Tensor:
    return enlarged(image, _between(0.25, 0.7))


def enlarged(image: Tensor, share: float) -> Tensor:
    """The picture as if it had been only `share` as wide and as high: made so small, and large again."""
    height, width = image.shape[-2:]
    small = v2.functional.resize(image, [round(height * share), round(width * share)], antialias=True)
    large: Tensor = v2.functional.resize(small, [height, width], antialias=True)
    return large


def mixed(images: Tensor, targets: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Mixup (Zhang et al. 2018): the batch blended with itself turned round, one share drawn from Beta(alpha, alpha)
    for all of it; alpha 0 leaves it as it is."""
    share = torch.distributions.Beta(alpha, alpha).sample() if alpha else torch.ones(())
    return images.lerp(images.flip(0), 1 - share), targets.lerp(targets.flip(0), 1 - share)


def normalize(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Pictures [n, 3, height, width] from 0 to 255, of any type, to normalised float32 in channels_last order."""
    shape = (1, 3, 1, 1)
    scaled = (images.float() / 255).sub_(torch.tensor(mean).view(shape)).div_(torch.tensor(std).view(shape))
    return scaled.contiguous(memory_format=torch.channels_last)
