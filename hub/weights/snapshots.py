"""Repositories of the Hub on this disk: `<hub folder>/<owner>--<name>/<commit>/`, fetched once, whatever happens.

Beside a snapshot lies `<commit>.json`, its entry as in the lock; it is written last, so a snapshot that has one is
complete. `refs.json` remembers which commit a branch or tag was. Reading needs no right to write.
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from hub.errors import UnavailableError
from hub.files import parse_json
from hub.weights import formats, lock, remote
from hub.weights.lock import Locked, LockedFile
from hub.weights.remote import Listing, RemoteFile
from hub.weights.sources import HubSource

log = logging.getLogger(__name__)

OnBytes = Callable[[str, int, int], None]  # file, bytes so far of all files, bytes of all files
OFFLINE = "The hub is offline. Where there is internet: python -m hub pull, or bring it with pack and unpack."
SPARE_BYTES = 64 * 2**20  # left free on the disk
LOCK_TIMEOUT_S = 3600.0  # another process may be fetching the same gigabytes
REMEMBER_FAILURE_S = 15.0  # so that a hundred visitors do not ask the Hub a hundred times


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A commit that is complete on this disk."""

    folder: Path
    entry: Locked


@dataclass(frozen=True, slots=True)
class Fetching:
    """A download on its way, in bytes."""

    done: int
    total: int

    @property
    def percent(self) -> int:
        return int(100 * self.done / self.total) if self.total else 0


class Snapshots:
    """Finds and fetches snapshots. One per process is usual; several, also in other processes, do no harm."""

    def __init__(self, root: Path, *, offline: bool = False):
        self.root, self.offline = root, offline
        self._lock = threading.Lock()  # guards the dicts below; taken last, never held while anything is fetched
        self._fetching: dict[str, Fetching] = {}
        self._failed: dict[str, tuple[float, UnavailableError]] = {}
        self._notices: dict[str, str] = {}
        self._looked_up: set[str] = set()  # addresses whose branch was looked up by this process

    # --- what is here -----------------------------------------------------------------------------

    def local(self, source: HubSource, locked: Locked | None = None) -> Snapshot | None:
        """The complete snapshot of the locked commit, or else of the commit last seen. Asks nobody."""
        commit = locked.commit if locked else self._ref(source)
        if not commit:
            return None
        manifest = self._manifest(source, commit)
        if not manifest.is_file():
            return None
        try:
            data = parse_json(manifest.read_text(encoding="utf-8"))
            entry = lock.entry_from_json(data, str(manifest))
        except (OSError, ValueError, UnavailableError):
            return None  # fetched again, which reuses the files that are right
        folder = self._folder(source, commit) / source.folder
        if not all((folder / path).is_file() for path in entry.files):
            return None
        return Snapshot(folder, entry)

    def files(self, source: HubSource, locked: Locked | None = None) -> list[Path]:
        """All files of a complete snapshot, and what makes it known: its entry, the refs. Raises UnavailableError."""
        here = self.local(source, locked)
        if here is None:
            raise UnavailableError(
                "{address} is not on this machine. Fetch it: python -m hub pull", address=source.address
            )
        records = self.records(source, here.entry.commit)
        return [here.folder / name for name in here.entry.files] + [path for path in records if path.is_file()]

    def records(self, source: HubSource, commit: str) -> list[Path]:
        """What makes a snapshot known, there or not: its entry, and which commit a branch has."""
        return [self._manifest(source, commit), self._refs(source)]

    def fetching(self, source: HubSource) -> Fetching | None:
        with self._lock:
            return self._fetching.get(source.address)

    def trouble(self, source: HubSource) -> str:
        """Why the last attempt failed; that the hub is offline, where it is; else empty."""
        if self.offline:
            return f"{source.address} is not on this machine. {OFFLINE}"
        with self._lock:
            return self._failed[source.address][1].message if source.address in self._failed else ""

    def notices(self) -> tuple[str, ...]:
        """What people should know: a copy used because the Hub did not answer, a branch that moved."""
        with self._lock:
            return tuple(self._notices.values())

    def _ref(self, source: HubSource) -> str:
        if source.is_commit and not source.lora and self._manifest(source, source.revision).is_file():
            return source.revision
        try:
            return str(parse_json(self._refs(source).read_text(encoding="utf-8")).get(source.reference, ""))
        except (OSError, ValueError, AttributeError):
            return ""

    def _refs(self, source: HubSource) -> Path:
        return self.root / source.repo.replace("/", "--") / "refs.json"

    def folder_of(self, source: HubSource, commit: str) -> Path:
        """Where the files of a source's commit are, as far as they were fetched."""
        return self._folder(source, commit) / source.folder

    def _folder(self, source: HubSource, commit: str) -> Path:
        return self.root / source.repo.replace("/", "--") / commit

    def _manifest(self, source: HubSource, commit: str) -> Path:
        suffix = f"--{source.folder.replace('/', '--')}" if source.folder else ""
        return self._folder(source, commit).with_name(f"{commit}{suffix}.json")

    # --- fetching ---------------------------------------------------------------------------------

    def get(self, source: HubSource, locked: Locked | None = None, on_bytes: OnBytes | None = None) -> Snapshot:
        """The snapshot, fetched if it is not here. Raises UnavailableError.

        A locked source is fetched at its commit, exactly the files of the lock. Another is looked up once per
        process, so a branch that moved is seen at the next start; without a Hub the copy that is here serves.
        """
        address = source.address
        here = self.local(source, locked)
        if here and self.is_looked_up(source, locked):
            return here
        if self.offline:
            raise UnavailableError("{address} is not on this machine. {offline}", address=address, offline=OFFLINE)
        self._raise_if_just_failed(address)
        try:
            return self._fetch(source, locked, here, on_bytes)
        except UnavailableError as error:
            if here:
                self._note(address, f"{error.message} Using the copy kept here of commit {here.entry.commit[:12]}.")
                return here
            with self._lock:
                self._failed[address] = (monotonic(), error)
            raise

    def is_looked_up(self, source: HubSource, locked: Locked | None = None) -> bool:
        """Whether a copy that is here serves without asking the Hub for a newer one."""
        return bool(locked or self.offline or source.address in self._looked_up or source.is_commit)

    def _raise_if_just_failed(self, address: str) -> None:
        with self._lock:
            at, error = self._failed.get(address, (0.0, None))
        if error and monotonic() - at < REMEMBER_FAILURE_S:
            raise type(error)(error.message)

    def _note(self, address: str, text: str) -> None:
        log.warning("%s", text)
        with self._lock:
            self._notices[address] = text
            self._looked_up.add(address)

    def _fetch(
        self, source: HubSource, locked: Locked | None, here: Snapshot | None, on_bytes: OnBytes | None
    ) -> Snapshot:
        with _alone(source, self._refs(source).with_name(".fetching")):
            present = self.local(source, locked)
            with self._lock:
                if present and (locked or source.address in self._looked_up):
                    return present  # another thread or process fetched it meanwhile
            listing = remote.listing(source, locked.commit if locked else "", hasty=present is not None)
            files = expected(source, listing, locked)
            if present is None or present.entry.commit != listing.commit:
                self._download(source, listing.commit, files, on_bytes or (lambda file, done, total: None))
            if not locked:
                self._remember(source, listing.commit)
            with self._lock:  # before the next one comes in, who would ask the Hub again
                self._looked_up.add(source.address)
                self._failed.pop(source.address, None)
        if not locked and here and here.entry.commit != listing.commit:
            self._note(
                source.address,
                f"{source.address} moved from commit {here.entry.commit[:12]} to {listing.commit[:12]}, which is used. "
                "To stay with one commit: python -m hub lock",
            )
        snapshot = self.local(source, locked)
        if snapshot is None:
            raise UnavailableError(
                "{address} was fetched, but is not complete. Try again: python -m hub pull", address=source.address
            )
        return snapshot

    def fetch_lora(self, source: HubSource, commit: str) -> Path:
        """The file of the LoRA that goes with a source, at both commits. Raises UnavailableError."""
        files = expected(source, remote.listing(source, commit))
        file = next(file for name, file in files.items() if name.startswith(f"{remote.LORA}/"))
        to = self._folder(source, commit) / file.path
        with _alone(source, self._refs(source).with_name(".fetching")):
            self._one(source, commit, file, to, lambda path, bytes: None)
        return to

    def drop_wrong(self, source: HubSource, locked: Locked | None = None) -> list[str]:
        """Removes files of the snapshot that are not what was locked or fetched, so that `get` fetches them again.

        Returns what was wrong. Raises UnavailableError.
        """
        here = self.local(source, locked)
        if here is None or self.offline:
            return []
        paths = {name: here.folder / name for name in here.entry.files}
        with remote.client_errors(source):
            wrong = lock.differences(lock.of_files(paths), locked or here.entry)
            for name, path in paths.items():
                if any(text.startswith(f"{name} ") for text in wrong):
                    path.unlink()
            if wrong:
                self._manifest(source, here.entry.commit).unlink()
        return wrong

    def resolve(self, source: HubSource) -> Locked:
        """The entry for the revision as it is on the Hub now. Fetches only what the Hub has no sha256 of: small files.

        Raises UnavailableError.
        """
        if self.offline:
            raise UnavailableError("{address} cannot be looked up: the hub is offline.", address=source.address)
        with _alone(source, self._refs(source).with_name(".fetching")):
            listing = remote.listing(source)
            entries = {}
            for name, file in expected(source, listing).items():
                to = self._folder(source, listing.commit) / file.path
                digest = file.sha256 or self._one(source, listing.commit, file, to, lambda path, bytes: None)
                entries[name] = LockedFile(file.size, digest)
        return Locked(listing.commit, entries)

    def _download(self, source: HubSource, commit: str, files: Mapping[str, RemoteFile], on_bytes: OnBytes) -> None:
        folder, total = self._folder(source, commit), sum(f.size for f in files.values())
        sizes: dict[str, int] = {}

        def tell(file: str, bytes: int) -> None:
            sizes[file] = bytes
            with self._lock:
                self._fetching[source.address] = Fetching(sum(sizes.values()), total)
            on_bytes(file, sum(sizes.values()), total)

        try:
            self._make_room(source, folder, files)
            entries = {}
            for name, file in files.items():
                tell(file.path, 0)
                digest = self._one(source, commit, file, folder / file.path, tell)
                tell(file.path, file.size)
                entries[name] = LockedFile(file.size, digest)
            with remote.client_errors(source):
                lock.write_json(self._manifest(source, commit), Locked(commit, entries).to_json())
        finally:
            with self._lock:
                self._fetching.pop(source.address, None)

    def _one(self, source: HubSource, commit: str, file: RemoteFile, to: Path, tell: Callable[[str, int], None]) -> str:
        """Fetches a file unless the right one is here already; returns its sha256."""
        if to.is_file() and to.stat().st_size == file.size:
            digest = lock.sha256(to)
            if remote.is_right(to, digest, file):
                return digest
        if digest := self._linked(source, commit, file, to):
            return digest
        cached = remote.from_cache(source, commit, file, to)
        return cached or remote.download(source, commit, file, to, lambda bytes: tell(file.path, bytes))

    def _linked(self, source: HubSource, commit: str, file: RemoteFile, to: Path) -> str:
        """The file as it is without the LoRA: gigabytes are not fetched twice. Empty: it is not there."""
        there = self._folder(source, commit.partition("+")[0]) / file.path
        if source.lora is None or not there.is_file() or there.stat().st_size != file.size:
            return ""
        digest = lock.sha256(there)
        if not remote.is_right(there, digest, file):
            return ""
        with remote.client_errors(source, file.path):
            to.parent.mkdir(parents=True, exist_ok=True)
            to.unlink(missing_ok=True)
            try:
                to.hardlink_to(there)
            except OSError:  # not on every disk
                shutil.copyfile(there, to)
        return digest

    def _make_room(self, source: HubSource, folder: Path, files: Mapping[str, RemoteFile]) -> None:
        missing = 0
        for file in files.values():
            path = folder / file.path
            part = path.with_name(f"{path.name}.part")
            have = path.stat().st_size if path.is_file() else part.stat().st_size if part.is_file() else 0
            missing += max(0, file.size - have)
        free = shutil.disk_usage(self.root).free
        if missing + SPARE_BYTES > free:
            raise UnavailableError(
                "{address} needs {more:.0f} MB more, and {root} has {free:.0f} MB free. Make room, or choose another "
                "place with --hub-folder.",
                address=source.address,
                more=missing / 1e6,
                root=self.root,
                free=free / 1e6,
            )

    def _remember(self, source: HubSource, commit: str) -> None:
        refs = self._refs(source)
        try:
            refs_by_name = parse_json(refs.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            refs_by_name = {}
        if not isinstance(refs_by_name, dict):
            refs_by_name = {}
        if refs_by_name.get(source.reference) != commit:
            with remote.client_errors(source):
                lock.write_json(refs, {**refs_by_name, source.reference: commit})


def expected(source: HubSource, listing: Listing, locked: Locked | None = None) -> dict[str, RemoteFile]:
    """The files to fetch, by path in the source's folder: those of the lock, or those a model of this format reads.

    Raises UnavailableError.
    """
    prefix = f"{source.folder}/" if source.folder else ""
    inside = {f.path.removeprefix(prefix): f for f in listing.files if f.path.startswith(prefix)}
    if locked is None:
        names = formats.files_to_fetch(list(inside), source.address)
        for name in names:
            lock.check_path(name, source.address)
        return {name: inside[name] for name in names}
    return {name: _locked_file(source, name, file, inside) for name, file in locked.files.items()}


def _locked_file(source: HubSource, name: str, file: LockedFile, inside: Mapping[str, RemoteFile]) -> RemoteFile:
    there = inside.get(name)
    if there is None or there.size != file.size or (there.sha256 and there.sha256 != file.sha256):
        what = "is gone" if there is None else "is another file"
        raise UnavailableError(
            "{address}: {name} {what} at the locked commit. What the Hub serves is not what was locked; if that "
            "is meant: python -m hub lock",
            address=source.address,
            name=name,
            what=what,
        )
    return RemoteFile(there.path, file.size, file.sha256, there.blob_id)


@contextmanager
def _alone(source: HubSource, path: Path) -> Iterator[None]:
    """One thread of one process fetches a repository; the others wait, then find it done."""
    from filelock import FileLock, Timeout

    alone = FileLock(path, timeout=LOCK_TIMEOUT_S)
    with remote.client_errors(source):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            alone.acquire()
        except Timeout:
            raise UnavailableError(
                "Another process has been fetching {address} for an hour. Wait for it, or stop it.",
                address=source.address,
            ) from None
    try:
        yield
    finally:
        alone.release()
