"""What the pool knows of one model, and what it hands out and tells of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hub.errors import HubError, OutOfMemoryError, UnavailableError
from hub.texts import sentence


class NoRoomError(UnavailableError):
    """`ModelPool.ensure` found no room; never leaves the pool."""


@dataclass(slots=True)
class PoolEntry:
    """One model's place. All fields are guarded by the pool's lock; `model` is read while leased."""

    key: str
    bytes: int  # the estimate while loading, then measured
    model: Any = None
    admitted: bool = False  # whether `bytes` count; who waits for room takes none of it
    ready: bool = False
    error: HubError | None = None
    leases: int = 0
    leaving: bool = False  # takes no new leases: another model has waited too long for its room
    used: bool = False  # a model just loaded is evicted only when nothing else can be
    pinned: bool = False
    loaded_at: float = 0.0
    last_used: float = 0.0
    load_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Lease:
    """A model in use. `cold` is True for the one lease whose request caused the load."""

    model: Any
    cold: bool
    wait_ms: float


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """A line of the pool's state; times in seconds, sizes in bytes."""

    key: str
    state: str  # loading, ready
    bytes: int
    leases: int
    pinned: bool
    loaded_for_s: float
    idle_for_s: float
    load_ms: float
    # Its turn to leave when room is needed: 1 is the next one, unless those after it make enough room without it.
    # 0: pinned, in use or loading.
    leaves: int


def status_of(entry: PoolEntry, now: float, leaves: int) -> ModelStatus:
    """An entry's line."""
    return ModelStatus(
        key=entry.key,
        state="ready" if entry.ready else "loading",
        bytes=entry.bytes,
        leases=entry.leases,
        pinned=entry.pinned,
        loaded_for_s=now - entry.loaded_at if entry.ready else 0.0,
        idle_for_s=now - entry.last_used if entry.ready and not entry.leases else 0.0,
        load_ms=entry.load_ms,
        leaves=leaves,
    )


def too_large(entry: PoolEntry, budget_bytes: int, pinned_bytes: int) -> OutOfMemoryError:
    """What is told of a model for which no eviction makes room enough."""
    keep = " and pinned models keep {size:.0f} MB of it"
    return OutOfMemoryError(
        "{model} needs {size:.0f} MB; models may take {most:.0f} MB here{pinned}. Raise --pool-gb, or unpin a model.",
        model=entry.key,
        size=entry.bytes / 1e6,
        most=budget_bytes / 1e6,
        pinned=sentence(keep, size=pinned_bytes / 1e6) if pinned_bytes else "",
    )


def model_key(slug: str, weights: str, digest: str) -> str:
    """A model's name in the pool; `weights` empty: the demo has none."""
    return f"{slug}/{weights}@{digest[:12]}" if weights else slug
