"""Whether a form agrees with the eager network, and how much faster it is."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from hub.execution.backends.calls import make_arguments, read_answer
from hub.execution.backends.compiled import Compiled
from hub.execution.backends.orders import Order, RefusedError
from hub.execution.backends.points import Point, inside

if TYPE_CHECKING:
    from torch import Tensor

# How far a form may be from the eager network: the largest difference as a share of the largest number of the answer.
# Eager bfloat16 is about as far from float32 itself.
TOLERANCE = {"float32": 0.001, "bfloat16": 0.05}
ROUNDS, LEAST, ENOUGH_S = 10, 2, 1.5  # of a measurement
LARGER = 2  # times the batch that was seen is measured as well


def check(answers: Sequence[Tensor], eager: Sequence[Tensor], order: Order) -> float:
    """The difference, which is within the tolerance. Raises RefusedError where it is not."""
    difference, most = differ(answers, eager), TOLERANCE[order.origin.dtype]
    if not difference <= most:
        raise RefusedError(f"its compiled form differs by {difference:.2g}, more than {most:g} of the largest number")
    return difference


def differ(answers: Sequence[Tensor], eager: Sequence[Tensor]) -> float:
    """The largest difference as a share of the largest number, over all tensors; infinity for other shapes."""
    most = 0.0
    if len(answers) != len(eager):
        return math.inf
    for one, other in zip(answers, eager, strict=True):
        if one.shape != other.shape:
            return math.inf
        if other.numel():
            wanted = other.float()
            share = float((one.float() - wanted).abs().max() / wanted.abs().max().clamp(min=1e-12))
            most = max(most, share) if math.isfinite(share) else math.inf
    return most


def speedups(point: Point, compiled: Compiled, order: Order, await_turn: Callable[[], object]) -> list[float]:
    """How many times as fast the form is, for the batch that was seen and for a larger one.

    `await_turn` waits for a moment in which no model runs. Raises RefusedError, also where the larger batch differs.
    """
    return [_speedup(_ways(point, compiled, order, times), order, await_turn) for times in (1, LARGER)]


Way = Callable[[], Sequence["Tensor"]]


def _ways(point: Point, compiled: Compiled, order: Order, times: int) -> tuple[Way, Way]:
    """The call that was seen, its batch so many times as large: by the eager network, and by the form."""
    tensors = [t.repeat(times, *[1] * (t.ndim - 1)) if t.ndim else t for t in order.seen.call.tensors]
    args, kwargs = make_arguments(order.seen.call.layout, tensors)
    return lambda: read_answer(point.function(point.module, *args, **kwargs))[0], lambda: compiled.run(tensors)


def _speedup(ways: tuple[Way, Way], order: Order, await_turn: Callable[[], object]) -> float:
    """The best time of the first way over that of the second, in turn."""
    import torch

    await_turn()
    torch.set_num_threads(order.seen.threads)  # of this thread: the network is to have as many as the form has
    best, end = [math.inf, math.inf], time.monotonic() + ENOUGH_S
    with torch.inference_mode(), inside():
        eager, answers = (way() for way in ways)  # this also gets them warm
        check(answers, eager, order)
        for number in range(ROUNDS):
            if number >= LEAST and time.monotonic() > end:
                break
            for which, way in enumerate(ways):
                begin = time.perf_counter()
                way()
                best[which] = min(best[which], time.perf_counter() - begin)
    return best[0] / best[1]
