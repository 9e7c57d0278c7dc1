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
from hub.archive.links import Link, LinkStore
from hub.cli.show import console, json_text, print_json
from hub.errors import HubError, InputError
from hub.settings import Settings, add_flags

PLACES = ("data", "public_url", "host", "port", "links_disk_mb", "settings_file")
COLUMNS = ("link", "page", "headline", "note", "created_at", "thumb", "text")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The actions; `links` alone lists."""
    actions = parser.add_subparsers(title="actions", dest="action", metavar="ACTION")
    made = actions.add_parser("list", help="list links that can be opened")
    made.add_argument("--all", action="store_true", help="those that ended too")
    made.add_argument("--page", metavar="SLUG", help="of one page only")
    made.add_argument("--json", action="store_true", help="print one JSON document")
    made = actions.add_parser("revoke", help="end links at once; what they showed is deleted")
    made.add_argument("ids", nargs="+", metavar="ID", help="id or address of a link")
    made = actions.add_parser("note", help="write another note on a link")
    made.add_argument("id", metavar="ID", help="id or address of a link")
    made.add_argument("text", metavar="TEXT", help="the note; '' for none")
    made = actions.add_parser("export", help="write what viewers said")
    made.add_argument("ids", nargs="*", metavar="ID", help="of these links (default: of all)")
    made.add_argument("--format", choices=("csv", "jsonl"), help="default: as FILE's name ends, or csv")
    made.add_argument("--out", type=Path, metavar="FILE", help="where to write it (default: stdout)")
    for made in actions.choices.values():  # after the action too; one that stands before it is not overwritten
        add_flags(made.add_argument_group("settings"), (*PLACES, "log_level"), argparse.SUPPRESS)


def run(given: argparse.Namespace, settings: Settings) -> int:
    """Runs one action; returns its exit status."""
    links = LinkStore(settings.data_folder, int(settings.links_disk_mb * 2**20))
    if given.action == "revoke":
        for id in map(_id, given.ids):
            links.revoke(id)
            print(f"Ended {id}.")
    elif given.action == "note":
        links.set_note(_id(given.id), given.text)
        print(f"Wrote the note of {_id(given.id)}.")
    elif given.action == "export":
        _export(links, given)
    else:
        _list(links, settings, given)
    return 0


def _id(text: str) -> str:
    """The id in an id or an address."""
    return text.rstrip("/").rpartition("/")[2].partition("?")[0]


def _list(links: LinkStore, settings: Settings, given: argparse.Namespace) -> None:
    every, now = getattr(given, "all", False), links.clock()
    found = [link for link in links.all(page=getattr(given, "page", None)) if every or link.state(now) == "live"]
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::", "") else settings.host
    base = settings.public_url.rstrip("/") or f"http://{host}:{settings.port}"
    if getattr(given, "json", False):
        print_json([_entry(link, base, now) for link in found])
        return
    if not found:
        print(f"There is no link in {settings.data_folder}. Share a result on a page, or over REST.", file=sys.stderr)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Link", "Page", "Result", "Made", "Ends", "Size", "Feedback"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "Link")  # an address is copied whole
    for link in found:
        state = link.state(now)
        ends = (_day(link.expires) if link.expires else "never") if state == "live" else state
        said = f"{link.up} up, {link.down} down, {link.comments} with words"
        result = link.headline + (f" ({link.note.splitlines()[0]})" if link.note else "")
        cells = [f"{base}/r/{link.id}", link.page, result, _day(link.created), ends, decimal(link.size_bytes), said]
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


def _export(links: LinkStore, given: argparse.Namespace) -> None:
    known = {link.id: link for link in links.all()}
    wanted = [_id(text) for text in given.ids] or None
    for id in wanted or ():
        if id not in known:
            raise InputError("There is no link {id!r} here. `links list --all` shows all.", id=id[:60])
    rows = [
        {"link": said.link, "page": (link := known[said.link]).page, "headline": link.headline, "note": link.note,
         "created_at": _iso(said.created), "thumb": said.thumb, "text": said.text}
        for said in links.feedback(wanted)
    ]  # fmt: skip
    kind = given.format or ("jsonl" if given.out and given.out.suffix in (".jsonl", ".ndjson") else "csv")
    try:
        # The mark of "utf-8-sig" is what spreadsheets go by; a pipe gets none.
        encoding = "utf-8-sig" if kind == "csv" else "utf-8"
        with given.out.open("w", encoding=encoding, newline="") if given.out else nullcontext(sys.stdout) as file:
            _write(rows, kind, file)
    except OSError as error:
        raise HubError("Cannot write {out}: {reason}.", out=given.out, reason=error.strerror) from None
    if given.out:
        print(f"Wrote {len(rows)} pieces of feedback to {given.out}.", file=sys.stderr)


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
