"""Similar pictures: what a page's model finds near to a result, among its examples and past results."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hub.archive.examples import Examples, Run
from hub.archive.vectors import Vector, Vectors
from hub.engine.jobs import Job
from hub.engine.shown import Shown
from hub.errors import HubError
from hub.pages.kinds import first_picture
from hub.pages.registry import Registry
from hub.people.owners import Owner, kept_by
from hub.results.result import Result
from hub.results.store import ResultStore
from hub.settings import Settings
from hub.spec import Demo

VECTORS_SHARE = 8  # what finds similar pictures takes at most 1/8 of the results' memory


@dataclass(frozen=True, slots=True)
class Match:
    """One similar picture. `example` is its number on the page; None: it is a past result."""

    id: str  # of the result it comes from
    similarity: float  # cosine, at most 1
    example: int | None
    title: str  # of the example; empty for a past result
    created: float | None  # when who asks had it first, in seconds since the epoch; None: they never ran it


class Similar:
    """Keeps embeddings and finds them. `settings.similar` says whose past results are shown to whom.

    `holds(key)`, `run` and `in_work` are for the examples, which are run while nobody waits.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        results: ResultStore,
        shown: Shown,
        holds: Callable[[str], bool],
        *,
        run: Run,
        in_work: Callable[[], int],
        memory_bytes: int,
    ):
        self._settings, self._registry, self._results, self._shown = settings, registry, results, shown
        self.index = Vectors(memory_bytes // VECTORS_SHARE)
        self.examples = Examples(registry, holds, self.index.pictures, run, in_work)
        # Guards the one reading of what an earlier process left on disk; the index's lock is taken under it.
        self._reading = threading.Lock()
        self._read = False

    def keeps(self, demo: Demo | None) -> bool:
        """Whether the page keeps embeddings: its demo gives them, and the setting is not off."""
        return bool(demo and demo.similar and self._settings.similar != "off")

    def begun(self, job: Job) -> None:
        """A visitor's run makes examples wait."""
        if not job.background:
            self.examples.make_way()

    def ended(self, job: Job, outcome: Result | HubError) -> None:
        """Remembers a result that was just given to who asked."""
        if isinstance(outcome, HubError) or outcome.sight is None or not self.keeps(job.demo):
            return
        if job.kind == "batch":  # thousands of them would push out what people looked at
            return
        if self._results.created(outcome.id):
            capsule, vector = outcome.capsule, outcome.sight.embedding
            picture = capsule["inputs"][first_picture(job.demo)]
            self.index.add(outcome.id, group_of(capsule, vector), picture, vector, kept_by(job.owner))

    def gone(self, id: str) -> None:
        self.index.remove(id)

    def close(self) -> None:
        self.examples.close()

    def outstanding(self, result: Result) -> tuple[int, bool]:
        """How many examples were not compared yet, and whether they will be in a moment: the model is in memory."""
        page = self._registry.pages.get(result.capsule["page"])
        if page is None or not self.keeps(page.declared) or result.sight is None:
            return 0, False
        capsule, group = result.capsule, group_of(result.capsule, result.sight.embedding)
        return len(self.examples.missing(page, group)), self.examples.wake(page, capsule, group)

    def find(self, result: Result, who: Owner, limit: int = 8) -> list[Match]:
        """Nearest first: the page's examples, and past results of `who` (of everyone, where the setting says so).

        The examples come once the model is in memory and idle. No engine lock is held.
        """
        page = self._registry.pages.get(result.capsule["page"])
        if page is None or page.declared is None or not self.keeps(page.declared) or result.sight is None:
            return []
        self._read_once()
        capsule, vector, numbers = result.capsule, result.sight.embedding, self.examples.of(page)
        group = group_of(capsule, vector)
        self.examples.wake(page, capsule, group)
        nearest = self.index.nearest(
            group,
            vector,
            owners=None if self._settings.similar == "everyone" else who.ids,
            always=numbers,
            without=capsule["inputs"][first_picture(page.declared)],
        )
        matches: list[Match] = []
        for similarity, id, picture in nearest:
            if self._results.created(id) is None:
                self.index.remove(id)
            elif len(matches) < limit:
                number = numbers.get(picture)
                title = page.declared.examples[number].title if number is not None else ""
                since = self._shown.ran_at(who, id)
                matches.append(Match(id, round(similarity, 4), number, title, since))
        return matches

    def _read_once(self) -> None:
        """Fills the index with what is on disk, the last used first, until it is full."""
        with self._reading:
            if self._read:
                return
            self._read = True
            for id, capsule, sight in self._results.sights():
                page = self._registry.pages.get(capsule["page"])
                if page is None or page.declared is None or not self.keeps(page.declared):
                    continue
                picture = capsule["inputs"].get(first_picture(page.declared), "")
                group = group_of(capsule, sight.embedding)
                if not self.index.add(id, group, picture, sight.embedding, sight.owner, old=True):
                    break


def group_of(capsule: Mapping[str, Any], vector: Vector) -> str:
    """Names the vectors that can be compared: of one page and version, one set of weights (by digest), one dtype."""
    return "/".join([*(str(capsule[part]) for part in ("page", "version", "digest", "dtype")), str(len(vector))])
