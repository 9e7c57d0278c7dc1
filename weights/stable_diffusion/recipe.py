r"""Train the bundled text-to-image pipeline on pictures that this recipe draws itself:

    python -m weights.stable_diffusion.recipe --out runs/stable_diffusion --minutes 190

Two cores, about four hours: drawing, the autoencoder, the text encoder, the U-Net (190 minutes), the decoder once more.
No data is needed. A further cycle of the U-Net alone, from the pipeline that is there, with more of what it gets wrong:

    python -m weights.stable_diffusion.recipe --out runs/stable_diffusion2 --start runs/stable_diffusion/pipeline \
        --mix numbers-and-styles --pictures 50000 --learning-rate 4e-4 --minutes 60 --report-every 3000 --seed 1

An interrupted run goes on with the same command; more `--minutes` go on with one that has ended.
The folder that diffusers reads is written to OUT/pipeline at every report, samples to OUT/samples.
"""

from __future__ import annotations

import argparse
import copy
import random
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from diffusers.models.attention_processor import AttnProcessor
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from tqdm import tqdm  # type: ignore[import-untyped]  # its stubs are a package of their own

from weights.stable_diffusion import autoencoder, model, reader
from weights.stable_diffusion.detector import detect, verdict
from weights.stable_diffusion.fitting import Plan, fit
from weights.stable_diffusion.prompts import MIXES, Request, arrange, caption, draw_request, held_request
from weights.stable_diffusion.scenes import draw
from weights.training import export
from weights.training.fit import mixed

CHUNK = 500  # scenes that share a seed
SILENT = 0.1  # of the captions: for classifier-free guidance
EARLY = 0.7  # below 1: more of the noisy steps, in which it is decided what goes where
WATCHED, WATCHED_KINDS = 48, ("pairs", "relations", "counts", "styles")  # held-out prompts of each kind
SHOWN = (
    "a red circle",
    "a green heart on a white background",
    "a cyan star at the top left on a black background",
    "an orange cross on a gray background",
    "a small purple triangle in the center",
    "a large yellow circle on a beige background",
    "a blue square left of a red star",
    "a red star left of a blue square",
    "a pink heart above a green circle on a black background",
    "a yellow triangle below a purple cross on a white background",
    "a cyan star right of an orange square",
    "a pink square above a yellow circle",
    "two blue stars on a white background",
    "three red hearts on a black background",
    "an outlined purple square on a beige background",
    "a striped green circle on a gray background",
)


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    vae, unet, encoder = model.autoencoder(), model.denoiser(), model.text_encoder()
    if options.autoencoder:
        vae.load_state_dict(load_file(options.autoencoder))
    if options.start:
        model.read_pipeline({"vae": vae, "unet": unet, "text_encoder": encoder}, options.start)
    latents_path = options.out / "latents.safetensors"
    if not latents_path.exists():
        pictures, tokens, labels = pool(options.pictures, options.seed, options.threads, options.mix)
        plan = Plan("autoencoder", options.autoencoder_steps, 1e-3, ema_decay=0.99, report_every=250, seed=options.seed)
        if not options.start:
            vae = autoencoder.train(vae, pictures, options.autoencoder_batch_size, plan, options.out)
        encoded = [autoencoder.encode(vae, part) for part in tqdm(torch.split(pictures, 1024), desc="latents")]
        export.save_tensors(vae, options.out / "autoencoder.safetensors")
        save_file({"latents": torch.cat(encoded).half().contiguous(), "tokens": tokens, "labels": labels}, latents_path)
    vae.load_state_dict(load_file(options.out / "autoencoder.safetensors"))
    pairs = load_file(latents_path)
    plan = Plan("reader", options.reader_steps, 1e-3, ema_decay=0.99, report_every=250, seed=options.seed)
    val_tokens = _tokens([request.prompt() for request in reader.checked_requests()])
    encoder.set_attn_implementation("eager")  # see `train`
    if not options.start:
        encoder = reader.train(encoder, pairs["tokens"], pairs["labels"].long(), val_tokens, plan, 128, options.out)
    parts = train(vae.eval(), encoder.eval(), unet, pairs["latents"], pairs["tokens"], options)
    if options.polish_steps and not options.start:
        pictures, _, _ = pool(options.pictures, options.seed, options.threads, options.mix)
        plan = Plan("decoder", options.polish_steps, 1e-3, ema_decay=0.99, report_every=250, seed=options.seed)
        autoencoder.polish(vae, pictures, pairs["latents"], options.autoencoder_batch_size, plan, options.out)
    model.save_pipeline(copy.deepcopy({**parts, "vae": vae}), options.out / "pipeline")


def train(
    vae: nn.Module, encoder: Any, unet: Any, latents: Tensor, tokens: Tensor, options: argparse.Namespace
) -> dict[str, nn.Module]:
    """The averaged U-Net, trained by the velocity of the noise, and the text encoder, which stays as it is."""
    silent = _read(encoder, _tokens([""]))[0]
    texts = _read(encoder, tokens)
    signal = model.signal()
    vae = vae.to(memory_format=torch.channels_last).requires_grad_(False)
    # On so few places the fused attention of the CPU takes a third of a step, nearly all of it in the way back.
    unet.set_attn_processor(AttnProcessor())

    def loss(parts: nn.ModuleDict, chance: torch.Generator) -> Tensor:
        indices = torch.randint(len(latents), (options.batch_size,), generator=chance)
        clean = latents[indices].float()
        conditions = torch.where(
            torch.rand(len(indices), 1, 1, generator=chance) < SILENT, silent, texts[indices]
        ).float()
        step = (model.STEPS * torch.rand(len(indices), generator=chance) ** EARLY).long().clamp(max=model.STEPS - 1)
        noise = torch.randn(clean.shape, generator=chance)
        keep, lose = signal[step].sqrt()[:, None, None, None], (1 - signal[step]).sqrt()[:, None, None, None]
        noisy = (keep * clean + lose * noise).contiguous(memory_format=torch.channels_last)
        with mixed():
            output = parts["unet"](noisy, step, conditions).sample
        return mse_loss(output.float(), keep * noise - lose * clean)

    def watch(average: nn.ModuleDict, step: int) -> dict[str, float]:
        with torch.random.fork_rng():
            figures = look(
                {"unet": copy.deepcopy(average["unet"]), "text_encoder": encoder},
                vae,
                options.out / "samples" / f"{step:06d}.png",
            )
        whole = {"unet": average["unet"], "text_encoder": encoder, "vae": vae}
        model.save_pipeline(copy.deepcopy(whole), options.out / "pipeline")
        return figures

    plan = Plan(
        "denoiser",
        options.steps,
        options.learning_rate,
        minutes=options.minutes,
        report_every=options.report_every,
        seed=options.seed,
    )
    average = fit(nn.ModuleDict({"unet": unet}), loss, watch, plan, options.out)
    return {"unet": average["unet"], "text_encoder": encoder}


def _read(encoder: Any, tokens: Tensor) -> Tensor:
    """[n, 24, width], half precision, of tokens [n, 24]."""
    with torch.no_grad():
        return torch.cat([encoder(part).last_hidden_state.half() for part in torch.split(tokens, 512)])


# --- data -------------------------------------------------------------------------------------------


def pool(count: int, seed: int, processes: int, mix: str) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures [n, 64, 64, 3] (bytes), their captions' tokens [n, 24], and what is true of them (`reader.labels`)."""
    chunks = -(-count // CHUNK)
    seeds = [seed * 1_000_000 + number for number in range(chunks)]
    pictures, captions, labels = [], list[str](), list[list[int]]()
    # Forked children of a process with torch's threads can hang: new ones are started instead.
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=partial(cv2.setNumThreads, 1)) as workers:
        for part, words, true in tqdm(workers.map(partial(_chunk, mix=mix), seeds), total=chunks):
            pictures.append(torch.from_numpy(part))
            captions += words
            labels += true
    return torch.cat(pictures), _tokens(captions), torch.tensor(labels, dtype=torch.uint8)


def _chunk(seed: int, mix: str) -> tuple[np.ndarray[Any, np.dtype[np.uint8]], list[str], list[list[int]]]:
    chance = random.Random(seed)
    requests = [draw_request(chance, MIXES[mix]) for _ in range(CHUNK)]
    pictures = np.stack([draw(arrange(request, chance)) for request in requests])
    captions = [caption(request, chance) for request in requests]
    return pictures, captions, [reader.labels(request) for request in requests]


def _tokens(captions: Sequence[str]) -> Tensor:
    encoding = model.tokenizer()(list(captions), padding="max_length", truncation=True, return_tensors="pt")
    tokens: Tensor = encoding.input_ids
    return tokens


# --- looking at what it draws -----------------------------------------------------------------------


def look(parts: dict[str, nn.Module], vae: nn.Module, path: Path) -> dict[str, float]:
    """A sheet of samples as a picture, and the share of held-out prompts that came out right."""
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline(
        vae=vae,
        **parts,
        tokenizer=model.tokenizer(),
        scheduler=model.scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)

    def draw_prompts(prompts: list[str]) -> list[Any]:
        with mixed():
            answer = pipeline(
                prompts,
                num_inference_steps=model.SAMPLE_STEPS,
                guidance_scale=model.GUIDANCE,
                generator=[torch.Generator().manual_seed(number) for number in range(len(prompts))],
            )
        return [np.asarray(image) for image in answer.images]

    sheet = draw_prompts(list(SHOWN) * 2)
    rows = [np.concatenate(sheet[start : start + 8], axis=1) for start in range(0, len(sheet), 8)]
    path.parent.mkdir(exist_ok=True)
    large = Image.fromarray(np.concatenate(rows))
    large.resize((large.width * 2, large.height * 2), Image.Resampling.NEAREST).save(path)
    shares = {}
    for kind in WATCHED_KINDS:
        chance = random.Random(1)
        requests: list[Request] = [held_request(kind, chance) for _ in range(WATCHED)]
        pictures = draw_prompts([request.prompt() for request in requests])
        right = [verdict(request, detect(picture))["all"] for request, picture in zip(requests, pictures, strict=True)]
        shares[kind] = float(np.mean(right))
    return shares


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="where results and checkpoints go")
    parser.add_argument("--pictures", type=int, default=60_000)
    parser.add_argument("--start", type=Path, help="folder of a pipeline: only its U-Net is trained, from what it is")
    parser.add_argument("--mix", choices=MIXES, default="even", help="of what more is shown")
    parser.add_argument("--autoencoder", type=Path, help="begin from these weights, autoencoder.safetensors of a run")
    parser.add_argument("--autoencoder-steps", type=int, default=4500)
    parser.add_argument("--autoencoder-batch-size", type=int, default=8)
    parser.add_argument("--reader-steps", type=int, default=2000)
    parser.add_argument("--polish-steps", type=int, default=8000, help="of the decoder alone, at the end")
    parser.add_argument("--steps", type=int, default=60_000)
    parser.add_argument("--minutes", type=float, help="end the second training after so long, if it is not over before")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=8e-4)
    parser.add_argument("--report-every", type=int, default=1000, help="steps between samples and checkpoints")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
