"""The end of a hub: no new work, what is in work goes on, and what outlasts the grace is told so."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from hub.engine.jobs import Cancel
from hub.errors import HubError, OutOfMemoryError, StoppingError
from hub.hub import Hub
from hub.web.api import health
from tests.fakes import PATIENCE_S, Calls, counting_demo

Make = Callable[..., Hub]


def test_once_stopping_new_work_is_refused_and_what_began_before_goes_on(make_hub: Make) -> None:
    calls = Calls(hold=threading.Event())
    hub = make_hub(doubler=counting_demo(calls))
    begun = Cancel()  # of a comparison or grid: several runs under one flag
    assert calls.hold is not None
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(hub.engine.run, "doubler", {"number": 4}, cancel=begun)
        assert calls.started.wait(PATIENCE_S)
        hub.stop.begun.set()
        with pytest.raises(StoppingError, match="takes no new work"):
            hub.engine.run("doubler", {"number": 5})
        assert health.readiness(hub)[1]["reasons"] == ["The hub is stopping."]
        assert not health.readiness(hub)[0]
        calls.hold.set()
        assert running.result(PATIENCE_S).values["answer"]["doubled"] == 8
    assert hub.engine.run("doubler", {"number": 6}, cancel=begun).values["answer"]["doubled"] == 12


def test_what_outlasts_the_grace_is_told_that_the_hub_stopped(make_hub: Make) -> None:
    calls = Calls(hold=threading.Event())
    hub = make_hub(doubler=counting_demo(calls))
    assert calls.hold is not None
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(hub.engine.run, "doubler", {"number": 4})
        assert calls.started.wait(PATIENCE_S)
        hub.stop.begun.set()
        hub.stop.over.set()
        error = running.exception(PATIENCE_S)
        calls.hold.set()
    assert isinstance(error, StoppingError) and "stopped before" in error.message and error.status == 503


def test_memory_that_runs_out_is_503_and_no_fault_of_the_hub(make_hub: Make) -> None:
    def prepare(**values: Any) -> Any:
        raise MemoryError

    hub = make_hub(doubler=counting_demo(Calls(), prepare=prepare))
    with pytest.raises(HubError) as caught:
        hub.engine.run("doubler", {"number": 4})
    assert isinstance(caught.value, OutOfMemoryError) and "no memory left" in caught.value.message
