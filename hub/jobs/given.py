"""From the files that a batch was given to its list of pictures, with what is true of each where that came along."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from hub.errors import InputError, TooLargeError
from hub.files import decode_text
from hub.jobs.jobs import Given
from hub.jobs.zips import MAGIC, ZipReader, is_left_out, list_members, tidy_name

TRUTHS = ("auto", "folders", "none")  # where it is known from what is true of a picture
LABELS = "labels.csv"
LABELS_BYTES, TRUTH_CHARS = 16 * 2**20, 200
FILE_COLUMNS = ("file", "image", "picture", "filename", "name", "path")
TRUTH_COLUMNS = ("label", "truth", "class", "tags", "answer", "age", "value", "target")
Labels = Mapping[str, str]


def list_pictures(folder: Path, files: Iterable[tuple[str, str, bytes]], most: int, truth: str) -> list[Given]:
    """Each file as (its name, where it is in `folder`, its first bytes); ZIP files are what is in them.

    Truths come from a `labels.csv` among the files, else as `truth` says: "folders" is the folder that a picture lies
    in; "auto" the same where there are several folders, and none where there is one. Raises InputError.
    """
    if truth not in TRUTHS:
        raise InputError("truth must be auto, folders or none, got {given!r}.", given=truth[:40], field="truth")
    entries: list[tuple[str, str]] = []
    labels: dict[str, str] | None = None
    for name, file, head in files:
        if head.startswith((MAGIC, b"PK\x05\x06")):
            members = list_members(folder / file, most)
            opened = ZipReader(folder / file)
            try:
                for member in members:
                    if _is_labels(member.name):
                        labels = (labels or {}) | read_labels(opened.read(member.index, LABELS_BYTES))
                    else:
                        entries.append((member.name, f"{file}#{member.index}"))
            finally:
                opened.close()
        elif _is_labels(name):
            labels = (labels or {}) | read_labels((folder / file).read_bytes()[: LABELS_BYTES + 1])
        elif not is_left_out(name):
            entries.append((tidy_name(name), file))
        if len(entries) > most:
            raise TooLargeError("A batch has at most {most:,} pictures. Send them in parts.", most=most, field="files")
    known = truths([name for name, _ in entries], labels, truth)
    return [Given(name, file, one) for (name, file), one in zip(entries, known, strict=True)]


def truths(names: list[str], labels: Labels | None, truth: str) -> list[str]:
    """What is true of each picture; empty where that is not known."""
    if labels is not None:
        return [_find(labels, name) for name in names]
    folders = [PurePosixPath(name).parent.name for name in names]
    if truth == "none" or (truth == "auto" and len({*filter(None, folders)}) < 2):
        return [""] * len(names)
    return [folder[:TRUTH_CHARS] for folder in folders]


def read_labels(data: bytes) -> dict[str, str]:
    """Truths by file, from a CSV with a column for each. Raises InputError."""
    if len(data) > LABELS_BYTES:
        raise TooLargeError("labels.csv has more than {most} MB.", most=LABELS_BYTES // 2**20, field="files")
    try:
        reader = csv.reader(io.StringIO(decode_text(data)))
        head = [name.strip().lower() for name in next(reader, [])]
        of_file, of_truth = _column(head, FILE_COLUMNS, 0), _column(head, TRUTH_COLUMNS, 1)
        rows = [row for row in reader if len(row) > max(of_file, of_truth)]
    except (ValueError, csv.Error) as error:
        raise InputError("labels.csv cannot be read: {reason}.", reason=str(error)[:200], field="files") from None
    if not rows:
        raise InputError("labels.csv needs two columns, such as file,label, and a row a picture.", field="files")
    return {tidy_name(row[of_file].strip()): row[of_truth].strip()[:TRUTH_CHARS] for row in rows}


def _column(head: list[str], names: tuple[str, ...], usual: int) -> int:
    return next((head.index(name) for name in names if name in head), usual)


def _is_labels(name: str) -> bool:
    return PurePosixPath(name.replace("\\", "/")).name.lower() == LABELS


def _find(labels: Labels, name: str) -> str:
    """By the whole path, else by its end: a ZIP may have a folder around what the table names."""
    path = PurePosixPath(name)
    for first in range(len(path.parts)):
        if (end := "/".join(path.parts[first:])) in labels:
            return labels[end]
    return labels.get(path.stem, "")
