"""RESULTS.md: the last figures of every part, with commit and machine; RESULTS.json beside it holds them for programs.

A whole run takes over an hour, so parts may be measured in several: a run puts its parts in the place of earlier ones,
and each figure says of which run it is.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.bars import judge
from bench.figures import Gap, Row, Spread
from bench.report import bound, table

HEAD = """# Results

Written by `make bench-full`; the history of runs, with what was found and what failed, is in [LOG.md](LOG.md).
A figure is the ratio of the hub to the peer named, medians within rounds, unless it is a number of the hub's own.
"""
WIDTH = 170

Run = dict[str, Any]  # what `report.document` gives, with the parts that still count


def keep(file: Path, document: Mapping[str, Any]) -> None:
    """Puts a run's parts in the place of those that `file` has of earlier runs."""
    beside = file.with_suffix(".json")
    earlier: list[Run] = json.loads(beside.read_text(encoding="utf-8")) if beside.exists() else []
    new = {_part(row) for row in (*document["rows"], *document["gaps"])}
    runs = [dict(document), *(_without(run, new) for run in earlier)]
    runs = [run for run in runs if run["rows"] or run["gaps"]]
    file.write_text(_text(runs), encoding="utf-8")
    beside.write_text(json.dumps(runs, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _part(row: Mapping[str, Any]) -> str:
    return str(row["key"]).split(".")[0]


def _without(run: Run, parts: set[str]) -> Run:
    rows, gaps = ([row for row in run[kind] if _part(row) not in parts] for kind in ("rows", "gaps"))
    kept = {_part(row) for row in (*rows, *gaps)}
    by_part = {name: {k: v for k, v in run[name].items() if k in kept}
               for name in ("details", "others_percent", "steal_percent")}  # fmt: skip
    return {**run, "rows": rows, "gaps": gaps, "bars": [b for b in run["bars"] if _part(b) in kept], **by_part}


def _text(runs: Sequence[Run]) -> str:
    of_run = {row["key"]: n for n, run in enumerate(runs, 1) for row in (*run["rows"], *run["gaps"])}
    lines = [HEAD, "| figure | measured | bar | met | how | run |", "|---|---|---|---|---|---|"]
    for verdict in judge([row for run in runs for row in _rows(run)]):
        measured = f"{verdict.figure:.3g}" if verdict.figure is not None else ""
        how = verdict.bar.how if verdict.figure is not None else verdict.reason
        cells = (
            verdict.bar.figure, measured, bound(verdict), verdict.met, how, str(of_run.get(verdict.bar.key, "")),
        )  # fmt: skip
        lines.append("| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in cells) + " |")
    for number, run in enumerate(runs, 1):
        paper = Console(width=WIDTH, file=io.StringIO(), color_system=None)
        paper.print(
            table(_rows(run), "medians (first .. third quartile); ratios within rounds, hub and baseline in turn")
        )
        drawn = paper.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
        whole = "\n".join(line.rstrip() for line in drawn.splitlines())
        lines += ["", f"## Run {number}", "", *_facts(run), "", "```", whole, "```"]
    return "\n".join([*lines, ""])


def _rows(run: Run) -> list[Row | Gap]:
    rows: list[Row | Gap] = [Row(**{**row, **_spreads(row)}) for row in run["rows"]]
    return [*rows, *(Gap(**gap) for gap in run["gaps"])]


def _spreads(row: Mapping[str, Any]) -> dict[str, Spread | None]:
    return {name: Spread(**row[name]) if row[name] else None for name in ("hub", "baseline", "ratio")}


def _facts(about: Mapping[str, Any]) -> list[str]:
    machine, versions = about["machine"], about["versions"]
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    others = ", ".join(f"{part} {share:g} %" for part, share in about["others_percent"].items())
    facts = [
        f"- {about['date']}, commit {about['commit'] or 'unknown'}, `{about['plan']}` plan, {about['seconds']:.0f} s",
        f"- {machine['cores']} cores of {machine['cpu']}, {machine['memory_gb']} GB, {machine['system']}",
        f"- {about['device']}, {about['dtype']}; {named}",
        f"- load before and after: {about['load'][0]:.2f}, {about['load'][1]:.2f}; other programs took: {others}",
        f"- {'NOT QUIET: ' + '; '.join(about['not_quiet']) if about['not_quiet'] else 'the machine was quiet'}",
    ]
    return [*facts, f"- it ended early: {about['error']}"] if about.get("error") else facts
