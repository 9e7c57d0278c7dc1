"""Many replicas in which a run is a sleep: what the hub's door and Ray can pass on. Prints one JSON line.

python -m bench.baselines.sleeping REPLICAS SECONDS FOLDER
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from typing import Any

import psutil

from hub.cluster import executor, replica
from hub.execution.executor import Computed, Work
from hub.execution.messages import Answer, Ask, Pulse, Run
from hub.metrics import Metrics
from hub.pages.registry import discover
from hub.settings import Settings
from hub.weights.store import open_store

PASS_S = 20.0
DONE = Computed("{}", {}, 0.0, 0.0, 0.0, 0.0, 0.0, 1, False, "cpu", "float32", (), ())


class Sleeping(replica.Replica):
    """As a replica, with a run's seconds in place of its model."""

    def __init__(self, begin: Any, folder: str):
        self._open()
        self._line.send(Pulse(frozenset(), None, 0, ()))
        self._serving = threading.Thread(target=self._sleep, daemon=True)
        self._serving.start()

    def _sleep(self) -> None:
        while True:
            order = self._line.recv()
            if isinstance(order, Run):
                time.sleep(float(str(order.work.parameters["seconds"])))
                self._line.send(Answer(order.number, DONE))
            elif isinstance(order, Ask):
                self._line.send(Answer(order.number))


def main() -> None:
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what Ray says is no answer
    count, seconds, folder = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
    from bench.baselines import sleeping  # by its name, so that replicas can import it, too

    replica.Replica = sleeping.Sleeping  # type: ignore[misc]  # what is measured is all but the models
    settings = Settings(
        executor="ray", ray_replicas=str(count), ray_cpus=0.01, max_batch=1, device="cpu", offline=True,
        data=tempfile.mkdtemp(dir=folder), log_level="warning",
    )  # fmt: skip
    registry, weights = open_store(settings, discover(settings.pages_folder))
    made = executor.RayExecutor(settings, registry, weights, Metrics(), outputs_bytes=0)
    begin = time.monotonic()
    while len(made.processes()) < count:
        if time.monotonic() - begin > 600:
            raise SystemExit(f"only {len(made.processes())} of {count} replicas were started")
        time.sleep(0.2)
    started_s, done, end = time.monotonic() - begin, list[float](), time.monotonic() + PASS_S
    before = _cpu_s()

    def client(number: int) -> None:
        work = Work("page", "", "", {"seconds": seconds}, {}, "{}", 600.0, asker=(str(number), str(number)))
        while time.monotonic() < end:
            made.compute(work, lambda stage, progress: None, threading.Event())
            done.append(time.monotonic())

    threads = [threading.Thread(target=client, args=(number,), daemon=True) for number in range(2 * count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = [at for at in done if end - PASS_S + 2 * seconds < at <= end]  # not the first, which find all idle
    rate = len(whole) / (PASS_S - 2 * seconds)
    cost = (_cpu_s() - before) / max(1, len(done)) * 1000
    print(
        json.dumps({"rate": rate, "started_s": started_s, "runs": len(done), "door_cpu_ms": cost}),
        file=told,
        flush=True,
    )
    made.close()


def _cpu_s() -> float:
    times = psutil.Process().cpu_times()
    return times.user + times.system


if __name__ == "__main__":
    main()
