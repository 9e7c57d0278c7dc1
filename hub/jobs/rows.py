"""The pictures of batches: what is known of each, counted, sorted and searched."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hub.database import Database, json_object, read_column
from hub.jobs.records import Reading, Row
from hub.jobs.store import CANNOT
from hub.texts import to_column

COLUMNS = (
    "number", "name", "file", "truth", "state", "result", "headline", "answer", "probability", "unsure", "names",
    "numbers", "problem", "against", "measured",
)  # fmt: skip
# What a table may be sorted by; what a row has not comes last.
ORDERS = {
    "number": "number",
    "name": "name COLLATE NOCASE, number",
    "answer": "answer = '', answer COLLATE NOCASE, number",
    "-answer": "answer = '', answer COLLATE NOCASE DESC, number",
    "probability": "probability IS NULL, probability, number",
    "-probability": "probability IS NULL, probability DESC, number",
    "unsure": "unsure IS NULL, unsure DESC, number",
    "truth": "truth = '', truth COLLATE NOCASE, number",
    "state": "CASE state WHEN 'failed' THEN 0 WHEN 'done' THEN 1 ELSE 2 END, number",
    "-number": "number DESC",
    "-name": "name COLLATE NOCASE DESC, number",
}
AT_ONCE = 500  # rows that are read together
NUMBERS_MOST = 60  # columns of numbers


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows: with this text in the name, headline or problem; of this answer or one of these labels; in a state.

    `wrong`: only those whose answer is not what is true of them.
    """

    text: str = ""
    answer: str = ""
    state: str = ""
    wrong: bool = False

    def where(self, job: str) -> tuple[str, list[Any]]:
        parts, values = ["job = ?"], list[Any]([job])
        if self.text:
            parts.append("(instr(lower(name), ?) OR instr(lower(headline), ?) OR instr(lower(problem), ?))")
            values += [self.text.lower()] * 3
        if self.answer:
            parts.append("EXISTS (SELECT 1 FROM json_each(names) WHERE value = ?)")
            values.append(self.answer)
        if self.state:
            parts.append("state = ?")
            values.append(self.state)
        if self.wrong:
            parts.append("state = 'done' AND truth <> '' AND against = '' AND lower(truth) <> lower(answer)")
        return " AND ".join(parts), values


class RowStore:
    """The table of pictures. Every method may raise StorageError."""

    def __init__(self, database: Database):
        self._database = database

    def keep(self, job: str, row: Row) -> None:
        """What came of one picture; the job has got on, so its starts are counted anew."""
        reading = row.reading
        values = (
            row.state, row.result, to_column(reading.headline), reading.answer, reading.probability, reading.unsure,
            json.dumps(reading.names, ensure_ascii=False), json.dumps(dict(reading.numbers), ensure_ascii=False),
            to_column(row.problem), json.dumps(dict(reading.measured), ensure_ascii=False), job, row.number,
        )  # fmt: skip
        with self._database.change(CANNOT) as db:
            db.execute(
                "UPDATE picture SET state = ?, result = ?, headline = ?, answer = ?, probability = ?, unsure = ?, "
                "names = ?, numbers = ?, problem = ?, measured = ? WHERE job = ? AND number = ?", values,
            )  # fmt: skip
            db.execute("UPDATE job SET starts = 1 WHERE id = ? AND starts > 1", (job,))

    def counts(self, job: str) -> tuple[int, int]:
        """How many pictures have an answer, and how many cannot have one."""
        sql = "SELECT state, count(*) FROM picture WHERE job = ? GROUP BY state"
        states = dict(self._database.ask(CANNOT, sql, (job,)))
        return int(states.get("done", 0)), int(states.get("failed", 0))

    def waiting(self, job: str, after: int) -> list[Row]:
        """Some of the pictures that have no answer yet, by their numbers."""
        where = "WHERE job = ? AND state = 'waiting' AND number > ? ORDER BY number LIMIT ?"
        return self._rows(where, (job, after, AT_ONCE))

    def one(self, job: str, number: int) -> Row | None:
        return next(iter(self._rows("WHERE job = ? AND number = ?", (job, number))), None)

    def some(self, job: str, wanted: Wanted, order: str, limit: int, offset: int) -> tuple[list[Row], int]:
        """Rows in an order of `ORDERS`, and how many there are."""
        where, values = wanted.where(job)
        ((count,),) = self._database.ask(CANNOT, f"SELECT count(*) FROM picture WHERE {where}", values)
        rest = f"WHERE {where} ORDER BY {ORDERS[order]} LIMIT ? OFFSET ?"
        return self._rows(rest, [*values, limit, offset]), int(count)

    def all(self, job: str) -> Iterator[Row]:
        """Every row, read a few hundred at a time."""
        after = 0
        while rows := self._rows("WHERE job = ? AND number > ? ORDER BY number LIMIT ?", (job, after, AT_ONCE)):
            yield from rows
            after = rows[-1].number

    def number_names(self, job: str) -> list[str]:
        """The names of all numbers that answers have, in the order in which they came."""
        sql = (
            "SELECT each.key FROM picture, json_each(picture.numbers) AS each WHERE job = ? "
            "GROUP BY each.key ORDER BY min(number * 100 + each.id % 100) LIMIT ?"
        )
        return [name for (name,) in self._database.ask(CANNOT, sql, (job, NUMBERS_MOST))]

    def numbers(self, job: str) -> Mapping[str, list[float]]:
        """All numbers by their names."""
        sql = "SELECT each.key, each.value FROM picture, json_each(picture.numbers) AS each WHERE job = ?"
        lists: dict[str, list[float]] = {name: [] for name in self.number_names(job)}
        for name, value in self._database.ask(CANNOT, sql, (job,)):
            if name in lists:
                lists[name].append(float(value))
        return lists

    def names(self, job: str, most: int) -> list[tuple[str, int]]:
        """How often each label was the answer, the most frequent first."""
        sql = (
            "SELECT each.value, count(*) FROM picture, json_each(picture.names) AS each WHERE job = ? "
            "GROUP BY each.value ORDER BY count(*) DESC, each.value LIMIT ?"
        )
        return [(name, count) for name, count in self._database.ask(CANNOT, sql, (job, most))]

    def _rows(self, rest: str, values: Sequence[Any]) -> list[Row]:
        rows = self._database.ask(CANNOT, f"SELECT {', '.join(COLUMNS)} FROM picture {rest}", values)
        return [_row(dict(zip(COLUMNS, row, strict=True))) for row in rows]


def _row(values: dict[str, Any]) -> Row:
    numbers = json_object(values["numbers"])
    names = json_object(f'{{"names": {values["names"]}}}').get("names", [])
    reading = Reading(
        read_column(values["headline"]) if values["headline"] else "", values["answer"], values["probability"],
        values["unsure"], tuple(names), numbers, json_object(values["measured"]),
    )  # fmt: skip
    problem = read_column(values["problem"]) if values["problem"] else ""
    return Row(
        values["number"], values["name"], values["file"], values["truth"], values["state"], values["result"], reading,
        problem, values["against"],
    )  # fmt: skip
