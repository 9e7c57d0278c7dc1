"""What the engine tells of runs, to whoever keeps something of them. It knows none of them by name."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from hub.engine.jobs import Job
from hub.errors import HubError
from hub.results.result import Result

log = logging.getLogger(__name__)


class Keeper(Protocol):
    """Keeps something of runs. What it raises is logged, and fails no run."""

    def begun(self, job: Job) -> None:
        """A run begins; who asks waits until this returns."""

    def ended(self, job: Job, outcome: Result | HubError) -> None:
        """A run that had begun has ended so; who asked waits until this returns."""

    def gone(self, id: str) -> None:
        """A result is kept nowhere any more. From any thread."""

    def close(self) -> None:
        """The hub ends."""


def tell_all(keepers: Sequence[Keeper], tell: Callable[[Keeper], None]) -> None:
    """Tells each keeper. One that fails costs only what it keeps: it is logged."""
    for keeper in keepers:
        try:
            tell(keeper)
        except HubError as error:
            log.warning("%s did not keep what it should: %s", type(keeper).__name__, error.message)
        except Exception:
            log.exception("%s failed", type(keeper).__name__)
