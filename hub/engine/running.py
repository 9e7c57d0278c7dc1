"""Runs in work: equal ones are one, each in a thread of its own, none waited for past its deadline."""

from __future__ import annotations

import copy
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextvars import copy_context
from functools import partial

from hub import imports
from hub.engine.jobs import Job
from hub.engine.shares import Pace, Shares
from hub.engine.shown import Shown
from hub.errors import (
    CancelledError,
    DeadlineError,
    HubError,
    unexpected,
)
from hub.metrics import Metrics
from hub.people.owners import Owner
from hub.results.result import Result
from hub.results.store import ResultStore
from hub.settings import Settings
from hub.threads import Threads

log = logging.getLogger(__name__)
LOOK_S = 0.25  # between two looks whether the caller has left
GRACE_S = 0.5  # a run that is late or cancelled has so long to say itself what it waited for

Answer = tuple[Result, str]  # and how it was had: hit, shared or computed


class Running:
    """Answers jobs with stored results, with a share in an equal run, or by `compute` in a thread.

    So a demo's code that hangs keeps nobody past the deadline. Its run keeps its place in the queue until it ends.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        results: ResultStore,
        shown: Shown,
        compute: Callable[[Job], Result],
        too_late: Callable[[Job], DeadlineError],
    ):
        self._settings, self._metrics, self._results, self._shown = settings, metrics, results, shown
        self._compute, self._too_late = compute, too_late
        self._threads = Threads("run")
        # Guards the three below. Never held while a demo's code, a load or a wait runs.
        self._lock = threading.Lock()
        self._futures: dict[str, Future[Answer]] = {}
        self._pace = Pace(settings.queue_limit)
        self._shares = Shares(settings.queue_limit, self._pace.come_back_s)

    @property
    def in_work(self) -> int:
        """How many runs are in work that somebody waits for."""
        with self._lock:
            return self._pace.in_work

    def come_back_s(self, who: Owner) -> int:
        """When one who was refused for others' sake is to try again."""
        with self._lock:
            return self._pace.come_back_s(who)

    def answer(self, job: Job) -> Answer:
        """The result. Raises HubError."""
        result = self._results.get(job.id)
        if result is not None:
            return self._hit(result, job)
        with self._lock:
            future = self._futures.get(job.id)
            mine = future is None
            if future is None and not job.unhurried:
                self._pace.check(job.owner, job.page.slug, job.left_s)
            if not job.unhurried:
                self._shares.take(job.owner)
            if future is None:
                future = self._futures[job.id] = Future()
                if not job.unhurried:
                    self._pace.begin(job.page.slug)
        if mine:
            # In the caller's context: hub/spaces/zero.py counts GPU seconds to who asks.
            self._threads.start(partial(copy_context().run, self._lead, future, job))
            return self._await(future, job, GRACE_S)
        job.events.tell("running", None)
        return self._follow(future, job) or self.answer(job)

    def _hit(self, result: Result, job: Job) -> Answer:
        self._metrics.cache_hits.labels(job.page.slug, "result").inc()
        return self._as_cached(result, job), "hit"

    def _as_cached(self, result: Result, job: Job) -> Result:
        return self._shown.give(job.owner, result, (time.perf_counter() - job.begin) * 1000)

    def _lead(self, future: Future[Answer], job: Job) -> None:
        """Computes, and tells all who wait. Raises nothing."""
        self._metrics.in_work.inc()
        answer: Answer | None = None
        # Who waits gets a copy: the error itself would, by its traceback, keep this run's pictures in memory.
        failure: HubError = CancelledError("The run was interrupted.")
        try:
            stored = self._results.get(job.id)  # again: an equal run may have ended since we looked
            if stored is not None:
                answer = self._hit(stored, job)
            else:
                result = self._compute(job)
                answer = result, "computed"
                if not job.live:
                    self._results.put(result, of_batch=job.kind == "batch")
                    self._shown.note(job.owner, job.id, result.created)
        except HubError as error:
            failure = copy.copy(error)
        # Whatever a demo raises belongs to who asked; not even SystemExit may leave them without an answer.
        except BaseException as error:
            imports.forget_halves(error)
            failure = unexpected(job.page.slug, error)
        self._metrics.in_work.dec()
        with self._lock:  # before the others hear of it: one that asks again must not join a run that has ended
            del self._futures[job.id]
            if not job.unhurried:
                self._pace.end(job.page.slug)
                self._shares.give_back(job.owner)
        if answer is not None:
            future.set_result(answer)
        else:
            future.set_exception(failure)

    def _follow(self, future: Future[Answer], job: Job) -> Answer | None:
        """Waits for another's run; None: that was cancelled or ran out of time, and this one has to run itself."""
        try:
            result, _ = self._await(future, job, 0.0)
        except (CancelledError, DeadlineError):
            if not future.done() or job.cancel.is_set() or job.left_s <= 0:
                raise
            return None
        finally:
            if not job.unhurried:
                with self._lock:
                    self._shares.give_back(job.owner)
        self._metrics.cache_hits.labels(job.page.slug, "shared").inc()
        return self._as_cached(result, job), "shared"

    def _await(self, future: Future[Answer], job: Job, grace_s: float) -> Answer:
        """Waits for a run. Raises its error; CancelledError and DeadlineError when nobody wants it any more."""
        until: float | None = None
        while True:
            left_s, cancelled = job.left_s, job.cancel.is_set()
            if cancelled or left_s <= 0:
                until = until or time.monotonic() + grace_s
                if time.monotonic() >= until:
                    raise CancelledError("The run was cancelled.") if cancelled else self._too_late(job)
                left_s = until - time.monotonic()
            try:
                error = future.exception(timeout=max(0.0, min(left_s, LOOK_S)))
            except FutureTimeout:
                continue
            break
        if error is not None:
            raise copy.copy(error)
        return future.result()
