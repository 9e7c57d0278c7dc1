"""On a ZeroGPU Space inference runs in a forked process, with the models that the parent loaded at the start."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from hub.cli import serve
from hub.engine.jobs import Cancel
from hub.errors import CancelledError, InputError, OutOfMemoryError, UnavailableError
from hub.hub import Hub
from hub.spaces import zero
from hub.spec import Demo, Json, Progress, Slider, Text, Weights
from hub.web.gradio_ui.runs import Runs
from tests.fakes import write_weights
from tests.served import run_async
from tests.spaces_stand_in import Space, install, visitor

PARENT = os.getpid()
PORT = 7860


class Model(torch.nn.Module):
    """Says in which process it was made."""

    def __init__(self) -> None:
        super().__init__()
        self.line = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.constant_(self.line.weight, 3.0)
        self.made_in = os.getpid()


def tripler(infer: Callable[..., Any] | None = None, **changes: Any) -> Demo:
    """Triples a number, and tells who did it where."""

    def plain(model: Any, items: list[torch.Tensor]) -> list[dict[str, Any]]:
        assert torch.is_inference_mode_enabled()
        about = {"process": os.getpid(), "made_in": model.made_in}
        return [{"number": float(model.line(item)), **about} for item in items]

    declared: dict[str, Any] = {
        "title": "Tripler",
        "summary": "Triples a number.",
        "task": "Arithmetic",
        "inputs": (Slider("number", "Number", 0, 1000, 1, 1), Text("wish", "Wish", default="")),
        "outputs": (Json("answer", "Answer"),),
        "load": lambda folder, device: Model(),
        "prepare": lambda number, wish: torch.tensor([float(number)]),
        "infer": infer or plain,
        "present": lambda output, number, wish: {"answer": output},
    }
    return Demo(**{**declared, **changes})


@pytest.fixture
def space(monkeypatch: pytest.MonkeyPatch) -> Iterator[Space]:
    made = install(monkeypatch)
    yield made
    made.close()


@pytest.fixture
def start(space: Space, make_hub: Callable[..., Hub]) -> Callable[..., Hub]:
    """An engine as app.py makes it on a ZeroGPU Space; there is no CUDA here, so the models are on the CPU."""

    def make(settings: dict[str, Any] | None = None, **demos: Demo) -> Hub:
        return make_hub(settings, spaces=zero.claim(), port=PORT, **demos)

    return make


def test_inference_runs_in_a_forked_process_with_the_model_the_parent_loaded(
    space: Space, start: Callable[..., Hub]
) -> None:
    hub = start(tripler=tripler())
    assert space.started and space.ports == {PORT}
    assert hub.models.is_loaded("tripler") and not space.processes  # at the start, before anybody came

    first, second = (hub.engine.run("tripler", {"number": n}) for n in (5, 7))
    assert (first.values["answer"]["number"], second.values["answer"]["number"]) == (15.0, 21.0)
    assert first.values["answer"]["made_in"] == PARENT
    assert first.values["answer"]["process"] not in (PARENT, os.getppid())
    assert {first.values["answer"]["process"]} == space.processes  # the second call found the GPU still there
    assert not first.receipt.cold


def test_it_borrows_the_gpu_for_the_seconds_that_were_measured(space: Space, start: Callable[..., Hub]) -> None:
    hub = start(tripler=tripler(slow))
    hub.engine.run("tripler", {"number": 0})  # nothing is known yet
    hub.engine.run("tripler", {"number": 1})
    assert space.durations[0] == zero.UNKNOWN_S and 1 <= space.durations[1] < 20
    assert hub.zero
    known = hub.zero._seconds["tripler"]
    assert 0.2 <= known["item_s"] < 5 and 0 < known["start_s"] < 5
    for seconds, items, expected in ((2.0, 1, 4), (2.0, 10, 31), (100.0, 1, 120), (0.0, 1, 1)):
        hub.zero._seconds["tripler"] = {"start_s": 0.6 if seconds else 0.0, "item_s": seconds}
        assert hub.zero.duration_s("tripler", [None] * items) == expected

    # The next process knows it, and a file that was damaged counts as none.
    space.started = False
    again = start(tripler=tripler(slow))
    assert again.zero and again.zero.duration_s("tripler", [None]) < zero.UNKNOWN_S
    (again.settings.data_folder / "gpu_seconds.json").write_text('{"tripler": {"start_s": "soon"}}')
    space.started = False
    third = start(tripler=tripler(slow))
    assert third.zero and third.zero.duration_s("tripler", [None]) == zero.UNKNOWN_S


def slow(model: Any, items: list[torch.Tensor]) -> list[float]:
    time.sleep(0.2 * len(items))
    return [float(model.line(item)) for item in items]


def test_progress_arrives_and_who_leaves_ends_the_run(space: Space, start: Callable[..., Hub]) -> None:
    hub, heard, cancel = start(steps=tripler(steps)), [], Cancel()

    def hear(stage: str, progress: Progress | None) -> None:
        if progress:
            heard.append((progress.step, progress.preview))

    result = hub.engine.run("steps", {"number": 3}, on_event=hear)
    assert result.values["answer"] == [3, "done"]
    assert heard == [(1, (1,)), (2, (2,)), (3, (3,))]

    def leave(stage: str, progress: Progress | None) -> None:
        if progress and progress.step == 2:
            cancel.set()

    with pytest.raises(CancelledError):
        hub.engine.run("steps", {"number": 900}, on_event=leave, cancel=cancel)
    assert hub.engine.run("steps", {"number": 1}).values["answer"] == [1, "done"]  # the GPU is free again
    assert space.closed == 1


def steps(model: Any, items: list[torch.Tensor]) -> Iterator[Progress]:
    total = int(items[0])
    for step in range(1, total + 1):
        time.sleep(0.01)
        yield Progress(step, total, tuple(step for _ in items))
    return [[total, "done"] for _ in items]


class Unsendable(Exception):
    def __reduce__(self) -> Any:
        raise TypeError("not for other processes")


def failing(model: Any, items: list[torch.Tensor]) -> list[Any]:
    kind = int(items[0])
    raise {
        1: InputError("why must be off with these weights.", field="number"),
        2: ValueError("a bad number"),
        3: Unsendable("of a foreign class"),
        4: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    }[kind]


def test_an_error_in_the_child_says_as_much_as_one_in_the_parent(start: Callable[..., Hub]) -> None:
    hub = start(fails=tripler(failing))
    with pytest.raises(InputError, match=r"why must be off with these weights\.") as refused:
        hub.engine.run("fails", {"number": 1})
    assert refused.value.field == "number"
    for number, text in ((2, "ValueError: a bad number"), (3, "Unsendable: of a foreign class")):
        with pytest.raises(Exception, match=text):
            hub.engine.run("fails", {"number": number})
    with pytest.raises(OutOfMemoryError, match="does not fit into memory"):
        hub.engine.run("fails", {"number": 4})


def test_no_gpu_to_borrow_is_told_in_words(space: Space, start: Callable[..., Hub]) -> None:
    hub = start(tripler=tripler())
    space.refuse = 'You have exceeded your quota (60s requested vs. 3s left). <a href="https://x">Try later</a>'
    with pytest.raises(UnavailableError, match=r"No GPU could be borrowed\. You have .* left\)\. Try later$"):
        hub.engine.run("tripler", {"number": 5})


def test_seconds_count_to_the_visitor_who_asked(space: Space, start: Callable[..., Hub]) -> None:
    hub = start(tripler=tripler())
    for name in ("ada", "grace"):
        token = visitor.set(name)
        hub.engine.run("tripler", {"number": len(name)})
        visitor.reset(token)
    assert space.visitors == ["ada", "grace"]

    async def page() -> None:  # as a Gradio page runs it: in a thread of its own, for the request it answers
        visitor.set("mary")
        runs, inputs = Runs(ThreadPoolExecutor(1)), {"number": 9}
        async for _ in runs.follow("", lambda hear, cancel: hub.engine.run("tripler", inputs)):
            pass

    run_async(page())
    assert space.visitors[2:] == ["mary"]


def test_weights_that_came_after_the_start_are_refused_not_loaded_in_the_child(
    space: Space, start: Callable[..., Hub], tmp_path: Path
) -> None:
    loads: list[int] = []

    def load(folder: Path, device: Any) -> Model:
        loads.append(os.getpid())
        return Model()

    names = ("one", "two", "absent")
    for name in names[:2]:
        write_weights(tmp_path / "weights", name)
    demo = tripler(load=load)
    hub = start(tripler=replace(demo, weights=tuple(map(Weights, names))))
    assert loads == [PARENT, PARENT]  # each set of weights there is, once
    for name in names[:2]:
        assert hub.engine.run("tripler", {"number": 5, "weights": name}).values["answer"]["number"] == 15.0
    write_weights(tmp_path / "weights", "absent", content=b"late")
    with pytest.raises(UnavailableError, match=r"nothing is loaded later\. Restart the Space"):
        hub.engine.run("tripler", {"number": 5, "weights": "absent"})
    assert loads == [PARENT, PARENT]


def test_settings_of_a_zerogpu_space_and_of_any_other_place(space: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_SIMILAR", "session")  # what is said stays
    found = serve.environment()
    assert {name: found[name] for name in zero.SETTINGS} == {**zero.SETTINGS, "HUB_SIMILAR": "session"}
    monkeypatch.setenv("SPACES_ZERO_GPU", "false")
    assert zero.claim() is None and "HUB_DTYPE" not in serve.environment()


def test_another_version_of_spaces_is_named(space: Space, start: Callable[..., Hub]) -> None:
    import sys

    del sys.modules["spaces.zero"].startup
    with pytest.raises(UnavailableError, match=r"no spaces\.zero\.startup; this hub was written for spaces 0\.51"):
        start(tripler=tripler())
