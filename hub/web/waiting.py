"""Threads in which the requests of a door wait for their answers; one caller has no more than a share of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from hub.engine.shares import Shares
from hub.errors import BusyError
from hub.hub import Hub
from hub.people.users import Caller

T = TypeVar("T")
MORE_THAN_QUEUE = 64  # requests that share an equal one's run wait in threads of their own


class WaitingThreads:
    """More than the queue takes, so that the engine says 429 at once rather than anybody waiting unseen.

    Used in one event loop only.
    """

    def __init__(self, hub: Hub):
        most = hub.settings.queue_limit + MORE_THAN_QUEUE
        self._owners, self._come_back_s = hub.engine.owners, hub.engine.running.come_back_s
        self._limiter, self._shares = CapacityLimiter(most), Shares(most, self._come_back_s)

    def check(self, who: Caller | None) -> None:
        """Raises BusyError where there is no thread for this caller."""
        owner = self._owners.of(who)
        self._shares.check(owner)
        if self._limiter.available_tokens < 1:
            text = "Too many requests wait for an answer. Try again in a moment."
            raise BusyError(text, retry_after_s=self._come_back_s(owner))

    async def run(self, who: Caller | None, work: Callable[[], T]) -> T:
        """What `work` returns. Whoever is cancelled leaves it behind. Raises BusyError."""
        owner = self._owners.of(who)
        self._shares.take(owner)
        try:
            return await to_thread.run_sync(work, limiter=self._limiter, abandon_on_cancel=True)
        finally:
            self._shares.give_back(owner)
