"""Shares of a queue: how much of it one caller and one address may have, so that others always find a place.

And a page's pace: who could not be answered in time is told at once, and not when that time is over.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from hub.errors import BusyError
from hub.people.owners import Owner

# Nobody has more than so many times what they leave free to others, beside one place for who has none. So one alone
# has two thirds of the queue (an address with many callers three quarters), and less as others come.
OF_CALLER, OF_SOURCE = 2, 3
SURE = 8  # fewer runs of a page may all be in one batch, or in several processes
KEPT = 0.98  # of what counted for a page's pace, once one more run has ended


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


class Pace:
    """How long each page's runs take one after the other while others wait. Not safe for two threads at once.

    Runs of a batch end together, so what counts is the mean time between two ends. What the first one took does not: a
    model may have been loaded for it.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic):
        self._now = now
        self._in_work: Counter[str] = Counter()
        self._since: dict[str, float] = {}  # when a page's latest run ended
        self._ended: dict[str, tuple[float, float]] = {}  # seconds in which others waited, and how many ended in them

    def check(self, slug: str, left_s: float) -> None:
        """Raises BusyError where one more run of this page would not be answered within `left_s` seconds."""
        count = self._in_work[slug]
        seconds, ended = self._ended.get(slug, (0.0, 1.0))
        needed_s = (count + 1) * seconds / ended
        if count >= SURE and needed_s > left_s:
            raise BusyError(
                "{count} runs of this page are in work, which take about {seconds:.0f} s. Yours would not be answered "
                "in the {left:.0f} s that a run may take: try again when some of them have ended.",
                count=count,
                seconds=needed_s,
                left=max(0.0, left_s),
                retry_after_s=max(1, min(60, round(needed_s - left_s))),
            )

    def begin(self, slug: str) -> None:
        """One run more."""
        self._in_work[slug] += 1

    def end(self, slug: str) -> None:
        """One of them has ended, whatever came of it."""
        now = self._now()
        self._in_work[slug] -= 1
        if not self._in_work[slug]:  # the next ones may be of another kind
            self._since.pop(slug, None)
            self._ended.pop(slug, None)
            return
        if slug in self._since:
            seconds, ended = self._ended.get(slug, (0.0, 0.0))
            self._ended[slug] = KEPT * seconds + now - self._since[slug], KEPT * ended + 1
        self._since[slug] = now
