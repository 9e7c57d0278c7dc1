"""The autoencoder: 64 pixels square to 16 x 16 numbers of 6 channels and back.

Three channels are the picture made small (brightness and two colour differences), the others hold what that leaves out.
Left to itself an autoencoder fills flat places with patterns of its own, and a U-Net spends its learning on them.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, l1_loss, max_pool2d, mse_loss

from weights.stable_diffusion.fitting import Plan, fit
from weights.training.fit import mixed

SHOWN = 6.0  # how much more a pixel of a thing counts than one of the background
OPPONENT = ((1 / 3, 1 / 3, 1 / 3), (0.5, 0.0, -0.5), (-0.25, 0.5, -0.25))  # brightness, red to blue, green to purple
SMALL = 1.0  # weight of the small picture
QUIET = 0.01  # weight of the other channels' squares: without need they stay nothing
NOISE = 0.1  # on the latents in training: what a U-Net makes is never quite right
POLISH_NOISE = 0.25  # the most, on scaled latents; each picture has its own share of it
SPREADS = (1.0, 0.5, 0.5, 0.5, 0.5, 0.5)  # of the channels at the end: most of the picture's variance is background


def pixels(pictures: Tensor) -> Tensor:
    """[n, 64, 64, 3] bytes to [n, 3, 64, 64] in [-1, 1]."""
    return (pictures.permute(0, 3, 1, 2).float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def small(pictures: Tensor) -> Tensor:
    """[n, 3, 16, 16]: brightness and colour differences of the picture made small."""
    channels: Tensor = torch.einsum(
        "cd,ndhw->nchw", torch.tensor(OPPONENT), avg_pool2d(pictures, pictures.shape[-1] // 16)
    )
    return channels


def train(model: Any, pictures: Tensor, batch_size: int, plan: Plan, out: Path) -> Any:
    """The averaged autoencoder, its latents scaled to SPREADS. `pictures`: bytes [n, 64, 64, 3]."""
    val_pictures, train_pictures = pictures[:256], pictures[256:]
    channels = len(model.quant_conv.bias) // 2
    with torch.no_grad():  # the spread of the distribution is not learnt: it is the noise of training
        model.quant_conv.weight[channels:] = 0
        model.quant_conv.bias[channels:] = 2 * math.log(NOISE)

    def loss(parts: nn.ModuleDict, chance: torch.Generator) -> Tensor:
        vae: Any = parts["vae"]
        target = pixels(train_pictures[torch.randint(len(train_pictures), (batch_size,), generator=chance)])
        with mixed():
            mean: Tensor = vae.encode(target).latent_dist.mean.float()
            output = vae.decode(mean + NOISE * torch.randn(mean.shape, generator=chance)).sample
        apart = mse_loss(mean[:, :3], small(target))
        return difference(output.float(), target) + SMALL * apart + QUIET * mean[:, 3:].square().mean()

    def watch(parts: nn.ModuleDict, step: int) -> dict[str, float]:
        vae: Any = parts["vae"]
        target = pixels(val_pictures)
        with mixed():
            latents = vae.encode(target).latent_dist.mean
            output = vae.decode(latents).sample.float()
        apart = mse_loss(latents[:, :3].float(), small(target))
        return {"val_l1": l1_loss(output, target).item(), "small_mse": apart.item()}

    model = fit(nn.ModuleDict({"vae": model}), loss, watch, plan, out)["vae"]
    with torch.no_grad():
        standardise(model, encode(model, val_pictures))
    return model


def difference(output: Tensor, target: Tensor, margin: int = 0) -> Tensor:
    """L1 and squares. A tenth of the pixels show things; unweighted, the rest decides, and colours are learnt last.

    `margin`: pixels around a thing that count as it does, for a blurred edge is an error on both of its sides.
    """
    error = (output - target).abs()
    weight = ((target - target[:, :, :1, :1]).abs().amax(1, keepdim=True) > 0.1).float()
    weight = max_pool2d(weight, 2 * margin + 1, 1, margin)
    return ((1 + SHOWN * weight) * (error + 2 * error**2)).mean()


def polish(model: Any, pictures: Tensor, latents: Tensor, batch_size: int, plan: Plan, out: Path) -> None:
    """Train the way back further, in place. The latents stay, so a U-Net that knows them goes on to fit."""
    val, train = slice(0, 256), slice(256, None)

    def back(parts: nn.ModuleDict, inputs: Tensor) -> Tensor:
        with mixed():
            output: Tensor = parts["decoder"](parts["post"](inputs))
        return output.float()

    def loss(parts: nn.ModuleDict, chance: torch.Generator) -> Tensor:
        indices = torch.randint(len(latents[train]), (batch_size,), generator=chance)
        inputs = latents[train][indices].float()
        spread = POLISH_NOISE * torch.rand(len(inputs), 1, 1, 1, generator=chance)
        noise = spread * torch.randn(inputs.shape, generator=chance)
        return difference(back(parts, inputs + noise), pixels(pictures[train][indices]), margin=1)

    def watch(parts: nn.ModuleDict, step: int) -> dict[str, float]:
        return {"val_l1": l1_loss(back(parts, latents[val].float()), pixels(pictures[val])).item()}

    parts = nn.ModuleDict({"decoder": model.decoder, "post": model.post_quant_conv}).requires_grad_(True)
    average = fit(parts, loss, watch, plan, out)
    parts.load_state_dict(average.state_dict())


def encode(vae: Any, pictures: Tensor) -> Tensor:
    """[n, 6, 16, 16], the middle of the distribution."""
    with torch.no_grad(), mixed():
        return torch.cat([vae.encode(pixels(part)).latent_dist.mean.float() for part in torch.split(pictures, 64)])


def standardise(vae: Any, latents: Tensor) -> None:
    """Fold the latents' mean and spread into the 1x1 convolutions around them.

    Diffusers' scaling_factor is one number and has no shift; so each channel gets mean 0 and its own of SPREADS.
    """
    mean, spread = latents.mean((0, 2, 3)), latents.std((0, 2, 3)) / torch.tensor(SPREADS)
    channels = len(mean)
    into, back = vae.quant_conv, vae.post_quant_conv
    into.weight[:channels] /= spread[:, None, None, None]
    into.bias[:channels] = (into.bias[:channels] - mean) / spread
    into.bias[channels:] -= 2 * spread.log()  # the logarithms of the variances
    back.bias += (back.weight[:, :, 0, 0] * mean).sum(1)
    back.weight *= spread[None, :, None, None]
