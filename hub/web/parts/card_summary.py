"""What a card of weights says in four lines and a small chart. The card may be anybody's: all of it is bounded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from markdown_it import MarkdownIt
from markdown_it.token import Token

LINE_CHARS, NAME_CHARS = 240, 48
ROWS_LEAST, ROWS_MOST = 3, 24
DIGITS = 12
BY_GROUP, OVERALL = ("group", "class", "label", "tag"), "metric"  # what heads the first column of a table of figures


@dataclass(frozen=True, slots=True)
class Chart:
    """Figures by group or class; `share`: of the longest bar, in [0, 1]."""

    title: str
    rows: tuple[tuple[str, str, float], ...]  # name, number as it is written, share


@dataclass(frozen=True, slots=True)
class Summary:
    """The first sentence of each section, empty where the card has none."""

    data: str
    limits: str
    chart: Chart | None


@lru_cache(64)
def summarise(markdown: MarkdownIt, card: str) -> Summary:
    """Of a card that is already cut to what is drawn of it."""
    tokens = markdown.parse(card)
    tables = [chart for table in _tables(tokens) if (chart := _chart(table))]
    charts = dict(reversed(tables))
    return Summary(
        _first_sentence(tokens, "data"),
        _first_sentence(tokens, "limits"),
        next((charts[kind] for kind in (*BY_GROUP, OVERALL) if kind in charts), None),
    )


def _first_sentence(tokens: Sequence[Token], section: str) -> str:
    """Of the first paragraph or list entry below a heading of that name."""
    headings = [n for n, token in enumerate(tokens) if token.type == "heading_open"]
    for place in headings:
        if _plain(tokens[place + 1]).strip().lower() == section:
            below = (token for token in tokens[place + 3 :] if token.type in ("inline", "heading_open"))
            first = next(below, None)
            return _cut(_plain(first)) if first is not None and first.type == "inline" else ""
    return ""


def _cut(text: str) -> str:
    end = text.find(". ")
    sentence = text[: end + 1] if 0 <= end < LINE_CHARS else text
    return sentence if len(sentence) <= LINE_CHARS else sentence[: LINE_CHARS - 1].rstrip() + "…"


def _plain(inline: Token) -> str:
    """The words without their marks."""
    parts = [" " if one.type in ("softbreak", "hardbreak") else one.content for one in inline.children or ()]
    return " ".join("".join(parts).split())


def _tables(tokens: Sequence[Token]) -> Iterator[list[list[str]]]:
    rows: list[list[str]] = []
    for number, token in enumerate(tokens):
        if token.type == "table_open":
            rows = []
        elif token.type == "tr_open":
            rows.append([])
        elif token.type in ("th_open", "td_open") and rows:
            rows[-1].append(_plain(tokens[number + 1])[:NAME_CHARS])
        elif token.type == "table_close":
            yield rows


def _chart(table: Sequence[Sequence[str]]) -> tuple[str, Chart] | None:
    """What heads the first column, and bars of the first two; None: it is no table of figures."""
    if not table or len(table[0]) < 2:
        return None
    figures = [(row[0], row[1], value) for row in table[1:] if len(row) > 1 and (value := _number(row[1])) is not None]
    if len(figures) < max(ROWS_LEAST, len(table) - 2):
        return None
    figures, most = figures[:ROWS_MOST], max(value for _, _, value in figures)
    longest = 1.0 if most <= 1 else most
    rows = tuple((name, text, value / longest) for name, text, value in figures)
    return table[0][0].lower(), Chart(table[0][1], rows)


def _number(text: str) -> float | None:
    """A figure of at least 0, as a card writes it."""
    digits = text.replace(".", "", 1)
    return float(text) if digits.isascii() and digits.isdigit() and len(digits) < DIGITS else None
