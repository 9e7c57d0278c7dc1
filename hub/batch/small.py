"""Small grids on the page `/grid`: drawn by the serving engine, and kept as results of who asked for them.

So they have the bounds, the privacy and the age of every other result, and what was drawn before is not drawn again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hub.archive import gallery
from hub.batch import grid, plan
from hub.batch.plan import Cell, Plan
from hub.engine.jobs import Cancel
from hub.errors import HubError, InputError
from hub.hub import Hub
from hub.pages.kinds import from_words
from hub.pages.registry import Page
from hub.people.users import Caller
from hub.results.result import Result
from hub.spec import Progress, Seed
from hub.weights.store import PATIENCE_S

MOST = 24  # cells: what people wait for, and what fits on a screen
FIELDS = ("subjects", "styles", "seeds", "template", "settings", "run")  # of a request
SEVERAL = "images"  # the setting of pages that draw several pictures in one run; a cell shows one

Hear = Callable[..., None]  # ("cell", cell, stage, progress), ("drawn", Drawn, count, left_s), ("failed", cell, text)


@dataclass(frozen=True, slots=True)
class Drawn:
    """One cell with its result."""

    cell: Cell
    result: Result


@dataclass(slots=True)
class Done:
    """How far a grid is; `computed` leaves out what stored results answered."""

    total: int
    drawn: list[Drawn] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)  # why, by name of the cell
    computed: int = 0
    begin: float | None = None  # when the model began with the first cell

    @property
    def count(self) -> int:
        return len(self.drawn) + len(self.failed)

    @property
    def left_s(self) -> float | None:
        """Seconds to come, by those that were computed so far; None before the first."""
        if self.begin is None or not self.computed:
            return None
        return (time.monotonic() - self.begin) / self.computed * (self.total - self.count)


def fits(page: Page) -> bool:
    """Whether a page can fill a grid: it makes pictures from words and a seed."""
    demo = page.declared
    return demo is not None and from_words(demo) and any(isinstance(f, Seed) for f in demo.inputs)


def make(hub: Hub, slug: str, request: Mapping[str, Any]) -> Plan:
    """The plan of a request: values by `FIELDS`. Raises HubError, also for weights that take long to fetch."""
    subjects, styles = _texts(request, "subjects"), _texts(request, "styles")
    seeds = _seeds(request.get("seeds", "1"))
    settings: Any = request.get("settings") or {}
    if not isinstance(settings, Mapping):
        raise InputError('settings must be an object such as {"steps": 8}.', field="settings")
    if SEVERAL in settings:
        raise InputError(
            "A grid on the page has one picture in a cell: leave {several} out.", several=SEVERAL, field=SEVERAL
        )
    words = {name: request.get(name) or "" for name in ("template", "run")}
    for name, text in words.items():
        if not isinstance(text, str):
            raise InputError("{name} must be text, got {given}.", name=name, given=type(text).__name__, field=name)
    count = len(set(subjects)) * max(1, len(set(styles))) * len(set(seeds))
    if count > MOST:
        raise InputError(
            "A grid on the page has at most {most} pictures; {subjects} subjects x {styles} styles x {seeds} seeds are "
            "{pictures:,}. Take fewer, or draw it with: python -m hub grid.",
            most=MOST,
            subjects=len(set(subjects)),
            styles=max(1, len(set(styles))),
            seeds=len(set(seeds)),
            pictures=count,
        )
    return plan.make(hub, slug, subjects, styles, seeds, settings=settings, patience_s=PATIENCE_S, **words)


def draw(hub: Hub, grid_plan: Plan, hear: Hear, cancel: Cancel, caller: Caller) -> Done:
    """Draws the cells that no stored result answers, and files all in the gallery. Raises HubError.

    `hear` is called from any thread. Cancelled, what is drawn is kept: the same plan again goes on from there.
    """
    cells = {cell.name: cell for cell in grid_plan.cells()}
    tally, lock = Done(len(cells)), threading.Lock()  # guards tally.begin alone; the rest is this thread's

    def one(cell: Cell) -> Drawn:
        def on_event(stage: str, progress: Progress | None) -> None:
            with lock:
                if stage == "running" and tally.begin is None:
                    tally.begin = time.monotonic()
            hear("cell", cell, stage, progress)

        inputs = grid_plan.inputs(cell)
        result = hub.engine.run(grid_plan.page, inputs, on_event=on_event, cancel=cancel, caller=caller)
        hub.pictures.assign(result, hub.owners.of(caller), grid_plan.run, cell.subject, cell.style)
        return Drawn(cell, result)

    def on_done(entry: Drawn) -> None:
        tally.drawn.append(entry)
        tally.computed += not entry.result.receipt.cached
        hear("drawn", entry, tally.count, tally.left_s)  # values: `tally` has moved on when they are read

    def on_failed(cell: Cell, error: HubError) -> None:
        tally.failed[cell.name] = error.message
        hear("failed", cell, error.message)

    grid.each(hub, grid_plan, cells.values(), one, on_done=on_done, on_failed=on_failed, cancel=cancel)
    return tally


def _texts(request: Mapping[str, Any], name: str) -> list[str]:
    """A list of texts, or one text with a line for each. Raises InputError."""
    value = request.get(name) or []
    texts = value.splitlines() if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise InputError('{name} must be a list of texts such as ["a red circle"], or lines.', name=name, field=name)
    return [text for text in texts if text.strip()] if isinstance(value, str) else texts


def _seeds(value: Any) -> list[int]:
    """`4`, `"4"` or `"7,12,40-49"` as the command reads them, or a list of whole numbers. Raises InputError."""
    if isinstance(value, list) and value and all(isinstance(seed, int) and seed is not True for seed in value):
        return value
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise InputError('seeds must be how many (4), or which ("7,12,40-49" or [7, 12]).', field="seeds")
    return gallery.seeds_of(str(value))
