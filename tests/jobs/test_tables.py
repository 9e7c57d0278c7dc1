"""A batch as files: whatever its length, every picture is in them once."""

from __future__ import annotations

import csv
import io
import json

import pytest

from hub.jobs import tables
from hub.jobs.records import Reading, Row


def rows(count: int) -> list[Row]:
    answer = Reading("light 60 %", "light", 0.6, 0.9, ("light", "dark"), {"brightness": 0.25})
    return [Row(n, f"{n}.png", "", "dark", "done", f"{n:032x}", answer, "") for n in range(1, count + 1)]


@pytest.mark.parametrize("count", [0, 1, 499, 500, 501, 502, 1000, 1203])
def test_every_picture_of_a_long_batch_is_a_line(count: int) -> None:
    text = b"".join(tables.to_csv(iter(rows(count)), ["brightness"], str)).decode("utf-8-sig")
    lines = list(csv.DictReader(io.StringIO(text)))
    assert [line["number"] for line in lines] == [str(n) for n in range(1, count + 1)]
    assert {line["brightness"] for line in lines} <= {"0.25"}
    objects = b"".join(tables.to_json_lines(iter(rows(count)), lambda _: None)).splitlines()
    assert [json.loads(line)["number"] for line in objects] == [*range(1, count + 1)]
