"""From the start of the process to the first page, a demo's page and the first answer, cold.

Against a bare Gradio app with as many pages, its models loaded at import. Each start is a fresh process with
a warm file cache, as after a reboot and one look around; the first answer is asked for as soon as the page is
there, through Gradio's own HTTP interface on both sides.
"""

from __future__ import annotations

import time

from bench.client import gradio_call
from bench.context import Bench, Findings
from bench.figures import compare
from bench.inputs import values

WHATS = {"page": "first page /", "demo": "first demo page", "answer": "first answer"}


def measure(bench: Bench) -> Findings:
    taken: dict[str, list[tuple[float, ...]]] = {"hub": [], "bare": []}
    for number in range(-1 if bench.plan.starts > 1 else 0, bench.plan.starts):  # -1 only fills the file cache
        for side in ("hub", "bare") if number % 2 == 0 else ("bare", "hub"):
            times = _start(bench, side, number + 1)
            if number >= 0:
                taken[side].append(times)
    rows = [
        compare(
            f"startup.{key}",
            what,
            "s",
            [[t[n]] for t in taken["hub"]],
            [[t[n]] for t in taken["bare"]],
            "bare Gradio app",
        )
        for n, (key, what) in enumerate(WHATS.items())
    ]
    return Findings(tuple(rows), {"pages": list(bench.registry.pages)})


def _start(bench: Bench, side: str, number: int) -> tuple[float, ...]:
    """Seconds since the start of the process at each of `WHATS`."""
    picture = values(bench.demo, number)
    extra = bench.chosen_weights(bench.slug) if side == "hub" else []
    server = bench.hub("startup") if side == "hub" else bench.gradio_app()
    times = [server.wait(), server.wait(f"/{bench.slug}")]
    with server.http() as http:
        gradio_call(http, bench.slug, [*picture.values(), *extra])
    times.append(time.perf_counter() - server.started)
    bench.processes.stop(server)
    return tuple(times)
