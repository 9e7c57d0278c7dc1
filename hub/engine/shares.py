"""Shares of a queue: how much of it one caller and one address may have, so that others always find a place.

And its pace: who could not be answered in time is told at once, and when to come again, and a slow page does not take
all places.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from cachetools import LRUCache

from hub.errors import BusyError
from hub.people.owners import Owner

# Nobody has more than so many times what they leave free to others, beside one place for who has none. So one alone
# has two thirds of the queue (an address with many callers three quarters), and less as others come.
OF_CALLER, OF_SOURCE = 2, 3
SURE = 8  # fewer runs of a page may all be in one batch, or in several processes
SLOW_S = 20.0  # a page whose next run would wait so long leaves half of all places to others
KEPT = 0.98  # of what counted for a pace, once one more run has ended
BACK_MOST_S, BACK_KEPT = 60.0, 1_000  # who is refused is told to come again within this time; addresses, or accounts


class Shares:
    """Counts requests that wait for runs, by caller and by where they come from. Not safe for two threads at once."""

    def __init__(self, limit: int, come_back_s: Callable[[Owner], int] = lambda who: 1):
        self._limit, self._come_back_s = limit, come_back_s
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
                    retry_after_s=self._come_back_s(who),
                )
            if self._sources[who.source] > OF_SOURCE * free:
                raise BusyError(
                    "{count} requests from your address or account are in work, its share of the {limit} that this hub "
                    "takes. Try again when one of them has ended.",
                    count=self._sources[who.source],
                    limit=self._limit,
                    retry_after_s=self._come_back_s(who),
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


@dataclass(slots=True)
class Ends:
    """How often runs end while others wait. Runs of a batch end together, so the mean is what counts.

    What the first one took does not: a model may have been loaded for it.
    """

    in_work: int = 0
    since: float | None = None  # when the latest ended
    seconds: float = 0.0  # in which others waited
    count: float = 0.0  # that ended in them

    @property
    def gap_s(self) -> float:
        """Between two of them; 0 while nothing is known."""
        return self.seconds / self.count if self.count else 0.0

    def end(self, now: float) -> None:
        """One has ended, whatever came of it."""
        self.in_work -= 1
        if not self.in_work:  # the next ones may be of another kind
            self.since, self.seconds, self.count = None, 0.0, 0.0
            return
        if self.since is not None:
            self.seconds, self.count = KEPT * self.seconds + now - self.since, KEPT * self.count + 1
        self.since = now


class Pace:
    """How fast runs are answered, of each page and of all. Not safe for two threads at once."""

    def __init__(self, limit: int, now: Callable[[], float] = time.monotonic):
        self._limit, self._now = limit, now
        self._all = Ends()
        self._pages: dict[str, Ends] = {}
        self._back: LRUCache[str, float] = LRUCache(BACK_KEPT)  # when the latest from there is to come again

    def check(self, who: Owner, slug: str, left_s: float) -> None:
        """Raises BusyError where there is no place for one more run, or it would not be answered within `left_s`.

        A page whose runs wait for long has half of all places, so that others find one.
        """
        if self._all.in_work >= self._limit:
            raise BusyError(
                "{count} requests are in work, the most this hub takes. Try again in a moment.",
                count=self._all.in_work,
                retry_after_s=self.come_back_s(who),
            )
        page = self._pages.get(slug)
        if page is None or page.in_work < SURE:
            return
        needed_s = (page.in_work + 1) * page.gap_s
        if needed_s > left_s:
            raise BusyError(
                "{count} runs of this page are in work, which take about {seconds:.0f} s. Yours would not be answered "
                "in the {left:.0f} s that a run may take: try again when some of them have ended.",
                count=page.in_work,
                seconds=needed_s,
                left=max(0.0, left_s),
                retry_after_s=self.come_back_s(who, needed_s - left_s),
            )
        if page.in_work >= self._limit // 2 and needed_s > SLOW_S:
            raise BusyError(
                "{count} runs of this page are in work, which take about {seconds:.0f} s; other pages have the rest of "
                "the {limit} places of this hub. Try again when some of them have ended.",
                count=page.in_work,
                seconds=needed_s,
                limit=self._limit,
                retry_after_s=self.come_back_s(who),
            )

    def come_back_s(self, who: Owner, at_least_s: float = 0.0) -> int:
        """When one who is refused is to try again: after those before from there, by what it takes until a run ends.

        All of them at once would only be refused once more, and to refuse them takes time from who is answered.
        """
        now = self._now()
        back = max(self._back.get(who.source, 0.0), now + at_least_s) + self._all.gap_s
        self._back[who.source] = back = min(back, now + BACK_MOST_S)
        return max(1, round(back - now))

    def begin(self, slug: str) -> None:
        """One run more."""
        self._all.in_work += 1
        self._pages.setdefault(slug, Ends()).in_work += 1

    def end(self, slug: str) -> None:
        """One of them has ended, whatever came of it."""
        now, page = self._now(), self._pages[slug]
        self._all.end(now)
        page.end(now)
        if not page.in_work:
            del self._pages[slug]

    @property
    def in_work(self) -> int:
        """Runs of all pages."""
        return self._all.in_work
