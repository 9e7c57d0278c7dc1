"""`python -m hub history list | clear`: how much is kept of what visitors ran; what that was is theirs alone."""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC, datetime

from rich.filesize import decimal
from rich.table import Table

from hub.archive.history_store import FILE, HistoryStore
from hub.cli.show import console, print_json
from hub.errors import InputError
from hub.settings import Settings, add_flags

HELP = "Show how much is kept of what each browser or user ran, and clear it."
PLACES = ("data", "settings_file")
OWNER_CHARS = 12
DAY_S = 86_400.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The actions; `history` alone lists."""
    actions = parser.add_subparsers(title="actions", dest="action", metavar="ACTION")
    command = actions.add_parser("list", help="list owners (hashed browsers and users) with their number of runs")
    command.add_argument("--json", action="store_true", help="print one JSON document")
    command = actions.add_parser("clear", help="delete runs from histories; results and shared links stay")
    which = command.add_mutually_exclusive_group(required=True)
    which.add_argument("--all", action="store_true", help="of everybody")
    which.add_argument("--owner", metavar="OWNER", help="of one owner, as list tells it")
    which.add_argument("--older-than", metavar="DAYS", type=float, help="of everybody, from before so many days ago")
    for command in actions.choices.values():  # after the action too; one that stands before it is not overwritten
        add_flags(command.add_argument_group("settings"), (*PLACES, "log_level"), argparse.SUPPRESS)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Runs one action; returns its exit status."""
    path = settings.data_folder / FILE
    store = HistoryStore(path if path.exists() else None, sys.maxsize)
    try:
        if args.action == "clear":
            _clear(store, args)
        else:
            _list(store, settings, as_json=getattr(args, "json", False))
    finally:
        store.close()
    return 0


def _clear(store: HistoryStore, args: argparse.Namespace) -> None:
    owners = [owner for owner, _, _ in store.owners()]
    before = store.stats()["entries"]
    if args.older_than is not None:
        store.sweep(time.time() - args.older_than * DAY_S)
    elif args.owner:
        matching = [owner for owner in owners if owner.startswith(args.owner)]
        if len(matching) != 1:
            raise InputError(
                "{count} owners begin with {owner!r}; `history list` shows all.",
                count=len(matching),
                owner=args.owner[:40],
            )
        owners = matching
    if args.older_than is None:
        for owner in owners:
            store.remove(owner, None)
    count = before - store.stats()["entries"]
    print(f"Deleted {count} run{'s' * (count != 1)}.")


def _list(store: HistoryStore, settings: Settings, *, as_json: bool) -> None:
    owners, stats = store.owners(), store.stats()
    entries = [
        {
            "owner": owner[:OWNER_CHARS],
            "runs": count,
            "last": datetime.fromtimestamp(last, UTC).isoformat("T", "seconds"),
        }
        for owner, count, last in owners
    ]
    if as_json:
        print_json({**stats, "owners": entries})
        return
    if not entries:
        print(f"There is no history in {settings.data_folder}.", file=sys.stderr)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Owner", "Runs", "Last"):
        table.add_column(heading)
    for entry in entries:
        table.add_row(str(entry["owner"]), str(entry["runs"]), str(entry["last"]))
    console().print(table)
    runs = f"{stats['entries']} run{'s' * (stats['entries'] != 1)}"
    print(f"{runs}, {stats['pictures']} uploaded pictures ({decimal(stats['picture_bytes'])})")
