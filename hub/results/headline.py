"""An answer in a few words: as its page wrote it, else made of its declared outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hub.results import boxes
from hub.results.result import Picture, Result
from hub.spec import Boxes, Demo, Json, Labels, TextOutput
from hub.texts import Sentence, joined, sentence

NAMES_IN_HEADLINE, ROWS_IN_HEADLINE = 4, 3
VALUE_CHARS, WORDS_CHARS = 60, 120  # of a text among the data; of one that is the answer


def headline(demo: Demo, result: Result) -> str:
    """What was stored with the result; of a result that an older hub stored, what its outputs tell."""
    return result.headline or default_headline(demo, result.values, result.pictures)


def default_headline(demo: Demo, values: Mapping[str, Any], pictures: Mapping[str, Sequence[Picture]]) -> str:
    """`ambulance 97 %`, `3 × car, 1 × dog`, a table's first rows, a picture's caption, a number; tells no inputs."""
    for field in demo.outputs:
        value = values.get(field.name)
        if isinstance(field, Labels) and value:
            return _of_labels(value, values.get(field.line) if field.line else None)
        if isinstance(field, Boxes) and value:
            return _of_boxes(value)
        if isinstance(field, Json) and field.table and value and (rows := _of_rows(value)):
            return rows
    captions = [picture.caption for group in pictures.values() for picture in group]
    return next(filter(None, captions), "") or next(filter(None, (_of_value(f, values) for f in demo.outputs)), "")


def _of_labels(labels: Mapping[str, float], limit: float | None) -> Sentence:
    if limit is None:
        best = max(labels, key=lambda name: labels[name])
        return _share(best, 100 * labels[best])
    names = [name for name in labels if labels[name] >= limit]
    first, more = joined(names[:NAMES_IN_HEADLINE]), len(names) - NAMES_IN_HEADLINE
    return sentence("{first} and {number} more", first=first, number=more) if more > 0 else first


def _of_boxes(found: boxes.Found) -> Sentence:
    counts = [*boxes.counts(found).items()][:ROWS_IN_HEADLINE]
    if not counts:
        return sentence("Nothing found")
    return joined(sentence("{count} × {label}", count=count, label=sentence(label)) for label, count in counts)


def _of_rows(rows: Sequence[Mapping[str, Any]]) -> str:
    """The names with the largest shares, of a table that has both."""
    share = next((column for column in rows[0] if column.endswith("percent")), None)
    name = next((column for column, value in rows[0].items() if column != "colour" and value != ""), None)
    if not share or not name or not isinstance(rows[0][name], str):
        return ""
    best = sorted(rows, key=lambda row: -row[share])[:ROWS_IN_HEADLINE]
    return joined(_share(row[name], row[share]) for row in best)


def _of_value(field: Any, values: Mapping[str, Any]) -> str:
    """`Sharpness: 0.82` of a number or a short text."""
    value = values.get(field.name)
    if isinstance(field, TextOutput):
        text = " ".join((value or "").split())
        return text if len(text) <= WORDS_CHARS else f"{text[: WORDS_CHARS - 1]}…"
    if not isinstance(field, Json) or isinstance(value, bool) or not isinstance(value, int | float | str):
        return ""
    text = f"{value:g}" if isinstance(value, int | float) else " ".join(value[:VALUE_CHARS].split())
    colon = sentence(": ")
    return sentence("{name}{colon}{value}", name=sentence(field.label), colon=colon, value=text) if text else ""


def _share(label: str, percent: float) -> Sentence:
    return sentence("{label} {number:.0f}\N{NO-BREAK SPACE}%", label=sentence(label), number=percent)
