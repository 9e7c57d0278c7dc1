"""Forward passes take turns for the cores of their process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
import torch  # noqa: F401  # or the first pass would wait for it

from hub.execution import forward
from hub.execution.batching import Batcher
from hub.execution.forward import DUE, Cores, Pieces
from hub.spec import Progress
from tests.fakes import PATIENCE_S, fake_lease, wait_until


def one_core() -> Cores:
    cores = Cores()
    cores.count = 1
    return cores


class Begun:
    """Passes that wait for a core, each until it is told to end; which began, in order."""

    def __init__(self, cores: Cores):
        self._cores, self.names = cores, list[str]()
        self._ends = dict[str, threading.Event]()
        self._threads = list[threading.Thread]()

    def __call__(self, name: str, due: float) -> None:
        end = self._ends[name] = threading.Event()

        def take() -> None:
            with self._cores.turn(due):
                self.names.append(name)
                assert end.wait(PATIENCE_S)

        self._threads.append(threading.Thread(target=take, daemon=True))
        waited = len(self._cores._waiting)
        self._threads[-1].start()
        wait_until(lambda: name in self.names or len(self._cores._waiting) > waited)

    def end(self, name: str) -> None:
        self._ends[name].set()

    def end_all(self) -> None:
        for end in self._ends.values():
            end.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)


@pytest.fixture
def begun() -> Iterator[Begun]:
    passes = Begun(one_core())
    yield passes
    passes.end_all()


def test_the_pass_that_is_due_first_gets_the_core_when_it_is_free(begun: Begun) -> None:
    begun("at work", 9.0)
    for name, due in (("third", 3.0), ("first", 1.0), ("second", 2.0)):
        begun(name, due)
    for ended, count in (("at work", 2), ("first", 3), ("second", 4)):
        begun.end(ended)
        wait_until(lambda count=count: len(begun.names) == count)
    assert begun.names == ["at work", "first", "second", "third"]


def test_there_are_as_many_passes_as_cores_and_without_a_number_as_many_as_there_are() -> None:
    for count, at_once in ((2, 2), (None, 4)):
        cores = Cores()
        cores.count = count
        passes = Begun(cores)
        for number in range(4):
            passes(str(number), float(number))
        assert passes.names == [str(number) for number in range(at_once)]
        passes.end_all()
        assert len(passes.names) == 4


def test_a_pass_that_hangs_holds_others_up_for_a_moment_only(begun: Begun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "PATIENCE_S", 0.05)
    begun("hangs", 0.0)
    begun("other", 1.0)
    wait_until(lambda: begun.names == ["hangs", "other"])


def test_what_takes_long_is_due_later_and_a_pass_in_steps_after_each_of_them() -> None:
    due: list[float] = []

    def turn(at: float) -> Any:
        due.append(at)
        return nullcontext()

    pieces = Pieces(100.0, 2.0, turn)
    for _ in range(2):
        with pieces.next():
            time.sleep(0.05)
    assert due[0] == 100.0 + DUE * 2.0
    # What was expected is forgotten; one step is over, and the next one will take as long.
    assert 100.0 + DUE * 0.1 <= due[1] < 100.0 + DUE * 2.0
    assert pieces.seconds >= 0.1 and 0.05 <= pieces.longest_s < 1.0


def test_a_quick_page_gets_its_turn_between_the_steps_of_a_slow_one() -> None:
    """Both in one process with one core; and the wait for a turn is no part of what the pass took."""
    cores, order = one_core(), list[str]()

    def ask(name: str, infer: Any) -> Any:
        one = Batcher(
            name, infer, fake_lease, max_batch=1, window_s=0.0, guard=cores.inference, turn=cores.turn
        )  # fmt: skip
        with one.coming() as submit:
            return submit(name, PATIENCE_S, lambda stage, progress: None, lambda: False)

    asked = threading.Event()

    def slow(model: Any, items: list[Any]) -> Any:
        for step in range(4):
            order.append(f"step {step}")
            if step == 1:
                asked.set()
                wait_until(lambda: bool(cores._waiting))
            time.sleep(0.1)
            yield Progress(step, 4)
        return items

    def quick(model: Any, items: list[Any]) -> Any:
        order.append("quick")
        return items

    def come() -> None:
        assert asked.wait(PATIENCE_S)
        outcomes.append(ask("quick", quick))

    outcomes: list[Any] = []
    visitor = threading.Thread(target=come)
    visitor.start()
    ask("slow", slow)
    visitor.join(PATIENCE_S)
    assert order == ["step 0", "step 1", "quick", "step 2", "step 3"]
    assert outcomes[0].queue_ms >= 90 and outcomes[0].infer_ms < 90
