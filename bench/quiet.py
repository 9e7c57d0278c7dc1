"""Whether the machine was quiet: what others took of it, what its host took, and how fast a fixed loop ran.

Figures are worth something only on a machine that does nothing else. The loop is timed before and after; it keeps every
core busy at once, so that a neighbour on one of them shows.
"""

from __future__ import annotations

import hashlib
import os
import resource
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median

import psutil

OTHERS_PERCENT, STEAL_PERCENT, DRIFT = 5.0, 2.0, 1.10
LOOPS, LOOP_BYTES = 8, 24 << 20
WITHIN = ("guest", "guest_nice")  # already part of user and nice


@dataclass(frozen=True, slots=True)
class Calibration:
    """Milliseconds of the loop: the best of a few, and the usual one."""

    best_ms: float
    usual_ms: float


def calibrate() -> Calibration:
    """Hashes the same bytes on every core at once, a few times."""
    data, cores, taken = bytes(LOOP_BYTES), os.cpu_count() or 1, list[float]()
    with ThreadPoolExecutor(cores) as pool:
        for _ in range(LOOPS):
            begin = time.perf_counter()
            list(pool.map(lambda _: hashlib.sha256(data).digest(), range(cores)))
            taken.append((time.perf_counter() - begin) * 1000)
    return Calibration(min(taken), median(taken))


class Others:
    """How much of the machine other programs and its host took since this was made, in percent of all cores.

    Exact once every process of ours has ended and been waited for; until then ours count as others.
    """

    def __init__(self) -> None:
        self._busy, self._own, self._begin = _busy_s(), _own_s(), time.perf_counter()
        self._steal = _steal_s()

    def percent(self) -> float:
        return max(0.0, self._share((_busy_s() - self._busy) - (_own_s() - self._own)))

    def steal_percent(self) -> float:
        return max(0.0, self._share(_steal_s() - self._steal))

    def _share(self, seconds: float) -> float:
        return 100 * seconds / ((time.perf_counter() - self._begin) * (os.cpu_count() or 1))


def why_not(others_percent: float, steal_percent: float, before: Calibration, after: Calibration) -> list[str]:
    """What speaks against a quiet machine, in words; empty when nothing does."""
    reasons = []
    if others_percent > OTHERS_PERCENT:
        reasons.append(f"other programs took up to {others_percent:.0f} % of the cores")
    if steal_percent > STEAL_PERCENT:
        reasons.append(f"the machine's host took {steal_percent:.0f} % of them away")
    drift = max(after.best_ms / before.best_ms, before.best_ms / after.best_ms)
    if drift > DRIFT:
        reasons.append(f"a fixed loop took {before.best_ms:.0f} ms before and {after.best_ms:.0f} ms after")
    uneven = max(c.usual_ms / c.best_ms for c in (before, after))
    if uneven > DRIFT:
        reasons.append(f"a fixed loop took {uneven:.2f} times its best time as a rule")
    return reasons


def _busy_s() -> float:
    times = psutil.cpu_times()._asdict()
    return float(sum(s for kind, s in times.items() if kind not in ("idle", "iowait", *WITHIN)))


def _steal_s() -> float:
    return float(getattr(psutil.cpu_times(), "steal", 0.0))


def _own_s() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
