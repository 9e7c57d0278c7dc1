"""A worker process of the hub killed every few seconds (SIGKILL) while 16 clients ask: which answers are wrong or lost.

The hub stores nothing here, so that the same pictures can be asked for again and again; what is due was computed before
by plain code. Every answer counts that is not a 200 with the due probabilities.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import psutil
from PIL import Image

from bench.client import multipart
from bench.context import Bench, BenchError, Findings
from bench.figures import Gap, count
from bench.forms import settle
from bench.inputs import values
from bench.load import LOST, Answer, Load, request_bytes, send_all
from bench.probes import path_of
from bench.processes import Server
from bench.rest import TOLERANCE, Plain, Request
from hub.spec import ImageInput, Labels

CLIENTS, PICTURES = 16, 24
WORKER = "hub.execution.worker"  # the program of the processes that run models
STORES_NOTHING = ("--results-memory-mb", "0", "--results-disk-mb", "0")


def measure(bench: Bench) -> Findings:
    requests = make_requests(bench)
    due = due_answers(bench, requests)
    server = bench.hub("kills", *STORES_NOTHING)
    server.wait()
    bench.processes.wake_only(server)
    whole = [request_bytes(path_of(bench.slug), request.fields) for request in requests]
    calm = send_all(server.port, whole, CLIENTS)
    if any(problem_of(answer, due) for answer in calm.answers):
        raise BenchError("answers were wrong before anything was killed")
    settle(bench, server, bench.slug)
    if not _workers(server):
        raise BenchError("the hub has no worker processes: it computes in its own")
    plan = bench.plan
    killed, load = kill_while_asking(whole, server, lambda: _workers(server), CLIENTS, plan.kill_s, plan.kill_every_s)
    if load is None:
        gap = Gap("kills.wrong", f"the hub ended after {len(killed)} kills")
        return Findings((gap, count("kills.restarts", "restarts of the hub", "", 1)), {"killed": len(killed)})
    lives = server.process.poll() is None
    problems = Counter(problem for answer in load.answers if (problem := problem_of(answer, due)))
    bench.processes.stop(server)
    rows = (
        count("kills.wrong", f"wrong or lost of {len(load.answers)}, {len(killed)} kills", "", sum(problems.values())),
        count("kills.restarts", "restarts of the hub", "", 0 if lives else 1),
    )
    return Findings(
        rows, {"problems": dict(problems), "killed": len(killed), "calm_per_s": calm.rate, "per_s": load.rate}
    )


def kill_while_asking(
    whole: list[bytes],
    server: Server,
    victims: Callable[[], list[psutil.Process]],
    clients: int,
    seconds: float,
    every_s: float,
) -> tuple[list[int], Load | None]:
    """The processes that were killed, and what the clients got meanwhile; None: the hub ended."""
    end, done = time.monotonic() + seconds, list[Load]()

    def endless() -> Iterator[bytes]:
        while True:
            yield from whole

    def ask() -> None:
        with contextlib.suppress(ConnectionError):  # the hub is gone: what was asked until then is not known
            done.append(send_all(server.port, endless(), clients, lambda: time.monotonic() > end))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    killed, chance = list[int](), random.Random(0)
    while thread.is_alive():
        thread.join(min(every_s, max(0.1, end - time.monotonic())))
        workers = victims() if time.monotonic() < end else []
        if workers:
            victim = chance.choice(workers)
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.kill()
                killed.append(victim.pid)
    return killed, done[0] if done else None


def _workers(server: Server) -> list[psutil.Process]:
    """The hub's processes that run models."""
    found = []
    for child in psutil.Process(server.process.pid).children():
        with contextlib.suppress(psutil.Error):
            if WORKER in child.cmdline():
                found.append(child)
    return found


def problem_of(answer: Answer, due: list[dict[str, dict[str, float]]]) -> str:
    """Empty for a right answer."""
    if answer.status == LOST:
        return "lost"
    if answer.status != 200:
        return f"status {answer.status}"
    outputs = json.loads(answer.body)["outputs"]
    right = due[answer.number % len(due)]
    gap = max(abs(outputs[name][label] - share) for name, of in right.items() for label, share in of.items())
    return "" if gap <= TOLERANCE else "wrong"


def due_answers(bench: Bench, requests: list[Request]) -> list[dict[str, dict[str, float]]]:
    """Probabilities by output of each request, by plain code."""
    if not any(isinstance(field, Labels) for field in bench.demo.outputs):
        raise BenchError(f"{bench.slug} answers no probabilities to compare")
    loop = Plain(bench, 1, 0)
    loop.wait()
    (done,) = loop.ask([requests])
    bench.processes.stop(*loop.processes)
    return list(done["answers"])


def make_requests(bench: Bench) -> list[Request]:
    """Crops of the page's example pictures, of which the answers differ; a mixed-up one would show."""
    folder = bench.folder / "kills-pictures"
    folder.mkdir(exist_ok=True)
    page = bench.registry.get(bench.slug)
    names = [
        v for e in bench.demo.examples for v in e.inputs.values() if isinstance(v, str) and (page.assets / v).is_file()
    ]
    if not names:
        raise BenchError(f"{bench.slug} has no example pictures")
    made, chance = list[Request](), random.Random(1)
    for number in range(PICTURES):
        with Image.open(page.assets / names[number % len(names)]) as opened:
            picture = opened.convert("RGB")
        left, top = (chance.randrange(1 + side // 8) for side in picture.size)
        file = io.BytesIO()
        picture.crop((left, top, left + picture.width * 7 // 8, top + picture.height * 7 // 8)).save(file, "JPEG")
        path = folder / f"{number}.jpg"
        path.write_bytes(file.getvalue())
        given = values(bench.demo, number)
        pictures = [field.name for field in bench.demo.inputs if isinstance(field, ImageInput)]
        plain = {name: value for name, value in given.items() if name not in pictures}
        body = multipart(dict.fromkeys(pictures, file.getvalue()), plain)
        made.append(Request(body, dict.fromkeys(pictures, str(path)), plain))
    return made
