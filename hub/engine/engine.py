"""Engine.run: the only way to a prediction, whichever door the request came through."""

from __future__ import annotations

import copy
import logging
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hub import tracing
from hub.decoding.decode import ImageLimits
from hub.engine import drawn
from hub.engine.jobs import Cancel, Events, Job, Kind, Stop
from hub.engine.keepers import Keeper, tell_all
from hub.engine.running import Running
from hub.engine.shown import HUB, Shown
from hub.errors import CancelledError, DeadlineError, HubError, OtherWeightsError, too_late, unexpected
from hub.execution.executor import Computed, Executor, OnEvent
from hub.metrics import Metrics
from hub.pages.inputs import read
from hub.pages.registry import Registry
from hub.pages.seen import Seen
from hub.people.limits import Allowance
from hub.people.owners import MACHINE, TOKEN, Owner, Owners, kept_by
from hub.people.users import Caller
from hub.results.result import Capsule, Receipt, Result
from hub.results.store import ResultStore
from hub.settings import Settings
from hub.tracing import OpenSpan, Tracer
from hub.weights.store import PATIENCE_S, WeightsStore

log = logging.getLogger(__name__)


class Engine:
    """Checks what is asked, finds or computes the answer, and announces runs to its keepers.

    `shown` remembers who was given what; `executor` is where models run; `seen` knows who may run which page.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        weights: WeightsStore,
        results: ResultStore,
        executor: Executor,
        *,
        owners: Owners,
        shown: Shown,
        limits: ImageLimits,
        metrics: Metrics,
        seen: Seen,
        keepers: Sequence[Keeper] = (),
        tracer: Tracer | None = None,
    ):
        self.settings, self.registry, self.weights, self.results = settings, registry, weights, results
        self.executor, self.owners, self.limits, self.metrics = executor, owners, limits, metrics
        self.seen = seen
        self.keepers, self.tracer = tuple(keepers), tracer or Tracer()
        results.hear_gone(self._announce_gone)
        self.stop, self.allowance = Stop(), Allowance(settings.rate_limit, settings.quota)
        self.running = Running(
            settings,
            metrics,
            results,
            shown,
            compute=self._compute,
            too_late=self._too_late,
        )

    def run(
        self,
        slug: str,
        inputs: Mapping[str, Any],
        *,
        caller: Caller | None = None,
        on_event: OnEvent = lambda stage, progress: None,
        cancel: Cancel | None = None,
        kind: Kind = "visitor",
        owner: Owner | None = None,
        deadline_s: float | None = None,
    ) -> Result:
        """Answers one request: a stored result, a share in an equal one that is running, or a new run.

        `inputs` are values by input name: pictures as `bytes`, `Path` or `PIL.Image`, the rest as numbers or
        text. `on_event(stage, progress)` hears "queued", "loading" and "running", from any thread. `caller` is whose
        run it counts as; None: this machine's. `kind`: "visitor" for whoever waits; "background" where nobody does,
        which takes no place from those who do; "live" for a camera's frame, of which nothing is kept; "batch" for one
        picture of many, which takes no such place either, and is in no history. `owner`, in the place of `caller`:
        whose it is, of a job that was counted when it was asked for. `deadline_s`: where it may take longer.
        Raises a HubError, and nothing else, whose text a user can read.
        """
        begin = time.perf_counter()
        label = slug if slug in self.registry.pages else "unknown"
        asked_by = kind_of_caller(caller, kind, owner)
        deadline_s = self.settings.deadline_s if deadline_s is None else deadline_s
        cancel = cancel or Cancel()

        span = self.tracer.begin(f"run {label}", caller.trace if caller else None)
        span.tell({"hub.page": label, "hub.caller": asked_by})

        def count(error: HubError) -> HubError:
            seconds = time.perf_counter() - begin
            self.metrics.run_failed(label, asked_by, error.code, seconds)
            log.debug("%s: %s after %.3f s", label, error.code, seconds)
            span.tell({"error.type": error.code})
            span.end(failed=error.status >= 500)
            return error

        with tracing.entered(span.trace):
            try:
                self.stop.admit(cancel)
                self.allowance.spend(caller)
                events = Events(on_event)
                for last in (False, True):
                    job = self._job(slug, inputs, begin, events, cancel, caller, kind, owner, deadline_s, span)
                    span.name_run(job.id)
                    tracing.enter(span.trace)
                    try:
                        result, outcome = self._answer(job)
                        break
                    except OtherWeightsError:  # replaced meanwhile: it begins anew, with those there are now
                        if last:
                            raise
            # No local may hold the error: its traceback holds this frame, and so the uploaded pictures.
            except HubError as error:
                if self.stop.cut_off(error):
                    raise count(self.stop.ended()) from None
                count(error)
                raise
            except Exception as error:
                raise count(unexpected(slug, error)) from error
            outcome, seconds = "background" if job.background else outcome, time.perf_counter() - begin
            self.metrics.run_ended(slug, asked_by, outcome, seconds)
            log.debug("%s: %s in %.3f s", slug, outcome, seconds)
        span.tell({"hub.outcome": outcome, "hub.run": span.trace.run})
        span.end()
        return result

    def _answer(self, job: Job) -> tuple[Result, str]:
        """The result and how it was had; keepers hear of the run's begin and of its end, whatever that is."""
        tell_all(self.keepers, lambda keeper: keeper.begun(job))
        # Keepers get copies: the error itself would, by its traceback, keep this run's pictures in memory.
        outcome: Result | HubError = CancelledError("The run was interrupted.")
        try:
            answer = self.running.answer(job)
            outcome = answer[0]
            return answer
        except HubError as error:
            outcome = copy.copy(error).with_traceback(None)
            raise
        except Exception as error:
            outcome = unexpected(job.page.slug, error)
            raise copy.copy(outcome) from error
        finally:
            tell_all(self.keepers, lambda keeper: keeper.ended(job, outcome))

    def _announce_gone(self, id: str) -> None:
        """A result is kept nowhere any more."""
        tell_all(self.keepers, lambda keeper: keeper.gone(id))

    def _job(
        self,
        slug: str,
        raw: Mapping[str, Any],
        begin: float,
        events: Events,
        cancel: Cancel,
        caller: Caller | None,
        kind: Kind,
        owner: Owner | None,
        deadline_s: float,
        span: OpenSpan,
    ) -> Job:
        page = self.seen.to_run(slug, caller)
        demo = page.demo

        def left_s() -> float:
            return deadline_s - (time.perf_counter() - begin)

        job_inputs = read(demo, raw, self.limits, lambda name: self.weights.obtain(name, patience_s=PATIENCE_S).config)
        folder = self.weights.obtain(job_inputs.weights, patience_s=PATIENCE_S) if job_inputs.weights else None
        capsule = Capsule(
            page=slug,
            version=demo.version,
            weights=folder.name if folder else "",
            digest=folder.digest if folder else "",
            dtype=self.executor.dtype_name(left_s()),
            parameters=job_inputs.parameters,
            inputs=job_inputs.digests,
            tolerance=self.executor.tolerance(left_s()),
        )
        # A live run has an id of its own, by which nobody finds, shares or keeps it.
        id = secrets.token_hex(16) if kind == "live" else capsule.identify(self.results.secret)
        if owner is None:
            owner = MACHINE if kind == "background" else self.owners.of(caller)
        return Job(page, job_inputs, capsule, id, begin, events, cancel, caller, owner, kind, deadline_s, span)

    def _compute(self, job: Job) -> Result:
        wants_sight = not job.live and job.demo.similar and self.settings.similar != "off"
        work = job.work(job.left_s, wants_sight)
        computed = self.executor.compute(work, job.events.tell, job.cancel)
        receipt = self._receipt(job, computed)
        self._trace(job, computed)
        # Whose embedding it is is no executor's business.
        sight = replace(computed.sight, owner=kept_by(job.owner)) if computed.sight else None
        pictures = drawn.with_drawn(job.demo, computed.values_json, computed.pictures)
        asked_by = HUB if job.background else job.owner.id
        return Result(
            job.id, job.capsule.to_json(), computed.values_json, pictures, receipt, sight,
            computed.sentences, asked_by, computed.headline,
        )  # fmt: skip

    def _receipt(self, job: Job, computed: Computed) -> Receipt:
        stages = {
            "queue": computed.queue_ms,
            "load": computed.load_ms,
            "prepare": computed.prepare_ms,
            "infer": computed.infer_ms,
            "present": computed.present_ms,
        }
        for stage, ms in stages.items():
            if not computed.batch_size and stage not in ("prepare", "present"):
                continue  # the model did not run: a zero would make it look fast
            self.metrics.stage_seconds.labels(job.page.slug, stage).observe(ms / 1000)
        return Receipt(
            total_ms=round((time.perf_counter() - job.begin) * 1000, 2),
            **{f"{stage}_ms": round(ms, 2) for stage, ms in stages.items()},
            cold=computed.cold,
            cached=False,
            batch_size=computed.batch_size,
            device=computed.device,
            dtype=computed.dtype,
            weights=job.capsule.weights,
            digest=job.capsule.digest,
            created_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            remarks=computed.remarks,
            backend=computed.backend,
        )

    def _trace(self, job: Job, computed: Computed) -> None:
        job.span.add(computed.stages)
        told: dict[str, str | int | bool] = {
            "hub.device": computed.device,
            "hub.dtype": computed.dtype,
            "hub.backend": computed.backend,
            "hub.batch_size": computed.batch_size,
            "hub.cold": computed.cold,
            "hub.weights": job.capsule.weights,
        }
        job.span.tell(told)

    def _too_late(self, job: Job) -> DeadlineError:
        return too_late(job.page.slug, job.deadline_s, self.executor.why_late(job.work(0.0, False)))

    @property
    def in_work(self) -> int:
        """How many runs are in work that somebody waits for."""
        return self.running.in_work

    def close(self) -> None:
        """Drops all models. Runs in work get a HubError."""
        tell_all(self.keepers, lambda keeper: keeper.close())
        self.executor.close()


def kind_of_caller(caller: Caller | None, kind: Kind, owner: Owner | None) -> str:
    """What is counted of who asks: never who it is."""
    if kind != "visitor":
        return {"background": "hub", "live": "camera", "batch": "batch"}[kind]
    if caller is None:
        return "machine" if owner is None else "job"
    if caller.name:
        return "token" if caller.name.startswith(TOKEN) else "user"
    return "browser" if caller.session else "program"
