"""How many requests are worth one forward pass: measured, since on a CPU more is not always faster, and seldom much."""

from __future__ import annotations

from collections import defaultdict, deque
from statistics import median

KEPT = 15  # passes of a size that are looked at
ENOUGH, ENOUGH_LONG = 5, 2  # passes, before a size is judged; of those that take longer than PASS_S two will do
WORSE = 1.05  # an item may take so many times what it takes in the best size
PASS_S = 1.0  # what takes longer is split where that costs nothing: others wait for its end, and it takes memory
AGAIN = 64  # after so many passes larger sizes may be tried once more: what else the machine does changes


class BatchSizes:
    """Learns from passes. Not safe for two threads at once: the batcher's lock is held."""

    def __init__(self, most: int):
        self._most, self._passes = most, 0
        self._item_s: dict[int, deque[float]] = defaultdict(lambda: deque(maxlen=KEPT))  # by powers of two

    def note(self, size: int, seconds: float) -> None:
        """A pass with so many requests took so long."""
        self._passes += 1
        self._item_s[_power(size)].append(seconds / size)

    def limit(self) -> int:
        """The most requests that one pass should take now."""
        judged = {size: median(times) for size, times in self._item_s.items() if _is_enough(size, times)}
        if not judged:
            return self._most
        limit = min(judged, key=judged.__getitem__)
        most_s = judged[limit] * WORSE
        while limit < self._most and judged.get(2 * limit, 0.0) <= most_s:  # one that was not seen yet may be tried
            limit *= 2
        while limit > 1 and limit * judged.get(limit, 0.0) > PASS_S and judged.get(limit // 2, 0.0) <= most_s:
            limit //= 2
        if self._passes % AGAIN == AGAIN - 1:
            item_s = judged.get(limit, most_s)
            while limit < self._most and 2 * limit * (item_s := judged.get(2 * limit, item_s)) <= PASS_S:
                limit *= 2
        return min(limit, self._most)


def _is_enough(size: int, times: deque[float]) -> bool:
    return len(times) >= ENOUGH or (len(times) >= ENOUGH_LONG and size * median(times) > PASS_S)


def _power(size: int) -> int:
    """The next power of two."""
    return 1 << (size - 1).bit_length()
