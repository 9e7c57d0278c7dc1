"""What every door tells about a demo before it runs: state, weights, licence, metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hub.errors import UnavailableError

if TYPE_CHECKING:
    from hub.engine import Engine
    from hub.registry import Page


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure of a card's model-index."""

    name: str
    value: float
    dataset: str


@dataclass(frozen=True, slots=True)
class WeightsFacts:
    """What the card and the files of one set of weights say."""

    name: str
    title: str
    size_bytes: int
    digest: str
    licence: str
    metrics: tuple[Metric, ...]
    card: str  # Markdown
    reason: str = ""  # why they cannot be used; empty: they can


@dataclass(frozen=True, slots=True)
class State:
    """Whether a page answers now. `code`: ready, on_demand, unavailable or broken; `text` is for people."""

    code: str
    text: str
    reason: str = ""


def state(engine: Engine, page: Page) -> State:
    """Cheap enough for every page view: no hashing, no model, no import of torch."""
    if page.declared is None:
        return State("broken", "Not working", page.error)
    for weights in page.declared.weights[:1]:
        try:
            size = engine.weights.size_bytes(weights.name)
        except UnavailableError as error:
            return State("unavailable", "Weights missing", error.message)
        if engine.is_loaded(page.slug):
            return State("ready", "Ready")
        return State("on_demand", f"Loads on first use · {megabytes(size)}")
    return State("ready", "Ready")


def weights_facts(engine: Engine, page: Page) -> tuple[WeightsFacts, ...]:
    """Facts of every set of weights of a working page."""
    return tuple(_facts(engine, w.name, w.title) for w in page.demo.weights)


def _facts(engine: Engine, name: str, title: str) -> WeightsFacts:
    title = title or name
    try:
        folder = engine.weights.find(name)
    except UnavailableError as error:
        return WeightsFacts(name, title, 0, "", "", (), "", error.message)
    try:
        data, text = engine.weights.card(name)
    except UnavailableError as error:
        data, text = {}, error.message
    licence = str(data.get("license_name") or data.get("license") or "not stated")
    return WeightsFacts(name, title, folder.size_bytes, folder.digest, licence, _metrics(data), text)


def _metrics(data: Mapping[str, Any]) -> tuple[Metric, ...]:
    found = []
    for model in data.get("model-index") or ():
        for result in model.get("results") or ():
            dataset = str((result.get("dataset") or {}).get("name", ""))
            for metric in result.get("metrics") or ():
                if isinstance(metric.get("value"), int | float):
                    name = str(metric.get("name") or metric.get("type") or "metric")
                    found.append(Metric(name, float(metric["value"]), dataset))
    return tuple(found)


def megabytes(size: int) -> str:
    """`7.0 MB`, with decimal megabytes as disks and downloads count them."""
    return f"{size / 1e6:.1f} MB" if size < 1e8 else f"{size / 1e6:.0f} MB"
