"""What all measurements share: how much to do, which pages, in which dtype, and where files go."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.figures import Row
from bench.processes import Processes, Server, free_port
from hub.pages.registry import Registry
from hub.spec import Demo


class BenchError(Exception):
    """A measurement cannot be made, or would not be worth its name."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How often each thing is done; `full` keeps a run on two free cores to about six minutes, `quick` to about one."""

    rounds: int
    latency_requests: int  # in each round
    throughput_requests: int
    client_rounds: int
    client_alone: int
    client_many: int
    memory_rounds: int
    starts: int
    soak_first: int
    soak_last: int
    soak_steps: int  # readings on the way
    burst: int  # large pictures at once
    clients: int = 16


FULL = Plan(6, 24, 128, 4, 12, 64, 3, 7, 200, 2000, 10, 64)
QUICK = Plan(1, 8, 32, 1, 4, 16, 1, 1, 10, 50, 1, 16)


@dataclass(frozen=True, slots=True)
class Findings:
    """What one measurement found: rows of the table, and what explains them."""

    rows: tuple[Row, ...]
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bench:
    """Handed to every measurement."""

    plan: Plan
    registry: Registry
    slug: str  # the page that single-page measurements use
    weights_folder: Path
    device: str
    dtype: str
    folder: Path  # temporary; holds `dtype.json`
    processes: Processes

    @property
    def demo(self) -> Demo:
        return self.registry.get(self.slug).demo

    def hub(self, data: str) -> Server:
        """A hub as users start it, but for its data folder `data` and the choice of pages."""
        place = self.folder / data
        place.mkdir(exist_ok=True)
        shutil.copy(self.folder / "dtype.json", place)  # as after a first start
        port = free_port()
        flags = ["--port", str(port), "--data", str(place), "--demos", ",".join(self.registry.pages), "--offline"]
        command = ["app.py", *flags, "--weights-folder", str(self.weights_folder), "--log-level", "warning"]
        return self.processes.serve("hub", command, port)

    def gradio_page(self, slug: str) -> Server:
        """A bare Gradio app with one page."""
        port = free_port()
        return self.processes.serve(f"gradio-{slug}", [*self.baseline("gradio_page", slug)], port)

    def gradio_app(self) -> Server:
        """A bare Gradio app with all pages."""
        port = free_port()
        return self.processes.serve("gradio-app", self.baseline("gradio_app", *self.registry.pages), port)

    def baseline(self, module: str, *slugs: str) -> list[str]:
        """The arguments of Python that run one of `bench.baselines`."""
        model = ["--weights-folder", str(self.weights_folder), "--device", self.device, "--dtype", self.dtype]
        return ["-m", f"bench.baselines.{module}", *model, *slugs]
