"""What the gallery's doors share: reading a search, rows of the CSV, ZIP files of pictures."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from urllib.parse import urlencode

from hub.archive import spreadsheets
from hub.archive.picture_index import PictureRecord, Query, SortOrder
from hub.archive.pictures import Pictures
from hub.errors import InputError, NotFoundError
from hub.pages.values import SEED_LIMIT
from hub.results.result import EXTENSIONS

COLUMNS = ("file", "prompt", "subject", "style", "seed", "page", "weights", "digest", "run", "created_at", "width",
           "height", "id", "settings")  # fmt: skip
ORDER_NAMES: tuple[SortOrder, ...] = get_args(SortOrder)
FILTERS = ("q", "demo", "subject", "style", "seed", "model", "run", "since", "until")
PER_PAGE, PER_PAGE_MOST = 60, 200
TEXT_CHARS = 500
PAGES_MOST = 10**6
MOST_SEEDS = 10_000


def query(texts: Mapping[str, str], ids: tuple[str, ...] = ()) -> Query:
    """A search from texts by name. Raises InputError."""
    for name in FILTERS:
        if len(texts.get(name, "")) > TEXT_CHARS:
            raise InputError(
                "{name} has more than the {text_chars} characters that are read.",
                name=name,
                text_chars=TEXT_CHARS,
                field=name,
            )
    seed = texts.get("seed", "").strip()
    if seed and not (seed.isascii() and seed.isdigit() and len(seed) <= 10 and int(seed) < SEED_LIMIT):
        raise InputError(
            "seed must be a whole number from 0 to {most}, got {seed!r}.",
            most=SEED_LIMIT - 1,
            seed=seed[:40],
            field="seed",
        )
    since, until = _day(texts, "since"), _day(texts, "until", later=1)
    return Query(
        ids=ids,
        text=texts.get("q", ""),
        seed=int(seed) if seed else None,
        since=since.timestamp() if since else None,
        until=until.timestamp() if until else None,
        **{name: texts.get(name, "") for name in ("demo", "subject", "style", "model", "run")},
    )


def _day(texts: Mapping[str, str], name: str, later: int = 0) -> datetime | None:
    """The beginning of a day, or of one so many days later."""
    text = texts.get(name, "").strip()
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC) if text else None
        return day + timedelta(days=later) if day else None
    except (ValueError, OverflowError):
        raise InputError(
            "{name} must be a day such as 2026-11-21, got {text!r}.", name=name, text=text[:40], field=name
        ) from None


def seeds_of(text: str) -> list[int]:
    """`4`: the seeds 0 to 3; `7,12,40-49`: these. Raises InputError."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    matched = [re.fullmatch(r"(\d{1,10})(?:-(\d{1,10}))?", part) for part in parts]
    if not parts or None in matched:
        raise InputError(
            "seeds must be how many (4), or which (7,12,40-49), got {text!r}.", text=text[:80], field="seeds"
        )
    if len(parts) == 1 and "-" not in parts[0] and "," not in text:
        ranges = [(0, int(parts[0]) - 1)]
    else:
        ranges = [(int(m[1]), int(m[2] or m[1])) for m in matched if m]
    count = sum(last - first + 1 for first, last in ranges)
    if count < 1 or any(last < first for first, last in ranges) or count > MOST_SEEDS:
        raise InputError(
            "seeds must be 1 to {most_seeds}, the smaller first in 40-49, got {text!r}.",
            most_seeds=MOST_SEEDS,
            text=text[:80],
            field="seeds",
        )
    return [seed for first, last in ranges for seed in range(first, last + 1)]


def when(created: float) -> str:
    return datetime.fromtimestamp(created, UTC).isoformat(timespec="seconds")


def address(demo: str, parameters: Mapping[str, Any], weights: str) -> str:
    """What opens a page with all settings of a picture, from the hub's root."""
    pairs = list[tuple[str, str]]()
    for name, value in parameters.items():
        for one in value if isinstance(value, list | tuple) else (value,):
            pairs.append((name, str(one)))
    if weights:
        pairs.append(("weights", weights))
    return f"{demo}?{urlencode(pairs)}"


def row(entry: PictureRecord, kind: str = "image/png") -> dict[str, str]:
    """What prompts.csv tells of a picture; `file` is a name people can read, and no two alike."""
    words = re.sub(r"[^a-z0-9]+", "-", entry.prompt.lower()).strip("-")[:60].strip("-") or "picture"
    seed = "" if entry.seed is None else str(entry.seed)
    file = "-".join(filter(None, (words, seed, entry.id[:6]))) + "." + EXTENSIONS[kind]
    settings = json.dumps(dict(entry.parameters), ensure_ascii=False, sort_keys=True)
    values = (file, entry.prompt, entry.subject, entry.style, seed, entry.demo, entry.weights, entry.digest,
              entry.run, when(entry.created), str(entry.width), str(entry.height), entry.id, settings)  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def table(rows: Iterable[Mapping[str, str]]) -> bytes:
    """The CSV, as the bytes of its file."""
    out = io.StringIO(newline="")
    spreadsheets.write(out, COLUMNS, rows)
    return spreadsheets.encoded(out.getvalue())


def files(pictures: Pictures, entries: Iterable[PictureRecord]) -> Iterator[tuple[dict[str, str], bytes]]:
    """Row and file of each picture; those that went meanwhile are left out."""
    for entry in entries:
        with suppress(NotFoundError):
            data, kind = pictures.file(entry)
            yield row(entry, kind), data


def archive(pictures: Pictures, entries: Iterable[PictureRecord]) -> Iterator[bytes]:
    """A ZIP file in pieces: the pictures, and prompts.csv."""
    out, rows = _Pieces(), list[dict[str, str]]()
    with zipfile.ZipFile(out, "w") as archive_file:  # stored, not deflated: pictures are compressed
        for line, data in files(pictures, entries):
            archive_file.writestr(line["file"], data)
            rows.append(line)
            yield out.take()
        archive_file.writestr("prompts.csv", table(rows))
    yield out.take()


class _Pieces(io.RawIOBase):
    """Somewhere to write that cannot be gone back in, and is emptied as it fills."""

    def __init__(self) -> None:
        self._held, self._at = bytearray(), 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._held += data
        self._at += len(data)
        return len(data)

    def tell(self) -> int:
        return self._at

    def take(self) -> bytes:
        piece, self._held = bytes(self._held), bytearray()
        return piece
