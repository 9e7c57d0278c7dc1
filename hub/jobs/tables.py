"""A batch as files: CSV, JSON lines, and a ZIP of result pictures, in pieces, so that none is ever in memory whole."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

from hub.archive import spreadsheets
from hub.jobs.records import Reading, Row
from hub.results.result import Result

COLUMNS = ("number", "file", "state", "headline", "answer", "probability", "unsure", "truth", "result", "problem")
PIECE_BYTES, ROWS_AT_ONCE = 64 * 1024, 500
MISSING = "not_there.txt"


def row_to_json(row: Row) -> dict[str, Any]:
    """A row as JSON data."""
    reading = row.reading
    return {
        "number": row.number, "file": row.name, "state": row.state, "headline": str(reading.headline),
        "answer": reading.answer, "probability": reading.probability, "unsure": reading.unsure, "truth": row.truth,
        "result": row.result or None, "problem": str(row.problem), "labels": list(reading.names),
        "numbers": dict(reading.numbers), "measured": dict(reading.measured),
    }  # fmt: skip


def row_from_json(line: Mapping[str, Any]) -> Row:
    """What `row_to_json` was made of."""
    reading = Reading(
        line["headline"], line["answer"], line["probability"], line["unsure"], tuple(line["labels"]), line["numbers"],
        line.get("measured", {}),
    )  # fmt: skip
    return Row(
        line["number"], line["file"], "", line["truth"], line["state"], line["result"] or "", reading, line["problem"]
    )


def to_csv(rows: Iterator[Row], numbers: Sequence[str], address: Callable[[str], str]) -> Iterator[bytes]:
    """The file in pieces; `numbers` are columns of their own, `address` is where a result is found."""
    columns, first = [*COLUMNS, *(name for name in numbers if name not in COLUMNS)], True
    while some := list(islice(rows, ROWS_AT_ONCE)):
        text = io.StringIO()
        spreadsheets.write(text, columns, (_cells(row, columns, address) for row in some))
        body = text.getvalue()
        yield spreadsheets.encoded(body) if first else body.partition("\n")[2].encode("utf-8", "backslashreplace")
        first = False


def _cells(row: Row, columns: Sequence[str], address: Callable[[str], str]) -> dict[str, str]:
    values = row_to_json(row)
    values["result"] = address(row.result) if row.result else ""
    values |= {name: value for name, value in row.reading.numbers.items() if name not in COLUMNS}
    return {name: _text(values.get(name)) for name in columns}


def _text(value: Any) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def to_json_lines(rows: Iterator[Row], result_of: Callable[[str], Result | None]) -> Iterator[bytes]:
    """A line a picture, with all values of its answer while that is kept."""
    for row in rows:
        result = result_of(row.result) if row.result else None
        line = {**row_to_json(row), "outputs": result.values if result else None}
        yield json.dumps(line, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


class _Pieces(io.RawIOBase):
    """What a ZIP is written to: it is handed on, and never gone back to."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.data += data
        return len(data)

    def take(self) -> bytes:
        piece = bytes(self.data)
        self.data.clear()
        return piece


def to_zip(rows: Iterator[Row], result_of: Callable[[str], Result | None]) -> Iterator[bytes]:
    """The pictures of all answers that are still kept; a text says which are not."""
    pieces, missing = _Pieces(), list[str]()
    with zipfile.ZipFile(pieces, "w", zipfile.ZIP_STORED) as opened:
        for row in rows:
            result = result_of(row.result) if row.result else None
            if result is None:
                missing.append(f"{row.name}: {row.problem or ('no longer kept' if row.result else 'not done yet')}")
                continue
            for name, group in result.pictures.items():
                for number, picture in enumerate(group, 1):
                    end = f"-{name}" if len(group) == 1 else f"-{name}-{number}"
                    stem = str(PurePosixPath(row.name).with_suffix(""))
                    opened.writestr(f"{row.number:05d}-{stem.replace('/', '-')}{end}.{picture.extension}", picture.data)
            if len(pieces.data) > PIECE_BYTES:
                yield pieces.take()
        if missing:
            opened.writestr(MISSING, "\n".join(missing))
    yield pieces.take()
