"""`python -m hub corrections list | export | delete`: what people said was right or wrong, and a dataset of it."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from rich.table import Table
from rich.text import Text

from hub.archive.corrections.dataset import FORMATS, export
from hub.archive.corrections.parts import spoken
from hub.archive.corrections.push import push
from hub.archive.corrections.store import Correction, CorrectionStore, Wanted, open_existing
from hub.cli.show import console, print_json
from hub.errors import HubError, NotFoundError
from hub.settings import Settings, add_flags

HELP = "List what people said was right or wrong, delete it, and write it as a dataset."
PLACES = ("data", "settings_file")
LISTED = 1_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The actions; `corrections` alone lists."""
    actions = parser.add_subparsers(title="actions", dest="action", metavar="ACTION")
    command = actions.add_parser("list", help="list them, the newest first, and how often answers were right")
    command.add_argument("--page", metavar="SLUG", default="", help="of one page only")
    command.add_argument("--json", action="store_true", help="print one JSON document")
    command = actions.add_parser("export", help="write a dataset of pictures and what is true of them")
    command.add_argument("--format", choices=FORMATS, default=FORMATS[0], help="default: imagefolder")
    command.add_argument("--out", type=Path, metavar="FOLDER", required=True, help="a new folder")
    command.add_argument("--page", metavar="SLUG", default="", help="of one page only")
    command.add_argument("--push", metavar="OWNER/NAME", help="upload it as a dataset repository, private")
    command.add_argument("--public", action="store_true", help="with --push: for everybody to see")
    command = actions.add_parser("delete", help="delete some, with their pictures")
    command.add_argument("ids", nargs="+", metavar="ID")
    for command in actions.choices.values():  # after the action too; one that stands before it is not overwritten
        add_flags(command.add_argument_group("settings"), (*PLACES, "log_level"), argparse.SUPPRESS)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Runs one action; returns its exit status."""
    store = open_existing(settings.data_folder)
    try:
        if args.action == "export":
            _export(store, args)
        elif args.action == "delete":
            for id in args.ids:
                if not store.remove([id]):
                    raise NotFoundError("There is no correction {id!r} here.", id=id[:60])
                print(f"Deleted {id}.")
        else:
            _list(store, settings, getattr(args, "page", ""), as_json=getattr(args, "json", False))
    finally:
        store.close()
    return 0


def _export(store: CorrectionStore, args: argparse.Namespace) -> None:
    try:
        done = export(store, args.out, args.format, args.page)
    except OSError as error:
        raise HubError("Cannot write {out}: {reason}.", out=args.out, reason=error.strerror) from None
    count = sum(map(len, done.pages.values()))
    print(f"Wrote {count} rows of {', '.join(done.pages)} to {args.out}.", file=sys.stderr)
    if done.left_out:
        print(f"Left out {done.left_out}: they have no picture, or do not say what is right.", file=sys.stderr)
    if args.push:
        commit = push(args.out, args.push, public=args.public)
        print(f"Uploaded to {args.push}, commit {commit[:12]}.", file=sys.stderr)


def _list(store: CorrectionStore, settings: Settings, page: str, *, as_json: bool) -> None:
    found, total = store.search(Wanted(page=page), LISTED)
    counts = [one for one in store.counts() if page in ("", one.page)]
    if as_json:
        accuracy = [
            {"page": one.page, "weights": one.weights, "digest": one.digest, "right": one.right, "wrong": one.wrong}
            for one in counts
        ]
        print_json({"total": total, "corrections": [_entry(one) for one in found], "accuracy": accuracy})
        return
    if not found:
        print(f"Nobody said anything in {settings.data_folder}.", file=sys.stderr)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Id", "Page", "Verdict", "Answer", "Right", "Note", "Picture", "Said"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "Id")
    for one in found:
        right = ", ".join(spoken(part, one.value[part.name]) for part in one.parts if part.name in one.value)
        cells = (
            one.id,
            one.page,
            one.verdict,
            one.headline,
            right,
            one.note,
            "yes" if one.pictures else "no",
            _when(one),
        )
        table.add_row(*map(Text, cells))
    console().print(table)
    for count in counts:
        print(f"{count.page} {count.weights} {count.digest[:12]}: {count.right} of {count.right + count.wrong} right")


def _entry(one: Correction) -> dict[str, object]:
    return {
        "id": one.id, "page": one.page, "verdict": one.verdict, "headline": one.headline,
        "correction": dict(one.value), "answer": {part.name: part.answer for part in one.parts}, "note": one.note,
        "weights": one.weights, "digest": one.digest, "created_at": _when(one), "pictures": [*one.pictures],
    }  # fmt: skip


def _when(one: Correction) -> str:
    return datetime.fromtimestamp(one.created, UTC).isoformat(timespec="seconds")
