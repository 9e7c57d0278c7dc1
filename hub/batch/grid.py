"""Draws the cells of a grid that are missing: the one core of the command, the Metaflow flow and the page `/grid`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from hub.batch.folder import Record, RunFolder
from hub.batch.plan import Cell, Plan
from hub.engine.jobs import Cancel
from hub.errors import CancelledError, ConflictError, HubError, UnavailableError
from hub.hub import Hub
from hub.pages.kinds import picture_outputs
from hub.settings import Settings

PATIENCE_S = 3600.0  # for one picture: nobody sits and waits for it
SHARD = 16  # cells handed to a worker at a time

T = TypeVar("T")
OnDone = Callable[[Record], None]
OnFailed = Callable[[Cell, HubError], None]


def settings_for(settings: Settings) -> Settings:
    """Settings of an engine that draws grids: its pictures are kept in the run's folder, not among the results."""
    return replace(settings, results_disk_mb=0.0, similar="off", deadline_s=max(settings.deadline_s, PATIENCE_S))


def root(settings: Settings) -> Path:
    """Where grids are kept; the gallery looks there."""
    return settings.data_folder / "batches"


def missing(folder: RunFolder, cells: Iterable[Cell]) -> list[Cell]:
    """Those of `cells`, which nobody else may be drawing, that are not drawn yet; one that is there twice, once."""
    by_name = {cell.name: cell for cell in cells}
    records = folder.find_records(by_name)
    return [cell for name, cell in by_name.items() if name not in records]


def shards(cells: Sequence[Cell], size: int = SHARD) -> list[list[Cell]]:
    """Cells in portions, in their order."""
    return [list(cells[at : at + size]) for at in range(0, len(cells), size)]


def check(hub: Hub, plan: Plan) -> None:
    """Raises ConflictError when the page or its weights are not those that the run began with, and HubError."""
    demo = hub.registry.get(plan.page).demo
    if demo.version != plan.version:
        raise ConflictError(
            "The page {page!r} has changed since run {run!r} began: begin a new run.", page=plan.page, run=plan.run
        )
    if plan.weights:
        folder = hub.weights.obtain(plan.weights)
        if folder.digest != plan.digest:
            raise ConflictError(
                "The weights {weights!r} have changed since run {run!r} began: they are {now} and were {before}. "
                "Begin a new run.",
                weights=plan.weights,
                run=plan.run,
                now=folder.digest[:12],
                before=plan.digest[:12],
            )


def load(hub: Hub, plan: Plan) -> float:
    """Brings the model into memory; returns the seconds it took."""
    begin = time.perf_counter()
    hub.models.preload(plan.page, plan.weights, evict=True)
    return time.perf_counter() - begin


def draw(
    hub: Hub,
    folder: RunFolder,
    plan: Plan,
    cells: Iterable[Cell],
    *,
    on_done: OnDone = lambda record: None,
    on_failed: OnFailed = lambda cell, error: None,
    cancel: Cancel | None = None,
    worker: str = "",
) -> None:
    """Draws and keeps `cells`, as many together as the model takes; a cell that fails is told, the others go on.

    Raises UnavailableError when the folder cannot be written, CancelledError once `cancel` is set.
    """
    cancel = cancel or Cancel()
    one = partial(_draw_one, hub, folder, plan, cancel=cancel, worker=worker)
    each(hub, plan, cells, one, on_done=on_done, on_failed=on_failed, cancel=cancel)


def each(
    hub: Hub,
    plan: Plan,
    cells: Iterable[Cell],
    one: Callable[[Cell], T],
    *,
    on_done: Callable[[T], None],
    on_failed: OnFailed,
    cancel: Cancel,
) -> None:
    """Calls `one` for each cell, in as many threads as the model takes together. Raises as `draw` does."""
    waiting = iter(cells)
    together = min(hub.settings.max_batch, hub.registry.get(plan.page).demo.max_batch, hub.settings.queue_limit)
    with ThreadPoolExecutor(together, thread_name_prefix="grid") as threads:
        running: dict[Future[T], Cell] = {}
        try:
            while True:
                # Few are asked for ahead, so that a cancelled run has few to wait for.
                while len(running) < together and not cancel.is_set() and (cell := next(waiting, None)):
                    running[threads.submit(copy_context().run, one, cell)] = cell
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    _tell(future, running.pop(future), on_done, on_failed)
        except BaseException:
            cancel.set()
            raise
    if cancel.is_set():
        raise CancelledError("The run was stopped.")


def _tell(future: Future[T], cell: Cell, on_done: Callable[[T], None], on_failed: OnFailed) -> None:
    error = future.exception()
    if error is None:
        on_done(future.result())
    elif isinstance(error, _FolderError):
        raise UnavailableError(error.message)
    elif isinstance(error, HubError):
        if not isinstance(error, CancelledError):
            on_failed(cell, error)
    else:
        raise error


class _FolderError(HubError):
    """The disk is full or read-only: no other cell would fare better."""


def _draw_one(hub: Hub, folder: RunFolder, plan: Plan, cell: Cell, cancel: Cancel, worker: str) -> Record:
    result = hub.engine.run(plan.page, plan.inputs(cell), cancel=cancel)
    names = picture_outputs(hub.registry.get(plan.page).demo)
    pictures = [picture for name in names for picture in result.pictures.get(name, ())]
    if not pictures:
        raise HubError("{page} gave no picture for {prompt!r}.", page=plan.page, prompt=cell.prompt)
    record: dict[str, Any] = {
        "run": plan.run, "cell": cell.name, "subject": cell.subject, "style": cell.style, "seed": cell.seed,
        "prompt": cell.prompt, "page": plan.page, "version": plan.version, "weights": plan.weights,
        "digest": plan.digest, "dtype": result.receipt.dtype, "device": result.receipt.device,
        "parameters": dict(cell.parameters), "created_at": result.receipt.created_at,
        "infer_ms": result.receipt.infer_ms, "worker": worker, "remarks": [*map(str, result.receipt.remarks)],
    }  # fmt: skip
    try:
        return folder.keep(record, result.capsule, pictures)
    except UnavailableError as error:
        raise _FolderError(error.message) from error


# --- figures --------------------------------------------------------------------------------------


@dataclass(slots=True)
class Pace:
    """What one worker has done: pictures, and the seconds from its first to its last."""

    pictures: int = 0
    load_s: float = 0.0
    begin: float = 0.0
    end: float = 0.0

    @property
    def seconds(self) -> float:
        return self.end - self.begin

    @property
    def per_minute(self) -> float:
        return 60 * self.pictures / self.seconds if self.seconds > 0 else 0.0


def total(paces: Iterable[Pace]) -> Pace:
    """All workers together, from the first that began to the last that ended."""
    busy = [pace for pace in paces if pace.pictures]
    if not busy:
        return Pace()
    return Pace(
        sum(p.pictures for p in busy), max(p.load_s for p in busy), min(p.begin for p in busy), max(p.end for p in busy)
    )
