"""How long runs and loads of each page take: measured as they happen, and known at the next start."""

from __future__ import annotations

import threading

from hub.engine.jobs import Job
from hub.errors import HubError
from hub.results.result import Result

FADE = 0.7  # what was measured before counts so much


class Paces:
    """A keeper that remembers times. `load_s` is that of the page's last cold start."""

    def __init__(self) -> None:
        # Guards the two below; taken alone.
        self._lock = threading.Lock()
        self._paces: dict[str, tuple[float, float]] = {}
        self._changed: set[str] = set()

    def begun(self, job: Job) -> None:
        """Nothing is known yet."""

    def ended(self, job: Job, outcome: Result | HubError) -> None:
        """A run that was computed says what it took."""
        if isinstance(outcome, HubError) or outcome.receipt.cached or not outcome.receipt.batch_size:
            return
        receipt, slug = outcome.receipt, job.page.slug
        seconds = (receipt.prepare_ms + receipt.infer_ms / receipt.batch_size + receipt.present_ms) / 1000
        with self._lock:
            before, load_s = self._paces.get(slug, (seconds, 0.0))
            if receipt.cold:
                load_s = receipt.load_ms / 1000
            self._paces[slug] = (FADE * before + (1 - FADE) * seconds, load_s)
            self._changed.add(slug)

    def gone(self, id: str) -> None:
        """Times are no part of a result."""

    def close(self) -> None:
        """They were kept as jobs ended."""

    def seconds(self, slug: str, *, loaded: bool) -> float | None:
        """What a run takes, with the load of its model where that is not in memory; None: none was seen."""
        with self._lock:
            pace = self._paces.get(slug)
        if pace is None:
            return None
        return pace[0] + (0.0 if loaded else pace[1])

    def know(self, paces: dict[str, tuple[float, float]]) -> None:
        """What an earlier process measured."""
        with self._lock:
            self._paces = {**paces, **self._paces}

    def changed(self) -> dict[str, tuple[float, float]]:
        """What was measured since this was asked last."""
        with self._lock:
            changed = {slug: self._paces[slug] for slug in self._changed}
            self._changed.clear()
        return changed
