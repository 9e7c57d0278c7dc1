"""Whose turn it is, and in which process: many of one visitor, or what takes long, keep nobody else."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from hub.errors import CancelledError, DeadlineError, UnavailableError
from hub.execution.dispatch import Dispatch
from hub.execution.executor import Computed, Work
from hub.execution.turns import Turns
from tests.fakes import PATIENCE_S, wait_until


def test_turns_go_round_by_address_then_by_caller_then_by_page() -> None:
    turns: Turns[str] = Turns()
    for number in range(3):
        turns.add(("office", "ann", "age"), f"ann {number}")
    turns.add(("office", "ben", "age"), "ben 0")
    turns.add(("office", "ann", "camvid"), "ann camvid")
    turns.add(("home", "eve", "age"), "eve 0")

    paths = {"ann": ("office", "ann", "age"), "ben": ("office", "ben", "age"), "eve": ("home", "eve", "age")}
    paths["ann camvid"] = ("office", "ann", "camvid")
    order = []
    while turns:
        first = next(iter(turns))
        order.append(first)
        turns.remove(paths.get(first, paths[first.split()[0]]), first, had_turn=True)

    assert order == ["ann 0", "eve 0", "ben 0", "ann camvid", "ann 1", "ann 2"]


def test_all_that_wait_are_listed_in_turn() -> None:
    turns: Turns[int] = Turns()
    for number in range(4):
        turns.add(("a", "x", "p"), number)
    turns.add(("b", "y", "p"), 10)
    turns.add(("b", "z", "p"), 20)

    assert list(turns) == [0, 10, 1, 20, 2, 3]


class StandIn:
    """As much of a model process as places need."""

    is_alive = True

    def __init__(self, *loaded: str):
        self.pulse = SimpleNamespace(loaded=frozenset(loaded))

    def use_cores(self, cores: int) -> None:
        pass


def process(*loaded: str) -> Any:
    return StandIn(*loaded)


def work(slug: str = "quick", who: str = "ann") -> Work:
    return Work(slug, "", "", {}, {}, "", PATIENCE_S, asker=("address", who))


def computed(seconds: float) -> Computed:
    return Computed("{}", {}, 0.0, 0.0, 0.0, seconds * 1000, 0.0, 1, False, "cpu", "float32", (), ())


class Places:
    """Runs that hold their places until they are let go."""

    def __init__(self, dispatch: Dispatch):
        self.dispatch, self.order = dispatch, list[str]()
        self.where: dict[str, Any] = {}
        self.leave: dict[str, threading.Event] = {}
        self.threads: list[threading.Thread] = []

    def start(self, name: str, run: Work) -> None:
        self.leave[name] = threading.Event()
        begun = threading.Event()

        def hold() -> None:
            begun.set()
            with self.dispatch.place(run, frozenset(), lambda: PATIENCE_S, threading.Event()) as place:
                self.where[name] = place
                self.order.append(name)
                self.leave[name].wait(PATIENCE_S)

        self.threads.append(threading.Thread(target=hold))
        self.threads[-1].start()
        begun.wait(PATIENCE_S)
        time.sleep(0.01)  # until it stands in the queue

    def end(self) -> None:
        for event in self.leave.values():
            event.set()
        for thread in self.threads:
            thread.join(PATIENCE_S)


def test_who_sends_many_does_not_keep_who_sends_one() -> None:
    dispatch = Dispatch(1, 2, warm=lambda process, ticket: None)
    dispatch.add(process())
    places = Places(dispatch)
    for number in range(5):
        places.start(f"ann {number}", work(who="ann"))
    places.start("ben", work(who="ben"))
    for done in range(6):
        wait_until(lambda done=done: len(places.order) == done + 1)
        places.leave[places.order[done]].set()
    places.end()

    assert places.order.index("ben") <= 2


def test_what_takes_long_never_has_all_processes() -> None:
    dispatch = Dispatch(8, 2, warm=lambda process, ticket: None)
    one, other = process(), process()
    dispatch.add(one)
    dispatch.add(other)
    dispatch.learn("drawing", computed(30.0))
    places = Places(dispatch)
    for number in range(4):
        places.start(f"drawing {number}", work("drawing", f"visitor {number}"))
    wait_until(lambda: len(places.order) == 4)
    places.start("quick", work("quick", "ben"))
    wait_until(lambda: len(places.order) == 5)
    places.end()

    slow = {id(places.where[name]) for name in places.order if name != "quick"}
    assert len(slow) == 1
    assert id(places.where["quick"]) not in slow


def test_one_visitor_never_has_all_places_for_what_takes_long() -> None:
    dispatch = Dispatch(4, 2, warm=lambda process, ticket: None)
    dispatch.add(process())
    dispatch.learn("drawing", computed(30.0))
    places = Places(dispatch)
    for number in range(6):
        places.start(f"ann {number}", work("drawing", "ann"))
    wait_until(lambda: len(places.order) == 2)
    places.start("ben", replace(work("drawing", "ben"), asker=("other address", "ben")))
    wait_until(lambda: len(places.order) == 3)
    places.end()

    assert places.order[2] == "ben"


def test_a_run_goes_where_its_model_is_and_spreads_where_there_is_more_to_do() -> None:
    asked = []
    dispatch = Dispatch(2, 2, warm=lambda process, ticket: asked.append((process, ticket.key)))
    without, having = process(), process("quick")
    dispatch.add(without)
    dispatch.add(having)
    places = Places(dispatch)
    for number in range(3):
        places.start(str(number), work())
    wait_until(lambda: len(places.order) == 3)
    places.end()

    assert [places.where[str(number)] is having for number in range(3)] == [True, True, False]
    assert asked == [(without, "quick")]


def test_who_waits_for_a_place_may_leave_and_is_told_when_it_is_too_late() -> None:
    dispatch = Dispatch(1, 2, warm=lambda process, ticket: None)
    gone = threading.Event()
    gone.set()
    with pytest.raises(CancelledError), dispatch.place(work(), frozenset(), lambda: PATIENCE_S, gone):
        pass
    with pytest.raises(DeadlineError), dispatch.place(work(), frozenset(), lambda: 0.0, threading.Event()):
        pass
    dispatch.refuse_all(UnavailableError("The hub is shutting down."))
    with pytest.raises(UnavailableError), dispatch.place(work(), frozenset(), lambda: PATIENCE_S, threading.Event()):
        pass
