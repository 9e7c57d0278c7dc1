"""A JPEG of 24 megapixels, as a camera makes it, on a classifier and on street scenes: against the hub before.

The hub before is the commit `context.BEFORE` of this checkout's history, in an environment of today.
"""

from __future__ import annotations

from bench.context import Bench, BenchError, Findings
from bench.figures import Gap, Row, compare
from bench.forms import settle
from bench.inputs import photo
from bench.probes import ask_all, body_of, need
from bench.processes import Server

SIZE = (6000, 4000)
PAGES = {"photos.classifier": "vehicle_classifier", "photos.camvid": "camvid_segmentation"}


def measure(bench: Bench) -> Findings:
    now, before = bench.hub("photos"), bench.hub_before("photos-before")
    sides = {"now": now, "before": before}
    for side in sides.values():
        side.wait()
    rows = list[Row | Gap]()
    for key, slug in PAGES.items():
        try:
            need(bench, slug)
            bench.processes.wake_only(now)
            settle(bench, now, slug)
            found = _turns(bench, sides, slug)
            rows.append(compare(key, f"{slug}, 24 megapixels", "ms", found["now"], found["before"], "the hub before"))
        except BenchError as error:
            rows.append(Gap(key, str(error)))
    bench.processes.stop(now, before)
    return Findings(tuple(rows), {})


def _turns(bench: Bench, sides: dict[str, Server], slug: str) -> dict[str, list[list[float]]]:
    found: dict[str, list[list[float]]] = {name: [] for name in sides}
    for number in range(bench.plan.rounds):
        start = 100 * number
        bodies = [body_of(bench, slug, start + n, image=photo(start + n, SIZE)) for n in range(1 + bench.plan.photos)]
        warm = [body_of(bench, slug, 50_000 + start + n) for n in range(2)]
        for name, side in list(sides.items())[:: 1 if number % 2 == 0 else -1]:
            bench.processes.wake_only(side)
            with side.http() as http:
                ask_all(http, slug, [*warm, bodies[0]])
                found[name].append(ask_all(http, slug, bodies[1:]))
    return found
