"""`python -m hub history list | clear`: how much is kept of what visitors ran; what that was is theirs alone.

`python -m hub usage`: how often pages were run, without whose runs they were.
"""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC, datetime

from rich.filesize import decimal
from rich.table import Table

from hub.archive import usage_report
from hub.archive.history_store import FILE, HistoryStore
from hub.archive.usage import DAYS_MOST, Usage
from hub.archive.usage import FILE as USAGE_FILE
from hub.cli.show import console, print_json
from hub.errors import InputError
from hub.settings import Settings, add_flags

HELP = "Show how much is kept of what each browser or user ran, and clear it."
USAGE_HELP = "Show how often pages were run, by whom in kind, and how long it took."
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


def add_usage(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--days", type=int, default=30, metavar="N", help="of so many days (default: 30)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="print one JSON document")
    how.add_argument("--csv", action="store_true", help="print a line per day, page, kind of caller and outcome")


def usage(args: argparse.Namespace, settings: Settings) -> int:
    """What was counted of runs in this data folder, by any hub that uses it."""
    if not 1 <= args.days <= DAYS_MOST:
        raise InputError("--days must be from 1 to {most}, got {days}.", most=DAYS_MOST, days=args.days)
    path = settings.data_folder / USAGE_FILE
    counted = Usage(path if path.exists() else None)
    try:
        rows, today = counted.rows(args.days), counted.today()
    finally:
        counted.close()
    if args.csv:
        sys.stdout.write(usage_report.to_csv(rows))
        return 0
    report = usage_report.report(rows, args.days, today)
    report["disk"] = {"parts": usage_report.disk_use(settings.data_folder)}
    if args.json:
        print_json(report)
        return 0
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Page", "Runs", "From cache", "Errors", "p50", "p95"):
        table.add_column(heading)
    for line in report["by_page"]:
        times = ["" if line[name] is None else f"{line[name]:.2f} s" for name in ("p50_s", "p95_s")]
        table.add_row(line["name"], str(line["runs"]), str(line["from_cache"]), str(line["errors"]), *times)
    if not report["by_page"]:
        print(f"No runs are counted in {settings.data_folder}.", file=sys.stderr)
        return 0
    console().print(table)
    size = sum(part["bytes"] for part in report["disk"]["parts"])
    print(f"{report['loads']['count']} model loads; the data folder holds {decimal(size)}")
    return 0


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
