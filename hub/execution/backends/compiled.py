"""A form as OpenVINO runs it on the CPU."""

from __future__ import annotations

import math
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from hub import imports

if TYPE_CHECKING:
    import torch
    from torch import Tensor


RESTING_S = 10.0  # a form that nobody called for so long gives back what its passes took, and one that was called for
# batches of half the size at most, what the larger ones took


class Compiled:
    """A form, read and compiled for so many threads. Any number of threads may call it."""

    def __init__(self, model: bytes, constants: bytes, threads: int, precision: str):
        import numpy as np
        import openvino

        core = _core()
        found = core.read_model(model, openvino.Tensor(np.frombuffer(constants, np.uint8)))
        self._network = core.compile_model(
            found,
            "CPU",
            {
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": 1,
                "PERFORMANCE_HINT": "LATENCY",
                "ENABLE_CPU_PINNING": False,  # else every process would take the same cores
                "INFERENCE_PRECISION_HINT": precision,
            },
        )
        # Constants are kept as the processor takes them, in the precision that they run in.
        self.nbytes = len(constants) // (2 if precision == "bf16" else 1)
        # Guards all below; taken alone.
        self._lock = threading.Lock()
        self._idle: list[Any] = []  # requests that nobody uses
        self._in_use, self._used_at = 0, math.inf  # `_used_at`: infinite when there is nothing to give back
        self._largest, self._large_at = 0, 0.0  # bytes of the largest call, whose memory is kept, and since when
        self._gave_back = False  # since `release` was asked last
        with _LISTING:
            _ALL.add(self)

    def run(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The answer's tensors, float numbers in float32. They are the caller's."""
        import torch

        given = [(t.float() if t.is_floating_point() else t).contiguous().numpy() for t in tensors]
        with self._lock:
            self._in_use += 1
            request = self._idle.pop() if self._idle else None
        try:
            request = request or self._network.create_infer_request()
            answers = request.infer(given, share_inputs=True, share_outputs=False)
            return [torch.from_numpy(answers[number]) for number in range(len(self._network.outputs))]
        finally:
            with self._lock:
                self._in_use, self._used_at = self._in_use - 1, time.monotonic()
                if request is not None:
                    self._idle.append(request)
                self._note(sum(array.nbytes for array in given))

    def _note(self, nbytes: int) -> None:
        """A call of this size has ended; the lock is held."""
        if 2 * nbytes > self._largest:
            self._largest, self._large_at = max(nbytes, self._largest), self._used_at
        elif not self._in_use and self._used_at - self._large_at >= RESTING_S:
            self._network.release_memory()
            self._largest, self._large_at, self._gave_back = nbytes, self._used_at, True

    def release(self, resting_s: float = 0.0) -> bool:
        """Gives back what passes took, hundreds of megabytes for large batches; the next pass takes it anew, slower.

        Does so where nobody called for so long; returns whether anything was given back since it was asked last.
        """
        with self._lock:  # held meanwhile, so that no pass begins: that could wait for this, and this for it
            if not self._in_use and time.monotonic() - self._used_at >= resting_s:
                self._used_at, self._largest, self._gave_back = math.inf, 0, True
                self._network.release_memory()
            gave_back, self._gave_back = self._gave_back, False
        return gave_back


_LISTING = threading.Lock()  # guards the set below; taken alone
_ALL: weakref.WeakSet[Compiled] = weakref.WeakSet()


def release_resting() -> bool:
    """Forms that nobody called of late give back what their passes took; whether any did."""
    with _LISTING:
        forms = list(_ALL)
    released = [form.release(RESTING_S) for form in forms]
    return any(released)


@dataclass(frozen=True, slots=True)
class Form:
    """Answers calls as the eager network does, with tensors of these dtypes."""

    compiled: Compiled
    dtypes: tuple[torch.dtype, ...]
    rebuild: Callable[[Sequence[Tensor]], Any]

    def __call__(self, tensors: Sequence[Tensor]) -> Any:
        answers = self.compiled.run(tensors)
        return self.rebuild([t.to(dtype) for t, dtype in zip(answers, self.dtypes, strict=True)])


@cache
def _core() -> Any:
    import openvino

    core = openvino.Core()
    imports.settle()
    return core
