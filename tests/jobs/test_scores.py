"""What is said of a batch while it runs: how sure its figures are, and how long it will take."""

from __future__ import annotations

import time

import pytest

from hub.engine.jobs import Cancel
from hub.jobs.records import Reading, StoredJob
from hub.jobs.runner import FIRST, InWork
from hub.jobs.scores import score
from tests.fakes import shade_demo


@pytest.mark.parametrize(("right", "low", "high"), [(7, 0.6457, 1.0), (5, 0.3589, 0.9178)])
def test_a_share_of_few_pictures_is_never_quite_sure(right: int, low: float, high: float) -> None:
    pairs = [("light" if n < right else "dark", Reading("", "light", 0.9)) for n in range(7)]
    scored = score(shade_demo(), pairs)
    assert scored is not None
    (figure,) = scored.figures
    assert (figure.low, figure.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_the_time_that_is_left_does_not_count_the_loading_of_the_model() -> None:
    job = StoredJob("id", "batch", "shade", "running", "me", "", "", "", False, False, {}, {}, 0, time.time())
    work = InWork(job, Cancel(), begun=time.monotonic() - 20)
    assert work.pace_s() is None
    work.computed = 4
    assert work.pace_s() == pytest.approx(5, rel=0.1), "all that is known"
    work.computed, work.steady = FIRST + 100, (time.monotonic() - 10, FIRST)
    assert work.pace_s() == pytest.approx(0.1, rel=0.1)
