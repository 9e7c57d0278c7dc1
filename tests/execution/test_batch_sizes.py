"""How many requests go into one pass is learned from passes."""

from __future__ import annotations

from collections import Counter

from hub.execution.batch_sizes import AGAIN, ENOUGH, BatchSizes


def learned(item_s: dict[int, float], most: int = 16) -> BatchSizes:
    sizes = BatchSizes(most)
    for size, seconds in item_s.items():
        for _ in range(ENOUGH):
            sizes.note(size, size * seconds)
    return sizes


def test_before_anything_is_known_all_may_go_together() -> None:
    assert BatchSizes(8).limit() == 8
    assert learned({8: 0.1}, most=8).limit() == 8


def test_larger_ones_are_taken_where_they_are_faster_or_as_fast() -> None:
    assert learned({1: 0.1, 2: 0.07, 4: 0.06, 8: 0.05, 16: 0.051}).limit() == 16


def test_where_larger_ones_are_slower_the_best_is_the_most() -> None:
    assert learned({1: 1.0, 2: 0.8, 4: 0.7, 8: 0.9}).limit() == 4
    assert learned({1: 1.0, 2: 1.2}).limit() == 1


def test_passes_that_take_long_are_split_where_that_costs_nothing() -> None:
    assert learned({4: 0.5, 8: 0.5}, most=8).limit() == 2  # one half that was not seen yet may be tried
    assert learned({1: 0.51, 2: 0.5, 4: 0.5, 8: 0.5}, most=8).limit() == 2
    assert learned({1: 2.0, 2: 2.0, 4: 2.0}, most=4).limit() == 1
    assert learned({1: 0.8, 2: 0.8, 4: 0.5, 8: 0.5}, most=8).limit() == 4  # smaller ones would take more in all


def test_passes_that_take_long_are_judged_sooner() -> None:
    sizes = BatchSizes(8)
    sizes.note(8, 4.0)  # the first one may have had to wait for much
    assert sizes.limit() == 8
    sizes.note(8, 4.0)
    assert sizes.limit() == 4  # not seen yet
    for _ in range(2):
        sizes.note(4, 2.0)
    assert sizes.limit() == 2


def test_what_was_slow_is_tried_again_after_a_while() -> None:
    assert limits_of(learned({1: 0.010, 2: 0.012}), 0.010) == {1: AGAIN - 1, 16: 1}


def test_what_takes_long_is_not_tried_again_in_large_passes() -> None:
    """Or a page whose passes take seconds would take gigabytes anew from time to time, for nothing."""
    assert limits_of(learned({1: 1.0, 2: 1.2}), 1.0) == {1: AGAIN}
    assert limits_of(learned({1: 0.10, 2: 0.12}), 0.10) == {1: AGAIN - 1, 8: 1}


def limits_of(sizes: BatchSizes, seconds: float) -> Counter[int]:
    """How often each limit is given in AGAIN passes that take so long, each of one request."""
    limits = Counter[int]()
    for _ in range(AGAIN):
        limits[sizes.limit()] += 1
        sizes.note(1, seconds)
    return limits
