"""What is asked of the workshop, and the names under which what it makes and measures is kept."""

from __future__ import annotations

import json
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hub.execution import devices
from hub.execution.backends.points import Point, Seen
from hub.execution.backends.store import Name

PACKAGES = ("torch", "openvino", "timm", "segmentation-models-pytorch", "diffusers", "transformers")
WANTED_S = 2.0  # a network that was called so lately is in use
RECIPE = "1"  # raise it when forms are made differently: old ones are not used then


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a model in memory comes from."""

    slug: str
    version: str  # of the page
    pages: Path
    weights: str
    digest: str
    folder: Path  # of the weights
    dtype: str


@dataclass(frozen=True, slots=True)
class Order:
    """A kind of call that is to be made faster. The model may leave meanwhile: nothing here keeps it."""

    point: weakref.ref[Point]
    label: str
    kind: Any
    seen: Seen
    origin: Origin
    ready: Callable[[], object]  # called once a form answers such calls
    since: float = field(default_factory=time.monotonic)

    def is_wanted(self) -> bool:
        """Whether somebody runs this network now, who would be glad of the form, and not others alone."""
        point = self.point()
        return point is not None and time.monotonic() - point.called_at < WANTED_S

    @property
    def name(self) -> Name:
        """Of the form on disk, which takes pictures of any size."""
        origin = self.origin
        what = json.dumps([origin.weights, self.label, origin.dtype, repr(self.seen.call.family)])
        exactly = json.dumps([origin.digest, origin.version, RECIPE, *map(_version, PACKAGES)])
        return Name(origin.slug, what, exactly)

    @property
    def note(self) -> str:
        """What a measurement is remembered by."""
        return (
            f"{self.name.folder} {self.label} {self.seen.call.kind} {self.seen.threads} threads | {devices.processor()}"
        )


class RefusedError(Exception):
    """A network stays eager. `lasting`: it would the next time, too. Never leaves the workshop."""

    def __init__(self, why: str, *, lasting: bool = True):
        super().__init__(why)
        self.lasting = lasting


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
