"""What all measurements share: how much to do, which pages, in which dtype, and where files go."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from bench.figures import Gap, Row
from bench.processes import ROOT, Processes, Server, free_port
from hub.pages.registry import Registry
from hub.settings import Settings
from hub.spec import Demo

BEFORE = "6fe03ac0b859"  # the hub of 2026-11-28, which bars of large photos are against
KEPT = ("dtype.json", "backends.json", "backends")  # what a hub remembers of the machine
CHOOSES = "backend" in {field.name for field in fields(Settings)}  # whether this hub has forms to choose from


def copy_kept(source: Path, target: Path) -> None:
    for name in KEPT:
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, dirs_exist_ok=True)
        elif (source / name).exists():
            shutil.copy(source / name, target)


class BenchError(Exception):
    """A measurement cannot be made, or would not be worth its name."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of each thing is done."""

    name: str
    rounds: int
    requests: Mapping[int, int]  # in each round, by clients
    samples: int  # of what one client asks for, one after the other
    gradio_calls: int  # in each round and way of calling
    memory_rounds: int
    memory_requests: int  # distinct ones to each page, before its memory is read
    drawing: tuple[int, int]  # steps, pictures
    starts: int
    photos: int
    many_pages: int
    pool_requests: int
    kill_s: float
    kill_every_s: float
    soak: tuple[int, int, int]  # first reading, last reading, readings on the way
    burst: int  # large pictures at once
    crowd: tuple[int, float]  # clients, seconds
    limit_s: float  # a part that takes longer is given up


# On two free cores: over an hour, three minutes without the parts that take long, and a minute.
FULL = Plan(
    "full", 5, {1: 40, 8: 160, 32: 256}, 100, 24, 3, 4, (40, 4), 5, 6, 1000, 20_000, 120, 5, (200, 2000, 10), 64,
    (200, 600), 1800,
)  # fmt: skip
QUICK = Plan(
    "quick", 1, {1: 12, 8: 32, 32: 64}, 24, 6, 1, 4, (40, 4), 1, 2, 1000, 4000, 12, 4, (10, 50, 1), 16, (50, 20), 300
)
SMOKE = Plan("smoke", 1, {1: 2, 8: 4, 32: 8}, 3, 1, 1, 1, (2, 1), 1, 1, 12, 300, 3, 2, (4, 12, 1), 4, (8, 6), 900)
PLANS = {plan.name: plan for plan in (FULL, QUICK, SMOKE)}


@dataclass(frozen=True, slots=True)
class Findings:
    """What one part found: rows of the table, and what explains them."""

    rows: tuple[Row | Gap, ...]
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bench:
    """Handed to every part."""

    plan: Plan
    registry: Registry
    slug: str  # the page that single-page parts use
    weights_folder: Path
    device: str
    dtype: str
    folder: Path  # temporary; holds KEPT, which every hub's data folder starts with
    processes: Processes
    peers_python: Path  # of the environment with the servers that the hub is held against
    forms: dict[str, str] = field(default_factory=dict)  # how pages run on this machine (bench/forms.py)

    @property
    def demo(self) -> Demo:
        return self.registry.get(self.slug).demo

    def hub(self, data: str, *flags: str, backend: str = "auto") -> Server:
        """A hub as users start it, but for its data folder `data`, the choice of pages, and `flags`."""
        chosen = ["--backend", backend] if CHOOSES and backend != "auto" else []
        return self._hub(data, [*chosen, *flags], ROOT)

    def hub_before(self, data: str) -> Server:
        """The hub as it was at BEFORE, from this checkout's history. Raises BenchError."""
        root = self.folder / "before"
        if not root.exists():
            packed = subprocess.run(["git", "archive", BEFORE], cwd=ROOT, capture_output=True, check=False)
            if packed.returncode != 0:
                raise BenchError(f"commit {BEFORE}, to compare with, is not in this checkout")
            with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as tar:
                tar.extractall(root, filter="data")
        return self._hub(data, [], root)

    def _hub(self, data: str, flags: Sequence[str], root: Path) -> Server:
        place = self.folder / data
        place.mkdir(exist_ok=True)
        copy_kept(self.folder, place)
        port = free_port()
        where = ["--port", str(port), "--data", str(place), "--weights-folder", str(self.weights_folder), "--offline"]
        known = [slug for slug in self.registry.pages if root == ROOT or (root / "demos" / f"{slug}.py").is_file()]
        pages = [] if "--demos-folder" in flags else ["--demos", ",".join(known)]
        return self.processes.serve(
            "hub", ["app.py", *where, *pages, "--log-level", "warning", *flags], port, root=root
        )

    def keep(self, data: str) -> None:
        """New hubs start with what one found out in its data folder about this machine."""
        copy_kept(self.folder / data, self.folder)

    def gradio_page(self, slug: str) -> Server:
        """A bare Gradio app with one page."""
        return self.processes.serve(f"gradio-{slug}", self.baseline("gradio_page", slug), free_port())

    def gradio_app(self) -> Server:
        """A bare Gradio app with all pages."""
        return self.processes.serve("gradio-app", self.baseline("gradio_app", *self.registry.pages), free_port())

    def streamlit_app(self) -> Server:
        """A bare Streamlit app with the page."""
        port, (_, _, *model) = free_port(), self.baseline("streamlit_app", self.slug)
        options = ["--server.port", str(port), "--server.address", "127.0.0.1", "--server.headless", "true"]
        file = str(ROOT / "bench" / "baselines" / "streamlit_app.py")
        quiet = ["--browser.gatherUsageStats", "false", "--server.fileWatcherType", "none"]
        return self.processes.serve("streamlit", ["-m", "streamlit", "run", file, *options, *quiet, "--", *model], port)

    def baseline(self, module: str, *arguments: str, dtype: str = "") -> list[str]:
        """The arguments of Python that run one of `bench.baselines`."""
        model = ["--weights-folder", str(self.weights_folder), "--device", self.device, "--dtype", dtype or self.dtype]
        return ["-m", f"bench.baselines.{module}", *model, *arguments]

    def chosen_weights(self, slug: str) -> list[str]:
        """What calls of the hub's Gradio endpoint have after the inputs."""
        weights = self.registry.get(slug).demo.weights
        return [weights[0].name] if len(weights) > 1 else []
