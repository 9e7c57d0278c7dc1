"""The Gradio door against a bare gr.Interface around the same function with its defaults, eager models on both sides.

gradio_client looks for the answer every 50 ms, so one call takes about 100 or 150 ms whatever the server does, and
a server that is a few milliseconds slower may or may not meet the next look. "over HTTP" is what the servers themselves
take: the documented upload, call and event stream, and what a browser sends (upload, queue, the session's events).
The hub's own page does more than its endpoint when its button is pressed: stages, a receipt, a link.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gradio_client import Client, handle_file

from bench.client import Event, browser_call, gradio_call, gradio_events
from bench.context import Bench, Findings
from bench.figures import Row, compare
from bench.inputs import values
from bench.probes import ask, body_of, timed_ms
from bench.processes import Server
from hub.spec import ImageInput

WARM, THREADS = 4, 16
BARE = "bare Interface"

Ready = list[Any]  # the arguments of one call
Rounds = list[list[float]]


def measure(bench: Bench) -> Findings:
    servers = {"hub": bench.hub("gradio", backend="eager"), "bare": bench.gradio_page(bench.slug)}
    for server in servers.values():
        server.wait()
    numbers = _Numbers(bench)
    sides = {name: Side(bench, server, numbers) for name, server in servers.items()}
    for turn in range(bench.plan.rounds):
        for side in list(sides.values())[:: 1 if turn % 2 == 0 else -1]:
            bench.processes.wake_only(side.server)
            side.take_turn()
    for side in sides.values():
        side.close()
    bench.processes.stop(*servers.values())
    hub, bare = (side.taken for side in sides.values())

    def row(key: str, what: str, ours: str, theirs: str, name: str = BARE) -> Row:
        return compare(f"gradio.{key}", what, "ms", hub[ours], bare[theirs], name)

    rows = [
        row("client", "gradio_client, alone", "client", "client"),
        row("call", "over HTTP, /call", "call", "call"),
        row("browser", "over HTTP, browser's calls", "browser", "browser"),
        *([row("page", "over HTTP, the page's own button", "page", "browser")] if hub["page"] else []),
        row("repeated", "repeated input, browser's calls", "repeated", "browser", f"{BARE}, computing"),
        row("repeated_rest", "repeated input, REST", "rest", "browser", f"{BARE}, computing"),
        compare(
            "gradio.many", f"gradio_client, {THREADS} threads", "1/s", hub["many"], bare["many"], BARE, better="higher"
        ),
    ]
    return Findings(tuple(rows), {})


class Side:
    """One server, called in every way; `taken` holds milliseconds by way and round (of "many": calls a second)."""

    def __init__(self, bench: Bench, server: Server, numbers: _Numbers):
        self.bench, self.server, self.numbers, self.is_hub = bench, server, numbers, server.name == "hub"
        self.extra = bench.chosen_weights(bench.slug) if self.is_hub else []
        self.taken: dict[str, Rounds] = {
            way: [] for way in ("client", "call", "browser", "page", "repeated", "rest", "many")
        }
        self._client = Client(server.url, verbose=False, download_files=str(bench.folder))
        self._pool = ThreadPoolExecutor(THREADS)
        with server.http() as http:
            self.endpoint, self.page = gradio_events(http, bench.slug)

    def close(self) -> None:
        self._pool.shutdown()
        self._client.close()

    def take_turn(self) -> None:
        """One round of every way."""
        count = self.bench.plan.gradio_calls
        for _ in range(WARM):
            self._predict(self.numbers.files())
        files, many = ([self.numbers.files() for _ in range(n)] for n in (count, 4 * count))
        self.taken["client"].append([timed_ms(lambda given=given: self._predict(given)) for given in files])  # type: ignore[misc]
        begin = time.perf_counter()
        list(self._pool.map(self._predict, many))
        self.taken["many"].append([len(many) / (time.perf_counter() - begin)])
        plain = [self.numbers.plain() for _ in range(2 * count)]
        self._over_http("call", self._call, plain)
        fresh = [self.numbers.plain() for _ in range(2 * count)]
        self._over_http("browser", lambda given: self._browse(self.endpoint, given), fresh)
        if self.is_hub:
            self._hub_only(fresh, count)

    def _hub_only(self, known: Sequence[Ready], count: int) -> None:
        self._over_http("repeated", lambda given: self._browse(self.endpoint, given), known)
        page = self.page
        if page is not None:
            pressed = [self.numbers.plain() for _ in range(2 * count)]
            self._over_http("page", lambda given: self._browse(page, given), pressed)
        body = body_of(self.bench, self.bench.slug, 0)
        with self.server.http() as http:
            ask(http, self.bench.slug, body)
            self.taken["rest"].append([timed_ms(lambda: ask(http, self.bench.slug, body)) for _ in range(4 * count)])

    def _over_http(self, way: str, call: Callable[[Ready], Any], inputs: Sequence[Ready]) -> None:
        self.taken[way].append([timed_ms(lambda given=given: call(given)) for given in inputs])  # type: ignore[misc]

    def _predict(self, given: Ready) -> None:
        self._client.predict(*given, *self.extra, api_name=f"/{self.bench.slug}")

    def _call(self, given: Ready) -> None:
        with self.server.http() as http:
            gradio_call(http, self.bench.slug, [*given, *self.extra])

    def _browse(self, event: Event, given: Ready) -> None:
        with self.server.http() as http:
            browser_call(http, event, [*given, *self.extra][: event.values])


class _Numbers:
    """Makes arguments that no earlier ones equal, before the clock starts."""

    def __init__(self, bench: Bench):
        self._demo, self._folder, self._count = bench.demo, bench.folder / "gradio-pictures", 0
        self._folder.mkdir()

    def plain(self) -> Ready:
        """With pictures as bytes."""
        self._count += 1
        return list(values(self._demo, self._count).values())

    def files(self) -> Ready:
        """With pictures as gradio_client takes them."""
        self._count += 1
        given = values(self._demo, self._count)
        for field in self._demo.inputs:
            if isinstance(field, ImageInput):
                file = self._folder / f"{self._count}-{field.name}.jpg"
                file.write_bytes(given[field.name])
                given[field.name] = handle_file(file)
        return list(given.values())
