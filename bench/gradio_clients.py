"""gradio_client against the hub, and against a bare gr.Interface around the same function with default settings.

gradio_client looks for the answer every 50 ms, so one call takes about 100 or 150 ms whatever the server does, and
a server that is a few milliseconds slower may or may not meet the next look. "over HTTP" is the same interface
(upload, call, event stream) without gradio_client: what the servers themselves take.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gradio_client import Client, handle_file

from bench.client import gradio_call
from bench.context import Bench, Findings
from bench.figures import compare
from bench.inputs import values
from bench.processes import Server
from hub.spec import ImageInput

WARM = 4
HTTP_PICTURES = 1_000_000  # numbers from here on are for calls over HTTP

Ready = list[Any]  # the arguments of one call


def measure(bench: Bench) -> Findings:
    plan, demo = bench.plan, bench.demo
    hub, bare = bench.hub("gradio"), bench.gradio_page(bench.slug)
    hub.wait()
    bare.wait()
    chosen = [demo.weights[0].name] if len(demo.weights) > 1 else []
    servers = {"hub": hub, "bare": bare}
    sides = {"hub": Caller(bench, hub.url, chosen), "bare": Caller(bench, bare.url, [])}
    alone: dict[str, list[list[float]]] = {side: [] for side in sides}
    many: dict[str, list[list[float]]] = {side: [] for side in sides}
    over_http: dict[str, list[list[float]]] = {side: [] for side in sides}
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
                over_http[side].append(_over_http(bench, servers[side], caller.extra, turn))
    bench.processes.stop(hub, bare)
    throughput = f"throughput, {plan.clients} threads"
    rows = (
        compare("gradio", "latency, alone", "ms", alone["hub"], alone["bare"], "bare Interface"),
        compare("gradio", "latency, alone, over HTTP", "ms", over_http["hub"], over_http["bare"], "bare Interface"),
        compare("gradio", throughput, "1/s", many["hub"], many["bare"], "bare Interface", "higher"),
    )
    return Findings(rows, {})


class Caller:
    """Times one `predict` of a gradio_client that all threads share, as its docs do."""

    def __init__(self, bench: Bench, url: str, extra: list[Any]):
        self._client = Client(url, verbose=False, download_files=str(bench.folder))
        self.extra, self._endpoint = extra, f"/{bench.slug}"

    def __call__(self, ready: Ready) -> float:
        begin = time.perf_counter()
        self._client.predict(*ready, *self.extra, api_name=self._endpoint)
        return time.perf_counter() - begin


def _over_http(bench: Bench, server: Server, extra: list[Any], turn: int) -> list[float]:
    """Milliseconds of one call after another, with pictures that no other call gets."""
    count = 2 * bench.plan.client_alone
    pictures = [values(bench.demo, HTTP_PICTURES + turn * count + n) for n in range(count)]
    taken = []
    with server.http() as http:
        for given in pictures:
            begin = time.perf_counter()
            gradio_call(http, bench.slug, [*given.values(), *extra])
            taken.append((time.perf_counter() - begin) * 1000)
    return taken


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
