"""What needs no model while 32 clients compute: a stored answer and a page's HTML, against the same in an idle hub."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator

from bench.client import Http
from bench.context import Bench, BenchError, Findings
from bench.figures import compare95
from bench.forms import settle
from bench.load import Load, send_all
from bench.probes import ask, body_of, get, path_of, timed_ms, whole_request
from bench.processes import Server

WARM = 8


def measure(bench: Bench) -> Findings:
    clients = max(bench.plan.requests)
    server = bench.hub("busy")
    server.wait(f"/{bench.slug}")
    bench.processes.wake_only(server)
    stored = body_of(bench, bench.slug, 0)
    idle, busy = _Samples([], []), _Samples([], [])
    rates = list[float]()
    with server.http() as http:
        for number in range(1, WARM):
            ask(http, bench.slug, body_of(bench, bench.slug, number))
        settle(bench, server, bench.slug)
        ask(http, bench.slug, stored)
        if not json.loads(ask(http, bench.slug, stored))["receipt"]["cached"]:
            raise BenchError("the answer was not stored")
        for number in range(bench.plan.rounds):
            _probe(bench, http, stored, idle)
            rates.append(_under_load(bench, server, clients, number, lambda: _probe(bench, http, stored, busy)))
    bench.processes.stop(server)
    what = f"beside {clients} computing clients"
    rows = (
        compare95("busy.stored", f"a stored answer {what}", "ms", busy.stored, idle.stored, "idle"),
        compare95("busy.page", f"a page's HTML {what}", "ms", busy.pages, idle.pages, "idle"),
    )
    return Findings(rows, {"computed_per_s": rates})


class _Samples:
    """Milliseconds by round."""

    def __init__(self, stored: list[list[float]], pages: list[list[float]]):
        self.stored, self.pages = stored, pages


def _probe(bench: Bench, http: Http, stored: bytes, into: _Samples) -> None:
    count = bench.plan.samples
    into.stored.append([timed_ms(lambda: http.post(path_of(bench.slug), stored)) for _ in range(count)])
    into.pages.append([timed_ms(lambda: get(http, f"/{bench.slug}")) for _ in range(count)])


def _under_load(bench: Bench, server: Server, clients: int, number: int, probe: Callable[[], None]) -> float:
    """Calls `probe` while so many clients compute; requests a second that they got."""
    start, count = 10_000 * (number + 1), 100 + 16 * bench.plan.samples  # they last longer than the probe
    requests = [whole_request(bench, bench.slug, start + n) for n in range(count)]
    taken, enough, done, running = [0], threading.Event(), list[Load](), threading.Event()

    def ready() -> Iterator[bytes]:
        for request in requests:
            taken[0] += 1
            if taken[0] > clients:
                running.set()
            yield request
        running.set()

    def load() -> None:
        try:
            done.append(send_all(server.port, ready(), clients, enough.is_set))
        finally:
            running.set()

    thread = threading.Thread(target=load, daemon=True)
    thread.start()
    running.wait()
    probe()
    enough.set()
    over = taken[0] >= count
    thread.join()
    if over or not done:
        raise BenchError("the load ended before the probe")
    if any(answer.status != 200 for answer in done[0].answers):
        raise BenchError(f"the load got {sorted({answer.status for answer in done[0].answers})}")
    return done[0].rate
