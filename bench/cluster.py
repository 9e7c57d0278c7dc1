"""The hub on Ray Serve: two replicas against the hub's own process, what the door costs, many replicas, killed ones.

    python -m bench --only ray --plan quick

Ray and the hub in one process take turns, a fresh server each, since an idle Ray takes a part of a core. Pictures
are 224 pixels wide and high, networks eager on both sides.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence

import psutil

from bench import kills
from bench.client import multipart
from bench.context import Bench, BenchError, Findings
from bench.figures import Gap, Row, compare, count
from bench.inputs import values
from bench.load import request_bytes, send_all
from bench.probes import ask_all, path_of
from bench.processes import Server, free_port
from hub.spec import ImageInput

CLIENTS, SIDE = 32, 224
REPLICAS = ("--executor", "ray", "--ray-replicas", "2")
MANY, SLEEP_S = 64, 0.5
ROUNDS = 3  # of three fresh servers each, which are minutes
KILL_EVERY_S, KILLS = 10.0, 2.5  # seconds; as many times as long as the hub's own processes are killed: five minutes


def measure(bench: Bench) -> Findings:
    if importlib.util.find_spec("ray") is None:
        return Findings((Gap("ray.missing", "Ray is not installed: make setup-ray"),), {})
    rows, details = list[Row | Gap](), dict[str, object]()
    parts: tuple[tuple[str, Callable[[Bench, dict[str, object]], Sequence[Row]]], ...] = (
        ("ray.throughput", _throughput), ("ray.door_alone", _door_alone), ("ray.many", _many), ("ray.lost", _kills),
    )  # fmt: skip
    for key, part in parts:
        try:
            rows += part(bench, details)
        except (BenchError, OSError, ValueError) as error:  # the others can still be measured
            rows.append(Gap(key, (str(error).strip() or type(error).__name__).splitlines()[-1]))
        finally:
            bench.processes.stop_all()
    return Findings(tuple(rows), details)


def _throughput(bench: Bench, details: dict[str, object]) -> list[Row]:
    ray, alone, two = list[list[float]](), list[list[float]](), list[list[float]]()
    shares, costs = list[list[float]](), list[list[float]]()
    for number in range(min(ROUNDS, bench.plan.rounds)):
        for which, flags, rates in (
            ("ray", REPLICAS, ray), ("one", ("--workers", "0"), alone), ("two", ("--workers", "2"), two),
        ):  # fmt: skip
            server = bench.hub(f"ray-{which}-{number}", *kills.STORES_NOTHING, *flags, backend="eager")
            server.wait()
            if which == "ray":
                _await_replicas(server, 2)
            base = 1_000 * (number + 1)
            _rate(bench, server, [_request(bench, base + n) for n in range(2 * CLIENTS)])  # loads, in both
            before = _cpu_s(server)
            asked = [_request(bench, base + 200 + n) for n in range(2 * bench.plan.requests[CLIENTS])]
            rates.append([_rate(bench, server, asked)])
            if which == "ray":
                costs.append([(_cpu_s(server) - before) / len(asked) * 1000])
                shares.append([_share_alone(bench, server, base + 900)])
            bench.processes.stop(server)
    details["door_cpu_ms_at_32_clients"] = [cost for (cost,) in costs]
    return [
        compare("ray.throughput", "2 replicas, 32 clients", "1/s", ray, alone, "in the hub's process", "higher"),
        compare("ray.processes", "2 replicas, 32 clients", "1/s", ray, two, "2 model processes", "higher"),
        count("ray.door", "the door's share of a request's time, alone", "", sorted(shares)[len(shares) // 2][0]),
        count("ray.door_ms", "the door's CPU time, 32 clients", "ms", sorted(costs)[len(costs) // 2][0]),
    ]


def _share_alone(bench: Bench, server: Server, start: int) -> float:
    """Of the time in which one request after the other is answered, what the door's process computes."""
    bodies = [_body(bench, start + n) for n in range(bench.plan.samples)]
    with server.http() as http:
        ask_all(http, bench.slug, bodies[:4])
        before = _cpu_s(server)
        seconds = sum(ask_all(http, bench.slug, bodies[4:])) / 1000
    return (_cpu_s(server) - before) / seconds


def _door_alone(bench: Bench, details: dict[str, object]) -> list[Row]:
    """Requests a second of the doors where what would be computed is there at once."""
    folder = bench.folder / "ray-door"
    folder.mkdir()
    port = free_port()
    command = ["-m", "bench.baselines.stubbed", str(port), str(folder), bench.slug]
    server = bench.processes.serve("door", command, port)
    server.wait()
    _rate(bench, server, [_request(bench, n) for n in range(CLIENTS)])
    asked = [_request(bench, 100 + n) for n in range(8 * bench.plan.requests[CLIENTS])]
    before = _cpu_s(server)
    rate = _rate(bench, server, asked)
    details["door_alone_cpu_ms"] = (_cpu_s(server) - before) / len(asked) * 1000
    return [count("ray.door_alone", "the doors alone, execution stubbed, 32 clients", "1/s", rate)]


def _many(bench: Bench, details: dict[str, object]) -> list[Row]:
    """Runs a second over many replicas that sleep, against as many times what one does."""
    told = {}
    for replicas in (1, MANY):
        command = ["-m", "bench.baselines.sleeping", str(replicas), str(SLEEP_S), str(bench.folder)]
        worker = bench.processes.work(f"sleeping-{replicas}", command)
        told[replicas] = json.loads(worker.line())
        bench.processes.stop(worker)
    details["sleeping"] = told
    one, many = told[1]["rate"], told[MANY]["rate"]
    return [
        count("ray.many", f"{MANY} replicas that sleep {SLEEP_S} s / {MANY} x one", "", many / (MANY * one)),
        count("ray.many_rate", f"runs a second, {MANY} replicas", "1/s", many),
    ]


def _kills(bench: Bench, details: dict[str, object]) -> list[Row]:
    """A replica killed every ten seconds while 32 clients ask."""
    requests = kills.make_requests(bench)
    due = kills.due_answers(bench, requests)
    server = bench.hub("ray-kills", *kills.STORES_NOTHING, *REPLICAS, backend="eager")
    server.wait()
    _await_replicas(server, 2)
    whole = [request_bytes(path_of(bench.slug), request.fields) for request in requests]
    send_all(server.port, whole, CLIENTS)
    seconds = KILLS * bench.plan.kill_s
    killed, load = kills.kill_while_asking(whole, server, lambda: _replicas(server), CLIENTS, seconds, KILL_EVERY_S)
    if load is None:
        raise BenchError(f"the hub ended after {len(killed)} kills")
    problems = Counter(problem for answer in load.answers if (problem := kills.problem_of(answer, due)))
    details["kills"] = {
        "answers": len(load.answers), "killed": len(killed), "problems": dict(problems), "per_s": load.rate,
        "slowest_s": max(answer.seconds for answer in load.answers),
    }  # fmt: skip
    what = f"wrong or lost of {len(load.answers)}, {len(killed)} kills of a replica, {CLIENTS} clients"
    return [count("ray.lost", what, "", sum(problems.values()))]


def _replicas(server: Server) -> list[psutil.Process]:
    found = []
    with server.http() as http:
        _, body = http.get("/api/v1/status")
    for one in json.loads(body)["processes"]:
        with contextlib.suppress(psutil.Error):
            found.append(psutil.Process(one["pid"]))
    return found


def _await_replicas(server: Server, wanted: int) -> None:
    with server.http() as http:
        for _ in range(600):
            _, body = http.get("/api/v1/status")
            if len(json.loads(body)["processes"]) == wanted:
                return
            time.sleep(0.2)
    raise BenchError(f"there were never {wanted} replicas")


def _rate(bench: Bench, server: Server, asked: Sequence[bytes]) -> float:
    load = send_all(server.port, asked, CLIENTS)
    wrong = [answer for answer in load.answers if answer.status != 200]
    if wrong:
        raise BenchError(f"{len(wrong)} of {len(asked)} were answered {wrong[0].status}: {wrong[0].body[:200]!r}")
    return load.rate


def _body(bench: Bench, number: int) -> bytes:
    given = values(bench.demo, number, (SIDE, SIDE))
    pictures = [field.name for field in bench.demo.inputs if isinstance(field, ImageInput)]
    plain = {name: value for name, value in given.items() if name not in pictures}
    return multipart({name: given[name] for name in pictures}, plain)


def _request(bench: Bench, number: int) -> bytes:
    return request_bytes(path_of(bench.slug), _body(bench, number))


def _cpu_s(server: Server) -> float:
    """CPU time of the hub's own process alone."""
    times = psutil.Process(server.process.pid).cpu_times()
    return times.user + times.system
