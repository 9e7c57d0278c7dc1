"""`python -m hub export-space`: a Hugging Face Space from chosen demos, compared with an earlier one, pushed."""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import replace
from pathlib import Path

from rich.filesize import decimal

from hub.errors import InputError
from hub.settings import Settings
from hub.spaces import export
from hub.spaces import push as export_push
from hub.spaces.export import Drift, SpacePlan
from hub.spaces.texts import HARDWARE, UIS, Options

HELP = "Write a Hugging Face Space of chosen demos, or tell what changed since."
PLACES = ("demos", "demos_folder", "weights_folder", "weights", "hub_folder", "settings_file", "data")
MOST = 20  # files named one by one


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write: new, empty or an earlier export")
    parser.add_argument("--hardware", choices=list(HARDWARE), help="where it will run (default: cpu, or as before)")
    parser.add_argument("--ui", choices=UIS, help="page it opens with (default: gradio, or as before)")
    parser.add_argument("--check", action="store_true", help="write nothing; tell what would change (then exit 1)")
    parser.add_argument("--push", metavar="OWNER/NAME", help="upload it as this Space; made if it is not there")
    parser.add_argument("--private", action="store_true", help="with --push: make it private, if it is made")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Options that are not given are those of the export that lies in OUT."""
    if args.check and args.push:
        raise InputError("--check writes and sends nothing; leave --push away.")
    if args.private and not args.push:
        raise InputError("--private is for a Space that --push makes.")
    target = export_push.parse(args.push) if args.push else None
    before = export.earlier(args.out)
    if args.check and before is None:
        raise InputError("There is no export in {out} to check. Write one first, without --check.", out=args.out)
    options = before or Options()
    options = replace(
        options,
        demos=settings.only() or options.demos,
        hardware=args.hardware or options.hardware,
        ui=args.ui or options.ui,
    )
    planned = export.plan(settings, options)
    if args.check:
        return _check(planned, args.out)
    _tell(export.write(planned, args.out))
    demos = ", ".join(planned.options.demos)
    print(f"Wrote {args.out}: {demos}; {len(planned.files)} files, {decimal(planned.size_bytes)}.")
    if target is None:
        print(f"Try it: cd {args.out} && python app.py      Send it: --push owner/name")
        return 0
    commit = export_push.push(planned, args.out, target, private=args.private)
    print(f"Pushed https://huggingface.co/spaces/{target.repo} (commit {commit[:12]}).")
    if HARDWARE[planned.options.hardware]:
        print(f"It runs on a CPU until you choose {HARDWARE[planned.options.hardware]} in its settings.")
    return 0


def _check(planned: SpacePlan, out: Path) -> int:
    drifts = export.check(planned, out)
    for drift in drifts:
        print(f"{drift.how:8}{drift.path}")
    if not drifts:
        print(f"{out} is what would be written now: {len(planned.files)} files.")
    return int(bool(drifts))


def _tell(drifts: list[Drift]) -> None:
    """What a new export changed in the earlier one."""
    words = {"changed": "replaced", "missing": "added", "extra": "removed"}
    for drift in drifts[:MOST]:
        print(f"{words[drift.how]:9}{drift.path}")
    if len(drifts) > MOST:
        rest = Counter(words[drift.how] for drift in drifts[MOST:])
        print("... and " + ", ".join(f"{count} {how}" for how, count in sorted(rest.items())))
