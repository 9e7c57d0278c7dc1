"""A page while Stable Diffusion draws four pictures of 40 steps, against alone; and the drawing itself."""

from __future__ import annotations

import threading
from itertools import count

from bench.context import Bench, Findings
from bench.figures import compare, compare95
from bench.forms import settle
from bench.probes import DRAWING, ask, ask_all, body_of, need, timed_ms
from bench.processes import Server

WARM = 8


def measure(bench: Bench) -> Findings:
    need(bench, DRAWING)
    server = bench.hub("beside")
    server.wait()
    bench.processes.wake_only(server)
    numbers = count(1)
    alone, beside, drawing, drawing_beside = (list[list[float]]() for _ in range(4))
    with server.http() as http:
        ask_all(http, bench.slug, [body_of(bench, bench.slug, next(numbers)) for _ in range(WARM)])
        ask(http, DRAWING, _wish(bench, next(numbers)))
        for slug in (bench.slug, DRAWING):
            settle(bench, server, slug)
        for _ in range(bench.plan.rounds):
            bodies = [body_of(bench, bench.slug, next(numbers)) for _ in range(bench.plan.samples)]
            alone.append(ask_all(http, bench.slug, bodies))
            drawing.append([timed_ms(lambda: ask(http, DRAWING, _wish(bench, next(numbers))))])
            each, whole = _together(bench, server, numbers)
            beside.append(each)
            drawing_beside.append([whole])
    bench.processes.stop(server)
    what = "{} steps, {} pictures".format(*bench.plan.drawing)
    rows = (
        compare95("beside.page", f"{bench.slug} beside a drawing", "ms", beside, alone, "alone"),
        compare("beside.drawing", f"{what}, beside {bench.slug}", "ms", drawing_beside, drawing, "alone"),
    )
    return Findings(rows, {"requests_beside": [len(each) for each in beside]})


def _together(bench: Bench, server: Server, numbers: count[int]) -> tuple[list[float], float]:
    """Milliseconds of each of the page's requests while one drawing runs, and of the drawing."""
    whole, each, problems = list[float](), list[float](), list[Exception]()

    def draw() -> None:
        try:
            with server.http() as http:
                whole.append(timed_ms(lambda: ask(http, DRAWING, _wish(bench, next(numbers)))))
        except Exception as error:  # raised where it is waited for
            problems.append(error)

    wish = body_of(bench, bench.slug, next(numbers))
    thread = threading.Thread(target=draw, daemon=True)
    thread.start()
    with server.http() as http:
        while thread.is_alive():
            each += ask_all(http, bench.slug, [wish])
            wish = body_of(bench, bench.slug, next(numbers))
    thread.join()
    if problems:
        raise problems[0]
    return each, whole[0]


def _wish(bench: Bench, seed: int) -> bytes:
    steps, pictures = bench.plan.drawing
    return body_of(bench, DRAWING, seed, steps=steps, images=pictures, prompt="a red circle left of a blue square")
