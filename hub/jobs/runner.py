"""Does what was promised: threads of the one process that holds the data folder's lock take jobs in turn.

A job stays in its table until it has ended. Whoever gets the lock next, after a restart or a kill, puts what was in
work back into the queue: a run is begun again with its seed, and found among the results if it had ended; a batch goes
on with the pictures that have no row yet.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from filelock import FileLock, Timeout

from hub.decoding.decode import ImageLimits
from hub.engine.engine import Engine
from hub.engine.jobs import Cancel
from hub.errors import BusyError, CancelledError, HubError, UnavailableError, unexpected
from hub.jobs.folders import Folders, PictureReader, read_pictures
from hub.jobs.measured import read_against
from hub.jobs.paces import Paces
from hub.jobs.reading import picture_input
from hub.jobs.records import Kind, Problem, Row, StoredJob
from hub.jobs.rows import RowStore
from hub.jobs.store import JobStore
from hub.people.owners import Owner
from hub.spec import Progress
from hub.texts import sentence

log = logging.getLogger(__name__)
LOCK = "running.lock"
RUNS, BATCHES = 2, 2  # in work at once; the pages' visitors have the rest
LOOK_S = 0.5  # between two looks at what other processes asked for or cancelled
RUN_S, PICTURE_S = 3600.0, 600.0  # patience with one run, and with one picture of a batch
STARTS_MOST = 5  # of a job that gets no further: it may be what ends the hub
FIRST = 16  # pictures of a batch that do not tell how fast the others will be
AGAIN_S = 1.0  # after the queue was full


@dataclass(slots=True)
class InWork:
    """One job that this process does now."""

    job: StoredJob
    cancel: Cancel
    begun: float  # of the monotonic clock
    stage: str = "queued"
    progress: Progress | None = None
    computed: int = 0  # pictures since `begun`
    # When the first ones were there, and how many: loading the model is in their time.
    steady: tuple[float, int] | None = None

    def pace_s(self) -> float | None:
        """Seconds a picture, as far as can be told."""
        since, before = self.steady or (self.begun, 0)
        if self.computed > before:
            return (time.monotonic() - since) / (self.computed - before)
        return (since - self.begun) / before if before else None


class Runner:
    """The threads. `on_end` hears of each job that has ended."""

    def __init__(
        self, engine: Engine, store: JobStore, rows: RowStore, folders: Folders, limits: ImageLimits, paces: Paces,
        on_end: Callable[[StoredJob], None],
    ):  # fmt: skip
        self._engine, self._store, self._rows, self._folders = engine, store, rows, folders
        self._limits, self._paces, self._on_end = limits, paces, on_end
        self._over, self._wake = threading.Event(), threading.Condition()
        self._in_work: dict[str, InWork] = {}  # written whole by one thread each; read by all
        self._threads: list[threading.Thread] = []
        self._lock = FileLock(folders.root / LOCK, timeout=0)

    # --- the life of the threads ------------------------------------------------------------------

    def start(self) -> None:
        """Begins as soon as no other process does it."""
        self._thread(self._begin)

    def close(self, patience_s: float = 5.0) -> None:
        """Takes nothing more. What is in work waits for the next start."""
        self._over.set()
        for work in [*self._in_work.values()]:
            work.cancel.set()
        self.wake()
        end = time.monotonic() + patience_s
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        self._lock.release()

    def wake(self) -> None:
        """There is something to do."""
        with self._wake:
            self._wake.notify_all()

    def work_of(self, id: str) -> InWork | None:
        return self._in_work.get(id)

    def _thread(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, name="jobs", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _begin(self) -> None:
        while not self._over.is_set():
            try:
                self._folders.root.mkdir(parents=True, exist_ok=True)
                self._lock.acquire()
                break
            except (Timeout, OSError):
                self._over.wait(LOOK_S * 4)
        if self._over.is_set():
            return
        try:
            again = self._store.requeue()
            self._folders.clear_left_over(self._store.ids())
        except HubError as error:
            log.error("jobs are not done: %s", error.message)
            return
        if again:
            log.info("%d jobs that were in work go on", again)
        at_once: dict[Kind, int] = {"run": RUNS, "batch": BATCHES}
        for kind, count in at_once.items():
            for _ in range(count):
                self._thread(self._take, kind)
        self._thread(self._watch)

    def _watch(self) -> None:
        """Ends what was cancelled, by whichever process."""
        while not self._over.wait(LOOK_S):
            for id, work in [*self._in_work.items()]:
                try:
                    job = self._store.get(id)
                except HubError:
                    continue
                if job is None or job.has_ended:
                    work.cancel.set()

    def _take(self, kind: Kind) -> None:
        while not self._is_over():
            try:
                job = self._store.claim(kind)
            except HubError as error:
                log.error("no job can be taken: %s", error.message)
                self._over.wait(LOOK_S * 10)
                continue
            if job is None:
                with self._wake:
                    self._wake.wait(LOOK_S)
                continue
            self._do(job)

    def _is_over(self) -> bool:
        return self._over.is_set() or self._engine.stop.begun.is_set()

    # --- one job ----------------------------------------------------------------------------------

    def _do(self, job: StoredJob) -> None:
        work = self._in_work[job.id] = InWork(job, Cancel(), time.monotonic())
        try:
            if job.starts > STARTS_MOST:
                raise HubError(
                    "The hub ended {count} times while it was at this. It is not tried again.", count=job.starts - 1
                )
            result = self._run(work) if job.kind == "run" else self._run_batch(work)
            self._end(job, "done", result=result)
        except HubError as error:
            self._fail(work, error)
        except Exception as error:
            self._fail(work, unexpected(job.page, error))
        finally:
            self._in_work.pop(job.id, None)

    def _fail(self, work: InWork, error: HubError) -> None:
        try:
            if self._is_over() and isinstance(error, CancelledError | UnavailableError):
                self._store.requeue([work.job.id])  # the next process goes on with it
            else:
                state = "cancelled" if isinstance(error, CancelledError) else "failed"
                self._end(work.job, state, problem=problem_of(error))
        except HubError as refused:
            log.error("what became of job %s cannot be kept: %s", work.job.id, refused.message)

    def _end(self, job: StoredJob, state: str, *, result: str = "", problem: Problem | None = None) -> None:
        freed = job.kind == "run"
        if self._store.end(job.id, state, result=result, problem=problem, freed=freed):
            self._store.keep_paces(self._paces.changed())
            self._on_end(job)
        if freed:
            self._folders.clear(job.id)

    def _run(self, work: InWork) -> str:
        job = work.job

        def hear(stage: str, progress: Progress | None) -> None:
            work.stage, work.progress = stage, progress

        inputs = {**job.parameters, **read_pictures(self._folders.of(job), job.inputs)}
        while True:
            try:
                result = self._engine.run(
                    job.page, inputs, on_event=hear, cancel=work.cancel, owner=owner_of(job), deadline_s=RUN_S
                )
                return result.id
            except BusyError:  # people wait for the places of the queue: this one waits for them
                if work.cancel.is_set() or self._is_over():
                    raise CancelledError("The run was cancelled.") from None
                self._over.wait(AGAIN_S)

    # --- many pictures ----------------------------------------------------------------------------

    def _run_batch(self, work: InWork) -> str:
        """Few pictures are read ahead, so that thousands take no more memory than a handful."""
        job, reader = work.job, PictureReader(self._folders.of(work.job), self._limits)
        demo = self._engine.registry.get(job.page).demo
        most, after = min(demo.max_batch, self._engine.settings.max_batch), 0
        work.stage = "running"
        with ThreadPoolExecutor(most, thread_name_prefix="batch") as threads:
            running: set[Future[None]] = set()
            try:
                waiting = self._rows.waiting(job.id, after)
                while (waiting or running) and not work.cancel.is_set() and not self._is_over():
                    # While people wait for answers of their own, a batch has one place.
                    together = 1 if self._engine.in_work else most
                    while waiting and len(running) < together:
                        row = waiting.pop(0)
                        after = row.number
                        running.add(threads.submit(self._do_picture, work, reader, row))
                    done, running = wait(running, timeout=LOOK_S, return_when=FIRST_COMPLETED)
                    for future in done:
                        future.result()
                    waiting = waiting or self._rows.waiting(job.id, after)
            finally:
                if running:
                    work.cancel.set()
        reader.close()
        if work.cancel.is_set() or self._is_over():
            raise CancelledError("The batch was cancelled.")
        return ""

    def _do_picture(self, work: InWork, reader: PictureReader, row: Row) -> None:
        """Keeps what came of one picture. What is wrong with it is told in its row; the others go on."""
        job, demo = work.job, self._engine.registry.get(work.job.page).demo
        try:
            inputs = {**job.parameters, picture_input(demo): reader.read(row)}
            result = self._engine.run(
                job.page, inputs, cancel=work.cancel, kind="batch", owner=owner_of(job), deadline_s=PICTURE_S
            )
        except HubError as error:
            if isinstance(error, CancelledError) or (self._is_over() and isinstance(error, UnavailableError)):
                return  # it has no row, and is done when the job goes on
            self._rows.keep(job.id, Row(row.number, row.name, state="failed", problem=error.message))
        else:
            weights = self._engine.weights
            reading, problem = read_against(demo, result, row.against, weights, reader.read_file, self._limits)
            done = Row(row.number, row.name, state="done", result=result.id, reading=reading, problem=problem)
            self._rows.keep(job.id, done)
            work.computed += 1
            if work.steady is None and work.computed >= FIRST:
                work.steady = time.monotonic(), work.computed


def owner_of(job: StoredJob) -> Owner:
    """Whose runs a job's are."""
    return Owner(job.owner, job.place, job.lasting, job.weak, job.session, job.source)


def problem_of(error: HubError) -> Problem:
    """What is kept of an error."""
    title, detail = str(sentence(error.title)), str(error.message)
    return Problem(error.status, error.code, title, detail, error.field or "")
