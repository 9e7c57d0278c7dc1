"""`python -m hub lock | pull | verify | pack | unpack | publish | catalogue`: weights from, to and without the Hub."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from hub.cli.show import console, download_bar, tell
from hub.errors import HubError, NotFoundError, UnavailableError
from hub.pages.registry import discover
from hub.settings import Settings
from hub.suggest import unknown
from hub.weights import catalogue, lock, pack, publish
from hub.weights.lock import Locked
from hub.weights.sources import HubSource, Local, complete_name
from hub.weights.store import WeightsStore, open_store

Command = Callable[[argparse.Namespace, Settings], int]
PLACES = ("demos_folder", "weights_folder", "weights", "hub_folder", "settings_file", "data", "offline")


def commands() -> Iterator[tuple[str, Command, str, Callable[[argparse.ArgumentParser], None]]]:
    """Name, function, help and arguments of each command."""
    yield "lock", _lock, "Write down commit, size and sha256 of every file of all weights (weights/lock.json).", _names
    yield "pull", _pull, "Download weights from the Hub, exactly as locked; a cut download is gone on with.", _names
    yield "verify", _verify, "Hash all weights again and compare them with the lock.", _names
    yield "pack", _pack, "Write one archive with all weights, for a machine without internet.", _pack_arguments
    yield "unpack", _unpack, "Restore what pack wrote.", _unpack_arguments
    yield "publish", _publish, "Upload a folder of weights to the Hub.", _publish_arguments
    yield "catalogue", _catalogue, "List public repositories for each page.", _page


def _names(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="weights (default: all that the pages know)")


def _page(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("page", nargs="?", help="slug of one page (default: all)")


def _pack_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=Path, metavar="OUT", help="the archive to write, such as hub.tar")
    parser.add_argument("--wheels", type=Path, metavar="DIR", help="folder of .whl files to take along")


def _unpack_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("archive", type=Path, metavar="FILE", help="what pack wrote")
    parser.add_argument("--wheels", type=Path, metavar="DIR", default=Path("wheels"), help="where wheels go (./wheels)")
    parser.add_argument("--force", action="store_true", help="overwrite files that are here with other content")


def _publish_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="name of the weights: a folder in the weights folder")
    parser.add_argument("--repo", required=True, metavar="OWNER/NAME", help="the repository; made if it is not there")
    parser.add_argument("--private", action="store_true", help="make it private, if it is made")
    parser.add_argument("--dry-run", action="store_true", help="check everything and say what would be uploaded")


def _open(settings: Settings) -> tuple[WeightsStore, list[str]]:
    """The store, and the names of all weights the pages know."""
    registry, store = open_store(settings, discover(settings.pages_folder, settings.only()))
    names = dict.fromkeys(w.name for p in registry if p.declared for w in p.declared.weights)
    return store, list(names)


def _check_names(texts: Sequence[str], names: Sequence[str]) -> list[str]:
    """The names asked for; an address may lack its revision. Raises NotFoundError."""
    chosen_names = [complete_name(text) for text in texts]
    for name in chosen_names:
        if name not in names:
            raise NotFoundError(unknown("weights", name, names))
    return list(dict.fromkeys(chosen_names)) or list(names)


# --- lock, pull, verify ---------------------------------------------------------------------------


def _lock(args: argparse.Namespace, settings: Settings) -> int:
    store, all_names = _open(settings)
    old, entries, status = store.locked(), dict[str, Locked](), 0
    names = _check_names(args.names, all_names)
    table = _table("Weights", "Commit", "Files", "Size")
    for name in names:
        if isinstance(store.source(name), Local):
            tell(HubError("{name} is a folder of this machine alone; it is not locked.", name=name))
            continue
        try:
            entries[name] = _resolve(store, name)
        except UnavailableError as error:
            tell(error, "" if name in error.message else name)
            status = 1
            if name in old:
                entries[name] = old[name]
                tell(HubError("{name} stays locked as it was.", name=name))
            continue
        entry, has_changed = entries[name], name in old and old[name] != entries[name]
        mark = " (changed)" if has_changed else "" if name in old else " (new)"
        table.add_row(name + mark, entry.commit[:12] or "bundled", str(len(entry.files)), decimal(entry.size_bytes))
    others = {name: entry for name, entry in old.items() if args.names and name not in names}
    lock.write(store.lock_path, {**others, **entries})
    console().print(table)
    print(f"Wrote {store.lock_path}")
    return status


def _resolve(store: WeightsStore, name: str) -> Locked:
    source = store.source(name)
    if isinstance(source, HubSource):
        return store.snapshots.resolve(source)
    return lock.of_files(store.files(name))


def _pull(args: argparse.Namespace, settings: Settings) -> int:
    store, names = _open(settings)
    sources = {name: store.source(name) for name in _check_names(args.names, names)}
    repositories = {name: source for name, source in sources.items() if isinstance(source, HubSource)}
    if not repositories:
        print("Nothing to download: all weights are bundled. Weights from the Hub: --weights NAME=hf://owner/name")
        return 0
    status = 0
    for name, source in repositories.items():
        try:
            for text in store.snapshots.drop_wrong(source, store.locked().get(name)):
                tell(HubError("{name}: {text}; it is fetched again.", name=name, text=text))
            with download_bar(name) as on_bytes:
                folder = store.obtain(name, on_bytes)
            locked = "as locked" if folder.locked else "not locked"
            size = decimal(folder.size_bytes)
            print(f"{name}: commit {folder.commit[:12]}, {len(folder.files)} files, {size}, {locked}")
        except UnavailableError as error:
            tell(error, "" if name in error.message else name)
            status = 1
    for text in store.snapshots.notices():
        tell(HubError(text))
    return status


def _verify(args: argparse.Namespace, settings: Settings) -> int:
    store, names = _open(settings)
    out, status = console(), 0
    for name in _check_names(args.names, names):
        wrong, summary = _compare(store, name)
        out.print(Text.assemble((f"{'WRONG' if wrong else 'ok':6}", "red" if wrong else "green"), name, f": {summary}"))
        for text in wrong:
            out.print(Text(f"       {text}"), soft_wrap=True)
        status = status or int(bool(wrong))
    if status:
        tell(HubError("Weights that do not match are not loaded. Restore the files, or if the change is meant: lock."))
    return status


def _compare(store: WeightsStore, name: str) -> tuple[list[str], str]:
    """What is wrong with the files of `name`, and a word about them."""
    try:
        locked = store.locked().get(name)
        source = store.source(name)
        if isinstance(source, HubSource):
            here = store.snapshots.local(source, locked)
            if here is None:
                return [], "not on this machine"
            paths = {path: here.folder / path for path in here.entry.files}
            # A file that came to lie there would be read too.
            paths |= {path: file for path, file in store.files(name).items() if path not in paths}
            locked, commit, word = locked or here.entry, here.entry.commit, "" if locked else ", not in the lock"
        else:
            paths, commit, word = store.files(name), "", "" if locked else ", not in the lock"
        actual = lock.of_files({n: p for n, p in paths.items() if p.is_file()}, commit)
    except UnavailableError as error:
        return [error.message], "cannot be read"
    return (
        lock.differences(actual, locked) if locked else []
    ), f"{len(actual.files)} files, {decimal(actual.size_bytes)}{word}"


# --- pack, unpack, publish, catalogue -------------------------------------------------------------


def _pack(args: argparse.Namespace, settings: Settings) -> int:
    store, names = _open(settings)
    packed = pack.pack(store, names, args.out, args.wheels)
    print(f"Wrote {args.out}: {packed.files} files, {decimal(packed.bytes)}.")
    print(f"There: python -m hub unpack {args.out.name}")
    return 0


def _unpack(args: argparse.Namespace, settings: Settings) -> int:
    store, _ = _open(settings)
    folders = {"weights": store.root, "hub": settings.hub_cache, "wheels": args.wheels}
    restored = pack.unpack(args.archive, folders, force=args.force)
    print(f"Restored {restored.files} files, {decimal(restored.bytes)}. Check them: python -m hub verify")
    if args.wheels.is_dir() and any(args.wheels.glob("*.whl")):
        print(f"Install: pip install --no-index --find-links {args.wheels} -r requirements.txt")
    return 0


def _publish(args: argparse.Namespace, settings: Settings) -> int:
    store, _ = _open(settings)
    planned = publish.plan(store.root / args.name, args.repo, private=args.private)
    table = _table("File", "Size")
    for name in planned.files:
        table.add_row(name, decimal(planned.size(name)))
    console().print(table)
    print(f"Licence: {planned.licence}. Metrics: {'; '.join(planned.metrics) or 'none in the card'}.")
    if args.dry_run:
        print(f"Would be uploaded to {planned.source.repo}{' (private)' if planned.private else ''}. Nothing was sent.")
        return 0
    commit = publish.upload(planned)
    print(f"Published {replace(planned.source, revision=commit).address}")
    print(f"Try it here: python app.py --weights {args.name}={planned.source.address_of_newest}")
    return 0


def _catalogue(args: argparse.Namespace, settings: Settings) -> int:
    entries = [entry for entry in catalogue.read() if args.page in (None, entry.page)]
    if not entries:
        raise NotFoundError(unknown("page", args.page, sorted({entry.page for entry in catalogue.read()})))
    table = _table("Page", "Repository", "Format", "Licence", "Size", "What it does differently")
    for entry in entries:
        about = entry.about + ("" if entry.usable else f" Not usable here: {entry.unusable}")
        table.add_row(entry.page, entry.address, entry.format, entry.licence, entry.size or "?", about)
    console().print(table)
    print("Nobody looked at these repositories from here. Try one: python -m hub pull --weights PAGE=ADDRESS")
    return 0


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table
