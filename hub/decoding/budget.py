"""How many pixels may be open at once in the whole process: asked before any picture is decoded.

A file of 155 KB can hold a picture of 400 MB. So every decoding, whichever door it is for, takes room here by the
size that the file declares, and waits for it: first come, first served. An eighth is for small pictures alone, so
that a camera's frame or a thumbnail is never stuck behind giants.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from PIL import Image

from hub.errors import BusyError, CancelledError
from hub.memory import trim_soon

RGB_BYTES = 8  # a pixel of an ordinary picture takes: four as Pillow holds it, four for what is made of it
# The modes of Pillow whose way to RGB takes more, with what stands beside the picture meanwhile.
MODE_BYTES = {"RGBA": 12, "LA": 12, "PA": 12, "CMYK": 12, "LAB": 12, "YCbCr": 12, "I": 24, "F": 24}
SMALL_SHARE = 8  # of the room is for small pictures alone; a picture is small if that share holds so many of it
PATIENCE_S = 20.0  # how long a thumbnail or preview waits, whose request has no deadline of its own
LOOK_S = 0.25  # between two looks whether the caller has left
RETRY_S = 5
GIANTS = 4  # of the largest pictures are open at once, where the settings do not say


@dataclass(slots=True, eq=False)
class _Lane:
    """Room in pixels; `waiting` has one ticket for each who waits, the first come first."""

    limit: int
    used: int = 0
    waiting: deque[object] = field(default_factory=deque)


class Budget:
    """Counts the pixels that are open. Nobody who holds room waits for more, so two can never wait for each other."""

    def __init__(self, pixels: int):
        # Guards both lanes and what rooms hold of them. Taken alone.
        self._changed = threading.Condition()
        self._small, self._large = _Lane(0), _Lane(0)
        self.resize(pixels)

    def resize(self, pixels: int) -> None:
        """Sets how many pixels may be open at once; what is open already stays."""
        with self._changed:
            self._small.limit = max(1, pixels // SMALL_SHARE)
            self._large.limit = max(1, pixels - self._small.limit)
            self._changed.notify_all()

    @property
    def pixels(self) -> int:
        return self._small.limit + self._large.limit

    @property
    def used(self) -> int:
        """Pixels that are open now."""
        with self._changed:
            return self._small.used + self._large.used

    @property
    def waiting(self) -> int:
        """How many wait for room."""
        with self._changed:
            return len(self._small.waiting) + len(self._large.waiting)

    def take(self, room: PixelRoom, pixels: int) -> None:
        """Room for so many pixels more. Raises BusyError when none came free in time, CancelledError."""
        with self._changed:
            lane = room.lane or (self._small if pixels * SMALL_SHARE <= self._small.limit else self._large)
            if room.lane is None:
                self._wait(room, lane, min(pixels, lane.limit))  # what is larger than all comes in alone
            room.lane, room.held = lane, room.held + pixels
            lane.used += pixels

    def _wait(self, room: PixelRoom, lane: _Lane, pixels: int) -> None:
        ticket, begin = object(), time.monotonic()
        lane.waiting.append(ticket)
        try:
            while lane.waiting[0] is not ticket or (lane.used and lane.used + pixels > lane.limit):
                if room.unwanted():
                    raise CancelledError("The run was cancelled.")
                left_s = room.left_s()
                if left_s <= 0:
                    raise BusyError(
                        "Others' pictures took all the room there is: {most} megapixels are open at once in this hub. "
                        "It did not come free in {waited} s. Try again in a moment, or with a smaller picture.",
                        most=f"{self.pixels / 1e6:.1f}".removesuffix(".0"),
                        waited=f"{time.monotonic() - begin:.0f}",
                        retry_after_s=RETRY_S,
                    )
                self._changed.wait(min(left_s, LOOK_S))
        finally:
            lane.waiting.remove(ticket)
            self._changed.notify_all()  # the next in turn may fit

    def give_back(self, room: PixelRoom) -> None:
        """Frees all that a room holds."""
        with self._changed:
            if room.lane is None:
                return
            large = room.lane is self._large
            room.lane.used -= room.held
            room.lane, room.held, room.covered = None, 0, 0
            self._changed.notify_all()
        if large:
            trim_soon()

    def is_wanted(self, room: PixelRoom) -> bool:
        """Whether others wait for what a room holds."""
        with self._changed:
            return room.lane is not None and bool(room.lane.waiting)


def pixels_of(megapixels: float, largest: int) -> int:
    """How many pixels may be open in a whole hub: as its settings say, else so many as a few of the largest have."""
    return int(megapixels * 1_000_000) or GIANTS * largest


BUDGET = Budget(200_000_000)  # of the process: memory is the process's too. An engine sets what its settings say.
_ROOM: ContextVar[PixelRoom | None] = ContextVar("room", default=None)


@dataclass(slots=True, eq=False)
class PixelRoom:
    """What one caller has of the budget. `left_s`: how long it can wait; `unwanted`: whether it still wants to."""

    left_s: Callable[[], float]
    unwanted: Callable[[], bool]
    lane: _Lane | None = None
    held: int = 0
    covered: int = 0  # of `held`, what was reserved and not asked for yet

    def reserve(self, pixels: int) -> None:
        BUDGET.take(self, pixels)
        self.covered += pixels

    def ask(self, pixels: int) -> None:
        covered = min(pixels, self.covered)
        self.covered -= covered
        if pixels > covered:
            BUDGET.take(self, pixels - covered)

    def give_back(self) -> None:
        BUDGET.give_back(self)

    @property
    def is_wanted(self) -> bool:
        return BUDGET.is_wanted(self)


@contextmanager
def room(
    left_s: Callable[[], float] | None = None, unwanted: Callable[[], bool] = lambda: False
) -> Iterator[PixelRoom]:
    """What is decoded in this block counts as open until it ends. A room within a room is the same room."""
    outer = _ROOM.get()
    if outer is not None:
        yield outer
        return
    end = time.monotonic() + PATIENCE_S
    own = PixelRoom(left_s or (lambda: end - time.monotonic()), unwanted)
    token = _ROOM.set(own)
    try:
        yield own
    finally:
        _ROOM.reset(token)
        own.give_back()


def ask(size: tuple[int, int], mode: str = "RGB", beside: int = 0) -> None:
    """Takes room for one picture, as `weigh` says, in the room that is open. Raises as `take` does."""
    if (current := _ROOM.get()) is not None:
        current.ask(weigh(size, mode, beside))


def reserve(pixels: int) -> None:
    """Takes room for several pictures in one go, each of which then asks for its own. Raises as `take` does."""
    if (current := _ROOM.get()) is not None:
        current.reserve(pixels)


def weigh(size: tuple[int, int], mode: str = "RGB", beside: int = 0) -> int:
    """The pixels that a picture counts as, by its declared size: more than it has where its way to RGB takes more
    memory, or where its reader must hold so many bytes beside it."""
    return (size[0] * size[1] * MODE_BYTES.get(mode, RGB_BYTES) + beside) // RGB_BYTES


@contextmanager
def opened(picture: bytes | Path, near: tuple[int, int] | None = None) -> Iterator[Image.Image]:
    """A picture of the hub's own, to be decoded in this block. `near`: a JPEG need not be read larger than that."""
    with room(), Image.open(BytesIO(picture) if isinstance(picture, bytes) else picture) as image:
        if near is not None:
            image.draft("RGB", near)
        ask(image.size, image.mode)
        yield image
