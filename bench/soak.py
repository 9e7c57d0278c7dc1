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
from hub.registry import Page
from hub.spec import ImageInput

CLIENTS = 4
SIZES = ((320, 240), (640, 480), (1024, 768), (600, 1200))
REFUSED, REPEATED = 0.125, 0.25  # shares of all requests
STEPS = 10  # readings on the way
JSON_TYPE = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Asked:
    path: str
    body: bytes
    headers: dict[str, str]
    fine: bool  # whether a 200 is due; else a 4xx


def measure(bench: Bench) -> Findings:
    first, last = bench.plan.soak_first, bench.plan.soak_last
    server = bench.hub("soak")
    server.wait()
    marks = sorted({first, *range(last // STEPS, last + 1, last // STEPS), last})
    series, answered, statuses = [], 0, dict[str, int]()
    for mark in marks:
        _ask(bench, server, range(answered, mark), statuses)
        answered = mark
        rss, pss = server.memory_mb()
        series.append({"requests": mark, "rss_mb": round(rss, 1), **_held(server)})
    bench.processes.stop(server)
    by_mark = {entry["requests"]: entry["rss_mb"] for entry in series}
    row = compare(
        "soak", f"RSS after {last} requests", "MB", [[by_mark[last]]], [[by_mark[first]]], f"the hub after {first}"
    )
    return Findings((row,), {"series": series, "statuses": statuses, "clients": CLIENTS})
