"""The seam to where models run: one run goes in as plain data, and what came of it comes out as plain data.

So a run can be computed in this process, in another one, or on another machine, and what is above cannot tell.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from hub.results.result import Picture
from hub.results.sight import Sight
from hub.spec import Progress
from hub.texts import Sentence
from hub.tracing import Stage, Trace

# Hears "queued", "loading", "running", from any thread; and "decoded" once all pictures of the run could be read,
# "prepared" once it waits for its model alone.
OnEvent = Callable[[str, Progress | None], None]
DECODED, PREPARED = "decoded", "prepared"


class Flag(Protocol):
    """Whether a run is still wanted: `threading.Event` is one."""

    def is_set(self) -> bool:
        """Whether nobody wants it any more; asked often, from any thread."""


@dataclass(frozen=True, slots=True)
class Work:
    """One run as it is handed over. All of it can be pickled."""

    slug: str
    weights: str  # name; empty for a demo without weights
    digest: str  # of the weights
    parameters: Mapping[str, object]  # checked values of all inputs but pictures, as JSON has them
    pictures: Mapping[str, bytes]  # encoded, as they came
    capsule_json: str  # written into the pictures of a gallery
    left_s: float  # seconds from now until nobody waits for it
    live: bool = False  # a camera's frame: nothing of it is kept, not even in memory
    wants_sight: bool = False  # whether the embedding is to be kept, with a thumbnail
    asker: tuple[str, str] = (
        "",
        "",
    )  # whose turn it takes, by account or address and by caller, hashed; empty: the hub's own
    of_page: str = ""  # the page whose model it takes, where that is another
    trace: Trace | None = None  # what is logged meanwhile belongs to it

    @property
    def model_slug(self) -> str:
        """The page whose model it takes."""
        return self.of_page or self.slug


@dataclass(frozen=True, slots=True)
class Computed:
    """What came of a run. Times in milliseconds; all 0 but prepare and present where the model did not run."""

    values_json: str
    pictures: Mapping[str, tuple[Picture, ...]]
    prepare_ms: float
    queue_ms: float
    load_ms: float
    infer_ms: float
    present_ms: float
    batch_size: int  # 0: the model did not run, since its output was still there
    cold: bool
    device: str
    dtype: str
    remarks: tuple[Sentence, ...]  # what a reader should know of how the inputs were read
    sentences: tuple[Sentence, ...]  # among the values, so that they can be translated
    sight: Sight | None = None  # nobody's yet
    backend: str = "eager"  # how the model ran
    headline: str = ""  # the answer in a few words
    stages: tuple[Stage, ...] = ()  # when its parts were, for traces; an executor may tell none


def with_place(computed: Computed, waited_s: float) -> Computed:
    """The same with the wait for a place among its stages, which came before all others."""
    if not computed.stages:
        return computed
    place = Stage("place", computed.stages[0].begin - waited_s, waited_s)
    return replace(computed, stages=(place, *computed.stages))


@dataclass(frozen=True, slots=True)
class Waiting:
    """A run that waits for a place: which it is among those that wait, and the seconds until its turn."""

    place: int  # 1 is the next
    left_s: float


class Executor(Protocol):
    """Where models run."""

    def compute(self, work: Work, on_event: OnEvent, cancel: Flag) -> Computed:
        """Decodes, prepares, infers in a batch, presents, encodes. Raises HubError."""

    def dtype_name(self, left_s: float) -> str:
        """The precision that models run in here, such as "float32". Raises HubError, DeadlineError past `left_s`."""

    def tolerance(self, left_s: float) -> float:
        """How far answers may be apart by how the model ran (hub/execution/backends); 0: it runs in one way only."""

    def why_late(self, work: Work) -> Sentence | None:
        """What keeps a run waiting whose time is over; None: nothing that is known."""

    def waiting(self, asker: tuple[str, str], slug: str) -> Waiting | None:
        """The next of an asker's runs of a page that wait; None: none does, or nobody here waits for places."""

    def drop_outputs(self, slugs: Collection[str]) -> None:
        """Forgets what models made of what people put in on these pages."""

    def read_again(self, slugs: Collection[str], stale: Collection[str]) -> None:
        """The files of these pages were saved: the next runs are of what they are now.

        `stale`: those of them whose models are loaded anew; the others' stay in memory.
        """

    def close(self) -> None:
        """Ends what is in work, and drops all models."""
