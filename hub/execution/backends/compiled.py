"""A form as OpenVINO runs it on the CPU."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from hub import imports

if TYPE_CHECKING:
    import torch
    from torch import Tensor


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
        # Guards the list of requests that nobody uses; taken alone.
        self._lock = threading.Lock()
        self._idle: list[Any] = []

    def run(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The answer's tensors, float numbers in float32. They are the caller's."""
        import torch

        given = [(t.float() if t.is_floating_point() else t).contiguous().numpy() for t in tensors]
        with self._lock:
            request = self._idle.pop() if self._idle else self._network.create_infer_request()
        try:
            answers = request.infer(given, share_inputs=True, share_outputs=False)
            return [torch.from_numpy(answers[number]) for number in range(len(self._network.outputs))]
        finally:
            with self._lock:
                self._idle.append(request)


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
