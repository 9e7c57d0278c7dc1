"""Jobs as doors ask for them: asked now, found by their id until they are too old, cancelled by who asked."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hub.decoding.decode import ImageLimits
from hub.engine.engine import Engine
from hub.errors import BusyError, ConflictError, ForbiddenError, InputError, NotFoundError, UnavailableError
from hub.jobs.folders import Folders, NewFolder
from hub.jobs.paces import Paces
from hub.jobs.reading import picture_input
from hub.jobs.records import Kind, Row, StoredJob
from hub.jobs.rows import RowStore
from hub.jobs.runner import BATCHES, RUNS, Runner
from hub.jobs.store import FILE, JobStore
from hub.jobs.webhooks import Webhooks
from hub.pages.inputs import read
from hub.people.audit import Audit
from hub.people.owners import Owner
from hub.people.users import Caller
from hub.settings import Settings
from hub.texts import sentence
from hub.weights.store import PATIENCE_S

log = logging.getLogger(__name__)
OF_SOURCE, MOST = 4, 2_000  # one account or address may have so many times what a caller has; all together
BATCH_SHARE = 4  # one batch is given at most 1/4 of the disk that jobs have
KEY_CHARS = 200
LIST_MOST = 100
SWEEP_S = 3600.0
NONE = "There is no such job. It may be too old, or deleted."


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as it stands now."""

    job: StoredJob
    place: int | None = None  # in the queue: 1 is the next
    left_s: float | None = None  # until it has ended, as far as can be told
    done: int = 0  # pictures with an answer
    failed: int = 0
    stage: str = ""  # of a run in work
    step: int | None = None
    steps: int | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """What may be said beside a job: a key by which asking twice is asking once, and who is told of its end."""

    key: str = ""
    webhook: str = ""


@dataclass(frozen=True, slots=True)
class Given:
    """One picture that a batch was given: its name, its file in the new folder, and what is true of it.

    `against`: a true mask, as `file`, or true points or boxes as JSON; `truth` then says in a few words what that is.
    """

    name: str
    file: str
    truth: str = ""
    against: str = ""


class Jobs:
    """The jobs of one data folder. Nothing is opened before somebody asks; only a served hub does them (`start`)."""

    def __init__(
        self, settings: Settings, engine: Engine, limits: ImageLimits, paces: Paces, loaded: Callable[[str], bool],
        audit: Audit,
    ):  # fmt: skip
        self._settings, self._engine, self._limits, self._audit = settings, engine, limits, audit
        self._paces, self._loaded = paces, loaded
        self.folders = Folders(settings.data_folder / "jobs", int(settings.jobs_disk_mb * 2**20))
        self.webhooks = Webhooks(settings)
        # Guards the look for an equal job and the new one's entry; the store's lock is taken under it.
        self._asking = threading.Lock()
        self._runner: Runner | None = None
        self._swept = 0.0

    # --- life -------------------------------------------------------------------------------------

    @cached_property
    def _store(self) -> JobStore:
        return JobStore(self._settings.data_folder / FILE)

    @cached_property
    def rows(self) -> RowStore:
        """The pictures of batches."""
        return RowStore(self._store.database)

    @property
    def batch_bytes(self) -> int:
        """The most that one batch may be given."""
        return self.folders.most_bytes // BATCH_SHARE

    def start(self) -> None:
        """Does jobs from now on, as soon as no other process does."""
        if self._settings.jobs_disk_mb and self._runner is None:
            self._paces.know(self._store.paces())
            self._runner = Runner(
                self._engine, self._store, self.rows, self.folders, self._limits, self._paces, self._ended
            )
            self._runner.start()
            self.webhooks.start(self._store)

    def close(self) -> None:
        """What is in work waits for the next start."""
        if self._runner is not None:
            self._runner.close()
        self.webhooks.close()

    def _ended(self, job: StoredJob) -> None:
        self.webhooks.wake()
        if time.monotonic() - self._swept > SWEEP_S:
            self._swept = time.monotonic()
            for id in self._store.ended_before(time.time() - self._settings.results_days * 86_400):
                self._store.remove(id)
                self.folders.clear(id)

    # --- asking -----------------------------------------------------------------------------------

    def ask_run(self, slug: str, raw: Mapping[str, Any], caller: Caller | None, wish: Wish = Wish()) -> StoredJob:
        """Promises one run. Raises HubError for what is wrong with the inputs, as a run does."""
        page, who = self._engine.seen.to_run(slug, caller), self._engine.owners.of(caller)
        config = lambda name: self._engine.weights.obtain(name, patience_s=PATIENCE_S).config  # noqa: E731
        inputs = read(page.demo, raw, self._limits, config)
        words = {name: value for name, value in raw.items() if name not in inputs.pictures}
        digest = _digest([slug, words, inputs.digests])
        self._check(wish)
        with self._asking:
            if before := self._asked_before(who, wish, digest):
                return before
            self._check_room(who)
            size = sum(map(len, inputs.pictures.values()))
            folder = self.folders.begin(self._store, size)
            files = {name: f"input-{number}" for number, name in enumerate(inputs.pictures)}
            kept = False
            try:
                for name, data in inputs.pictures.items():
                    folder.write(files[name], data)
                weights = {"weights": inputs.weights} if inputs.weights else {}
                job = self._new(folder, "run", slug, who, {**inputs.parameters, **weights}, files, digest, wish)
                self._engine.allowance.spend(caller)
                folder.keep()
                self._store.add(job)
                self._audit.note_of(caller, "batch", page=slug, subject=job.id[:12])
                kept = True
            finally:
                folder.close(kept)
        self._wake()
        return job

    def begin_batch(self, slug: str, caller: Caller | None, wish: Wish, size: int | None = None) -> NewFolder:
        """A folder for the pictures of a batch, of `size` bytes where that is known.

        Raises HubError where this caller may not ask for one.
        """
        page = self._engine.seen.to_run(slug, caller)
        if not picture_input(page.demo):
            raise InputError(
                "{title} takes no batch: that is for pages that need one picture.", title=sentence(page.title)
            )
        self._check(wish)
        who = self._engine.owners.of(caller)
        if not (wish.key and self._store.by_key(who.id, wish.key)):
            self._check_room(who)
        return self.folders.begin(self._store, min(self.batch_bytes, size or self.batch_bytes))

    def ask_batch(
        self, folder: NewFolder, slug: str, raw: Mapping[str, Any], pictures: Sequence[Given], digests: Sequence[str],
        caller: Caller | None, wish: Wish,
    ) -> StoredJob:  # fmt: skip
        """Promises an answer to each picture. `raw`: the page's other inputs, for all of them. Raises HubError."""
        demo, who = self._engine.seen.to_run(slug, caller).demo, self._engine.owners.of(caller)
        digest = _digest([slug, dict(raw), [(one.name, one.truth, one.against) for one in pictures], [*digests]])
        kept = False
        try:
            self._check_count(len(pictures))
            config = lambda name: self._engine.weights.obtain(name, patience_s=PATIENCE_S).config  # noqa: E731
            if picture_input(demo) in raw:
                raise InputError("{name} is a picture; send files.", name=picture_input(demo), field="files")
            inputs = read(demo, {**raw, picture_input(demo): b"."}, self._limits, config)
            with self._asking:
                if before := self._asked_before(who, wish, digest):
                    return before
                self._check_room(who)
                weights = {"weights": inputs.weights} if inputs.weights else {}
                job = self._new(
                    folder, "batch", slug, who, {**inputs.parameters, **weights}, {}, digest, wish,
                    total=len(pictures), labelled=any(one.truth for one in pictures),
                )  # fmt: skip
                self._engine.allowance.spend(caller, len(pictures))
                folder.keep()
                rows = enumerate(pictures, 1)
                self._store.add(job, (Row(n, one.name, one.file, one.truth, against=one.against) for n, one in rows))
                self._audit.note_of(caller, "batch", page=slug, subject=job.id[:12])
                kept = True
        finally:
            folder.close(kept)
        self._wake()
        return job

    def _new(
        self, folder: NewFolder, kind: Kind, slug: str, who: Owner, parameters: Mapping[str, Any],
        inputs: Mapping[str, str], digest: str, wish: Wish, total: int = 1, labelled: bool = False,
    ) -> StoredJob:  # fmt: skip
        return StoredJob(
            folder.id, kind, slug, "queued", who.id, who.place, who.session, who.source, who.lasting, who.weak,
            parameters, inputs, folder.size, time.time(), total=total, key=wish.key, digest=digest, labelled=labelled,
            webhook=wish.webhook,
        )  # fmt: skip

    def _check(self, wish: Wish) -> None:
        """Raises HubError where no jobs are kept here, or not with this wish."""
        if not self._settings.jobs_disk_mb or self._store.database.path is None:
            raise UnavailableError("This hub keeps no jobs (jobs_disk_mb, or its data folder).")
        self._engine.stop.admit_new()
        if len(wish.key) > KEY_CHARS or not wish.key.isprintable():
            raise InputError("Idempotency-Key has at most {most} characters of one line.", most=KEY_CHARS)
        if wish.webhook:
            self.webhooks.check(wish.webhook)

    def _check_count(self, count: int) -> None:
        if not count:
            raise InputError("There is no picture in what was sent: send files, or a ZIP with pictures.", field="files")
        if count > self._settings.batch_pictures:
            raise InputError(
                "A batch has at most {most:,} pictures, got {count:,}. Send them in parts.",
                most=self._settings.batch_pictures, count=count, field="files",
            )  # fmt: skip

    def _check_room(self, who: Owner) -> None:
        """Raises BusyError where a caller, an address or everybody has enough waiting."""
        if who.is_machine:
            return
        each = self._settings.jobs_each
        own, source, count = self._store.waiting_of(who.id, who.source)
        if own >= each or source >= OF_SOURCE * each:
            raise BusyError(
                "You have {count} jobs waiting or in work, the most this hub keeps for one. Ask again when one of them "
                "has ended.", count=max(own, source), retry_after_s=10,
            )  # fmt: skip
        if count >= MOST:
            raise BusyError("{count} jobs wait, the most this hub keeps.", count=count, retry_after_s=60)

    def _asked_before(self, who: Owner, wish: Wish, digest: str) -> StoredJob | None:
        before = self._store.by_key(who.id, wish.key) if wish.key else None
        if before is not None and before.digest != digest:
            raise ConflictError(
                "The Idempotency-Key {key!r} was used for another job ({id}). Take another key, or send the same.",
                key=wish.key, id=before.id,
            )  # fmt: skip
        return before

    def _wake(self) -> None:
        if self._runner is not None:
            self._runner.wake()

    # --- looking ----------------------------------------------------------------------------------

    def get(self, id: str) -> StoredJob:
        """Raises NotFoundError."""
        job = self._store.get(id) if self._is_there() else None
        if job is None:
            raise NotFoundError(NONE)
        return job

    def of_caller(self, caller: Caller | None) -> list[JobView]:
        """Those of who asks, the newest first."""
        who = self._engine.owners.of(caller)
        jobs = self._store.of_owner(who.id, LIST_MOST) if self._is_there() else []
        return [self.view(job) for job in jobs]

    def is_of(self, job: StoredJob, who: Owner) -> bool:
        """Whether a job is theirs, who asked for it."""
        return job.owner in (who.id, *who.ids) or who.is_machine

    def _is_there(self) -> bool:
        return "_store" in self.__dict__ or (self._settings.data_folder / FILE).exists()

    def view(self, job: StoredJob) -> JobView:
        """How a job stands: its place in the queue, and the time that is left by what was measured."""
        done, failed = self.rows.counts(job.id) if job.kind == "batch" else (int(job.state == "done"), 0)
        if job.has_ended:
            return JobView(job, done=done, failed=failed)
        if job.state == "queued":
            queue = self._store.queue(job.kind)
            place = next((at for at, one in enumerate(queue) if one.id == job.id), None)
            if place is not None:
                return JobView(job, place + 1, self._wait_s(job, queue[:place]), done, failed)
            job = self._store.get(job.id) or job  # its turn came meanwhile
        work = self._runner.work_of(job.id) if self._runner else None
        progress = work.progress if work else None
        return JobView(
            job, None, self._left_s(job), done, failed, work.stage if work else "",
            progress.step if progress else None, progress.total if progress else None,
        )  # fmt: skip

    def _wait_s(self, job: StoredJob, before: Sequence[StoredJob]) -> float | None:
        """Until a job that waits has ended: what is before it is done by several threads."""
        busy = [one for one in self._store.in_work() if one.kind == job.kind]
        at_once = RUNS if job.kind == "run" else BATCHES
        times = [self._left_s(one) for one in (*busy, *before)]
        own = self._left_s(job)
        if own is None or any(one is None for one in times):
            return None
        return round(sum(filter(None, times)) / at_once + own, 1)

    def _left_s(self, job: StoredJob) -> float | None:
        """What a job takes from now on, once it has its turn; None: nothing like it was measured."""
        work = self._runner.work_of(job.id) if self._runner else None
        one = self._paces.seconds(job.page, loaded=self._loaded(job.page))
        if job.kind == "batch":
            left = job.total - sum(self.rows.counts(job.id))
            if work is not None and (pace := work.pace_s()) is not None:
                return round(pace * left, 1)
            return None if one is None else round(one * left, 1)
        if work is not None and work.progress is not None and work.progress.left_s is not None:
            return round(work.progress.left_s, 1)
        passed = time.monotonic() - work.begun if work is not None else 0.0
        return None if one is None else round(max(0.0, one - passed), 1)

    # --- ending -----------------------------------------------------------------------------------

    def cancel(self, id: str, caller: Caller | None) -> StoredJob | None:
        """Ends a job; one that has ended is deleted with its rows. Returns it, None: it is gone. Raises HubError."""
        job, who = self.get(id), self._engine.owners.of(caller)
        if not self.is_of(job, who) and not (caller is not None and caller.is_admin):
            raise ForbiddenError("Only who asked for a job may end it.")
        if self._store.end(id, "cancelled", freed=job.kind == "run"):
            if self._runner is not None and (work := self._runner.work_of(id)):
                work.cancel.set()
            if job.kind == "run":
                self.folders.clear(id)
            self._ended(job)
            return self.get(id)
        self._store.remove(id)
        self.folders.clear(id)
        return None


def _digest(what: Any) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()
