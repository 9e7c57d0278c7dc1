"""How a comparison is drawn: numbers of A and B side by side, pictures, both receipts. All of it is escaped here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from hub.engine.compare import Comparison
from hub.engine.differences import NumberPair, Pair
from hub.pages import kinds
from hub.results.result import Result
from hub.spec import Demo, Gallery, Json, Labels, Mask, Output
from hub.texts import say
from hub.web.parts import html, wording

SHOWN = 10  # rows of a table that are seen at once; the rest unfold
MINUS = "\N{MINUS SIGN}"


def side(mark: str, text: str = "") -> str:
    """`A` or `B` in its square, and what it is."""
    return f'<span class="hub-side"><b class="hub-mark-{mark.lower()}">{mark}</b> {escape(say(text))}</span>'


def busy(mark: str, title: str, line: str) -> str:
    """Which of the two runs, above its own status line."""
    turn = say("First of two:" if mark == "A" else "Second of two:")
    return f'<p class="hub-turn">{turn} {side(mark, title)}</p>{line}'


def head(found: Comparison, titles: Sequence[str]) -> str:
    """That it is done; who is A and who is B; what one of them could not be asked."""
    notes = "".join(f'<p class="hub-note">{escape(say(note))}</p>' for note in found.notes)
    kept = sum(result.receipt.cached for result in (found.a, found.b))
    how = ("both ran now", "one of them kept from an earlier run", "both kept from earlier runs")[kept]
    return (
        f'<div class="hub-status hub-done" role="status"><strong>{say("Compared")}</strong>'
        f"<span> · {say(how)}</span></div>"
        f'<div class="hub-versus">{side("A", titles[0])}{side("B", titles[1])}</div>{notes}'
        f'<p class="hub-note hub-old" hidden>{say("The inputs have changed since. Run A and B again.")}</p>'
    )


# --- pictures -------------------------------------------------------------------------------------


def above(pair: Pair) -> str:
    """What stands above a slider: which side is which, and how many pixels differ."""
    a, b = (
        side(mark, f"{wording.answer(picture.caption)}, {say(where)}" if picture and picture.caption else where)
        for mark, picture, where in zip("AB", (pair.a, pair.b), ("left", "right"), strict=True)
    )
    return f'<div class="hub-sides">{a}<span class="hub-measured">{measured(pair)}</span>{b}</div>'


def measured(pair: Pair, what: str = "pixels") -> str:
    """How many pixels differ, in words, or why that is not known."""
    if pair.differ is None:
        return escape(say(pair.note))
    if not pair.differ:
        return say("No {what} differ.", what=say(what))
    share = wording.percent(pair.differ) if pair.differ >= 0.001 else say("Less than 0.1 %")
    if pair.levels:
        text = "{share} of the {what} differ by more than {levels} of 255."
        return say(text, share=share, what=say(what), levels=pair.levels)
    return say("{share} of the {what} differ.", share=share, what=say(what))


def beside(field: Output, pairs: Sequence[Pair], found: Comparison, titles: Sequence[str]) -> str:
    """The pictures of one output, those of A beside those of B."""
    figures = "".join(
        f'<p class="hub-help">{measured(pair)}</p><div class="hub-pair">'
        + _figure("A", found.a, pair, titles[0])
        + _figure("B", found.b, pair, titles[1])
        + "</div>"
        for pair in pairs
    )
    return _panel(field, figures) if figures else ""


def _figure(mark: str, result: Result, pair: Pair, title: str) -> str:
    picture = pair.a if mark == "A" else pair.b
    if picture is None:
        return f'<figure><p class="hub-pending">{say("None from {side}", side=side(mark, title))}</p></figure>'
    source = _address(result, pair)
    alt = escape(f"{wording.answer(picture.caption) or pair.output}, {mark}: {say(title)}")
    return (
        f'<figure><img src="{source}" alt="{alt}" width="{picture.width}" height="{picture.height}" loading="lazy">'
        f"<figcaption>{side(mark, wording.answer(picture.caption))}</figcaption></figure>"
    )


def _address(result: Result, pair: Pair) -> str:
    return f"api/v1/results/{result.id}/{pair.output}" + (f"/{pair.number}" if pair.number else "")


# --- numbers --------------------------------------------------------------------------------------


def answer(demo: Demo, found: Comparison, titles: Sequence[str]) -> str:
    """All outputs but the pictures that have a slider, then both receipts."""
    parts = []
    for field in kinds.on_page(demo):
        part = [pair for pair in found.pictures if pair.output == field.name]
        if isinstance(field, Labels | Json):
            parts.append(_panel(field, numbers(demo, field, found, titles)))
        elif isinstance(field, Mask) and part:
            parts.append(_panel(field, _mask(part[0], found, titles)))
        elif isinstance(field, Gallery):
            parts.append(beside(field, part, found, titles))
    return f'<div class="hub-compared">{"".join(parts)}{receipts(found, titles)}</div>'


def _panel(field: Output, body: str) -> str:
    return f'<section class="hub-panel"><h2>{escape(say(field.label))}</h2>{body}</section>'


def _mask(pair: Pair, found: Comparison, titles: Sequence[str]) -> str:
    links = "".join(
        f'<a href="{_address(result, pair)}" target="_blank" rel="noopener">{side(mark, title)} PNG</a>'
        for mark, result, title in (("A", found.a, titles[0]), ("B", found.b, titles[1]))
    )
    return f'<p>{measured(pair, "class ids")}</p><p class="hub-files">{links}</p>'


def numbers(demo: Demo, field: Labels | Json, found: Comparison, titles: Sequence[str]) -> str:
    """One output of both: what both have as a table, what only one has beside each other."""
    ours, theirs = found.a.values.get(field.name), found.b.values.get(field.name)
    rows = [row for row in found.rows if row.output == field.name and row.difference is not None]
    colours = _colours(field, theirs) | _colours(field, ours)
    drawn = [_table(field, rows, colours)] if rows else []
    alone = [[r for r in found.rows if r.output == field.name and getattr(r, other) is None] for other in "ba"]
    if any(alone):
        lists = (_alone(field, part, result) for part, result in zip(alone, (found.a, found.b), strict=True))
        drawn.append(_pair([f"<h3>{side(m, 'only')}</h3>{part}" for m, part in zip("AB", lists, strict=True)]))
    if isinstance(field, Labels) and field.line and ours and theirs:
        drawn.insert(0, _lines(demo, field, found))
    if not drawn or not (isinstance(field, Labels) or field.table or (_numeric(ours) and _numeric(theirs))):
        drawn.append(_values(field, ours, theirs, titles))
    return "".join(drawn)


def _lines(demo: Demo, field: Labels, found: Comparison) -> str:
    """The number that is drawn as a line through each side's labels, and how many of all its labels reach it."""
    label = next((f.label for f in demo.outputs if f.name == field.line), field.line)
    told = []
    for mark, result in zip("AB", (found.a, found.b), strict=True):
        line, values = result.values[field.line], result.values[field.name]
        above = wording.above_line(sum(value >= line for value in values.values()), len(values), line)
        told.append(side(mark, above))
    key = '<span class="hub-line-key" aria-hidden="true"></span>'
    return f'<div class="hub-line-text hub-lines"><span>{key}{escape(say(label))}</span>{"".join(told)}</div>'


def _colours(field: Labels | Json, value: Any) -> dict[str, str]:
    """The colour of each row of a table that has them; rows are named by their first column of text."""
    if not (isinstance(field, Json) and field.table and value and "colour" in value[0]):
        return {}
    key = next((c for c, v in value[0].items() if c != "colour" and isinstance(v, str)), "colour")
    return {row[key]: str(row["colour"]) for row in value}


def _pair(parts: Sequence[str]) -> str:
    return f'<div class="hub-pair">{"".join(f"<div>{part}</div>" for part in parts)}</div>'


def _numeric(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_numeric(entry) for entry in value.values())
    return isinstance(value, int | float) and not isinstance(value, bool)


def _values(field: Labels | Json, ours: Any, theirs: Any, titles: Sequence[str]) -> str:
    """Values that are not numbers, as they are."""
    table = isinstance(field, Json) and field.table
    if ours == theirs:
        same = f'<p class="hub-help">{say("The same from both.")}</p>'
        return same + (html.table(ours or []) if table else html.value(ours))
    drawn = [html.table(value or []) if table else html.value(value) for value in (ours, theirs)]
    return _pair([f"<h3>{side(m, t)}</h3>{part}" for m, t, part in zip("AB", titles, drawn, strict=True)])


def _alone(field: Labels | Json, rows: Sequence[NumberPair], result: Result) -> str:
    if not rows:
        return f'<p class="hub-pending">{say("Nothing that the other has not.")}</p>'
    values = [(row.a if row.b is None else row.b) or 0.0 for row in rows]
    if isinstance(field, Labels):
        named = {row.name: value for row, value in zip(rows, values, strict=True)}
        # These are some of the side's labels; `_lines` counts them all.
        return html.labels(named, field.top, result.values.get(field.line) if field.line else None, counted=False)
    body = "".join(
        f'<tr><th scope="row">{escape(_name(row))}</th><td class="hub-number">{_number(field, row, value)}</td></tr>'
        for row, value in zip(rows, values, strict=True)
    )
    return f'<table class="hub-table hub-diff"><tbody>{body}</tbody></table>'


def _table(field: Labels | Json, rows: Sequence[NumberPair], colours: Mapping[str, str]) -> str:
    """Name, A, B and B - A, with a bar to the left or right; the rows that are equal unfold."""
    largest = max((abs(row.difference or 0) for row in rows), default=0) or 1
    drawn = [(_line(field, row, largest, colours), bool(row.difference)) for row in rows]
    first = [text for text, differs in drawn if differs]
    first = first if len(first) < SHOWN + 3 else first[:SHOWN]
    rest = [text for text, _ in drawn if text not in first]
    if not first:
        told = "The number is the same." if len(rows) == 1 else "All {count} numbers are the same."
        return f'<p class="hub-help">{say(told, count=len(rows))}</p>{_grid(rest)}'
    points = f'<p class="hub-help">{say("Difference in percentage points.")}</p>' if _in_percent(field, rows[0]) else ""
    equal = sum(not differs for _, differs in drawn)
    told = "{count} more, of which {equal} the same" if 0 < equal < len(rest) else "{count} more"
    told = say("{equal} that are the same" if equal == len(rest) else told, count=len(rest), equal=equal)
    more = f'<details class="hub-more"><summary>{told}</summary>{_grid(rest)}</details>' if rest else ""
    return points + _grid(first) + more


def _grid(lines: Sequence[str]) -> str:
    marks = "".join(f'<th scope="col" class="hub-number">{side(mark)}</th>' for mark in "AB")
    head = f'<tr><td></td>{marks}<th scope="col" class="hub-number">B {MINUS} A</th><td></td></tr>'
    return f'<table class="hub-table hub-diff"><thead>{head}</thead><tbody>{"".join(lines)}</tbody></table>'


def _line(field: Labels | Json, row: NumberPair, largest: float, colours: Mapping[str, str]) -> str:
    difference = row.difference or 0.0
    size = f"{50 * abs(difference) / largest:.1f}%"
    place = f"left:50%;width:{size}" if difference > 0 else f"right:50%;width:{size}"
    name = _name(row)
    a, b = (_number(field, row, value or 0.0) for value in (row.a, row.b))
    colour = colours.get(row.name)
    swatch = f'<span class="hub-swatch" style="background:{escape(colour)}"></span>' if colour else ""
    return (
        f'<tr><th scope="row">{swatch}{escape(name)}</th>'
        f'<td class="hub-number">{a}</td><td class="hub-number">{b}</td>'
        f'<td class="hub-number hub-delta">{signed(difference, _in_percent(field, row), _scale(field))}</td>'
        f'<td class="hub-swing"><span aria-hidden="true"><i style="{place}"></i></span></td></tr>'
    )


def _name(row: NumberPair) -> str:
    name = say(row.name)
    return name if row.column in ("", "percent") else f"{name} · {wording.heading(row.column)}"


def _in_percent(field: Labels | Json, row: NumberPair) -> bool:
    return isinstance(field, Labels) or row.column.endswith("percent")


def _scale(field: Labels | Json) -> int:
    return 100 if isinstance(field, Labels) else 1  # shares in [0, 1] are told in percent


def _number(field: Labels | Json, row: NumberPair, value: float) -> str:
    return wording.in_percent(_scale(field) * value) if _in_percent(field, row) else f"{value:.6g}"


def signed(difference: float, percent: bool = False, scale: int = 1) -> str:
    """`+3.2`, `\N{MINUS SIGN}0.031` or `0`: what is not equal does not look equal."""
    if not difference:
        return "0"
    size = abs(difference) * scale
    text = f"{size:.1f}" if percent and size >= 0.05 else f"{size:.2g}" if percent else f"{size:.6g}"
    return ("+" if difference > 0 else MINUS) + text


# --- receipts -------------------------------------------------------------------------------------


def receipts(found: Comparison, titles: Sequence[str]) -> str:
    """Both, beside each other, with the weights' names and digests and the results' addresses."""
    columns = [
        f"<h2>{side(mark, title)}</h2><p><code>{escape(result.receipt.weights)}</code><br>"
        f"sha256 <code>{escape(result.receipt.digest[:12])}</code><br>"
        f'{say("Result")} <a href="api/v1/results/{result.id}" target="_blank" rel="noopener">'
        f"<code>{result.id[:12]}</code></a></p>{html.remarks(result.receipt)}"
        f"{html.receipt(result.receipt, result.id, result.seed, opened=True)}"
        for mark, title, result in zip("AB", titles, (found.a, found.b), strict=True)
    ]
    return f'<section class="hub-panel hub-paid">{_pair(columns)}</section>'
