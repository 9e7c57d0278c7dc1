"""Threads that draw pictures for who looks: thumbnails, cleaned copies, comparisons; apart from all other threads.

Who draws may wait for the decoding budget. In the threads that serve uploads, files and lists, forty requests for a
giant's thumbnail would keep everybody from those. One address has half, so that its giants leave room to draw others'.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar

from hub.errors import BusyError
from hub.people.limits import network
from hub.people.users import Caller

AT_ONCE, OF_ADDRESS = 4, 2
WAITING_MOST = 256  # of one address: forty people with a page of thumbnails each

T = TypeVar("T")


@dataclass(slots=True)
class _Turns:
    """What one address has asked for and not got yet."""

    free: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(OF_ADDRESS))
    count: int = 0


@dataclass(slots=True)
class _Drawers:
    """Those of one event loop, and used in it only."""

    threads: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(AT_ONCE))
    turns: dict[str, _Turns] = field(default_factory=dict)  # by address, while it waits for something


_DRAWERS: RunVar[_Drawers] = RunVar("drawers")


async def draw(caller: Caller, work: Callable[..., T], *arguments: object) -> T:
    """What `work` makes, in a thread that is there to draw. Raises BusyError for who asks for very much at once."""
    drawers = _DRAWERS.get(None)
    if drawers is None:
        drawers = _Drawers()
        _DRAWERS.set(drawers)
    address = network(caller.address)
    turns = drawers.turns.setdefault(address, _Turns())
    if turns.count >= WAITING_MOST:
        raise BusyError("Your address asks for very many pictures at once. Try again in a moment.", retry_after_s=5)
    turns.count += 1
    try:
        async with turns.free:
            return await to_thread.run_sync(work, *arguments, limiter=drawers.threads)
    finally:
        turns.count -= 1
        if not turns.count:
            drawers.turns.pop(address, None)
