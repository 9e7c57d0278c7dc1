"""An answer in a few words."""

from __future__ import annotations

from hub.results.result import Result
from hub.spec import Demo, Json, Labels
from hub.texts import Sentence, joined, sentence

NAMES_IN_HEADLINE, ROWS_IN_HEADLINE = 4, 3


def headline(demo: Demo, result: Result) -> str:
    """The answer in a few words: `ambulance 97 %`, `car, road, trees`, a table's first rows, a picture's caption."""
    values = result.values
    for field in demo.outputs:
        if isinstance(field, Labels) and values.get(field.name):
            labels = values[field.name]
            limit = values.get(field.line) if field.line else None
            if limit is None:
                best = max(labels, key=lambda name: labels[name])
                return _share(best, 100 * labels[best])
            names = [name for name in labels if labels[name] >= limit]
            first, more = joined(names[:NAMES_IN_HEADLINE]), len(names) - NAMES_IN_HEADLINE
            return sentence("{first} and {number} more", first=first, number=more) if more > 0 else first
        if isinstance(field, Json) and field.table and values.get(field.name):
            rows = values[field.name]
            share = next((column for column in rows[0] if column.endswith("percent")), None)
            name = next((column for column, value in rows[0].items() if column != "colour" and value != ""), None)
            if share and name and isinstance(rows[0][name], str):
                best = sorted(rows, key=lambda row: -row[share])[:ROWS_IN_HEADLINE]
                return joined(_share(row[name], row[share]) for row in best)
    captions = [p.caption for group in result.pictures.values() for p in group]
    return next(filter(None, captions), "")


def _share(label: str, percent: float) -> Sentence:
    return sentence("{label} {number:.0f}\N{NO-BREAK SPACE}%", label=sentence(label), number=percent)
