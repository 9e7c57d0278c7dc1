"""What each browser or user ran, for nobody else: runs in work, and those that ended as long as results are kept."""

from __future__ import annotations

import hashlib
import hmac
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from hub.archive.history_store import FILE, Gone, HistoryEntry, HistoryStore, State
from hub.decoding import budget
from hub.decoding.decode import ImageLimits
from hub.decoding.stills import look_at
from hub.engine.jobs import Cancel, Followed, Job
from hub.engine.shown import iso
from hub.errors import BusyError, CancelledError, HubError, NotFoundError, OtherWeightsError
from hub.execution.executor import OnEvent
from hub.images import thumbnail
from hub.pages.kinds import drawn_outputs
from hub.pages.registry import Registry
from hub.people.owners import Owners
from hub.people.users import Caller
from hub.results.headline import headline
from hub.results.result import Result
from hub.results.store import ResultStore
from hub.settings import Settings
from hub.spec import Progress
from hub.texts import sentence

log = logging.getLogger(__name__)

PICTURES_SHARE = 4  # uploaded pictures take at most 1/4 of what results may take on disk
SWEEP_S, AT_ONCE = 3600.0, 500  # between two looks at all entries; entries dropped in one transaction
PER_PAGE, PER_PAGE_MOST = 40, 200  # runs that one look tells
SIDE = 256  # px of a thumbnail
ARRIVING_S = 30.0  # a page that a browser asked for has so long to show the run that was in work
GONE = "There is no such run in your history. It may be too old, deleted, or another visitor's."


@dataclass(slots=True, eq=False)
class InWork:
    """One run while it is in work. `future` gets what came of it, after it is in the history."""

    entry: HistoryEntry
    job: Job
    small: bytes | None = None  # its thumbnail, once that was asked for
    future: Future[Result] = field(default_factory=Future)

    @property
    def cancel(self) -> Cancel:
        return self.job.cancel

    @property
    def pictures(self) -> Mapping[str, bytes]:
        """Those that went in, by name of the input."""
        return self.job.inputs.pictures

    @property
    def last_event(self) -> tuple[str, Progress | None]:
        return self.job.events.last

    def listen(self, on_event: OnEvent) -> None:
        """Somebody else hears of its stages too from now on."""
        self.job.events.listen(on_event)

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.job.begin


class History:
    """The histories of an engine's callers. Who is nobody (no cookie, no user) has none, nor have commands."""

    def __init__(
        self, settings: Settings, registry: Registry, results: ResultStore, owners: Owners, limits: ImageLimits
    ):
        self._settings, self._registry, self._results = settings, registry, results
        self._owners, self._limits, self._began = owners, limits, time.time()
        # Guards _store and _in_work; the store's own lock is taken under it.
        self._lock = threading.RLock()
        self._store: HistoryStore | None = None
        self._in_work: list[InWork] = []
        self._swept = 0.0

    # --- whose ------------------------------------------------------------------------------------

    def owner(self, caller: Caller | None) -> str:
        """Whose history a caller has: the user's, else the browser's; of a token, that browser's. Empty: nobody's."""
        who = self._owners.of(caller)
        return who.id if who.lasting else ""

    def _id(self, owner: str, result: str) -> str:
        """The same for the same run of the same owner, so that a run in work has it already."""
        key = self._results.secret
        return hmac.new(key, f"history {owner} {result}".encode(), hashlib.sha256).hexdigest()[:24]

    # --- keeping ----------------------------------------------------------------------------------

    def begun(self, job: Job) -> None:
        """A run is found in the caller's history from now on."""
        owner = job.owner.id if job.owner.lasting else ""
        if owner and job.kind == "visitor":
            with self._lock:
                self._in_work.append(self._new_run(owner, job))

    def ended(self, job: Job, outcome: Result | HubError) -> None:
        """Keeps what came of a run, and tells who follows it. A disk that fails costs only that: it is logged."""
        with self._lock:
            run = next((run for run in self._in_work if run.job is job), None)
        if run is not None:
            self._end(run, outcome)

    def _new_run(self, owner: str, job: Job) -> InWork:
        entry = HistoryEntry(
            id=self._id(owner, job.id), owner=owner, result=job.id, page=job.page.slug, state="running",
            begun=time.time(), took_ms=0.0, cached=False, times=1, weights=job.capsule.weights,
            digest=job.capsule.digest, version=job.demo.version, parameters=job.inputs.parameters,
            inputs=job.inputs.digests, pictured=bool(job.inputs.digests), headline="", message="",
            place=job.owner.place,
        )  # fmt: skip
        return InWork(entry, job)

    def _end(self, run: InWork, outcome: Result | HubError) -> None:
        entry = run.entry
        try:
            if isinstance(outcome, Result):
                page = self._registry.get(entry.page)
                entry = replace(
                    entry, state="done", took_ms=outcome.receipt.total_ms, cached=outcome.receipt.cached,
                    headline=headline(page.demo, outcome),
                    pictured=entry.pictured or any(outcome.pictures.get(n) for n in drawn_outputs(page.declared)),
                )  # fmt: skip
                worth_keeping = self._results.created(outcome.id) is not None
            else:
                state: State = "stopped" if isinstance(outcome, CancelledError) else "failed"
                message = "" if state == "stopped" else outcome.message
                entry = replace(
                    entry, state=state, took_ms=round(run.seconds * 1000, 2), message=message,
                    pictured=run.job.events.decoded and bool(run.pictures),
                )  # fmt: skip
                worth_keeping = not isinstance(outcome, BusyError | OtherWeightsError)  # that was no run
            if worth_keeping:
                # What cannot be read as a picture may be anything, so nobody gets it back from here.
                is_done = entry.state == "done"
                self._keep(entry, run.pictures if is_done or run.job.events.decoded else {})
        except HubError as error:
            log.warning("a run is not in the history: %s", error.message)
        finally:
            with self._lock:
                self._in_work.remove(run)
            if isinstance(outcome, Result):
                run.future.set_result(outcome)
            else:
                run.future.set_exception(outcome)

    def _keep(self, entry: HistoryEntry, pictures: Mapping[str, bytes]) -> None:
        title = self._registry.get(entry.page).title
        texts = [title, entry.page, entry.weights, entry.headline, entry.message, *map(str, entry.parameters.values())]
        store = self._open_store()
        store.add(entry, {entry.inputs[name]: data for name, data in pictures.items()}, "\n".join(texts))
        if time.monotonic() - self._swept > SWEEP_S:
            self._sweep_soon(store)

    def _open_store(self) -> HistoryStore:
        with self._lock:
            if self._store is None:
                settings = self._settings
                path = settings.data_folder / FILE if settings.results_disk_mb else None
                most = (settings.results_disk_mb or settings.results_memory_mb) * 2**20 / PICTURES_SHARE
                self._store = HistoryStore(path, int(most))
                self._sweep_soon(self._store)
            return self._store

    def _sweep_soon(self, store: HistoryStore) -> None:
        """In a thread: it looks at all there is, and no run should wait for that."""
        self._swept = time.monotonic()
        threading.Thread(target=self._sweep, args=(store,), name="history", daemon=True).start()

    def _sweep(self, store: HistoryStore) -> None:
        """Forgets what is too old, and results that went while no process watched."""
        results = self._results
        try:
            store.sweep(time.time() - self._settings.results_days * 86_400)
            # Another process may have made newer ones since this one listed the disk.
            lost = [id for id, at in store.results() if at < self._began and results.created(id) is None]
            for first in range(0, len(lost), AT_ONCE):
                store.remove_results(lost[first : first + AT_ONCE])
        except HubError as error:
            log.warning("the history is not tidied up: %s", error.message)

    def gone(self, result: str) -> None:
        """A result is kept nowhere any more. Before the file is opened there is nothing to do."""
        if self._store is not None:
            try:
                self._store.remove_results([result])
            except HubError as error:
                log.warning("result %s is still in the history: %s", result, error.message)

    def close(self) -> None:
        """Ends what is in work."""
        with self._lock:
            for run in self._in_work:
                run.cancel.set()

    # --- runs in work -----------------------------------------------------------------------------

    def in_work(self, owner: str, page: str = "") -> list[InWork]:
        """Runs of an owner that are in work, the newest first."""
        with self._lock:
            runs = [r for r in self._in_work if r.entry.owner == owner and page in ("", r.entry.page)]
        return runs[::-1]

    def look(self, owner: str, seconds: float = ARRIVING_S) -> None:
        """The owner is here: what is in work goes on for so long, though no page follows it yet."""
        for run in self.in_work(owner) if owner else ():
            if isinstance(run.cancel, Followed):
                run.cancel.look(seconds)

    def stop(self, owner: str, id: str) -> None:
        """Ends a run that is in work. Raises NotFoundError."""
        runs = [run for run in self.in_work(owner) if run.entry.id == id]
        if not runs:
            raise NotFoundError("This run is not in work any more.")
        for run in runs:
            run.cancel.set()

    # --- looking ----------------------------------------------------------------------------------

    def search(
        self, owner: str, text: str = "", page: str = "", limit: int = 60, offset: int = 0
    ) -> tuple[list[HistoryEntry], int]:
        """Runs that ended, the newest first, and how many there are: of a page, with all words of `text`."""
        return self._open_store().search(owner, text, page, limit, offset) if owner else ([], 0)

    def pages(self, owner: str) -> list[tuple[str, int]]:
        """Slugs of the pages that were run, with counts."""
        return self._open_store().pages(owner) if owner else []

    def get(self, owner: str, id: str) -> HistoryEntry:
        """A run, in work or ended. Raises NotFoundError; another's run is told as none."""
        for run in self.in_work(owner):
            if run.entry.id == id:
                return run.entry
        entry = self._open_store().get(owner, id) if owner else None
        if entry is None:
            raise NotFoundError(GONE)
        return entry

    def result(self, entry: HistoryEntry) -> Result:
        """The stored result of a run. Raises NotFoundError."""
        result = self._results.get(entry.result) if entry.state == "done" else None
        if result is None:
            why = {"running": "is still in work", "stopped": "was stopped", "failed": "failed"}
            raise NotFoundError(
                "This run has no result: it {why}.", why=sentence(why.get(entry.state, "is not kept any more"))
            )
        # The stored time is of whoever had the result computed first, which is not this caller's to know.
        return replace(result, receipt=replace(result.receipt, created_at=iso(entry.begun)))

    def picture(self, entry: HistoryEntry, name: str) -> bytes | None:
        """A picture that went in, as it came; None: it is not held any more."""
        for run in self.in_work(entry.owner):
            if run.entry.id == entry.id and name in run.pictures:
                return run.pictures[name]
        return self._open_store().picture(entry.inputs[name]) if name in entry.inputs else None

    def pictures_of(self, owner: str, result: str) -> Mapping[str, bytes]:
        """The pictures that an owner had this result of, as far as they are held."""
        entry = self._open_store().get(owner, self._id(owner, result)) if owner else None
        found = {name: self.picture(entry, name) for name in entry.inputs} if entry else {}
        return {name: data for name, data in found.items() if data is not None}

    def thumbnail(self, entry: HistoryEntry) -> bytes:
        """WebP of at most 256 pixels a side, drawn once, of the first picture out, else in. Raises NotFoundError."""
        if earlier := self.kept_thumbnail(entry):
            return earlier
        picture = self._draw_thumbnail(entry)
        if entry.state != "running":
            with suppress(HubError):
                self._open_store().set_thumbnail(entry.id, picture)
        for run in self.in_work(entry.owner):
            if run.entry.id == entry.id and entry.state == "running":
                run.small = picture
        return picture

    def kept_thumbnail(self, entry: HistoryEntry) -> bytes | None:
        """The same if it was drawn before."""
        if entry.state != "running":
            return self._open_store().thumbnail(entry.id)
        return next((run.small for run in self.in_work(entry.owner) if run.entry.id == entry.id), None)

    def _draw_thumbnail(self, entry: HistoryEntry) -> bytes:
        page = self._registry.pages.get(entry.page)
        result = self._results.get(entry.result) if entry.state == "done" else None
        for name in drawn_outputs(page.declared) if page and result else ():
            if result is not None and result.pictures.get(name):
                with budget.opened(result.pictures[name][0].data, (SIDE * 2, SIDE * 2)) as image:
                    return thumbnail(image, SIDE, "tile")
        for name in entry.inputs:
            data = self.picture(entry, name)
            if data is not None:
                with budget.room():
                    return thumbnail(look_at(data, self._limits), SIDE, "tile")
        raise NotFoundError("There is no picture of this run.")

    # --- forgetting -------------------------------------------------------------------------------

    def remove(self, caller: Caller, ids: Sequence[str] | None) -> tuple[list[Gone], list[str]]:
        """Forgets runs of a caller (None: all that ended), and returns them; and results that nobody else has.

        Raises StorageError.
        """
        owner = self.owner(caller)
        return self._open_store().remove(owner, ids) if owner else ([], [])

    def forget_passing(self, owner: str, result: str) -> None:
        """A value that a control only passed was run: not worth an entry, unless it was run before."""
        entry = self._open_store().get(owner, self._id(owner, result)) if owner else None
        if entry is not None and entry.times == 1:
            self._open_store().remove(owner, [entry.id])

    def ran_at(self, owner: str, result: str) -> float | None:
        """When an owner ran this last, with a result; None: never."""
        entry = self._open_store().get(owner, self._id(owner, result))
        return entry.begun if entry is not None and entry.state == "done" else None

    def stats(self) -> dict[str, Any]:
        """Counts and bytes of all."""
        return {**self._open_store().stats(), "in_work": len(self._in_work)}
