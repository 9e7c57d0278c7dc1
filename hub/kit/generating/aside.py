"""A library's own loop as a generator of its steps: it runs in a thread beside, and can be left after each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from queue import SimpleQueue
from typing import TypeVar

from hub.errors import CancelledError
from hub.threads import Threads

S = TypeVar("S")
R = TypeVar("R")
# Few threads, each used again: each that ever ran a network keeps a team of OpenMP threads.
_THREADS = Threads("beside")


def steps(run: Callable[[Callable[[S], None]], R]) -> Generator[S, None, R]:
    """Runs `run(tell)` beside: yields what it tells, and returns what it returns or raises what it raises.

    It has the cores that this thread has. When the generator is closed, `tell` raises CancelledError there, and this
    waits for its end: a network is not used by two at once.
    """
    import torch

    told, ended = SimpleQueue[list[S]](), threading.Event()  # no list within: it has ended
    cores, left, results, errors = torch.get_num_threads(), threading.Event(), list[R](), list[BaseException]()

    def tell(step: S) -> None:
        if left.is_set():
            raise CancelledError("The run was cancelled.")
        told.put([step])

    def work() -> None:
        try:
            if torch.get_num_threads() != cores:
                torch.set_num_threads(cores)
            with torch.inference_mode():
                results.append(run(tell))
        except BaseException as error:  # whatever it is belongs to who waits for this
            errors.append(error)
        ended.set()
        told.put([])

    _THREADS.start(work)
    try:
        while step := told.get():
            yield step[0]
    finally:
        left.set()
        ended.wait()
    if errors:
        raise errors.pop()
    return results.pop()
