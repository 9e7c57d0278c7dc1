"""Who waits for a place in a model process is told which place in the queue that is."""

from __future__ import annotations

import threading
from typing import Any

from hub.execution.dispatch import Dispatch
from hub.execution.executor import Work
from hub.execution.processes import ModelProcess
from tests.fakes import wait_until


class Process:
    """As much of one as places are given by."""

    is_alive = True

    class pulse:
        loaded: tuple[str, ...] = ()

    def use_cores(self, count: int) -> None:
        """It has all."""


def work(slug: str, who: str) -> Work:
    return Work(slug, "", "", {}, {}, "{}", 30.0, asker=(f"from {who}", who))


def test_those_that_wait_know_their_place_and_time() -> None:
    process: Any = Process()
    dispatch = Dispatch(1, 2, warm=lambda process, ticket: None)
    dispatch.add(process)
    leave = threading.Event()
    asked = [work("page", "a"), work("page", "b"), work("page", "c")]

    def run(one: Work) -> None:
        with dispatch.place(one, frozenset[ModelProcess](), lambda: 30.0, threading.Event()):
            leave.wait(30)

    threads = []
    for one in asked:
        threads.append(threading.Thread(target=run, args=(one,)))
        threads[-1].start()
        wait_until(lambda: dispatch.in_work(process) == 1)
        if len(threads) > 1:
            wait_until(lambda path=(*one.asker, one.slug): dispatch.waiting(path) is not None)
    assert dispatch.waiting(("from a", "a", "page")) is None, "it has a place"
    second, third = dispatch.waiting(("from b", "b", "page")), dispatch.waiting(("from c", "c", "page"))
    assert second is not None and third is not None
    assert (second.place, third.place) == (1, 2) and 0 < second.left_s < third.left_s
    leave.set()
    for thread in threads:
        thread.join(30)
