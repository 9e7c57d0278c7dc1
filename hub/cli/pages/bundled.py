"""`python -m hub bundled`: takes pages that come with the hub, and their weights, into this hub's own folders."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path

from rich.filesize import decimal

from hub.errors import InputError
from hub.pages.registry import Page, discover
from hub.settings import ROOT, Settings
from hub.weights import lock
from hub.weights.store import WeightsStore

HELP = "Copy pages that come with the hub, with their weights, to where this hub has its own."
PLACES = ("demos_folder", "weights_folder", "settings_file")
CREDITS = Path("assets", "README.md")  # whose pictures the examples are


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("slugs", nargs="*", metavar="SLUG", help="which pages (default: all)")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Copies what is not there yet. Raises InputError, changing nothing, where other files are in the way."""
    theirs, ours = settings.pages_folder, ROOT / "demos"
    if theirs.resolve() == ours.resolve():
        raise InputError("The bundled pages are this hub's own already, in {folder}.", folder=theirs)
    # Installed packages bring pages too, which need no copy.
    pages = [page for page in discover(ours, args.slugs) if Path(page.source).parent == ours]
    bundled = WeightsStore(ROOT / "weights")
    store = WeightsStore(Path(settings.weights_folder) if settings.weights_folder else None)
    names = sorted({weights.name for page in pages for weights in page.demo.weights})
    files = {} if (theirs / CREDITS).exists() else {theirs / CREDITS: ours / CREDITS}
    files |= {theirs / path: ours / path for page in pages for path in _files_of_page(page, ours)}
    files |= {store.root / path: bundled.root / path for name in names for path in _files_of_weights(name, bundled)}
    size = _copy(files)
    locked = bundled.locked()
    lock.write(store.lock_path, {**{name: locked[name] for name in names if name in locked}, **store.locked()})
    print(f"{', '.join(page.slug for page in pages)}: pages in {theirs}, weights in {store.root}; {decimal(size)} new.")
    return 0


def _files_of_page(page: Page, folder: Path) -> Iterator[Path]:
    yield Path(page.source).relative_to(folder)
    yield from (path.relative_to(folder) for path in page.assets.rglob("*") if path.is_file())


def _files_of_weights(name: str, store: WeightsStore) -> Iterator[Path]:
    """What a model reads, and the card; by paths in the folder of all weights."""
    yield from (Path(name, path) for path in (*store.files(name), "README.md"))


def _copy(files: dict[Path, Path]) -> int:
    """Copies those that are not there, and gives their bytes."""
    for target, source in files.items():
        if target.exists() and target.read_bytes() != source.read_bytes():
            raise InputError("{path} is there with other content. Nothing was copied.", path=target)
    missing = {target: source for target, source in files.items() if not target.exists()}
    for target, source in missing.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    return sum(target.stat().st_size for target in missing)
