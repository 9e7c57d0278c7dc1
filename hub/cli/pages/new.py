"""`python -m hub new`: a page to begin from, or one for a repository of the Hub."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.filesize import decimal

from hub.errors import InputError
from hub.pages import new
from hub.settings import INSTALLED, Settings, default_folder
from hub.starters import making, tasks
from hub.starters.making import Made
from hub.weights.store import WeightsStore

HELP = "Write a new demo page: one to begin from, or one for a model of the Hub."
PLACES = ("demos_folder", "weights_folder", "hub_folder", "data", "offline", "settings_file")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own flags."""
    parser.add_argument("slug", help="name of the file and the page's address: lower-case letters, digits and _")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="where to write it (default: the demos folder)")
    known = ", ".join(dict.fromkeys(task.tag for task in tasks.TASKS))
    about = f"hf://owner/name[@revision] or ./folder: the page is for this model ({known})"
    parser.add_argument("--from", dest="source", metavar="SOURCE", help=about)
    parser.add_argument(
        "--lora", default="", metavar="SOURCE",
        help="with --from, hf://owner/lora[@revision][/file]: its LoRA is added to a pipeline of diffusers",
    )  # fmt: skip


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Writes the page and says how to try it."""
    if args.lora and not args.source:
        raise InputError("--lora goes with --from: it is added to the weights of that model.")
    folder = args.folder or settings.pages_folder
    default = folder.resolve() == default_folder("demos").resolve()
    flag = "" if default else f" --demos-folder {folder}"
    serve = f"{'demo-hub serve' if INSTALLED else 'python app.py'} --demos {args.slug}{flag}"
    if args.source:
        root = Path(settings.weights_folder) if settings.weights_folder else None
        store = WeightsStore(root, settings.hub_cache, offline=settings.offline)
        made = making.create_from(args.source, args.slug, folder, store, lora=args.lora)
        describe(made, store)
        there = f" --weights-folder {root}" if root else ""
        if usual := {"picture": ("--image", "photo.jpg"), "sound": ("--audio", "speech.wav")}.get(made.task.example):
            file = made.files[0] if made.files else usual[1]
            print(f"  python -m hub run {args.slug} {usual[0]} {file} --out .{flag}{there}")
        print(f"  {serve}{there}      # then open http://127.0.0.1:7860/{args.slug}")
        return 0
    page, picture = new.create(args.slug, folder)
    print(f"Wrote {page} and {picture}. It works already:")
    print(f"  python -m hub run {args.slug} --image {picture} --out .{flag}")
    print(f"  {serve}      # then open http://127.0.0.1:7860/{args.slug}")
    print(f"Next: open {page}; its comments say what each part does.")
    return 0


def describe(made: Made, store: WeightsStore) -> None:
    """Says what was written, of what, and under which licence."""
    read, locked = made.repository, made.repository.locked
    base, plus, added = read.commit.partition("+")
    commit = (f" at commit {base[:12]}" if base else "") + (f" with the LoRA at commit {added[:12]}" if plus else "")
    examples = f", {made.examples} of the card's examples" if made.examples else ""
    print(f"Wrote {made.page}: {made.task.tag} with {read.name}{commit}{examples}.")
    print(f"Licence: {read.licence or 'none stated'}.{' Gated: accept its terms on the Hub.' if read.gated else ''}")
    size = f"{len(locked.files)} files, {decimal(locked.size_bytes)}"
    later = "They are fetched on first use. " if read.commit else ""
    print(f"Locked {size} in {store.lock_path}. {later}Try it:")
