"""Requests for pictures that arrive together: those of one sampling go through the network in one batch."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hub.kit.diffusion import Sample, Sampling, draw
from hub.kit.pipelines import TOGETHER
from hub.spec import Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Request:
    """What one visitor asks for: samples that are drawn alike."""

    sampling: Sampling
    samples: tuple[Sample, ...]


def fill(model: Any, requests: Sequence[Request]) -> Generator[Progress, None, list[tuple[NDArray[Any], list[bool]]]]:
    """Draws all requests, those of one sampling together. Yields Progress; returns (pictures, flags) of each request.

    `model`: as `hub.kit.pipelines.load` makes it; pictures and flags as of `hub.kit.diffusion.draw`.
    """
    import numpy as np

    tasks: dict[Sampling, list[tuple[int, Sample]]] = {}
    for number, request in enumerate(requests):
        tasks.setdefault(request.sampling, []).extend((number, sample) for sample in request.samples)
    parts = [
        (sampling, todo[start : start + TOGETHER])
        for sampling, todo in tasks.items()
        for start in range(0, len(todo), TOGETHER)
    ]
    # In network passes, as a picture of SDXL in 50 steps is another thing than one of a turbo in 2.
    total = sum(sampling.passes for sampling, _ in parts)
    pictures_of: list[list[tuple[NDArray[Any], bool]]] = [[] for _ in requests]
    passes, begin, latest = 0, time.perf_counter(), None
    for sampling, todo in parts:
        numbers = [number for number, _ in todo]
        first = {number: numbers.index(number) for number in numbers}
        steps = draw(model, sampling, [sample for _, sample in todo], [*first.values()])
        while True:
            try:
                step, previews = next(steps)
            except StopIteration as stop:
                for (number, _), picture, flag in zip(todo, *stop.value, strict=True):
                    pictures_of[number].append((picture, flag))
                break
            seconds = time.perf_counter() - begin
            left_s = seconds / (passes + step) * (total - passes - step)
            latest = latest if previews is None else _previews(len(requests), first, previews)
            yield Progress(passes + step, total, latest, left_s)
        passes += sampling.passes
    return [(np.stack([p for p, _ in pairs]), [flag for _, flag in pairs]) for pairs in pictures_of]


def _previews(count: int, first: Mapping[int, int], pictures: NDArray[Any]) -> tuple[Any, ...]:
    """For each request the preview of its first picture that is being drawn, or None."""
    from PIL import Image

    previews = {number: Image.fromarray(picture) for number, picture in zip(first, pictures, strict=True)}
    return tuple(previews.get(number) for number in range(count))
