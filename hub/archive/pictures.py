"""Every picture made from words: single runs among the results and grids in `<data>/batches`, found again by search."""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hub.archive.manifest import LINE_BYTES, DrawnCell, read_cell
from hub.archive.picture_index import ALL, PictureIndex, PictureRecord, Query, Viewer
from hub.decoding import budget
from hub.engine.jobs import Job
from hub.engine.shown import HUB
from hub.errors import HubError, NotFoundError, StorageError
from hub.files import write_atomic
from hub.images import thumbnail
from hub.pages.kinds import from_words, picture_outputs, prompt_input
from hub.pages.registry import Registry
from hub.people.owners import Owner, kept_by
from hub.results.result import Result
from hub.results.store import ResultStore
from hub.settings import Settings
from hub.spec import Demo

log = logging.getLogger(__name__)

MANIFEST = "manifest.jsonl"  # of a grid: a line per cell (hub/batch/folder.py writes it)
THUMBNAIL_SIDE = 256
LOOK_S = 1.0  # between two looks at the folder of grids
OWN_SEED = re.compile(r"\bseed (\d{1,10})\b")  # in a caption: pictures of one run may have seeds of their own


class Pictures:
    """What the gallery shows and to whom. `settings.similar` says who sees single runs, as for similar pictures."""

    def __init__(self, settings: Settings, registry: Registry, results: ResultStore):
        self._settings, self._registry, self._results = settings, registry, results
        self.batches = settings.data_folder / "batches"
        self._folder, self._began = settings.data_folder / "gallery", time.time()
        # Guards the opening of the index and the look at the grids; the index's own lock is taken under it.
        self._lock = threading.Lock()
        self._index: PictureIndex | None = None
        self._looked = 0.0

    @property
    def singles(self) -> bool:
        """Whether single runs are kept here."""
        return self._settings.similar != "off"

    def keeps(self, demo: Demo | None) -> bool:
        """Whether single runs of a page are kept here, each for the session that asked for it."""
        return self.singles and from_words(demo)

    def viewer(self, who: Owner) -> Viewer:
        """Who looks through a browser or REST."""
        return Viewer(self.singles, None if self._settings.similar == "everyone" else who.ids)

    # --- keeping ----------------------------------------------------------------------------------

    def begun(self, job: Job) -> None:
        """Nothing to do: a picture enters the gallery when its run has ended."""

    def ended(self, job: Job, outcome: Result | HubError) -> None:
        """Remembers a result that was just given to who asked. A disk that fails costs only that: it is logged."""
        if isinstance(outcome, HubError) or job.live or not self.keeps(job.demo):
            return
        result = outcome
        files = {name: [(p.width, p.height, p.caption) for p in group] for name, group in result.pictures.items()}
        try:
            records = _singles(result.id, result.capsule, files, result.created, job.demo)
            self._open_index().add(records, kept_by(job.owner))
        except (StorageError, OSError) as error:
            log.warning("result %s is not in the gallery: %s", result.id, error)

    def assign(self, result: Result, who: Owner, run: str, subject: str, style: str) -> None:
        """Files a caller's result under the grid that a page drew. Lost, it is single again: only the index knows.

        A disk that fails costs only that: it is logged.
        """
        if not self.singles:
            return
        try:
            self._open_index().assign(result.id, kept_by(who), run, subject, style)
        except StorageError as error:
            log.warning("result %s is in the gallery without its grid: %s", result.id, error)

    def gone(self, id: str) -> None:
        """Forgets a result that is kept no more. Before the index is opened there is nothing to do."""
        if self._index is None:
            return
        try:
            if self._index.search(Query(result=id), ALL, limit=1)[1]:
                self._forget(self._index.remove_results([id]))
        except StorageError as error:
            log.warning("result %s is still in the gallery: %s", id, error)

    def disown(self, who: Owner, results: Collection[str]) -> None:
        """Forgets results as a caller has them, who deleted their runs; others' stay."""
        if not who.ids or not results:
            return
        try:
            index = self._open_index()
            for owner in who.ids:
                self._forget(index.remove_results(results, owner))
        except (StorageError, OSError) as error:
            log.warning("%d deleted results are still in the gallery of who ran them: %s", len(results), error)

    def close(self) -> None:
        with self._lock:
            if self._index is not None:
                self._index.close()
                self._index = None

    def _open_index(self) -> PictureIndex:
        with self._lock:
            index = self._index or PictureIndex(self._folder / "index.db")
            if self._index is None or index.fresh:  # it is new, or was found to be damaged since
                self._catch_up(index)
                self._index = index
            return index

    def _catch_up(self, index: PictureIndex) -> None:
        """Reads what exists into a new index; forgets results that went while no process watched."""
        results = self._results
        if index.fresh and self.singles:
            for id, record in results.records():
                capsule = json.loads(record.capsule)
                page = self._registry.pages.get(capsule["page"])
                if page is None or not self.keeps(page.declared):
                    continue
                files = {name: [(p.width, p.height, p.caption) for p in group]
                         for name, group in record.pictures.items()}  # fmt: skip
                owner = "" if record.asked_by in (None, HUB) else record.asked_by
                index.add(_singles(id, capsule, files, record.created, page.demo), owner)
        # Another process may have made newer ones since this one listed the disk.
        lost = [id for id, created in index.results() if created < self._began and results.created(id) is None]
        self._forget(index.remove_results(lost))
        index.caught_up()

    def _look(self) -> PictureIndex:
        """The index with what grids have drawn since the last look."""
        index = self._open_index()
        with self._lock:
            if time.monotonic() - self._looked < LOOK_S:
                return index
            self._looked = time.monotonic()
            offsets, sizes = index.batches(), dict[str, int]()
            for path in self.batches.glob(f"*/{MANIFEST}"):
                with suppress(OSError):
                    sizes[path.parent.name] = path.stat().st_size
            for run, size in sizes.items():
                if size < offsets.get(run, 0):
                    self._forget(index.remove_batch(run))
                if size != offsets.get(run):
                    self._read_batch(index, run, offsets.get(run, 0) if size > offsets.get(run, 0) else 0)
            for run in offsets.keys() - sizes.keys():
                self._forget(index.remove_batch(run))
        return index

    def _read_batch(self, index: PictureIndex, run: str, offset: int) -> None:
        entries = list[PictureRecord]()
        with (self.batches / run / MANIFEST).open("rb") as file:
            file.seek(offset)
            while line := file.readline(LINE_BYTES + 1):
                if not line.endswith(b"\n") and len(line) <= LINE_BYTES:
                    break  # it is being written
                offset += len(line)
                if (cell := read_cell(line)) is not None:
                    entries += _of_grid(run, cell)
        index.add_batch(run, entries, offset)

    def _forget(self, ids: list[str]) -> None:
        for id in ids:
            self._thumbnail(id).unlink(missing_ok=True)

    # --- finding ----------------------------------------------------------------------------------

    def index(self) -> PictureIndex:
        """To search in; knows what was drawn up to a second ago."""
        return self._look()

    def get(self, id: str, viewer: Viewer) -> PictureRecord:
        """One picture. Raises NotFoundError for what is not there, or not for the viewer to see."""
        records, _ = self._open_index().search(Query(ids=(id,)), viewer, limit=1)
        if not records:
            raise NotFoundError("There is no such picture in the gallery, or it is another visitor's.")
        return records[0]

    def file(self, entry: PictureRecord) -> tuple[bytes, str]:
        """A picture's file and its media type. Raises NotFoundError when it has gone."""
        if entry.source == "batch":
            with suppress(OSError):
                return (self.batches / entry.place).read_bytes(), "image/png"
        else:
            id, output, number = entry.place.split("/")
            result = self._results.get(id)
            group = result.pictures.get(output, ()) if result else ()
            if int(number) < len(group):
                return group[int(number)].data, group[int(number)].media_type
        raise NotFoundError("This picture is not kept any more.")

    def thumbnail(self, entry: PictureRecord) -> bytes:
        """WebP of at most 256 pixels a side, made once. Raises NotFoundError."""
        if earlier := self.kept_thumbnail(entry):
            return earlier
        path = self._thumbnail(entry.id)
        with budget.opened(self.file(entry)[0], (THUMBNAIL_SIDE * 2, THUMBNAIL_SIDE * 2)) as image:
            small = thumbnail(image, THUMBNAIL_SIDE, "tile")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, small, lasting=False)
        except OSError as error:
            log.debug("a thumbnail is not kept: %s", error)
        return small

    def kept_thumbnail(self, entry: PictureRecord) -> bytes | None:
        """The same if it was made before."""
        with suppress(OSError):
            return self._thumbnail(entry.id).read_bytes()
        return None

    def _thumbnail(self, id: str) -> Path:
        return self._folder / "thumbnails" / id[:2] / f"{id}.webp"


def _singles(
    id: str, capsule: Mapping[str, Any], files: Mapping[str, list[tuple[int, int, str]]], created: float, demo: Demo
) -> Iterator[PictureRecord]:
    parameters, outputs = capsule["parameters"], picture_outputs(demo)
    for output, group in files.items():
        for number, (width, height, caption) in enumerate(group if output in outputs else ()):
            own = OWN_SEED.search(caption)
            yield PictureRecord(
                source="run", result=id, place=f"{id}/{output}/{number}", demo=capsule["page"],
                prompt=str(parameters.get(prompt_input(demo), "")), subject="", style="",
                seed=int(own[1]) if own else parameters.get("seed"), weights=capsule["weights"],
                digest=capsule["digest"], run="", created=created, width=width, height=height, caption=caption,
                parameters=parameters, inputs=tuple(capsule["inputs"]),
            )  # fmt: skip


def _of_grid(run: str, cell: DrawnCell) -> Iterator[PictureRecord]:
    for picture in cell.pictures:
        own = OWN_SEED.search(picture.caption)
        yield PictureRecord(
            source="batch", result=cell.cell, place=f"{run}/{picture.file}", demo=cell.page, prompt=cell.prompt,
            subject=cell.subject, style=cell.style, seed=int(own[1]) if own else cell.seed, weights=cell.weights,
            digest=cell.digest, run=run, created=cell.created, width=picture.width, height=picture.height,
            caption=picture.caption, parameters=cell.parameters,
        )  # fmt: skip
