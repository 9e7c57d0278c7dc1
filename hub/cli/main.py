"""The command line, `python -m hub` or `demo-hub`: `serve | list | run | call | ...`, each in a file of its own here.

Answers go to stdout, everything else to stderr. Exit status: 0 done, 2 wrong usage or input, 1 any other
error, 130 interrupted. Of several pictures each that fails, or cannot be written, is told on stderr; the others go on,
and the status is the highest.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from hub import logs
from hub.cli import call as cli_call
from hub.cli import compare as cli_compare
from hub.cli import export as cli_export
from hub.cli import grid as cli_grid
from hub.cli import interrupt
from hub.cli import mcp as cli_mcp
from hub.cli import rights as cli_rights
from hub.cli import run as cli_run
from hub.cli import serve as cli_serve
from hub.cli import status as cli_status
from hub.cli import users as cli_users
from hub.cli import weights as cli_hub
from hub.cli.pages import bundled as cli_bundled
from hub.cli.pages import check as cli_check
from hub.cli.pages import new as cli_new
from hub.cli.records import audit as cli_audit
from hub.cli.records import corrections as cli_corrections
from hub.cli.records import history as cli_history
from hub.cli.records import links as cli_links
from hub.cli.show import console, exit_status, never_refuse, print_json, tell
from hub.engine.jobs import Cancel
from hub.errors import HubError, InputError, UnavailableError
from hub.pages.registry import Page, discover
from hub.settings import TABLE, Settings, add_flags, from_flags, go_offline
from hub.weights.store import WeightsStore, open_store

FOLDERS = ("demos_folder", "weights_folder", "weights", "hub_folder", "settings_file")
MACHINE = ("device", "dtype", "backend", "pool_gb", "data", "offline")
LIMITS = ("max_batch", "batch_window_ms", "deadline_s", "max_upload_mb", "max_megapixels")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status."""
    interrupted = Cancel()
    try:
        with interrupt.cancelling(interrupted):
            status = _run_command(arguments)
    except KeyboardInterrupt:
        return interrupt.STATUS
    return interrupt.STATUS if interrupted.is_set() else status


def _run_command(arguments: Sequence[str] | None) -> int:
    never_refuse()
    try:
        args = _parser().parse_args(arguments)
        status: int
        if args.command is cli_serve.run:  # it logs as a server does, and a Space has settings of its own
            status = args.command(args)
            return status
        _log(args.log_level)
        settings = from_flags(args)
        if settings.offline:
            go_offline()
        status = args.command(args, settings)
        sys.stdout.flush()
        return status
    except HubError as error:
        tell(error)
        return exit_status(error)
    except BrokenPipeError:  # `| head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # the last net: a fault of ours is one line here, its traceback in the log
        logging.getLogger(__name__).error("failed", exc_info=error)
        last_error = HubError(
            "{kind}: {reason}. Run again with --log-level debug for details.", kind=type(error).__name__, reason=error
        )
        tell(last_error)
        return 1


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError("{message} (see {prog} --help)", message=message, prog=self.prog)


def _parser() -> argparse.ArgumentParser:
    program = "demo-hub" if Path(sys.argv[0]).stem == "demo-hub" else "python -m hub"
    parser = _Parser(prog=program, description="Run, list and make demos from the command line.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, run: Any, help: str, flags: Sequence[str]) -> argparse.ArgumentParser:
        subparser = commands.add_parser(name, help=help, description=help)
        subparser.set_defaults(command=run)
        add_flags(subparser.add_argument_group("settings", "also HUB_... environment variables"), [*flags, "log_level"])
        return subparser

    flags = [name for name, _, _ in TABLE if name != "log_level"]
    cli_serve.add_arguments(command("serve", cli_serve.run, cli_serve.HELP, flags))

    subparser = command("list", _list, "List all demos.", (*FOLDERS, "data", "offline"))
    subparser.add_argument("--json", action="store_true", help="print one JSON document")

    subparser = command("run", cli_run.run, "Run a demo on one or more pictures.", (*FOLDERS, *MACHINE, *LIMITS))
    cli_run.add_arguments(subparser)

    cli_call.add_arguments(command("call", cli_call.run, cli_call.HELP, ("auth", "settings_file")))

    about = "Run two sets of weights of a demo on the same pictures, and tell what differs."
    cli_compare.add_arguments(command("compare", cli_compare.run, about, (*FOLDERS, *MACHINE, *LIMITS)))

    cli_grid.add_grid(command("grid", cli_grid.run_grid, cli_grid.GRID_HELP, (*FOLDERS, *MACHINE, *LIMITS)))
    cli_grid.add_gallery(command("gallery", cli_grid.run_gallery, cli_grid.GALLERY_HELP, (*FOLDERS, *MACHINE)))

    address = (*FOLDERS, *MACHINE, "host", "port", "auth")
    cli_status.add_address(command("status", cli_status.status, "Show what a running hub holds in memory.", address))
    for action, help in cli_status.HELP.items():
        change = partial(cli_status.change, action=action)
        cli_status.add_model(command(action, change, help, ("host", "port", "auth", "settings_file")))

    about = "List, end, note and export shared results and what people said of them."
    cli_links.add_arguments(command("links", cli_links.run, about, cli_links.PLACES))

    about = cli_corrections.HELP
    cli_corrections.add_arguments(command("corrections", cli_corrections.run, about, cli_corrections.PLACES))

    cli_history.add_arguments(command("history", cli_history.run, cli_history.HELP, cli_history.PLACES))

    cli_history.add_usage(command("usage", cli_history.usage, cli_history.USAGE_HELP, cli_history.PLACES))

    cli_rights.add_arguments(command("rights", cli_rights.run, cli_rights.HELP, cli_rights.PLACES))

    cli_audit.add_arguments(command("audit", cli_audit.run, cli_audit.HELP, cli_audit.PLACES))

    cli_users.add_user_arguments(command("users", cli_users.users, cli_users.USERS, cli_users.PLACES))
    cli_users.add_token_arguments(command("tokens", cli_users.tokens, cli_users.TOKENS, cli_users.TOKEN_PLACES))

    cli_export.add_arguments(command("export-space", cli_export.run, cli_export.HELP, cli_export.PLACES))

    command("mcp", cli_mcp.run, cli_mcp.HELP, (*FOLDERS, *MACHINE, *LIMITS, "demos"))

    cli_new.add_arguments(command("new", cli_new.run, cli_new.HELP, cli_new.PLACES))

    cli_check.add_arguments(command("check", cli_check.run, cli_check.HELP, (*FOLDERS, *MACHINE, *LIMITS)))

    cli_bundled.add_arguments(command("bundled", cli_bundled.run, cli_bundled.HELP, cli_bundled.PLACES))

    for name, run, help, add_arguments in cli_hub.commands():
        add_arguments(command(name, run, help, cli_hub.PLACES))
    return parser


def _log(level: str | None) -> None:
    """Logs to stderr. Unless a level is asked for, only warnings that no error message repeats."""
    handler = logging.StreamHandler()
    handler.setFormatter(logs.OneLine("%(levelname)s %(name)s: %(message)s"))
    if level is None:
        handler.addFilter(lambda record: not record.exc_info)
    levels = {"debug", "info", "warning", "error"}
    if level is not None and level.lower() not in levels:
        raise InputError("--log-level must be debug, info, warning or error, got {level!r}", level=level)
    logging.basicConfig(level=(level or "warning").upper(), handlers=[handler])


# --- list -----------------------------------------------------------------------------------------


def _list(args: argparse.Namespace, settings: Settings) -> int:
    registry, store = open_store(settings, discover(settings.pages_folder))
    entries = [_entry(page, store) for page in registry]
    if args.json:
        print_json(entries)
        return 0
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Slug", "Title", "Task", "Weights", "State"):
        table.add_column(heading, overflow="fold")
    for entry in entries:
        sizes = (f"{w['name']} ({'missing' if w['reason'] else decimal(w['size_bytes'])})" for w in entry["weights"])
        weights = ", ".join(sizes) or "none needed"
        state = entry["state"]
        colour = "green" if state["code"] == "on_demand" else "red"
        text = Text(state["reason"] or "loads on first use", style=colour)
        table.add_row(Text(entry["slug"], style="bold"), Text(entry["title"]), Text(entry["task"]), Text(weights), text)
    console().print(table)
    if not entries:
        print(f"There is no demo in {settings.pages_folder}. Write one: python -m hub new my_demo", file=sys.stderr)
    return 0


def _entry(page: Page, store: WeightsStore) -> dict[str, Any]:
    demo = page.declared
    weights = [_weights_entry(w.name, store) for w in demo.weights] if demo else []
    missing = weights[0]["reason"] if weights else ""
    is_fetched_later = bool(weights) and store.is_remote(weights[0]["name"]) and not store.snapshots.offline
    code = "broken" if demo is None else "unavailable" if missing and not is_fetched_later else "on_demand"
    return {
        "slug": page.slug,
        "title": page.title,
        "summary": demo.summary if demo else "",
        "task": demo.task if demo else "",
        "inputs": [f.name for f in demo.inputs] if demo else [],
        "outputs": [f.name for f in demo.outputs] if demo else [],
        "weights": weights,
        "state": {"code": code, "reason": page.error or missing},
    }


def _weights_entry(name: str, store: WeightsStore) -> dict[str, Any]:
    try:
        return {"name": name, "size_bytes": store.size_bytes(name), "reason": ""}
    except UnavailableError as error:
        return {"name": name, "size_bytes": 0, "reason": error.message}
