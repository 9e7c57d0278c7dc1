"""Popularity: who would be missed least, with five models of one size in memory where nothing else is said."""

from __future__ import annotations

from collections.abc import Iterable

from hub.execution import popularity
from hub.execution.popularity import Popularity, enough

ROOM = 5


def after(uses: Iterable[str]) -> Popularity:
    known = Popularity()
    for key in uses:
        known.note(key, 1, 0.0, ROOM)
    return known


def leaving(known: Popularity, *keys: str) -> list[str]:
    return sorted(keys, key=known.worth)


def test_at_first_it_is_least_recently_used() -> None:
    assert leaving(after("abcab"), "a", "b", "c") == ["c", "a", "b"]


def test_counts_decide_where_they_would_have_loaded_less() -> None:
    crowd = [key for number in range(60) for key in ("hot", "warm", *(f"{number} {other}" for other in range(5)))]
    known = after([*crowd, "hot", "warm", "new", "newer", "newest"])
    assert leaving(known, "hot", "warm", "new")[0] == "new"


def test_the_latest_leaves_where_one_too_many_are_used_in_turn() -> None:
    assert leaving(after("abcdef" * 20), *"abcdef")[0] == "f"


def test_many_uses_in_a_row_count_as_one() -> None:
    once, many = after("ab"), after("a" * 1000 + "b")
    assert once.worth("a") == many.worth("a")


def test_a_model_that_left_is_remembered_but_not_all_that_ever_were() -> None:
    known = after(f"{number}" for number in range(popularity.MOST + 50))
    assert len(known._models) == popularity.MOST
    assert known.worth("0") < known.worth("50")
    assert all(len(rule.held) <= ROOM for rule in known._rules)


def test_a_pinned_model_takes_no_room_from_the_others() -> None:
    known = Popularity()
    for _ in range(20):
        known.note("pinned", 0, 0.0, ROOM)
        for key in "abcde":
            known.note(key, 1, 0.0, ROOM)
    assert all(rule.bytes == ROOM for rule in known._rules)
    assert known._followed.spent_s == min(rule.spent_s for rule in known._rules)


def test_enough_leave_and_none_for_nothing() -> None:
    assert enough([("a", 1), ("b", 2), ("c", 9)], 3) == [("a", 1), ("b", 2)]
    assert enough([("a", 1), ("b", 2), ("c", 9)], 5) == [("c", 9)]
    assert enough([("a", 1)], 0) == []
