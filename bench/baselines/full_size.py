"""Stable Diffusion 1.5's architecture with random weights on a GPU: the hub's loop, eager and compiled, and diffusers'.

    python -m bench.baselines.full_size [--size tiny --device cpu --batches 1 --steps 2 --dtype float32]

Speed does not depend on the values, so nothing is downloaded. Words are given as embeddings: no text encoder is needed.
Prints one JSON object: images a minute by side and batch, beside the 12 a minute and GPU of Metaflow's example of 2022.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, StableDiffusionPipeline, UNet2DConditionModel

from hub.kit import diffusion
from hub.kit.generating import offload

EXAMPLE_PER_MINUTE = 12.0
WORDS, WIDTH, GUIDANCE = 77, 768, 7.5
SIZES: dict[str, dict[str, Any]] = {
    "full": {"side": 512, "unet": (320, 640, 1280, 1280), "vae": (128, 256, 512, 512), "layers": 2, "groups": 32},
    "tiny": {"side": 64, "unet": (16, 16, 16, 16), "vae": (8, 8, 8, 8), "layers": 1, "groups": 8},
}


def pipeline(size: dict[str, Any], device: torch.device, dtype: torch.dtype) -> Any:
    torch.manual_seed(0)
    with device:
        unet = UNet2DConditionModel(
            sample_size=size["side"] // 8, cross_attention_dim=WIDTH, attention_head_dim=8,
            block_out_channels=size["unet"], layers_per_block=size["layers"], norm_num_groups=size["groups"],
        )  # fmt: skip
        vae = AutoencoderKL(
            block_out_channels=size["vae"], down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4, layers_per_block=size["layers"], latent_channels=4,
            sample_size=size["side"], norm_num_groups=size["groups"],
        )  # fmt: skip
    made = StableDiffusionPipeline(
        vae=vae, unet=unet, text_encoder=None, tokenizer=None, safety_checker=None, feature_extractor=None,
        scheduler=DPMSolverMultistepScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"),
        requires_safety_checker=False,
    )  # fmt: skip
    made.to(dtype=dtype)
    made.set_progress_bar_config(disable=True)
    return made


def sides(
    size: dict[str, Any], device: torch.device, dtype: torch.dtype, steps: int
) -> dict[str, Callable[[int], Any]]:
    """What draws so many pictures at once, by name; made one after the other, each as users would."""
    plain, ours = pipeline(size, device, dtype), pipeline(size, device, dtype)
    for part in (ours.unet, ours.vae):
        part.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    said = [torch.randn(1, WORDS, WIDTH, device=device, dtype=dtype) for _ in range(2)]
    model = SimpleNamespace(
        pipeline=ours, unet=ours.unet, vae=ours.vae, placement=offload.Placement("whole", 0), target=None,
        embeddings={"": (said[0], None), "words": (said[1], None)}, schedulers={},
    )  # fmt: skip
    sampling = diffusion.Sampling(steps, diffusion.AS_TRAINED, size["side"], size["side"], guided=True)

    def by_diffusers(batch: int) -> Any:
        chances = [torch.Generator().manual_seed(number) for number in range(batch)]
        return plain(
            prompt_embeds=said[1].repeat(batch, 1, 1), negative_prompt_embeds=said[0].repeat(batch, 1, 1),
            num_inference_steps=steps, guidance_scale=GUIDANCE, generator=chances,
        )  # fmt: skip

    def by_hub(batch: int) -> Any:
        return [*diffusion.draw(model, sampling, [diffusion.Sample("words", "", n, GUIDANCE) for n in range(batch)])]

    def compiled(batch: int) -> Any:
        if not hasattr(model.unet, "_orig_mod"):
            model.unet = torch.compile(model.unet, mode="max-autotune-no-cudagraphs")
        return by_hub(batch)

    return {"diffusers": by_diffusers, "hub": by_hub, "hub, compiled": compiled}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--batches", default="1,4,8,16")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--eager", action="store_true", help="without the compiled side")
    given = parser.parse_args()
    device, found = torch.device(given.device), dict[str, dict[str, float]]()
    for name, draw in sides(SIZES[given.size], device, getattr(torch, given.dtype), given.steps).items():
        if given.eager and "compiled" in name:
            continue
        for batch in map(int, given.batches.split(",")):
            taken = sorted(_seconds(draw, batch, device) for _ in range(given.rounds + 1))
            middle = taken[: given.rounds][given.rounds // 2]  # the slowest was to warm up
            found.setdefault(name, {})[str(batch)] = round(60 * batch / middle, 2)
    about = {"size": given.size, "device": str(device), "dtype": given.dtype, "steps": given.steps}
    print(json.dumps({**about, "per_minute": found, "example_per_minute": EXAMPLE_PER_MINUTE}))


@torch.inference_mode()
def _seconds(draw: Callable[[int], Any], batch: int, device: torch.device) -> float:
    begin = time.perf_counter()
    draw(batch)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
