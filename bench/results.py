"""RESULTS.md: the last whole run, as it came out, with commit and machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.bars import Verdict
from bench.report import bound

HEAD = """# Results

Written by `make bench-full`; the history of runs, with what was found and what failed, is in [LOG.md](LOG.md).
A figure is the ratio of the hub to the peer named, medians within rounds, unless it is a number of the hub's own.
"""


def write(file: Path, about: Mapping[str, Any], verdicts: Sequence[Verdict], table: str) -> None:
    lines = [HEAD, *_facts(about), "", "| figure | measured | bar | met | how |", "|---|---|---|---|---|"]
    for verdict in verdicts:
        measured = f"{verdict.figure:.3g}" if verdict.figure is not None else ""
        how = verdict.bar.how if verdict.figure is not None else verdict.reason
        cells = (verdict.bar.figure, measured, bound(verdict), verdict.met, how)
        lines.append("| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in cells) + " |")
    whole = "\n".join(line.rstrip() for line in table.splitlines())
    file.write_text("\n".join([*lines, "", "```", whole, "```", ""]), encoding="utf-8")


def _facts(about: Mapping[str, Any]) -> list[str]:
    machine, versions = about["machine"], about["versions"]
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    return [
        f"- {about['date']}, commit {about['commit'] or 'unknown'}, `{about['plan']}` plan, {about['seconds']:.0f} s",
        f"- {machine['cores']} cores of {machine['cpu']}, {machine['memory_gb']} GB, {machine['system']}",
        f"- {about['device']}, {about['dtype']}; {named}",
        f"- load before and after: {about['load'][0]:.2f}, {about['load'][1]:.2f}",
        f"- {'NOT QUIET: ' + '; '.join(about['not_quiet']) if about['not_quiet'] else 'the machine was quiet'}",
    ]
