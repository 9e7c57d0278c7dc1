"""Loads of the real ModelPool against an oracle that knows what comes, on traces; no model, a made-up clock.

Popularity is Zipf(1.1) over 100 models of one size with room for five; fixed, or with the ranks drawn anew every 1,000
requests. Then what good rules for these are bad at: two pages in turn after a crowd that used five others (counts),
and six models in turn (LRU). The oracle drops the model that is asked for latest (Belady). LRU stands beside.
"""

from __future__ import annotations

import logging
import random
from collections import OrderedDict
from collections.abc import Callable, Sequence
from statistics import mean

from bench.context import Bench, Findings
from bench.figures import compare
from hub.execution.pool import ModelPool

MODELS, ROOM, EXPONENT, SHIFT_EVERY = 100, 5, 1.1, 1000
TRACES = 3
SECONDS_APART = 1.0


def measure(bench: Bench) -> Findings:
    rows, lru = [], dict[str, float]()
    logging.getLogger("hub.execution.pool").setLevel(logging.WARNING)
    for key, what, make in KINDS:
        traces = [make(bench.plan.pool_requests, seed) for seed in range(TRACES)]
        ours, best = [[pool_loads(t)] for t in traces], [[oracle_loads(t)] for t in traces]
        lru[key] = mean(lru_loads(t) / found for t, (found,) in zip(traces, best, strict=True))
        rows.append(compare(f"pool.{key}", f"loads, {what}", "loads", ours, best, "oracle"))
    return Findings(tuple(rows), {"lru_to_oracle": lru, "requests": bench.plan.pool_requests})


def trace(count: int, shift_every: int, seed: int) -> list[int]:
    """The models of `count` requests. With `shift_every` their ranks are drawn anew after so many."""
    chance, models = random.Random(seed), list(range(MODELS))
    weights = [1 / rank**EXPONENT for rank in range(1, MODELS + 1)]
    asked = list[int]()
    while len(asked) < count:
        chance.shuffle(models)
        asked += chance.choices(models, weights, k=min(shift_every or count, count - len(asked)))
    return asked


def pairs(count: int, seed: int) -> list[int]:
    """Again and again 200 requests for five models, then 80 for two others in turn."""
    chance, asked = random.Random(seed), list[int]()
    while len(asked) < count:
        crowd = chance.sample(range(MODELS), ROOM + 2)
        asked += chance.choices(crowd[:ROOM], range(1, ROOM + 1), k=200) + crowd[ROOM:] * 40
    return asked[:count]


def circle(count: int, seed: int) -> list[int]:
    """One model more than there is room for, one after the other."""
    return [(seed + number) % (ROOM + 1) for number in range(count)]


Kind = tuple[str, str, Callable[[int, int], list[int]]]
KINDS: tuple[Kind, ...] = (
    ("fixed", "fixed popularity", lambda count, seed: trace(count, 0, seed)),
    ("shifting", "shifting popularity", lambda count, seed: trace(count, SHIFT_EVERY, seed)),
    ("pairs", "two in turn after a crowd", pairs),
    ("circle", "six in turn, room for five", circle),
)


def pool_loads(asked: Sequence[int]) -> float:
    now, loads = [0.0], [0]

    def load() -> object:
        loads[0] += 1
        return object()

    pool = ModelPool(ROOM, measure=lambda _: 1, release=lambda: None, clock=lambda: now[0])
    for model in asked:
        now[0] += SECONDS_APART
        with pool.lease(str(model), load, estimate_bytes=1):
            pass
    pool.close()
    return float(loads[0])


def oracle_loads(asked: Sequence[int]) -> float:
    following, last = [0] * len(asked), dict[int, int]()
    for place in range(len(asked) - 1, -1, -1):
        following[place] = last.get(asked[place], len(asked))
        last[asked[place]] = place
    held, loads = dict[int, int](), 0
    for place, model in enumerate(asked):
        if model not in held:
            loads += 1
            if len(held) == ROOM:
                del held[max(held, key=held.__getitem__)]
        held[model] = following[place]
    return float(loads)


def lru_loads(asked: Sequence[int]) -> float:
    held, loads = OrderedDict[int, None](), 0
    for model in asked:
        loads += model not in held
        held[model] = None
        held.move_to_end(model)
        if len(held) > ROOM:
            held.popitem(last=False)
    return float(loads)
