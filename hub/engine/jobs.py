"""One run on its way through the engine: what it is, who listens, and whether it is still wanted."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field, replace
from typing import Literal

from hub.errors import CancelledError, HubError, StoppingError
from hub.execution.executor import DECODED, PREPARED, OnEvent, Work
from hub.pages.inputs import Inputs
from hub.pages.registry import Page
from hub.people.owners import MACHINE, Owner
from hub.people.users import Caller
from hub.results.result import Capsule
from hub.spec import Demo, Progress
from hub.tracing import OpenSpan, new_trace

log = logging.getLogger(__name__)

Kind = Literal["visitor", "background", "live", "batch"]
BATCHES = "batches"  # in the place of the address from which a picture of a batch came
LEFT_S = 3.0  # a run that no page follows for so long is not wanted any more


class Cancel:
    """A flag the caller may set; the run stops at the next step it can. The hub sets it too, when it ends."""

    def __init__(self) -> None:
        # No Event: a signal handler that sets one waits for ever if it interrupted this very thread in setting it.
        self._is_set = False
        self.hub_ends: threading.Event | None = None  # from its first run on

    def set(self) -> None:
        self._is_set = True

    def is_set(self) -> bool:
        return self._is_set or (self.hub_ends is not None and self.hub_ends.is_set())


class Stop:
    """The end of the hub: from `begun` on no new work is taken, and what goes on is cancelled once `over`."""

    def __init__(self) -> None:
        self.begun, self.over = threading.Event(), threading.Event()

    def admit(self, cancel: Cancel) -> None:
        """Raises StoppingError for what begins now. What began before goes on, with more runs under the same flag."""
        if cancel.hub_ends is None:
            self.admit_new()
            cancel.hub_ends = self.over

    def admit_new(self) -> None:
        """Raises StoppingError once the hub is about to end."""
        if self.begun.is_set():
            raise self.refusal()

    def refusal(self) -> StoppingError:
        """What is told of work that is not taken any more."""
        return StoppingError("The hub is stopping and takes no new work. Try again in a moment.")

    def cut_off(self, error: HubError) -> bool:
        """Whether a run ended with `error` because the hub ends, and not because somebody cancelled it."""
        return isinstance(error, CancelledError) and self.over.is_set()

    def ended(self) -> StoppingError:
        """What is told of a run that was cut off."""
        return StoppingError("The hub stopped before this was done. Try again in a moment.")


class Followed(Cancel):
    """For a run that pages follow: sets itself when none has for a while, which leaves time to reload a page."""

    def __init__(self, patience_s: float = LEFT_S) -> None:
        super().__init__()
        self._patience_s = patience_s
        # Guards the three below; taken alone.
        self._lock = threading.Lock()
        self._followers = 0
        self._until = self._followed = time.monotonic() + patience_s

    def join(self) -> None:
        """A page begins to follow."""
        with self._lock:
            self._followers += 1

    def leave(self) -> None:
        """A page that followed is gone, or loaded again."""
        with self._lock:
            self._followers -= 1
            self._until = max(self._until, time.monotonic() + self._patience_s)

    def look(self, seconds: float) -> None:
        """Who may follow it is here: the run goes on for so long, at least."""
        with self._lock:
            self._until = max(self._until, time.monotonic() + seconds)

    def follow(self, seconds: float) -> None:
        """A page follows for so long, and will say so again; instead of `join`, where nobody hears that it left."""
        with self._lock:
            self._followed = time.monotonic() + seconds
            self._until = max(self._until, self._followed + self._patience_s)

    @property
    def is_left(self) -> bool:
        """Whether no page follows."""
        return not self._followers and time.monotonic() > self._followed

    def is_set(self) -> bool:
        return super().is_set() or (self.is_left and time.monotonic() > self._until)


class Events:
    """What a run tells as it happens. Whoever listens hears all from then on; a listener's own failure is logged.

    It does not fail the run, which others may share.
    """

    def __init__(self, on_event: OnEvent):
        self._listeners: tuple[OnEvent, ...] = (on_event,)  # written whole: another thread may be telling
        self.last: tuple[str, Progress | None] = ("queued", None)
        self.decoded = False  # whether all pictures that went in could be read

    def listen(self, on_event: OnEvent) -> None:
        """Somebody else listens too from now on."""
        self._listeners = (*self._listeners, on_event)

    def tell(self, stage: str, progress: Progress | None) -> None:
        """The run is at this stage."""
        if stage == DECODED:
            self.decoded = True
            return
        if stage == PREPARED:
            return
        before = self.last[1]
        if progress is not None and progress.text is None and before is not None and before.text is not None:
            progress = replace(progress, text=before.text)  # what is said of the text stays true between two of them
        self.last = (stage, progress)
        for on_event in self._listeners:
            try:
                on_event(stage, progress)
            except Exception:
                log.exception("a listener failed on %r", stage)


def text_so_far(progress: Progress | None) -> str:
    """What the one run that a progress is for has of its text; empty: nothing yet."""
    return (progress.text[0] or "") if progress and progress.text else ""


@dataclass(frozen=True, slots=True)
class Job:
    """One run on its way: what it is, for whom, and when it must be done."""

    page: Page
    inputs: Inputs
    capsule: Capsule
    id: str
    begin: float  # of the performance counter
    events: Events
    cancel: Cancel
    caller: Caller | None = None  # None: this machine itself
    owner: Owner = MACHINE  # the same as stores know them
    kind: Kind = "visitor"
    deadline_s: float = 120.0  # after `begin`
    span: OpenSpan = field(default_factory=lambda: OpenSpan(new_trace()))

    @property
    def left_s(self) -> float:
        """Seconds from now until nobody waits for it."""
        return self.deadline_s - (time.perf_counter() - self.begin)

    @property
    def demo(self) -> Demo:
        return self.page.demo

    @property
    def live(self) -> bool:
        """A camera's frame, of which nothing is kept."""
        return self.kind == "live"

    @property
    def background(self) -> bool:
        """The hub's own work, which is nobody's."""
        return self.kind == "background"

    @property
    def unhurried(self) -> bool:
        """Nobody sits and waits for it, so it takes no place from those who do."""
        return self.kind in ("background", "batch")

    def work(self, left_s: float, wants_sight: bool) -> Work:
        """The run as it is handed to an executor."""
        capsule = self.capsule
        # All pictures of batches have one turn together, beside those of the addresses that people ask from.
        lane = BATCHES if self.kind == "batch" else self.owner.source
        return Work(
            capsule.page, capsule.weights, capsule.digest, capsule.parameters, self.inputs.pictures, capsule.to_json(),
            left_s, self.live, wants_sight, (lane, self.owner.id), self.page.model_slug, self.span.trace,
        )  # fmt: skip
