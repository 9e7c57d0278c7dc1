"""The REST path against a plain loop over the same four functions; alone, with 16 clients, and a stored answer.

The clock of the hub runs from the first byte sent to the last one read, in a client that costs about 0.2 ms
a request and shares the machine's cores with the hub; bodies are built before. The plain loop has no client:
its clock runs from the picture's bytes to what `present` returned. So all of HTTP counts against the hub.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.client import Http, multipart
from bench.context import Bench, BenchError, Findings
from bench.figures import compare
from bench.inputs import values
from bench.processes import Server, Worker
from hub.spec import ImageInput, Labels

WARM = 16  # requests before the first round, alone and together
TOLERANCE = 0.06  # bfloat16 in a batch differs a little from bfloat16 alone
STAGES = ("queue_ms", "prepare_ms", "infer_ms", "present_ms", "total_ms")


@dataclass(frozen=True, slots=True)
class Request:
    """The same input for both sides."""

    body: bytes
    files: dict[str, str]  # picture files by input name
    plain: dict[str, Any]  # the other inputs


def measure(bench: Bench) -> Findings:
    plan, path = bench.plan, f"/api/v1/demos/{bench.slug}"
    # The threads have a process of their own: OpenMP stops spinning, and so slows down, once several threads use it.
    hub, loop, pool = bench.hub("rest"), plain_loop(bench), plain_loop(bench)
    hub.wait()
    loop.line()
    pool.line()
    maker = Requests(bench)
    with hub.http() as http:
        warm = maker.make(WARM)
        _, answers = alone(http, path, warm)
        together(hub, path, maker.make(WARM), plan.clients)
        by_loop(loop, warm[:-1], 1)
        by_loop(pool, warm, plan.clients)
        _agree(bench, answers[-1], by_loop(loop, warm[-1:], 1)["answer"])
        hub_alone, hub_stored, hub_many = list[list[float]](), list[list[float]](), list[list[float]]()
        loop_alone, loop_many, loop_threads = list[list[float]](), list[list[float]](), list[list[float]]()
        single, batched = list[dict[str, Any]](), list[dict[str, Any]]()

        def ours(few: list[Request], many: list[Request]) -> None:
            taken, bodies = alone(http, path, few)
            hub_alone.append(taken)
            single.extend(_receipts(bodies, cached=False))
            taken, bodies = alone(http, path, few)
            hub_stored.append(taken)
            _receipts(bodies, cached=True)
            seconds, bodies = together(hub, path, many, plan.clients)
            hub_many.append([len(many) / seconds])
            batched.extend(_receipts(bodies, cached=False))

        def theirs(few: list[Request], many: list[Request]) -> None:
            loop_alone.append(by_loop(loop, few, 1)["each"])
            loop_many.append([len(many) / by_loop(loop, many, 1)["seconds"]])
            loop_threads.append([len(many) / by_loop(pool, many, plan.clients)["seconds"]])

        for number in range(plan.rounds):
            few, many = maker.make(plan.latency_requests), maker.make(plan.throughput_requests)
            for turn in (ours, theirs) if number % 2 == 0 else (theirs, ours):
                turn(few, many)
        floor = [_timed(lambda: http.get("/healthz")) for _ in range(100)]
    bench.processes.stop(hub, loop, pool)
    clients = f"{plan.clients} clients"
    rows = (
        compare("rest", "latency, alone", "ms", _ms(hub_alone), _ms(loop_alone), "plain loop"),
        compare("rest", "latency, stored answer", "ms", _ms(hub_stored), _ms(loop_alone), "plain loop, computing"),
        compare("rest", f"throughput, {clients}", "1/s", hub_many, loop_many, "plain loop", "higher"),
        compare("rest", f"throughput, {clients}", "1/s", hub_many, loop_threads, "plain, 16 threads", "higher"),
    )
    details = {
        "healthz_ms": round(median(floor) * 1000, 3),
        "receipt_alone": {stage: median(receipt[stage] for receipt in single) for stage in STAGES},
        "receipt_many": {stage: median(receipt[stage] for receipt in batched) for stage in STAGES},
        "batch_size_many": median(receipt["batch_size"] for receipt in batched),
    }
    return Findings(rows, details)


class Requests:
    """Makes requests that no earlier one equals."""

    def __init__(self, bench: Bench):
        self._demo, self._folder = bench.demo, bench.folder / "pictures"
        self._folder.mkdir(exist_ok=True)
        self._count = 0

    def make(self, count: int) -> list[Request]:
        return [self._one() for _ in range(count)]

    def _one(self) -> Request:
        self._count += 1
        given = values(self._demo, self._count)
        pictures = {f.name: given.pop(f.name) for f in self._demo.inputs if isinstance(f, ImageInput)}
        files = {}
        for name, data in pictures.items():
            file = self._folder / f"{self._count}-{name}.jpg"
            file.write_bytes(data)
            files[name] = str(file)
        return Request(multipart(pictures, given), files, given)


def plain_loop(bench: Bench) -> Worker:
    """`bench.baselines.plain_loop` in a process of its own."""
    return bench.processes.work("plain-loop", bench.baseline("plain_loop", bench.slug))


def by_loop(loop: Worker, requests: Sequence[Request], threads: int) -> dict[str, Any]:
    return loop.ask({"files": [r.files for r in requests], "inputs": [r.plain for r in requests], "threads": threads})


def alone(http: Http, path: str, requests: Sequence[Request]) -> tuple[list[float], list[bytes]]:
    """Seconds and answer of each request, one after the other."""
    taken, bodies = [], []
    for request in requests:
        begin = time.perf_counter()
        status, body = http.post(path, request.body)
        taken.append(time.perf_counter() - begin)
        bodies.append(body)
        if status != 200:
            raise BenchError(f"POST {path}: {status} {body[:300]!r}")
    return taken, bodies


def together(server: Server, path: str, requests: Sequence[Request], clients: int) -> tuple[float, list[bytes]]:
    """Seconds for all requests from `clients` threads, each with a connection of its own, and the answers."""
    waiting, lock = iter(requests), threading.Lock()
    bodies: list[bytes] = []
    problems: list[BaseException] = []
    start = threading.Barrier(clients + 1)

    def client() -> None:
        try:
            with server.http() as http:
                http.get("/healthz")  # connected before the clock starts
                start.wait()
                while True:
                    with lock:
                        request = next(waiting, None)
                    if request is None:
                        return
                    _, answers = alone(http, path, [request])
                    bodies.extend(answers)
        except Exception as error:  # told by the main thread, which would otherwise report a high speed
            problems.append(error)
            start.abort()

    threads = [threading.Thread(target=client, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    with contextlib.suppress(threading.BrokenBarrierError):
        start.wait()
    begin = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begin
    if problems:
        raise BenchError(f"{len(problems)} clients failed") from problems[0]
    return seconds, bodies


def _receipts(bodies: Sequence[bytes], *, cached: bool) -> list[dict[str, Any]]:
    """Receipts, after a check that the hub computed (or did not) as this measurement claims."""
    receipts = [dict(json.loads(body)["receipt"]) for body in bodies]
    wrong = [r for r in receipts if r["cached"] != cached or (not cached and r["batch_size"] == 0)]
    if wrong:
        raise BenchError(f"{len(wrong)} of {len(receipts)} answers were {'computed' if cached else 'from a store'}")
    return receipts


def _agree(bench: Bench, body: bytes, answer: dict[str, Any]) -> None:
    """Both sides must have done the same work: probabilities of one picture are alike."""
    outputs = json.loads(body)["outputs"]
    for field in bench.demo.outputs:
        if isinstance(field, Labels):
            gap = max(abs(outputs[field.name][name] - share) for name, share in answer[field.name].items())
            if gap > TOLERANCE:
                raise BenchError(f"the hub and the plain loop disagree by {gap:.3f} in {field.name}")


def _timed(call: Any) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def _ms(rounds: Sequence[Sequence[float]]) -> list[list[float]]:
    return [[seconds * 1000 for seconds in samples] for samples in rounds]
