"""What every door tells about a demo before it runs: its state, and what visitors should know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rich.filesize import decimal

from hub.errors import UnavailableError
from hub.hub import Hub
from hub.pages.registry import Page
from hub.texts import sentence
from hub.weights.sources import HubSource

StateCode = Literal["ready", "on_demand", "unavailable", "broken"]


@dataclass(frozen=True, slots=True)
class State:
    """Whether a page answers now; `text` is for people."""

    code: StateCode
    text: str
    reason: str = ""


def state(hub: Hub, page: Page) -> State:
    """Cheap enough for every page view: no hashing, no model, no import of torch."""
    if page.declared is None:
        return State("broken", "Not working", page.error)
    stuck = hub.models.stuck()
    if stuck and not hub.models.is_loaded(page.slug):
        return State("unavailable", "Waits for another model", stuck)
    for weights in page.declared.weights[:1]:
        if hub.weights.is_remote(weights.name):
            return _to_fetch(hub, weights.name)
        try:
            size = hub.weights.size_bytes(weights.name)
        except UnavailableError as error:
            return State("unavailable", "Weights missing", error.message)
        if hub.models.is_loaded(page.slug):
            return State("ready", "Ready")
        return State("on_demand", sentence("Loads on first use · {size}", size=decimal(size)))
    return State("ready", "Ready")


def missing(hub: Hub) -> list[str]:
    """Why weights that should be on this machine cannot be read, one line a page."""
    lines = []
    for page in hub.registry:
        for weights in page.declared.weights if page.declared else ():
            try:
                if not hub.weights.is_remote(weights.name):
                    hub.weights.size_bytes(weights.name)
            except UnavailableError as error:
                lines.append(f"{page.slug}: {error.message}")
    return lines


def _to_fetch(hub: Hub, name: str) -> State:
    """Weights on the Hub that are not here yet."""
    fetching = hub.weights.fetching(name)
    if fetching:
        template = "Downloading · {percent} % of {size}"
        return State("on_demand", sentence(template, percent=fetching.percent, size=decimal(fetching.total)))
    reason = hub.weights.trouble(name)
    return State("unavailable", "Weights missing", reason) if reason else State("on_demand", "Downloads on first use")


def notices(hub: Hub) -> tuple[str, ...]:
    """What visitors should know: results that cannot be kept, a Hub that did not answer, work without network."""
    texts: list[str] = [hub.results.warning] if hub.results.warning else []
    sources = [hub.weights.source(w.name) for p in hub.registry if p.declared for w in p.declared.weights]
    if hub.settings.offline and any(isinstance(source, HubSource) for source in sources):
        texts.append("This hub is offline: it uses the models that are on this machine.")
    return (*texts, *hub.weights.snapshots.notices())
