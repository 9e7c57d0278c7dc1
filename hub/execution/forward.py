"""The threads that run forward passes, and how many cores each pass may use."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from hub.threads import Threads

# One team of OpenMP threads belongs to each thread that ever ran a forward pass, for as long as that lives, and libgomp
# waits worse the more of them there are: with a team for each page, all pages were slower by a third. So whatever
# model has work takes the thread that was at work last.
THREADS = Threads("forward")


class Cores:
    """How many cores a forward pass may use; what it is set to holds for passes that begin from then on."""

    def __init__(self) -> None:
        self.count: int | None = None  # None: as many as torch takes by itself
        self._of_thread = threading.local()

    @contextmanager
    def inference(self) -> Iterator[None]:
        """Wraps every forward pass."""
        import torch

        count = self.count
        # OpenMP keeps this number for each thread; to set it again costs as much as a small layer.
        if count is not None and getattr(self._of_thread, "count", None) != count:
            torch.set_num_threads(count)
            self._of_thread.count = count
        with torch.inference_mode():
            yield
