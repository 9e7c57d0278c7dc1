"""Weights by name -> a verified local folder with its digest, config and card."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hub.errors import HubError, UnavailableError
from hub.pages.registry import Registry
from hub.settings import Settings, default_folder
from hub.texts import Sentence, sentence
from hub.weights import catalogue, formats, lock
from hub.weights.cards import front_of
from hub.weights.lock import Locked
from hub.weights.remote import RepositoryGoneError
from hub.weights.snapshots import OFFLINE, Fetching, OnBytes, Snapshots
from hub.weights.sources import Bundled, HubSource, Local, Source, apply, choices, parse_name
from hub.weights.watched import Watched, folders_in

log = logging.getLogger(__name__)

CARD_BYTES = 256 * 1024  # read of a card
PATIENCE_S = 10.0  # how long a visitor waits for a download; a hundred of them must not hold every thread for hours

EMPTY: Mapping[str, Any] = MappingProxyType({})
Stamp = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class WeightsFolder:
    """Weights found on disk. `digest` is over the names and bytes of the files a model reads, `files`."""

    name: str
    path: Path
    files: tuple[Path, ...]
    size_bytes: int
    digest: str
    config: Mapping[str, Any]
    commit: str = ""  # of weights from the Hub
    locked: bool = False  # whether the files were compared with the lock


@dataclass(frozen=True, slots=True)
class _Found:
    """A folder that was read: by the stamp of its files, and with what would show that it is another now."""

    stamp: Stamp
    folder: WeightsFolder
    watched: Watched


def open_store(settings: Settings, registry: Registry) -> tuple[Registry, WeightsStore]:
    """The pages with a choice of weights per source, and the store that finds them. Raises InputError."""
    registry, sources = apply(registry, choices(settings.weights))
    root = Path(settings.weights_folder) if settings.weights_folder else None
    return registry, WeightsStore(root, settings.hub_cache, offline=settings.offline, sources=sources)


def fetch_ahead(store: WeightsStore, registry: Registry) -> None:
    """Begins to fetch the pages' default weights that are on the Hub. Pages serve meanwhile, and tell how far it is."""
    names = [page.declared.weights[0].name for page in registry if page.declared and page.declared.weights]
    to_fetch = [name for name in dict.fromkeys(names) if isinstance(store.source(name), HubSource)]

    def fetch() -> None:
        for name in to_fetch:
            try:
                store.obtain(name)
            except UnavailableError as error:
                log.warning("%s", error.message)

    if to_fetch:
        threading.Thread(target=fetch, name="fetch-ahead", daemon=True).start()


class WeightsStore:
    """Resolves names to folders; hashes each file once as long as it does not change.

    A name is one of `sources`, that of a folder in `root`, or an address `hf://...`. What the lock knows must match it.
    """

    def __init__(
        self,
        root: Path | None = None,
        hub_folder: Path | None = None,
        *,
        offline: bool = False,
        sources: Mapping[str, Source] = EMPTY,
    ):
        self.root = root or default_folder("weights")
        self.snapshots = Snapshots(hub_folder or Path("data") / "hub", offline=offline)
        self.sources = dict(sources)
        self._lock = threading.Lock()  # guards the dicts below; taken last
        self._reading: dict[str, threading.Lock] = {}  # by name: large files take seconds, and others go on
        self._folders: dict[str, _Found] = {}  # each entry is written whole, and read without the lock
        self._fetches: dict[str, Future[None]] = {}
        self._locked: tuple[tuple[int, int], dict[str, Locked]] = ((0, 0), {})

    def source(self, name: str) -> Source:
        """Where these weights come from. Raises UnavailableError, or InputError for an address that is none."""
        return self.sources.get(name) or parse_name(name)

    def find(self, name: str) -> WeightsFolder:
        """The verified folder, if it is on this disk. Raises UnavailableError that says what is missing or refused."""
        return self._unchanged(name) or self._look(name)

    def _unchanged(self, name: str) -> WeightsFolder | None:
        """What was found before, where nothing can have changed since: every run asks several times."""
        entry = self._folders.get(name)
        return entry.folder if entry is not None and entry.watched.is_same() else None

    def _look(self, name: str) -> WeightsFolder:
        begun_ns = time.time_ns()
        path, commit = self._path(name)
        files = formats.files_of(path, repr(name))
        locked = self.locked().get(name)
        stamp = (*((n, f.stat().st_mtime_ns, f.stat().st_size) for n, f in files.items()), ("", *self._locked[0]))
        watched = Watched.since(begun_ns, (*files.values(), *folders_in(path), *self._records(name, commit)))
        with self._lock:
            reading = self._reading.setdefault(name, threading.Lock())
        with reading:
            entry = self._folders.get(name)
            known = entry.folder if entry is not None and entry.stamp == stamp else None
            folder = known or self._read(name, path, files, commit, locked)
            self._folders[name] = _Found(stamp, folder, watched)
            return folder

    def _records(self, name: str, commit: str) -> list[Path]:
        """What says which folder and files these weights are."""
        source = self.source(name)
        of_hub = self.snapshots.records(source, commit) if isinstance(source, HubSource) else []
        return [self.lock_path, *of_hub]

    def obtain(self, name: str, on_bytes: OnBytes | None = None, *, patience_s: float | None = None) -> WeightsFolder:
        """As `find`, but weights on the Hub are fetched first. Raises UnavailableError.

        With `patience_s`, who has waited so long is told how far the download is; it goes on meanwhile.
        """
        source = self.source(name)
        is_hub = isinstance(source, HubSource) and not self.snapshots.is_looked_up(source, self.locked().get(name))
        if not is_hub and (known := self._unchanged(name)):
            return known
        if isinstance(source, HubSource):
            if patience_s is None or not self.is_remote(name):
                self._get(name, source, on_bytes)
            else:
                self._get_in_background(name, source, patience_s)
        return self.find(name)

    def _get(self, name: str, source: HubSource, on_bytes: OnBytes | None = None) -> None:
        try:
            self.snapshots.get(source, self.locked().get(name), on_bytes)
        except RepositoryGoneError as error:
            words = sentence("{reason} {instead}", reason=error.message, instead=catalogue.instead_of(source.repo))
            raise RepositoryGoneError(words if words.values["instead"] else error.message) from None

    def _get_in_background(self, name: str, source: HubSource, patience_s: float) -> None:
        with self._lock:
            fetch = self._fetches.get(name)
            if fetch is None or fetch.done():
                fetch = self._fetches[name] = Future()
                work = (fetch, name, source)
                threading.Thread(target=self._fulfil, args=work, name=f"fetch {name}", daemon=True).start()
        try:
            error = fetch.exception(timeout=patience_s)
        except TimeoutError:
            progress = self.snapshots.fetching(source)
            part = ": {percent} % of {size:.0f} MB"
            how = sentence(part, percent=progress.percent, size=progress.total / 1e6) if progress else ""
            text = "{name} is not on this machine yet. It is being downloaded{how}. Try again in a moment."
            raise UnavailableError(text, name=name, how=how) from None
        if isinstance(error, HubError):
            raise type(error)(error.message)  # a copy: others may be told the same
        if error is not None:
            raise error

    def _fulfil(self, fetch: Future[None], name: str, source: HubSource) -> None:
        try:
            self._get(name, source)
            fetch.set_result(None)
        except Exception as error:  # whatever it is, those who wait must hear of it
            fetch.set_exception(error)

    def is_remote(self, name: str) -> bool:
        """Whether `obtain` would have to fetch the weights."""
        source = self.source(name)
        return isinstance(source, HubSource) and self.snapshots.local(source, self.locked().get(name)) is None

    def fetching(self, name: str) -> Fetching | None:
        """The download of these weights, while one is on its way."""
        source = self.source(name)
        return self.snapshots.fetching(source) if isinstance(source, HubSource) else None

    def trouble(self, name: str) -> str:
        """Why weights on the Hub cannot be fetched, or could not the last time; empty: nothing is known against it."""
        source = self.source(name)
        return self.snapshots.trouble(source) if isinstance(source, HubSource) else ""

    def size_bytes(self, name: str) -> int:
        """Bytes on disk, without hashing. Raises UnavailableError."""
        return sum(f.stat().st_size for f in formats.files_of(self._path(name)[0], repr(name)).values())

    def card(self, name: str) -> tuple[dict[str, Any], str]:
        """The model card: its YAML data and its Markdown text. Raises UnavailableError."""
        path = self._path(name)[0] / "README.md"
        if not path.is_file():
            # Visitors see no path they did not choose.
            where = "" if isinstance(self.source(name), Local) else f"; expected {path}"
            raise UnavailableError("Weights {name!r} have no card{where}.", name=name, where=where)
        from huggingface_hub import ModelCard  # heavy, and only the page and REST detail need it

        with path.open("rb") as file:  # anybody's, where the weights are from the Hub
            text = file.read(CARD_BYTES).decode("utf-8-sig", "replace")
        try:
            front_of(text)  # refuses what would unfold without end when the library reads it
            card = ModelCard(text, ignore_metadata_errors=True)
            return card.data.to_dict(), card.text
        except Exception as error:  # whatever its YAML makes of the libraries: a page needs no card
            raise UnavailableError("The card of the weights {name!r} cannot be read.", name=name) from error

    # --- the lock ---------------------------------------------------------------------------------

    @property
    def lock_path(self) -> Path:
        return self.root / lock.FILE

    def locked(self) -> dict[str, Locked]:
        """The lock, read again when it changed. Raises UnavailableError when it is damaged."""
        try:
            stat = self.lock_path.stat()
            stamp = (stat.st_mtime_ns, stat.st_size)
        except OSError:
            stamp = (0, 0)
        with self._lock:
            if self._locked[0] != stamp:
                self._locked = (stamp, lock.read(self.lock_path))
            return self._locked[1]

    def files(self, name: str) -> dict[str, Path]:
        """The files these weights are read from, and where they are. Raises UnavailableError."""
        return formats.files_of(self._path(name)[0], repr(name))

    # --- private ----------------------------------------------------------------------------------

    def _path(self, name: str) -> tuple[Path, str]:
        """The folder, and its commit on the Hub."""
        source = self.source(name)
        if isinstance(source, Local):
            return source.path, ""
        if isinstance(source, Bundled):
            return self.root / source.folder, ""
        snapshot = self.snapshots.local(source, self.locked().get(name))
        if snapshot is None:
            raise UnavailableError("{name} is not on this machine yet. {how}", name=name, how=self._how(source))
        return snapshot.folder, snapshot.entry.commit

    def _how(self, source: HubSource) -> Sentence:
        fetching = self.snapshots.fetching(source)
        if fetching:
            text, size = "It is being downloaded: {percent} % of {size:.0f} MB.", fetching.total / 1e6
            return sentence(text, percent=fetching.percent, size=size)
        if self.snapshots.offline:
            return sentence(OFFLINE)
        return sentence("It is downloaded on first use, or now: python -m hub pull")

    def _read(
        self, name: str, path: Path, files: Mapping[str, Path], commit: str, locked: Locked | None
    ) -> WeightsFolder:
        entry = lock.of_files(files, commit)
        self._check(name, entry, locked)
        digest = hashlib.sha256()
        for file, content in entry.files.items():
            digest.update(f"{file}\0{content.sha256}\n".encode())
        config = formats.freeze(formats.config_of(path, repr(name)))
        size = entry.size_bytes
        paths = tuple(files.values())
        return WeightsFolder(name, path, paths, size, digest.hexdigest(), config, commit, locked is not None)

    def _check(self, name: str, entry: Locked, locked: Locked | None) -> None:
        """Compares with the lock or, for a snapshot that nobody locked, with what was fetched."""
        expected, mend = locked, "Restore the files, or if the change is meant: python -m hub lock"
        source = self.source(name)
        if isinstance(source, HubSource):
            snapshot = self.snapshots.local(source, locked)
            expected, mend = locked or (snapshot.entry if snapshot else None), "Fetch it again: python -m hub pull"
        if expected is None:
            return
        readable = {path: file for path, file in expected.files.items() if formats.is_read(path)}
        wrong = lock.differences(entry, Locked(expected.commit, readable))
        if wrong:
            raise UnavailableError(
                "Weights {name!r} are refused: {reason}. {mend}",
                name=name,
                reason="; ".join(wrong[:3]),
                mend=sentence(mend),
            )
