"""The executor of a serving hub: models live in processes of their own, so that doors never wait for one.

Each has an in-process executor (hub/execution/worker.py). The first is started with the hub (of several devices one
each), the second once that has answered, others as they have something to do, up to the number that the machine has
room for. One that ends is replaced, and its runs are tried once more.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from hub.errors import DeadlineError, InputError, UnavailableError, too_late
from hub.execution import models
from hub.execution.construction import explain
from hub.execution.dispatch import Dispatch, Ticket
from hub.execution.executor import Computed, Flag, OnEvent, Waiting, Work, with_place
from hub.execution.finding import Finding
from hub.execution.leases import ModelStatus
from hub.execution.messages import Begin, Counted
from hub.execution.models import Machine, PoolState, ProcessStatus, Resident
from hub.execution.processes import LostError, ModelProcess, lost
from hub.metrics import Metrics
from hub.pages.registry import Registry
from hub.settings import Settings
from hub.texts import Sentence
from hub.weights.store import WeightsStore

log = logging.getLogger(__name__)
MOST_WORKERS = 4  # on a CPU, where the settings do not say: each has its own copy of a model
ASK_S = 5.0  # patience with a process that is asked what it holds
PAUSES_S = (0.0, 0.0, 1.0, 5.0, 15.0, 60.0)  # before the next start, by how many ended in a row without an answer
LOST_TWICE = 2
HUNG_S = 30.0  # a forward pass that nobody waits for any more may go on so long: it may be a long one that was stopped
WARM_AGAIN_S = 60.0  # a process without room for a model is not asked again for so long


class Workers:
    """Runs models in at most `count` processes. It is an `Executor`, and it is `Models`."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        weights: WeightsStore,
        metrics: Metrics,
        *,
        count: int,
        outputs_bytes: int,
    ):
        self._settings, self._registry, self._weights, self._metrics = settings, registry, weights, metrics
        # The device of each process. Several devices have one at least; of one, processes share the room.
        self._places = tuple(settings.devices[number % len(settings.devices)] for number in range(count))
        # What signs people in is no business of a process that runs pages' code.
        none = Settings()
        without_secrets = replace(settings, auth=none.auth, webhook_secret=none.webhook_secret, preload=False)
        self._begins = {
            device: Begin(
                replace(without_secrets, device=device), self._places.count(device), outputs_bytes // count, HUNG_S
            )
            for device in self._places
        }
        self._dispatch = Dispatch(settings.max_batch, available_cores(), warm=self._warm)
        # Guards all below. Never held while a process is waited for.
        self._lock = threading.Lock()
        self._processes: dict[ModelProcess, int] = {}  # and their places
        self._closed = False
        self._in_vain = 0  # ended in a row before they answered a run
        self._starting = False
        self._pinned: dict[tuple[str, str], None] = {}  # pages and weights that a new process pins too
        self._warmed: dict[tuple[int, str], float] = {}  # when a process was asked to load a model ahead of use
        self._machine = Finding(self._find_machine, "hardware")
        for _ in self._begins:  # of several devices, all: whether each is there is looked at
            self._start()

    # --- runs -------------------------------------------------------------------------------------

    def compute(self, work: Work, on_event: OnEvent, cancel: Flag) -> Computed:
        """As `Executor` says."""
        on_event("queued", None)
        end = time.monotonic() + work.left_s
        refused: list[ModelProcess] = []
        while True:
            with self._dispatch.place(work, frozenset(refused), lambda: end - time.monotonic(), cancel) as process:
                if self._dispatch.is_crowded:
                    self._grow()
                try:
                    sent = replace(work, left_s=max(0.0, end - time.monotonic()))
                    computed = process.compute(sent, on_event, cancel, lambda: self._too_late(work))
                except LostError:
                    refused.append(process)
                    log.warning("a run of %s was lost with its process", work.slug)
                else:
                    self._dispatch.learn(work.slug, computed)
                    if len(self._alive()) == 1:  # the second takes seconds to start: it is there before it is needed
                        self._grow()
                    return with_place(computed, work.left_s - sent.left_s)
            if len(refused) == LOST_TWICE:
                raise lost(work.slug, [process.exit_status for process in refused])

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
            models.is_of_page(key, work.model_slug, work.weights)
            for process in self._alive()
            for key in process.pulse.loaded
        )

    def drop_outputs(self, slugs: Collection[str]) -> None:
        """As `Executor` says."""
        for process in self._alive():
            process.tell("drop_outputs", tuple(slugs))

    def read_again(self, slugs: Collection[str], stale: Collection[str]) -> None:
        """As `Executor` says; a process that is started later reads the files as they are then."""
        for process in self._alive():
            try:
                process.ask("read_again", tuple(slugs), tuple(stale), timeout_s=self._settings.deadline_s)
            except (LostError, DeadlineError):
                log.warning("a model process did not read pages again")

    # --- models -----------------------------------------------------------------------------------

    def machine(self, left_s: float | None = None) -> Machine:
        """As `Models` says."""
        return self._machine.get(left_s)

    def _find_machine(self) -> Machine:
        machines = {device: self._ask_machine(device) for device in self._begins}
        first = machines[self._places[0]]
        budget_bytes = sum(machines[device].budget_bytes for device in self._places)
        name = ", ".join(machine.device for machine in machines.values())
        self._metrics.pool_budget_bytes.set(budget_bytes)
        return replace(first, device=name, budget_bytes=budget_bytes)

    def _ask_machine(self, device: str) -> Machine:
        for last in (False, True):
            try:
                machine: Machine = self._first(device).ask("machine")
                break
            except LostError:
                if last:
                    raise UnavailableError(
                        "The processes that run models end as soon as they are started. The hub's log has the details."
                    ) from None
        return machine

    def _first(self, device: str = "") -> ModelProcess:
        """Any process, of a device where one is named; waits for one that is about to be started.

        Raises UnavailableError.
        """
        end = time.monotonic() + self._settings.deadline_s
        while time.monotonic() < end and not self._closed:
            for process in self._alive():
                if not device or self._device_of(process) == device:
                    return process
            time.sleep(0.05)
        raise UnavailableError("The processes that run models do not start. The hub's log has the details.")

    def state(self) -> PoolState:
        """As `Models` says: of a model that several processes hold, what they hold together."""
        states: list[PoolState] = []
        for process in self._alive():
            try:
                states.append(process.ask("state", timeout_s=ASK_S))
            except (LostError, DeadlineError):
                continue  # it has just ended, or has just been started
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
        """As `Models` says, in every process."""
        models.check_action(action)
        page = self._registry.get(slug)
        name = models.weights_name(page.demo, weights)
        with self._lock:
            if action == "pin":
                self._pinned[slug, name] = None
            elif action != "load":
                self._pinned.pop((slug, name), None)
        for process in self._alive() or [self._first()]:
            self._asked(process, "change", slug, name, action)
        return models.resident(self._weights, self.state(), page, name)

    def preload(self, slug: str, weights: str = "", *, evict: bool = False, pin: bool = False) -> bool:
        """As `Models` says, in the first process."""
        name = models.weights_name(self._registry.get(slug).demo, weights)
        return bool(self._asked(self._first(), "preload", slug, name, evict, pin))

    def _asked(self, process: ModelProcess, function: str, *arguments: Any) -> Any:
        try:
            return process.ask(function, *arguments)
        except LostError:
            raise UnavailableError("The process that runs models ended meanwhile. Try again.") from None

    def is_loaded(self, slug: str) -> bool:
        """As `Models` says."""
        page = self._registry.get(slug)
        slug = page.model_slug
        return any(models.default_loaded(process.pulse.loaded, page.demo, slug) for process in self._alive())

    def holds(self, key: str) -> bool:
        """As `Models` says."""
        return any(key in process.pulse.loaded for process in self._alive())

    def stuck(self, after_s: float | None = None) -> Sentence | None:
        """As `Models` says."""
        limit_s = self._settings.deadline_s if after_s is None else after_s
        for process in self._alive():
            building = process.pulse.building
            if building is not None and building.seconds > limit_s:
                return explain(building.key, building.seconds)
        return None

    def warnings(self) -> list[Sentence]:
        """As `Models` says."""
        return list(dict.fromkeys(w for process in self._alive() for w in process.pulse.warnings))

    def processes(self) -> list[ProcessStatus]:
        """As `Models` says."""
        return [
            ProcessStatus(p.pid, self._device_of(p), self._dispatch.in_work(p), p.memory_bytes(), len(p.pulse.loaded))
            for p in self._alive()
        ]

    # --- processes --------------------------------------------------------------------------------

    def _alive(self) -> Sequence[ModelProcess]:
        with self._lock:
            return [process for process in self._processes if process.is_alive]

    def _device_of(self, process: ModelProcess) -> str:
        with self._lock:
            return self._places[self._processes[process]] if process in self._processes else ""

    def _grow(self) -> None:
        """One process more, where there may be one and the device has room for it."""
        machine = self._machine.known
        if machine is not None and (machine.device == "cpu" or len(self._begins) > 1):
            with self._lock:
                wanted = len(self._processes) < len(self._places) and not self._starting
            if wanted:
                self._start()

    def _start(self, place: int | None = None) -> None:
        """Starts a process, at the first free place if none is given."""
        with self._lock:
            free = set(range(len(self._places))) - set(self._processes.values())
            if self._closed or self._starting or not (free or place is not None):
                return
            at = min(free) if place is None else place
            self._starting = True
        try:
            begin = self._begins[self._places[at]]
            process = ModelProcess(begin, on_pulse=self._hear, on_counted=self._count, on_lost=self._replace)
        finally:
            with self._lock:
                self._starting = False
        with self._lock:
            if not process.is_alive:  # there is another already, or will be in a moment
                return
            self._processes[process] = at
            pinned = list(self._pinned)
        for slug, weights in pinned:
            process.tell("change", slug, weights, "pin")
        self._dispatch.add(process)

    def _replace(self, process: ModelProcess) -> None:
        """A process has ended: there will be another."""
        self._dispatch.remove(process)
        with self._lock:
            place = self._processes.pop(process, None)
            closed, none_left = self._closed, not self._processes
            is_replaced = place in self._processes.values()  # it was hung, which was heard before
            # One that answered ends for the sake of what it was given, or was killed: the next one is no worse for it.
            self._in_vain = 0 if process.has_answered else self._in_vain + 1
            pause_s = PAUSES_S[min(self._in_vain, len(PAUSES_S) - 1)]
        if closed:
            return
        self._metrics.processes_lost.inc()
        log.error("a model process ended (status %s); another takes its place", process.exit_status)
        if is_replaced:
            return
        if none_left and pause_s:
            time.sleep(pause_s)
        self._start(place)

    def _warm(self, process: ModelProcess, ticket: Ticket) -> None:
        """Brings a model into one process more, where there is free room, ahead of use."""
        now, key = time.monotonic(), (process.pid, ticket.key)
        with self._lock:
            if now - self._warmed.get(key, -WARM_AGAIN_S) < WARM_AGAIN_S:
                return
            self._warmed[key] = now
        weights = ticket.key.partition("/")[2].rpartition("@")[0]
        process.tell("preload", ticket.slug, weights)

    def _hear(self, process: ModelProcess) -> None:
        self._metrics.pool_bytes.set(sum(one.pulse.used_bytes for one in self._alive()))
        if process.pulse.is_hung and self._dispatch.remove(process):
            log.error("a model process hangs: it gets no more runs, and another takes its place")
            with self._lock:
                place = self._processes.get(process)
            self._start(place)

    def _count(self, message: Counted) -> None:
        if message.function != "pool_changed" or message.arguments[0] in ("load", "eviction"):
            getattr(self._metrics, message.function)(*message.arguments)

    def close(self) -> None:
        """Ends all processes."""
        with self._lock:
            self._closed, processes = True, list(self._processes)
        self._dispatch.refuse_all(UnavailableError("The hub is shutting down."))
        for process in processes:
            process.leave()
        for process in processes:
            process.close()


def _together(one: ModelStatus, other: ModelStatus) -> ModelStatus:
    """A model that two processes hold."""
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


def process_count(settings: Settings) -> int:
    """How many processes models may live in; 0: in the hub's own."""
    several = len(settings.devices) if len(settings.devices) > 1 else 0
    if settings.workers != "auto":
        count = int(settings.workers)
        if count < several:
            raise InputError(
                "--device {device} needs a process for each: at least {least} --workers, got {count}.",
                device=settings.device,
                least=several,
                count=count,
            )
        return count
    if several:
        return several
    # Elsewhere no open connection can be handed to a new process.
    return min(MOST_WORKERS, available_cores()) if os.name == "posix" else 0


def available_cores() -> int:
    """The cores that this process may use, as its affinity and its container say."""
    try:
        cores = len(psutil.Process().cpu_affinity())
    except (AttributeError, psutil.Error):  # not on macOS
        cores = psutil.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        if quota != "max":
            cores = min(cores, max(1, round(int(quota) / int(period))))
    except (OSError, ValueError):
        pass
    return cores
