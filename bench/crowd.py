"""Two hundred clients for ten minutes: does the hub answer, refuse only as it promises, and keep its memory?

Each client does one thing after the other, as people and programs mix them: new photos on every page, photos that were
seen before, pages and the home page, the list of results that may be had, files that must be refused. Who is told 429
or 503 waits as long as it is told to, and asks again. One answer of another kind is an error.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from statistics import median, quantiles
from typing import Any

from bench.client import Http
from bench.context import Bench, BenchError, Findings
from bench.figures import Row, count, spread
from bench.processes import Server
from bench.soak import Asked, request

BUSY = (429, 503)
WAIT_MOST_S = 60.0
READ_S = 5.0  # between two readings of the memory
SETTLED = 0.2  # of the time has passed when memory is first read: all models are in it
FEW = 20  # of a page's runs, for its p99 to be worth its name
SHARES = {"run": 0.6, "page": 0.2, "look": 0.2}  # of what a client does; of runs one in four was run before


def measure(bench: Bench) -> Findings:
    clients, seconds = bench.plan.crowd
    server = bench.hub("crowd")
    server.wait()
    crowd = _Crowd(bench, server, seconds)
    threads = [threading.Thread(target=crowd.client, args=(number,), daemon=True) for number in range(clients)]
    for thread in threads:
        thread.start()
    begun, memory = time.monotonic(), list[tuple[float, float]]()
    while any(thread.is_alive() for thread in threads):
        time.sleep(min(READ_S, seconds / 10))
        memory.append((time.monotonic() - begun, server.memory_mb()[0]))
    for thread in threads:
        thread.join()
    if server.process.poll() is not None:
        raise BenchError("the hub ended")
    bench.processes.stop(server)
    return _findings(crowd, memory, clients, seconds)


class _Crowd:
    """What all clients saw."""

    def __init__(self, bench: Bench, server: Server, seconds: float):
        self.bench, self.server = bench, server
        self.settles, self.end = time.monotonic() + SETTLED * seconds, time.monotonic() + seconds
        # Guards the five below.
        self.lock = threading.Lock()
        self.statuses, self.errors = Counter[str](), Counter[str]()
        self.times = dict[str, list[float]]()  # by kind
        self.settled = dict[str, list[float]]()  # of runs that began once all models were there, by page
        self.next = 0

    def client(self, number: int) -> None:
        chance = random.Random(number)
        with self.server.http() as http:
            while time.monotonic() < self.end:
                kind = chance.choices([*SHARES], [*SHARES.values()])[0]
                self._once(http, kind, getattr(self, kind)(chance))

    def run(self, chance: random.Random) -> Asked:
        with self.lock:
            self.next += 1
            number = self.next
        return request(self.bench, number)

    def page(self, chance: random.Random) -> Asked:
        slug = chance.choice(["", *(page.slug for page in self.bench.registry)])
        return Asked(f"/{slug}", b"", {"Accept": "text/html"}, True)

    def look(self, chance: random.Random) -> Asked:
        paths = ("/api/v1/demos", "/api/v1/status", "/healthz", "/metrics", f"/api/v1/demos/{self.bench.slug}")
        return Asked(chance.choice(paths), b"", {}, True)

    def _once(self, http: Http, kind: str, asked: Asked) -> None:
        """One thing, until it is answered or refused for good."""
        while time.monotonic() < self.end:
            begin = time.perf_counter()
            try:
                answer = (
                    http.post(asked.path, asked.body, asked.headers)
                    if asked.body
                    else http.get(asked.path, asked.headers)
                )
                status = answer[0]
            except ConnectionError as error:
                self._note(kind, asked, 0, 0.0, f"{asked.path}: {error}")
                return
            seconds = time.perf_counter() - begin
            due = status == 200 if asked.fine else 400 <= status < 500
            self._note(kind, asked, status, seconds, "" if due or status in BUSY else f"{asked.path}: {status}")
            if status not in BUSY:
                return
            time.sleep(min(WAIT_MOST_S, http.retry_after_s or 1.0))

    def _note(self, kind: str, asked: Asked, status: int, seconds: float, error: str) -> None:
        with self.lock:
            self.statuses[str(status)] += 1
            if error:
                self.errors[error[:200]] += 1
            elif status == 200:
                self.times.setdefault(kind, []).append(seconds * 1000)
                if asked.body and time.monotonic() - seconds > self.settles:
                    self.settled.setdefault(asked.path, []).append(seconds * 1000)


def _findings(crowd: _Crowd, memory: list[tuple[float, float]], clients: int, seconds: float) -> Findings:
    what = f"{clients} clients for {seconds:g} s"
    runs = crowd.times.get("run", [])
    if len(runs) < 2:
        raise BenchError(f"{what}: {len(runs)} runs were answered ({dict(crowd.statuses)})")
    late: Callable[[list[float]], float] = lambda times: quantiles(times, n=100, method="inclusive")[98]  # noqa: E731
    settled = [rss for at, rss in memory if at >= SETTLED * seconds] or [rss for _, rss in memory]
    third = max(1, len(settled) // 3)
    growth = median(settled[-third:]) / median(settled[:third]) - 1
    rate, slow = sum(crowd.statuses.values()) / seconds, late(runs) / median(runs)
    since = f"after {SETTLED * seconds:g} s"
    rows = [
        count("crowd.errors", f"{what}: answers that no promise covers", "", sum(crowd.errors.values())),
        Row("crowd.memory", f"{what}: memory that grew {since}", "%", "lower", spread([growth * 100])),
        Row("crowd.late", f"{what}: a run's p99 / median", "x", "lower", spread([slow])),
        Row("crowd.rate", f"{what}: answers a second", "1/s", "higher", spread([rate])),
    ]
    pages = {path: times for path, times in crowd.settled.items() if len(times) >= FEW}
    if pages:
        worst = max(late(times) / median(times) for times in pages.values())
        what = f"{what}: a run's p99 / median {since}, in the worst page"
        rows.append(Row("crowd.late_page", what, "x", "lower", spread([worst])))
    details: dict[str, Any] = {
        "statuses": dict(crowd.statuses),
        "errors": dict(crowd.errors.most_common(10)),
        "median_ms": {kind: round(median(times), 1) for kind, times in crowd.times.items()},
        "p99_ms": {kind: round(late(times), 1) for kind, times in crowd.times.items() if len(times) > 1},
        "pages_ms": {path: [len(times), round(median(times)), round(late(times))] for path, times in pages.items()},
        "memory_mb": [[round(at), round(rss)] for at, rss in memory],
    }
    return Findings(tuple(rows), details)
