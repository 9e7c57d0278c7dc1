"""Labelled pictures, decoded once and kept in memory as uint8 tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
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
