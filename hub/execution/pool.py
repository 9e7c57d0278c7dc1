"""ModelPool: which models are in memory, who uses them, who leaves.

A budget in measured bytes; single-flight loads; hits never wait behind another model's load; leased and
pinned models never leave; who is likely to be missed least (hub/execution/popularity.py) leaves first, before the
next one is loaded.
"""

from __future__ import annotations

import copy
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hub import imports
from hub.errors import DeadlineError, HubError, UnavailableError
from hub.execution.construction import construct
from hub.execution.devices import give_back, model_bytes
from hub.execution.leases import Lease, ModelStatus, NoRoomError, PoolEntry, status_of, too_large
from hub.execution.popularity import Popularity, enough

log = logging.getLogger(__name__)


class ModelPool:
    """Keeps models in at most `budget_bytes`. `clock` is in seconds; `measure` gives a model's bytes.

    `known_bytes`: what models took in earlier processes, so that the first load can plan; `on_measured` hears of
    every size that is new.

    A model that has waited `patience_s` for models in constant use gets their place: they take no new
    leases until it is loaded.
    """

    def __init__(
        self,
        budget_bytes: int,
        *,
        keep_alive_s: float = 0.0,
        patience_s: float = 2.0,
        measure: Callable[[Any], int] = model_bytes,
        release: Callable[[], None] = give_back,
        clock: Callable[[], float] = time.monotonic,
        on_change: Callable[[str, float], None] = lambda event, amount: None,
        known_bytes: Mapping[str, int] | None = None,
        on_measured: Callable[[str, int], None] = lambda key, size: None,
    ):
        self.budget_bytes = budget_bytes
        self.keep_alive_s, self.patience_s = keep_alive_s, patience_s
        self._measure, self._release, self._clock, self._on_change = measure, release, clock, on_change
        self._on_measured = on_measured
        # Guards everything below, and wakes whoever waits for a load, room or the end.
        self._changed = threading.Condition()
        self._entries: dict[str, PoolEntry] = {}
        self._known_bytes = dict(known_bytes or {})  # measured sizes outlive the models, so the next load can plan
        self._popularity = Popularity()
        self._first: PoolEntry | None = None  # has waited `patience_s`: room is for this one first
        self._closed = False
        self._reaper: threading.Thread | None = None

    # --- use --------------------------------------------------------------------------------------

    @contextmanager
    def lease(
        self, key: str, load: Callable[[], Any], *, estimate_bytes: int = 0, timeout_s: float | None = None
    ) -> Iterator[Lease]:
        """Holds `key`'s model, loading it with `load` if it is absent.

        Raises DeadlineError when no room came free in `timeout_s`, OutOfMemoryError when the model cannot fit
        at all, UnavailableError when `load` failed.
        """
        begin = time.perf_counter()
        entry, cold = self._enter(key, load, estimate_bytes, timeout_s)
        try:
            yield Lease(entry.model, cold, (time.perf_counter() - begin) * 1000)
        finally:
            self._leave(entry)

    def ensure(
        self,
        key: str,
        load: Callable[[], Any],
        *,
        estimate_bytes: int = 0,
        evict: bool = False,
        pin: bool = False,
        timeout_s: float | None = None,
    ) -> bool:
        """Loads `key` ahead of use; without `evict` only into room that is free. Returns whether it is in memory.

        `pin`: and it stays, whatever comes. Raises as `lease` does.
        """
        try:
            entry, cold = self._enter(key, load, estimate_bytes, timeout_s, evict)
        except NoRoomError:
            return False
        with self._changed:
            entry.pinned = entry.pinned or pin
        self._leave(entry, was_used=not cold)
        return True

    def _enter(
        self, key: str, load: Callable[[], Any], estimate_bytes: int, timeout_s: float | None, evict: bool = True
    ) -> tuple[PoolEntry, bool]:
        end = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while True:
                if self._closed:
                    raise UnavailableError("The hub is shutting down.")
                entry = self._entries.get(key)
                if entry is None:
                    break
                if entry.ready and not entry.leaving:
                    entry.leases += 1
                    return entry, False
                self._wait(end, f"{key} did not load")
                # Who loaded it may have had less time, or no wish to evict: then it is our turn to try.
                if entry.error and not isinstance(entry.error, DeadlineError | NoRoomError):
                    raise copy.copy(entry.error)
            entry = PoolEntry(key, self._known_bytes.get(key, estimate_bytes), leases=1)
            self._entries[key] = entry
        try:
            self._load(entry, load, end, evict)
        except HubError as error:
            self._fail(entry, error)
            raise
        except Exception as error:
            log.exception("model %s failed to load", key)
            raise self._fail(entry, imports.load_failure(key, error)) from error
        except BaseException:
            self._fail(entry, UnavailableError("{key} could not be loaded: the load was interrupted.", key=key))
            raise
        return entry, True

    def _fail(self, entry: PoolEntry, error: HubError) -> HubError:
        """Forgets a load that failed and tells whoever waits for it."""
        with self._changed:
            entry.error = copy.copy(error)  # without the traceback, which would keep the failed load's frames
            self._drop(entry)
        self._release()
        return error

    def _load(self, entry: PoolEntry, load: Callable[[], Any], end: float | None, evict: bool) -> None:
        """Makes room, builds, measures. Runs without the pool's lock, so that hits pass by."""
        while True:
            self._admit(entry, end, evict)
            model, load_ms = construct(entry.key, load, end, self.evict_idle)
            size = self._measure(model)
            if self._known_bytes.get(entry.key) != size:
                self._on_measured(entry.key, size)
            with self._changed:
                entry.bytes = self._known_bytes[entry.key] = size
                entry.model, entry.load_ms = model, load_ms
                del model  # the entry alone holds it, so that dropping the entry frees it
                evicted = self._fit(entry, evict)  # again: the estimate may have been too small
                if evicted is None:
                    entry.model = None
                else:
                    entry.ready, entry.loaded_at, entry.last_used = True, self._clock(), self._clock()
                self._changed.notify_all()
            if evicted != 0:
                self._release()
            if evicted is not None:
                break
            # All others are in use. Waiting with the model in hand could wait for ever: another load may do the
            # same. So it goes, and comes again when there is room for its true size.
            log.warning("%s is larger than estimated: %.1f MB; it waits for room", entry.key, size / 1e6)
        log.info("loaded %s: %.1f MB in %.0f ms", entry.key, size / 1e6, load_ms)
        self._on_change("load", load_ms / 1000)
        self._on_change("bytes", self.used_bytes())

    def _leave(self, entry: PoolEntry, was_used: bool = True) -> None:
        with self._changed:
            entry.leases -= 1
            entry.last_used = self._clock()
            if was_used:
                entry.used = True
                size = 0 if entry.pinned else entry.bytes
                self._popularity.note(entry.key, size, entry.load_ms / 1000, self.budget_bytes - self._pinned_bytes())
            last = self._closed and not entry.leases
            if last:
                self._drop(entry)
            self._start_reaper()
            self._changed.notify_all()
        if last:
            self._release()

    # --- room -------------------------------------------------------------------------------------

    def _admit(self, entry: PoolEntry, end: float | None, evict: bool) -> None:
        """Waits until `entry.bytes` are counted in, evicting what is idle. Raises DeadlineError after `end`."""
        patient_until = time.monotonic() + self.patience_s
        with self._changed:
            try:
                while (evicted := self._fit(entry, evict)) is None:
                    if not evict:
                        raise NoRoomError("There is no free memory for {key}.", key=entry.key)
                    left = patient_until - time.monotonic()
                    if left <= 0 and self._first in (None, entry):
                        self._first = entry
                        self._hold_back(entry)
                    self._wait(end, f"no memory came free for {entry.key}", left if left > 0 else None)
            finally:
                if self._first is entry:
                    self._first = None
                    for other in self._entries.values():
                        other.leaving = False
                    self._changed.notify_all()
        if evicted:
            self._release()

    def _fit(self, entry: PoolEntry, evict: bool) -> int | None:
        """Counts `entry.bytes` in, evicting idle models if that is enough; returns how many, or None for no room.

        The caller holds the lock. Raises OutOfMemoryError when no eviction could ever be enough.
        """
        turn = entry.admitted or self._first in (None, entry)
        entry.admitted = False
        pinned_bytes = self._pinned_bytes(entry)
        if evict and entry.bytes + pinned_bytes > self.budget_bytes:
            raise too_large(entry, self.budget_bytes, pinned_bytes)
        over = self._used() + entry.bytes - self.budget_bytes
        idle = self._idle(entry) if evict else []
        if not turn or over > sum(e.bytes for e in idle):
            return None
        victims = enough(((e, e.bytes) for e in idle), over)
        for victim, _ in victims:
            self._drop(victim)
        entry.admitted = True
        return len(victims)

    def _hold_back(self, entry: PoolEntry) -> None:
        """Marks models, idle ones first, until `entry` will fit when the leases of those in use end."""
        over = self._used() + entry.bytes - self.budget_bytes
        candidates = [e for e in self._entries.values() if e.ready and not e.pinned and e is not entry]
        for other in sorted(candidates, key=lambda e: (e.leases > 0, self._popularity.worth(e.key))):
            other.leaving = over > 0
            over -= other.bytes

    def _idle(self, keep: PoolEntry | None) -> list[PoolEntry]:
        """Who may leave, the least popular first; never-used fresh ones only after all others."""
        idle = [e for e in self._entries.values() if e.ready and not e.leases and not e.pinned and e is not keep]
        return sorted(idle, key=lambda e: (not e.used, self._popularity.worth(e.key), e.last_used))

    def _drop(self, entry: PoolEntry) -> None:
        """Forgets an entry; the caller releases memory after letting go of the lock."""
        if self._entries.get(entry.key) is entry:
            del self._entries[entry.key]
        if entry.ready:
            log.info("evicted %s: %.1f MB", entry.key, entry.bytes / 1e6)
            self._on_change("eviction", 1)
        entry.model, entry.ready, entry.admitted = None, False, False
        self._on_change("bytes", self._used())
        self._changed.notify_all()

    def evict_idle(self, keep: str = "") -> int:
        """Drops every idle, unpinned model but `keep`; the answer to an out-of-memory error. Returns bytes freed."""
        freed = 0
        with self._changed:
            for victim in self._idle(self._entries.get(keep)):
                freed += victim.bytes
                self._drop(victim)
        self._release()
        return freed

    def unload(self, key: str) -> bool:
        """Drops one idle model, pinned or not. Returns False when it is absent or in use."""
        with self._changed:
            entry = self._entries.get(key)
            if entry is None or not entry.ready or entry.leases:
                return False
            self._drop(entry)
        del entry
        self._release()
        return True

    def pin(self, key: str, pinned: bool = True) -> bool:
        """Keeps a loaded model in memory whatever comes. Returns False when it is absent."""
        with self._changed:
            if key not in self._entries:
                return False
            self._entries[key].pinned = pinned
            self._changed.notify_all()
            return True

    # --- state ------------------------------------------------------------------------------------

    def used_bytes(self) -> int:
        with self._changed:
            return self._used()

    def _used(self) -> int:
        return sum(e.bytes for e in self._entries.values() if e.admitted)

    def _pinned_bytes(self, but: PoolEntry | None = None) -> int:
        return sum(e.bytes for e in self._entries.values() if e.pinned and e is not but)

    def rested_s(self) -> float:
        """For how long no model has run: 0 while one does."""
        with self._changed:
            if any(entry.leases for entry in self._entries.values()):
                return 0.0
            return self._clock() - max((entry.last_used for entry in self._entries.values()), default=-math.inf)

    def measure_again(self, key: str) -> None:
        """A model in memory has grown: what is too much then leaves, as far as it is idle."""
        with self._changed:
            entry = self._entries.get(key)
            if entry is None or not entry.ready:
                return
            entry.bytes = self._known_bytes[key] = size = self._measure(entry.model)
            over = self._used() - self.budget_bytes
            for victim, _ in enough(((e, e.bytes) for e in self._idle(entry)), over):
                self._drop(victim)
            self._on_change("bytes", self._used())
        self._on_measured(key, size)
        self._release()

    def known_bytes(self) -> dict[str, int]:
        """Measured bytes by model, here or in earlier processes, the latest last."""
        with self._changed:
            return dict(self._known_bytes)

    def is_loaded(self, key: str) -> bool:
        with self._changed:
            entry = self._entries.get(key)
            return entry is not None and entry.ready

    def status(self) -> list[ModelStatus]:
        """All models: those that may leave, in the order in which they would; then the others, the latest used last."""
        with self._changed:
            now = self._clock()
            turns = {e.key: turn for turn, e in enumerate(self._idle(None), 1)}
            others = sorted((e for e in self._entries.values() if e.key not in turns), key=lambda e: e.last_used)
            ready_to_leave = [self._entries[key] for key in turns]
            return [status_of(e, now, turns.get(e.key, 0)) for e in (*ready_to_leave, *others)]

    def close(self) -> None:
        """Drops everything; waiting threads get UnavailableError."""
        with self._changed:
            self._closed = True
            for entry in list(self._entries.values()):
                if not entry.leases:
                    self._drop(entry)
            self._changed.notify_all()
        self._release()

    # --- time -------------------------------------------------------------------------------------

    def _wait(self, end: float | None, why: str, at_most_s: float | None = None) -> None:
        """Waits for a change under the lock. Raises DeadlineError after `end`."""
        left = None if end is None else end - time.monotonic()
        if left is not None and left <= 0:
            raise DeadlineError("{what} in time. Try again in a moment.", what=why[0].upper() + why[1:])
        self._changed.wait(min((s for s in (left, at_most_s) if s is not None), default=None))
        if self._closed:
            raise UnavailableError("The hub is shutting down.")

    def _start_reaper(self) -> None:
        if self.keep_alive_s > 0 and self._reaper is None and not self._closed:
            self._reaper = threading.Thread(target=self._reap, name="keep-alive", daemon=True)
            self._reaper.start()

    def _reap(self) -> None:
        """Drops models idle for `keep_alive_s`; ends when there is none left to watch."""
        while True:
            with self._changed:
                watched = [e for e in self._entries.values() if not e.pinned]
                if self._closed or not watched:
                    self._reaper = None
                    return
                now = self._clock()
                expired = [e for e in watched if e.ready and not e.leases and now - e.last_used >= self.keep_alive_s]
                for entry in expired:
                    self._drop(entry)
                if not expired:
                    oldest = min((e.last_used for e in watched if e.ready and not e.leases), default=now)
                    self._changed.wait(max(0.01, oldest + self.keep_alive_s - now))
                    continue
            del entry
            expired.clear()
            watched.clear()
            self._release()
