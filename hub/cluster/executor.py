"""The executor of a hub whose models live in replicas of Ray Serve, on this machine or on a cluster.

Serve starts, watches, replaces and scales the replicas. The hub gives each run to one of them, as it does with its own
processes: by turns, a warm replica first, no more than a batch at once, again elsewhere where one is lost.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace

from cachetools import LRUCache

from hub.cluster.remote import Calls, RemoteReplica
from hub.cluster.session import START_S, Session
from hub.errors import UnavailableError
from hub.execution.executor import Work
from hub.execution.hosts.hosts import Hosts
from hub.execution.models import Machine, ProcessStatus
from hub.execution.workers import available_cores
from hub.metrics import Metrics
from hub.pages.registry import Registry
from hub.settings import Settings
from hub.weights.store import WeightsStore

log = logging.getLogger(__name__)
REMEMBERED = 1_000  # replicas that are gone: Serve may name them once more, before it knows


class RayExecutor(Hosts[RemoteReplica]):
    """Runs models in replicas of Ray Serve. It is an `Executor`, and it is `Models`."""

    def __init__(
        self, settings: Settings, registry: Registry, weights: WeightsStore, metrics: Metrics, *, outputs_bytes: int
    ):
        """Starts Ray, or finds it, and waits for the first replica. Raises HubError."""
        is_local = settings.ray_address == "local"
        super().__init__(settings, registry, weights, metrics, cores=available_cores() if is_local else 0)
        # Guarded by _lock.
        self._replicas: dict[str, RemoteReplica] = {}
        self._gone: LRUCache[str, None] = LRUCache(REMEMBERED)
        self._calls: Calls | None = None
        self._session = Session(settings, outputs_bytes, self._hear_members)
        try:
            # On a machine of its own a lone run has all cores; else a replica has what Ray gave it.
            self._shares_cores = is_local and not self._session.plan.gpus
            self.beside = self._session.plan.share if is_local else 0  # replicas that share this machine with the hub
            self._calls = Calls(self._session.handle)
            self._calls.open()  # from now on there is somebody to hear of replicas
            self._wait_for_one()
        except BaseException:
            self.close()
            raise

    def _wait_for_one(self) -> None:
        end = time.monotonic() + START_S
        while not self._alive():
            if trouble := self._session.trouble():
                raise UnavailableError("Ray Serve could not start a replica: {reason}", reason=trouble)
            if time.monotonic() > end:
                raise UnavailableError(
                    "No replica was started in {seconds:.0f} s. Has the cluster room for one (--ray-cpus, --ray-gpus)?",
                    seconds=START_S,
                )
            time.sleep(0.05)

    # --- models -----------------------------------------------------------------------------------

    def machine(self, left_s: float | None = None) -> Machine:
        """As `Models` says; of all replicas there are now together."""
        one = super().machine(left_s)
        return replace(one, budget_bytes=one.budget_bytes * max(1, len(self._alive())))

    def _find_machine(self) -> Machine:
        return self._ask_machine()

    def processes(self) -> list[ProcessStatus]:
        """As `Models` says."""
        device = self._machine.known.device if self._machine.known else ""
        return [
            ProcessStatus(
                one.about.pid,
                device,
                self._dispatch.in_work(one),
                one.about.bytes,
                len(one.pulse.loaded),
                replica=one.name,
                node=one.about.node,
            )
            for one in self._alive()
        ]

    # --- replicas ---------------------------------------------------------------------------------

    def _alive(self) -> Sequence[RemoteReplica]:
        with self._lock:
            return [one for one in self._replicas.values() if one.is_alive and one.takes_runs]

    def _grow(self) -> None:
        """Serve sees how much there is to do by itself."""

    def _lost(self, work: Work, hosts: Sequence[RemoteReplica]) -> UnavailableError:
        return UnavailableError(
            "The replica that ran {page} was lost before it answered, and so were those that tried again ({how}). If "
            "this input is large, make it smaller; else try again in a moment. The hub goes on.",
            page=work.slug,
            how="; ".join(host.how_it_ended() for host in hosts),
        )

    def _hear_members(self, names: frozenset[str]) -> None:
        """Serve says which replicas may be sent runs. Called in a thread of Serve's."""
        calls = self._calls
        if calls is None:
            return
        with self._lock:
            if self._closed:
                return
            leaving = [one for name, one in self._replicas.items() if name not in names]
            new = [name for name in names if name not in self._replicas and name not in self._gone]
            calls.count = max(1, len(names))
            for name in new:
                self._replicas[name] = RemoteReplica(
                    name, calls, shares_cores=self._shares_cores,
                    on_pulse=self._heard, on_counted=self._count,
                    on_silent=self._heard_nothing, on_lost=self._heard_lost,
                )  # fmt: skip
            for one in leaving:  # Serve lets it end what it has in hand
                del self._replicas[one.name]
            started = [self._replicas[name] for name in new]
        for one in leaving:
            one.leave()
            self._drop(one)
        for one in started:
            one.watch()

    def _heard(self, replica: RemoteReplica) -> None:
        hangs = replica.pulse.is_hung  # then it ends by itself, once nothing else is in its hands
        with self._lock:
            is_member, took_runs = replica.name in self._replicas, replica.takes_runs
            replica.takes_runs = is_member and not hangs
        if is_member and not hangs and not took_runs:
            log.info("replica %s on %s takes runs", replica.name, replica.about.node)
            self._take(replica)
        elif is_member and hangs and took_runs:
            log.error("replica %s on %s hangs: it gets no more runs", replica.name, replica.about.node)
            self._drop(replica)
        self._count_bytes()

    def _heard_nothing(self, replica: RemoteReplica) -> None:
        log.error("replica %s on %s does not answer: it gets no more runs", replica.name, replica.about.node)
        with self._lock:
            replica.takes_runs = False
        self._drop(replica)

    def _heard_lost(self, replica: RemoteReplica) -> None:
        with self._lock:
            was_there = self._replicas.pop(replica.name, None) is not None
            self._gone[replica.name] = None
            closed = self._closed
        self._drop(replica)
        if was_there and not closed:
            log.error("replica %s; Ray Serve starts another", replica.how_it_ended())

    def _count_hosts(self) -> None:
        super()._count_hosts()
        if self._machine.known is not None:
            self._metrics.pool_budget_bytes.set(self.machine().budget_bytes)

    def close(self) -> None:
        """Ends all replicas, and Ray where it is the hub's own."""
        self._refuse_all()
        with self._lock:
            replicas = list(self._replicas.values())
        for one in replicas:
            one.end()
        if self._calls is not None:
            self._calls.close()
        self._session.close()
