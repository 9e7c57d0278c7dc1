"""Text-to-image pipelines as their repositories have them: Stable Diffusion and SDXL in diffusers' layout.

Demos may import this module beside hub.spec, hub.images, hub.native and hub.why. Weights are read from safetensors
alone; code that a repository brings is never run. The loop over the steps is here and not `pipeline(...)`: it can be
left at every step, keeps the latents in float32, and runs requests with different prompts and seeds together.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cachetools import LRUCache

from hub.errors import UnavailableError
from hub.execution import devices
from hub.files import parse_json, read_text
from hub.kit import offload
from hub.spec import Progress
from hub.weights import catalogue

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from numpy.typing import NDArray
    from torch import Tensor

KINDS = ("StableDiffusionPipeline", "StableDiffusionXLPipeline")
AS_TRAINED = "as trained"
SCHEDULERS = {
    AS_TRAINED: "",
    "DPM++ 2M": "DPMSolverMultistepScheduler",
    "Euler": "EulerDiscreteScheduler",
    "Euler ancestral": "EulerAncestralDiscreteScheduler",
    "DDIM": "DDIMScheduler",
}
EMBEDDINGS_KEPT = 256  # prompts; one of SDXL takes 0.7 MB
TOGETHER = 8  # pictures that go through the network at once
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


def _device(model: Any) -> torch.device:
    return model.target or _kind(model.unet)[0]


def _kind(part: Any) -> tuple[torch.device, torch.dtype]:
    """Where a part is and its numbers' type; the properties of diffusers walk through all weights each time."""
    weight = next(part.parameters())
    return weight.device, weight.dtype


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
    for name in ("tokenizer", "tokenizer_2"):
        if (tokenizer := getattr(pipeline, name, None)) is not None:
            tokenizer.split_special_tokens = True  # "[end]" in a prompt is a word and not the prompt's end
    if pipeline.unet.config.time_cond_proj_dim:
        raise UnavailableError("These weights were distilled to take the guidance as an input, which is not run here.")
    return pipeline


def usual(folder: Path, pipeline: Any) -> Usual:
    """What config.json says ("steps", "guidance"), or the catalogue; else turbo models are known by their scheduler."""
    told = folder / "config.json"
    config = parse_json(read_text(told)) if told.is_file() else {}
    listed = catalogue.of_folder(folder)
    if listed and listed.steps:
        config = {"steps": listed.steps, "guidance": listed.guidance, "side": listed.side, **config}
    scheduler = pipeline.scheduler.config
    turbo = scheduler.get("timestep_spacing") == "trailing" and "Euler" in scheduler.get("_class_name", "")
    side = pipeline.unet.config.sample_size * pipeline.vae_scale_factor
    if turbo:
        side = 512  # sdxl-turbo says 1024 by its U-Net and was trained at 512
    steps, guidance = config.get("steps", 2 if turbo else 28), config.get("guidance", 0.0 if turbo else 7.5)
    return Usual(steps, float(guidance), config.get("side") or side)


# --- drawing --------------------------------------------------------------------------------------


def draw(
    model: Any, sampling: Sampling, samples: Sequence[Sample], shown: Sequence[int] = (0,)
) -> Generator[tuple[int, NDArray[Any] | None], None, tuple[NDArray[Any], list[bool]]]:
    """Yields (step, previews or None) and returns pictures, uint8 [n, height, width, 3], with flags.

    Previews are of the pictures `shown`, half as wide and high. The flag of a picture is True where the pipeline's
    safety checker hid it.
    """
    import torch

    # accelerate's hooks make new parameters as they move them: under no_grad, as diffusers does, they stay usable.
    drawn = _drawn if model.placement.mode == "whole" else torch.inference_mode(False)(torch.no_grad()(_drawn))
    try:
        return (yield from drawn(model, sampling, samples, shown))
    finally:  # also where it is left half way
        if model.placement.mode == "parts":
            model.pipeline.maybe_free_model_hooks()


def _drawn(
    model: Any, sampling: Sampling, samples: Sequence[Sample], shown: Sequence[int]
) -> Generator[tuple[int, NDArray[Any] | None], None, tuple[NDArray[Any], list[bool]]]:
    import torch

    pipeline, device, (_, dtype) = model.pipeline, _device(model), _kind(model.unet)
    scheduler, timesteps = _schedule(model, sampling, device)
    chances = [torch.Generator().manual_seed(sample.seed % SEEDS) for sample in samples]
    latents = _begin(model, sampling, samples, chances, scheduler, timesteps)
    texts = [sample.negative for sample in samples] * sampling.guided + [sample.prompt for sample in samples]
    said, added = _conditions(model, sampling, texts)
    weights = torch.tensor([sample.guidance for sample in samples], device=device)[:, None, None, None]
    extra = pipeline.prepare_extra_step_kwargs(chances, 0.0)
    # Where parts or layers take turns on the device, a preview would move all of them once more.
    previews = PREVIEW_SHARE if model.placement.mode == "whole" else 0.0
    budget, last = 0.0, time.perf_counter()
    for number, step in enumerate(timesteps):
        given = scheduler.scale_model_input(latents, step).to(dtype)
        given = torch.cat([given, given]) if sampling.guided else given
        found = model.unet(given, step, encoder_hidden_states=said, added_cond_kwargs=added).sample.float()
        if sampling.guided:
            without, having = found.chunk(2)
            found = torch.lerp(without, having, weights)
        after = scheduler.step(found, step, latents, **extra)
        latents = after.prev_sample
        now = time.perf_counter()
        budget, last, preview = budget + (now - last) * previews, now, None
        if budget > 0 and 0 < number < len(timesteps) - 1:
            preview = _preview(model, _clear(after, scheduler)[list(shown)])
            last = time.perf_counter()
            budget -= last - now
        yield min(number + 1, _length(sampling)), preview  # PNDM takes one step more than it is asked for
    pictures = decode(model, latents)
    return _checked(model, pictures)


def _schedule(model: Any, sampling: Sampling, device: torch.device) -> tuple[Any, Any]:
    """A scheduler of its own for this run, for it has a state, and the steps to take."""
    import diffusers

    kind, trained = SCHEDULERS[sampling.scheduler], model.pipeline.scheduler
    if kind not in model.schedulers:
        model.schedulers[kind] = (getattr(diffusers, kind) if kind else type(trained)).from_config(trained.config)
    scheduler = copy.deepcopy(model.schedulers[kind])  # 0.15 ms; making one takes 1 ms
    scheduler.set_timesteps(sampling.steps, device=device)
    skipped = (sampling.steps - max(1, int(sampling.steps * sampling.strength))) * scheduler.order
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
    known: dict[str, tuple[Tensor, Tensor | None]] = {}  # a new text may send another of this run out of the cache
    for text in dict.fromkeys(texts):
        if (kept := model.embeddings.get(text)) is None:
            kept = model.embeddings[text] = _embedding(pipeline, text, _device(model))
        known[text] = kept
    found = [known[text] for text in texts]
    said = torch.cat([states for states, _ in found])
    if found[0][1] is None:
        return said, None
    pooled = torch.cat([whole for _, whole in found if whole is not None])
    size = (sampling.height, sampling.width)
    times = pipeline._get_add_time_ids(
        size, (0, 0), size, dtype=said.dtype, text_encoder_projection_dim=pooled.shape[-1]
    )
    return said, {"text_embeds": pooled, "time_ids": times.to(said.device).repeat(len(texts), 1)}


def _embedding(pipeline: Any, text: str, device: torch.device) -> tuple[Tensor, Tensor | None]:
    import torch

    found = pipeline.encode_prompt(text, device=device, num_images_per_prompt=1, do_classifier_free_guidance=False)
    states, pooled = found[0], found[2] if len(found) > 2 else None
    if not text and pipeline.config.get("force_zeros_for_empty_prompt"):
        states = torch.zeros_like(states)
        pooled = torch.zeros_like(pooled) if pooled is not None else None
    return states, pooled


def _preview(model: Any, latents: Tensor) -> NDArray[Any]:
    """Half as wide and high: a quarter of the work. Checked as well: what is hidden in the end is not shown before."""
    import torch

    return _checked(model, decode(model, torch.nn.functional.avg_pool2d(latents, 2)))[0]


def _clear(after: Any, scheduler: Any) -> Tensor:
    """What a step took for the clean latents, where the scheduler tells."""
    found = getattr(after, "pred_original_sample", None)
    if found is None and getattr(scheduler.config, "algorithm_type", "") == "dpmsolver++":
        found = scheduler.model_outputs[-1]
    clear: Tensor = after.prev_sample if found is None else found
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


def _checked(model: Any, pictures: Tensor) -> tuple[NDArray[Any], list[bool]]:
    """The pictures, those that the pipeline's safety checker refuses in black."""
    import numpy as np

    found = pictures.numpy()
    if getattr(model.pipeline, "safety_checker", None) is None:
        return found, [False] * len(found)
    shares = found.astype(np.float32) / 255
    checked, flags = model.pipeline.run_safety_checker(shares, _device(model), _kind(model.unet)[1])
    return (np.asarray(checked) * 255).round().astype(np.uint8), [bool(flag) for flag in flags]


# --- a batch of requests --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Request:
    """What one visitor asks for: samples that are drawn alike."""

    sampling: Sampling
    samples: tuple[Sample, ...]


def fill(model: Any, requests: Sequence[Request]) -> Generator[Progress, None, list[tuple[NDArray[Any], list[bool]]]]:
    """Draws all requests, those of one sampling together. Yields Progress; returns a (pictures, flags) per request."""
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
    total = sum(_length(sampling) for sampling, _ in parts)
    found: list[list[tuple[NDArray[Any], bool]]] = [[] for _ in requests]
    done, begin, shown = 0, time.perf_counter(), None
    for sampling, todo in parts:
        numbers = [number for number, _ in todo]
        first = {number: numbers.index(number) for number in numbers}
        steps = draw(model, sampling, [sample for _, sample in todo], [*first.values()])
        while True:
            try:
                step, previews = next(steps)
            except StopIteration as stop:
                for (number, _), picture, flag in zip(todo, *stop.value, strict=True):
                    found[number].append((picture, flag))
                break
            passed = time.perf_counter() - begin
            left_s = passed / (done + step) * (total - done - step)
            shown = shown if previews is None else _previews(len(requests), first, previews)
            yield Progress(done + step, total, shown, left_s)
        done += _length(sampling)
    return [(np.stack([p for p, _ in pairs]), [flag for _, flag in pairs]) for pairs in found]


def _length(sampling: Sampling) -> int:
    return max(1, int(sampling.steps * sampling.strength))


def _previews(count: int, first: Mapping[int, int], pictures: NDArray[Any]) -> tuple[Any, ...]:
    """For each request the preview of its first picture that is being drawn, or None."""
    from PIL import Image

    made = {number: Image.fromarray(picture) for number, picture in zip(first, pictures, strict=True)}
    return tuple(made.get(number) for number in range(count))
