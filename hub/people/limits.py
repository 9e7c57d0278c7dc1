"""How many runs each may ask for: a rate and a quota, counted in memory, the same whichever door they come through."""

from __future__ import annotations

import math
import threading
import time
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

from hub.errors import BusyError
from hub.people.users import Caller
from hub.texts import Sentence, sentence

if TYPE_CHECKING:
    from limits import RateLimitItem
    from limits.strategies import FixedWindowRateLimiter

OF_ADDRESS = 5  # all browsers of one address together may ask for so many times as much as one: people share addresses


class LimitError(BusyError):
    title, code = "That was the most for now", "limit"


class Allowance:
    """Counts runs by who asks: a user or token, else a browser session and its address, else the address.

    `rate_limit` and `quota` are texts such as 60/minute and 500/day; empty: no such limit. A window begins with its
    first run. Every run counts, also one that a stored result answers. A restart begins anew.
    """

    def __init__(self, rate_limit: str = "", quota: str = ""):
        # Guards the counters, so that a run that one limit refuses is not counted by the other.
        self._lock = threading.Lock()
        self._items: list[RateLimitItem] = []
        self._quota: RateLimitItem | None = None  # of which a batch takes one for each of its pictures
        self._counts: FixedWindowRateLimiter | None = None
        if rate_limit or quota:  # else its import, a tenth of a second, would be for nothing
            from limits import parse
            from limits.storage import MemoryStorage
            from limits.strategies import FixedWindowRateLimiter

            self._items = [parse(text) for text in dict.fromkeys((rate_limit, quota)) if text]
            self._quota = self._items[-1] if quota else None
            self._counts = FixedWindowRateLimiter(MemoryStorage())

    def spend(self, caller: Caller | None, pictures: int = 1) -> None:
        """Counts one run. Raises LimitError. None, a command on this machine, is not counted.

        Of a batch, which others do not wait for, the rate counts one and the quota each of its `pictures`.
        """
        if self._counts is None or caller is None:
            return
        with self._lock:
            # By address first: who makes up a new session each time must not fill the memory.
            windows = [(item, who, times) for who, times in _identities(caller) for item in self._items]
            costs = [pictures if item is self._quota else 1 for item, _, _ in windows]
            for (item, who, times), cost in zip(windows, costs, strict=True):
                if not self._counts.test(_times(item, times), who, cost=cost):
                    raise self._refusal(item, who, times)
            for (item, who, times), cost in zip(windows, costs, strict=True):
                self._counts.hit(_times(item, times), who, cost=cost)

    def _refusal(self, item: RateLimitItem, who: str, times: int) -> LimitError:
        assert self._counts is not None
        ends = self._counts.get_window_stats(_times(item, times), who).reset_time
        wait_s = max(1, math.ceil(ends - time.time()))
        whose = "All browsers at your address together" if times > 1 else "You"
        amount, unit = item.amount * times, item.GRANULARITY.name
        return LimitError(
            "{who} asked for {count} run{s} in the last {unit}, the most this hub allows. Try again in {time}.",
            who=sentence(whose),
            count=amount,
            s="s" * (amount != 1),
            unit=sentence(unit),
            time=_words(wait_s),
            retry_after_s=wait_s,
        )


def _identities(caller: Caller) -> list[tuple[str, int]]:
    """Under what a run is counted, and how many times a limit that is worth."""
    if caller.name:
        return [(f"user {caller.name}", 1)]
    address = network(caller.address)
    if caller.session:
        return [(f"address {address}", OF_ADDRESS), (caller.session, 1)]
    return [(f"address {address}", OF_ADDRESS), (f"no session {address}", 1)]


def _times(item: RateLimitItem, times: int) -> RateLimitItem:
    return type(item)(item.amount * times, item.multiples, item.namespace)


def network(address: str) -> str:
    """An address as one customer has it: IPv6 gives each a network, with more addresses than can be counted."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or parsed.exploded[:19])
    return address


def _words(seconds: int) -> Sentence:
    """`23 s`, `4 minutes`, `5 hours`."""
    if seconds < 100:
        return sentence("{number} s", number=seconds)
    if seconds < 100 * 60:
        return sentence("{number} minutes", number=math.ceil(seconds / 60))
    return sentence("{number} hours", number=math.ceil(seconds / 3600))
