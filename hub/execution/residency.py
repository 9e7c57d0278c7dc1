"""Whose models are in memory: the device, the pool, loading ahead of use, pinning and unloading."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from hub import imports
from hub.errors import LEFT, HubError, UnavailableError, brief
from hub.execution import devices, models
from hub.execution.backends.measuring import TOLERANCE
from hub.execution.backends.orders import Origin
from hub.execution.backends.points import EAGER, OPENVINO
from hub.execution.backends.workshop import Workshop
from hub.execution.construction import CONSTRUCTION
from hub.execution.finding import Finding
from hub.execution.leases import Lease, ModelStatus, model_key
from hub.execution.models import Machine, PoolState, ProcessStatus, Resident
from hub.execution.pool import ModelPool
from hub.execution.remembered import Remembered
from hub.metrics import PoolMetrics
from hub.pages.registry import Page, Registry
from hub.settings import Settings
from hub.spec import Demo
from hub.texts import Sentence, sentence
from hub.weights.store import PATIENCE_S, WeightsFolder, WeightsStore

if TYPE_CHECKING:
    from pathlib import Path

    import torch

log = logging.getLogger(__name__)


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


class Residency:
    """Brings the pages' models into the pool, tells who is there, and changes it for who may."""

    def __init__(
        self, settings: Settings, registry: Registry, weights: WeightsStore, metrics: PoolMetrics, *, share: int = 1
    ):
        self.settings, self.registry, self.weights, self.metrics = settings, registry, weights, metrics
        self._share = share  # models of so many processes live on the device; each has its part of the room
        self._hardware = Finding(self._find_hardware, "hardware")
        self._placed: dict[str, str] = {}  # how models use the device that are not wholly on it, by `model_key`
        self._backends: dict[str, str] = {}  # how networks run, by `model_key`

    def hardware(self, left_s: float | None = None) -> Hardware:
        """Device, dtype and pool. The first call imports torch, so that pages can be served before it is there.

        Raises DeadlineError when that takes longer than `left_s`; it goes on then, for who asks next.
        """
        return self._hardware.get(left_s)

    def _find_hardware(self) -> Hardware:
        try:
            found = self._detect_hardware()
            imports.settle()
        except HubError:
            raise
        except BaseException as error:  # who waits must hear of it, whatever it is
            log.exception("the hardware was not found out")
            imports.forget_halves(error)
            why = imports.warnings() or [sentence("Try again in a moment.")]
            text = "This hub cannot run models now: {reason}. {what}"
            raise UnavailableError(text, reason=brief(error), what=why[0]) from error
        return found

    def _detect_hardware(self) -> Hardware:
        settings = self.settings
        device = devices.pick_device(settings.devices[0])
        dtype = devices.pick_dtype(settings.dtype, device, settings.data_folder / "dtype.json")
        budget = (int(settings.pool_gb * devices.GB) or devices.default_budget(device)) // self._share
        self.metrics.pool_changed("budget", budget)
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
        return Workshop(self.settings.data_folder, pool.rested_s, always=always)

    @property
    def pool(self) -> ModelPool:
        return self.hardware().pool

    def machine(self, left_s: float | None = None) -> Machine:
        hardware = self.hardware(left_s)
        return Machine(str(hardware.device), hardware.dtype_name, hardware.pool.budget_bytes, hardware.tolerance)

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
        page = self.registry.get(slug)
        name = models.weights_name(page.demo, weights)
        demo, slug = page.model_page.demo, page.model_slug
        folder = self.weights.obtain(name, patience_s=PATIENCE_S) if name else None
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
        """As `Models` says."""
        models.check_action(action)
        page = self.registry.get(slug)
        name = models.weights_name(page.demo, weights)
        if action in ("load", "pin"):
            self.preload(slug, name, evict=True, pin=action == "pin")
        else:
            for model in models.of_page(self.state().models, page.model_slug, name):
                if action == "unpin":
                    self.pool.pin(model.key, False)
                elif not self.pool.unload(model.key):
                    self._check_gone(page, model)
        return models.resident(self.weights, self.state(), page, name)

    def drop(self, slugs: Collection[str]) -> None:
        """Unloads all models of these pages, as soon as nobody uses them."""
        end = time.monotonic() + PATIENCE_S
        while keys := [model.key for model in self.state().models if model.key.split("/")[0] in slugs]:
            if all(map(self.pool.unload, keys)):
                return
            if time.monotonic() > end:
                log.warning("%s: still in use, so not loaded anew", ", ".join(keys))
                return
            time.sleep(0.05)

    def _check_gone(self, page: Page, model: ModelStatus) -> None:
        """Raises ConflictError for a model that could not be unloaded, unless it has gone by itself."""
        for now in self.pool.status():
            if now.key == model.key:
                raise models.in_use(page, now)

    # --- state ------------------------------------------------------------------------------------

    def state(self) -> PoolState:
        """What is in memory now. Never waits for torch or a load."""
        if self._hardware.known is None:
            return PoolState()
        pool = self._hardware.known.pool
        return PoolState(pool.used_bytes(), tuple(pool.status()), pool.known_bytes(), dict(self._backends))

    def loaded(self) -> frozenset[str]:
        """The keys of what is in memory."""
        return frozenset(model.key for model in self.state().models if model.state == "ready")

    def is_loaded(self, slug: str) -> bool:
        """Whether a demo's default model is in memory. Never waits for torch or a load."""
        page = self.registry.get(slug)
        return models.default_loaded(self.loaded(), page.demo, page.model_slug)

    def holds(self, key: str) -> bool:
        """Whether a model is in memory, by its `model_key`. Never waits for torch or a load."""
        return self._hardware.known is not None and self._hardware.known.pool.is_loaded(key)

    def warnings(self) -> list[Sentence]:
        """As `Models` says."""
        return imports.warnings()

    def processes(self) -> list[ProcessStatus]:
        """As `Models` says."""
        return []

    def residents(self) -> list[Resident]:
        """As `Models` says."""
        return models.residents(self.registry, self.weights, self.state())

    def close(self) -> None:
        """Drops all models."""
        hardware = self._hardware.known
        if hardware is not None:
            if hardware.workshop is not None:
                hardware.workshop.close()
            hardware.pool.close()


def _is_pipeline(folder: Path) -> bool:
    return (folder / "model_index.json").is_file()


def _weights_of(key: str) -> str:
    """The name of the weights in a `model_key`."""
    return key.partition("/")[2].rpartition("@")[0]
