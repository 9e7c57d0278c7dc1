"""One stored result in a folder of its own: what is written there, and what is checked when it is read again."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from hub.files import DamagedError, read_bounded
from hub.results import sight
from hub.results.result import Picture, Receipt, Result
from hub.results.sight import Sight
from hub.texts import NOT_OURS, Sentence, packed, restored, unpacked

RECORD, SIGHT_FILE = "record.json", "similar.safetensors"
RECORD_BYTES, FILE_BYTES = 64 * 2**20, 256 * 2**20  # no result of ours has more
SIDE_MOST = 2**20  # pixels
ID = re.compile(r"[0-9a-f]{32}")

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,200}$")]  # in the folder, and nowhere else
Side = Annotated[int, Field(ge=0, le=SIDE_MOST)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class StoredPicture(_Strict):
    file: FileName
    sha256: Digest
    media_type: Literal["image/png", "image/jpeg", "video/mp4", "audio/wav"]
    width: Side
    height: Side
    caption: str


class StoredSight(_Strict):
    file: FileName
    sha256: Digest
    owner: str


class StoredCapsule(_Strict):
    page: str
    version: str
    weights: str
    digest: str
    dtype: str
    parameters: dict[str, Any]
    inputs: dict[str, str]
    tolerance: float = 0.0


class Record(_Strict):
    """What record.json holds. Those of older hubs have no `asked_by` and no `sum`, and some lack more."""

    capsule: str
    values: str
    pictures: dict[str, list[StoredPicture]]
    receipt: Receipt
    remarks: list[dict[str, Any]] = []  # as `texts.packed` makes them, so that they can be translated
    sentences: list[dict[str, Any]] = []
    sight: StoredSight | None = None
    asked_by: str | None = None
    headline: dict[str, Any] = {}  # as `remarks`; empty in those of older hubs
    sum: str = ""  # of all the rest

    @property
    def created(self) -> float:
        return datetime.fromisoformat(self.receipt.created_at or "").timestamp()


CAPSULE = TypeAdapter(StoredCapsule)


def read_record(folder: Path) -> Record:
    """What is known of a result without its files. Raises DamagedError, OSError."""
    try:
        data = read_bounded(folder / RECORD, RECORD_BYTES)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        if folder.is_dir() and not folder.is_symlink():
            raise DamagedError("it has no record") from error
        raise
    try:
        record = Record.model_validate_json(data)
        CAPSULE.validate_json(record.capsule)
        plain = json.loads(data)
        values = json.loads(record.values, parse_constant=_refuse)
        json.loads(record.capsule, parse_constant=_refuse)
        times = [value for value in asdict(record.receipt).values() if isinstance(value, float)]
        aware = datetime.fromisoformat(record.receipt.created_at or "").tzinfo is not None
        if not isinstance(values, dict) or not aware or not all(map(math.isfinite, times)):
            raise ValueError("its values are of another kind")
        record.created  # noqa: B018  # a year that no clock shows raises
    except (ValueError, RecursionError, OverflowError) as error:
        raise DamagedError(_brief(error)) from None
    _sentences(record)
    if record.sum and record.sum != _sum(plain):
        raise DamagedError("its record was changed")
    return record


def read_result(folder: Path, id: str) -> Result:
    """A stored result, every byte of it as it was written. Raises DamagedError, OSError."""
    record = read_record(folder)
    remarks, sentences, headline = _sentences(record)
    pictures = {
        name: tuple(
            Picture(
                _verified(folder, one.file, one.sha256), one.media_type, one.width, one.height,
                restored(one.caption, sentences),
            )
            for one in group
        )
        for name, group in record.pictures.items()
    }  # fmt: skip
    sight_of_run, receipt = read_sight(folder, record), replace(record.receipt, remarks=remarks)
    return Result(
        id, record.capsule, record.values, MappingProxyType(pictures), receipt, sight_of_run, sentences,
        record.asked_by, next(iter(headline), ""),
    )  # fmt: skip


def _sentences(record: Record) -> list[tuple[Sentence, ...]]:
    """The remarks, the sentences among the values, and the headline, if there is one. Raises DamagedError."""
    headlines = [record.headline] if record.headline else []
    try:
        return [tuple(map(unpacked, packs)) for packs in (record.remarks, record.sentences, headlines)]
    except NOT_OURS as error:
        raise DamagedError(f"its sentences: {error!r}"[:200]) from None


def read_sight(folder: Path, record: Record) -> Sight | None:
    """The stored sight, if there is one. Raises DamagedError, OSError."""
    if record.sight is None:
        return None
    data = _verified(folder, record.sight.file, record.sight.sha256)
    try:
        return sight.from_bytes(data, record.sight.owner)
    except ValueError as error:
        raise DamagedError(str(error)) from None


def write_result(folder: Path, result: Result) -> int:
    """Writes the pictures, the sight and record.json; returns their bytes. Raises OSError."""
    size, pictures, sight_entry = 0, {}, None
    for name, group in result.pictures.items():
        entries = []
        for number, picture in enumerate(group):
            file = f"{name}-{number}.{picture.extension}"
            size += (folder / file).write_bytes(picture.data)
            entries.append(
                {
                    "file": file,
                    "sha256": hashlib.sha256(picture.data).hexdigest(),
                    "media_type": picture.media_type,
                    "width": picture.width,
                    "height": picture.height,
                    "caption": picture.caption,
                }
            )
        pictures[name] = entries
    if result.sight is not None:
        data = sight.to_bytes(result.sight)
        size += (folder / SIGHT_FILE).write_bytes(data)
        sight_entry = {"file": SIGHT_FILE, "sha256": hashlib.sha256(data).hexdigest(), "owner": result.sight.owner}
    record = {
        "capsule": result.capsule_json,
        "values": result.values_json,
        "pictures": pictures,
        "receipt": asdict(result.receipt),
        "remarks": [packed(remark) for remark in result.receipt.remarks],
        "sentences": [packed(one) for one in result.sentences],
        "sight": sight_entry,
        "asked_by": result.asked_by,
        "headline": packed(result.headline) if result.headline else {},
    }
    record = json.loads(json.dumps(record))  # the sum is of what will be read
    return size + (folder / RECORD).write_bytes(json.dumps({**record, "sum": _sum(record)}).encode())


def _sum(record: Mapping[str, Any]) -> str:
    content = {name: value for name, value in record.items() if name != "sum"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _verified(folder: Path, file: str, sha256: str) -> bytes:
    try:
        data = read_bounded(folder / file, FILE_BYTES)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise DamagedError(f"{file} is not there") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise DamagedError(f"{file} is damaged")
    return data


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def _brief(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))[:80]}: {first['msg']}"[:200]
    return str(error)[:200]
