"""Whose models are in memory: the device, the pool, loading ahead of use, pinning and unloading."""

from __future__ import annotations

import copy
import logging
import threading
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from hub import imports
from hub.errors import LEFT, ConflictError, DeadlineError, HubError, InputError, UnavailableError, brief
from hub.execution import devices
from hub.execution.backends.measuring import TOLERANCE
from hub.execution.backends.orders import Origin
from hub.execution.backends.points import EAGER, OPENVINO
from hub.execution.backends.workshop import Workshop
from hub.execution.construction import CONSTRUCTION
from hub.execution.leases import Lease, ModelStatus, model_key
from hub.execution.pool import ModelPool
from hub.execution.remembered import Remembered
from hub.metrics import Metrics
from hub.pages.registry import Page, Registry
from hub.settings import Settings
from hub.spec import Demo
from hub.suggest import unknown
from hub.texts import Sentence, sentence
from hub.weights.store import PATIENCE_S, WeightsFolder, WeightsStore

if TYPE_CHECKING:
    from pathlib import Path

    import torch

log = logging.getLogger(__name__)
ACTIONS = ("load", "pin", "unpin", "unload")


@dataclass(frozen=True, slots=True)
class Hardware:
    """Where models run, found out once per engine."""

    device: torch.device
    dtype: torch.dtype
    pool: ModelPool
    workshop: Workshop | None = None  # makes networks faster; None: all stay eager

    @property
    def tolerance(self) -> float:
        """How far a compiled form may be from the eager network; 0 where there are none."""
        return TOLERANCE[self.dtype_name] if self.workshop else 0.0

    @property
    def dtype_name(self) -> str:
        return str(self.dtype).removeprefix("torch.")


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


class Residency:
    """Brings the pages' models into the pool, tells who is there, and changes it for who may."""

    def __init__(self, settings: Settings, registry: Registry, weights: WeightsStore, metrics: Metrics):
        self.settings, self.registry, self.weights, self.metrics = settings, registry, weights, metrics
        # Guards _finding, which is there while the hardware is found out; taken alone.
        self._lock = threading.Lock()
        self._finding: Future[Hardware] | None = None
        self._hardware: Hardware | None = None
        self._placed: dict[str, str] = {}  # how models use the device that are not wholly on it, by `model_key`
        self._backends: dict[str, str] = {}  # how networks run, by `model_key`

    def hardware(self, left_s: float | None = None) -> Hardware:
        """Device, dtype and pool. The first call imports torch, so that pages can be served before it is there.

        Raises DeadlineError when that takes longer than `left_s`; it goes on then, for who asks next.
        """
        if self._hardware is not None:
            return self._hardware
        with self._lock:
            if self._finding is None:
                self._finding = Future()
                threading.Thread(target=self._find, args=(self._finding,), name="hardware", daemon=True).start()
            finding = self._finding
        wait([finding], left_s)
        if not finding.done():
            raise DeadlineError(
                "The hub has just started and is still finding out what this machine can do. Try again in a moment."
            )
        error = finding.exception()
        if error is not None:
            raise copy.copy(error)
        return finding.result()

    def _find(self, finding: Future[Hardware]) -> None:
        try:
            self._hardware = self._detect_hardware()
            imports.settle()
            finding.set_result(self._hardware)
        except HubError as error:
            self._again(finding, copy.copy(error))
        except BaseException as error:  # who waits must hear of it, whatever it is
            log.exception("the hardware was not found out")
            imports.forget_halves(error)
            why = imports.warnings() or [sentence("Try again in a moment.")]
            text = "This hub cannot run models now: {reason}. {what}"
            self._again(finding, UnavailableError(text, reason=brief(error), what=why[0]))

    def _again(self, finding: Future[Hardware], error: HubError) -> None:
        """It failed for those who wait; who asks next begins anew."""
        with self._lock:
            self._finding = None
        finding.set_exception(error)

    def _detect_hardware(self) -> Hardware:
        settings = self.settings
        device = devices.pick_device(settings.device)
        dtype = devices.pick_dtype(settings.dtype, device, settings.data_folder / "dtype.json")
        budget = int(settings.pool_gb * devices.GB) or devices.default_budget(device)
        self.metrics.pool_budget_bytes.set(budget)
        sizes, kind = Remembered(settings.data_folder / "sizes.json"), f"{device.type} {dtype} "
        known_bytes = {
            k.removeprefix(kind): n
            for k, n in sizes.read().items()
            if k.startswith(kind) and isinstance(n, int) and n > 0
        }
        if (
            device.type in devices.OWN_MEMORY
        ):  # measured when the device may have had more room: such a size would never fit now
            known_bytes = {k: n for k, n in known_bytes.items() if n <= budget or not self._shrinks(_weights_of(k))}
        pool = ModelPool(
            budget,
            keep_alive_s=settings.keep_alive_s,
            on_change=self.metrics.pool_changed,
            known_bytes={key: size for key, size in known_bytes.items() if isinstance(size, int)},
            on_measured=lambda key, size: sizes.add({kind + key: size}),
        )
        log.info("models run on %s in %s, in at most %.1f GB", device, dtype, budget / devices.GB)
        return Hardware(device, dtype, pool, self._workshop(device, dtype, pool))

    def _workshop(self, device: torch.device, dtype: torch.dtype, pool: ModelPool) -> Workshop | None:
        chosen = self.settings.backend
        if chosen == EAGER or device.type != "cpu" or str(dtype).removeprefix("torch.") not in TOLERANCE:
            return None
        always = chosen == OPENVINO
        return Workshop(self.settings.data_folder, pool.in_use, always=always)

    @property
    def pool(self) -> ModelPool:
        return self.hardware().pool

    def lease(
        self, demo: Demo, folder: WeightsFolder | None, key: str, timeout_s: float
    ) -> AbstractContextManager[Lease]:
        """The model of a run. Outlives the run that made it: it holds nothing of that run."""
        load = partial(self._load, demo, folder, key)
        return self.pool.lease(key, load, estimate_bytes=self._estimate(folder), timeout_s=timeout_s)

    def _estimate(self, folder: WeightsFolder | None) -> int:
        """Bytes before a model was measured: what its files take, no more than fits of what can do with less."""
        if folder is None:
            return 0
        hardware = self.hardware()
        shrinks = hardware.device.type in devices.OWN_MEMORY and _is_pipeline(folder.path)
        return min(folder.size_bytes, hardware.pool.budget_bytes) if shrinks else folder.size_bytes

    def _shrinks(self, weights: str) -> bool:
        try:
            return _is_pipeline(self.weights.find(weights).path)
        except HubError:
            return False

    def _load(self, demo: Demo, folder: WeightsFolder | None, key: str) -> Any:
        hardware = self.hardware()
        try:
            model = demo.load(folder.path if folder else None, hardware.device)
        except Exception:
            raise
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                raise  # Ctrl+C is for the whole process
            log.error("the load of %s left", key, exc_info=error)
            text = "{key} could not be loaded: {reason}. {why}"
            raise UnavailableError(text, key=key, reason=brief(error), why=LEFT) from error
        placed = devices.place(model, hardware.device, hardware.dtype, hardware.pool.budget_bytes)
        self._placed[key] = getattr(getattr(placed, "placement", None), "text", "")
        self._backends[key] = EAGER
        if hardware.workshop is not None and folder is not None:
            origin = Origin(
                slug=key.partition("/")[0],
                version=demo.version,
                pages=self.settings.pages_folder,
                weights=folder.name,
                digest=folder.digest,
                folder=folder.path,
                dtype=hardware.dtype_name,
            )
            hardware.workshop.attach(placed, origin, partial(self._compiled, hardware.pool, key))
        return placed

    def _compiled(self, pool: ModelPool, key: str) -> None:
        """One more of a model's networks runs in a compiled form, which takes memory, too."""
        self._backends[key] = OPENVINO
        pool.measure_again(key)

    def used_device(self, key: str) -> str:
        """The device as receipts tell it, with how a model uses it that is not wholly on it."""
        note = self._placed.get(key, "")
        return f"{self.hardware().device} ({note})" if note else str(self.hardware().device)

    # --- a load that hangs ---------------------------------------------------------------------------

    def stuck(self, after_s: float | None = None) -> Sentence | None:
        """What to tell of a load that takes longer than any visitor waits (or than `after_s`), else None."""
        now = CONSTRUCTION.now
        if now is None or now.seconds <= (self.settings.deadline_s if after_s is None else after_s):
            return None
        return now.explain()

    def refuse_if_stuck(self, key: str) -> None:
        """Raises UnavailableError: who waited for it would keep a place that runs of loaded models need."""
        why = self.stuck()
        if why and not self.holds(key):
            raise UnavailableError(why)

    # --- ahead of use -----------------------------------------------------------------------------

    def preload(self, slug: str, weights: str = "", *, evict: bool = False, pin: bool = False) -> bool:
        """Loads a demo's model ahead of use; without `evict` only into free room. `weights` empty: its default.

        Returns whether it is in memory. Raises HubError.
        """
        demo = self.registry.get(slug).demo
        folder = self.weights.obtain(_weights_name(demo, weights), patience_s=PATIENCE_S) if demo.weights else None
        key = model_key(slug, folder.name, folder.digest) if folder else slug
        return self.pool.ensure(
            key,
            partial(self._load, demo, folder, key),
            estimate_bytes=self._estimate(folder),
            evict=evict,
            pin=pin,
            timeout_s=self.settings.deadline_s,
        )

    def change(self, slug: str, weights: str, action: str) -> Resident:
        """Loads, pins, unpins or unloads a demo's model; to pin an absent one loads it. Returns how it stands now.

        Raises HubError: ConflictError while it is in use, InputError for what is not known.
        """
        if action not in ACTIONS:
            others, last = ", ".join(ACTIONS[:-1]), ACTIONS[-1]
            text = "action must be {known} or {last}, got {given!r}."
            raise InputError(text, known=others, last=last, given=action[:40], field="action")
        page = self.registry.get(slug)
        name = _weights_name(page.demo, weights)
        if action in ("load", "pin"):
            self.preload(slug, name, evict=True, pin=action == "pin")
        else:
            for model in self._models(slug, name):
                if action == "unpin":
                    self.pool.pin(model.key, False)
                elif not self.pool.unload(model.key):
                    self._still_there(page, model)
        return self._resident(page, name)

    def _still_there(self, page: Page, model: ModelStatus) -> None:
        """Says why a model could not be unloaded, unless it has gone by itself."""
        now = next((m for m in self.pool.status() if m.key == model.key), None)
        if now is not None:
            why = f"in use by {now.leases} run{'s' * (now.leases != 1)}" if now.state == "ready" else "being loaded"
            raise ConflictError(
                "{title} is {why} and stays until that ends. Try again in a moment.", title=page.title, why=why
            )

    # --- state ------------------------------------------------------------------------------------

    def is_loaded(self, slug: str) -> bool:
        """Whether a demo's default model is in memory. Never waits for torch or a load."""
        names = [w.name for w in self.registry.get(slug).demo.weights] or [""]
        return any(model.state == "ready" for model in self._models(slug, names[0]))

    def holds(self, key: str) -> bool:
        """Whether a model is in memory, by its `model_key`. Never waits for torch or a load."""
        return self._hardware is not None and self._hardware.pool.is_loaded(key)

    def residents(self) -> list[Resident]:
        """Every page's models: in memory first, in the order in which they would leave; then the others by page."""
        residents = [
            self._resident(page, name)
            for page in self.registry
            if page.declared
            for name in ([w.name for w in page.declared.weights] or [""])
        ]
        return sorted(residents, key=lambda r: (r.state not in ("ready", "loading"), not r.leaves, r.leaves))

    def _models(self, slug: str, weights: str) -> list[ModelStatus]:
        """What the pool holds for a page and weights: one model, or also one of bytes that changed on disk since."""
        if self._hardware is None:
            return []
        prefix = f"{slug}/{weights}@" if weights else slug
        return [m for m in self._hardware.pool.status() if m.key == slug or (weights and m.key.startswith(prefix))]

    def _resident(self, page: Page, weights: str) -> Resident:
        size, reason = 0, ""
        try:
            size = self.weights.size_bytes(weights) if weights else 0
        except UnavailableError as error:
            reason = error.message
        known_bytes = self._hardware.pool.known_bytes() if self._hardware else {}
        family = model_key(page.slug, weights, "")
        sizes = [n for key, n in known_bytes.items() if key == family or (weights and key.startswith(family))]
        resident = Resident(
            demo=page.slug,
            title=page.title,
            weights=weights,
            state="missing" if reason else "absent",
            bytes=sizes[-1] if sizes else size,
            measured=bool(sizes),
            reason=reason,
        )
        for model in self._models(page.slug, weights)[-1:]:
            resident = replace(
                resident,
                state=model.state,
                bytes=model.bytes,
                measured=resident.measured and model.state == "ready",
                leases=model.leases,
                pinned=model.pinned,
                loaded_for_s=round(model.loaded_for_s, 1),
                idle_for_s=round(model.idle_for_s, 1),
                load_ms=round(model.load_ms, 1),
                leaves=model.leaves,
                backend=self._backends.get(model.key, "") if model.state == "ready" else "",
            )
        return resident

    def close(self) -> None:
        """Drops all models."""
        if self._hardware is not None:
            if self._hardware.workshop is not None:
                self._hardware.workshop.close()
            self._hardware.pool.close()


def _is_pipeline(folder: Path) -> bool:
    return (folder / "model_index.json").is_file()


def _weights_of(key: str) -> str:
    """The name of the weights in a `model_key`."""
    return key.partition("/")[2].rpartition("@")[0]


def _weights_name(demo: Demo, weights: str) -> str:
    """The name of a demo's weights, its default for an empty one. Raises InputError."""
    names = [w.name for w in demo.weights]
    if weights and weights not in names:
        raise InputError(unknown("weights", weights, names), field="weights")
    return weights or (names[0] if names else "")
