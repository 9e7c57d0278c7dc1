"""Pipelines larger than the device's budget run all the same: their parts, or single layers, take turns there.

The choice is a pure function of measured bytes; moving is done by diffusers and accelerate.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

Mode = Literal["whole", "parts", "layers"]
VAE = "vae"
WORDS: dict[Mode, str] = {"whole": "", "parts": "its parts take turns there", "layers": "its layers take turns there"}


@dataclass(frozen=True, slots=True)
class Need:
    """What a pipeline takes in its dtype, in bytes."""

    parts: Mapping[str, int]  # each that can be moved, by name
    layer: int  # the largest that has weights of its own
    stays: int  # of parts that diffusers never moves away
    decoding: int  # one picture of the usual size, beside the weights


@dataclass(frozen=True, slots=True)
class Placement:
    """How a pipeline uses its device. `bytes`: the most that its weights take there at once."""

    mode: Mode
    bytes: int
    sliced: bool = False  # pictures of a batch are decoded one by one
    tiled: bool = False  # each in tiles

    @property
    def text(self) -> str:
        """For receipts; empty where nothing is out of the ordinary."""
        decoded = "pictures decoded in tiles" if self.tiled else "pictures decoded one by one" if self.sliced else ""
        return ", ".join(filter(None, (WORDS[self.mode], decoded)))


def choose(need: Need, budget: int, together: int) -> Placement:
    """The fastest way that fits into `budget` bytes, or else the smallest; `together` pictures are decoded at once."""
    largest = max(need.parts.values(), default=0)
    wholly = sum(need.parts.values()) + need.stays
    ways: tuple[tuple[Mode, int, int], ...] = (  # with the bytes that are there at most, and while decoding
        ("whole", wholly, wholly),
        ("parts", largest + need.stays, need.parts.get(VAE, 0) + need.stays),
        ("layers", need.layer + need.stays, need.layer + need.stays),
    )
    mode, most, decoding = next((way for way in ways if way[1] <= budget), ways[-1])
    room = budget - decoding
    tiled = need.decoding > room
    return Placement(mode, most, sliced=tiled or need.decoding * together > room, tiled=tiled)


def measure(pipeline: Any, dtype: torch.dtype, side: int) -> Need:
    """The bytes of a diffusers pipeline with its weights in `dtype`, for pictures of `side` pixels a side."""
    import torch

    modules = {name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}

    def size(tensors: Any) -> int:
        return sum(t.numel() * (dtype.itemsize if t.is_floating_point() else t.element_size()) for t in tensors)

    layers = (size([*m.parameters(recurse=False), *m.buffers(recurse=False)])
              for part in modules.values() for m in part.modules())  # fmt: skip
    stays = getattr(pipeline, "_exclude_from_cpu_offload", ())
    parts = {name: size([*part.parameters(), *part.buffers()]) for name, part in modules.items()}
    return Need(
        parts={name: number for name, number in parts.items() if name not in stays},
        layer=max(layers, default=0),
        stays=sum(parts.get(name, 0) for name in stays),
        decoding=decoding_bytes(pipeline.vae.config, side) * dtype.itemsize,
    )


def decoding_bytes(config: Any, side: int) -> int:
    """How many numbers a VAE holds at most at once while it decodes a picture of `side` pixels a side.

    That is in its last block, at full size: what comes in, its normalised copy, and what goes out.
    """
    channels: list[int] = [*config["block_out_channels"], config["block_out_channels"][0]]
    return side * side * (2 * max(channels[:2]) + channels[0])


def settle(pipeline: Any, device: torch.device, dtype: torch.dtype, placement: Placement) -> None:
    """Puts a pipeline, whose weights are on the CPU, where `placement` says. "whole" is left to the caller."""
    import torch

    if placement.sliced:
        pipeline.vae.enable_slicing()
    if placement.tiled:
        pipeline.vae.enable_tiling()
    if placement.mode == "whole":
        return
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            torch.nn.Module.to(part, dtype=dtype)  # diffusers' own warns of nothing
            part.to(memory_format=torch.channels_last)
    if dtype == torch.float16 and pipeline.vae.config.force_upcast:
        pipeline.vae.to(dtype=torch.float32)  # now, as hooks move it later
    if placement.mode == "parts":
        pipeline.enable_model_cpu_offload(device=device)
    else:
        pipeline.enable_sequential_cpu_offload(device=device)
    log.info("the pipeline is larger than its device's budget: %s", placement.text)
