"""Two runs of one page beside each other: what they were asked, and what differs in their answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hub.archive.history import History
from hub.archive.history_store import HistoryEntry
from hub.engine.compare import Comparison
from hub.engine.differences import pairs, rows
from hub.errors import InputError
from hub.pages.registry import Page, Registry
from hub.spec import Demo, FileInput


@dataclass(frozen=True, slots=True)
class Setting:
    """One thing that was asked. `kind`: a setting, the weights, or a picture, whose values are the digests."""

    kind: str
    name: str
    label: str
    a: Any
    b: Any
    unit: str = ""

    @property
    def differs(self) -> bool:
        return bool(self.a != self.b)


@dataclass(frozen=True, slots=True)
class Beside:
    """Runs A and B. `comparison` has both answers and their differences."""

    page: Page
    a: HistoryEntry
    b: HistoryEntry
    settings: tuple[Setting, ...]
    comparison: Comparison


def beside(history: History, registry: Registry, owner: str, a: str, b: str) -> Beside:
    """Two runs of an owner. Raises NotFoundError without a run or its result, InputError for runs of two pages."""
    for side, id in (("a", a), ("b", b)):
        if not id:
            raise InputError("Name the two runs to compare: a=ID&b=ID.", field=side)
    run_a, run_b = history.get(owner, a), history.get(owner, b)
    if run_a.page != run_b.page:
        raise InputError(
            "Only runs of one page can be compared; these are of {left} and {right}.", left=run_a.page, right=run_b.page
        )
    page = registry.get(run_a.page)
    demo, ours, theirs = page.demo, history.result(run_a), history.result(run_b)
    notes = ("The page has changed between the two runs.",) if run_a.version != run_b.version else ()
    comparison = Comparison(ours, theirs, rows(demo, ours, theirs), pairs(demo, ours, theirs), notes)
    return Beside(page, run_a, run_b, _settings(demo, run_a, run_b), comparison)


def _settings(demo: Demo, a: HistoryEntry, b: HistoryEntry) -> tuple[Setting, ...]:
    """What differs first."""
    fields = {f.name: f for f in demo.inputs}
    settings = [
        Setting("picture", f.name, f.label, a.inputs.get(f.name), b.inputs.get(f.name))
        for f in demo.inputs
        if isinstance(f, FileInput) and (f.name in a.inputs or f.name in b.inputs)
    ]
    for name in labelled(demo, {**b.parameters, **a.parameters}):
        label, unit = (fields[name].label, getattr(fields[name], "unit", "")) if name in fields else (name, "")
        settings.append(Setting("setting", name, label, a.parameters.get(name), b.parameters.get(name), unit))
    if a.weights or b.weights:
        ours, theirs = (f"{run.weights} ({run.digest[:12]})" if run.weights else None for run in (a, b))
        settings.append(Setting("weights", "weights", "Weights", ours, theirs))
    return tuple(sorted(settings, key=lambda setting: not setting.differs))


def labelled(demo: Demo | None, values: Mapping[str, Any]) -> list[str]:
    """Names of values in the order in which the page asks for them; what it asks for no more comes last."""
    order = [f.name for f in demo.inputs] if demo else []
    return sorted(values, key=lambda name: order.index(name) if name in order else len(order))
