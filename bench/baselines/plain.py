"""A demo's four functions called by hand: load once, then decode, prepare, infer, present for each request."""

from __future__ import annotations

import argparse
import importlib
import inspect
import io
import json
from collections.abc import Callable, Sequence
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
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: as torch chooses")
    parser.add_argument("slugs", nargs="+")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    return given


def demo_of(slug: str) -> Demo:
    demo: Demo = importlib.import_module(f"demos.{slug}").DEMO
    return demo


class Predictor:
    """A page's loaded model and its functions."""

    def __init__(self, slug: str, given: argparse.Namespace):
        self.demo = demo = demo_of(slug)
        folder = given.weights_folder / demo.weights[0].name
        config = json.loads((folder / "config.json").read_text())
        device = torch.device(given.device)
        model = demo.load(folder, device)
        if isinstance(model, torch.nn.Module):
            model = model.eval().requires_grad_(False)
            model = model.to(device=device, dtype=getattr(torch, given.dtype)).to(memory_format=torch.channels_last)
        self.model = model

        def with_config(function: Callable[..., Any]) -> dict[str, Any]:
            return {"config": config} if "config" in inspect.signature(function).parameters else {}

        self._extra = {function: with_config(function) for function in (demo.prepare, demo.infer, demo.present)}

    def prepare(self, inputs: dict[str, Any]) -> Any:
        return self.demo.prepare(**inputs, **self._extra[self.demo.prepare])

    def infer(self, model: Any, items: list[Any]) -> list[Any]:
        with torch.inference_mode():
            outputs = self.demo.infer(model, items, **self._extra[self.demo.infer])
            return list(_last(outputs) if inspect.isgenerator(outputs) else outputs)

    def answer(self, requests: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Values by output of each request; one pass for all."""
        outputs = self.infer(self.model, [self.prepare(inputs) for inputs in requests])
        extra = self._extra[self.demo.present]
        return [self.demo.present(o, **inputs, **extra) for o, inputs in zip(outputs, requests, strict=True)]


def predictor(slug: str, given: argparse.Namespace) -> Callable[..., dict[str, Any]]:
    """Loads the model; returns a function of the declared inputs, pictures as PIL images."""
    page = Predictor(slug, given)

    def predict(**inputs: Any) -> dict[str, Any]:
        return page.answer([inputs])[0]

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
