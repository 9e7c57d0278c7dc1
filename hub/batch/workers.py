"""Draws a grid on this machine: in this process, or in several of which each has an engine of its own."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from typing import Any

from hub.batch import grid
from hub.batch.folder import Record, RunFolder
from hub.batch.grid import Pace
from hub.batch.plan import Cell, Plan
from hub.engine.jobs import Cancel
from hub.errors import HubError, UnavailableError, brief
from hub.hub import Hub
from hub.settings import Settings, go_offline

log = logging.getLogger(__name__)
STOP_S = 5.0  # a process that was told to stop is given so long

OnEvent = Callable[[str, Any], None]  # ("ready", worker), ("done", record), ("failed", (cell, text)), ("lost", worker)


@dataclass(slots=True)
class Tally:
    """What a run has come to: per worker, the cells that failed with the reason."""

    paces: dict[str, Pace] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)  # why workers gave up

    def ready(self, worker: str, load_s: float) -> None:
        self.paces[worker] = Pace(load_s=load_s, begin=time.monotonic(), end=time.monotonic())

    def done(self, record: Record) -> None:
        pace = self.paces[record["worker"]]
        pace.pictures += len(record["pictures"])
        pace.end = time.monotonic()


def here(
    hub: Hub,
    folder: RunFolder,
    plan: Plan,
    cells: Sequence[Cell],
    hear: OnEvent,
    worker: str = "1",
    cancel: Cancel | None = None,
) -> Tally:
    """Draws in this process. Raises HubError."""
    tally = Tally()
    tally.ready(worker, grid.load(hub, plan))
    hear("ready", worker)

    def on_done(record: Record) -> None:
        tally.done(record)
        hear("done", record)

    def on_failed(cell: Cell, error: HubError) -> None:
        tally.failed[cell.name] = error.message
        hear("failed", (cell, error.message))

    grid.draw(hub, folder, plan, cells, on_done=on_done, on_failed=on_failed, cancel=cancel, worker=worker)
    return tally


# --- several processes ----------------------------------------------------------------------------


@dataclass(slots=True)
class _Worker:
    name: str
    process: Any  # of a context: multiprocessing has no common type for these
    pipe: Connection
    shard: list[Cell] = field(default_factory=list)  # what it draws now, without what it has told as done


def apart(
    settings: Settings, folder: RunFolder, plan: Plan, cells: Sequence[Cell], workers: int, hear: OnEvent
) -> Tally:
    """Draws in `workers` processes, each with its own model; with several GPUs they take them in turn.

    A worker that dies loses nothing: the others draw its part. Raises UnavailableError when none is left.
    """
    tally, todo = Tally(), deque(grid.shards(cells, _portion(len(cells), workers)))
    team = [_begin(settings, folder, plan, number, workers) for number in range(min(workers, len(todo)))]
    try:
        while team:
            ready = wait([*(w.pipe for w in team), *(w.process.sentinel for w in team)])
            for worker in [w for w in team if w.pipe in ready or w.process.sentinel in ready]:
                if not _listen(worker, todo, tally, hear):
                    team.remove(worker)
        if undrawn := sum(map(len, todo)):
            why = next(iter(tally.broken), "Their processes were ended; too little memory is a usual reason.")
            raise UnavailableError(
                "All workers have stopped and {left} cells are not drawn. {why}", left=undrawn, why=why
            )
    finally:
        for worker in team:
            worker.process.terminate()
        for worker in team:
            worker.process.join(STOP_S)
    return tally


def _portion(cells: int, workers: int) -> int:
    """Cells in a portion: small enough that no worker waits long for the last one."""
    return max(1, min(grid.SHARD, -(-cells // (workers * 4))))


def _listen(worker: _Worker, todo: deque[list[Cell]], tally: Tally, hear: OnEvent) -> bool:
    """Takes one message; False when the worker has ended, and then its part is to be drawn by another."""
    try:
        kind, value = worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join(STOP_S)
        if worker.shard:
            todo.appendleft(worker.shard)
        if worker.process.exitcode:
            hear("lost", f"{worker.name} (exit status {worker.process.exitcode})")
        return False
    if kind == "ready":
        tally.ready(worker.name, value)
        hear("ready", worker.name)
    elif kind == "done":
        worker.shard = [cell for cell in worker.shard if cell.name != value["cell"]]
        tally.done(value)
        hear("done", value)
    elif kind == "failed":
        cell, text = value
        worker.shard = [other for other in worker.shard if other.name != cell.name]
        tally.failed[cell.name] = text
        hear("failed", (cell, text))
    elif kind == "broken":
        tally.broken.append(value)
    if kind in ("ready", "idle"):
        worker.shard = todo.popleft() if todo else []
        with suppress(OSError):  # it has died meanwhile: the next look hears that, and another draws its part
            worker.pipe.send(worker.shard)
    return True


def _begin(settings: Settings, folder: RunFolder, plan: Plan, number: int, workers: int) -> _Worker:
    # Spawned, not forked: torch and its threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    name = str(number + 1)
    process = context.Process(
        target=_work, args=(theirs, settings, str(folder.path), plan, number, workers), name=f"grid-{name}", daemon=True
    )
    process.start()
    theirs.close()
    return _Worker(name, process, ours)


def _work(pipe: Connection, settings: Settings, path: str, plan: Plan, number: int, workers: int) -> None:
    """One worker's process: asks for portions until there is none."""
    from pathlib import Path

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command that started it decides
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    folder, name = RunFolder(Path(path)), str(number + 1)
    try:
        if settings.offline:
            go_offline()
        with redirect_stdout(sys.stderr):
            hub = Hub(own_device(settings, number, workers))
            pipe.send(("ready", grid.load(hub, plan)))
            while shard := pipe.recv():
                grid.draw(
                    hub, folder, plan, shard, worker=name,
                    on_done=lambda record: pipe.send(("done", record)),
                    on_failed=lambda cell, error: pipe.send(("failed", (cell, error.message))),
                )  # fmt: skip
                pipe.send(("idle", None))
        hub.close()
    except EOFError:
        pass
    except Exception as error:  # told by the command that started it, on one line
        log.debug("worker %s failed", name, exc_info=error)
        pipe.send(("broken", error.message if isinstance(error, HubError) else brief(error)))
        sys.exit(1)


def _end_with_parent() -> None:
    """A worker whose command was killed draws no further. Whatever it was writing is not there, or whole."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def own_device(settings: Settings, number: int, workers: int) -> Settings:
    """With several GPUs each worker takes the next; on a CPU each takes its share of the cores."""
    import torch

    if settings.device in ("auto", "cuda") and torch.cuda.device_count() > 1:
        return replace(settings, device=f"cuda:{number % torch.cuda.device_count()}")
    torch.set_num_threads(max(1, min(torch.get_num_threads(), (os.cpu_count() or 1) // workers)))
    return settings
