"""What each page opens with: its first example, answered while nobody waited and kept as any other result."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from hub.archive.examples import IDLE_S, LOOK_S, Run, example_inputs
from hub.engine.jobs import Cancel, Job
from hub.errors import CancelledError, HubError, brief
from hub.pages.registry import Page, Registry
from hub.results.result import Result
from hub.results.store import ResultStore

log = logging.getLogger(__name__)


class FirstAnswers:
    """A thread, while there is work for it, that runs the first example of pages that were opened without an answer.

    One at a time, with nothing in work; one that has not begun makes way when a visitor's run arrives. What has been
    answered before is found among the stored results, without the model. `in_work()` is how many runs somebody waits
    for. `makes` false: none are run.
    """

    def __init__(
        self, registry: Registry, results: ResultStore, run: Run, in_work: Callable[[], int], makes: bool = True
    ):
        self._registry, self._results, self._run, self._in_work = registry, results, run, in_work
        self._makes = makes
        # Guards _ids, _wishes, _failed and _thread; taken alone.
        self._lock = threading.Lock()
        self._ids: dict[str, str] = {}  # of the result, by page
        self._wishes: dict[str, None] = {}
        self._failed: set[str] = set()  # pages whose example fails: not tried again
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._cancel = Cancel()

    def get(self, page: Page) -> Result | None:
        """The answer to the page's first example. None: not yet, or none; it is asked for then."""
        with self._lock:
            id = self._ids.get(page.slug, "")
        result = self._results.get(id) if id else None
        if result is None:
            self._wish(page)
        return result

    def forget(self, slugs: Collection[str]) -> None:
        """These pages were written anew."""
        with self._lock:
            for slug in slugs:
                self._ids.pop(slug, None)
                self._failed.discard(slug)

    def begun(self, job: Job) -> None:
        """A visitor's run makes the example wait."""
        if not job.background:
            self._cancel.set()

    def ended(self, job: Job, outcome: Result | HubError) -> None:
        """Nothing is learnt of a run."""

    def gone(self, id: str) -> None:
        """`get` sees for itself."""

    def close(self) -> None:
        self._closing.set()
        self._cancel.set()

    def _wish(self, page: Page) -> None:
        if page.declared is None or not page.declared.examples or not self._makes or self._closing.is_set():
            return
        with self._lock:
            if page.slug in self._failed:
                return
            self._wishes[page.slug] = None
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="first answers", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._wishes or self._closing.is_set():
                    self._thread = None
                    return
                slug = next(iter(self._wishes))
            self._answer(self._registry.get(slug))

    def _answer(self, page: Page) -> None:
        if not self._wait():
            return
        inputs: Mapping[str, Any] = example_inputs(page, page.demo.examples[0])
        self._cancel = Cancel()
        try:
            result = self._run(page.slug, inputs, self._cancel)
        except CancelledError:
            return  # a visitor came first: it stays a wish
        except HubError as error:
            log.warning("the first example of %s has no answer: %s", page.slug, brief(error))
            result = None
        with self._lock:
            self._wishes.pop(page.slug, None)
            if result is None:
                self._failed.add(page.slug)
            else:
                self._ids[page.slug] = result.id

    def _wait(self) -> bool:
        """Waits until nothing is in work; False when the hub closes."""
        quiet_since = time.monotonic()
        while not self._closing.wait(LOOK_S):
            if self._in_work():
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since >= IDLE_S:
                return True
        return False
