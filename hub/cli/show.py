"""What the command line prints: a result for people or as JSON data, tables, errors."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

from hub.errors import HubError, InputError, NotFoundError
from hub.pages import kinds
from hub.results.headline import headline
from hub.results.result import Result
from hub.spec import AudioOutput, Boxes, Demo, Gallery, Json, Labels, Plot, TextOutput, VideoOutput
from hub.weights.snapshots import OnBytes

WIDTH = 160  # of tables that go to a file or pipe
Paths = Mapping[str, Sequence[Path | str]]  # by output: where its pictures are; addresses on a hub elsewhere


def document(demo: Demo, result: Result, paths: Paths) -> dict[str, Any]:
    """As REST answers, but pictures are paths of files; null when they were not kept."""
    values = result.values
    outputs: dict[str, Any] = {}
    for field in demo.outputs:
        if field.name in values:
            outputs[field.name] = values[field.name]
            if kinds.has_files_beside(field):
                outputs[field.name] |= {"file": next((str(path) for path in paths.get(field.name, [])), None)}
            continue
        if field.name not in result.pictures:
            continue  # optional, and not there this time
        files_of = [str(path) for path in paths.get(field.name, [])]
        if isinstance(field, Gallery):
            captions = [picture.caption for picture in result.pictures[field.name]]
            files: list[str | None] = [*files_of] or [None] * len(captions)
            outputs[field.name] = [{"file": f, "caption": c} for f, c in zip(files, captions, strict=True)]
        else:
            outputs[field.name] = files_of[0] if files_of else None
    seed = {} if result.seed is None else {"seed": result.seed}
    body = {
        "id": result.id,
        "demo": result.capsule["page"],
        "headline": headline(demo, result),
        "outputs": outputs,
    }
    return {**body, **seed, "receipt": asdict(result.receipt)}


def show(out: Console, demo: Demo, result: Result, paths: Paths, heading: str) -> None:
    """A result for people."""
    values, block = result.values, "#" if out.options.ascii_only else "█"
    if heading:
        out.print(Text(heading, style="bold"), soft_wrap=True)
    if words := headline(demo, result):
        out.print(Text(words, style="bold green"), soft_wrap=True)
    for field in demo.outputs:
        if field.name not in values and field.name not in result.pictures:
            continue  # optional, and not there this time
        if isinstance(field, Labels):
            shares = list(values[field.name].items())[: field.top]
            width = max((len(name) for name, _ in shares), default=0)
            out.print(Text(field.label, style="cyan"))
            for name, share in shares:
                out.print(Text(f"  {name:{width}}  {share:6.1%}  {block * round(share * 24)}"))
        elif isinstance(field, TextOutput):
            out.print(Text(field.label, style="cyan"))
            out.print(Text(values[field.name]), soft_wrap=True)
        elif isinstance(field, Json):
            out.print(Text(field.label, style="cyan"))
            out.print(_table(values[field.name]) if field.table else Text(json.dumps(values[field.name], indent=2)))
        else:
            if isinstance(field, Boxes):
                out.print(Text(field.label, style="cyan"))
                out.print(_table(values[field.name]["boxes"]))
            if isinstance(field, Plot):
                out.print(Text(field.label, style="cyan"))
                out.print(Text(f"  {_brief(values[field.name])}"), soft_wrap=True)
            for number, picture in enumerate(result.kept_files[field.name]):
                files_of = paths.get(field.name)
                what = f"{picture.width} x {picture.height} {picture.extension}"
                if isinstance(field, VideoOutput | AudioOutput):
                    what = f"{values[field.name]['seconds']:g} s, {picture.extension}"
                where = str(files_of[number]) if files_of else "not kept; give --out DIR"
                caption = f" {picture.caption}" if picture.caption else ""
                line = Text.assemble((field.label, "cyan"), caption, ": ", where, (f" ({what})", "dim"))
                out.print(line, soft_wrap=True)
    for remark in result.receipt.remarks:
        out.print(Text(f"Note: {remark}", style="yellow"), soft_wrap=True)
    out.print(Text(receipt_line(result), style="dim"), soft_wrap=True)


def _brief(plot: Mapping[str, Any]) -> str:
    """What a plot holds, in a line."""
    return f"{', '.join(plot['series'])}: {len(plot['x'])} points each; --json has the numbers"


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=True, header_style="bold")
    for name in rows[0] if rows else ():
        table.add_column(name)
    for row in rows:
        table.add_row(*(Text(str(value), style=_colour(name, value)) for name, value in row.items()))
    return table


def _colour(column: str, value: Any) -> str:
    return str(value) if column == "colour" and isinstance(value, str) and len(value) == 7 else ""


def receipt_line(result: Result) -> str:
    """What a result cost, in one line."""
    receipt = result.receipt
    seed = "" if result.seed is None else f", seed {result.seed}"
    if receipt.cached:
        return f"stored result {result.id}, {receipt.total_ms:.0f} ms{seed}"
    load = f", of which {receipt.load_ms:.0f} ms loading the model" if receipt.cold else ""
    weights = f", weights {receipt.weights}@{receipt.digest[:12]}" if receipt.weights else ""
    how = f"{receipt.device} {receipt.dtype} {receipt.backend}"
    return f"result {result.id}, {receipt.total_ms:.0f} ms{load}, {how}{weights}{seed}"


@contextmanager
def download_bar(name: str) -> Iterator[OnBytes]:
    """A bar on stderr, if that is a terminal, for the bytes of a download."""
    screen = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=screen, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(name, total=None)
        yield lambda file, done, total: bar.update(task, description=file, completed=done, total=total)


def print_json(document: Any, file: IO[str] | None = None) -> None:
    """One JSON document."""
    file = file or sys.stdout
    print(json_text(document, file, indent=2), file=file)


def json_text(document: Any, file: IO[str], indent: int | None = None) -> str:
    """JSON in letters that `file` has; the others as JSON escapes them."""
    text = json.dumps(document, indent=indent, ensure_ascii=False)
    try:
        text.encode(getattr(file, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(document, indent=indent)
    return text


def never_refuse() -> None:
    """Letters that the terminal does not have are written as escapes: a name must not end a command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def console(file: TextIO | None = None) -> Console:
    """For `file` or stdout: as wide as the terminal, or wide enough for tables in a pipe."""
    file = file or sys.stdout
    return Console(file=file, width=None if file.isatty() else WIDTH, highlight=False)


def tell(error: HubError, about: str = "") -> None:
    """One line on stderr."""
    text = " ".join(f"{about}: {error.message}".removeprefix(": ").split())
    print(f"error: {text}", file=sys.stderr)


def exit_status(error: HubError) -> int:
    """2 for what the caller can mend, else 1."""
    return 2 if isinstance(error, InputError | NotFoundError) else 1
