"""Pictures from words in a process of its own: by the page through the engine, or by diffusers' own loop.

    python -m bench.baselines.pictures hub|plain --weights-folder F --data F --dtype float32

Each line on stdin asks for one run: {"images": 4, "steps": 12, "seed": 1}. Each answer: {"seconds": for all,
"own": what the networks took of it for the pictures, "previews": and for previews, "infer": what the engine took
between first and last step}.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from hub.hub import Hub
from hub.kit.diffusion import SEEDS
from hub.settings import Settings

SLUG, PROMPT, GUIDANCE = "stable_diffusion", "a red circle left of a blue square", 4.0
Draw = Callable[[int, int, int], float]  # (images, steps, seed) -> seconds of inference


class Own:
    """Seconds that a run takes in its networks: for its pictures, and apart from them for previews."""

    def __init__(self, pipeline: Any):
        self._taken, self._device = dict[str, float](), pipeline.unet.device
        pipeline.unet.forward = self._timed("unet", pipeline.unet.forward)
        pipeline.text_encoder.forward = self._timed("text", pipeline.text_encoder.forward)
        pipeline.vae.decode = self._timed("decode", pipeline.vae.decode)

    def begin(self) -> None:
        self._taken.clear()

    @property
    def previews(self) -> float:
        """Of all decoding but the last."""
        return self._taken.get("previews", 0.0)

    @property
    def seconds(self) -> float:
        return sum(self._taken.values()) - self.previews

    def _timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*given: Any, **named: Any) -> Any:
            self._wait()
            begin = time.perf_counter()
            found = function(*given, **named)
            self._wait()
            if name == "decode":
                self._taken["previews"] = self.previews + self._taken.pop(name, 0.0)
            self._taken[name] = self._taken.get(name, 0.0) + time.perf_counter() - begin
            return found

        return timed

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def by_hub(given: argparse.Namespace) -> tuple[Draw, Any]:
    hub = Hub(
        Settings(
            device=given.device, dtype=given.dtype, data=str(given.data),
            weights_folder=str(given.weights_folder), results_disk_mb=0.0, offline=True,
        )
    )  # fmt: skip

    def draw(images: int, steps: int, seed: int) -> float:
        wish = {"prompt": PROMPT, "images": images, "steps": steps, "seed": seed, "guidance": GUIDANCE}
        return hub.engine.run(SLUG, wish).receipt.infer_ms / 1000

    draw(1, 1, 0)
    (status,) = hub.pool.status()
    with hub.pool.lease(status.key, lambda: None) as lease:
        return draw, lease.model.pipeline


def by_diffusers(given: argparse.Namespace) -> tuple[Draw, Any]:
    from diffusers import StableDiffusionPipeline

    dtype = getattr(torch, given.dtype)
    pipeline = StableDiffusionPipeline.from_pretrained(given.weights_folder / SLUG, dtype=dtype)
    pipeline.to(given.device)
    for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
        part.to(memory_format=torch.channels_last)
    pipeline.set_progress_bar_config(disable=True)

    def draw(images: int, steps: int, seed: int) -> float:
        chances = [torch.Generator().manual_seed((seed + number) % SEEDS) for number in range(images)]
        wish = {"num_images_per_prompt": images, "num_inference_steps": steps, "guidance_scale": GUIDANCE}
        begin = time.perf_counter()
        with torch.inference_mode():
            pipeline(PROMPT, generator=chances, **wish)
        return time.perf_counter() - begin

    return draw, pipeline


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("side", choices=("hub", "plain"))
    for name in ("weights-folder", "data"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    given = parser.parse_args()
    draw, pipeline = by_hub(given) if given.side == "hub" else by_diffusers(given)
    own = Own(pipeline)
    print("ready", flush=True)
    for line in sys.stdin:
        wish = json.loads(line)
        own.begin()
        begin = time.perf_counter()
        infer = draw(wish["images"], wish["steps"], wish["seed"])
        told = {"seconds": time.perf_counter() - begin, "own": own.seconds, "previews": own.previews, "infer": infer}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
