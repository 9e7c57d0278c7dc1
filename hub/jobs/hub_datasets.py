"""A split of a dataset on the Hugging Face Hub as what a batch is given: its pictures, with what is true of them.

Read are datasets of picture files (a folder a split, then a folder a class, a `metadata.jsonl` or a `metadata.csv`) and
of Parquet files with a column of pictures. The client asks as nobody: what the operator may see is not every caller's.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from hub.errors import InputError, NotFoundError, TooLargeError, UnavailableError
from hub.files import decode_text, parse_json
from hub.jobs import given
from hub.jobs.folders import NewFolder
from hub.jobs.jobs import Given
from hub.jobs.zips import tidy_name
from hub.weights.remote import client_errors
from hub.weights.sources import HubSource

NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
WORD = re.compile(r"[\w.-]{1,100}")  # of a split or a revision, which may have slashes between such
PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic"}
TABLES = ("metadata.jsonl", "metadata.csv", "labels.csv")
FILES_MOST, LISTED_MOST = 2_000, 200_000  # picture files fetched one by one; files that a dataset may list
TRUTHS = ("label", "labels", "tags", "class", "number", "age", "value", "target")  # columns that say what is true
# Columns that hold a true mask, or in a `metadata.jsonl` name its file.
MASKS = ("mask", "masks", "annotation", "annotations", "segmentation", "segmentation_mask", "label", "labels", "target")
ROWS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Wanted:
    """A dataset, its split and its revision, as somebody names them."""

    name: str
    split: str = "train"
    revision: str = "main"

    def check(self) -> None:
        """Raises InputError."""
        for field, value, pattern in (("dataset", self.name, NAME), ("split", self.split, WORD)):
            if not pattern.fullmatch(value):
                raise InputError("{name} must be a name, got {given!r}.", name=field, given=value[:80], field=field)
        parts = self.revision.split("/")
        if len(parts) > 4 or not all(WORD.fullmatch(part) and set(part) != {"."} for part in parts):
            raise InputError("{name} must be a name, got {given!r}.", name="revision", given=self.revision[:80])


def fetch(wanted: Wanted, folder: NewFolder, most: int, truth: str, *, masks: bool = False) -> list[Given]:
    """Fetches the pictures of a split into the job's folder, at most `most`, with true masks where those are `masks`.

    Raises HubError.
    """
    from huggingface_hub import HfApi

    wanted.check()
    source = HubSource(f"datasets/{wanted.name}", wanted.revision)
    api = HfApi(token=False, library_name="demo-hub")
    with client_errors(source):
        info = api.dataset_info(wanted.name, revision=wanted.revision, files_metadata=True, timeout=15)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    if len(sizes) > LISTED_MOST:
        raise TooLargeError("{name} lists more files than are looked through.", name=wanted.name, field="dataset")
    files = [path for path in sorted(sizes) if is_of_split(path, wanted.split)]
    fetched = _Fetched(api, source, wanted.name, str(info.sha), sizes, folder)
    try:
        if parquet := [path for path in files if path.endswith(".parquet")]:
            return list(_from_parquet(fetched, parquet, most, masks and truth != "none"))
        return _from_files(fetched, files, most, truth, masks)
    finally:
        shutil.rmtree(fetched.place, ignore_errors=True)


def is_of_split(path: str, split: str) -> bool:
    """Of `test` are `test/cat/1.jpg`, `test_masks/1.png`, `data/test-00000-of-00001.parquet`, `all/test/0.parquet`."""
    *folders, name = PurePosixPath(path).parts
    named = {split, *(f"{split}{joint}{word}" for joint in "_-" for word in given.MASK_FOLDERS)}
    return not named.isdisjoint(folders) or re.split(r"[-.]", name)[0] == split


class _Fetched:
    """Files of one dataset, fetched one by one and bounded together."""

    def __init__(
        self, api: Any, source: HubSource, name: str, commit: str, sizes: Mapping[str, int], folder: NewFolder
    ):
        self._api, self._source, self._name, self._commit, self._sizes = api, source, name, commit, sizes
        self.folder, self.place = folder, folder.path / "fetched"
        self._bytes = 0

    def get(self, path: str) -> Path:
        """Raises TooLargeError, UnavailableError."""
        self._bytes += self._sizes[path]
        if self._bytes > self.folder.most_bytes:
            raise TooLargeError(
                "This split has more than the {most:.0f} MB that one batch is given.",
                most=self.folder.most_bytes / 2**20, field="dataset",
            )  # fmt: skip
        with client_errors(self._source, path):
            return Path(
                self._api.hf_hub_download(
                    self._name, path, repo_type="dataset", revision=self._commit, local_dir=self.place
                )
            )


def _from_files(fetched: _Fetched, files: Sequence[str], most: int, truth: str, masks: bool) -> list[Given]:
    pictures = [path for path in files if PurePosixPath(path).suffix.lower() in PICTURES]
    _check_count(len(pictures), min(most, FILES_MOST))
    labels: dict[str, given.Truth] | None = None
    for path in files:
        if PurePosixPath(path).name in TABLES:
            data = fetched.get(path).read_bytes()[: given.LABELS_BYTES + 1]
            labels = (labels or {}) | (_read_lines(data, masks) if path.endswith(".jsonl") else given.read_labels(data))
    for number, path in enumerate(pictures):
        file = fetched.get(path)
        fetched.folder.write(f"file-{number}", file.read_bytes())
        file.unlink()
    entries = [(tidy_name(path), f"file-{number}") for number, path in enumerate(pictures)]
    return given.with_truths(entries, labels, truth, masks=masks)


def _read_lines(data: bytes, masks: bool) -> dict[str, given.Truth]:
    """What is true of each file, by a `metadata.jsonl`; the file of its mask, where those are `masks`.

    Raises InputError.
    """
    labels = {}
    columns = (*(f"{name}_file_name" for name in MASKS), *MASKS, *TRUTHS) if masks else TRUTHS
    try:
        for line in decode_text(data).splitlines():
            row = parse_json(line)
            true = _truth(next((row[name] for name in columns if name in row), None))
            labels[tidy_name(str(row["file_name"]))] = given.Truth(true)
    except (ValueError, KeyError, TypeError):
        raise InputError("metadata.jsonl of this dataset cannot be read.", field="dataset") from None
    return labels


def _from_parquet(fetched: _Fetched, files: Sequence[str], most: int, masks: bool) -> Iterator[Given]:
    """A few rows are in memory at once, however many there are."""
    import pyarrow  # type: ignore[import-untyped]  # it has no types of its own
    from pyarrow import parquet

    number = 0
    for path in files:
        file = fetched.get(path)
        try:
            with parquet.ParquetFile(file) as opened:
                image, mask, truth, names = _columns(opened.schema_arrow)
                mask = mask if masks else ""
                _check_count(number + opened.metadata.num_rows, most)
                columns = [name for name in (image, mask, truth) if name]
                for batch in opened.iter_batches(ROWS_AT_ONCE, columns=columns):
                    for row in batch.to_pylist():
                        data, name = _picture(row[image])
                        fetched.folder.write(f"file-{number}", data)
                        true, against = _truth(row.get(truth), names), ""
                        if mask and (painted := _picture(row[mask]))[0]:
                            true, against = painted[1][: given.TRUTH_CHARS] or mask, f"mask-{number}"
                            fetched.folder.write(against, painted[0])
                        yield Given(tidy_name(name or f"{number:06d}"), f"file-{number}", true, against)
                        number += 1
        except (pyarrow.ArrowException, OSError, ValueError, KeyError) as error:
            raise UnavailableError(
                "{path} of this dataset cannot be read: {reason}", path=path, reason=str(error)[:200]
            ) from None
        file.unlink()


def _columns(schema: Any) -> tuple[str, str, str, list[str]]:
    """The columns of pictures, of masks and of truths (empty: none), and the names of its classes.

    Raises InputError.
    """
    from pyarrow import types

    def holds_pictures(kind: Any) -> bool:
        if types.is_struct(kind):
            at = kind.get_field_index("bytes")
            return at >= 0 and bool(types.is_binary(kind.field(at).type))
        return bool(types.is_binary(kind))

    described: Any = parse_json((schema.metadata or {}).get(b"huggingface", b"{}"))
    for part in ("info", "features"):
        described = described.get(part, {}) if isinstance(described, dict) else {}
    described = described if isinstance(described, dict) else {}
    pictures = [field.name for field in schema if holds_pictures(field.type)]
    if not pictures:
        raise InputError("This split has no column of pictures.", field="dataset")
    image = next((name for name in pictures if name not in MASKS), pictures[0])
    mask = next((name for name in MASKS if name in pictures and name != image), "")
    truth = next((name for name in TRUTHS if name in schema.names and name not in pictures), "")
    entry = described.get(truth)
    names = entry.get("names") if isinstance(entry, dict) else None
    names = names if isinstance(names, list) else []
    return image, mask, truth, [str(name) for name in names]


def _picture(value: Any) -> tuple[bytes, str]:
    """Bytes and a name; a row without a picture is an empty file, which its row of the table says."""
    if isinstance(value, Mapping):
        return value.get("bytes") or b"", str(value.get("path") or "")
    return value or b"", ""


def _truth(value: Any, names: Sequence[str] = ()) -> str:
    if isinstance(value, list):
        return ";".join(_truth(one, names) for one in value)[: given.TRUTH_CHARS]
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(names):
        return names[value][: given.TRUTH_CHARS]
    return "" if value is None else str(value)[: given.TRUTH_CHARS]


def _check_count(count: int, most: int) -> None:
    if not count:
        raise NotFoundError("This dataset has no pictures in a split of that name.")
    if count > most:
        raise TooLargeError("This split has more than the {most:,} pictures of a batch.", most=most, field="dataset")
