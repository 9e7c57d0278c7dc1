"""ZeroGPU Spaces: a GPU is lent for the seconds of one call, and that call runs in a forked process.

So models are placed on "cuda" at the start, which the package `spaces` stands in for there, and a child finds them in
its copy of memory. Nothing is loaded later. Anywhere else this module does nothing, and `spaces` is not needed.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import math
import os
import re
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import psutil

from hub.errors import HubError, UnavailableError, brief
from hub.execution.batching import Infer
from hub.execution.devices import is_out_of_memory
from hub.execution.leases import model_key
from hub.execution.remembered import Remembered
from hub.execution.residency import Residency
from hub.pages.calls import call
from hub.pages.registry import Page, Registry
from hub.settings import Settings
from hub.spec import Progress
from hub.weights.store import WeightsStore

log = logging.getLogger(__name__)

# What a hub needs there where nothing else is said: no GPU is at hand to measure dtypes with; a model that left memory
# could not come back; and examples that run by themselves would use up GPU seconds that belong to visitors.
SETTINGS = {"HUB_DTYPE": "bfloat16", "HUB_KEEP_ALIVE_S": "0", "HUB_MANAGE": "nobody", "HUB_SIMILAR": "off"}

UNKNOWN_S = 60  # asked for before anything was measured; also what ZeroGPU takes for a call that says nothing
LEAST_S, MOST_S = 1, 120
MARGIN = 1.5
FADE = 0.8  # what was measured before counts so much against a shorter time; a longer one counts at once
CHANGE = 0.1  # a smaller change of an estimate is not written down


def is_zero_space(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this is a ZeroGPU Space."""
    return environment.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def claim() -> Any:
    """The package `spaces` on a ZeroGPU Space, else None. To be called before anything looks for CUDA.

    Raises UnavailableError.
    """
    if not is_zero_space():
        return None
    try:
        return importlib.import_module("spaces")
    except ImportError as error:
        raise UnavailableError(
            "This is a ZeroGPU Space, and the package spaces cannot be imported ({reason}). Add it to "
            "requirements.txt.",
            reason=error,
        ) from None


@dataclass(frozen=True, slots=True)
class Ended:
    """What a child answers at the end; `start_s` is what came before the first call in a new process."""

    outputs: Any
    infer_s: float
    start_s: float | None


@dataclass(frozen=True, slots=True)
class Failed:
    """An error as a value: of one that is raised in a child only the name of its class would arrive."""

    error: Exception


@dataclass(frozen=True, slots=True)
class _Held:
    model: Any
    infer: Infer


class Zero:
    """The models of a ZeroGPU Space, and inference that borrows a GPU.

    Make it in the thread that called `claim`, before pages are served: `spaces` stands in for CUDA in that thread only.
    Raises UnavailableError when `spaces` is not as this module knows it.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        weights: WeightsStore,
        models: Residency,
        spaces: Any,
        port: int,
    ):
        self._settings, self._weights, self._models = settings, weights, models
        self._remembered = Remembered(settings.data_folder / "gpu_seconds.json")
        self._seconds: dict[str, dict[str, float]] = {
            key: times for key, times in self._remembered.read().items() if _are_seconds(times)
        }
        self._held: dict[str, _Held] = {}  # written here only; children read their copy
        self._process = os.getpid()
        spaces.disable_gradio_auto_wrap()  # the hub says itself what needs the GPU
        self._call = spaces.GPU(duration=self.duration_s)(self._in_child)
        for page in registry:
            if page.declared is not None and page.model_page is page:
                self._hold(page)
        # A child has a copy of every open connection, and one that it keeps would not end for the visitor.
        _part("spaces.reloading", "reload_server_ports").add(port)
        _part("spaces.zero", "startup")()  # `Blocks.launch()` would do it: moves the tensors aside, reports the start

    def _hold(self, page: Page) -> None:
        """Loads a page's models with all its weights. What cannot be loaded is told on the page, not here."""
        for name in [w.name for w in page.demo.weights] or [""]:
            try:
                folder = self._weights.obtain(name) if name else None
                key = model_key(page.model_slug, folder.name if folder else "", folder.digest if folder else "")
                if not self._models.preload(page.slug, name, pin=True):
                    raise UnavailableError("{key} does not fit into the GPU's memory beside the others.", key=key)
                with self._models.lease(page.demo, folder, key, self._settings.deadline_s) as lease:
                    config = folder.config if folder else None
                    self._held[key] = _Held(lease.model, partial(call, page.demo.infer, config))
            except HubError as error:
                log.error("%s is not served: %s", page.slug, error.message)

    # --- in the parent ----------------------------------------------------------------------------

    def lent(self, key: str) -> Infer:
        """Inference of one model on a borrowed GPU. Raises UnavailableError for one not loaded at the start."""
        if key not in self._held:
            raise UnavailableError(
                "{key} was not loaded when this Space started, and on ZeroGPU nothing is loaded later. Restart the "
                "Space; its log says what failed.",
                key=key,
            )
        return partial(self._run, key)

    def duration_s(self, key: str, items: list[Any]) -> int:
        """Seconds to borrow a GPU for: measured ones with a margin. A shorter wish waits less in ZeroGPU's queue."""
        seconds = self._seconds.get(key)
        if seconds is None:
            return UNKNOWN_S
        return min(MOST_S, max(LEAST_S, math.ceil(MARGIN * (seconds["start_s"] + seconds["item_s"] * len(items)))))

    def _run(self, key: str, model: Any, items: list[Any]) -> Generator[Progress, None, list[Any]]:
        """Passes on what a child tells, and returns its outputs. Raises what it failed with."""
        last: Ended | Failed | None = None
        try:
            with closing(self._call(key, items)) as messages:
                for message in messages:
                    if isinstance(message, Progress):
                        yield message
                    else:
                        last = (
                            message  # and read to the end: to stop here would look to `spaces` like a visitor who left
                        )
        except Exception as error:
            # Gradio's errors are how `spaces` says that there is no GPU to be had: quota, queue, a lost worker.
            text = _plain(getattr(error, "message", "")) if type(error).__module__.startswith("gradio") else ""
            if text:
                raise UnavailableError("No GPU could be borrowed. {text}", text=text) from None
            raise
        if isinstance(last, Failed):
            raise last.error
        if last is None:
            raise UnavailableError("The borrowed GPU was taken back before the run ended. Try again.")
        self._learn(key, last, len(items))
        outputs: list[Any] = last.outputs
        return outputs

    def _learn(self, key: str, ended: Ended, items: int) -> None:
        before = self._seconds.get(key, {"start_s": 0.0, "item_s": 0.0})
        now = {"item_s": ended.infer_s / max(1, items)}
        if ended.start_s is not None:
            now["start_s"] = ended.start_s
        new = before | {name: max(s, FADE * before[name] + (1 - FADE) * s) for name, s in now.items()}
        if key not in self._seconds or any(abs(new[name] - before[name]) > CHANGE * before[name] for name in new):
            self._remembered.add({key: new})
        self._seconds[key] = new

    # --- in a child -------------------------------------------------------------------------------

    def _in_child(self, key: str, items: list[Any]) -> Iterator[Progress | Ended | Failed]:
        """One pass of a model that the parent loaded: Progress, then Ended or Failed."""
        import torch

        begin, start_s = time.time(), None
        if self._process != os.getpid():  # the first call of this process: the GPU was ours since it was forked
            self._process = os.getpid()
            start_s = max(0.0, begin - psutil.Process().create_time())
        entry = self._held[key]
        try:
            with torch.inference_mode():  # the parent's holds for its own threads only
                outputs = entry.infer(entry.model, items)
                if inspect.isgenerator(outputs):
                    outputs = yield from outputs
        except Exception as error:  # whatever it is, those who wait must hear of it
            if not isinstance(error, HubError):
                log.error("%s failed", key, exc_info=error)
            yield Failed(_sendable(key, error))
        else:
            yield Ended(outputs, time.time() - begin, start_s)


def _sendable(key: str, error: Exception) -> Exception:
    """Without its frames, and as a kind of error that the parent can read: a foreign class may not travel."""
    if is_out_of_memory(error):
        return MemoryError(brief(error))
    if isinstance(error, HubError):
        return error.with_traceback(None)
    return HubError("{page} failed on this input: {reason}", page=key, reason=brief(error))


def _part(module: str, name: str) -> Any:
    """Raises UnavailableError where another version of `spaces` has it no more."""
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        raise UnavailableError(
            "The package spaces has no {module}.{name}; this hub was written for spaces 0.51. Name that version "
            "in requirements.txt.",
            module=module,
            name=name,
        ) from None


def _are_seconds(times: Any) -> bool:
    return isinstance(times, dict) and all(
        isinstance(times.get(name), int | float) and 0 <= times[name] < math.inf for name in ("start_s", "item_s")
    )


def _plain(text: Any) -> str:
    """Words without the links that are meant for a page of Gradio's."""
    return re.sub(r"<[^<>]*>", "", str(text)).strip()
