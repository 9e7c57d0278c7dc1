"""Pictures from words, step by step, with a pipeline that `hub.kit.pipelines` read.

The loop over the steps is here and not `pipeline(...)`: it can be left at every step, keeps the latents in float32, and
runs requests with different prompts and seeds together.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hub.images import normalise

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

AS_TRAINED = "as trained"
SCHEDULERS = {
    AS_TRAINED: "",
    "DPM++ 2M": "DPMSolverMultistepScheduler",
    "Euler": "EulerDiscreteScheduler",
    "Euler ancestral": "EulerAncestralDiscreteScheduler",
    "DDIM": "DDIMScheduler",
}
PREVIEW_SHARE = 0.01  # of the time; where decoding is dear there are few previews
SEEDS = 2**32


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture. `start`: RGB in [-1, 1], [3, height, width], to begin from with `strength` of noise."""

    prompt: str
    negative: str
    seed: int
    guidance: float
    start: NDArray[Any] | None = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """What pictures that go through the network together have in common."""

    steps: int
    scheduler: str
    width: int
    height: int
    guided: bool
    strength: float = 1.0  # below 1 only with `start`

    @property
    def passes(self) -> int:
        """How often the network runs: with a picture to start from the first steps are left out."""
        return max(1, int(self.steps * self.strength))


def start_from(pixels: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    """A picture, uint8 [rows, columns, 3], as `Sample.start`: scaled, and cut to that shape around its middle."""
    from PIL import Image, ImageOps

    fitted = ImageOps.fit(Image.fromarray(pixels), (width, height), Image.Resampling.LANCZOS)
    return normalise(fitted, (0.5,) * 3, (0.5,) * 3)


def draw(
    model: Any, sampling: Sampling, samples: Sequence[Sample], previewed: Sequence[int] = (0,)
) -> Generator[tuple[int, NDArray[Any] | None], None, tuple[NDArray[Any], list[bool]]]:
    """Yields (step, previews or None) and returns pictures, uint8 [n, height, width, 3], with flags.

    Previews are of the pictures `previewed`, half as wide and high. The flag of a picture is True where the pipeline's
    safety checker hid it.
    """
    import torch

    # accelerate's hooks make new parameters as they move them: under no_grad, as diffusers does, they stay usable.
    steps = (
        _draw_in_steps
        if model.placement.mode == "whole"
        else torch.inference_mode(False)(torch.no_grad()(_draw_in_steps))
    )
    try:
        return (yield from steps(model, sampling, samples, previewed))
    finally:  # also where it is left half way
        if model.placement.mode == "parts":
            model.pipeline.maybe_free_model_hooks()


def _draw_in_steps(
    model: Any, sampling: Sampling, samples: Sequence[Sample], previewed: Sequence[int]
) -> Generator[tuple[int, NDArray[Any] | None], None, tuple[NDArray[Any], list[bool]]]:
    import torch

    pipeline, device, (_, dtype) = model.pipeline, _device(model), _kind(model.unet)
    scheduler, timesteps = _schedule(model, sampling, device)
    chances = [torch.Generator().manual_seed(sample.seed % SEEDS) for sample in samples]
    latents = _begin(model, sampling, samples, chances, scheduler, timesteps)
    texts = [sample.negative for sample in samples] * sampling.guided + [sample.prompt for sample in samples]
    states, conditions = _conditions(model, sampling, texts)
    weights = torch.tensor([sample.guidance for sample in samples], device=device)[:, None, None, None]
    extra = pipeline.prepare_extra_step_kwargs(chances, 0.0)
    # Where parts or layers take turns on the device, a preview would move all of them once more.
    previews = PREVIEW_SHARE if model.placement.mode == "whole" else 0.0
    budget, last = 0.0, time.perf_counter()
    for number, step in enumerate(timesteps):
        inputs = scheduler.scale_model_input(latents, step).to(dtype)
        inputs = torch.cat([inputs, inputs]) if sampling.guided else inputs
        noise = model.unet(inputs, step, encoder_hidden_states=states, added_cond_kwargs=conditions).sample.float()
        if sampling.guided:
            without, having = noise.chunk(2)
            noise = torch.lerp(without, having, weights)
        after = scheduler.step(noise, step, latents, **extra)
        latents = after.prev_sample
        now = time.perf_counter()
        budget, last, preview = budget + (now - last) * previews, now, None
        if budget > 0 and 0 < number < len(timesteps) - 1:
            preview = _preview(model, _clear(after, scheduler)[list(previewed)])
            last = time.perf_counter()
            budget -= last - now
        yield min(number + 1, sampling.passes), preview  # PNDM takes one step more than it is asked for
    pictures = decode(model, latents)
    return _check_safety(model, pictures)


def _schedule(model: Any, sampling: Sampling, device: torch.device) -> tuple[Any, Any]:
    """A scheduler of its own for this run, for it has a state, and the steps to take."""
    import diffusers

    kind, trained = SCHEDULERS[sampling.scheduler], model.pipeline.scheduler
    if kind not in model.schedulers:
        model.schedulers[kind] = (getattr(diffusers, kind) if kind else type(trained)).from_config(trained.config)
    scheduler = copy.deepcopy(model.schedulers[kind])  # 0.15 ms; making one takes 1 ms
    scheduler.set_timesteps(sampling.steps, device=device)
    skipped = (sampling.steps - sampling.passes) * scheduler.order
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(skipped)
    return scheduler, scheduler.timesteps[skipped:]


def _begin(
    model: Any, sampling: Sampling, samples: Sequence[Sample], chances: Any, scheduler: Any, timesteps: Any
) -> Tensor:
    """The latents of the first step, float32: noise, or a picture under noise."""
    import torch

    factor, device = model.pipeline.vae_scale_factor, _device(model)
    shape = (model.unet.config.in_channels, sampling.height // factor, sampling.width // factor)
    # On the CPU, so that a seed means the same on every device.
    noise = torch.stack([torch.randn(shape, generator=chance) for chance in chances]).to(device)
    if samples[0].start is None:
        scaled: Tensor = noise * scheduler.init_noise_sigma
        return scaled
    pixels = torch.stack([torch.from_numpy(sample.start) for sample in samples]).to(device, _vae_dtype(model))
    latents = model.vae.encode(pixels).latent_dist.mode().float() * model.vae.config.scaling_factor
    if model.placement.mode == "parts":
        model.pipeline.maybe_free_model_hooks()  # it comes last in the usual order, so nothing else sends it away
    noisy: Tensor = scheduler.add_noise(latents, noise, timesteps[:1].repeat(len(samples)))
    return noisy


def _conditions(model: Any, sampling: Sampling, texts: Sequence[str]) -> tuple[Tensor, dict[str, Tensor] | None]:
    """The texts as the network takes them; each is encoded once as long as it is remembered."""
    import torch

    pipeline = model.pipeline
    by_text: dict[str, tuple[Tensor, Tensor | None]] = {}  # a new text may send another of this run out of the cache
    for text in dict.fromkeys(texts):
        if (embedding := model.embeddings.get(text)) is None:
            embedding = model.embeddings[text] = _embedding(pipeline, text, _device(model))
        by_text[text] = embedding
    embeddings = [by_text[text] for text in texts]
    states = torch.cat([words for words, _ in embeddings])
    if embeddings[0][1] is None:
        return states, None
    pooled = torch.cat([whole for _, whole in embeddings if whole is not None])
    size = (sampling.height, sampling.width)
    times = pipeline._get_add_time_ids(
        size, (0, 0), size, dtype=states.dtype, text_encoder_projection_dim=pooled.shape[-1]
    )
    return states, {"text_embeds": pooled, "time_ids": times.to(states.device).repeat(len(texts), 1)}


def _embedding(pipeline: Any, text: str, device: torch.device) -> tuple[Tensor, Tensor | None]:
    import torch

    answer = pipeline.encode_prompt(text, device=device, num_images_per_prompt=1, do_classifier_free_guidance=False)
    states, pooled = answer[0], answer[2] if len(answer) > 2 else None
    if not text and pipeline.config.get("force_zeros_for_empty_prompt"):
        states = torch.zeros_like(states)
        pooled = torch.zeros_like(pooled) if pooled is not None else None
    return states, pooled


def _preview(model: Any, latents: Tensor) -> NDArray[Any]:
    """Half as wide and high: a quarter of the work. Checked as well: what is hidden in the end is not shown before."""
    import torch

    return _check_safety(model, decode(model, torch.nn.functional.avg_pool2d(latents, 2)))[0]


def _clear(after: Any, scheduler: Any) -> Tensor:
    """What a step took for the clean latents, where the scheduler tells."""
    latents = getattr(after, "pred_original_sample", None)
    if latents is None and getattr(scheduler.config, "algorithm_type", "") == "dpmsolver++":
        latents = scheduler.model_outputs[-1]
    clear: Tensor = after.prev_sample if latents is None else latents
    return clear


def decode(model: Any, latents: Tensor) -> Tensor:
    """Latents to pictures, uint8 [n, height, width, 3] on the CPU."""
    import torch

    scaled = (latents / model.vae.config.scaling_factor).to(_vae_dtype(model))
    pixels = model.vae.decode(scaled).sample.float()
    pictures: Tensor = (pixels.permute(0, 2, 3, 1) * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8).cpu()
    return pictures


def _vae_dtype(model: Any) -> torch.dtype:
    """Some VAEs overflow in float16 and say so; those run in float32."""
    import torch

    if _kind(model.vae)[1] == torch.float16 and model.vae.config.force_upcast:
        model.vae.to(torch.float32)
    return _kind(model.vae)[1]


def _check_safety(model: Any, pictures: Tensor) -> tuple[NDArray[Any], list[bool]]:
    """The pictures, those that the pipeline's safety checker refuses in black."""
    import numpy as np

    images = pictures.numpy()
    if getattr(model.pipeline, "safety_checker", None) is None:
        return images, [False] * len(images)
    shares = images.astype(np.float32) / 255
    passed, flags = model.pipeline.run_safety_checker(shares, _device(model), _kind(model.unet)[1])
    return (np.asarray(passed) * 255).round().astype(np.uint8), [bool(flag) for flag in flags]


def _device(model: Any) -> torch.device:
    return model.target or _kind(model.unet)[0]


def _kind(part: Any) -> tuple[torch.device, torch.dtype]:
    """Where a part is and its numbers' type; the properties of diffusers walk through all weights each time."""
    weight = next(part.parameters())
    return weight.device, weight.dtype
