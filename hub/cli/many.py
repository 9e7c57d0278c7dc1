"""`python -m hub run PAGE --image DIR --csv out.csv`: many pictures become a table, which goes on where it was cut.

Each row is written to a file beside the CSV as it comes (`out.csv.rows.jsonl`); the CSV is made of those at the end, or
when it is interrupted. The same command again does only what is missing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from hub.batch.grid import settings_for
from hub.cli.files import OutFolder, why_not
from hub.cli.interrupt import cancelling
from hub.cli.show import console, exit_status, print_json
from hub.engine.jobs import Cancel
from hub.errors import CancelledError, ConflictError, HubError, InputError, UnavailableError
from hub.files import replacing
from hub.hub import Hub
from hub.jobs import given, tables
from hub.jobs.folders import PictureReader
from hub.jobs.jobs import Given
from hub.jobs.measured import mask_output, read_against
from hub.jobs.reading import picture_input
from hub.jobs.records import Row
from hub.jobs.scores import Score, score
from hub.jobs.summary import histograms
from hub.jobs.zips import is_left_out
from hub.settings import Settings
from hub.spec import Demo

ROWS = ".rows.jsonl"
HEAD_BYTES = 8
ZIPPED = ".zip"


def run(args: argparse.Namespace, settings: Settings, common: dict[str, Any]) -> int:
    """Runs the demo on every picture of the folders, files and ZIPs in `args.image`; returns the exit status."""
    hub = Hub(settings_for(settings))
    try:
        demo = hub.registry.get(args.slug).demo
        if not picture_input(demo):
            raise InputError("--csv is for pages that need one picture; {page} does not.", page=args.slug)
        pictures = find_pictures(args.image, args.truth, masks=bool(mask_output(demo)))
        digest = hub.weights.obtain(str(common.get("weights") or demo.weights[0].name)).digest if demo.weights else ""
        head = {"page": args.slug, "version": demo.version, "weights": digest, "settings": common}
        with Journal(args.csv, head, args.force) as journal, redirect_stdout(sys.stderr):
            status = _do(hub, args, common, journal, pictures)
        _report(demo, journal, args)
        return status
    finally:
        hub.close()


def find_pictures(images: Sequence[str], truth: str, masks: bool = False) -> list[Given]:
    """What is in folders and ZIP files, and files by themselves. Raises InputError.

    `file` of each is the path of a file, or of a ZIP with the place in it behind a `#`.
    """
    labels = None
    if truth not in given.TRUTHS:
        try:
            labels = given.read_labels(Path(truth).read_bytes())
        except OSError as error:
            raise InputError("--truth {truth} cannot be read: {why}.", truth=truth, why=error.strerror) from None
    files: list[tuple[str, str, bytes]] = []
    for text in images:
        path = Path(text)
        if path.is_dir():
            found = sorted(one for one in path.rglob("*") if one.is_file())
            entries = [(one.relative_to(path).as_posix(), one) for one in found]
            files += [(name, str(one.resolve()), b"") for name, one in entries if not is_left_out(name)]
        elif path.is_file():
            head = path.read_bytes()[:HEAD_BYTES] if path.suffix.lower() == ZIPPED else b""
            files.append((path.name, str(path.resolve()), head))
        else:
            raise InputError("--image {path}: there is no such file or folder.", path=text, field="image")
    most = max(len(files), sys.maxsize // 2**20)  # on one's own machine there is no end
    kind = truth if labels is None else "none"
    pictures = given.list_pictures(Path("/"), files, most, kind, masks=masks, labels=labels)
    if not pictures:
        raise InputError("There is no picture in {listed}.", listed=", ".join(images), field="image")
    return pictures


# --- what is kept ---------------------------------------------------------------------------------


class Journal:
    """The rows so far, a line each, and the CSV that is made of them."""

    def __init__(self, path: Path, head: dict[str, Any], force: bool):
        self.path, self._rows = path, path.with_name(path.name + ROWS)
        self._head, self._force = json.loads(json.dumps(head, default=str)), force
        self._file: IO[str] | None = None
        self.done: set[str] = set()

    def __enter__(self) -> Journal:
        """Raises ConflictError for rows of another run, InputError for a file that is there already."""
        try:
            if self._force:
                self._rows.unlink(missing_ok=True)
            elif not self._rows.exists() and self.path.exists():
                raise InputError("{path} is there already; --force writes over it.", path=self.path)
            if self._rows.exists():
                self._go_on()
            self._file = self._rows.open("a", encoding="utf-8")
            if not self._rows.stat().st_size:
                self._write(self._head)
        except OSError as error:
            raise UnavailableError("{path} cannot be written: {why}.", path=self.path, why=why_not(error)) from None
        return self

    def _go_on(self) -> None:
        with self._rows.open("rb+") as file:  # a line that a kill cut off is done again
            data = file.read()
            file.truncate(data.rfind(b"\n") + 1)
        lines = self._rows.read_text(encoding="utf-8").splitlines()
        if lines and json.loads(lines[0]) != self._head:
            raise ConflictError(
                "{path} is of another page, other weights or other settings; --force begins anew.", path=self._rows
            )
        self.done = {json.loads(line)["file"] for line in lines[1:]}

    def add(self, row: Row) -> None:
        self._write(tables.row_to_json(row))

    def _write(self, line: dict[str, Any]) -> None:
        assert self._file is not None
        self._file.write(json.dumps(line, ensure_ascii=True) + "\n")
        self._file.flush()

    def rows(self) -> Iterator[Row]:
        """All rows, in the order in which they came."""
        with self._rows.open(encoding="utf-8") as file:
            next(file, "")
            for line in file:
                yield tables.row_from_json(json.loads(line))

    def __exit__(self, *error: object) -> None:
        """Writes the CSV, whatever ended the run."""
        if self._file is not None:
            self._file.close()
        order = sorted(self.rows(), key=lambda row: row.number)
        names = dict.fromkeys(name for row in order for name in row.reading.numbers)
        try:
            with replacing(self.path) as file:
                for piece in tables.to_csv(iter(order), [*names], str):
                    file.write(piece)
        except OSError as refused:
            raise UnavailableError("{path} cannot be written: {why}.", path=self.path, why=why_not(refused)) from None


# --- doing it -------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Many:
    """One command at work."""

    hub: Hub
    slug: str
    common: dict[str, Any]
    reader: PictureReader
    folder: OutFolder | None
    cancel: Cancel

    def one(self, number: int, picture: Given) -> tuple[Row, HubError | None]:
        """The row of one picture, and what was wrong with it."""
        demo = self.hub.registry.get(self.slug).demo
        row = Row(number, picture.name, picture.file, picture.truth)
        try:
            inputs = {**self.common, picture_input(demo): self.reader.read(row)}
            result = self.hub.engine.run(self.slug, inputs, cancel=self.cancel)
            stem = f"{number:05d}-{Path(picture.name).stem}"
            paths = (
                [str(path) for group in self.folder.save(result, stem).values() for path in group]
                if self.folder
                else []
            )
        except HubError as error:
            return Row(number, picture.name, truth=picture.truth, state="failed", problem=error.message), error
        hub = self.hub
        reading, problem = read_against(demo, result, picture.against, hub.weights, self.reader.read_file, hub.limits)
        place = next(iter(paths), "")
        return Row(number, picture.name, "", picture.truth, "done", place, reading, problem), None


def _do(hub: Hub, args: argparse.Namespace, common: dict[str, Any], journal: Journal, pictures: list[Given]) -> int:
    """Few pictures are in work at once, however many there are."""
    cancel, status = Cancel(), 0
    folder = OutFolder(args.out, args.force) if args.out else None
    many = _Many(hub, args.slug, common, PictureReader(Path("/"), hub.limits), folder, cancel)
    waiting = iter([(at, one) for at, one in enumerate(pictures, 1) if one.name not in journal.done])
    most = min(hub.registry.get(args.slug).demo.max_batch, hub.settings.max_batch, hub.settings.queue_limit)
    screen = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar,
        ThreadPoolExecutor(most) as threads,
        cancelling(cancel),
    ):
        task = bar.add_task(args.slug, total=len(pictures), completed=len(journal.done))
        running: set[Future[tuple[Row, HubError | None]]] = set()
        try:
            while True:
                while len(running) < most and not cancel.is_set() and (one := next(waiting, None)):
                    running.add(threads.submit(many.one, *one))
                if not running:
                    break
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for row, error in (future.result() for future in done):
                    if isinstance(error, CancelledError):
                        continue
                    journal.add(row)
                    bar.advance(task)
                    if row.state == "done" and row.problem:
                        screen.print(Text(f"warning: {row.name}: {row.problem}", style="yellow"), soft_wrap=True)
                    if error is not None:
                        screen.print(Text(f"error: {row.name}: {error.message}", style="red"), soft_wrap=True)
                        status = max(status, exit_status(error))
        finally:
            cancel.set()
            many.reader.close()
    return status


def _report(demo: Demo, journal: Journal, args: argparse.Namespace) -> None:
    """What all rows say together."""
    names, numbers, failed, done = Counter[str](), dict[str, list[float]](), 0, 0
    for row in journal.rows():
        failed += row.state == "failed"
        done += row.state == "done"
        names.update(row.reading.names)
        for name, value in row.reading.numbers.items():
            numbers.setdefault(name, []).append(value)
    scored = score(demo, ((row.truth, row.reading) for row in journal.rows() if row.state == "done"))
    spread = histograms(numbers)
    if args.json:
        summary = {"done": done, "failed": failed, "names": dict(names.most_common()), "csv": str(args.csv)}
        summary |= {"histograms": [asdict(one) for one in spread], "score": asdict(scored) if scored else None}
        print_json(summary)
        return
    out = console(sys.stdout)
    out.print(Text(f"{done} answered, {failed} failed: {args.csv}"), soft_wrap=True)
    for name, count in names.most_common(20):
        out.print(Text(f"  {count:6}  {name}"))
    for one in spread[:20]:
        out.print(Text(f"  {one.name}: mean {one.mean:.6g}, from {one.low:.6g} to {one.high:.6g}"))
    if scored:
        _show_score(out, scored)


def _show_score(out: Console, scored: Score) -> None:
    if scored.figures:
        out.print(Text(f"Against what is true of {scored.pictures} pictures, 95 % interval in brackets", style="bold"))
    for figure in scored.figures:
        out.print(Text(f"  {figure.name:12} {figure.value:.4f}  [{figure.low:.4f}, {figure.high:.4f}]"))
    if scored.confusion:
        table = Table(box=None, pad_edge=True, header_style="bold")
        table.add_column("truth" if scored.classes == scored.columns else "label")
        for name in scored.columns:
            table.add_column(Text(name), justify="right")
        for name, row in zip(scored.classes, scored.confusion, strict=True):
            table.add_row(Text(name), *map(str, row))
        out.print(table)
    if scored.unknown:
        out.print(Text(f"  No answer was ever: {', '.join(scored.unknown)}", style="yellow"), soft_wrap=True)
