"""`python -m hub run`: pictures in, answers on stdout, output pictures in a folder."""

from __future__ import annotations

import argparse
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from hub.cli.files import OutFolder
from hub.cli.interrupt import cancelling
from hub.cli.show import console, document, download_bar, exit_status, print_json, show, tell
from hub.engine.jobs import Cancel, text_so_far
from hub.errors import HubError, InputError
from hub.execution.executor import OnEvent
from hub.hub import Hub
from hub.results.result import Result
from hub.settings import Settings
from hub.spec import Choices, Demo, FileInput
from hub.suggest import unknown

Run = dict[str, Any]  # inputs of one run; pictures are paths
T = TypeVar("T")
Ask = Callable[[Run, OnEvent, Cancel], T]
Tell = Callable[[Console, T, str, str], dict[str, Any]]  # console, answer, stem of files, heading -> the JSON document
SO_FAR_CHARS, SO_FAR_LINES = 800, 10  # of a text in work: what fits on a screen


class _Steps(Progress):
    """The bar of what is in work; below it, of a page that writes, how its text ends so far."""

    so_far = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        if self.so_far:  # as words, whatever they are: none of them is rich's markup
            yield Text("\n".join(self.so_far[-SO_FAR_CHARS:].splitlines()[-SO_FAR_LINES:]))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The slug, and the flags of `run`."""
    parser.add_argument("slug", help="which demo; see `python -m hub list`")
    add_flags(parser)
    parser.add_argument(
        "--csv", type=Path, metavar="FILE",
        help="a table of many pictures: --image takes folders and ZIP files then; again, it does what is missing",
    )  # fmt: skip
    parser.add_argument(
        "--truth", default="auto", metavar="X",
        help="with --csv, what is true of the pictures: a CSV of file,label (file,mask; file,NAME_x,NAME_y,... for "
        "points; file,label,x0,y0,x1,y1 for boxes), or folders, none, auto (folders where there are several, masks/ "
        "beside the pictures); then it is told how often answers were right",
    )  # fmt: skip


def add_flags(parser: argparse.ArgumentParser) -> None:
    """What to run on, and what becomes of the answers."""
    parser.add_argument(
        "--image",
        "--video",
        "--audio",
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help="a picture, video or sound, as the page takes; several are several runs. NAME=FILE for an input that is "
        "not the first of these",
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="an input that is not a picture; repeatable"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for pictures and masks; without it none are kept"
    )
    parser.add_argument("--force", action="store_true", help="overwrite files in --out rather than number new ones")
    parser.add_argument(
        "--json", action="store_true", help="print one JSON document: an object, or a list of them for several pictures"
    )


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Runs the demo on each picture. A picture that fails is told on stderr; the others go on."""
    if args.csv:
        return _run_many(args, settings)
    hub = Hub(settings)
    try:
        page = hub.registry.get(args.slug)
        runs = plan(page.demo, args.image, args.set)
        names = [w.name for w in page.demo.weights]
        fetch(hub, {str(inputs.get("weights") or names[0]) for inputs in runs if names} & {*names})
        folder = OutFolder(args.out, args.force) if args.out else None

        def ask(inputs: Run, hear: OnEvent, cancel: Cancel) -> Result:
            return hub.engine.run(args.slug, inputs, on_event=hear, cancel=cancel)

        def tell_one(out: Console, result: Result, stem: str, heading: str) -> dict[str, Any]:
            paths = folder.save(result, stem) if folder else {}
            if args.json:
                return document(page.demo, result, paths)
            show(out, page.demo, result, paths, heading)
            return {}

        return each(settings, args, runs, ask, tell_one)
    finally:
        hub.close()


def _run_many(args: argparse.Namespace, settings: Settings) -> int:
    from hub.cli import many
    from hub.pages.registry import discover

    demo = discover(settings.pages_folder).get(args.slug).demo
    return many.run(args, settings, plan(demo, [], args.set)[0])


def each(settings: Settings, args: argparse.Namespace, runs: Sequence[Run], ask: Ask[T], tell_one: Tell[T]) -> int:
    """Asks for every run's answer, with progress, and tells each as it comes; returns the exit status."""
    out = console(sys.stdout)
    # Libraries print while they load ("Loading weights ..."); only answers belong on stdout.
    with redirect_stdout(sys.stderr), _answers(settings, args.slug, runs, out, ask) as answers:
        return _tell_all(args, runs, answers, out, tell_one)


def fetch(hub: Hub, names: Iterable[str]) -> None:
    """Downloads weights that are on the Hub, with a bar: nobody else waits, so this command does. Raises HubError."""
    for name in names:
        if hub.weights.is_remote(name):
            with download_bar(name) as on_bytes:
                hub.weights.obtain(name, on_bytes)


def plan(demo: Demo, images: Sequence[str], values: Sequence[str]) -> list[Run]:
    """Flags -> the inputs of each run. Raises InputError."""
    pictures = [f.name for f in demo.inputs if isinstance(f, FileInput)]
    several_options = {f.name for f in demo.inputs if isinstance(f, Choices)}
    common: Run = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InputError("--set wants NAME=VALUE, got {text!r}", text=text)
        if name in pictures:
            raise InputError(
                "{name} is a file; give it with --image {name}={value}", name=name, value=value, field=name
            )
        if name in common and name in several_options:
            before = common[name]
            common[name] = [*before, value] if isinstance(before, list) else [before, value]
            continue
        if name in common:
            raise InputError("--set {name} is given more than once; give it once.", name=name, field=name)
        common[name] = value
    several: list[Path] = []
    for text in images:
        name, equals, value = text.partition("=")
        if equals and name in pictures[1:]:
            if name in common:
                raise InputError("--image {name}=... is given more than once; give it once.", name=name, field=name)
            common[name] = Path(value)
        elif equals and name in pictures[:1]:
            several.append(Path(value))
        elif equals and name.isidentifier() and not Path(text).exists():
            raise InputError(unknown("image input", name, pictures), field=name)
        elif not pictures:
            raise InputError("This demo takes no file; leave --image out.")
        else:
            several.append(Path(text))
    return [{pictures[0]: path, **common} for path in several] or [common]


@contextmanager
def _answers(
    settings: Settings, slug: str, runs: Sequence[Run], out: Console, ask: Ask[T]
) -> Iterator[Iterator[T | HubError]]:
    """Answers in the order of `runs`, with progress on a terminal. Leaving it early cancels what is left."""
    cancel = Cancel()
    # On one terminal answers and progress share a console, which keeps them apart; a pipe gets answers alone.
    screen = out if out.is_terminal else Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    workers = ThreadPoolExecutor(min(len(runs), settings.max_batch, settings.queue_limit))
    with _Steps(
        *columns,
        console=screen,
        transient=True,
        disable=not screen.is_terminal,
        redirect_stdout=False,
        redirect_stderr=sys.stderr.isatty(),
    ) as bar:
        alone = len(runs) == 1
        task = bar.add_task("starting" if alone else slug, total=None if alone else len(runs))

        def work(inputs: Run) -> T:
            def hear(stage: str, progress: Any) -> None:
                if alone:
                    steps = {"completed": progress.step, "total": progress.total} if progress else {}
                    bar.so_far = text_so_far(progress) or bar.so_far
                    bar.update(task, description="loading the model" if stage == "loading" else stage, **steps)

            return ask(inputs, hear, cancel)

        def collect() -> Iterator[T | HubError]:
            while futures:
                try:
                    yield futures.popleft().result()
                except HubError as error:
                    yield error

        futures: deque[Future[T]] = deque()
        try:
            with cancelling(cancel):
                futures.extend(workers.submit(work, inputs) for inputs in runs)
                for future in () if alone else futures:
                    future.add_done_callback(lambda done: bar.advance(task))
                yield collect()
        finally:
            cancel.set()
            workers.shutdown(wait=False, cancel_futures=True)


def _tell_all(
    args: argparse.Namespace,
    runs: Sequence[Run],
    answers: Iterator[T | HubError],
    out: Console,
    tell_one: Tell[T],
) -> int:
    alone, status, documents = len(runs) == 1, 0, []
    for inputs, answer in zip(runs, answers, strict=True):
        asked_for = {name: str(value) for name, value in inputs.items()}
        picture = next((value for value in inputs.values() if isinstance(value, Path)), None)
        document = dict[str, Any]()
        if not isinstance(answer, HubError):
            try:
                document = tell_one(out, answer, picture.stem if picture else args.slug, "" if alone else str(picture))
            except HubError as refused:  # its pictures cannot be written; those of others may
                answer = refused
        if isinstance(answer, HubError):
            if alone:
                raise answer
            tell(answer, str(picture))
            status = max(status, exit_status(answer))
            error = {"code": answer.code, "detail": answer.message, "field": answer.field}
            documents.append({"inputs": asked_for, "error": error})
            continue
        documents.append({"inputs": asked_for, **document})
    if args.json:
        print_json(documents[0] if alone else documents, out.file)
    return status
