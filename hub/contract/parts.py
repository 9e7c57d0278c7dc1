"""A page's four functions with its model, as the engine calls them."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from PIL import Image

from hub.contract.answers import check_step
from hub.contract.inputs import opened, picture, quick_inputs
from hub.execution import devices
from hub.hub import Hub
from hub.pages import inputs, outputs
from hub.pages.calls import wants_config
from hub.spec import Drawn
from hub.weights.store import EMPTY


class Parts:
    """A demo's functions with the model loaded and placed as the engine does it."""

    def __init__(self, hub: Hub, slug: str, weights: str | None, dtype: str):
        import torch

        self.demo = hub.registry.get(slug).demo
        folder = hub.weights.find(weights) if weights else None
        self.config = folder.config if folder else EMPTY
        device = torch.device("cpu")
        model = self.demo.load(folder.path if folder else None, device)
        self.model = devices.place(model, device, getattr(torch, dtype))
        self.guard = torch.inference_mode

    def call(self, name: str, *given: Any, **named: Any) -> Any:
        """One of the four functions, with the config where it asks for it."""
        function = getattr(self.demo, name)
        return function(*given, **named, **({"config": self.config} if wants_config(function) else {}))

    def split(self, presented: Any) -> tuple[Any, list[Any]]:
        """The outputs, and the remarks beside them."""
        return outputs.split(self.demo, presented)

    def infer(self, items: list[Any]) -> list[Any]:
        """One batch, whatever kind of function `infer` is; what it tells on the way is looked at."""
        with self.guard():
            answer = self.call("infer", self.model, items)
            while inspect.isgenerator(answer):
                try:
                    check_step(self.demo, next(answer), len(items))
                except StopIteration as stop:
                    answer = stop.value
        return [outputs.seal(output)[0] for output in answer]

    def values(self, seed: int = 0) -> dict[str, Any]:
        """Inputs as prepare gets them."""
        return opened(self.demo, inputs.read(self.demo, quick_inputs(self.demo, picture(160, 120, seed=seed))))


def fingerprint(values: dict[str, Any]) -> dict[str, Any]:
    """What tells whether somebody wrote into the inputs."""
    return {name: _frozen(value) for name, value in values.items()}


def _frozen(value: Any) -> Any:
    if isinstance(value, Drawn):
        return _frozen(value.picture), value.boxes, value.points, _frozen(value.mask)
    if isinstance(value, Image.Image):
        return value.mode, value.size, value.tobytes()
    return value.tobytes() if isinstance(value, np.ndarray) else value
