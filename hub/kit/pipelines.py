"""Text-to-image pipelines as their repositories have them: Stable Diffusion and SDXL in diffusers' layout.

Weights are read from safetensors alone; code that a repository brings is never run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cachetools import LRUCache

from hub.errors import UnavailableError
from hub.execution import devices
from hub.files import parse_json, read_text
from hub.kit.generating import offload
from hub.kit.generating.adapting import add_lora
from hub.weights import catalogue

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import Tensor

KINDS = ("StableDiffusionPipeline", "StableDiffusionXLPipeline")
EMBEDDINGS_KEPT = 256  # prompts; one of SDXL takes 0.7 MB
TOGETHER = 8  # pictures that go through the network at once; memory is planned for so many
CELL = 8  # latents: the U-Net halves its sides three times


@dataclass(frozen=True, slots=True)
class Usual:
    """What suits a pipeline where nothing else is asked for."""

    steps: int
    guidance: float
    side: int


def load(folder: Path) -> Any:
    """The pipeline as an `nn.Module`, so that it is placed and measured as any model.

    Raises UnavailableError for a repository that is no such pipeline, or needs what is not here.
    """
    import torch

    pipeline = _read(folder)

    class Diffusion(torch.nn.Module):
        """The parts with weights; `pipeline` holds the same ones, with tokenizers and scheduler."""

        compiled_parts = ("unet.forward", "vae.decoder.forward")  # texts are encoded once, so that nothing is won there
        placement = offload.Placement("whole", 0)
        device_bytes: int | None = None  # what it takes of the device; None: all it has

        def __init__(self) -> None:
            super().__init__()
            for name, part in pipeline.components.items():
                if isinstance(part, torch.nn.Module):
                    self.add_module(name, part)
            self.pipeline = pipeline
            self.usual = usual(folder, pipeline)
            self.embeddings: LRUCache[str, tuple[Tensor, Tensor | None]] = LRUCache(EMBEDDINGS_KEPT)
            self.schedulers = dict[str, Any]()  # unused ones, by their class
            self.target: torch.device | None = None  # where it runs; None: where its weights are

        def sides(self, across: float, down: float) -> tuple[int, int]:
            """Width and height, px that the network takes, close to these shares of the side that suits it."""
            multiple = self.pipeline.vae_scale_factor * CELL
            width, height = (round(self.usual.side * share / multiple) * multiple for share in (across, down))
            return width, height

        def settle(self, device: torch.device, dtype: torch.dtype, budget: int) -> bool:
            """Chooses how to use a device with `budget` bytes; False: it is to be put there whole."""
            if device.type not in devices.OWN_MEMORY:
                return False
            need = offload.measure(self.pipeline, dtype, self.usual.side)
            self.placement = offload.choose(need, budget, TOGETHER)
            offload.settle(self.pipeline, device, dtype, self.placement)
            if self.placement.mode == "whole":
                return False
            self.target, self.device_bytes = device, self.placement.bytes
            return True

    return Diffusion()


def _read(folder: Path) -> Any:
    index = folder / "model_index.json"
    kind = parse_json(read_text(index)).get("_class_name") if index.is_file() else "no pipeline"
    if kind not in KINDS:
        raise UnavailableError(
            "This page runs {listed} of diffusers; these weights are {kind}.", listed=" and ".join(KINDS), kind=kind
        )
    try:
        import diffusers
        from transformers.utils import logging
    except ImportError:
        raise UnavailableError(
            "These weights are a pipeline of diffusers, which is not installed: pip install diffusers transformers"
        ) from None
    logging.disable_progress_bar()
    diffusers.utils.logging.disable_progress_bar()
    pipeline = getattr(diffusers, kind).from_pretrained(folder, use_safetensors=True, local_files_only=True)
    add_lora(pipeline, folder)
    for name in ("tokenizer", "tokenizer_2"):
        if (tokenizer := getattr(pipeline, name, None)) is not None:
            tokenizer.split_special_tokens = True  # "[end]" in a prompt is a word and not the prompt's end
    if pipeline.unet.config.time_cond_proj_dim:
        raise UnavailableError("These weights were distilled to take the guidance as an input, which is not run here.")
    return pipeline


def usual(folder: Path, pipeline: Any) -> Usual:
    """What config.json says ("steps", "guidance"), or the catalogue; else turbo models are known by their scheduler."""
    path = folder / "config.json"
    config = parse_json(read_text(path)) if path.is_file() else {}
    entry = catalogue.of_folder(folder)
    if entry and entry.steps:
        config = {"steps": entry.steps, "guidance": entry.guidance, "side": entry.side, **config}
    scheduler = pipeline.scheduler.config
    turbo = scheduler.get("timestep_spacing") == "trailing" and "Euler" in scheduler.get("_class_name", "")
    side = pipeline.unet.config.sample_size * pipeline.vae_scale_factor
    if turbo:
        side = 512  # sdxl-turbo says 1024 by its U-Net and was trained at 512
    steps, guidance = config.get("steps", 2 if turbo else 28), config.get("guidance", 0.0 if turbo else 7.5)
    return Usual(steps, float(guidance), config.get("side") or side)
