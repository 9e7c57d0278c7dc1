"""Any pipeline of diffusers that its `AutoPipeline` knows, as its repository has it: pictures from words.

It runs as its authors wrote it, one picture at a time; that of `demos/stable_diffusion.py` (hub/kit/diffusion.py) does
more, for two kinds. Weights are read from safetensors alone; code that a repository brings is never run.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any

from hub.errors import InputError, UnavailableError
from hub.kit.generating import aside
from hub.kit.generating.adapting import add_lora
from hub.spec import Progress

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

STEPS, SIDE, MOST_SIDE = 28, 512, 2048
MULTIPLE = 16  # of which pipelines take sides, all those of AutoPipeline at least


def load_pipeline(folder: Path, *, fills: bool = False) -> Any:
    """The pipeline in the attribute `pipeline` of an `nn.Module`, which is placed and measured as any model.

    `fills`: one that draws a part of a picture anew. Raises UnavailableError for a repository that needs what is not
    here.
    """
    import diffusers
    import torch

    diffusers.utils.logging.disable_progress_bar()
    kind = diffusers.AutoPipelineForInpainting if fills else diffusers.AutoPipelineForText2Image
    try:
        pipeline = kind.from_pretrained(folder, use_safetensors=True, local_files_only=True, trust_remote_code=False)
    except (MemoryError, torch.OutOfMemoryError):
        raise  # for want of memory the hub makes room and tries again
    except Exception as error:  # whatever a stranger's config makes of the library
        raise UnavailableError(
            "diffusers cannot run these weights: {reason} If the repository brings code of its own, that is not run "
            "here.",
            reason=(str(error).strip().splitlines() or [type(error).__name__])[0][:200],
        ) from None
    add_lora(pipeline, folder)
    pipeline.set_progress_bar_config(disable=True)

    class Parts(torch.nn.Module):
        """The parts with weights; `pipeline` holds the same ones."""

        def __init__(self) -> None:
            super().__init__()
            for name, part in pipeline.components.items():
                if isinstance(part, torch.nn.Module):
                    self.add_module(name, part)
            self.pipeline = pipeline

    return Parts().eval()


def draw(model: Any, item: Mapping[str, Any]) -> Generator[Progress, None, Image.Image]:
    """The picture for "prompt", "negative_prompt", "steps", "guidance", "side", "seed" and, if any, "image" and "mask".

    0 steps, guidance or side: as suits the model. With a "mask", for a pipeline that fills, it has the size of the
    image. A step is one of the pipeline's, after which it can be left. Raises InputError for what this pipeline does
    not take.
    """
    import torch

    image, mask = item["image"], item.get("mask")
    pipeline = model.pipeline if image is None or mask is not None else _for_picture(model.pipeline)
    width, height = (item["side"],) * 2 if mask is None else image.size
    takes = inspect.signature(type(pipeline).__call__).parameters
    given = {"prompt": item["prompt"], "generator": torch.Generator().manual_seed(item["seed"])}
    wishes = {
        "negative_prompt": item["negative_prompt"], "num_inference_steps": item["steps"], "image": image,
        "mask_image": mask, "guidance_scale": item["guidance"], "width": width, "height": height,
        "strength": item["strength"] if image is not None else None,
    }  # fmt: skip
    given |= {name: value for name, value in wishes.items() if value and name in takes}
    total = item["steps"] or _usual_steps(takes)

    def run(tell: Callable[[Progress], None]) -> Image.Image:
        begin = time.perf_counter()

        def hear(pipe: Any, step: int, at: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            spent_s, done = time.perf_counter() - begin, step + 1
            tell(Progress(min(done, total), total, left_s=spent_s / done * max(0, total - done)))
            return tensors

        if "callback_on_step_end" in takes:
            given["callback_on_step_end"] = hear
        picture: Image.Image = pipeline(**given).images[0]
        return picture

    return (yield from aside.steps(run))


def fitted(model: Any, size: tuple[int, int], side: int) -> tuple[int, int]:
    """Width and height of about the same shape as `size`, the longer one `side` px; 0: as suits the pipeline."""
    scale = (side or _usual_side(model.pipeline)) / max(size)
    width, height = (max(MULTIPLE, round(scale * length / MULTIPLE) * MULTIPLE) for length in size)
    return width, height


def _usual_side(pipeline: Any) -> int:
    """What it was trained for, in pixels."""
    network = getattr(pipeline, "unet", None) or getattr(pipeline, "transformer", None)
    config = getattr(network, "config", None)
    latents = getattr(pipeline, "default_sample_size", None) or getattr(config, "sample_size", None)
    side = latents * getattr(pipeline, "vae_scale_factor", 1) if isinstance(latents, int) else SIDE  # 1: no latents
    return side if MULTIPLE <= side <= MOST_SIDE else SIDE


def _usual_steps(takes: Mapping[str, inspect.Parameter]) -> int:
    usual = takes["num_inference_steps"].default if "num_inference_steps" in takes else None
    return usual if isinstance(usual, int) else STEPS


def _for_picture(pipeline: Any) -> Any:
    """The same parts as a pipeline that starts from a picture. Raises InputError where there is none."""
    import diffusers

    try:
        return diffusers.AutoPipelineForImage2Image.from_pipe(pipeline)
    except (ValueError, TypeError):
        raise InputError(
            "image cannot be given with these weights: diffusers has no {kind} that starts from a picture.",
            kind=type(pipeline).__name__,
            field="image",
        ) from None
