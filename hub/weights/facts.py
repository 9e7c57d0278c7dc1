"""What is told of weights before anything runs: where they are from, their licence, metrics and options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hub.errors import DeclarationError, UnavailableError
from hub.pages import inputs
from hub.pages.registry import Page
from hub.spec import Choice, Choices, Slider
from hub.weights import catalogue
from hub.weights.sources import HubSource, Local, Source
from hub.weights.store import WeightsStore

WORD_CHARS, METRICS = 80, 24  # a card may be anybody's


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
    source: str = ""  # where they are from, in words
    commit: str = ""  # of weights from the Hub
    locked: bool = False  # whether every file was compared with the lock


def weights_facts(store: WeightsStore, page: Page) -> tuple[WeightsFacts, ...]:
    """Facts of every set of weights of a working page."""
    return tuple(_facts(store, w.name, w.title) for w in page.demo.weights)


def _facts(store: WeightsStore, name: str, title: str) -> WeightsFacts:
    title = title or name
    try:
        folder = store.find(name)
    except UnavailableError as error:
        return WeightsFacts(name, title, 0, "", "", (), "", error.message)
    try:
        data, text = store.card(name)
    except UnavailableError as error:
        data, text = {}, error.message
    source = store.source(name)
    catalogue_licence = catalogue.licence(source) if isinstance(source, HubSource) else ""
    stated = (data.get("license_name"), data.get("license"), catalogue_licence, "not stated")
    licence = next(one for one in stated if isinstance(one, str) and one)[:WORD_CHARS]
    return WeightsFacts(
        name,
        title,
        folder.size_bytes,
        folder.digest,
        licence,
        _metrics(data),
        text,
        source=_origin(source),
        commit=folder.commit,
        locked=folder.locked,
    )


def _origin(source: Source) -> str:
    """Where weights are from, in words."""
    if isinstance(source, HubSource):
        return "Hugging Face Hub"
    return "local folder" if isinstance(source, Local) else "bundled"


def options(store: WeightsStore, page: Page, weights: str) -> dict[str, tuple[str, ...]]:
    """Options, by input, that a choice has with these weights: of the inputs that take some from the weights.

    Empty while the weights are not there or have no such list; a run says so.
    """
    fields = [f for f in page.demo.inputs if isinstance(f, Choice | Choices) and f.options_from]
    if not fields:
        return {}
    try:
        config = store.find(weights).config
        return {f.name: inputs.options(f, weights, config) for f in fields}
    except (UnavailableError, DeclarationError):
        return {}


def all_options(store: WeightsStore, page: Page) -> dict[str, tuple[str, ...]]:
    """`options` of all sets of weights in one; an input is left out while any set is not there."""
    each = [options(store, page, w.name) for w in page.demo.weights]
    names = set.intersection(*(set(one) for one in each)) if each else set()
    return {name: tuple(dict.fromkeys(option for one in each for option in one[name])) for name in names}


def own_defaults(store: WeightsStore, page: Page, weights: str = "") -> dict[str, float]:
    """The defaults that come with these weights, by input; empty `weights`: the page's first.

    Empty while the weights are not there or have no such number; a run says so.
    """
    fields = [f for f in page.demo.inputs if isinstance(f, Slider) and f.default_from]
    if not fields:
        return {}
    weights = weights or page.demo.weights[0].name
    try:
        config = store.find(weights).config
        return {f.name: inputs.default(f, weights, config) for f in fields}
    except (UnavailableError, DeclarationError):
        return {}


def defaults(store: WeightsStore, page: Page, weights: str = "") -> dict[str, Any]:
    """What each input that has a default is when it is left out with these weights; empty: the page's first."""
    declared = {f.name: f.default for f in page.demo.inputs if hasattr(f, "default")}
    return declared | own_defaults(store, page, weights)


def _metrics(data: Mapping[str, Any]) -> tuple[Metric, ...]:
    metrics = []
    for model in data.get("model-index") or ():
        for result in model.get("results") or ():
            dataset = str((result.get("dataset") or {}).get("name", ""))[:WORD_CHARS]
            for metric in result.get("metrics") or ():
                if isinstance(metric.get("value"), int | float):
                    name = str(metric.get("name") or metric.get("type") or "metric")
                    metrics.append(Metric(name[:WORD_CHARS], float(metric["value"]), dataset))
    return tuple(metrics[:METRICS])
