"""`python -m hub rights`: who may see and run which pages by the file of `--rights`, and whether the file is right."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.table import Table
from rich.text import Text

from hub.cli.show import console, print_json
from hub.errors import InputError
from hub.pages.registry import Page, discover
from hub.pages.seen import Seen
from hub.people.rights import Rights, Rule
from hub.people.users import ROLES, Caller
from hub.settings import Settings

HELP = "Check the file of --rights, and show who may see and run each page; or what one person may."
PLACES = ("rights", "demos_folder", "settings_file")
EVERYBODY = "everybody"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--as", dest="name", metavar="NAME", default="", help="what this account may: ann, token:ID")
    parser.add_argument("--role", choices=ROLES, default="run", help="its role (default: run)")
    parser.add_argument("--groups", default="", metavar="A,B", help="its groups, as a proxy or a provider tells them")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Prints a line a page."""
    if not settings.rights:
        raise InputError("Name the file with --rights FILE (or HUB_RIGHTS).")
    registry = discover(settings.pages_folder)
    names = dict.fromkeys(name for page in registry for name in page.names)
    rights = Rights(Path(settings.rights).expanduser(), lambda: names)
    if args.name:
        groups = tuple(one.strip() for one in args.groups.split(",") if one.strip())
        name = args.name.replace("token:", "token ", 1) if args.name.startswith("token:") else args.name
        who = Caller(name, args.role, groups=groups)
        seen = Seen(registry, rights)
        rows = [(page.slug, *_words(page.slug in seen.by(who).pages, seen.may_run(who, page))) for page in registry]
    else:
        rows = [(page.slug, *_of_rule(rights, page)) for page in registry]
    if args.json:
        print_json([dict(zip(("page", "view", "run"), row, strict=True)) for row in rows])
        return 0
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Page", "May see", "May run"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    console().print(table)
    return 0


def _words(view: bool, run: bool) -> tuple[str, str]:
    return "yes" if view else "no", "yes" if run else "no"


def _of_rule(rights: Rights, page: Page) -> tuple[str, str]:
    rule = rights.rules.rule_of(page.names)
    return (EVERYBODY, EVERYBODY) if rule is None else (_listed(rule, view=True), _listed(rule, view=False))


def _listed(rule: Rule, view: bool) -> str:
    those = rule.view | rule.run if view else rule.run
    return ", ".join(sorted(those)) or "administrators only"
