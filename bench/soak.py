"""Memory of a served hub after 2,000 mixed REST requests against after 200: does anything keep growing?

Distinct pictures in four sizes on every page, repeated ones, and one in eight that must be refused. The
hub's own stores of results may grow, within their bounds; how much they hold is told beside.
"""

from __future__ import annotations

import json
import random
import threading
from dataclasses import dataclass
from typing import Any

from bench.client import MULTIPART, Http, multipart
from bench.context import Bench, BenchError, Findings
from bench.figures import compare
from bench.inputs import photo, values
from bench.processes import Server
from hub.pages.registry import Page
from hub.spec import ImageInput

CLIENTS = 4
SIZES = ((320, 240), (640, 480), (1024, 768), (600, 1200))
REFUSED, REPEATED = 0.125, 0.25  # shares of all requests
JSON_TYPE = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Asked:
    path: str
    body: bytes
    headers: dict[str, str]
    fine: bool  # whether a 200 is due; else a 4xx


def measure(bench: Bench) -> Findings:
    first, last, steps = bench.plan.soak
    server = bench.hub("soak")
    server.wait()
    step = last // steps
    marks = sorted({first, *range(step, last + 1, step), last})
    series, answered, statuses = [], 0, dict[str, int]()
    for mark in marks:
        _ask(bench, server, range(answered, mark), statuses)
        answered = mark
        rss, _ = server.memory_mb()
        series.append({"requests": mark, "rss_mb": round(rss, 1), **_held(server)})
    bench.processes.stop(server)
    by_mark = {entry["requests"]: entry["rss_mb"] for entry in series}
    row = compare(
        "soak.rss", f"RSS after {last} requests", "MB", [[by_mark[last]]], [[by_mark[first]]], f"the hub after {first}"
    )
    return Findings((row,), {"series": series, "statuses": statuses, "clients": CLIENTS})


def _ask(bench: Bench, server: Server, numbers: range, statuses: dict[str, int]) -> None:
    """Sends the requests of `numbers` from a few clients; every answer must be of the kind that is due."""
    waiting, lock = iter(numbers), threading.Lock()
    problems: list[str] = []

    def client() -> None:
        with server.http() as http:
            while not problems:
                with lock:
                    number = next(waiting, None)
                if number is None:
                    return
                problem = _one(http, request(bench, number), statuses, lock)
                if problem:
                    problems.append(problem)

    threads = [threading.Thread(target=client, daemon=True) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise BenchError(problems[0])


def _one(http: Http, asked: Asked, statuses: dict[str, int], lock: threading.Lock) -> str:
    """Empty, or what was wrong with the answer."""
    try:
        status, body = http.post(asked.path, asked.body, asked.headers)
    except ConnectionError as error:
        return str(error)
    with lock:
        statuses[str(status)] = statuses.get(str(status), 0) + 1
    due = status == 200 if asked.fine else 400 <= status < 500
    return "" if due else f"POST {asked.path}: {status} {body[:300]!r}"


def request(bench: Bench, number: int) -> Asked:
    """The same for the same number, whatever the thread."""
    chance = random.Random(number)
    others = [page for page in bench.registry if page.slug != bench.slug]
    page = chance.choice(others) if others and chance.random() < 1 / 3 else bench.registry.get(bench.slug)
    share = chance.random()
    if share < REFUSED:
        return _refused(page, number, chance)
    if share < REFUSED + REPEATED:
        number = chance.randrange(20)  # pictures that come again and again
    return Asked(_path(page), _body(page, number), MULTIPART, True)


def _body(page: Page, number: int) -> bytes:
    given = values(page.demo, number, SIZES[number % len(SIZES)])
    pictures = {f.name: given.pop(f.name) for f in page.demo.inputs if isinstance(f, ImageInput)}
    return multipart(pictures, given)


def _refused(page: Page, number: int, chance: random.Random) -> Asked:
    path, picture = _path(page), photo(number)
    bodies: list[tuple[str, bytes, dict[str, str]]] = [
        (path, multipart({}), MULTIPART),  # nothing
        (path, multipart({"image": b""}), MULTIPART),  # an empty file
        (path, multipart({"image": b"not a picture at all"}), MULTIPART),
        (path, multipart({"image": picture[: len(picture) // 3]}), MULTIPART),  # cut off
        (path, multipart({"image": picture}, {"no_such_input": "1"}), MULTIPART),
        (path, b'{"image": "###"}', JSON_TYPE),
        (path, b"{", JSON_TYPE),
        (path, picture, {"Content-Type": "image/jpeg"}),
        ("/api/v1/demos/no_such_demo", multipart({"image": picture}), MULTIPART),
    ]
    return Asked(*chance.choice(bodies), fine=False)


def _path(page: Page) -> str:
    return f"/api/v1/demos/{page.slug}"


def _held(server: Server) -> dict[str, Any]:
    """What the hub says it holds, in MB."""
    with server.http() as http:
        status, body = http.get("/api/v1/status")
    if status != 200:
        raise BenchError(f"/api/v1/status: {status}")
    told = json.loads(body)
    return {
        "results_mb": round(told["results"]["memory_bytes"] / 2**20, 1),
        "models_mb": round(told["pool"]["used_bytes"] / 2**20, 1),
    }
