"""A demo's four functions called by hand: load once, then decode, prepare, infer, present for each request."""

from __future__ import annotations

import argparse
import importlib
import inspect
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageOps

from hub.spec import Demo


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--weights-folder", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("slugs", nargs="+")
    return parser.parse_args()


def demo_of(slug: str) -> Demo:
    demo: Demo = importlib.import_module(f"demos.{slug}").DEMO
    return demo


def predictor(slug: str, given: argparse.Namespace) -> Callable[..., dict[str, Any]]:
    """Loads the model; returns a function of the declared inputs, pictures as PIL images."""
    demo = demo_of(slug)
    folder = given.weights_folder / demo.weights[0].name
    config = json.loads((folder / "config.json").read_text())
    device = torch.device(given.device)
    model = demo.load(folder, device)
    if isinstance(model, torch.nn.Module):
        model = model.eval().requires_grad_(False)
        model = model.to(device=device, dtype=getattr(torch, given.dtype)).to(memory_format=torch.channels_last)

    def with_config(function: Callable[..., Any]) -> dict[str, Any]:
        return {"config": config} if "config" in inspect.signature(function).parameters else {}

    extra = {function: with_config(function) for function in (demo.prepare, demo.infer, demo.present)}

    def predict(**inputs: Any) -> dict[str, Any]:
        item = demo.prepare(**inputs, **extra[demo.prepare])
        with torch.inference_mode():
            outputs = demo.infer(model, [item], **extra[demo.infer])
            output = (_last(outputs) if inspect.isgenerator(outputs) else outputs)[0]
        return demo.present(output, **inputs, **extra[demo.present])

    return predict


def _last(steps: Any) -> Any:
    """What a generator returns at its end."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def decode(data: bytes) -> Image.Image:
    """A file -> an upright RGB picture."""
    return ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
