"""Runs a page's examples while nobody waits, so that results can be compared with them."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from hub.engine.jobs import Cancel
from hub.errors import CancelledError, HubError, brief
from hub.execution.leases import model_key
from hub.pages.kinds import file_inputs
from hub.pages.registry import Page, Registry
from hub.results.result import Result
from hub.spec import Example, ImageInput

log = logging.getLogger(__name__)

IDLE_S = 0.2  # nothing was in work for so long: an example may run
LOOK_S = 0.05  # between two looks


@dataclass(frozen=True, slots=True)
class _Wish:
    """The examples of one page with one set of weights, whose vectors go to one group."""

    slug: str
    weights: str
    digest: str
    group: str


class Run(Protocol):
    """How an example is run for nobody."""

    def __call__(self, slug: str, inputs: Mapping[str, Any], cancel: Cancel) -> Result:
        """Raises HubError."""


class Examples:
    """A thread, while there is work for it, that runs examples nobody has run yet.

    It runs one at a time, only with the page's model in memory (it never loads one) and nothing in work; an
    example that has not begun makes way when a visitor's run arrives. `holds(key)` tells whether a model is in memory,
    `known(group)` the digests of the pictures that have been seen, `in_work()` how many runs somebody waits for.
    """

    def __init__(
        self,
        registry: Registry,
        holds: Callable[[str], bool],
        known: Callable[[str], set[str]],
        run: Run,
        in_work: Callable[[], int],
    ):
        self._registry, self._holds, self._known, self._run, self._in_work = registry, holds, known, run, in_work
        self._digests: dict[str, dict[str, int]] = {}  # written whole; two threads would write the same
        # Guards _wishes, _useless and _thread; taken alone.
        self._lock = threading.Lock()
        self._wishes: dict[_Wish, None] = {}
        self._useless: set[tuple[str, str]] = set()  # (group, picture) of examples that failed: not tried again
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._cancel = Cancel()

    def of(self, page: Page) -> Mapping[str, int]:
        """The number of each example by the sha256 of its first picture."""
        if page.slug not in self._digests:
            numbers: dict[str, int] = {}
            for number, example in enumerate(page.demo.examples):
                path = next((v for v in example_inputs(page, example).values() if v in _files(page, example)), None)
                if path is not None and path.is_file():
                    numbers.setdefault(hashlib.sha256(path.read_bytes()).hexdigest(), number)
            self._digests[page.slug] = numbers
        return self._digests[page.slug]

    def missing(self, page: Page, group: str) -> dict[str, int]:
        """The examples that a group still lacks."""
        digests = self._known(group)
        with self._lock:
            return {d: n for d, n in self.of(page).items() if d not in digests and (group, d) not in self._useless}

    def wake(self, page: Page, capsule: Mapping[str, Any], group: str) -> bool:
        """Asks for what is missing beside a result. Returns whether it will come: the model is in memory."""
        wish = _Wish(page.slug, capsule["weights"], capsule["digest"], group)
        if not self.missing(page, group) or not self._is_loaded(wish) or self._closing.is_set():
            return False
        with self._lock:
            self._wishes[wish] = None
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="examples", daemon=True)
                self._thread.start()
        return True

    def make_way(self) -> None:
        """A visitor's run has come: an example that waits for the model is cancelled, and tried again later."""
        self._cancel.set()

    def close(self) -> None:
        self._closing.set()
        self._cancel.set()

    # --- the thread -------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._wishes or self._closing.is_set():
                    self._thread = None
                    return
                wish = next(iter(self._wishes))
                del self._wishes[wish]
            try:
                self._fulfil(wish)
            except Exception:  # this thread serves all pages: one page's fault must not end it
                log.exception("examples of %s cannot be compared", wish.slug)

    def _fulfil(self, wish: _Wish) -> None:
        page = self._registry.get(wish.slug)
        while missing := self.missing(page, wish.group):
            if not self._wait(wish):
                return
            digest, number = next(iter(missing.items()))
            inputs = example_inputs(page, page.demo.examples[number])
            if len(page.demo.weights) > 1:
                inputs["weights"] = wish.weights
            self._cancel = Cancel()
            try:
                self._run(wish.slug, inputs, self._cancel)
            except CancelledError:
                continue
            except HubError as error:
                if self._closing.is_set():
                    return
                log.warning("example %d of %s is not compared: %s", number + 1, wish.slug, brief(error))
            if digest in self.missing(page, wish.group):
                with self._lock:
                    self._useless.add((wish.group, digest))

    def _wait(self, wish: _Wish) -> bool:
        """Waits until nothing is in work; False when the model has left memory or the hub closes."""
        quiet_since = time.monotonic()
        while self._is_loaded(wish) and not self._closing.wait(LOOK_S):
            if self._in_work():
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since >= IDLE_S:
                return True
        return False

    def _is_loaded(self, wish: _Wish) -> bool:
        return self._holds(model_key(wish.slug, wish.weights, wish.digest))


def _files(page: Page, example: Example) -> list[Any]:
    """Paths of an example's pictures, in the order of the inputs."""
    names = [f.name for f in page.demo.inputs if isinstance(f, ImageInput)]
    return [page.assets / str(example.inputs[name]) for name in names if name in example.inputs]


def example_inputs(page: Page, example: Example) -> dict[str, Any]:
    """An example's inputs as the engine takes them."""
    pictures = file_inputs(page.demo)
    return {k: page.assets / str(v) if k in pictures else v for k, v in example.inputs.items()}
