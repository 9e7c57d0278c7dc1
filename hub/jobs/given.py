"""From the files that a batch was given to its list of pictures, with what is true of each where that came along."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from hub.errors import InputError, TooLargeError
from hub.files import decode_text
from hub.jobs.jobs import Given
from hub.jobs.zips import MAGIC, ZipReader, is_left_out, list_members, tidy_name

TRUTHS = ("auto", "folders", "none")  # where it is known from what is true of a picture
LABELS = "labels.csv"
LABELS_BYTES, TRUTH_CHARS = 16 * 2**20, 200
FILE_COLUMNS = ("file", "image", "picture", "filename", "name", "path")
TRUTH_COLUMNS = ("label", "truth", "class", "tags", "answer", "age", "value", "target", "mask")
POINTS_MOST, BOXES_MOST = 200, 1000
CORNERS = (("x0", "y0", "x1", "y1"), ("xmin", "ymin", "xmax", "ymax"), ("x_min", "y_min", "x_max", "y_max"))
MASK_FOLDERS = ("masks", "mask", "annotations", "truth")
PICTURE_FOLDER = "images"  # how the folder is called that has the pictures of a folder `masks` with folders in it
MASK_ENDS = ("_mask", "-mask", "_l", "_labelids")


@dataclass(frozen=True, slots=True)
class Truth:
    """What is true of a picture, in words; `against` where it is more than words: see `Given`."""

    words: str = ""
    against: str = ""


Labels = Mapping[str, Truth]
Entry = tuple[str, str]  # a picture's name, and where it is


def list_pictures(
    folder: Path, files: Iterable[tuple[str, str, bytes]], most: int, truth: str, *, masks: bool = False,
    labels: Labels | None = None,
) -> list[Given]:  # fmt: skip
    """Each file as (its name, where it is in `folder`, its first bytes); ZIP files are what is in them.

    Truths are `labels`, or come from a `labels.csv` among the files, else as `truth` says: "folders" is the folder that
    a picture lies in; "auto" the same where there are several folders, and none where there is one. `masks`: the page
    gives every pixel a class, and files beside the pictures may be true masks. Raises InputError.
    """
    if truth not in TRUTHS:
        raise InputError("truth must be auto, folders or none, got {given!r}.", given=truth[:40], field="truth")
    entries: list[Entry] = []
    for name, file, head in files:
        if head.startswith((MAGIC, b"PK\x05\x06")):
            members = list_members(folder / file, most)
            opened = ZipReader(folder / file)
            try:
                for member in members:
                    if _is_labels(member.name):
                        labels = {**(labels or {}), **read_labels(opened.read(member.index, LABELS_BYTES))}
                    else:
                        entries.append((member.name, f"{file}#{member.index}"))
            finally:
                opened.close()
        elif _is_labels(name):
            labels = {**(labels or {}), **read_labels((folder / file).read_bytes()[: LABELS_BYTES + 1])}
        elif not is_left_out(name):
            entries.append((tidy_name(name), file))
        if len(entries) > most:
            raise TooLargeError("A batch has at most {most:,} pictures. Send them in parts.", most=most, field="files")
    return with_truths(entries, labels, truth, masks=masks)


def with_truths(entries: Sequence[Entry], labels: Labels | None, truth: str, *, masks: bool) -> list[Given]:
    """The pictures among the entries, with what is true of each; see `list_pictures`."""
    if masks and (paired := _with_masks(entries, labels, truth)):
        return paired
    known = _truths([name for name, _ in entries], labels, truth)
    return [Given(name, file, one.words, one.against) for (name, file), one in zip(entries, known, strict=True)]


def _truths(names: list[str], labels: Labels | None, truth: str) -> list[Truth]:
    """What is true of each picture; empty where that is not known."""
    if labels is not None:
        return [_find(labels, name) for name in names]
    folders = [PurePosixPath(name).parent.name for name in names]
    if truth == "none" or (truth == "auto" and len({*filter(None, folders)}) < 2):
        return [Truth()] * len(names)
    return [Truth(folder[:TRUTH_CHARS]) for folder in folders]


# --- true masks -----------------------------------------------------------------------------------


def _with_masks(entries: Sequence[Entry], labels: Labels | None, truth: str) -> list[Given]:
    """The pictures with the masks that came along, which are no pictures themselves; empty: there are no masks.

    A table names them, or each has its picture's name: in a folder called masks, or one whose name ends so, as in
    `val/1.jpg` and `val_masks/1.png`; below such a folder, as in `images/val/1.jpg` and `masks/val/1.png`; or with an
    end of its own, as in `1.jpg` and `1_mask.png`.
    """
    if labels is not None:
        files = dict(entries)
        named = {name: _find_file(files, _find(labels, name).words) for name, _ in entries}
        masks = {mask for mask in named.values() if mask}
        return [
            Given(name, file, named[name][:TRUTH_CHARS], files.get(named[name], ""))
            for name, file in entries if masks and name not in masks
        ]  # fmt: skip
    by_place, by_stem = dict[Entry, Entry](), dict[str, list[Entry]]()
    for entry in entries if truth != "none" else ():
        if place := _mask_of(PurePosixPath(entry[0])):
            by_place[place] = entry
            by_stem.setdefault(place[1], []).append(entry)
    pictures = []
    for name, file in entries:
        path = PurePosixPath(name)
        if _mask_of(path) is None:
            alike = by_stem.get(path.stem, [])
            mask = by_place.get((str(path.parent), path.stem)) or (alike[0] if len(alike) == 1 else ("", ""))
            pictures.append(Given(name, file, mask[0][:TRUTH_CHARS], mask[1]))
    return pictures if any(one.against for one in pictures) else []


def _mask_of(path: PurePosixPath) -> Entry | None:
    """The folder and the stem of the picture that a file is the mask of, by its name; None: it is none."""
    if path.suffix.lower() != ".png":
        return None
    for end in MASK_ENDS:
        if path.stem.lower().endswith(end) and len(path.stem) > len(end):
            return str(path.parent), path.stem[: -len(end)]
    folder = path.parent.name
    for word in MASK_FOLDERS:
        if folder.lower() == word or folder.lower().endswith(("_" + word, "-" + word)):
            return str(path.parent.with_name(folder[: -len(word)].rstrip("_-") or word)), path.stem
    below = path.parent.parts
    for depth, part in enumerate(below):
        if part.lower() in MASK_FOLDERS:
            return str(PurePosixPath(*below[:depth], PICTURE_FOLDER, *below[depth + 1 :])), path.stem
    return None


def _find_file(files: Mapping[str, str], wanted: str) -> str:
    """The name of a file that a table names: whole, or by its end."""
    if not wanted:
        return ""
    name = tidy_name(wanted)
    if name in files:
        return name
    ends = [other for other in files if other.endswith("/" + name)]
    return ends[0] if len(ends) == 1 else ""


# --- tables ---------------------------------------------------------------------------------------


def read_labels(data: bytes) -> dict[str, Truth]:
    """Truths by file, from a CSV with a column for each, two for a point, or a row for a box. Raises InputError."""
    if len(data) > LABELS_BYTES:
        raise TooLargeError("labels.csv has more than {most} MB.", most=LABELS_BYTES // 2**20, field="files")
    try:
        reader = csv.reader(io.StringIO(decode_text(data)))
        head = [name.strip().lower() for name in next(reader, [])]
        points = {name[:-2]: (at, head.index(f"{name[:-2]}_y")) for at, name in enumerate(head)
                  if name.endswith("_x") and f"{name[:-2]}_y" in head}  # fmt: skip
        corners = next(([head.index(name) for name in four] for four in CORNERS if {*four} <= {*head}), [])
        of_file, of_truth = _column(head, FILE_COLUMNS, 0), _column(head, TRUTH_COLUMNS, 1)
        rows = [row for row in reader if len(row) > max(of_file, of_truth, *corners)]
        if len(points) > POINTS_MOST:
            raise ValueError(f"it has more than {POINTS_MOST} points")
        if corners:
            return _boxes(rows, of_file, of_truth, corners)
        truth_of: Callable[[list[str]], Truth] = partial(_points, points) if points else partial(_words, of_truth)
        labels: dict[str, Truth] = {tidy_name(row[of_file].strip()): truth_of(row) for row in rows}
    except (ValueError, csv.Error) as error:
        raise InputError("labels.csv cannot be read: {reason}.", reason=str(error)[:200], field="files") from None
    if not labels:
        raise InputError("labels.csv needs two columns, such as file,label, and a row a picture.", field="files")
    return labels


def _words(column: int, row: list[str]) -> Truth:
    return Truth(row[column].strip()[:TRUTH_CHARS])


def _points(points: Mapping[str, tuple[int, int]], row: list[str]) -> Truth:
    """The points of one picture, in px from its top left; those that are empty are not known. Raises ValueError."""
    known = {}
    for name, (x, y) in points.items():
        if len(row) > max(x, y) and row[x].strip() and row[y].strip():
            known[name] = [float(row[x]), float(row[y])]
            if not all(map(math.isfinite, known[name])):
                raise ValueError(f"{name} is no place in a picture")
    return Truth(f"{len(known)} points", json.dumps({"points": known})) if known else Truth()


def _boxes(rows: list[list[str]], of_file: int, of_truth: int, corners: Sequence[int]) -> dict[str, Truth]:
    """The boxes of each picture, a row each, in px; a row without corners: it has none. Raises ValueError."""
    boxes: dict[str, list[tuple[str, list[float]]]] = {}
    for row in rows:
        of_picture = boxes.setdefault(tidy_name(row[of_file].strip()), [])
        if any(row[at].strip() for at in corners):
            box = [float(row[at]) for at in corners]
            if not all(map(math.isfinite, box)) or box[0] >= box[2] or box[1] >= box[3]:
                raise ValueError(f"{box} is no box in a picture")
            of_picture.append((row[of_truth].strip()[:TRUTH_CHARS], box))
    if any(len(many) > BOXES_MOST for many in boxes.values()):
        raise ValueError(f"a picture has more than {BOXES_MOST} boxes")
    return {name: Truth(f"{len(many)} boxes", json.dumps({"boxes": many})) for name, many in boxes.items()}


def _column(head: list[str], names: tuple[str, ...], usual: int) -> int:
    return next((head.index(name) for name in names if name in head), usual)


def _is_labels(name: str) -> bool:
    return PurePosixPath(name.replace("\\", "/")).name.lower() == LABELS


def _find(labels: Labels, name: str) -> Truth:
    """By the whole path, else by its end: a ZIP may have a folder around what the table names."""
    path = PurePosixPath(name)
    for first in range(len(path.parts)):
        if (end := "/".join(path.parts[first:])) in labels:
            return labels[end]
    return labels.get(path.stem, Truth())
