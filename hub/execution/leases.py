"""What the pool knows of one model, and what it hands out and tells of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hub.errors import HubError, UnavailableError


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
    leaves: int  # its turn to leave when room is needed: 1 is the next one; 0: pinned, in use or loading


def model_key(slug: str, weights: str, digest: str) -> str:
    """A model's name in the pool; `weights` empty: the demo has none."""
    return f"{slug}/{weights}@{digest[:12]}" if weights else slug
