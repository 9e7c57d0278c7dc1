"""What is in memory, as plain data: what doors ask and are told of models, wherever these run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from hub.errors import ConflictError, InputError, UnavailableError
from hub.execution.leases import ModelStatus, model_key
from hub.pages.registry import Page, Registry
from hub.spec import Demo
from hub.suggest import unknown
from hub.texts import Sentence
from hub.weights.store import WeightsStore

ACTIONS = ("load", "pin", "unpin", "unload")


@dataclass(frozen=True, slots=True)
class Machine:
    """Where models run, found out once."""

    device: str  # such as "cpu" or "cuda:0"; of several: "cuda:0, cuda:1"
    dtype: str  # such as "float32"
    budget_bytes: int  # models may take
    tolerance: float = 0.0  # how far answers may be apart by how a model ran; 0: it runs in one way only


@dataclass(frozen=True, slots=True)
class PoolState:
    """What is in memory now; `known_bytes` are measured sizes by `model_key`, in memory or not, the latest last."""

    used_bytes: int = 0
    models: tuple[ModelStatus, ...] = ()
    known_bytes: Mapping[str, int] = field(default_factory=dict)
    backends: Mapping[str, str] = field(default_factory=dict)  # how networks run, by `model_key`


@dataclass(frozen=True, slots=True)
class Resident:
    """One page's model with one set of weights, in memory or not; sizes in bytes, times in seconds."""

    demo: str
    title: str
    weights: str  # empty: the page has none
    state: str  # ready, loading, absent, or missing: its weights are not on this machine
    bytes: int  # measured while it was in memory; before the first time, what its files take
    measured: bool
    reason: str = ""  # why it is missing
    leases: int = 0
    pinned: bool = False
    loaded_for_s: float = 0.0
    idle_for_s: float = 0.0
    load_ms: float = 0.0
    leaves: int = 0  # its turn to leave when room is needed: 1 is the next one; 0: not before this changes
    backend: str = ""  # how its networks run: eager or openvino; empty while it is not in memory


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """One process that models live in, beside the hub's own."""

    pid: int
    device: str
    in_work: int  # runs that have a place in it
    bytes: int  # of the machine's memory
    loaded: int  # models
    replica: str = ""  # its name where it is one of a cluster, on the machine `node`
    node: str = ""


class Models(Protocol):
    """Whose models are in memory, and the changes that who may asks for."""

    def machine(self, left_s: float | None = None) -> Machine:
        """Device, precision and room. The first call takes seconds. Raises HubError, DeadlineError past `left_s`."""

    def state(self) -> PoolState:
        """What is in memory now. Never waits for a load."""

    def residents(self) -> list[Resident]:
        """Every page's models: in memory first, in the order in which they would leave; then the others by page."""

    def change(self, slug: str, weights: str, action: str) -> Resident:
        """Loads, pins, unpins or unloads a demo's model; to pin an absent one loads it. Returns how it stands now.

        Raises HubError: ConflictError while it is in use, InputError for what is not known.
        """

    def preload(self, slug: str, weights: str = "", *, evict: bool = False, pin: bool = False) -> bool:
        """Loads a demo's model ahead of use; without `evict` only into free room. `weights` empty: its default.

        Returns whether it is in memory. Raises HubError.
        """

    def is_loaded(self, slug: str) -> bool:
        """Whether a demo's default model is in memory. Cheap enough for every page view."""

    def holds(self, key: str) -> bool:
        """Whether a model is in memory, by its `model_key`. Cheap enough for every page view."""

    def stuck(self, after_s: float | None = None) -> Sentence | None:
        """What to tell of a load that takes longer than any visitor waits (or than `after_s`), else None."""

    def warnings(self) -> list[Sentence]:
        """What only an operator can mend."""

    def processes(self) -> list[ProcessStatus]:
        """The processes that models live in, the longest there first; none where that is the hub's own."""


def residents(registry: Registry, weights: WeightsStore, state: PoolState) -> list[Resident]:
    """Every page's models, as `Models.residents` lists them."""
    all_models = [
        resident(weights, state, page, name)
        for page in registry
        if page.declared and (page.model_page is page or page.model_slug not in registry.pages)
        for name in ([w.name for w in page.declared.weights] or [""])
    ]
    return sorted(all_models, key=lambda r: (r.state not in ("ready", "loading"), not r.leaves, r.leaves))


def resident(store: WeightsStore, state: PoolState, page: Page, weights: str) -> Resident:
    """How one model of a page stands."""
    size, reason = 0, ""
    try:
        size = store.size_bytes(weights) if weights else 0
    except UnavailableError as error:
        reason = error.message
    family = model_key(page.model_slug, weights, "")
    measured = [n for key, n in state.known_bytes.items() if key == family or (weights and key.startswith(family))]
    here = Resident(
        demo=page.slug,
        title=page.title,
        weights=weights,
        state="missing" if reason else "absent",
        bytes=measured[-1] if measured else size,
        measured=bool(measured),
        reason=reason,
    )
    for model in of_page(state.models, page.model_slug, weights)[-1:]:
        here = replace(
            here,
            state=model.state,
            bytes=model.bytes,
            measured=here.measured and model.state == "ready",
            leases=model.leases,
            pinned=model.pinned,
            loaded_for_s=round(model.loaded_for_s, 1),
            idle_for_s=round(model.idle_for_s, 1),
            load_ms=round(model.load_ms, 1),
            leaves=model.leaves,
            backend=state.backends.get(model.key, "") if model.state == "ready" else "",
        )
    return here


def of_page(models: Iterable[ModelStatus], slug: str, weights: str) -> list[ModelStatus]:
    """What a pool holds for a page and weights: one model, or also one of bytes that changed on disk since."""
    return [m for m in models if is_of_page(m.key, slug, weights)]


def is_of_page(key: str, slug: str, weights: str) -> bool:
    """Whether a `model_key` is of a page with these weights, whatever their digest."""
    return key == slug or (bool(weights) and key.startswith(f"{slug}/{weights}@"))


def default_loaded(keys: Collection[str], demo: Demo, slug: str) -> bool:
    """Whether a demo's default model is among the keys of loaded ones."""
    weights = demo.weights[0].name if demo.weights else ""
    return any(is_of_page(key, slug, weights) for key in keys)


def check_action(action: str) -> None:
    """Raises InputError for what is none of ACTIONS."""
    if action not in ACTIONS:
        known, last = ", ".join(ACTIONS[:-1]), ACTIONS[-1]
        text = "action must be {known} or {last}, got {given!r}."
        raise InputError(text, known=known, last=last, given=action[:40], field="action")


def weights_name(demo: Demo, weights: str) -> str:
    """The name of a demo's weights, its default for an empty one. Raises InputError."""
    names = [w.name for w in demo.weights]
    if weights and weights not in names:
        raise InputError(unknown("weights", weights, names), field="weights")
    return weights or (names[0] if names else "")


def in_use(page: Page, model: ModelStatus) -> ConflictError:
    """Why a model could not be unloaded."""
    why = f"in use by {model.leases} run{'s' * (model.leases != 1)}" if model.state == "ready" else "being loaded"
    return ConflictError(
        "{title} is {why} and stays until that ends. Try again in a moment.", title=page.title, why=why
    )
