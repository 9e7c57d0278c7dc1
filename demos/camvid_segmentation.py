"""Street scenes: an smp U-Net gives each pixel one of eleven CamVid classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hub.images import normalise, overlay
from hub.spec import Demo, Example, ImageInput, ImageOutput, Json, Mask, Slider, Weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch
    from numpy.typing import NDArray
    from PIL import Image
    from torch import nn


def load(folder: Path, device: torch.device) -> nn.Module:
    import json

    import segmentation_models_pytorch as smp
    from safetensors.torch import load_file

    # What smp.from_pretrained does, without its fall-back to a pickle and its line on stdout.
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    model: nn.Module = getattr(smp, config.pop("_model_class"))(**config)
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return model.eval()


def prepare(image: Image.Image, opacity: float, config: Mapping[str, Any]) -> NDArray[Any]:
    """[3, height, width] in the photo's own shape, with as many pixels as a training frame.

    The sides are padded to what the network divides by; `inner_size` says how much is photo.
    """
    import numpy as np
    from PIL import Image

    settings = config["_preprocessing"]
    width, height = inner_size(image, settings)
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=3.0)
    pixels = normalise(image, settings["mean"], settings["std"])
    below, right = -height % settings["multiple"], -width % settings["multiple"]
    return np.pad(pixels, ((0, 0), (0, below), (0, right)), mode="edge")


def infer(model: nn.Module, items: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """Logits [classes, height, width], padding included."""
    import numpy as np
    import torch

    batch = torch.from_numpy(np.stack(items)).to(next(model.parameters()))
    logits: torch.Tensor = model(batch.contiguous(memory_format=torch.channels_last))
    return list(logits.float().cpu().numpy())


def present(output: NDArray[Any], image: Image.Image, opacity: float, config: Mapping[str, Any]) -> dict[str, Any]:
    import numpy as np

    width, height = inner_size(image, config["_preprocessing"])
    mask = best_class(output[:, :height, :width], image.size)
    classes = config["_classes"]
    palette = [entry["colour"] for entry in classes]
    shares = np.bincount(mask.ravel(), minlength=len(classes)) / mask.size * 100
    legend = [
        {
            "colour": "#{:02x}{:02x}{:02x}".format(*entry["colour"]),
            "class": entry["name"],
            "percent": round(float(share), 2),
        }
        for entry, share in zip(classes, shares, strict=True)
    ]
    return {
        "overlay": overlay(image, mask, palette, opacity),
        "mask": mask,
        "legend": sorted(legend, key=lambda row: -row["percent"]),
    }


def inner_size(image: Image.Image, settings: Mapping[str, Any]) -> tuple[int, int]:
    """Width and height with the same shape as the photo and the area of a training frame."""
    scale = (settings["width"] * settings["height"] / (image.width * image.height)) ** 0.5
    # A long strip must keep at least a few pixels across, and not become endless the other way.
    shortest, longest = settings["multiple"], 4 * settings["width"]
    width, height = (min(max(round(side * scale), shortest), longest) for side in image.size)
    return width, height


def best_class(logits: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """The strongest class at the photo's own size: scores are enlarged, not class ids, so that
    edges stay smooth; one class at a time, so that a large photo does not need much memory."""
    import numpy as np
    from PIL import Image

    if logits.shape[:0:-1] == size:
        ids: NDArray[Any] = logits.argmax(0).astype(np.uint8)
        return ids
    mask = np.zeros(size[::-1], dtype=np.uint8)
    best = np.full(size[::-1], -np.inf, dtype=np.float32)
    for number, plane in enumerate(logits):
        enlarged = np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BILINEAR))
        stronger = enlarged > best
        mask[stronger] = number
        np.maximum(best, enlarged, out=best)
    return mask


DEMO = Demo(
    title="Street scene",
    summary="Colours every pixel of a street photo: road, pavement, car, pedestrian and seven more.",
    task="Image segmentation",
    inputs=(
        ImageInput("image", "Street photo", "Seen from a car, by day", webcam=True),
        Slider("opacity", "Opacity", 0.0, 1.0, 0.55, 0.05, help="How strongly the colours cover the photo"),
    ),
    outputs=(
        ImageOutput("overlay", "Overlay", "The classes over the photo", format="jpeg"),
        Json("legend", "Legend", "Share of the pixels", table=True),
        Mask("mask", "Class ids", "Exact ids, 0 to 10, one byte a pixel"),
    ),
    load=load,
    prepare=prepare,
    infer=infer,
    present=present,
    weights=(Weights("camvid_segmentation"),),
    examples=(
        Example({"image": "high_street.jpg"}, title="Shopping street with parked cars and a cyclist"),
        Example({"image": "leafy_road.jpg"}, title="Tree-lined road with a cyclist ahead"),
        Example({"image": "junction.jpg"}, title="Junction with a red bus and bare trees"),
    ),
    max_batch=4,
    order=10,
)
