"""The executor of a serving hub: models live in processes of their own, so that doors never wait for one.

Each has an in-process executor (hub/execution/worker.py). The first is started with the hub (of several devices one
each), others once they have something to do, as each takes about 800 MB with all pages warm: up to the number that the
machine has room for. One that ends is replaced, and its runs are tried again: twice, where it ended at work for them.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import psutil

from hub.errors import InputError, UnavailableError
from hub.execution.executor import Work
from hub.execution.hosts.hosts import Hosts
from hub.execution.messages import Begin
from hub.execution.models import Machine, ProcessStatus
from hub.execution.processes import ModelProcess, lost
from hub.metrics import Metrics
from hub.pages.registry import Registry
from hub.settings import Settings
from hub.weights.store import WeightsStore

log = logging.getLogger(__name__)
MOST_WORKERS = 4  # on a CPU, where the settings do not say: each has its own copy of a model
PAUSES_S = (0.0, 0.0, 1.0, 5.0, 15.0, 60.0)  # before the next start, by how many ended in a row without an answer
HUNG_S = 30.0  # a forward pass that nobody waits for any more may go on so long: it may be a long one that was stopped


class Workers(Hosts[ModelProcess]):
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
        super().__init__(settings, registry, weights, metrics, cores=available_cores())
        # The device of each process. Several devices have one at least; of one, processes share the room.
        self._places = tuple(settings.devices[number % len(settings.devices)] for number in range(count))
        without_secrets = settings.for_models()
        self._begins = {
            device: Begin(
                replace(without_secrets, device=device), self._places.count(device), outputs_bytes // count, HUNG_S
            )
            for device in self._places
        }
        # All below is guarded by _lock.
        self._processes: dict[ModelProcess, int] = {}  # and their places
        self._in_vain = 0  # ended in a row before they answered a run
        self._starting = False
        for _ in self._begins:  # of several devices, all: whether each is there is looked at
            self._start()

    def _lost(self, work: Work, hosts: Sequence[ModelProcess]) -> UnavailableError:
        return lost(work.slug, hosts)

    # --- models -----------------------------------------------------------------------------------

    def _find_machine(self) -> Machine:
        machines = {
            device: self._ask_machine(lambda process, device=device: self._device_of(process) == device)  # type: ignore[misc]  # a default binds the loop's value
            for device in self._begins
        }
        first = machines[self._places[0]]
        budget_bytes = sum(machines[device].budget_bytes for device in self._places)
        name = ", ".join(machine.device for machine in machines.values())
        self._metrics.pool_budget_bytes.set(budget_bytes)
        return replace(first, device=name, budget_bytes=budget_bytes)

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
            process = ModelProcess(begin, on_pulse=self._heard, on_counted=self._count, on_lost=self._replace)
        finally:
            with self._lock:
                self._starting = False
        with self._lock:
            if not process.is_alive:  # there is another already, or will be in a moment
                return
            self._processes[process] = at
        self._take(process)

    def _replace(self, process: ModelProcess) -> None:
        """A process has ended: there will be another."""
        with self._lock:
            place = self._processes.pop(process, None)
            closed, none_left = self._closed, not self._processes
            is_replaced = place in self._processes.values()  # it was hung, which was heard before
            # One that answered ends for the sake of what it was given, or was killed: the next one is no worse for it.
            self._in_vain = 0 if process.has_answered else self._in_vain + 1
            pause_s = PAUSES_S[min(self._in_vain, len(PAUSES_S) - 1)]
        self._drop(process)
        if closed:
            return
        self._metrics.processes_lost.inc()
        log.error("a model process ended (status %s); another takes its place", process.exit_status)
        if is_replaced:
            return
        if none_left and pause_s:
            time.sleep(pause_s)
        self._start(place)

    def _heard(self, process: ModelProcess) -> None:
        self._count_bytes()
        if process.pulse.is_hung and self._drop(process):
            log.error("a model process hangs: it gets no more runs, and another takes its place")
            with self._lock:
                place = self._processes.get(process)
            self._start(place)

    def close(self) -> None:
        """Ends all processes."""
        self._refuse_all()
        with self._lock:
            processes = list(self._processes)
        for process in processes:
            process.leave()
        for process in processes:
            process.close()


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
