"""The executor of this process: pool, batcher and the functions of the demos, in the threads that ask."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from typing import Any

from cachetools import LRUCache

from hub import errors, texts
from hub.decoding import budget
from hub.decoding.decode import ImageLimits
from hub.errors import CancelledError, DeadlineError, OtherWeightsError
from hub.execution.batching import Batcher, Infer, Outcome
from hub.execution.executor import DECODED, PREPARED, Computed, Flag, OnEvent, Work
from hub.execution.forward import Cores
from hub.execution.frames import FrameRun, OverFrames
from hub.execution.leases import model_key
from hub.execution.residency import Residency
from hub.metrics import RunMetrics
from hub.pages import headlines, outputs
from hub.pages.calls import call
from hub.pages.hints import picture_of
from hub.pages.inputs import Opened
from hub.pages.kinds import enough_pixels, first_picture
from hub.pages.over_video import VIDEO
from hub.pages.registry import Page, Registry
from hub.results import capsules
from hub.results.headline import default_headline
from hub.results.sight import look
from hub.settings import Settings
from hub.spec import Progress
from hub.texts import Sentence
from hub.tracing import Stage
from hub.weights.store import PATIENCE_S, WeightsFolder, WeightsStore


class InProcess:
    """Runs models in this process.

    `infer_of(key)` stands in for the demos' own `infer` where a GPU is lent for each pass, as on a ZeroGPU Space.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        weights: WeightsStore,
        models: Residency,
        metrics: RunMetrics,
        limits: ImageLimits,
        *,
        outputs_bytes: int,
        infer_of: Callable[[str], Infer] | None = None,
        cores: Cores | None = None,
    ):
        self._settings, self._registry, self._weights, self._models = settings, registry, weights, models
        self._metrics, self._limits, self._infer_of = metrics, limits, infer_of
        self._cores = cores or Cores()
        # Guards the two below. Never held while a demo's code, a load or a wait runs.
        self._lock = threading.Lock()
        self._batchers: dict[str, Batcher] = {}
        self._outputs: LRUCache[tuple[str, str], tuple[Any, str, int]] = LRUCache(
            outputs_bytes, getsizeof=lambda entry: entry[2]
        )

    def compute(self, work: Work, on_event: OnEvent, cancel: Flag) -> Computed:
        """As the protocol says."""
        on_event("queued", None)
        end = time.perf_counter() + work.left_s

        def left_s() -> float:
            return end - time.perf_counter()

        with budget.room(left_s, cancel.is_set) as room:
            return _Run(self, work, on_event, cancel, left_s, room).computed()

    def dtype_name(self, left_s: float) -> str:
        return self._models.hardware(left_s).dtype_name

    def tolerance(self, left_s: float) -> float:
        return self._models.hardware(left_s).tolerance

    def waiting(self, asker: tuple[str, str], slug: str) -> None:
        """Nobody waits for places here."""

    def why_late(self, work: Work) -> Sentence | None:
        return self._why_late(model_key(work.model_slug, work.weights, work.digest))

    def _why_late(self, key: str) -> Sentence | None:
        return None if self._models.holds(key) else self._models.stuck(self._settings.deadline_s / 2)

    def drop_outputs(self, slugs: Collection[str]) -> None:
        with self._lock:
            for key in [key for key in self._outputs if key[0].split("/")[0] in slugs]:
                del self._outputs[key]

    def read_again(self, slugs: Collection[str], stale: Collection[str]) -> None:
        """As the protocol says; the registry has the pages already."""
        self.drop_outputs(slugs)
        with self._lock:  # a batcher has its page's functions
            for key in [key for key in self._batchers if key.split("/")[0] in slugs]:
                del self._batchers[key]
        self._models.drop(stale)

    def close(self) -> None:
        self._models.close()

    def deserted_at(self) -> float | None:
        """Since when the oldest of the passes goes on that nobody waits for; None: none does."""
        with self._lock:
            batchers = list(self._batchers.values())
        return min((at for batcher in batchers if (at := batcher.deserted_at()) is not None), default=None)

    # --- what runs share --------------------------------------------------------------------------

    def find_output(self, key: str, digest: str) -> tuple[Any, str] | None:
        """What the same weights made of the same item before, and by which backend; None: it is not there any more."""
        with self._lock:
            entry = self._outputs.get((key, digest))
        return None if entry is None else entry[:2]

    def keep(self, key: str, digest: str, output: Any, backend: str, size: int | None) -> None:
        """Remembers an output of so many bytes. None: how many cannot be told, so it is not kept."""
        if digest and size is not None and size <= self._outputs.maxsize:
            with self._lock:
                self._outputs[key, digest] = (output, backend, size)

    @property
    def most_of_one_video(self) -> float:
        """The bytes that what is kept of all frames of a video may have: others' answers are to stay, too."""
        return self._outputs.maxsize / 2

    def batcher(self, page: Page, folder: WeightsFolder | None, key: str) -> Batcher:
        """The one batcher of a model."""
        stale = []
        with self._lock:
            batcher = self._batchers.get(key)
            if batcher is None:
                # New bytes under the same name: nobody can ask for the old ones any more.
                family = key.rsplit("@", 1)[0] + "@"
                stale = [other for other in self._batchers if other.startswith(family)]
                for other in stale:
                    del self._batchers[other]
                batcher = self._batchers[key] = self._new_batcher(page, folder, key)
        for other in stale:
            self._models.pool.unload(other)
        return batcher

    def _new_batcher(self, page: Page, folder: WeightsFolder | None, key: str) -> Batcher:
        # It outlives the run that made it: it must hold nothing of that run, such as its pictures.
        settings, demo = self._settings, page.demo
        return Batcher(
            page.slug,
            self._infer_of(key) if self._infer_of else partial(call, demo.infer, folder.config if folder else None),
            partial(self._models.lease, demo, folder, key, settings.deadline_s),
            max_batch=min(settings.max_batch, demo.max_batch),
            window_s=settings.batch_window_ms / 1000,
            guard=self._cores.inference,
            turn=self._cores.turn,
            relieve=partial(self._models.pool.evict_idle, key),
            is_loaded=partial(self._models.pool.is_loaded, key),
            on_batch=partial(self._metrics.batch_passed, page.slug),
            too_late=partial(self.too_late, page.slug, key),
        )

    def too_late(self, slug: str, key: str) -> DeadlineError:
        """What is told of a run whose time is over."""
        return errors.too_late(slug, self._settings.deadline_s, self._why_late(key))


class _Run:
    """One run on its way through the executor."""

    def __init__(
        self,
        executor: InProcess,
        work: Work,
        on_event: OnEvent,
        cancel: Flag,
        left_s: Callable[[], float],
        room: budget.PixelRoom,
    ):
        self.executor, self.work, self.on_event, self.cancel, self.left_s = executor, work, on_event, cancel, left_s
        self.stages: list[Stage] = []
        self.epoch = time.time() - time.perf_counter()  # what the performance counter counts from
        self.page = executor._registry.get(work.slug)
        store = executor._weights
        self.folder = store.obtain(work.weights, patience_s=PATIENCE_S) if work.weights else None
        if self.folder and self.folder.digest != work.digest:
            raise OtherWeightsError("The weights {name!r} changed just now. Try again.", name=work.weights)
        self.key = model_key(self.page.model_slug, work.weights, work.digest)
        enough = enough_pixels(self.page.demo, self.folder.config if self.folder else None)
        fields = {field.name: field for field in self.page.demo.inputs}
        self.inputs = Opened(work.parameters, work.pictures, executor._limits, room, enough, fields)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Calls a demo's function with the inputs, and with `config` where it asks for it."""
        values = self.inputs.values()
        return call(function, self.folder.config if self.folder else None, *arguments, **values)

    def note(self, name: str, begin: float, end: float | None = None) -> None:
        """A part of the run, in seconds of the performance counter; without an `end` it has just ended."""
        end = time.perf_counter() if end is None else end
        self.stages.append(Stage(name, self.epoch + begin, end - begin))

    def note_pass(self, outcome: Outcome) -> None:
        """The parts of what has just come out of the batcher."""
        times = {"queue": outcome.queue_ms, "load": outcome.load_ms, "infer": outcome.infer_ms}
        begin = time.perf_counter() - sum(times.values()) / 1000
        for name, ms in times.items():
            self.note(name, begin, begin + ms / 1000)
            begin += ms / 1000

    def computed(self) -> Computed:
        models, demo, work = self.executor._models, self.page.demo, self.work
        models.refuse_if_stuck(self.key)
        sight = None
        with self.executor.batcher(self.page.model_page, self.folder, self.key).coming() as submit:
            begin = time.perf_counter()
            self.inputs.values()
            self.on_event(DECODED, None)
            self.note("decode", begin)
            decoded = time.perf_counter()
            if self.page.over is not None:
                part = self.over_frames(self.page.over, submit)
                self.note("frames", decoded)
                outcome, prepare_ms, begin = part.outcome, part.prepare_ms, time.perf_counter() - part.present_ms / 1000
            else:
                item = self.call(demo.prepare)
                self.note("prepare", decoded)
                prepare_ms = (time.perf_counter() - begin) * 1000
                outcome = self.infer(item, submit)
        self.check_wanted()
        if self.page.over is not None:
            presented, unread = part.presented, part.remarks
        else:
            if work.wants_sight:
                image = picture_of(self.inputs.values()[first_picture(demo)])
                sight = look(work.slug, outcome.output, image, "")
            begin = time.perf_counter()
            presented, unread = outputs.split(demo, self.call(demo.present, outcome.output))
        told = headlines.named_inputs(demo, self.inputs.values())
        self.inputs.forget()  # to encode what was made of them takes memory too
        remarks = [*self.inputs.remarks, *unread]
        values_json, pictures = outputs.encode(work.slug, demo, presented)
        config = self.folder.config if self.folder else None
        headline = headlines.write(work.slug, demo, presented, config, told) or default_headline(
            demo, json.loads(values_json), pictures
        )
        pictures = capsules.stamped(demo, pictures, work.capsule_json, remarks)
        self.note("present", begin)
        return Computed(
            values_json,
            pictures,
            prepare_ms,
            outcome.queue_ms,
            outcome.load_ms,
            outcome.infer_ms,
            present_ms=(time.perf_counter() - begin) * 1000,
            batch_size=outcome.batch_size,
            cold=outcome.cold,
            device=models.used_device(self.key),
            dtype=models.hardware().dtype_name,
            backend=outcome.backend,
            remarks=tuple(remarks),
            sentences=tuple(texts.sentences_in(presented)),
            sight=sight,
            headline=headline,
            stages=tuple(self.stages),
        )

    def over_frames(self, over: Page, submit: Callable[..., Outcome]) -> OverFrames:
        """A video's frames, each as a picture of the page `over`."""
        settings = self.inputs.values()
        clip = settings[VIDEO]
        loading: list[str] = []

        def hear(stage: str, progress: Progress | None) -> None:  # of one frame among many: what the run does not say
            if stage == "loading" and not loading:
                loading.append(stage)
                self.on_event(stage, None)

        def send(item: Any) -> Outcome:
            # So a setting that only `present` uses is drawn anew over all frames, and none meets the model again.
            digest = outputs.digest(item)
            if (earlier := self.earlier(digest)) is not None:
                return earlier
            outcome = submit(item, self.left_s(), hear, self.cancel.is_set, self.work.asker)
            output, size = outputs.seal(outcome.output)
            if size is not None and size * clip.count <= self.executor.most_of_one_video:
                self.executor.keep(self.key, digest, output, outcome.backend, size)
            return replace(outcome, output=output)

        def tell(progress: Progress) -> None:
            self.on_event("running", progress)

        run = FrameRun(over.demo, self.folder.config if self.folder else None, send, tell, self.check_wanted)
        return run.run(clip, {name: value for name, value in settings.items() if name != VIDEO})

    def infer(self, item: Any, submit: Callable[..., Outcome]) -> Outcome:
        """The model's output; from memory when the same item met the same weights before.

        So a parameter that only `present` uses (a threshold, an opacity) never runs the model again.
        """
        executor, digest = self.executor, "" if self.work.live else outputs.digest(item)
        if (earlier := self.earlier(digest)) is not None:
            return earlier

        def unwanted() -> bool:  # asked four times a second while the model works
            self.inputs.lend()
            return self.cancel.is_set()

        self.on_event(PREPARED, None)
        outcome = submit(item, self.left_s(), self.on_event, unwanted, self.work.asker)
        self.note_pass(outcome)
        output, size = outputs.seal(outcome.output)
        executor.keep(self.key, digest, output, outcome.backend, size)
        return replace(outcome, output=output)

    def earlier(self, digest: str) -> Outcome | None:
        """What the same weights made of the same item before; None: it is not there any more."""
        found = self.executor.find_output(self.key, digest) if digest else None
        if found is None:
            return None
        self.executor._metrics.output_reused(self.page.slug)
        output, backend = found
        return Outcome(output, 0.0, 0.0, 0.0, False, 0, backend)

    def check_wanted(self) -> None:
        """Raises CancelledError or DeadlineError where nobody waits any more: to present may take seconds."""
        if self.cancel.is_set():
            raise CancelledError("The run was cancelled.")
        if self.left_s() <= 0:
            raise self.executor.too_late(self.page.slug, self.key)
