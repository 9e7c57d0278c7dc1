"""The folder of one grid: its plan, a file per picture, and a manifest with a line per cell.

A picture is written whole under another name, then renamed; its manifest line follows. So a kill leaves at most a
picture without a line, and that one says itself what it is: nothing is drawn twice, nothing is lost.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from hub.archive.manifest import FILE, LINE_BYTES, read_cell
from hub.archive.pictures import MANIFEST
from hub.batch import plan as plans
from hub.batch.plan import Plan
from hub.batch.stamps import record_of, with_record
from hub.errors import ConflictError, HubError, NotFoundError, UnavailableError
from hub.files import parse_json, write_atomic
from hub.results.result import Picture

log = logging.getLogger(__name__)
PLAN, PICTURES = "run.json", "pictures"

LOST = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}  # no other file could be written either

CELL_CHARS = 32  # of a cell's name

Record = dict[str, Any]  # one line of the manifest


class RunFolder:
    """Where one grid's pictures are. Any number of processes may write into it."""

    def __init__(self, path: Path):
        self.path = path

    @classmethod
    def create(cls, root: Path, plan: Plan) -> RunFolder:
        """A new folder `root/<run>` with its plan. Raises ConflictError when there is one, UnavailableError."""
        folder = cls(root / plan.run)
        try:
            folder.path.mkdir(parents=True)
            try:
                (folder.path / PICTURES).mkdir()
                folder._write(folder.path / PLAN, plan.to_json().encode())
            except OSError:  # else the name would be taken by a run that nobody can go on with
                shutil.rmtree(folder.path, ignore_errors=True)
                raise
        except FileExistsError:
            raise ConflictError(
                "There is a run {run!r} in {root}; go on with it: --resume {run}.", run=plan.run, root=root
            ) from None
        except OSError as error:
            raise UnavailableError(
                "{path} cannot be written: {reason}.", path=folder.path, reason=error.strerror
            ) from None
        return folder

    @classmethod
    def open(cls, root: Path, run: str) -> tuple[RunFolder, Plan]:
        """An earlier run's folder and plan. Raises NotFoundError that lists the runs there are."""
        folder = cls(root / plans.run_name(run))
        try:
            return folder, plans.read((folder.path / PLAN).read_text(encoding="utf-8"))
        except FileNotFoundError:
            runs = ", ".join(sorted((p.parent.name for p in root.glob(f"*/{PLAN}")), reverse=True)[:8]) or "none"
            raise NotFoundError(
                "There is no run {run!r} in {root}. There is: {known}.", run=run, root=root, known=runs
            ) from None
        except (OSError, ValueError) as error:
            raise UnavailableError(
                "The plan {path} cannot be read: {reason}", path=folder.path / PLAN, reason=error
            ) from None

    def hold(self) -> FileLock:
        """Taken while a command draws into the folder. Raises ConflictError when another one does."""
        lock = FileLock(self.path / ".drawing.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise ConflictError("Another command is drawing {name!r} at this moment.", name=self.path.name) from None
        return lock

    # --- writing ----------------------------------------------------------------------------------

    def keep(self, record: Mapping[str, Any], capsule: Mapping[str, Any], pictures: Sequence[Picture]) -> Record:
        """Writes a cell's pictures, with `capsule` in them, then its line, which it returns.

        Raises UnavailableError where no other cell would fare better, HubError where one file cannot be written.
        """
        entries = [{"file": f"{PICTURES}/{record['cell'][:2]}/{record['cell']}{f'-{n}' if n else ''}.png",
                  "width": picture.width, "height": picture.height, "caption": picture.caption}
                 for n, picture in enumerate(pictures)]  # fmt: skip
        full = {**record, "pictures": entries}
        try:
            for number, (entry, picture) in enumerate(zip(entries, pictures, strict=True)):
                self._write(self.path / str(entry["file"]), with_record(picture, capsule, number, full))
        except OSError as error:
            raise self._write_error(error, HubError) from None
        self._append(full)
        return full

    def adopt(self, record: Record, files: Mapping[str, bytes]) -> None:
        """Writes a cell that was drawn elsewhere, with its files by name. Raises HubError."""
        try:
            for entry in record["pictures"]:
                if not FILE.fullmatch(entry["file"]) or entry["file"] not in files:
                    raise NotFoundError("The picture {name!r} was not brought along.", name=entry["file"][:80])
                self._write(self.path / entry["file"], files[entry["file"]])
        except OSError as error:
            raise self._write_error(error, HubError) from None
        self._append(record)

    def _write_error(self, error: OSError, kind: type[HubError]) -> HubError:
        kind = UnavailableError if error.errno in LOST else kind
        path, reason = error.filename2 or error.filename or self.path, error.strerror
        return kind("{path} cannot be written: {reason}.", path=path, reason=reason)

    def _write(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(exist_ok=True)
        write_atomic(path, data)

    def _append(self, record: Record) -> None:
        line = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
        try:
            with FileLock(self.path / ".manifest.lock"), (self.path / MANIFEST).open("a+b") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
                torn = file.read(1) not in (b"", b"\n")  # a line that a power cut left half written
                file.write(b"\n" * torn + line)
        except OSError as error:
            raise self._write_error(error, UnavailableError) from None

    # --- reading ----------------------------------------------------------------------------------

    def records(self) -> Iterator[Record]:
        """The manifest's lines, in the order they were written; a cell that was drawn again has two."""
        with suppress(FileNotFoundError), (self.path / MANIFEST).open("rb") as file:
            while line := file.readline(LINE_BYTES + 1):
                if read_cell(line) is not None:
                    yield parse_json(line)

    def find_records(self, cells: Container[str]) -> dict[str, Record]:
        """The record of each cell whose pictures are all here. Those of `cells` that lack their line get it now.

        So nobody else may be drawing `cells`.
        """
        here = self._files()
        records = {r["cell"]: r for r in self.records() if all(p["file"] in here for p in r["pictures"])}
        files = {entry["file"] for record in records.values() for entry in record["pictures"]}
        for file in sorted(file for file in here - files if Path(file).name[:CELL_CHARS] in cells):
            record, number = record_of((self.path / file).read_bytes()) or ({"pictures": []}, -1)
            if number == 0 and all(p["file"] in here for p in record["pictures"]):
                self._append(record)
                records[record["cell"]] = record
        return records

    def _files(self) -> set[str]:
        folder = self.path / PICTURES
        return {f"{PICTURES}/{p.parent.name}/{p.name}" for p in folder.glob("??/[0-9a-f]*.png")}
