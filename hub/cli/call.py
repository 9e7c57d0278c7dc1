"""`python -m hub call URL SLUG`: as `run`, on a hub elsewhere. Its flags are the inputs that hub declares."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hub.cli import run as cli_run
from hub.cli.files import OutFolder
from hub.cli.show import console, document, show
from hub.engine.jobs import Cancel
from hub.errors import InputError
from hub.execution.executor import OnEvent
from hub.results.result import Result
from hub.settings import Settings, add_flags, from_flags
from hub.suggest import unknown

HELP = "Run a demo of a hub elsewhere; its inputs are flags."
Answer = tuple[Result, dict[str, list[str]]]  # with the addresses of its pictures


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that are known before the hub is asked."""
    parser.add_argument("url", metavar="URL", help="address of the hub, such as https://demos.example.org")
    parser.add_argument("slug", nargs="?", default="", help="which demo; without it, the hub's demos are listed")
    parser.add_argument(
        "rest", nargs=argparse.REMAINDER, metavar="...", help="the demo's flags; URL SLUG --help lists them"
    )


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Asks the hub what the demo takes, runs it on each picture, and tells as `run` does."""
    from hub.cli.remote_hub import RemoteHub, declared

    if args.slug.startswith("-") or (args.rest and not args.slug):
        raise InputError("Which demo? Give URL, then SLUG, then the flags; URL alone lists the demos.")
    with RemoteHub(args.url, *_connection(args.rest, settings)) as hub:
        demos = hub.demos()
        if not args.slug:
            return _list(demos)
        slugs = [str(one["slug"]) for one in demos]
        if args.slug not in slugs:
            raise InputError("{problem} ({url})", problem=unknown("demo", args.slug, slugs), url=hub.url)
        detail = hub.describe(args.slug)
        options = _flags(args, detail).parse_args(args.rest)
        options.slug = args.slug
        demo = declared(detail)
        inputs = cli_run.plan(demo, options.image, [*options.set, *_values(options, detail)])
        folder = OutFolder(options.out, options.force) if options.out else None

        def ask(one: cli_run.Run, hear: OnEvent, cancel: Cancel) -> Answer:
            hear(f"asking {hub.url}", None)
            return hub.run(demo, args.slug, one, bool(folder) or not options.json, hear)

        def tell_one(out: Console, answer: Answer, stem: str, heading: str) -> dict[str, Any]:
            result, addresses = answer
            paths = folder.save(result, stem) if folder else addresses
            if options.json:
                return document(demo, result, paths)
            show(out, demo, result, paths, heading)
            return {}

        try:
            return cli_run.each(settings, options, inputs, ask, tell_one)
        except KeyboardInterrupt:
            # Threads that wait for an answer would hold up the exit; the hub sees the client go, and ends the runs.
            sys.stdout.flush()
            os._exit(130)


class _Flags(argparse.ArgumentParser):
    """One demo's flags, with near misses for those it has not."""

    def error(self, message: str) -> NoReturn:
        raise InputError("{message} (see {prog} --help)", message=message, prog=self.prog)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        options, strangers = self.parse_known_args(args, namespace)
        for word in strangers:
            if word.startswith("--"):
                flags = [option for option in self._option_string_actions if option.startswith("--")]
                raise InputError(unknown("flag", word.partition("=")[0], flags))
            self.error(f"what is {word!r}? Pictures are given with --image")
        return options


def _connection(words: list[str], settings: Settings) -> tuple[str, float]:
    """Who asks and how long it may take: wanted before the hub can tell its flags."""
    parser = _Flags(add_help=False, allow_abbrev=False)
    _add_connection(parser)
    namespace, _ = parser.parse_known_args(words)
    if not namespace.timeout > 0:
        raise InputError("--timeout must be more than 0, got {timeout:g}", timeout=namespace.timeout)
    auth = from_flags(namespace).auth if namespace.auth is not None else settings.auth
    return auth, namespace.timeout


def _add_connection(parser: argparse.ArgumentParser) -> None:
    help = "seconds to wait for an answer (default: 300)"
    parser.add_argument("--timeout", type=float, default=300.0, metavar="S", help=help)
    add_flags(parser, ["auth"])


def _flags(args: argparse.Namespace, detail: Mapping[str, Any]) -> _Flags:
    """A flag per input, beside those of `run`."""
    parser = _Flags(prog=f"python -m hub call URL {args.slug}", description=detail["summary"], allow_abbrev=False)
    inputs = parser.add_argument_group("inputs")
    cli_run.add_flags(parser)
    _add_connection(parser)
    for name, schema in detail["inputs"]["properties"].items():
        flag, picture = f"--{name.replace('_', '-')}", "contentMediaType" in schema
        if flag in parser._option_string_actions:  # `image`, or a name that only --set can give
            continue
        flags = dict.fromkeys([flag, f"--{name}"])
        metavar = "FILE" if picture else "X"
        inputs.add_argument(*flags, dest=f"input_{name}", action="append", metavar=metavar, help=_help(schema))
    return parser


def _help(schema: Mapping[str, Any]) -> str:
    """`Threshold. Between 0 and 1 (default: 0.5)`"""
    options = schema.get("enum") or schema.get("items", {}).get("enum") or ()
    sentences = [schema.get("title", "")]
    if "x-step" in schema:
        sentences.append(f"Between {schema['minimum']:g} and {schema['maximum']:g}")
    sentences += [("Any of: " if schema.get("type") == "array" else "One of: ") + ", ".join(options)] if options else []
    default = schema.get("default", "as suits the weights" if "x-default-from" in schema else None)
    default = ",".join(map(str, default)) if isinstance(default, list) else default
    text = ". ".join(filter(None, sentences)) + (f" (default: {default})" if default not in (None, "") else "")
    return text.replace("%", "%%")


def _values(options: argparse.Namespace, detail: Mapping[str, Any]) -> list[str]:
    """The inputs given by flags of their own, as --set has them; pictures join --image."""
    settings = []
    for name, schema in detail["inputs"]["properties"].items():
        values = getattr(options, f"input_{name}", None) or []
        if "contentMediaType" in schema:
            options.image += [f"{name}={path}" for path in values]
        else:
            settings += [f"{name}={value}" for value in values]
    return settings


def _list(demos: list[dict[str, Any]]) -> int:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Slug", "Title", "Task", "State"):
        table.add_column(heading, overflow="fold")
    for one in demos:
        cells = (one["slug"], one["title"], one["task"], one["state"]["text"])
        table.add_row(*(Text(str(cell)) for cell in cells))
    console().print(table)
    return 0
