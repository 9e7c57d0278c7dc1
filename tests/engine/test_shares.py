"""Shares of the queue: whoever takes much, the next one who comes finds a place."""

from __future__ import annotations

from contextlib import suppress

import pytest

from hub.engine.shares import BACK_MOST_S, SURE, Pace, Shares
from hub.errors import BusyError
from hub.people.owners import MACHINE, Owner


def who(name: str, source: str = "") -> Owner:
    return Owner(name, source=source or f"of {name}")


ANN = who("ann")


def fill(shares: Shares, owner: Owner, most: int = 1000) -> int:
    """Takes as many places as it gets."""
    taken = 0
    with suppress(BusyError):
        for _ in range(most):
            shares.take(owner)
            taken += 1
    return taken


def test_each_who_takes_all_it_can_leaves_places_to_the_next() -> None:
    shares = Shares(64)
    assert [fill(shares, who(name)) for name in "abcde"] == [43, 14, 5, 1, 1]


def test_made_up_sessions_of_one_address_do_not_fill_the_queue() -> None:
    shares = Shares(64)
    taken = sum(fill(shares, who(f"session {number}", "one address")) for number in range(100))
    assert 43 < taken <= 48
    assert fill(shares, who("other")) >= 5


def test_what_has_ended_is_given_back() -> None:
    shares, ann = Shares(64), who("ann")
    for _ in range(3):
        assert fill(shares, ann) == 43
        for _ in range(43):
            shares.give_back(ann)
    assert not shares._callers and not shares._sources and not shares._taken


def test_a_queue_of_one_takes_one() -> None:
    assert fill(Shares(1), who("ann")) == 1


def test_this_machines_own_requests_have_no_share() -> None:
    assert fill(Shares(4), MACHINE, 10) == 10


def test_the_error_says_what_to_do() -> None:
    shares, ann = Shares(4), who("ann")
    fill(shares, ann)
    with pytest.raises(BusyError, match=r"3 of your requests .* share of the 4 .* Send the next one when") as caught:
        shares.take(ann)
    assert caught.value.retry_after_s == 1


class Clock:
    at = 0.0

    def __call__(self) -> float:
        return self.at


def busy(limit: int, runs: int) -> tuple[Pace, Clock]:
    """A page with so many runs in work, and the time."""
    clock = Clock()
    pace = Pace(limit, clock)
    for _ in range(runs):
        pace.begin("page")
    return pace, clock


def ended_each(pace: Pace, clock: Clock, seconds: float, runs: int) -> None:
    """So many runs that are in work end, one after the other."""
    for _ in range(runs):
        clock.at += seconds
        pace.end("page")


def test_a_run_that_could_not_be_answered_in_time_is_told_so_at_once() -> None:
    clock = Clock()
    pace = Pace(64, clock)
    for _ in range(60):
        pace.check(ANN, "page", 90.0)  # nothing is known yet
        pace.begin("page")
    ended_each(pace, clock, 5.0, 20)
    with pytest.raises(BusyError, match=r"40 runs of this page are in work, which take about 20\d s") as caught:
        pace.check(ANN, "page", 90.0)
    assert caught.value.status == 429 and caught.value.retry_after_s == 60
    pace.check(ANN, "other", 90.0)
    ended_each(pace, clock, 5.0, 40 - SURE - 4)
    pace.check(ANN, "page", 90.0)
    pace.check(ANN, "page", 66.0)
    with pytest.raises(BusyError):
        pace.check(ANN, "page", 50.0)


def test_a_few_runs_are_taken_however_long_one_takes_and_batches_count_as_such() -> None:
    pace, clock = busy(64, SURE - 1)
    ended_each(pace, clock, 80.0, 1)
    pace.check(ANN, "page", 90.0)
    ended_each(pace, clock, 80.0, SURE - 2)
    for _ in range(10):
        for _ in range(32):
            pace.check(ANN, "page", 30.0)  # 32 in four batches, of five seconds each
            pace.begin("page")
        for _ in range(4):
            clock.at += 5.0
            for _ in range(8):
                pace.end("page")


def test_the_load_that_the_first_run_waited_for_is_no_pace() -> None:
    pace, clock = busy(64, 20)
    ended_each(pace, clock, 60.0, 1)
    pace.check(ANN, "page", 90.0)
    ended_each(pace, clock, 3.0, 2)
    pace.check(ANN, "page", 90.0)


def test_a_slow_page_leaves_half_of_the_places_to_others() -> None:
    clock = Clock()
    pace = Pace(16, clock)
    for _ in range(9):
        pace.check(ANN, "page", 90.0)
        pace.begin("page")
    ended_each(pace, clock, 4.0, 2)
    pace.begin("page")
    with pytest.raises(
        BusyError, match=r"8 runs of this page .* about 36 s; other pages have the rest of the 16 places"
    ):
        pace.check(ANN, "page", 90.0)
    for _ in range(8):
        pace.check(ANN, "other", 90.0)
        pace.begin("other")
    with pytest.raises(BusyError, match="16 requests are in work, the most this hub takes"):
        pace.check(ANN, "other", 90.0)


def test_a_page_that_is_quick_may_have_all_places() -> None:
    pace, clock = busy(16, 15)
    for _ in range(100):
        pace.check(ANN, "page", 90.0)
        pace.begin("page")
        ended_each(pace, clock, 0.2, 1)


def test_who_is_refused_comes_again_one_after_the_other_and_nobody_later_for_anothers_sake() -> None:
    pace, clock = busy(4, 4)
    for _ in range(8):
        ended_each(pace, clock, 2.0, 1)
        pace.begin("page")

    def told(owner: Owner) -> int:
        with pytest.raises(BusyError) as caught:
            pace.check(owner, "page", 90.0)
        return caught.value.retry_after_s

    assert [told(ANN) for _ in range(4)] == [2, 4, 6, 8]
    assert told(who("bob")) == 2
    clock.at += 6.0
    assert told(ANN) == 4
    assert max(told(ANN) for _ in range(100)) == BACK_MOST_S
    clock.at += BACK_MOST_S
    assert told(ANN) == 2
