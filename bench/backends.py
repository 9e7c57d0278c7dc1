"""One forward pass of each page's network: eager in float32, eager as this machine runs it, and the compiled form.

In one process, in turn, best of rounds; `python -m bench.backends` prints a table and one JSON line. The compiled form
is the one that the hub makes (hub/execution/backends), of the bundled weights.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hub.execution import devices
from hub.execution.backends import export
from hub.execution.backends.calls import make_arguments, read_answer, read_call
from hub.execution.backends.compiled import Compiled
from hub.execution.backends.measuring import differ
from hub.execution.backends.points import EAGER, OPENVINO, entries
from hub.execution.backends.workshop import PRECISION
from hub.pages.registry import discover
from hub.settings import ROOT

if TYPE_CHECKING:
    import torch
    from torch import Tensor

ROUNDS, QUICK = 15, 3
# (page, weights, method, shapes of its pictures or latents, the first of which it is exported with)
CASES: tuple[tuple[str, str, str, tuple[tuple[int, ...], ...]], ...] = (
    (
        "vehicle_classifier",
        "vehicle_classifier",
        "forward_features",
        ((1, 3, 224, 224), (2, 3, 224, 224), (8, 3, 224, 224)),
    ),
    ("satellite_labels", "satellite_landuse", "forward_features", ((1, 3, 224, 224),)),
    ("age_regression", "age_regression", "forward_features", ((1, 3, 224, 224),)),
    ("camvid_segmentation", "camvid_segmentation", "scores_and_deepest", ((1, 3, 384, 480),)),
    ("palm_keypoints", "palm_keypoints", "scores_and_deepest", ((4, 3, 288, 384),)),
    ("palm_keypoints", "palm_keypoints", "deepest", ((8, 3, 144, 192),)),
    ("stable_diffusion", "stable_diffusion", "unet.forward", ((2, 0, 0, 0), (8, 0, 0, 0))),
    ("stable_diffusion", "stable_diffusion", "vae.decoder.forward", ((1, 0, 0, 0),)),
)  # 0: as the model has it


@dataclass(frozen=True, slots=True)
class Pass:
    """Times in milliseconds; `difference`: the largest from eager float32, as a share of the largest number."""

    page: str
    weights: str
    method: str
    shape: tuple[int, ...]
    eager_float32_ms: float
    eager_ms: float
    compiled_ms: float
    export_s: float
    compile_s: float
    eager_difference: float
    compiled_difference: float

    @property
    def won(self) -> str:
        return OPENVINO if self.compiled_ms < self.eager_ms else EAGER

    @property
    def speedup(self) -> float:
        """Of what won, over eager float32."""
        return self.eager_float32_ms / min(self.compiled_ms, self.eager_ms)


def measure(pages: Path, weights: Path, dtype: torch.dtype, rounds: int, only: Sequence[str] = ()) -> list[Pass]:
    found = []
    for slug, name, label, shapes in CASES:
        if not only or slug in only:
            found += _measure(pages, slug, weights / name, label, shapes, dtype, rounds)
    return found


def _measure(
    pages: Path, slug: str, folder: Path, label: str, shapes: Sequence[tuple[int, ...]], dtype: torch.dtype, rounds: int
) -> list[Pass]:
    import torch

    cpu, threads = torch.device("cpu"), torch.get_num_threads()
    demo = discover(pages, (slug,)).get(slug).demo
    exact, usual = (devices.place(demo.load(folder, cpu), cpu, kind) for kind in (torch.float32, dtype))
    calls = [_arguments(exact, label, shape) for shape in shapes]
    module, name = entries(usual)[label]
    read = read_call(*calls[0])
    assert read is not None
    with tempfile.TemporaryDirectory(prefix="demo-hub-bench-") as place:
        begin = time.perf_counter()
        export.write(copy.deepcopy(module).float(), name, read.layout, read.tensors, Path(place))
        exported = time.perf_counter()
        files = [(Path(place) / file).read_bytes() for file in (export.MODEL, export.CONSTANTS)]
        compiled = Compiled(files[0], files[1], threads, PRECISION[str(dtype).removeprefix("torch.")])
        export_s, compile_s = exported - begin, time.perf_counter() - exported
    passes = []
    for args, kwargs in calls:
        call = read_call(args, kwargs)
        assert call is not None
        half = [t.to(dtype) if t.is_floating_point() else t for t in call.tensors]
        ways = (
            _eager(exact, label, call.layout, call.tensors),
            _eager(usual, label, call.layout, half),
            lambda half=half: compiled.run(half),
        )
        with torch.inference_mode():
            answers = [way() for way in ways]
            best = [min(times) * 1000 for times in zip(*(_round(ways) for _ in range(rounds)), strict=True)]
        passes.append(
            Pass(
                page=slug,
                weights=folder.name,
                method=label,
                shape=tuple(call.tensors[0].shape),
                eager_float32_ms=round(best[0], 2),
                eager_ms=round(best[1], 2),
                compiled_ms=round(best[2], 2),
                export_s=round(export_s, 1),
                compile_s=round(compile_s, 2),
                eager_difference=differ(answers[1], answers[0]),
                compiled_difference=differ(answers[2], answers[0]),
            )
        )
    return passes


def _arguments(model: Any, label: str, shape: tuple[int, ...]) -> tuple[list[Any], dict[str, Any]]:
    """Random ones, as the page calls that method."""
    import torch

    chance = torch.Generator().manual_seed(0)
    if 0 not in shape:
        return [torch.randn(shape, generator=chance)], {}
    unet, side = model.unet, model.usual.side // model.pipeline.vae_scale_factor
    if label != "unet.forward":
        channels = model.vae.config.latent_channels
        return [torch.randn(shape[0], channels, side, side, generator=chance)], {}
    words = model.pipeline.tokenizer.model_max_length
    states = torch.randn(shape[0], words, unet.config.cross_attention_dim, generator=chance)
    latents = torch.randn(shape[0], unet.config.in_channels, side, side, generator=chance)
    return [latents, torch.tensor(500)], {"encoder_hidden_states": states, "added_cond_kwargs": None}


def _eager(model: Any, label: str, layout: str, tensors: Sequence[Tensor]) -> Callable[[], list[Tensor]]:
    module, name = entries(model)[label]
    args, kwargs = make_arguments(layout, tensors)
    return lambda: read_answer(getattr(module, name)(*args, **kwargs))[0]


def _round(ways: Sequence[Callable[[], object]]) -> list[float]:
    seconds = []
    for way in ways:
        begin = time.perf_counter()
        way()
        seconds.append(time.perf_counter() - begin)
    return seconds


def main() -> int:
    import torch
    from rich.console import Console
    from rich.table import Table

    parser = argparse.ArgumentParser(prog="python -m bench.backends", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds")
    parser.add_argument("--only", default="", metavar="A,B", help="pages")
    parser.add_argument("--dtype", default="auto", help="as the hub's")
    given = parser.parse_args()
    dtype = devices.pick_dtype(given.dtype, torch.device("cpu"))
    only = [slug for slug in given.only.split(",") if slug]
    passes = measure(ROOT / "demos", ROOT / "weights", dtype, QUICK if given.quick else ROUNDS, only)
    kind = str(dtype).removeprefix("torch.")
    table = Table("page", "method", "input", "eager float32", f"eager {kind}", f"openvino {kind}", "won", "speed-up")
    for one in passes:
        times = (f"{ms:.1f} ms" for ms in (one.eager_float32_ms, one.eager_ms, one.compiled_ms))
        shape = "x".join(map(str, one.shape))
        table.add_row(one.page, one.method, shape, *times, one.won, f"{one.speedup:.2f}")
    Console(width=None if sys.stdout.isatty() else 150).print(table)
    rows = [{**asdict(one), "won": one.won, "speedup": round(one.speedup, 2)} for one in passes]
    print(json.dumps({"dtype": kind, "threads": torch.get_num_threads(), "passes": rows}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
