"""Engine.run: the only way to a prediction, whichever door the request came through."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from cachetools import LRUCache

from hub import budget, capsules, memory, outputs, texts
from hub.batching import Batcher, Outcome
from hub.decode import ImageLimits
from hub.disk import Disk
from hub.errors import CancelledError, DeadlineError, HubError
from hub.history import History
from hub.inputs import Opened, read
from hub.jobs import Cancel, Job, OnEvent, Stop, call, quiet
from hub.limits import Allowance
from hub.metrics import Metrics
from hub.models import ModelPool
from hub.owners import MACHINE, Owner, Owners
from hub.pictures import Pictures
from hub.registry import Page, Registry, discover
from hub.residency import Hardware, Residency
from hub.results import Capsule, Receipt, Result
from hub.running import Running, unexpected
from hub.settings import Settings, go_offline
from hub.sharing import Sharing
from hub.shown import HUB, Shown
from hub.similar import Index, Similar
from hub.spec import Demo
from hub.store import ResultStore
from hub.users import Caller
from hub.weights import PATIENCE_S, Folder, open_store

if TYPE_CHECKING:
    from hub.zero import Zero

log = logging.getLogger(__name__)

RAW_OUTPUTS_SHARE = 4  # model outputs kept for other parameters take at most 1/4 of the results' memory
GIANTS = 4  # of the largest pictures are open at once, where the settings do not say
EMBEDDINGS_SHARE = 8  # and what finds similar pictures 1/8


class Engine:
    """Owns the pool, the batchers and the results. Make one, in the entry point, and hand it down."""

    def __init__(self, settings: Settings | None = None, registry: Registry | None = None):
        self.settings = settings or Settings()
        if self.settings.offline:
            go_offline()
        found = registry or discover(self.settings.pages_folder, self.settings.only())
        self.registry, self.weights = open_store(self.settings, found)
        self.texts = texts.catalogues(page.assets for page in self.registry)  # by language
        self.metrics = Metrics()
        most_bytes, most_pixels = self.settings.max_upload_mb * 2**20, self.settings.max_megapixels * 1_000_000
        self.limits = ImageLimits(int(most_bytes), int(most_pixels))
        memory.settle()
        budget.BUDGET.resize(int(self.settings.open_megapixels * 1_000_000) or GIANTS * self.limits.max_pixels)
        kept_bytes = int(self.settings.results_memory_mb * 2**20)
        self.stop = Stop()
        self.allowance = Allowance(self.settings.rate_limit, self.settings.quota)
        self.similar = Similar(self, Index(kept_bytes // EMBEDDINGS_SHARE))
        self.sharing = Sharing(self, kept_bytes)
        self.pictures = Pictures(self)
        self.history = History(self)
        self.results = ResultStore(
            self.settings.data_folder,
            memory_bytes=kept_bytes,
            disk_bytes=int(self.settings.results_disk_mb * 2**20),
            max_age_s=self.settings.results_days * 86_400,
            on_gone=self._forget,
        )
        self.disk = Disk(self.settings.data_folder)
        self.owners, self.shown = Owners(self.results.secret), Shown(self.history)
        self.models = Residency(self.settings, self.registry, self.weights, self.metrics)
        if self.settings.device not in ("auto", "cpu"):
            self.hardware()  # a device that is not here should stop the start, not the first visitor
        self.running = Running(
            self.settings,
            self.metrics,
            self.results,
            self.shown,
            compute=self._compute,
            left_s=lambda job: self._left_s(job.begin),
            too_late=lambda job: self._too_late(job.page.slug, job.key),
            make_way=self.similar.examples.make_way,
        )
        # Guards _batchers and _raw. Never held while a demo's code, a load or a wait runs.
        self._lock = threading.Lock()
        self._batchers: dict[str, Batcher] = {}
        self._raw: LRUCache[tuple[str, str], tuple[Any, int]] = LRUCache(
            kept_bytes // RAW_OUTPUTS_SHARE, getsizeof=lambda kept: kept[1]
        )
        self.zero: Zero | None = None  # on a ZeroGPU Space, what borrows a GPU for each pass

    def hardware(self) -> Hardware:
        """Device, dtype and pool. The first call imports torch, so that pages can be served before it is there."""
        return self.models.hardware()

    @property
    def pool(self) -> ModelPool:
        return self.models.pool

    # --- the one path -----------------------------------------------------------------------------

    def run(
        self,
        slug: str,
        inputs: Mapping[str, Any],
        *,
        on_event: OnEvent = lambda stage, progress: None,
        cancel: Cancel | None = None,
        session: str = "",
        background: bool = False,
        live: bool = False,
        caller: Caller | None = None,
    ) -> Result:
        """Answers one request: a stored result, a share in an equal one that is running, or a new run.

        `inputs` are values by input name: pictures as `bytes`, `Path` or `PIL.Image`, the rest as numbers or
        text. `on_event(stage, progress)` hears "queued", "loading" and "running", from any thread. `session`
        names the browser session that asks, where a door knows more of it than `caller` tells.
        `background`: nobody waits, so it takes no place from those who do. `live`: a camera frame, of which nothing
        is kept. `caller` is whose run it counts as; None: nobody's. Raises a HubError, and nothing else, whose text a
        user can read.
        """
        begin = time.perf_counter()
        known = slug if slug in self.registry.pages else "unknown"
        cancel = cancel or Cancel()
        try:
            self.stop.admit(cancel)
            self.allowance.spend(caller)
            job = self._job(slug, inputs, begin, on_event, cancel)
            # A live run has an id of its own, by which nobody finds, shares or keeps it.
            id = secrets.token_hex(16) if live else job.id
            owner = MACHINE if background else self.owners.of(caller, session)
            job = replace(job, id=id, owner=owner, background=background, live=live)
            result, outcome = self.history.watch(self.running.answer, job, caller)
            self.similar.keep(result, job.demo, owner)
            self.sharing.keep(result.id, job)
            self.pictures.keep(result, job)
        # No local may hold the error: its traceback holds this frame, and so the uploaded pictures.
        except HubError as error:
            if self.stop.cut_off(error):
                raise self._count_error(known, self.stop.ended()) from None
            self._count_error(known, error)
            raise
        except Exception as error:
            raise self._count_error(known, unexpected(slug, error)) from error
        self.metrics.requests.labels(slug, "background" if background else outcome).inc()
        self.metrics.stage_seconds.labels(slug, "total").observe(time.perf_counter() - begin)
        return result

    def _forget(self, id: str) -> None:
        """A result is kept nowhere any more."""
        self.similar.index.remove(id)
        self.pictures.remove(id)
        self.history.gone(id)

    def disown(self, who: Owner, ids: Collection[str], free: Collection[str]) -> None:
        """A caller deleted these results. `free`: those that nobody else has in their history, and so go."""
        for id in ids:
            self.sharing.forget(id, None if id in free else who)
            if id in free:
                self.results.remove(id)
            else:
                self.results.disown(id, who.ids)
        self.similar.index.disown(ids, who.ids)
        self.pictures.disown(who, ids)
        self.shown.forget(who, ids)

    def drop_outputs(self, slugs: Collection[str]) -> None:
        """Drops what is remembered of models' outputs on these pages: it is of what people put in."""
        with self._lock:
            for key in [key for key in self._raw if key[0].split("/")[0] in slugs]:
                del self._raw[key]

    def _count_error(self, slug: str, error: HubError) -> HubError:
        self.metrics.requests.labels(slug, "error").inc()
        self.metrics.errors.labels(slug, error.code).inc()
        return error

    def _job(self, slug: str, raw: Mapping[str, Any], begin: float, on_event: OnEvent, cancel: Cancel) -> Job:
        page = self.registry.get(slug)
        demo = page.demo
        checked = read(demo, raw, self.limits, lambda name: self.weights.obtain(name, patience_s=PATIENCE_S).config)
        folder = self.weights.obtain(checked.weights, patience_s=PATIENCE_S) if checked.weights else None
        capsule = Capsule(
            page=slug,
            version=demo.version,
            weights=folder.name if folder else "",
            digest=folder.digest if folder else "",
            dtype=self.models.hardware(self._left_s(begin)).dtype_name,
            parameters=checked.parameters,
            inputs=checked.digests,
        )
        id = capsule.identify(self.results.secret)
        return Job(page, demo, checked, folder, capsule, id, begin, quiet(on_event), cancel)

    def _compute(self, job: Job) -> Result:
        job.on_event("queued", None)
        with budget.room(partial(self._left_s, job.begin), job.cancel.is_set) as room:
            return self._computed(job, Opened(job.inputs, room))

    def _computed(self, job: Job, opened: Opened) -> Result:
        self.models.refuse_if_stuck(job.key)
        with self._batcher(job).coming() as submit:
            begin = time.perf_counter()
            item = job.call(job.demo.prepare, **opened.values())
            prepare_ms = (time.perf_counter() - begin) * 1000
            outcome = self._infer(job, item, submit, opened)
        self._check_wanted(job)
        values = opened.values()
        sight = None if job.live else self.similar.look(job, outcome.output, values)
        begin = time.perf_counter()
        presented, unread = outputs.split(job.demo, job.call(job.demo.present, outcome.output, **values))
        del values
        opened.forget()  # to encode what was made of them takes memory too
        remarks = [*opened.remarks, *unread]
        values_json, pictures = outputs.encode(job.page.slug, job.demo, presented)
        pictures = capsules.stamped(job.demo, pictures, job.capsule.to_json(), remarks)
        present_ms = (time.perf_counter() - begin) * 1000
        stages = {
            "queue": outcome.queue_ms,
            "load": outcome.load_ms,
            "prepare": prepare_ms,
            "infer": outcome.infer_ms,
            "present": present_ms,
        }
        for stage, ms in stages.items():
            if not outcome.batch_size and stage not in ("prepare", "present"):
                continue  # the model did not run: a zero would make it look fast
            self.metrics.stage_seconds.labels(job.page.slug, stage).observe(ms / 1000)
        receipt = Receipt(
            total_ms=round((time.perf_counter() - job.begin) * 1000, 2),
            **{f"{stage}_ms": round(ms, 2) for stage, ms in stages.items()},
            cold=outcome.cold,
            cached=False,
            batch_size=outcome.batch_size,
            device=self.models.used_device(job.key),
            dtype=self.hardware().dtype_name,
            weights=job.capsule.weights,
            digest=job.capsule.digest,
            created_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            remarks=tuple(remarks),
        )
        told = tuple(texts.sentences_in(presented))
        asked_by = HUB if job.background else job.owner.id
        return Result(job.id, job.capsule.to_json(), values_json, pictures, receipt, sight, told, asked_by)

    def _infer(self, job: Job, item: Any, submit: Callable[..., Outcome], opened: Opened) -> Outcome:
        """The model's output; from memory when the same item met the same weights before.

        So a parameter that only `present` uses (a threshold, an opacity) never runs the model again.
        """
        digest = "" if job.live else outputs.digest(item)
        raw_key = (job.key, digest)
        if digest:
            with self._lock:
                kept = self._raw.get(raw_key)
            if kept is not None:
                self.metrics.cache_hits.labels(job.page.slug, "output").inc()
                return Outcome(kept[0], 0.0, 0.0, 0.0, False, 0)

        def unwanted() -> bool:  # asked four times a second while the model works
            opened.lend()
            return job.cancel.is_set()

        outcome = submit(item, self._left_s(job.begin), job.on_event, unwanted)
        output, size = outputs.seal(outcome.output)
        if digest and size is not None and size <= self._raw.maxsize:
            with self._lock:
                self._raw[raw_key] = (output, size)
        return replace(outcome, output=output)

    def _check_wanted(self, job: Job) -> None:
        """Raises CancelledError or DeadlineError where nobody waits any more: to present may take seconds."""
        if job.cancel.is_set():
            raise CancelledError("The run was cancelled.")
        if self._left_s(job.begin) <= 0:
            raise self._too_late(job.page.slug, job.key)

    def _left_s(self, begin: float) -> float:
        return self.settings.deadline_s - (time.perf_counter() - begin)

    def _too_late(self, slug: str, key: str) -> DeadlineError:
        stuck = None if self.models.holds(key) else self.models.stuck(self.settings.deadline_s / 2)
        if stuck:
            return DeadlineError(stuck)
        return DeadlineError(
            "{page} did not answer in {seconds:g} s. Try again, or raise --deadline-s.",
            page=slug,
            seconds=self.settings.deadline_s,
        )

    # --- models -----------------------------------------------------------------------------------

    def _batcher(self, job: Job) -> Batcher:
        stale = []
        with self._lock:
            batcher = self._batchers.get(job.key)
            if batcher is None:
                # New bytes under the same name: nobody can ask for the old ones any more.
                family = job.key.rsplit("@", 1)[0] + "@"
                stale = [key for key in self._batchers if key.startswith(family)]
                for key in stale:
                    del self._batchers[key]
                batcher = self._batchers[job.key] = self._new_batcher(job.page, job.demo, job.folder, job.key)
        for key in stale:
            self.pool.unload(key)
        return batcher

    def _new_batcher(self, page: Page, demo: Demo, folder: Folder | None, key: str) -> Batcher:
        # It outlives the run that made it: it must hold nothing of that run, such as its pictures.
        return Batcher(
            page.slug,
            self.zero.lent(key) if self.zero else partial(call, folder, demo.infer),
            partial(self.models.lease, demo, folder, key, self.settings.deadline_s),
            max_batch=min(self.settings.max_batch, demo.max_batch),
            window_s=self.settings.batch_window_ms / 1000,
            guard=_inference_mode,
            relieve=partial(self.pool.evict_idle, key),
            is_loaded=partial(self.pool.loaded, key),
            on_batch=self.metrics.batch_size.labels(page.slug).observe,
            too_late=partial(self._too_late, page.slug, key),
        )

    @property
    def in_work(self) -> int:
        """How many runs are in work that somebody waits for."""
        return self.running.in_work

    def close(self) -> None:
        """Drops all models. Runs in work get a HubError."""
        self.history.close()
        self.similar.examples.close()
        self.pictures.close()
        self.models.close()


def _inference_mode() -> AbstractContextManager[Any]:
    import torch

    return torch.inference_mode()
