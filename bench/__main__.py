"""`python -m bench`: the hub against what a person would use instead, side by side in one run.

A table, the bars with what was measured, and one line of JSON, which is last whatever happens: a part that fails is a
row that says why, and the others are measured. Figures are worth something only on a machine that does nothing else:
the report says when it did. `--plan quick` takes about three minutes; its figures are for seeing where things stand.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console

from bench import (
    beside,
    burst,
    busy,
    cluster,
    crowd,
    forms,
    gradio_clients,
    kills,
    many_pages,
    memory,
    photos,
    pictures,
    pool,
    quiet,
    report,
    rest,
    results,
    soak,
    speedups,
    startup,
    streamlit_pages,
    turns,
)
from bench.bars import judge
from bench.context import PLANS, Bench, BenchError, Findings
from bench.figures import Gap
from bench.processes import ROOT, ProcessError, Processes
from hub.errors import HubError
from hub.pages.registry import Registry, discover
from hub.weights.store import WeightsStore

PARTS: dict[str, Callable[[Bench], Findings]] = {
    "forms": forms.choose,
    "rest": rest.measure,
    "busy": busy.measure,
    "turns": turns.measure,
    "beside": beside.measure,
    "speedups": speedups.measure,
    "photos": photos.measure,
    "gradio": gradio_clients.measure,
    "streamlit": streamlit_pages.measure,
    "startup": startup.measure,
    "memory": memory.measure,
    "many_pages": many_pages.measure,
    "pool": pool.measure,
    "kills": kills.measure,
    "ray": cluster.measure,
    "pictures": pictures.measure,
    "soak": soak.measure,
    "burst": burst.measure,
    "crowd": crowd.measure,
}
LONG = {"ray", "pictures", "soak", "burst"}  # left out of a quick run
# Parts for which it does not matter how models run.
NO_FORMS = {"forms", "ray", "pool", "many_pages", "soak", "burst"}
PAGE = "vehicle_classifier"
WIDTH = 170  # of the table where it is not on a terminal
HARDWARE = """
import sys, pathlib
from hub.execution import devices
device = devices.pick_device("auto")
print(device, str(devices.pick_dtype("auto", device, pathlib.Path(sys.argv[1]))).removeprefix("torch."))
"""


class PartTimeout(Exception):
    """A part took longer than its plan allows."""


@dataclass
class Run:
    """What is known so far, so that it can be reported whenever the run ends."""

    given: argparse.Namespace
    began: float = field(default_factory=time.perf_counter)
    found: dict[str, Findings] = field(default_factory=dict)
    others: dict[str, float] = field(default_factory=dict)
    steal: dict[str, float] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)


def main(arguments: Sequence[str] | None = None) -> int:
    run = Run(_options(arguments))
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(143))  # so that child processes are stopped
    load, before, code = os.getloadavg()[0], quiet.calibrate(), 0
    try:
        _measure(run)
    except (KeyboardInterrupt, SystemExit) as stop:
        code = stop.code if isinstance(stop, SystemExit) and isinstance(stop.code, int) else 130
        run.about["error"] = "stopped"
    except Exception as error:
        code, run.about["error"] = 1, _words(error)
    _report(run, load, before)
    failed = any(isinstance(row, Gap) and "." not in row.key for found in run.found.values() for row in found.rows)
    return code or int(failed)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--plan", choices=PLANS, default="full", help="how much of everything; smoke: only whether it runs"
    )
    parser.add_argument("--only", type=_names, metavar="A,B", help=", ".join(PARTS))
    parser.add_argument(
        "--demos", type=lambda text: text.split(","), default=[], metavar="A,B", help="pages; default: all"
    )
    parser.add_argument("--weights-folder", type=Path, default=ROOT / "weights", help="default: weights/ beside app.py")
    parser.add_argument(
        "--results",
        type=Path,
        metavar="FILE",
        help="put what is measured into this Markdown file, in the place of earlier figures of the same parts",
    )
    peers = ROOT / ".venv-bench" / "bin" / "python"
    parser.add_argument("--peers", type=Path, default=peers, metavar="PYTHON", help="of the environment with LitServe")
    return parser.parse_args(arguments)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in PARTS]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"{text!r}: choose from {', '.join(PARTS)}")
    return names


def _measure(run: Run) -> None:
    """Every part, as far as it comes."""
    given = run.given
    weights_folder, plan = given.weights_folder.resolve(), PLANS[given.plan]
    registry = _registry(weights_folder, given.demos)
    with tempfile.TemporaryDirectory(prefix="demo-hub-bench-") as name, Processes(Path(name)) as processes:
        device, dtype = _hardware(Path(name))
        slug = PAGE if PAGE in registry.pages else next(iter(registry.pages))
        run.about |= {"device": device, "dtype": dtype, "pages": list(registry.pages), "page": slug}
        bench = Bench(plan, registry, slug, weights_folder, device, dtype, Path(name), processes, given.peers)
        for part in _parts(given):
            _say(f"{part} ...")
            begin, meter = time.perf_counter(), quiet.Others()
            try:
                run.found[part] = _within(plan.limit_s, PARTS[part], bench)
            except Exception as error:  # the other parts can still be measured
                ended = processes.ended()
                run.found[part] = Findings((Gap(part, _words(error)),), {"ended": ended} if ended else {})
                _say(f"{part} failed: {_words(error)}\n{ended}".rstrip())
            finally:
                processes.stop_all()
                run.others[part], run.steal[part] = round(meter.percent(), 1), round(meter.steal_percent(), 1)
            _say(f"{part}: {time.perf_counter() - begin:.0f} s, others took {run.others[part]} %")


def _parts(given: argparse.Namespace) -> list[str]:
    wanted = set(given.only or PARTS) - (set() if given.only or given.plan != "quick" else LONG)
    if wanted <= NO_FORMS:
        wanted -= {"forms"}
    else:
        wanted.add("forms")
    return [part for part in PARTS if part in wanted]


def _within(limit_s: float, part: Callable[[Bench], Findings], bench: Bench) -> Findings:
    """Raises PartTimeout: a server that hangs must not keep the others from being measured."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise PartTimeout(f"took longer than {limit_s:.0f} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        return part(bench)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _registry(weights_folder: Path, only: Sequence[str]) -> Registry:
    """The pages that can answer: declared well, and their weights are here. Raises BenchError when there is none."""
    store, pages = WeightsStore(weights_folder), {}
    for page in discover():
        if (only and page.slug not in only) or page.over is not None:  # what runs over a video is no other model
            continue
        try:
            for weights in page.demo.weights[:1]:
                store.size_bytes(weights.name)
        except HubError as error:
            _say(f"{page.slug} is left out: {error.message}")
            continue
        pages[page.slug] = page
    if not pages:
        raise BenchError(f"No page has its weights in {weights_folder}; see weights/*/recipe.py.")
    return Registry(pages)


def _hardware(folder: Path) -> tuple[str, str]:
    """Device and dtype as the hub picks them, once for all processes of this run; leaves `dtype.json` in `folder`."""
    command = [sys.executable, "-c", HARDWARE, str(folder / "dtype.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"the hardware could not be found out:\n{done.stderr[-1000:]}")
    device, dtype = done.stdout.split()
    return device, dtype


def _commit() -> str:
    """The commit that was measured, with + when files were changed since; empty outside a checkout."""

    def git(*arguments: str) -> str:
        try:
            done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return ""
        return done.stdout.strip() if done.returncode == 0 else ""

    commit = git("rev-parse", "--short=12", "HEAD")
    return commit + ("+" if commit and git("--no-optional-locks", "status", "--porcelain", "hub", "demos") else "")


def _report(run: Run, load: float, before: quiet.Calibration) -> None:
    others, steal = (max(shares.values(), default=0.0) for shares in (run.others, run.steal))
    after = quiet.calibrate()
    about = {
        "date": report.now(),
        "commit": _commit(),
        "plan": run.given.plan,
        "seconds": round(time.perf_counter() - run.began, 1),
        "machine": report.machine(),
        "load": [load, os.getloadavg()[0]],
        "calibration_ms": [before.best_ms, after.best_ms],
        "others_percent": run.others,
        "steal_percent": run.steal,
        "not_quiet": quiet.why_not(others, steal, before, after),
        "versions": report.versions(),
        "device": "",
        "dtype": "",
        **run.about,
    }
    rows = [row for findings in run.found.values() for row in findings.rows]
    console, document = Console(width=None if sys.stdout.isatty() else WIDTH), report.document(run.found, about)
    console.print(_table(rows, about), report.bars_table(judge(rows)))
    if run.given.results:
        results.keep(run.given.results, document)
    print(report.line(document), flush=True)


def _table(rows: Sequence[Any], about: dict[str, Any]) -> Any:
    caption = (
        f"medians (first .. third quartile); ratios within rounds, hub and baseline in turn. {about['device']}, "
        f"{about['dtype']}, {about['machine']['cores']} cores of {about['machine']['cpu']}."
    )
    if about["plan"] != "full":
        caption += f" NOT FOR QUOTING: a {about['plan']} run."
    if about["not_quiet"]:
        caption += f" NOT FOR QUOTING, THE MACHINE WAS NOT QUIET: {'; '.join(about['not_quiet'])}."
    if "error" in about:
        caption += f" ENDED EARLY: {about['error']}"
    return report.table(rows, caption)


def _words(error: Exception) -> str:
    """What went wrong in a line, without its kind where it is one of ours; with the end of a log that it has."""
    lines = (getattr(error, "message", "") or str(error) or repr(error)).strip().splitlines()
    text = lines[0] if len(lines) == 1 else f"{lines[0]} {lines[-1].strip()}"
    ours = isinstance(error, BenchError | PartTimeout | HubError | ConnectionError | ProcessError)
    return text if ours else f"{type(error).__name__}: {text}"


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
