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
    made = actions.add_parser("list", help="list owners (hashed browsers and users) with their number of runs")
    made.add_argument("--json", action="store_true", help="print one JSON document")
    made = actions.add_parser("clear", help="delete runs from histories; results and shared links stay")
    which = made.add_mutually_exclusive_group(required=True)
    which.add_argument("--all", action="store_true", help="of everybody")
    which.add_argument("--owner", metavar="OWNER", help="of one owner, as list tells it")
    which.add_argument("--older-than", metavar="DAYS", type=float, help="of everybody, from before so many days ago")
    for made in actions.choices.values():  # after the action too; one that stands before it is not overwritten
        add_flags(made.add_argument_group("settings"), (*PLACES, "log_level"), argparse.SUPPRESS)


def run(given: argparse.Namespace, settings: Settings) -> int:
    """Runs one action; returns its exit status."""
    path = settings.data_folder / FILE
    store = HistoryStore(path if path.exists() else None, sys.maxsize)
    try:
        if given.action == "clear":
            _clear(store, given)
        else:
            _list(store, settings, as_json=getattr(given, "json", False))
    finally:
        store.close()
    return 0


def _clear(store: HistoryStore, given: argparse.Namespace) -> None:
    owners = [owner for owner, _, _ in store.owners()]
    before = store.stats()["entries"]
    if given.older_than is not None:
        store.sweep(time.time() - given.older_than * DAY_S)
    elif given.owner:
        found = [owner for owner in owners if owner.startswith(given.owner)]
        if len(found) != 1:
            raise InputError(
                "{count} owners begin with {owner!r}; `history list` shows all.",
                count=len(found),
                owner=given.owner[:40],
            )
        owners = found
    if given.older_than is None:
        for owner in owners:
            store.remove(owner, None)
    gone = before - store.stats()["entries"]
    print(f"Deleted {gone} run{'s' * (gone != 1)}.")


def _list(store: HistoryStore, settings: Settings, *, as_json: bool) -> None:
    owners, stats = store.owners(), store.stats()
    told = [
        {
            "owner": owner[:OWNER_CHARS],
            "runs": count,
            "last": datetime.fromtimestamp(last, UTC).isoformat("T", "seconds"),
        }
        for owner, count, last in owners
    ]
    if as_json:
        print_json({**stats, "owners": told})
        return
    if not told:
        print(f"There is no history in {settings.data_folder}.", file=sys.stderr)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Owner", "Runs", "Last"):
        table.add_column(heading)
    for entry in told:
        table.add_row(str(entry["owner"]), str(entry["runs"]), str(entry["last"]))
    console().print(table)
    runs = f"{stats['entries']} run{'s' * (stats['entries'] != 1)}"
    print(f"{runs}, {stats['pictures']} uploaded pictures ({decimal(stats['picture_bytes'])})")
