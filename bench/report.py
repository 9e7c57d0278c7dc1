"""What was found, for people (a table) and for programs (one line of JSON)."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from rich.markup import escape
from rich.table import Table

from bench.bars import Verdict, judge
from bench.context import Findings
from bench.figures import Gap, Row, Spread

PACKAGES = ("gradio", "gradio_client", "torch", "torchvision", "timm", "segmentation-models-pytorch", "pillow", "numpy")
FORMAT = 2  # raise it when a key of the JSON line changes its meaning


def table(rows: Iterable[Row | Gap], caption: str) -> Table:
    made = Table(caption=caption, caption_justify="left")
    for title in ("", "what", "unit", "hub", "baseline", "", "hub / baseline", "n"):
        made.add_column(title, justify="left" if title in ("", "what", "unit") else "right")
    last = ""
    for row in rows:
        part = row.key.split(".")[0]
        if last not in ("", part):
            made.add_section()
        name, last = part if part != last else "", part
        if isinstance(row, Gap):
            rest = row.key.partition(".")[2]
            made.add_row(name, escape(f"{rest + ': ' if rest else ''}not measured: {row.reason}"))
        else:
            made.add_row(name, *_cells(row))
    return made


def _cells(row: Row) -> list[str]:
    good = "green" if row.hub_wins else "default"
    ratio = f"[{good}]{_with_spread(row.ratio, ratio=True)}[/]" if row.ratio else ""
    same = row.baseline is None or row.hub.n == row.baseline.n
    n = str(row.hub.n) if same or row.baseline is None else f"{row.hub.n} / {row.baseline.n}"
    theirs = _with_spread(row.baseline) if row.baseline else ""
    return [row.what, row.unit, _with_spread(row.hub), theirs, row.baseline_name, ratio, n]


def bars_table(verdicts: Iterable[Verdict]) -> Table:
    """Figure, bar, whether it is met."""
    made = Table(title="bars")
    for title in ("figure", "measured", "bar", "met", "how"):
        made.add_column(title, justify="right" if title in ("measured", "bar") else "left")
    colours = {"yes": "green", "no": "red", "not measured": "yellow"}
    for verdict in verdicts:
        bar = verdict.bar
        measured = "" if verdict.figure is None else _number(verdict.figure, ratio=True)
        how = bar.how if verdict.figure is not None else verdict.reason
        met = f"[{colours[verdict.met]}]{verdict.met}[/]"
        made.add_row(escape(bar.figure), measured, bound(verdict), met, escape(how))
    return made


def bound(verdict: Verdict) -> str:
    return f"{'>=' if verdict.bar.least else '<='} {verdict.bar.bound:g}"


def document(found: Mapping[str, Findings], about: Mapping[str, Any]) -> dict[str, Any]:
    """All figures with what they depend on; JSON-able."""
    every = [row for findings in found.values() for row in findings.rows]
    rows = [_rounded(asdict(row)) for row in every if isinstance(row, Row)]
    gaps = [asdict(row) for row in every if isinstance(row, Gap)]
    held = [{"key": v.bar.key, "figure": _rounded(v.figure), "bar": bound(v), "met": v.met} for v in judge(every)]
    details = {name: _rounded(findings.details) for name, findings in found.items() if findings.details}
    return {
        "bench": "demo-hub", "format": FORMAT, **about, "rows": rows, "gaps": gaps, "bars": held, "details": details
    }  # fmt: skip


def line(report: Mapping[str, Any]) -> str:
    return json.dumps(report, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def machine() -> dict[str, Any]:
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(),
    }


def versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _with_spread(spread: Spread, *, ratio: bool = False) -> str:
    if spread.n == 1:
        return _number(spread.median, ratio)
    return f"{_number(spread.median, ratio)} ({_number(spread.q1, ratio)} .. {_number(spread.q3, ratio)})"


def _number(value: float, ratio: bool = False) -> str:
    if value == int(value) and value < 10:
        return str(int(value))
    digits = 3 if value < 0.1 else 2 if ratio or value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f}"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(entry) for entry in value]
    return value


def _cpu_name() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    facts = dict(part.split(":", 1) for part in text.split("\n\n")[0].splitlines() if ":" in part)
    named = {key.strip(): value.strip() for key, value in facts.items()}
    name = named.get("model name", platform.machine())
    family = f"family {named['cpu family']} model {named['model']}" if "cpu family" in named else ""
    return f"{name} ({family})" if family else name
