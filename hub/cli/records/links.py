"""`python -m hub links list | revoke | note | export`: the links of the hub on this machine, whether it runs or not."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from hub.archive import spreadsheets
from hub.archive.corrections.corrections import counted, feedback_of
from hub.archive.corrections.store import CorrectionStore, open_existing
from hub.archive.links import Link, LinkStore
from hub.cli.show import console, json_text, print_json
from hub.errors import HubError, InputError
from hub.settings import Settings, add_flags

PLACES = ("data", "public_url", "host", "port", "links_disk_mb", "settings_file")
COLUMNS = ("link", "page", "headline", "note", "created_at", "thumb", "text")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The actions; `links` alone lists."""
    actions = parser.add_subparsers(title="actions", dest="action", metavar="ACTION")
    command = actions.add_parser("list", help="list links that can be opened")
    command.add_argument("--all", action="store_true", help="those that ended too")
    command.add_argument("--page", metavar="SLUG", help="of one page only")
    command.add_argument("--json", action="store_true", help="print one JSON document")
    command = actions.add_parser("revoke", help="end links at once; what they showed is deleted")
    command.add_argument("ids", nargs="+", metavar="ID", help="id or address of a link")
    command = actions.add_parser("note", help="write another note on a link")
    command.add_argument("id", metavar="ID", help="id or address of a link")
    command.add_argument("text", metavar="TEXT", help="the note; '' for none")
    command = actions.add_parser("export", help="write what viewers said")
    command.add_argument("ids", nargs="*", metavar="ID", help="of these links (default: of all)")
    command.add_argument("--format", choices=("csv", "jsonl"), help="default: as FILE's name ends, or csv")
    command.add_argument("--out", type=Path, metavar="FILE", help="where to write it (default: stdout)")
    for command in actions.choices.values():  # after the action too; one that stands before it is not overwritten
        add_flags(command.add_argument_group("settings"), (*PLACES, "log_level"), argparse.SUPPRESS)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Runs one action; returns its exit status."""
    links = LinkStore(settings.data_folder, int(settings.links_disk_mb * 2**20))
    if args.action == "revoke":
        links.on_end = open_existing(settings.data_folder).drop_pictures
        for id in map(_id, args.ids):
            links.revoke(id)
            print(f"Ended {id}.")
    elif args.action == "note":
        links.set_note(_id(args.id), args.text)
        print(f"Wrote the note of {_id(args.id)}.")
    elif args.action == "export":
        _export(links, open_existing(settings.data_folder), args)
    else:
        _list(links, settings, args)
    return 0


def _id(text: str) -> str:
    """The id in an id or an address."""
    return text.rstrip("/").rpartition("/")[2].partition("?")[0]


def _list(links: LinkStore, settings: Settings, args: argparse.Namespace) -> None:
    every, now = getattr(args, "all", False), links.clock()
    shown_links = [link for link in links.all(page=getattr(args, "page", None)) if every or link.state(now) == "live"]
    shown_links = counted(open_existing(settings.data_folder), shown_links)
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::", "") else settings.host
    base = settings.public_url.rstrip("/") or f"http://{host}:{settings.port}"
    if getattr(args, "json", False):
        print_json([_entry(link, base, now) for link in shown_links])
        return
    if not shown_links:
        print(f"There is no link in {settings.data_folder}. Share a result on a page, or over REST.", file=sys.stderr)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Link", "Page", "Result", "Made", "Ends", "Size", "Feedback"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "Link")  # an address is copied whole
    for link in shown_links:
        state = link.state(now)
        ends = (_day(link.expires) if link.expires else "never") if state == "live" else state
        feedback = f"{link.up} up, {link.down} down, {link.comments} with words"
        result = link.headline + (f" ({link.note.splitlines()[0]})" if link.note else "")
        cells = [f"{base}/r/{link.id}", link.page, result, _day(link.created), ends, decimal(link.size_bytes), feedback]
        table.add_row(*map(Text, cells))
    console().print(table)


def _entry(link: Link, base: str, now: float) -> dict[str, Any]:
    return {
        "id": link.id,
        "url": f"{base}/r/{link.id}",
        "page": link.page,
        "headline": link.headline,
        "note": link.note,
        "state": link.state(now),
        "created_at": _iso(link.created),
        "expires_at": None if link.expires is None else _iso(link.expires),
        "size_bytes": link.size_bytes,
        "thumbs_up": link.up,
        "thumbs_down": link.down,
        "comments": link.comments,
    }


def _export(links: LinkStore, corrections: CorrectionStore, args: argparse.Namespace) -> None:
    links_by_id = {link.id: link for link in links.all()}
    ids = [_id(text) for text in args.ids] or None
    for id in ids or ():
        if id not in links_by_id:
            raise InputError("There is no link {id!r} here. `links list --all` shows all.", id=id[:60])
    said = [*links.feedback(ids), *map(feedback_of, corrections.of_links(ids or [*links_by_id]))]
    rows = [
        {
            "link": feedback.link,
            "page": links_by_id[feedback.link].page,
            "headline": links_by_id[feedback.link].headline,
            "note": links_by_id[feedback.link].note,
            "created_at": _iso(feedback.created),
            "thumb": feedback.thumb,
            "text": feedback.text,
        }
        for feedback in sorted(said, key=lambda one: one.created)
    ]
    kind = args.format or ("jsonl" if args.out and args.out.suffix in (".jsonl", ".ndjson") else "csv")
    try:
        # The mark of "utf-8-sig" is what spreadsheets go by; a pipe gets none.
        encoding = "utf-8-sig" if kind == "csv" else "utf-8"
        with args.out.open("w", encoding=encoding, newline="") if args.out else nullcontext(sys.stdout) as file:
            _write(rows, kind, file)
    except OSError as error:
        raise HubError("Cannot write {out}: {reason}.", out=args.out, reason=error.strerror) from None
    if args.out:
        print(f"Wrote {len(rows)} pieces of feedback to {args.out}.", file=sys.stderr)


def _write(rows: Sequence[dict[str, str]], kind: str, file: TextIO) -> None:
    if kind == "jsonl":
        for row in rows:
            file.write(json_text(row, file) + "\n")
        return
    spreadsheets.write(file, COLUMNS, rows)


def _iso(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).isoformat(timespec="seconds")


def _day(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%d")
