"""`python -m hub users add | list | remove` and `python -m hub tokens add | list | revoke`: who may use a hub."""

from __future__ import annotations

import argparse
import getpass
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from hub.cli.records import audit
from hub.cli.show import console, print_json
from hub.errors import InputError
from hub.people.tokens import Token, TokenStore
from hub.people.users import MAY, NAME, ROLES, TOKEN, UsersFile
from hub.settings import Settings, add_flags

USERS = "List, add and remove those who may use a hub that is started with --auth FILE."
TOKENS = "List, add and revoke access tokens: what a user may, for a time, by a link or as a Bearer token."
PLACES = ("data", "auth", "settings_file")
TOKEN_PLACES = ("data", "auth", "public_url", "host", "port", "settings_file")
ROLE_HELP = "; ".join(f"{role}: {may}" for role, may in MAY.items())


def add_user_arguments(parser: argparse.ArgumentParser) -> None:
    """The actions; `users` alone lists."""
    parser.add_argument(
        "--file", type=Path, metavar="FILE", help="the users file (default: --auth, or users.txt in --data)"
    )
    actions = parser.add_subparsers(title="actions", dest="action", metavar="ACTION")
    command = actions.add_parser("list", help="list names and roles")
    command.add_argument("--json", action="store_true", help="print one JSON document")
    command = actions.add_parser("add", help="add a user, or give one another password and role; asks for the password")
    command.add_argument("name", metavar="NAME")
    command.add_argument("--role", choices=ROLES, default="run", help=f"{ROLE_HELP} (default: run)")
    command.add_argument("--password-stdin", action="store_true", help="read the password from the first line of stdin")
    command = actions.add_parser("remove", help="take a user away; the hub hears of it at once")
    command.add_argument("name", metavar="NAME")
    for command in actions.choices.values():  # after the action too; one that stands before it is not overwritten
        command.add_argument("--file", type=Path, metavar="FILE", default=argparse.SUPPRESS, help="the users file")
        add_flags(command.add_argument_group("settings"), (*PLACES, "log_level"), argparse.SUPPRESS)


def add_token_arguments(parser: argparse.ArgumentParser) -> None:
    """The actions; `tokens` alone lists."""
    actions = parser.add_subparsers(title="actions", dest="action", metavar="ACTION")
    command = actions.add_parser("list", help="list tokens, without what opens a door")
    command.add_argument("--json", action="store_true", help="print one JSON document")
    command = actions.add_parser("add", help="make a token; it is shown this once")
    command.add_argument("--role", choices=ROLES, help=f"{ROLE_HELP} (default: run; view with --link)")
    command.add_argument("--note", default="", metavar="TEXT", help="whom it is for")
    command.add_argument(
        "--days", type=float, default=30.0, metavar="N", help="it ends after so many days; 0: never (default: 30)"
    )
    command.add_argument(
        "--link", default="", metavar="ID", help="it opens this one shared result only: id or address of a link"
    )
    command.add_argument("--json", action="store_true", help="print one JSON document")
    command = actions.add_parser("revoke", help="end tokens at once")
    command.add_argument("ids", nargs="+", metavar="ID", help="id of a token, or the token")
    for command in actions.choices.values():
        add_flags(command.add_argument_group("settings"), (*TOKEN_PLACES, "log_level"), argparse.SUPPRESS)


# --- users ----------------------------------------------------------------------------------------


def users(args: argparse.Namespace, settings: Settings) -> int:
    """Runs one action on the users file; returns its exit status."""
    file = UsersFile(_users_path(args, settings))
    if args.action == "add":
        was_known = file.put(_name(args.name), args.role, _password(args))
        audit.note(settings, "user_changed", f"{args.name}:{args.role}")
        print(f"{'Changed' if was_known else 'Added'} {args.name} ({args.role}) in {file.path}.")
        print(f"Start the hub with: --auth {file.path}")
    elif args.action == "remove":
        file.remove(args.name)
        audit.note(settings, "user_removed", args.name)
        print(f"Removed {args.name} from {file.path}.")
    else:
        _list_users(file, getattr(args, "json", False))
    return 0


def _users_path(args: argparse.Namespace, settings: Settings) -> Path:
    if args.file:
        return Path(args.file).expanduser()
    if settings.auth and ":" not in settings.auth and not TOKEN.fullmatch(settings.auth):
        return Path(settings.auth).expanduser()
    return settings.data_folder / "users.txt"


def _name(name: str) -> str:
    """Checked before a password is asked for. Raises InputError."""
    if not NAME.fullmatch(name):
        raise InputError("A user's name is letters, digits and . _ @ -, at most 64 of them, got {name!r}.", name=name)
    return name


def _password(args: argparse.Namespace) -> str:
    """Never from the command line, which other users of the machine can read. Raises InputError."""
    if args.password_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise InputError("There is no terminal to ask for the password at; pipe it in, with --password-stdin.")
    password = getpass.getpass(f"Password of {args.name}: ")
    if getpass.getpass("Again: ") != password:
        raise InputError("The two passwords differ; nothing was changed.")
    return password


def _list_users(file: UsersFile, as_json: bool) -> None:
    if file.path.exists():
        file.check()
    entries = sorted(file.all().values(), key=lambda user: user.name)
    if as_json:
        print_json([{"name": user.name, "role": user.role} for user in entries])
    elif not entries:
        print(f"There is no user in {file.path}. Add one: python -m hub users add NAME --role admin", file=sys.stderr)
    else:
        _table(("User", "Role", "May"), [[user.name, user.role, _may(user.role)] for user in entries])


def _may(role: str) -> str:
    return ", ".join(MAY[one] for one in ROLES[: ROLES.index(role) + 1])


# --- tokens ---------------------------------------------------------------------------------------


def tokens(args: argparse.Namespace, settings: Settings) -> int:
    """Runs one action on the tokens of the data folder; returns its exit status."""
    store = TokenStore(settings.data_folder)
    if args.action == "add":
        _add_token(store, args, settings)
    elif args.action == "revoke":
        for id in args.ids:
            store.revoke(id)
            match = TOKEN.fullmatch(id)
            audit.note(settings, "token_revoked", match[1] if match else id)
            print(f"Revoked {match[1] if match else id}.")
    else:
        _list_tokens(store, getattr(args, "json", False))
    return 0


def _add_token(store: TokenStore, args: argparse.Namespace, settings: Settings) -> None:
    link = args.link.rstrip("/").rpartition("/")[2].partition("?")[0]
    role = args.role or ("view" if link else "run")
    token, text = store.add(role, args.note, args.days or None, link)
    audit.note(settings, "token_added", f"{token.id}:{role}")
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::", "") else settings.host
    base = settings.public_url.rstrip("/") or f"http://{host}:{settings.port}"
    # A token that may view has no business at the gallery; it goes behind the address of a shared result.
    place = f"r/{link or 'ID'}" if role == "view" else ""
    address = f"{base}/{place}?token={text}"
    if args.json:
        print_json({**_entry(token, store.clock()), "token": text, "url": address})
        return
    print(f"Token {token.id} ({role}, {_ends(token)}). It is shown this once:\n  {text}")
    print(f"In a browser:\n  {address}")
    print("In programs, as a header:\n  Authorization: Bearer TOKEN")
    if not settings.auth:
        print("A hub asks for it when it is started with --auth; without, it is open to all.", file=sys.stderr)


def _list_tokens(store: TokenStore, as_json: bool) -> None:
    entries, now = store.all(), store.clock()
    if as_json:
        print_json([_entry(token, now) for token in entries])
    elif not entries:
        print(
            f"There is no token in {store.path.parent}. Make one: python -m hub tokens add --role run", file=sys.stderr
        )
    else:
        rows = [
            [token.id, token.role, f"/r/{token.link}" if token.link else "all that its role may", token.note,
             _day(token.created), _ends(token) if token.is_live(now) else "expired"]
            for token in entries
        ]  # fmt: skip
        _table(("Token", "Role", "Opens", "For", "Made", "Ends"), rows)


def _entry(token: Token, now: float) -> dict[str, Any]:
    facts = {key: value for key, value in asdict(token).items() if key not in ("hash", "created", "expires")}
    expires = None if token.expires is None else _iso(token.expires)
    return {
        **facts,
        "state": "live" if token.is_live(now) else "expired",
        "created_at": _iso(token.created),
        "expires_at": expires,
    }


def _ends(token: Token) -> str:
    return "without end" if token.expires is None else f"until {_day(token.expires)}"


def _table(headings: tuple[str, ...], rows: list[list[str]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    console().print(table)


def _iso(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).isoformat(timespec="seconds")


def _day(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%d")
