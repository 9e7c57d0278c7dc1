"""Hub: builds everything once, closes everything, and is the one object that doors receive."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from hub import memory, texts
from hub.archive import usage
from hub.archive.audited import Audited
from hub.archive.corrections.corrections import Corrections
from hub.archive.first_answers import FirstAnswers
from hub.archive.history import History
from hub.archive.pictures import Pictures
from hub.archive.sharing import Sharing
from hub.archive.similar import Similar
from hub.archive.usage import Usage
from hub.decoding import budget
from hub.decoding.decode import ImageLimits
from hub.engine.engine import Engine
from hub.engine.jobs import Cancel, Stop
from hub.engine.shown import Shown
from hub.errors import InputError, RightsError, UnavailableError
from hub.execution.executor import Executor, Waiting
from hub.execution.in_process import InProcess
from hub.execution.models import Models, Resident
from hub.execution.pool import ModelPool
from hub.execution.residency import Residency
from hub.execution.workers import Workers, process_count
from hub.jobs.jobs import Jobs
from hub.jobs.paces import Paces
from hub.metrics import Metrics
from hub.pages.registry import Page, Registry, discover
from hub.pages.seen import Seen
from hub.people import asking, audit
from hub.people.audit import Audit
from hub.people.owners import Owners
from hub.people.rights import Rights
from hub.people.users import Caller
from hub.presence import Presence
from hub.results.disk import Disk
from hub.results.result import Result
from hub.results.store import ResultStore
from hub.settings import Settings, go_offline
from hub.spaces.zero import Zero
from hub.telemetry import open_tracer
from hub.weights.store import open_store


class Copies(Protocol):
    """Who keeps copies of what runs got and gave, outside of the stores."""

    def forget(self, caller: Caller, ids: Sequence[str] | None) -> None:
        """These runs of a caller (None: all) are about to be deleted."""

    def forget_result(self, id: str) -> None:
        """This result is deleted."""


class Hub:
    """A hub in this process. Make one, in the entry point, and hand it down.

    `spaces` is the package of that name on a ZeroGPU Space, and `port` the one that will be served there. `serving`:
    models live in processes of their own, or on a cluster, as the settings say, so that doors never wait for one; else
    in this process.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        registry: Registry | None = None,
        *,
        spaces: Any = None,
        port: int = 0,
        serving: bool = False,
    ):
        self.settings = settings = settings or Settings()
        if settings.offline:
            go_offline()
        self.tracer = open_tracer(settings)
        # A Space that starts anew may meet the last one of it, which is about to end.
        watched = serving and "SPACE_ID" not in os.environ
        self._presence = Presence(settings.data_folder) if watched else None
        if self._presence is not None:
            self._presence.begin()
        entries = registry or discover(settings.pages_folder, settings.only())
        self.registry, self.weights = open_store(settings, entries)
        self.texts = self._read_texts()
        self.usage = Usage(settings.data_folder / usage.FILE)
        self.metrics = Metrics(self.usage)
        self.limits = ImageLimits(int(settings.max_upload_mb * 2**20), int(settings.max_megapixels * 1_000_000))
        memory.settle()
        on_ray = serving and not spaces and settings.executor == "ray"
        processes = process_count(settings) if serving and not spaces and not on_ray else 0
        budget.BUDGET.resize(budget.pixels_of(settings.open_megapixels, self.limits.max_pixels) // (processes + 1))
        kept_bytes = int(settings.results_memory_mb * 2**20)
        self.results = ResultStore(
            settings.data_folder,
            memory_bytes=kept_bytes,
            disk_bytes=int(settings.results_disk_mb * 2**20),
            max_age_s=settings.results_days * 86_400,
        )
        self.disk, self.owners = Disk(settings.data_folder), Owners(self.results.secret)
        self.audit = Audit(
            settings.data_folder / audit.FILE, self.owners, rows=settings.audit_rows, days=settings.audit_days
        )
        self.seen = Seen(self.registry, self._read_rights(), self._note_refusal)
        self.zero: Zero | None = None
        self._residency: Residency | None = None
        self.models, self.executor = self._place_models(processes, on_ray, kept_bytes, spaces, port)
        if settings.device not in ("auto", "cpu"):
            self.models.machine()  # one that is not here should stop the start, not the first visitor
        self.history = History(settings, self.registry, self.results, self.owners, self.limits)
        self.shown = Shown(self.history.ran_at)
        self.sharing = Sharing(settings, self.registry, self.weights, self.results, self.shown, self.limits, kept_bytes)
        self.sharing.links.on_deed = lambda deed, page, id: self.audit.note(deed, page=page, subject=id[:12])
        self.pictures = Pictures(settings, self.registry, self.results)
        self.corrections = Corrections(
            settings, self.registry, self.results, self.shown, self.sharing, self.history, self.limits, self.audit
        )
        self.similar = Similar(
            settings, self.registry, self.results, self.shown, self.models.holds,
            run=self._run_for_nobody, in_work=lambda: self.engine.in_work, memory_bytes=kept_bytes,
        )  # fmt: skip
        self.first_answers = FirstAnswers(
            self.registry, self.results, self._run_for_nobody, in_work=lambda: self.engine.in_work,
            makes=self.zero is None,  # seconds of a GPU there are the visitors'
        )  # fmt: skip
        self.paces = Paces()
        self.engine: Engine = Engine(
            settings, self.registry, self.weights, self.results, self.executor,
            owners=self.owners, shown=self.shown, limits=self.limits, metrics=self.metrics, seen=self.seen,
            # History comes last: who follows a run hears of its end from there, when the others know it already.
            keepers=(
                self.similar, self.first_answers, self.sharing, self.pictures, self.paces, Audited(self.audit),
                self.history,
            ),
            tracer=self.tracer,
        )  # fmt: skip
        self.jobs = Jobs(settings, self.engine, self.limits, self.paces, self.models.is_loaded, self.audit)
        self._copies: list[Copies] = []
        self._endings: list[Callable[[], None]] = []

    @property
    def visible(self) -> Registry:
        """The pages that whoever asks may see: what doors list and look up. `registry` has all, for the hub itself."""
        return self.seen.by(asking.current())

    @property
    def stop(self) -> Stop:
        """Whether the hub is about to end."""
        return self.engine.stop

    def waiting(self, caller: Caller | None, slug: str) -> Waiting | None:
        """Where a caller's run of a page stands among those that wait; `left_s` is until it has its answer."""
        who = self.owners.of(caller)
        waiting = self.executor.waiting((who.source, who.id), slug)
        own_s = self.paces.seconds(slug, loaded=self.models.is_loaded(slug))
        return waiting and replace(waiting, left_s=round(waiting.left_s + (own_s or 0.0), 1))

    def _run_for_nobody(self, slug: str, inputs: Mapping[str, Any], cancel: Cancel) -> Result:
        return self.engine.run(slug, inputs, cancel=cancel, kind="background")

    def _place_models(
        self, processes: int, on_ray: bool, outputs_bytes: int, spaces: Any, port: int
    ) -> tuple[Models, Executor]:
        """Where models live and run."""
        settings, registry, weights, metrics = self.settings, self.registry, self.weights, self.metrics
        if on_ray:
            from hub.cluster.executor import RayExecutor

            replicas = RayExecutor(settings, registry, weights, metrics, outputs_bytes=outputs_bytes)
            pixels = budget.pixels_of(settings.open_megapixels, self.limits.max_pixels)
            budget.BUDGET.resize(pixels // (replicas.beside + 1))
            return replicas, replicas
        if processes:
            workers = Workers(settings, registry, weights, metrics, count=processes, outputs_bytes=outputs_bytes)
            return workers, workers
        self._residency = here = Residency(settings, registry, weights, metrics)
        if spaces:
            self.zero = Zero(settings, registry, weights, here, spaces, port)
        infer_of = self.zero.lent if self.zero else None
        executor = InProcess(
            settings, registry, weights, here, metrics, self.limits, outputs_bytes=outputs_bytes, infer_of=infer_of
        )
        return here, executor

    def change_model(self, slug: str, weights: str, action: str) -> Resident:
        """Loads, pins, unpins or unloads one page's model, as `Models.change`, and notes who asks for it."""
        now = self.models.change(slug, weights, action)
        self.audit.note("model", page=slug, subject=action)
        return now

    @property
    def pool(self) -> ModelPool:
        """Of the models in this process. Raises UnavailableError where they live in others."""
        if self._residency is None:
            raise UnavailableError("The models of this hub live in processes of their own.")
        return self._residency.pool

    def opened_at(self, url: str, host: str) -> None:
        """The hub is on the internet now: links made from now on are for those who were given this address."""
        before = self.settings
        names = ",".join(filter(None, (before.allow_host, host)))
        self.settings = replace(before, public_url=before.public_url or url, allow_host=names)

    def take_pages(self, changed: Mapping[str, Page | None], stale: Collection[str] = ()) -> None:
        """Serves these pages from now on for what their slugs had; None: the page is gone.

        `stale`: those whose models are loaded anew; the others' stay in memory.
        """
        self.registry.put(changed)
        self.texts = self._read_texts()
        self.executor.read_again(changed, stale)
        self.first_answers.forget(changed)

    def _read_rights(self) -> Rights:
        """The rules on pages. Raises InputError for those that are wrong, or that a hub without sign-in cannot keep."""
        if not self.settings.rights:
            return Rights()
        if not self.settings.asks:
            raise InputError(
                "--rights says who may see and run pages, so the hub has to know who asks: add --auth, --oidc-issuer, "
                "--auth-header or --space-users."
            )
        return Rights(Path(self.settings.rights).expanduser(), self._page_names)

    def _page_names(self) -> Collection[str]:
        """By what rules may name pages; of a hub that serves a few of its pages, also the others."""
        settings, registry = self.settings, self.registry
        others = discover(settings.pages_folder) if settings.only() else ()
        return dict.fromkeys(name for pages in (registry, others) for page in pages for name in page.names)

    def _note_refusal(self, who: Caller, page: Page) -> None:
        self.audit.note_of(who, "run", page=page.slug, outcome=RightsError.code)

    def _read_texts(self) -> Mapping[str, texts.Catalogue]:
        """What the pages say in other languages, by language."""
        names = {label: words for page in self.registry if page.declared for label, words in page.demo.names.items()}
        return texts.catalogues((page.assets for page in self.registry), names)

    # --- what crosses keepers ---------------------------------------------------------------------

    def add_copies(self, copies: Copies) -> None:
        """A door keeps copies of what runs got and gave: it is told what is deleted."""
        self._copies.append(copies)

    def forget(self, caller: Caller, ids: Sequence[str] | None) -> tuple[int, int]:
        """Deletes runs of a caller (None: all that ended); returns how many, and how many of them had a result.

        A result stays while another's history has it, but as theirs alone: the caller is not found beside it any more,
        in no browser, and is not told whether it stayed. Links keep copies of their own, and go on.

        Raises StorageError.
        """
        if not self.history.owner(caller):
            return 0, 0
        for copies in self._copies:
            copies.forget(caller, ids)
        entries, free = self.history.remove(caller, ids)
        who, results = self.owners.of(caller), {run.result for run in entries}
        for id in results:
            self.sharing.forget(id, None if id in free else who)
            if id in free:
                self.results.remove(id)
            else:
                self.results.disown(id, who.ids)
        self.similar.index.disown(results, who.ids)
        self.pictures.disown(who, results)
        self.corrections.forget(who, [*results])
        self.shown.forget(who, results)
        self.executor.drop_outputs({run.page for run in entries})
        for copies in self._copies:
            for id in free:
                copies.forget_result(id)
        if entries:
            self.audit.note_of(caller, "delete", subject=str(len(entries)))
        return len(entries), len({run.result for run in entries if run.state == "done"})

    def at_close(self, end: Callable[[], None]) -> None:
        """Something that lives as long as the hub does."""
        self._endings.append(end)

    def close(self) -> None:
        """Drops all models. Runs in work get a HubError; jobs in work wait for the next start."""
        for end in self._endings:
            end()
        self.jobs.close()
        self.engine.close()
        self.usage.close()
        self.corrections.close()
        self.audit.close()
        self.tracer.close()
        if self._presence is not None:
            self._presence.close()
