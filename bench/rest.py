"""The REST path with 1, 8 and 32 clients, beside what a person would serve the same page with.

- A plain loop over the same four functions, in one process and without HTTP: its clock runs from the picture's bytes
  to what `present` returned, the hub's from the first byte sent to the last one read: HTTP counts against the hub.
- The same in two processes of one thread each at once, the most that plain code makes of two cores.
- LitServe in several ways (`LITSERVE`); for each number of clients the best of them counts.

The hub is there twice: with eager models, as all the others have, and as shipped. Who is not timed sleeps.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.client import Http, multipart
from bench.context import Bench, BenchError, Findings
from bench.figures import Gap, Row, compare, compare95, percentile95
from bench.forms import settle
from bench.inputs import values
from bench.load import Load, request_bytes, send_all
from bench.processes import ProcessError, Server, free_port
from hub.spec import ImageInput, Labels

EAGER_FORM, SETTLE_S, SURE = "eager", 60.0, 2
TOLERANCE = 0.06  # bfloat16 in a batch differs a little from bfloat16 alone
STAGES = ("queue_ms", "prepare_ms", "infer_ms", "present_ms", "total_ms")
# Weighed for 0.2.19 on two cores. Batches (8, 4 ms) never won against two workers; more API servers than workers cost.
LITSERVE: Mapping[str, tuple[str, ...]] = {
    "one worker, fast queue": ("--fast-queue",),
    "one worker": (),
    "one worker, batches of 8": ("--batch", "8"),
    "two one-thread workers": ("--workers", "2", "--threads", "1"),
}
EAGER, SHIPPED, LOOP, TWO, LIT = "hub", "hub, as shipped", "plain loop", "two one-thread processes", "LitServe"


@dataclass(frozen=True, slots=True)
class Request:
    """The same input for all sides."""

    fields: bytes  # the body, as multipart
    files: dict[str, str]  # picture files by input name
    plain: dict[str, Any]  # the other inputs


@dataclass(frozen=True, slots=True)
class Timing:
    """What one side did with one round's requests."""

    rate: float
    each_ms: list[float]


class OverHttp:
    """A server. `receipts` holds those of the hub by number of clients."""

    def __init__(self, server: Server, path: str, is_hub: bool):
        self.processes, self.path, self.is_hub = [server], path, is_hub
        self.server, self.receipts = server, dict[int, list[dict[str, Any]]]()

    def wait(self) -> None:
        self.server.wait("/" if self.is_hub else "/health")

    def load(self, requests: Sequence[Request], clients: int) -> Load:
        done = send_all(self.server.port, [request_bytes(self.path, r.fields) for r in requests], clients)
        failed = [answer for answer in done.answers if answer.status != 200]
        if failed:
            raise BenchError(f"{self.server.name}: {len(failed)} requests failed: {failed[0].body[:300]!r}")
        return done

    def time(self, requests: Sequence[Request], clients: int) -> Timing:
        done = self.load(requests, clients)
        if self.is_hub:
            found = receipts([answer.body for answer in done.answers], cached=False)
            self.receipts.setdefault(clients, []).extend(found)
        return Timing(done.rate, done.latencies_ms)


class Plain:
    """`bench.baselines.plain_loop` in one process, or in several at once with a share of the requests each."""

    def __init__(self, bench: Bench, count: int, threads: int):
        command = bench.baseline("plain_loop", "--threads", str(threads), bench.slug)
        self.workers = [bench.processes.work("plain-loop", command) for _ in range(count)]
        self.processes = self.workers

    def wait(self) -> None:
        for worker in self.workers:
            worker.line()

    def time(self, requests: Sequence[Request], clients: int) -> Timing:
        shares = [requests[n :: len(self.workers)] for n in range(len(self.workers))]
        done = self.ask(shares)
        rate = sum(len(share) / answer["seconds"] for share, answer in zip(shares, done, strict=True))
        return Timing(rate, [seconds * 1000 for answer in done for seconds in answer["each"]])

    def ask(self, shares: Sequence[Sequence[Request]]) -> list[dict[str, Any]]:
        for worker, share in zip(self.workers, shares, strict=True):
            worker.send({"files": [r.files for r in share], "inputs": [r.plain for r in share]})
        return [dict(json.loads(worker.line())) for worker in self.workers]


Side = OverHttp | Plain


def measure(bench: Bench) -> Findings:
    sides, why = _sides(bench)
    maker = Requests(bench)
    for name, side in list(sides.items()):
        try:
            side.wait()
        except ProcessError as error:
            if not name.startswith(LIT):
                raise
            del sides[name]  # the peer's other ways still count
            why = str(error)
    for name, side in sides.items():
        bench.processes.wake_only(*side.processes)
        most = max(bench.plan.requests)
        side.time(maker.make(min(most, bench.plan.requests[most])), most)
        if name == SHIPPED and isinstance(side, OverHttp):
            settle(bench, side.server, bench.slug)
            _settle_under_load(bench, side, maker)
    _agree(bench, sides, maker.make(1)[0])
    timings: dict[str, dict[int, list[Timing]]] = {name: {c: [] for c in bench.plan.requests} for name in sides}
    stored = list[list[float]]()
    for number in range(bench.plan.rounds):
        turn = list(sides.items())[:: 1 if number % 2 == 0 else -1]
        for clients, count in bench.plan.requests.items():
            requests = maker.make(count)
            for name, side in turn:
                if name == (LOOP if clients > 1 else TWO):
                    continue  # a loop takes one request at a time
                bench.processes.wake_only(*side.processes)
                side.time(maker.make(max(2, min(count, clients) // 4)), clients)
                timings[name][clients].append(side.time(requests, clients))
                if clients == 1 and name == EAGER:
                    stored.append(_stored(side, requests))
    details = _details(sides, timings)
    for side in sides.values():
        bench.processes.stop(*side.processes)
    peers = [f"{clients}.{what}" for clients in bench.plan.requests for what in ("litserve", "litserve_p95", "shipped")]
    gaps = [] if any(name.startswith(LIT) for name in sides) else [Gap(f"rest.{row}", why) for row in peers]
    return Findings((*_rows(timings, stored), *gaps), details)


def _settle_under_load(bench: Bench, side: OverHttp, maker: Requests) -> None:
    """Until every model process answers in the chosen form: under load each has one thread, and a form for that."""
    form, clients = bench.forms.get(bench.slug, EAGER_FORM), max(bench.plan.requests)
    end, same = time.monotonic() + SETTLE_S, 0
    while form != EAGER_FORM and same < SURE and time.monotonic() < end:
        answers = side.load(maker.make(clients), clients).answers
        same = (
            same + 1 if {r.get("backend") for r in receipts([a.body for a in answers], cached=False)} == {form} else 0
        )


def _sides(bench: Bench) -> tuple[dict[str, Side], str]:
    """Who takes part, started; and why LitServe does not, if so."""
    path = f"/api/v1/demos/{bench.slug}"
    sides: dict[str, Side] = {
        EAGER: OverHttp(bench.hub("rest-eager", backend="eager"), path, True),
        SHIPPED: OverHttp(bench.hub("rest"), path, True),
        LOOP: Plain(bench, 1, 0),
        TWO: Plain(bench, 2, 1) if (os.cpu_count() or 1) > 1 else Plain(bench, 1, 1),
    }
    why = why_no_litserve(bench)
    if why:
        return sides, why
    for name, options in LITSERVE.items():
        port = free_port()
        command = bench.baseline("litserve_app", "--port", str(port), *options, bench.slug)
        server = bench.processes.serve("litserve", command, port, python=str(bench.peers_python))
        sides[f"{LIT}, {name}"] = OverHttp(server, "/predict", False)
    return sides, ""


def why_no_litserve(bench: Bench) -> str:
    """Empty where LitServe can be started."""
    if not bench.peers_python.is_file():
        return "LitServe is not installed (make bench installs it where there is internet access)"
    tried = subprocess.run([bench.peers_python, "-c", "import litserve"], capture_output=True, text=True, check=False)
    return "" if tried.returncode == 0 else f"LitServe cannot be imported: {tried.stderr.strip()[-200:]}"


def _rows(timings: Mapping[str, Mapping[int, Sequence[Timing]]], stored: Sequence[Sequence[float]]) -> list[Row]:
    ours, shipped, loop, two = (timings[name] for name in (EAGER, SHIPPED, LOOP, TWO))
    alone = [t.each_ms for t in ours[1]]
    rows = [
        compare("rest.1.loop", "one request", "ms", alone, [t.each_ms for t in loop[1]], LOOP),
        compare("rest.1.stored", "a stored answer", "ms", stored, [t.each_ms for t in loop[1]], f"{LOOP}, computing"),
    ]
    for clients in ours:
        what = f"{clients} clients" if clients > 1 else "1 client"
        if clients > 1:
            rows.append(_rate(f"rest.{clients}.two", what, ours[clients], two[clients], TWO))
        peers = {name: found[clients] for name, found in timings.items() if name.startswith(LIT)}
        if not peers:
            continue
        best = max(peers, key=lambda name: median(t.rate for t in peers[name]))
        calm = min(peers, key=lambda name: median(percentile95(t.each_ms) for t in peers[name]))
        rows.append(_rate(f"rest.{clients}.litserve", what, ours[clients], peers[best], best))
        each, theirs = [t.each_ms for t in ours[clients]], [t.each_ms for t in peers[calm]]
        rows.append(compare95(f"rest.{clients}.litserve_p95", what, "ms", each, theirs, calm))
        rows.append(_rate(f"rest.{clients}.shipped", f"{what}, as shipped", shipped[clients], peers[best], best))
    return rows


def _rate(key: str, what: str, ours: Sequence[Timing], theirs: Sequence[Timing], name: str) -> Row:
    return compare(
        key, f"requests, {what}", "1/s", [[t.rate] for t in ours], [[t.rate] for t in theirs], name, "higher"
    )


def _details(sides: Mapping[str, Side], timings: Mapping[str, Mapping[int, Sequence[Timing]]]) -> dict[str, Any]:
    """Where the hub's milliseconds go, and how all sides did."""
    spent = {
        f"{name}, {clients} clients": {s: median(r[s] for r in found) for s in (*STAGES, "batch_size")}
        for name, side in sides.items()
        if isinstance(side, OverHttp)
        for clients, found in side.receipts.items()
    }
    rates = {name: {c: median(t.rate for t in of) for c, of in each.items() if of} for name, each in timings.items()}
    shipped = sides[SHIPPED]
    assert isinstance(shipped, OverHttp)
    forms = sorted({str(r.get("backend", "")) for found in shipped.receipts.values() for r in found})
    return {"receipts_ms": spent, "requests_per_s": rates, "backends": forms}


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


def post(http: Http, path: str, body: bytes) -> dict[str, Any]:
    """One answer. Raises BenchError."""
    status, answer = http.post(path, body)
    if status != 200:
        raise BenchError(f"POST {path}: {status} {answer[:300]!r}")
    return dict(json.loads(answer))


def receipts(bodies: Sequence[bytes], *, cached: bool) -> list[dict[str, Any]]:
    """Receipts, after a check that the hub computed (or did not) as the part claims."""
    found = [dict(json.loads(body)["receipt"]) for body in bodies]
    wrong = [r for r in found if r["cached"] != cached or (not cached and r["batch_size"] == 0)]
    if wrong:
        raise BenchError(f"{len(wrong)} of {len(found)} answers were {'computed' if cached else 'from a store'}")
    return found


def _stored(side: Side, requests: Sequence[Request]) -> list[float]:
    """Milliseconds of each request again, which the hub has an answer to."""
    assert isinstance(side, OverHttp)
    done = side.load(requests, 1)
    receipts([answer.body for answer in done.answers], cached=True)
    return done.latencies_ms


def _agree(bench: Bench, sides: Mapping[str, Side], request: Request) -> None:
    """All sides must do the same work: probabilities of one picture are alike."""
    loop = sides[LOOP]
    assert isinstance(loop, Plain)
    bench.processes.wake_only(*loop.processes)
    (due,) = (done["answer"] for done in loop.ask([[request]]))
    for name, side in sides.items():
        if not isinstance(side, OverHttp):
            continue
        bench.processes.wake_only(*side.processes)
        outputs = json.loads(side.load([request], 1).answers[0].body)["outputs"]
        for field in bench.demo.outputs:
            if isinstance(field, Labels):
                gap = max(abs(outputs[field.name][label] - share) for label, share in due[field.name].items())
                if gap > TOLERANCE:
                    raise BenchError(f"{name} and the plain loop disagree by {gap:.3f} in {field.name}")
