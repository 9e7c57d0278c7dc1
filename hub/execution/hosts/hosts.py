"""What every executor over several hosts does: runs go where they are done first, models are asked and changed in all.

Who starts and ends hosts is another's: processes of this machine (hub/execution/workers.py), or replicas of a cluster
(hub/cluster/executor.py).
"""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Generic, TypeVar

from hub.errors import DeadlineError, HubError, OtherWeightsError, UnavailableError, too_late
from hub.execution import models
from hub.execution.construction import explain
from hub.execution.dispatch import Dispatch, Ticket
from hub.execution.executor import PREPARED, Computed, Flag, OnEvent, Waiting, Work, with_place
from hub.execution.finding import Finding
from hub.execution.hosts.host import Host, LostError
from hub.execution.leases import ModelStatus
from hub.execution.messages import Counted
from hub.execution.models import Machine, PoolState, Resident
from hub.metrics import Metrics
from hub.pages.registry import Registry
from hub.settings import Settings
from hub.spec import Progress
from hub.texts import Sentence
from hub.weights.store import WeightsStore

log = logging.getLogger(__name__)
ASK_S = 5.0  # patience with a host that is asked what it holds
# Of a run whose hosts ended: so often while they were at work for it, and so often in all.
STRIKES, LOST_MOST = 3, 6
BLAMELESS = ("", PREPARED, "loading")  # where a run may be when its host ends for another's sake; "": not begun
WARM_AGAIN_S = 60.0  # a host without room for a model is not asked again for so long
AT_ONCE = 16  # hosts that are asked at the same time

H = TypeVar("H", bound=Host)
T = TypeVar("T")


class Hosts(ABC, Generic[H]):
    """Runs models in several hosts. It is an `Executor`, and all of `Models` but `processes`."""

    def __init__(self, settings: Settings, registry: Registry, weights: WeightsStore, metrics: Metrics, *, cores: int):
        self._settings, self._registry, self._weights, self._metrics = settings, registry, weights, metrics
        self._dispatch: Dispatch[H] = Dispatch(settings.max_batch, cores, warm=self._warm)
        # Guards all below, and what who starts hosts keeps of them. Never held while a host is waited for.
        self._lock = threading.Lock()
        self._closed = False
        self._pinned: dict[tuple[str, str], None] = {}  # pages and weights that a new host pins too
        self._warmed: dict[tuple[H, str], float] = {}  # when a host was asked to load a model ahead of use
        self._machine = Finding(self._find_machine, "hardware")

    # --- who starts and ends hosts ----------------------------------------------------------------

    @abstractmethod
    def _alive(self) -> Sequence[H]:
        """The hosts there are, the longest there first."""

    @abstractmethod
    def _grow(self) -> None:
        """One host more would have something to do."""

    @abstractmethod
    def _find_machine(self) -> Machine:
        """As `Models.machine`; takes seconds."""

    @abstractmethod
    def _lost(self, work: Work, hosts: Sequence[H]) -> UnavailableError:
        """What is told of a run that was lost with each of these hosts."""

    # --- runs -------------------------------------------------------------------------------------

    def compute(self, work: Work, on_event: OnEvent, cancel: Flag) -> Computed:
        """As `Executor` says."""
        on_event("queued", None)
        end = time.monotonic() + work.left_s
        refused: list[H] = []
        strikes, stage = 0, ""

        def hear(now: str, progress: Progress | None) -> None:
            nonlocal stage
            stage = now
            on_event(now, progress)

        while True:
            stage = ""
            with self._dispatch.place(work, frozenset(refused), lambda: end - time.monotonic(), cancel) as host:
                if self._dispatch.is_crowded:
                    self._grow()
                try:
                    sent = replace(work, left_s=max(0.0, end - time.monotonic()))
                    computed = host.compute(sent, hear, cancel, lambda: self._too_late(work))
                except LostError:
                    refused.append(host)
                    strikes += stage not in BLAMELESS
                    self._metrics.run_lost(work.slug)
                    log.warning("a run of %s was lost with its host (%s)", work.slug, host.how_it_ended())
                except OtherWeightsError:
                    if refused or len(self._alive()) == 1:
                        raise
                    refused.append(host)
                else:
                    self._dispatch.learn(work.slug, computed)
                    return with_place(computed, work.left_s - sent.left_s)
            if strikes == STRIKES or len(refused) == LOST_MOST:
                raise self._lost(work, refused)

    def _too_late(self, work: Work) -> DeadlineError:
        return too_late(work.slug, self._settings.deadline_s, self.why_late(work))

    def dtype_name(self, left_s: float) -> str:
        return self.machine(left_s).dtype

    def tolerance(self, left_s: float) -> float:
        return self.machine(left_s).tolerance

    def waiting(self, asker: tuple[str, str], slug: str) -> Waiting | None:
        """As `Executor` says."""
        return self._dispatch.waiting((*asker, slug))

    def why_late(self, work: Work) -> Sentence | None:
        """As `Executor` says."""
        return None if self._loaded_anywhere(work) else self.stuck(self._settings.deadline_s / 2)

    def _loaded_anywhere(self, work: Work) -> bool:
        return any(
            models.is_of_page(key, work.model_slug, work.weights) for host in self._alive() for key in host.pulse.loaded
        )

    def drop_outputs(self, slugs: Collection[str]) -> None:
        """As `Executor` says."""
        for host in self._alive():
            host.tell("drop_outputs", tuple(slugs))

    def read_again(self, slugs: Collection[str], stale: Collection[str]) -> None:
        """As `Executor` says; a host that is started later reads the files as they are then."""

        def read(host: H) -> None:
            try:
                host.ask("read_again", tuple(slugs), tuple(stale), timeout_s=self._settings.deadline_s)
            except (LostError, DeadlineError):
                log.warning("a host of models did not read pages again")

        self._all(read, self._alive())

    # --- models -----------------------------------------------------------------------------------

    def machine(self, left_s: float | None = None) -> Machine:
        """As `Models` says."""
        return self._machine.get(left_s)

    def _first(self, fits: Callable[[H], bool] = lambda host: True) -> H:
        """Any host, of those that fit; waits for one that is about to be started. Raises UnavailableError."""
        end = time.monotonic() + self._settings.deadline_s
        while time.monotonic() < end and not self._closed:
            for host in self._alive():
                if fits(host):
                    return host
            time.sleep(0.05)
        raise UnavailableError("The processes that run models do not start. The hub's log has the details.")

    def _ask_machine(self, fits: Callable[[H], bool] = lambda host: True) -> Machine:
        for last in (False, True):
            try:
                machine: Machine = self._first(fits).ask("machine")
                break
            except LostError:
                if last:
                    raise UnavailableError(
                        "The processes that run models end as soon as they are started. The hub's log has the details."
                    ) from None
        return machine

    def state(self) -> PoolState:
        """As `Models` says: of a model that several hosts hold, what they hold together."""

        def ask(host: H) -> PoolState | None:
            try:
                state: PoolState = host.ask("state", timeout_s=ASK_S)
            except (LostError, DeadlineError):
                return None  # it has just ended, or has just been started
            return state

        states = [state for state in self._all(ask, self._alive()) if state is not None]
        merged: dict[str, ModelStatus] = {}
        for one in (model for state in states for model in state.models):
            merged[one.key] = _together(merged[one.key], one) if one.key in merged else one
        known = {key: size for state in states for key, size in state.known_bytes.items()}
        backends = {key: name for state in states for key, name in state.backends.items()}
        return PoolState(sum(state.used_bytes for state in states), tuple(merged.values()), known, backends)

    def residents(self) -> list[Resident]:
        """As `Models` says."""
        return models.residents(self._registry, self._weights, self.state())

    def change(self, slug: str, weights: str, action: str) -> Resident:
        """As `Models` says, in every host."""
        models.check_action(action)
        page = self._registry.get(slug)
        name = models.weights_name(page.demo, weights)
        with self._lock:
            if action == "pin":
                self._pinned[slug, name] = None
            elif action != "load":
                self._pinned.pop((slug, name), None)
        self._all(lambda host: self._asked(host, "change", slug, name, action), self._alive() or [self._first()])
        return models.resident(self._weights, self.state(), page, name)

    def preload(self, slug: str, weights: str = "", *, evict: bool = False, pin: bool = False) -> bool:
        """As `Models` says, in the first host."""
        name = models.weights_name(self._registry.get(slug).demo, weights)
        return bool(self._asked(self._first(), "preload", slug, name, evict, pin))

    def _asked(self, host: H, function: str, *arguments: Any) -> Any:
        try:
            return host.ask(function, *arguments)
        except LostError:
            raise UnavailableError("The process that runs models ended meanwhile. Try again.") from None

    def is_loaded(self, slug: str) -> bool:
        """As `Models` says."""
        page = self._registry.get(slug)
        slug = page.model_slug
        return any(models.default_loaded(host.pulse.loaded, page.demo, slug) for host in self._alive())

    def holds(self, key: str) -> bool:
        """As `Models` says."""
        return any(key in host.pulse.loaded for host in self._alive())

    def stuck(self, after_s: float | None = None) -> Sentence | None:
        """As `Models` says."""
        limit_s = self._settings.deadline_s if after_s is None else after_s
        for host in self._alive():
            building = host.pulse.building
            if building is not None and building.seconds > limit_s:
                return explain(building.key, building.seconds)
        return None

    def warnings(self) -> list[Sentence]:
        """As `Models` says."""
        return list(dict.fromkeys(w for host in self._alive() for w in host.pulse.warnings))

    # --- hosts ------------------------------------------------------------------------------------

    def _all(self, ask: Callable[[H], T], hosts: Iterable[H]) -> list[T]:
        """What came of asking each host, several at a time. Raises the first error once all have answered."""
        hosts = list(hosts)
        if len(hosts) == 1:
            return [ask(hosts[0])]
        answers: list[T] = []
        error: HubError | None = None
        with ThreadPoolExecutor(min(AT_ONCE, max(1, len(hosts))), "ask-hosts") as threads:
            for future in [threads.submit(ask, host) for host in hosts]:
                try:
                    answers.append(future.result())
                except HubError as problem:
                    error = error or problem
        if error is not None:
            raise error
        return answers

    def _take(self, host: H) -> None:
        """A host has been started: it pins what the others do, and takes runs."""
        with self._lock:
            pinned = list(self._pinned)
        for slug, weights in pinned:
            host.tell("change", slug, weights, "pin")
        self._dispatch.add(host)
        self._count_hosts()

    def _drop(self, host: H) -> bool:
        """It takes no more runs. False: it took none before."""
        dropped = self._dispatch.remove(host)
        with self._lock:
            for key in [key for key in self._warmed if key[0] is host]:
                del self._warmed[key]
        self._count_hosts()
        return dropped

    def _warm(self, host: H, ticket: Ticket[H]) -> None:
        """Brings a model into one host more, where there is free room, ahead of use."""
        now, key = time.monotonic(), (host, ticket.key)
        with self._lock:
            if now - self._warmed.get(key, -WARM_AGAIN_S) < WARM_AGAIN_S:
                return
            self._warmed[key] = now
        weights = ticket.key.partition("/")[2].rpartition("@")[0]
        host.tell("preload", ticket.slug, weights)

    def _count_bytes(self) -> None:
        self._metrics.pool_bytes.set(sum(one.pulse.used_bytes for one in self._alive()))

    def _count_hosts(self) -> None:
        self._metrics.hosts.set(len(self._alive()))

    def _count(self, message: Counted) -> None:
        if message.function != "pool_changed" or message.arguments[0] in ("load", "eviction"):
            getattr(self._metrics, message.function)(*message.arguments)

    def _refuse_all(self) -> None:
        """Whoever waits for a place, now or later, is told that the hub ends."""
        with self._lock:
            self._closed = True
        self._dispatch.refuse_all(UnavailableError("The hub is shutting down."))


def _together(one: ModelStatus, other: ModelStatus) -> ModelStatus:
    """A model that two hosts hold."""
    return ModelStatus(
        key=one.key,
        state="ready" if "ready" in (one.state, other.state) else one.state,
        bytes=one.bytes + other.bytes,
        leases=one.leases + other.leases,
        pinned=one.pinned or other.pinned,
        loaded_for_s=max(one.loaded_for_s, other.loaded_for_s),
        idle_for_s=min(one.idle_for_s, other.idle_for_s),
        load_ms=max(one.load_ms, other.load_ms),
        leaves=max(one.leaves, other.leaves),
    )
