"""gradio_client against the hub, and against a bare gr.Interface around the same function with default settings.

Most of a call is spent in gradio_client itself, the same on both sides, so the ratio is that of what a
script sees; `rest` measures the servers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from gradio_client import Client, handle_file

from bench.context import Bench, Findings
from bench.figures import compare
from bench.inputs import values
from hub.spec import ImageInput

WARM = 4

Call = Callable[[int], float]


def measure(bench: Bench) -> Findings:
    plan, demo = bench.plan, bench.demo
    hub, bare = bench.hub("gradio"), bench.gradio_page(bench.slug)
    hub.wait()
    bare.wait()
    chosen = [demo.weights[0].name] if len(demo.weights) > 1 else []
    ours, theirs = _caller(bench, hub.url, "ours", chosen), _caller(bench, bare.url, "theirs", [])
    alone: dict[Call, list[list[float]]] = {ours: [], theirs: []}
    many: dict[Call, list[list[float]]] = {ours: [], theirs: []}
    for call in (ours, theirs):
        for number in range(WARM):
            call(number)
    first = WARM
    with ThreadPoolExecutor(plan.clients) as pool:
        for turn in range(plan.client_rounds):
            for call in (ours, theirs) if turn % 2 == 0 else (theirs, ours):
                alone[call].append([call(first + n) * 1000 for n in range(plan.client_alone)])
                start = first + plan.client_alone
                begin = time.perf_counter()
                list(pool.map(call, range(start, start + plan.client_many)))
                many[call].append([plan.client_many / (time.perf_counter() - begin)])
            first += plan.client_alone + plan.client_many
    bench.processes.stop(hub, bare)
    return Findings(
        (
            compare("gradio", "latency, alone", "ms", alone[ours], alone[theirs], "bare Interface"),
            compare(
                "gradio", f"throughput, {plan.clients} threads", "1/s",
                many[ours], many[theirs], "bare Interface", "higher",
            ),
        ),
        {},
    )  # fmt: skip


def _caller(bench: Bench, url: str, side: str, extra: list[Any]) -> Call:
    """A function that times one `predict` with the inputs of a number; its pictures are written before."""
    folder = bench.folder / f"gradio-{side}"
    folder.mkdir()
    client = Client(url, verbose=False, download_files=str(folder))

    def call(number: int) -> float:
        arguments = []
        for field, value in zip(bench.demo.inputs, values(bench.demo, number).values(), strict=True):
            if isinstance(field, ImageInput):
                arguments.append(handle_file(_file(folder / f"{number}-{field.name}.jpg", value)))
            else:
                arguments.append(value)
        begin = time.perf_counter()
        client.predict(*arguments, *extra, api_name=f"/{bench.slug}")
        return time.perf_counter() - begin

    return call


def _file(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)
