"""gradio_client against the hub, and against a bare gr.Interface around the same function with default settings.

Most of a call is spent in gradio_client itself, the same on both sides, so the ratio is that of what a
script sees; `rest` measures the servers.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gradio_client import Client, handle_file

from bench.context import Bench, Findings
from bench.figures import compare
from bench.inputs import values
from hub.spec import ImageInput

WARM = 4

Ready = list[Any]  # the arguments of one call


def measure(bench: Bench) -> Findings:
    plan, demo = bench.plan, bench.demo
    hub, bare = bench.hub("gradio"), bench.gradio_page(bench.slug)
    hub.wait()
    bare.wait()
    chosen = [demo.weights[0].name] if len(demo.weights) > 1 else []
    sides = {"hub": Caller(bench, hub.url, chosen), "bare": Caller(bench, bare.url, [])}
    alone: dict[str, list[list[float]]] = {side: [] for side in sides}
    many: dict[str, list[list[float]]] = {side: [] for side in sides}
    files = _Files(bench)
    for ready in files.make(WARM):
        for caller in sides.values():
            caller(ready)
    with ThreadPoolExecutor(plan.clients) as pool:
        for turn in range(plan.client_rounds):
            few, lots = files.make(plan.client_alone), files.make(plan.client_many)
            for side, caller in list(sides.items())[:: 1 if turn % 2 == 0 else -1]:
                alone[side].append([caller(ready) * 1000 for ready in few])
                begin = time.perf_counter()
                list(pool.map(caller, lots))
                many[side].append([len(lots) / (time.perf_counter() - begin)])
    bench.processes.stop(hub, bare)
    throughput = f"throughput, {plan.clients} threads"
    rows = (
        compare("gradio", "latency, alone", "ms", alone["hub"], alone["bare"], "bare Interface"),
        compare("gradio", throughput, "1/s", many["hub"], many["bare"], "bare Interface", "higher"),
    )
    return Findings(rows, {})


class Caller:
    """Times one `predict` of a gradio_client that all threads share, as its docs do."""

    def __init__(self, bench: Bench, url: str, extra: list[Any]):
        self._client = Client(url, verbose=False, download_files=str(bench.folder))
        self._extra, self._endpoint = extra, f"/{bench.slug}"

    def __call__(self, ready: Ready) -> float:
        begin = time.perf_counter()
        self._client.predict(*ready, *self._extra, api_name=self._endpoint)
        return time.perf_counter() - begin


class _Files:
    """Makes arguments that no earlier ones equal; pictures are written before the clock starts."""

    def __init__(self, bench: Bench):
        self._demo, self._folder, self._count = bench.demo, bench.folder / "gradio-pictures", 0
        self._folder.mkdir()

    def make(self, count: int) -> list[Ready]:
        return [self._one() for _ in range(count)]

    def _one(self) -> Ready:
        self._count += 1
        given = values(self._demo, self._count)
        for field in self._demo.inputs:
            if isinstance(field, ImageInput):
                file = self._folder / f"{self._count}-{field.name}.jpg"
                file.write_bytes(given[field.name])
                given[field.name] = handle_file(file)
        return list(given.values())
