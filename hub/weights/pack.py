"""One archive with everything a machine without internet needs, and back again.

A plain tar: first `demo-hub-pack.json` (size and sha256 of every other member), then `weights/` (bundled folders and
the lock), `hub/` (snapshots from the Hub) and, if wanted, `wheels/`. Only files named in that list, with the bytes it
says, are ever written, and only inside the folders they are meant for.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from hub.errors import InputError, UnavailableError
from hub.files import parse_json, replacing
from hub.weights import formats, lock, remote
from hub.weights.lock import LockedFile
from hub.weights.sources import HubSource, Local
from hub.weights.store import WeightsStore

LIST = "demo-hub-pack.json"
VERSION = 1
LONGEST_LIST = 2**24  # bytes of demo-hub-pack.json
MERGED = ("lock.json", "refs.json")  # what is known here stays known
PIECE = 2**20


@dataclass(frozen=True, slots=True)
class Packed:
    """What was packed or restored: number of files and their bytes."""

    files: int
    bytes: int


def pack(store: WeightsStore, names: Iterable[str], out: Path, wheels: Path | None = None) -> Packed:
    """Writes `out` with these weights, checked against the lock first. Raises HubError."""
    members = dict(_members(store, names))
    if wheels is not None:
        paths = sorted(wheels.glob("*.whl"))
        if not paths:
            raise InputError(
                "--wheels {wheels} holds no .whl file. Fill it: pip download -r requirements.txt -d {wheels}",
                wheels=wheels,
            )
        members |= {f"wheels/{path.name}": path for path in paths}
    entries = {name: LockedFile(path.stat().st_size, lock.sha256(path)) for name, path in members.items()}
    data = json.dumps({"version": VERSION, **lock.Locked("", entries).to_json()}, indent=1).encode()
    with _disk(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with replacing(out) as file, tarfile.open(fileobj=file, mode="w") as archive:
            _add(archive, LIST, len(data), io.BytesIO(data))
            for name, path in members.items():
                with path.open("rb") as stream:
                    _add(archive, name, entries[name].size, stream)
    return Packed(len(members), sum(file.size for file in entries.values()))


def _members(store: WeightsStore, names: Iterable[str]) -> Iterator[tuple[str, Path]]:
    for name in names:
        source = store.source(name)
        if isinstance(source, Local):
            continue  # a folder of this machine's own; --weights would not find it on the other
        folder = store.find(name)  # compares it with the lock
        if isinstance(source, HubSource):
            for path in store.snapshots.files(source, store.locked().get(name)):
                yield f"hub/{path.relative_to(store.snapshots.root).as_posix()}", path
            continue
        card = folder.path / "README.md"
        for path in (*folder.files, *([card] if card.is_file() else [])):
            yield f"weights/{name}/{path.relative_to(folder.path).as_posix()}", path
    if store.lock_path.is_file():
        yield f"weights/{lock.FILE}", store.lock_path


def _add(archive: tarfile.TarFile, name: str, size: int, stream: IO[bytes]) -> None:
    """A member without time or owner: the same content gives the same archive."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    archive.addfile(info, stream)


# --- unpack ---------------------------------------------------------------------------------------


def unpack(archive: Path, folders: Mapping[str, Path], *, force: bool = False) -> Packed:
    """Restores an archive into `folders` (by `weights`, `hub`, `wheels`). All of it is checked before any is moved.

    A file that is here with other bytes is left alone, and told, unless `force`. Raises HubError.
    """
    for folder in folders.values():
        with _disk(folder):
            folder.mkdir(parents=True, exist_ok=True)
    with _disk(archive), tempfile.TemporaryDirectory(dir=folders["hub"], prefix=".unpack-") as name:
        staged = _extract(archive, Path(name))
        places = {member: _place(member, folders) for member in staged}
        if not force:
            _refuse_other_files(staged, places)
        for member, path in staged.items():
            _move_in(path, places[member])
        return Packed(len(staged), sum(place.stat().st_size for place in places.values()))


def _extract(archive: Path, into: Path) -> dict[str, Path]:
    """Members by name, as files under numbers: no name of the archive is used as a path yet."""
    staged: dict[str, Path] = {}
    try:
        with tarfile.open(archive, "r:") as members:
            first = members.next()
            if first is None or first.name != LIST or not first.isreg() or first.size > LONGEST_LIST:
                raise InputError(
                    "{archive} was not written by `python -m hub pack`: {list} must come first.",
                    archive=archive,
                    list=LIST,
                )
            expected = _read_list(archive, members.extractfile(first))
            for info in members:
                if info.name == LIST:
                    continue
                stream = members.extractfile(info) if info.isreg() else None
                if stream is None or info.name not in expected or info.name in staged:
                    raise InputError(
                        "{archive} holds {name!r}, which is not a file of its list. It is refused.",
                        archive=archive,
                        name=info.name,
                    )
                path = staged[info.name] = into / str(len(staged))
                _copy(archive, info.name, stream, path, expected[info.name])
    except (tarfile.TarError, EOFError) as error:
        raise InputError(
            "{archive} is not a whole tar archive ({reason}). Copy it again.", archive=archive, reason=error
        ) from None
    missing = sorted(set(expected) - set(staged))
    if missing:
        raise InputError("{archive} ends before {file}. Copy it again.", archive=archive, file=missing[0])
    return staged


def _read_list(archive: Path, stream: IO[bytes] | None) -> Mapping[str, LockedFile]:
    try:
        data: Any = parse_json(stream.read()) if stream else None
    except ValueError as error:
        raise InputError(
            "{archive}: {list} is not valid JSON: {reason}.", archive=archive, list=LIST, reason=error
        ) from None
    if not isinstance(data, dict) or data.get("version") != VERSION:
        raise InputError(
            "{archive} is of another version; this hub reads version {version}. Pack it anew.",
            archive=archive,
            version=VERSION,
        )
    files = lock.entry_from_json(data, str(archive)).files
    for name in files:
        top, _, rest = name.partition("/")
        is_weights = rest.endswith(".whl") if top == "wheels" else formats.is_read(rest) or rest.endswith("README.md")
        if top not in ("weights", "hub", "wheels") or not rest or not is_weights:
            raise InputError(
                "{archive} lists {name!r}, which is no file of weights. It is refused.", archive=archive, name=name
            )
    return files


def _copy(archive: Path, name: str, stream: IO[bytes], to: Path, expected: LockedFile) -> None:
    digest, size = hashlib.sha256(), 0
    with to.open("wb") as out:
        while piece := stream.read(PIECE):
            digest.update(piece)
            size += len(piece)
            out.write(piece)
    if (size, digest.hexdigest()) != (expected.size, expected.sha256):
        raise InputError(
            "{archive}: {name} is damaged (sha256 {digest}). Copy the archive again.",
            archive=archive,
            name=name,
            digest=digest.hexdigest()[:12],
        )


def _place(member: str, folders: Mapping[str, Path]) -> Path:
    top, _, rest = member.partition("/")
    root = folders[top].resolve()
    place = root / rest
    if not place.parent.resolve().is_relative_to(root):  # a link that lies here already may lead out
        raise InputError(
            "{member} would be written to {place}, outside of {root}. It is refused.",
            member=member,
            place=place.parent.resolve(),
            root=root,
        )
    return place


def _refuse_other_files(staged: Mapping[str, Path], places: Mapping[str, Path]) -> None:
    for member, path in staged.items():
        place = places[member]
        if place.name in MERGED and place.is_file():
            merged = _merged(place, path)
            current = _flat(parse_json(place.read_text(encoding="utf-8")))
            differing = [key for key, value in current.items() if _flat(merged).get(key) != value]
            if differing:
                raise InputError(
                    "{place} has another entry for {name}. --force takes that of the archive.",
                    place=place,
                    name=differing[0],
                )
        elif place.is_file() and lock.sha256(place) != lock.sha256(path):
            raise InputError("{place} is here already, with other content. --force overwrites it.", place=place)


def _move_in(path: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.name in MERGED and place.is_file():
        lock.write_json(place, _merged(place, path))
        return
    beside = place.with_name(f".{place.name}.unpacked")
    shutil.move(path, beside)  # weights and data may be on other disks than the archive was staged on
    beside.chmod(0o644)
    beside.replace(place)


def _merged(place: Path, path: Path) -> dict[str, Any]:
    """What is known here with what the archive knows, which wins."""
    here, there = (parse_json(one.read_text(encoding="utf-8")) for one in (place, path))
    if place.name == lock.FILE:
        return {**there, "sources": {**here.get("sources", {}), **there["sources"]}}
    return {**here, **there}


def _flat(data: dict[str, Any]) -> dict[str, Any]:
    sources = data.get("sources")
    return sources if isinstance(sources, dict) else data


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UnavailableError("{path}: {reason}", path=path, reason=remote.disk_trouble(error)) from None
