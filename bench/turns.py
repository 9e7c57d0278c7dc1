"""A page after another one was used, against the same page before, in a fresh hub each round; and two in turn.

What another page leaves behind (threads that spin, memory, a smaller share of the cores) shows in the first row; in the
second, that pages change places at every request.
"""

from __future__ import annotations

from bench.context import Bench, BenchError, Findings
from bench.figures import Gap, Row, compare
from bench.forms import settle
from bench.probes import DRAWING, ask, ask_all, body_of, need, other_page

WARM = 8


def measure(bench: Bench) -> Findings:
    rows = list[Row | Gap]()
    before, after, turns = list[list[float]](), list[list[float]](), list[list[float]]()
    other = other_page(bench)
    for number in range(bench.plan.rounds):
        calm, later, mixed = _one_round(bench, other, number)
        before.append(calm)
        after.append(later)
        turns.append(mixed)
    rows.append(compare("turns.other", f"{bench.slug} after {other}", "ms", after, before, "before"))
    rows.append(compare("turns.both", f"{bench.slug} in turn with {other}", "ms", turns, before, "before"))
    try:
        need(bench, DRAWING)
        drawn = [_one_round(bench, DRAWING, number) for number in range(bench.plan.rounds)]
    except BenchError as error:
        return Findings((*rows, Gap("turns.drawing", str(error))), {})
    calm_ms, later_ms = [calm for calm, _, _ in drawn], [later for _, later, _ in drawn]
    rows.append(compare("turns.drawing", f"{bench.slug} after {DRAWING}", "ms", later_ms, calm_ms, "before"))
    return Findings(tuple(rows), {})


def _one_round(bench: Bench, other: str, number: int) -> tuple[list[float], list[float], list[float]]:
    """Milliseconds of the page: before `other` was used, right after, and in turn with it."""
    count, start = bench.plan.samples, 10_000 * (number + 1)
    ours = [body_of(bench, bench.slug, start + n) for n in range(WARM + 3 * count)]
    theirs = [body_of(bench, other, start + n) for n in range(2 + count)]
    server = bench.hub(f"turns-{other}-{number}")
    server.wait()
    bench.processes.wake_only(server)
    with server.http() as http:
        ask_all(http, bench.slug, ours[:WARM])
        settle(bench, server, bench.slug)
        before = ask_all(http, bench.slug, ours[WARM : WARM + count])
        ask_all(http, other, theirs[:2])
        after = ask_all(http, bench.slug, ours[WARM + count : WARM + 2 * count])
        turns = list[float]()
        if other != DRAWING:
            for mine, another in zip(ours[WARM + 2 * count :], theirs[2:], strict=True):
                ask(http, other, another)
                turns += ask_all(http, bench.slug, [mine])
    bench.processes.stop(server)
    return before, after, turns
