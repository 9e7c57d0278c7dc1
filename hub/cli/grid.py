"""`python -m hub grid`: pictures of every subject in every style with every seed; and `python -m hub gallery`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from hub.archive import gallery
from hub.archive.picture_index import ALL
from hub.batch import grid, plan, workers
from hub.batch.folder import RunFolder
from hub.batch.grid import Pace
from hub.batch.plan import Plan
from hub.batch.workers import Tally
from hub.cli import run as cli_run
from hub.cli.files import why_not, write
from hub.cli.interrupt import cancelling
from hub.cli.show import console, print_json, tell
from hub.engine.jobs import Cancel
from hub.errors import HubError, InputError
from hub.files import read_text
from hub.hub import Hub
from hub.settings import Settings

GRID_HELP = "Draw every subject in every style with every seed; what a killed run has drawn is kept."
GALLERY_HELP = "Find pictures that were made from words."
Hear = Callable[[str, Any], None]


def add_grid(parser: argparse.ArgumentParser) -> None:
    """The page and the grid."""
    parser.add_argument("slug", nargs="?", default="", metavar="PAGE", help="a page that makes pictures from words")
    for flag, help in (("--subject", "what the pictures show"), ("--style", "words added to each subject")):
        text = f"{help}; several, or @FILE with one a line"
        parser.add_argument(flag, nargs="+", action="extend", default=[], metavar="TEXT", help=text)
    parser.add_argument("--seeds", default="1", metavar="N", help="how many seeds (4), or which (7,12,40-49)")
    parser.add_argument(
        "--template", default="", metavar="TEXT", help="how prompts are made (default: '{subject}, {style}')"
    )
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="another input of the page")
    parser.add_argument(
        "--workers", dest="processes", type=int, default=1, metavar="N", help="processes, each with its own model"
    )
    parser.add_argument("--run", default="", metavar="NAME", help="a name for the run (default: date and time)")
    parser.add_argument("--resume", default="", metavar="RUN", help="draw what an earlier run has not drawn")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where runs are kept (default: batches/ in the data folder)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run_grid(args: argparse.Namespace, settings: Settings) -> int:
    """Draws what is missing of a new or an earlier grid; 1 where pictures failed."""
    if args.processes < 1:
        raise InputError("--workers must be 1 or more, got {workers}.", workers=args.processes)
    hub = Hub(grid.settings_for(settings))
    try:
        root = args.out or grid.root(settings)
        folder, grid_plan = _resume(hub, root, args) if args.resume else _plan(hub, root, args)
        with folder.hold():
            cells = grid.missing(folder, grid_plan.cells())
            before = len({cell.name for cell in grid_plan.cells()}) - len(cells)
            with _progress(grid_plan, len(cells), before) as hear, redirect_stdout(sys.stderr):
                try:
                    tally = _draw(hub, folder, grid_plan, cells, args.processes, hear)
                except (KeyboardInterrupt, HubError):
                    print(f"Go on with: python -m hub grid --resume {grid_plan.run}", file=sys.stderr)
                    raise
        _tell(args, folder, grid_plan, tally, before)
        return 1 if tally.failed else 0
    finally:
        hub.close()


def _plan(hub: Hub, root: Path, args: argparse.Namespace) -> tuple[RunFolder, Plan]:
    if not args.slug:
        raise InputError("Name the page to draw on, as stable_diffusion, or --resume RUN.")
    subjects, styles = _lines(args.subject), _lines(args.style)
    demo = hub.registry.get(args.slug).demo
    (values,) = cli_run.plan(demo, [], args.set)
    if values.get("weights"):
        cli_run.fetch(hub, {str(values["weights"])})
    elif demo.weights:
        cli_run.fetch(hub, {demo.weights[0].name})
    grid_plan = plan.make(
        hub, args.slug, subjects, styles, gallery.seeds_of(args.seeds),
        template=args.template, settings=values, run=args.run,
    )  # fmt: skip
    return RunFolder.create(root, grid_plan), grid_plan


def _resume(hub: Hub, root: Path, args: argparse.Namespace) -> tuple[RunFolder, Plan]:
    if args.slug or args.subject or args.style or args.set or args.template or args.run or args.seeds != "1":
        raise InputError("--resume goes on with a run as it was planned; leave the page and the grid out.")
    folder, grid_plan = RunFolder.open(root, args.resume)
    grid.check(hub, grid_plan)
    return folder, grid_plan


def _draw(hub: Hub, folder: RunFolder, grid_plan: Plan, cells: Any, count: int, hear: Hear) -> Tally:
    if not cells:
        return Tally()
    if count == 1:
        cancel = Cancel()
        with cancelling(cancel):
            return workers.here(hub, folder, grid_plan, cells, hear, cancel=cancel)
    return workers.apart(hub.settings, folder, grid_plan, cells, count, hear)


def _lines(texts: Sequence[str]) -> list[str]:
    """Texts, those of `@FILE` line by line. Raises InputError."""
    entries = list[str]()
    for text in texts:
        if not text.startswith("@"):
            entries.append(text)
            continue
        try:
            lines = read_text(Path(text[1:])).splitlines()
        except (OSError, ValueError) as error:
            raise InputError("{text} cannot be read: {reason}", text=text[1:], reason=error) from None
        entries += [line.strip() for line in lines if line.strip()]
    return entries


# --- progress and figures -------------------------------------------------------------------------


@contextmanager
def _progress(grid_plan: Plan, count: int, before: int) -> Iterator[Hear]:
    """A bar on a terminal for all that is to be drawn; a line on stderr where there is none."""
    screen = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}"), TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=screen, disable=not screen.is_terminal, redirect_stdout=False) as bar:
        task = bar.add_task("loading the model", total=count + before, completed=before, pace="")
        if not screen.is_terminal:
            already = f", {before} are there already" if before else ""
            print(f"Run {grid_plan.run}: {count} cells to draw{already}.", file=sys.stderr)

        def hear(kind: str, value: Any) -> None:
            if kind == "ready":
                bar.update(task, description=f"drawing {grid_plan.run}")
            elif kind == "done":
                bar.advance(task)
                speed = bar.tasks[task].speed
                bar.update(task, pace=f"{60 * speed:.0f} a minute" if speed else "")
                for remark in value.get("remarks", ()):
                    text_of_note = f"note: {value['prompt']}, seed {value['seed']}: {remark}"
                    screen.print(Text(text_of_note), soft_wrap=True)
            elif kind == "failed":
                cell, text = value
                screen.print(Text(f"error: {cell.prompt}, seed {cell.seed}: {text}"), soft_wrap=True)
            elif kind == "lost":
                screen.print(Text(f"Worker {value} ended; the others draw its part."), soft_wrap=True)

        yield hear


def _tell(args: argparse.Namespace, folder: RunFolder, grid_plan: Plan, tally: Tally, before: int) -> None:
    every, drawn_count = grid.total(tally.paces.values()), sum(p.pictures for p in tally.paces.values())
    if args.json:
        document = {
            "run": grid_plan.run,
            "folder": str(folder.path),
            "cells": len(grid_plan),
            "kept": before,
            "drawn": drawn_count,
            "failed": len(tally.failed),
            **_figures(every),
            "workers": {name: _figures(pace) for name, pace in tally.paces.items()},
        }
        print_json(document)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Worker", "Pictures", "Loading", "Drawing", "A minute"):
        table.add_column(heading, justify="left" if heading == "Worker" else "right")
    rows = [*sorted(tally.paces.items()), *([("all", every)] if len(tally.paces) > 1 else [])]
    for name, pace in rows:
        table.add_row(
            name, str(pace.pictures), f"{pace.load_s:.1f} s", f"{pace.seconds:.1f} s", f"{pace.per_minute:.1f}"
        )
    out = console()
    if rows:
        out.print(table)
    failures = f", {len(tally.failed)} failed (--resume {grid_plan.run} tries them again)" if tally.failed else ""
    out.print(f"Run {grid_plan.run}: {drawn_count} drawn, {before} kept from before{failures}.", highlight=False)
    out.print(f"{folder.path}", soft_wrap=True)


def _figures(pace: Pace) -> dict[str, Any]:
    seconds, minute = round(pace.seconds, 2), round(pace.per_minute, 1)
    return {"pictures": pace.pictures, "load_s": round(pace.load_s, 2), "seconds": seconds, "per_minute": minute}


# --- gallery --------------------------------------------------------------------------------------


def add_gallery(parser: argparse.ArgumentParser) -> None:
    """What is looked for, and what becomes of it."""
    parser.add_argument("--query", default="", metavar="WORDS", help="words of the prompt, subject, style, page, model")
    for name, help in {
        "subject": "of this subject", "style": "in this style", "seed": "with this seed", "run": "of this grid",
        "model": "by these weights: NAME or NAME@DIGEST", "demo": "of this page", "since": "made on this day or later",
        "until": "made on this day or before",
    }.items():  # fmt: skip
        metavar = "YYYY-MM-DD" if name in ("since", "until") else "X"
        parser.add_argument(f"--{name}", default="", metavar=metavar, help=help)
    parser.add_argument(
        "--order", choices=gallery.ORDER_NAMES, default="new", help="new or old first, or by subject and seed"
    )
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="at most so many (default: 20)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="copy the pictures there, with prompts.csv")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run_gallery(args: argparse.Namespace, settings: Settings) -> int:
    """Lists what is found. Who has this machine sees the runs of all visitors."""
    names = ("subject", "style", "seed", "run", "model", "demo", "since", "until")
    query = gallery.query({"q": args.query, **{name: getattr(args, name) for name in names}})
    hub = Hub(settings)
    try:
        pictures = hub.pictures
        records, count = pictures.index().search(query, ALL, order=args.order, limit=max(0, args.limit))
        status = _copy(hub, records, args.out) if args.out else 0
        if args.json:
            rows = [gallery.row(entry) for entry in records]
            print_json({"total": count, "pictures": rows})
            return status
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in ("Made", "Page", "Prompt", "Seed", "Model", "Run", "File"):
            table.add_column(heading, overflow="fold")
        for entry in records:
            row = gallery.row(entry)
            file = str(pictures.batches / entry.place) if entry.source == "batch" else f"result {entry.result}"
            cells = (row["created_at"][:16], entry.demo, entry.prompt, str(entry.seed), entry.weights, entry.run, file)
            table.add_row(*map(Text, cells))
        if records:
            console().print(table)
        print(f"{len(records)} of {count} pictures.", file=sys.stderr)
        return status
    finally:
        hub.close()


def _copy(hub: Hub, entries: Any, folder: Path) -> int:
    """Pictures and prompts.csv; returns the exit status. A picture that cannot be written is told, and not listed."""
    rows, status = list[dict[str, str]](), 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for row, data in gallery.files(hub.pictures, entries):
            path = folder / row["file"]
            try:
                write(path, data, over=True)
            except OSError as error:
                tell(HubError("{path} cannot be written: {reason}.", path=path, reason=why_not(error)))
                status = 1
                continue
            rows.append(row)
        write(folder / "prompts.csv", gallery.table(rows), over=True)
    except OSError as error:
        raise HubError("{path} cannot be written: {reason}.", path=folder, reason=why_not(error)) from None
    return status
