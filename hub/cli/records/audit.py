"""`python -m hub audit`: who did what at a hub, from the log in its data folder."""

from __future__ import annotations

import argparse
import sys

from rich.table import Table
from rich.text import Text

from hub.archive.audited import line_to_json, to_csv
from hub.cli.show import console, print_json
from hub.errors import InputError
from hub.people.audit import DEEDS, FILE, OK, Audit, Deed, Search
from hub.people.owners import Owners
from hub.settings import Settings
from hub.suggest import unknown

HELP = "Show who ran, shared, deleted and changed what, and who signed in, the newest first."
PLACES = ("data", "settings_file")
LINES = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--days", type=float, default=30.0, metavar="N", help="of so many days (default: 30)")
    parser.add_argument("--account", default="", metavar="NAME", help="of this account; machine: of commands here")
    parser.add_argument("--deed", default="", metavar="DEED", help=f"of one kind: {', '.join(DEEDS)}")
    parser.add_argument("--page", default="", metavar="SLUG", help="of this page")
    parser.add_argument(
        "--lines", type=int, default=LINES, metavar="N", help=f"no more than so many (default: {LINES})"
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="print one JSON document")
    how.add_argument("--csv", action="store_true", help="print a table with headings")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """The lines that are asked for, of any hub that uses this data folder."""
    if args.deed and args.deed not in DEEDS:
        raise InputError(unknown("deed", args.deed, [*DEEDS]))
    if not args.days > 0 or args.lines < 1:
        raise InputError("--days and --lines must be above 0.")
    path = settings.data_folder / FILE
    log = Audit(path if path.exists() else None, Owners(b""))
    try:
        lines = log.search(Search(args.days, args.account, args.deed, args.page), args.lines)
    finally:
        log.close()
    if args.csv:
        sys.stdout.write(to_csv(lines))
    elif args.json:
        print_json([line_to_json(line) for line in lines])
    elif not lines:
        print(f"There is nothing of the kind in {path}.", file=sys.stderr)
    else:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in ("Time", "Account", "What", "Page", "Of what", "Outcome"):
            table.add_column(heading, overflow="fold")
        for line in lines:
            who = line.account or f"({line.owner})"
            deed = line.deed + (f" x{line.count}" if line.count > 1 else "")
            outcome = "" if line.outcome == OK else line.outcome
            table.add_row(*map(Text, (line_to_json(line)["at"], who, deed, line.page, line.subject, outcome)))
        console().print(table)
    return 0


def note(settings: Settings, deed: Deed, subject: str) -> None:
    """A command on the hub's own machine did this."""
    log = Audit(settings.data_folder / FILE, Owners(b""), rows=settings.audit_rows, days=settings.audit_days)
    log.note_of(None, deed, subject=subject)
    log.close()
