"""A stand-in for the package `spaces` on a ZeroGPU Space: calls run in forked processes, as with the real one.

As in spaces 0.51: the process is forked at the first call, and used again while ZeroGPU leaves the GPU there; arguments
and what the function yields travel pickled, through queues; of an error only the name of its class arrives, in an error
of Gradio's; the start is reported once, after the decoration.
"""

from __future__ import annotations

# ruff: noqa: S301 (pickles that this process wrote)
import contextvars
import inspect
import multiprocessing
import os
import pickle
import sys
import threading
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from gradio import Error

FORK = multiprocessing.get_context("fork")
visitor: contextvars.ContextVar[str] = contextvars.ContextVar("visitor", default="nobody")  # as Gradio's request
END = "end"


@dataclass
class Space:
    """What was asked of ZeroGPU, and how it answers the next calls."""

    durations: list[int] = field(default_factory=list)
    visitors: list[str] = field(default_factory=list)  # whose quota the calls count against
    workers: list[Worker] = field(default_factory=list)
    ports: set[int] = field(default_factory=set)
    started: bool = False
    refuse: str = ""  # there is no GPU: this is what Gradio's error says
    closed: int = 0  # generators that their caller left

    @property
    def processes(self) -> set[int | None]:
        return {worker.process.pid for worker in self.workers}

    def close(self) -> None:
        for worker in self.workers:
            worker.process.terminate()
            worker.process.join()


class Worker:
    """A forked process with the function; what it finds of the parent's memory is a copy."""

    def __init__(self, task: Callable[..., Iterator[Any]]):
        self.to, self.back, self.stop = FORK.SimpleQueue(), FORK.SimpleQueue(), FORK.Event()
        self.process = FORK.Process(target=self._serve, args=(task,), daemon=True)
        self.process.start()

    def _serve(self, task: Callable[..., Iterator[Any]]) -> None:
        while True:
            arguments = pickle.loads(self.to.get())
            self.stop.clear()
            thread = threading.Thread(target=self._iterate, args=(task, arguments))
            thread.start()
            thread.join()
            self.back.put((END, None))

    def _iterate(self, task: Callable[..., Iterator[Any]], arguments: tuple[Any, ...]) -> None:
        try:
            steps = task(*arguments)
            for value in steps:
                if self.stop.is_set():
                    steps.close()  # type: ignore[attr-defined]  # a generator
                    return
                self.back.put(("value", pickle.dumps(value)))
        except Exception as error:
            self.back.put(("error", type(error).__name__))


def install(monkeypatch: pytest.MonkeyPatch) -> Space:
    """Makes `import spaces` give the stand-in, and this process one of a ZeroGPU Space."""
    space = Space()
    module, zero, reloading = (types.ModuleType(name) for name in ("spaces", "spaces.zero", "spaces.reloading"))

    def gpu(*, duration: Callable[..., int]) -> Callable[..., Any]:
        def decorate(task: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
            assert inspect.isgeneratorfunction(task) and not space.started, "decorated too late to be detected"
            workers: list[Worker] = []

            def handler(*arguments: Any) -> Iterator[Any]:
                assert space.started, "called before the start was reported"
                space.durations.append(duration(*arguments))
                space.visitors.append(visitor.get())
                if space.refuse:
                    raise Error(space.refuse)
                worker = workers.pop() if workers else Worker(task)
                space.workers += [worker] if worker not in space.workers else []
                worker.to.put(pickle.dumps(arguments))
                yield from told(worker)
                workers.append(worker)

            return handler

        return decorate

    def told(worker: Worker) -> Iterator[Any]:
        try:
            while (message := worker.back.get())[0] == "value":
                yield pickle.loads(message[1])
            if message[0] == "error":
                worker.back.get()
                raise Error(f"ZeroGPU worker error: {message[1]}")
        except GeneratorExit:
            worker.stop.set()
            while worker.back.get()[0] != END:
                pass
            space.closed += 1
            raise

    def startup() -> None:
        space.started = True

    vars(module).update(GPU=gpu, disable_gradio_auto_wrap=lambda: None)
    vars(zero).update(startup=startup)
    vars(reloading).update(reload_server_ports=space.ports)
    for stand_in in (module, zero, reloading):
        monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
    monkeypatch.setitem(os.environ, "SPACES_ZERO_GPU", "true")
    return space
