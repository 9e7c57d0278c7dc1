"""`python -m hub compare`: two sets of weights on the same pictures, as numbers with their difference."""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hub.cli import run as cli_run
from hub.cli.files import OutFolder
from hub.cli.run import Run
from hub.cli.show import document, receipt_line
from hub.engine.compare import Comparison, choose_weights, compare, figures
from hub.engine.differences import NumberPair, Pair
from hub.engine.jobs import Cancel
from hub.execution.executor import OnEvent
from hub.hub import Hub
from hub.pages.registry import Page
from hub.settings import Settings
from hub.spec import Json, Labels, Progress, TextOutput

Paths = dict[str, list[Any]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `run`, and the two sets of weights."""
    cli_run.add_arguments(parser)
    parser.add_argument("--a", default="", metavar="NAME", help="weights A (default: the page's first)")
    parser.add_argument("--b", default="", metavar="NAME", help="weights B (default: the next other one)")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Compares on each picture. A picture that fails is told on stderr; the others go on."""
    hub = Hub(settings)
    try:
        page = hub.registry.get(args.slug)
        runs = cli_run.plan(page.demo, args.image, args.set)
        cli_run.fetch(hub, choose_weights(page, args.a, args.b))
        folder = OutFolder(args.out, args.force) if args.out else None

        def ask(inputs: Run, hear: OnEvent, cancel: Cancel) -> Comparison:
            def hear_side(side: str, stage: str, progress: Progress | None) -> None:
                hear(stage if stage == "loading" else f"{side.upper()} {stage}", progress)

            return compare(hub.engine, page.slug, inputs, args.a, args.b, cancel=cancel, on_event=hear_side)

        def tell_one(out: Console, comparison: Comparison, stem: str, heading: str) -> dict[str, Any]:
            paths = [
                folder.save(result, f"{stem}-{side}") if folder else {}
                for side, result in (("a", comparison.a), ("b", comparison.b))
            ]
            if args.json:
                both = zip("ab", (comparison.a, comparison.b), paths, strict=True)
                documents = {side: document(page.demo, result, side_paths) for side, result, side_paths in both}
                return {"demo": page.slug, **documents, **figures(comparison)}
            show(out, page, comparison, paths, heading)
            return {}

        return cli_run.each(settings, args, runs, ask, tell_one)
    finally:
        hub.close()


def show(out: Console, page: Page, comparison: Comparison, paths: list[Paths], heading: str) -> None:
    """A comparison for people."""
    line = partial(out.print, soft_wrap=True)
    if heading:
        line(Text(heading, style="bold"))
    line(Text(f"A: {comparison.a.receipt.weights}   B: {comparison.b.receipt.weights}", style="bold"))
    for note in comparison.notes:
        line(Text(note, style="yellow"))
    for field in page.demo.outputs:
        rows = [row for row in comparison.rows if row.output == field.name]
        if rows:
            line(Text(field.label, style="cyan"))
            out.print(_table(rows, isinstance(field, Labels)))
        elif isinstance(field, Json | TextOutput):
            same = comparison.a.values.get(field.name) == comparison.b.values.get(field.name)
            line(Text.assemble((field.label, "cyan"), ": ", "the same" if same else "not the same; see --json"))
        for pair in (pair for pair in comparison.pictures if pair.output == field.name):
            names = [str(one[field.name][pair.number]) for one in paths if pair.number < len(one.get(field.name, ()))]
            line(
                Text.assemble(
                    (field.label, "cyan"), ": ", _describe_pair(pair), (f" {' '.join(names)}".rstrip(), "dim")
                )
            )
    for side, result in (("A", comparison.a), ("B", comparison.b)):
        for remark in result.receipt.remarks:
            line(Text(f"{side}: Note: {remark}", style="yellow"))
        line(Text(f"{side}: {receipt_line(result)}", style="dim"))


def _describe_pair(pair: Pair) -> str:
    if pair.differ is None:
        return pair.note
    by = f" by more than {pair.levels} of 255" if pair.levels else ""
    return f"{pair.differ:.2%} of the pixels differ{by}"


def _table(rows: list[NumberPair], labels: bool) -> Table:
    """Labels and columns of percent in percent, and their difference in percentage points."""
    table = Table(box=None, pad_edge=True, header_style="bold")
    table.add_column("")
    for heading in ("A", "B", "B - A"):
        table.add_column(heading, justify="right")
    for row in rows:
        scale, percent = (100 if labels else 1), labels or row.column.endswith("percent")
        name = row.name if row.column in ("", "percent") else f"{row.name}, {row.column.replace('_', ' ')}"
        numbers = (_number(value, scale, ".1f" if labels else ".6g", " %" * percent) for value in (row.a, row.b))
        table.add_row(Text(name), *numbers, _number(row.difference, scale, "+.1f" if labels else "+.6g"))
    return table


def _number(value: float | None, scale: int, form: str, unit: str = "") -> str:
    return "-" if value is None else "0" if not value and "+" in form else format(scale * value, form) + unit
