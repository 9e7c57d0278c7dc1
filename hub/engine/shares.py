"""Shares of a queue: how much of it one caller and one address may have, so that others always find a place."""

from __future__ import annotations

from collections import Counter

from hub.errors import BusyError
from hub.people.owners import Owner

# Nobody has more than so many times what they leave free to others, beside one place for who has none. So one alone
# has two thirds of the queue (an address with many callers three quarters), and less as others come.
OF_CALLER, OF_SOURCE = 2, 3


class Shares:
    """Counts requests that wait for runs, by caller and by where they come from. Not safe for two threads at once."""

    def __init__(self, limit: int):
        self._limit = limit
        self._taken = 0
        self._callers: Counter[str] = Counter()
        self._sources: Counter[str] = Counter()

    def check(self, who: Owner) -> None:
        """Raises BusyError where one more is beyond a share; this machine's own have none."""
        if not who.is_machine:
            free = max(0, self._limit - self._taken - 1)
            if self._callers[who.id] > OF_CALLER * free:
                raise BusyError(
                    "{count} of your requests are in work, your share of the {limit} that this hub takes. Send the "
                    "next one when one of them has ended.",
                    count=self._callers[who.id],
                    limit=self._limit,
                    retry_after_s=1,
                )
            if self._sources[who.source] > OF_SOURCE * free:
                raise BusyError(
                    "{count} requests from your address or account are in work, its share of the {limit} that this hub "
                    "takes. Try again when one of them has ended.",
                    count=self._sources[who.source],
                    limit=self._limit,
                    retry_after_s=1,
                )

    def take(self, who: Owner) -> None:
        """One request more. Raises BusyError."""
        self.check(who)
        self._taken += 1
        self._callers[who.id] += 1
        self._sources[who.source] += 1

    def give_back(self, who: Owner) -> None:
        """One of them has ended."""
        self._taken -= 1
        for counts, name in ((self._callers, who.id), (self._sources, who.source)):
            counts[name] -= 1
            if not counts[name]:
                del counts[name]
