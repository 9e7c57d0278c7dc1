"""What changes under a hub that serves: the clock, and the weights of a page."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hub.errors import UnavailableError
from hub.hub import Hub
from hub.people.users import Caller
from hub.results.result import Result
from tests.fakes import Calls, counting_demo, wait_until, write_weights

Make = Callable[..., Hub]
ANN = Caller(session="cookie " + "a" * 32, address="192.0.2.1")
DAY_S = 86_400.0


@pytest.mark.parametrize("days", [-400, -1, 1, 20])
def test_a_clock_that_jumps_ends_no_run_and_loses_no_answer(
    make_hub: Make, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    calls, real = Calls(hold=threading.Event()), time.time
    hub = make_hub({"deadline_s": 20.0}, doubler=counting_demo(calls))
    hub.models.machine()
    answers: list[Result] = []
    inputs = {"number": 4, "seed": 1}
    thread = threading.Thread(target=lambda: answers.append(hub.engine.run("doubler", inputs, caller=ANN)))
    thread.start()
    assert calls.started.wait(10)
    monkeypatch.setattr(time, "time", lambda: real() + days * DAY_S)
    time.sleep(0.6)  # the hub looks several times a second whether a run is late
    assert thread.is_alive() and calls.hold is not None
    calls.hold.set()
    thread.join(10)
    (first,) = answers
    again = hub.engine.run("doubler", inputs, caller=ANN)
    assert (again.id, again.values) == (first.id, first.values) and again.receipt.cached
    assert hub.engine.run("doubler", {"number": 5, "seed": 1}, caller=ANN).values["answer"]["doubled"] == 10
    assert len(calls.batches) == 2


def test_weights_that_are_replaced_while_the_hub_serves_are_never_mixed(make_hub: Make, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    weights = write_weights(tmp_path / "weights", "w", content=b"\1")
    demo = counting_demo(
        Calls(),
        weights=(weights,),
        load=lambda folder, device: int(load_file(folder / "model.safetensors")["x"][0]),
        infer=lambda model, items: [[model, item[1]] for item in items],
    )
    hub = make_hub(doubler=demo)
    told: list[tuple[str, float]] = []
    refused: list[str] = []
    over = threading.Event()

    def ask(first: int) -> None:
        number = first
        while not over.is_set():
            number += 10
            try:
                result = hub.engine.run("doubler", {"number": number, "seed": 1})
            except UnavailableError as error:
                refused.append(str(error.message))
            else:
                told.append((result.receipt.digest, result.values["answer"]["doubled"]))

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(told) > 20)
    fresh = write_weights(tmp_path / "new", "w", content=b"\2")
    for name in ("config.json", "model.safetensors"):  # as a careful operator does: each file whole, in its place
        (tmp_path / "new" / fresh.name / name).replace(tmp_path / "weights" / "w" / name)
    before = len(told)
    wait_until(lambda: len(told) > before + 40 and told[-1][1] == 2)
    over.set()
    for thread in threads:
        thread.join(10)
    by_digest: dict[str, set[float]] = {}
    for digest, answer in told:
        by_digest.setdefault(digest, set()).add(answer)
    assert sorted(map(sorted, by_digest.values())) == [[1], [2]], json.dumps([*map(str, by_digest.items())])
    assert all("changed just now" in text or "Try again" in text for text in refused)


def test_a_hub_that_cannot_read_the_new_weights_says_so_and_answers_again_once_it_can(
    make_hub: Make, tmp_path: Path
) -> None:
    weights = write_weights(tmp_path / "weights", "w", content=b"\1")
    hub = make_hub(doubler=counting_demo(Calls(), weights=(weights,)))
    inputs: dict[str, Any] = {"number": 3, "seed": 1}
    first = hub.engine.run("doubler", inputs)
    file = tmp_path / "weights" / "w" / "model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(UnavailableError, match=r"model\.safetensors"):
        hub.engine.run("doubler", {**inputs, "number": 4})
    file.write_bytes(whole)
    assert hub.engine.run("doubler", {**inputs, "number": 4}).receipt.digest == first.receipt.digest
