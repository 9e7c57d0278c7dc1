"""What every door tells about a demo before it runs: state, weights, licence, metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.filesize import decimal

from hub.errors import DeclarationError, UnavailableError
from hub.pages import inputs
from hub.spec import Choice, Choices, Slider
from hub.texts import sentence
from hub.weights import catalogue
from hub.weights.sources import HUB, LOCAL

if TYPE_CHECKING:
    from hub.engine.engine import Engine
    from hub.pages.registry import Page

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
    stuck = engine.models.stuck()
    if stuck and not engine.models.is_loaded(page.slug):
        return State("unavailable", "Waits for another model", stuck)
    for weights in page.declared.weights[:1]:
        if engine.weights.is_remote(weights.name):
            return _to_fetch(engine, weights.name)
        try:
            size = engine.weights.size_bytes(weights.name)
        except UnavailableError as error:
            return State("unavailable", "Weights missing", error.message)
        if engine.models.is_loaded(page.slug):
            return State("ready", "Ready")
        return State("on_demand", sentence("Loads on first use · {size}", size=decimal(size)))
    return State("ready", "Ready")


def missing(engine: Engine) -> list[str]:
    """Why weights that should be on this machine cannot be read, one line a page."""
    found = []
    for page in engine.registry:
        for weights in page.declared.weights if page.declared else ():
            try:
                if not engine.weights.is_remote(weights.name):
                    engine.weights.size_bytes(weights.name)
            except UnavailableError as error:
                found.append(f"{page.slug}: {error.message}")
    return found


def _to_fetch(engine: Engine, name: str) -> State:
    """Weights on the Hub that are not here yet."""
    fetching = engine.weights.fetching(name)
    if fetching:
        told = "Downloading · {percent} % of {size}"
        return State("on_demand", sentence(told, percent=fetching.percent, size=decimal(fetching.total)))
    reason = engine.weights.trouble(name)
    return State("unavailable", "Weights missing", reason) if reason else State("on_demand", "Downloads on first use")


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
    told = (data.get("license_name"), data.get("license"), catalogue.licence(name), "not stated")
    licence = next(one for one in told if isinstance(one, str) and one)[:WORD_CHARS]
    return WeightsFacts(
        name,
        title,
        folder.size_bytes,
        folder.digest,
        licence,
        _metrics(data),
        text,
        source=_source(name),
        commit=folder.commit,
        locked=folder.locked,
    )


def _source(name: str) -> str:
    if name.startswith(HUB):
        return "Hugging Face Hub"
    return "local folder" if name.startswith(LOCAL) else "bundled"


def notices(engine: Engine) -> tuple[str, ...]:
    """What visitors should know: results that cannot be kept, a Hub that did not answer, work without network."""
    told: list[str] = [engine.results.warning] if engine.results.warning else []
    remote = any(w.name.startswith(HUB) for p in engine.registry if p.declared for w in p.declared.weights)
    if engine.settings.offline and remote:
        told.append("This hub is offline: it uses the models that are on this machine.")
    return (*told, *engine.weights.snapshots.notices())


def options(engine: Engine, page: Page, weights: str) -> dict[str, tuple[str, ...]]:
    """Options, by input, that a choice has with these weights: of the inputs that take some from the weights.

    Empty while the weights are not there or have no such list; a run says so.
    """
    fields = [f for f in page.demo.inputs if isinstance(f, Choice | Choices) and f.options_from]
    if not fields:
        return {}
    try:
        config = engine.weights.find(weights).config
        return {f.name: inputs.options(f, weights, config) for f in fields}
    except (UnavailableError, DeclarationError):
        return {}


def all_options(engine: Engine, page: Page) -> dict[str, tuple[str, ...]]:
    """`options` of all sets of weights in one; an input is left out while any set is not there."""
    found = [options(engine, page, w.name) for w in page.demo.weights]
    names = set.intersection(*(set(one) for one in found)) if found else set()
    return {name: tuple(dict.fromkeys(option for one in found for option in one[name])) for name in names}


def own_defaults(engine: Engine, page: Page, weights: str = "") -> dict[str, float]:
    """The defaults that come with these weights, by input; empty `weights`: the page's first.

    Empty while the weights are not there or have no such number; a run says so.
    """
    fields = [f for f in page.demo.inputs if isinstance(f, Slider) and f.default_from]
    if not fields:
        return {}
    weights = weights or page.demo.weights[0].name
    try:
        config = engine.weights.find(weights).config
        return {f.name: inputs.default(f, weights, config) for f in fields}
    except (UnavailableError, DeclarationError):
        return {}


def defaults(engine: Engine, page: Page, weights: str = "") -> dict[str, Any]:
    """What each input that has a default is when it is left out with these weights; empty: the page's first."""
    declared = {f.name: f.default for f in page.demo.inputs if hasattr(f, "default")}
    return declared | own_defaults(engine, page, weights)


def _metrics(data: Mapping[str, Any]) -> tuple[Metric, ...]:
    found = []
    for model in data.get("model-index") or ():
        for result in model.get("results") or ():
            dataset = str((result.get("dataset") or {}).get("name", ""))[:WORD_CHARS]
            for metric in result.get("metrics") or ():
                if isinstance(metric.get("value"), int | float):
                    name = str(metric.get("name") or metric.get("type") or "metric")
                    found.append(Metric(name[:WORD_CHARS], float(metric["value"]), dataset))
    return tuple(found[:METRICS])
