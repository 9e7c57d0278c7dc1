"""`python -m bench`: the hub against plain baselines, side by side. A table, then one JSON line on stdout.

`--quick` is a short run to see that all works; its figures are not for quoting. Figures are worth something
only on a machine that does nothing else: the report says how much of it others took.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from bench import burst, gradio_clients, memory, pictures, report, rest, soak, startup
from bench.context import FULL, QUICK, Bench, BenchError, Findings
from bench.processes import ROOT, ProcessError, Processes
from hub.errors import HubError
from hub.pages.registry import Registry, discover
from hub.weights.store import WeightsStore

MEASUREMENTS: dict[str, Callable[[Bench], Findings]] = {
    "rest": rest.measure,
    "gradio": gradio_clients.measure,
    "memory": memory.measure,
    "startup": startup.measure,
    "pictures": pictures.measure,
    "soak": soak.measure,
    "burst": burst.measure,
}
PAGE = "vehicle_classifier"
HARDWARE = """
import sys, pathlib
from hub import devices
device = devices.pick_device("auto")
print(device, str(devices.pick_dtype("auto", device, pathlib.Path(sys.argv[1]))).removeprefix("torch."))
"""


def main(arguments: Sequence[str] | None = None) -> int:
    given = _options(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(143))  # so that child processes are stopped
    try:
        return _run(given)
    except (BenchError, ProcessError, HubError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a short run of about a minute")
    parser.add_argument("--only", type=_names, default=list(MEASUREMENTS), metavar="A,B", help=", ".join(MEASUREMENTS))
    parser.add_argument("--weights-folder", type=Path, default=ROOT / "weights", help="default: weights/ beside app.py")
    return parser.parse_args(arguments)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in MEASUREMENTS]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"{text!r}: choose from {', '.join(MEASUREMENTS)}")
    return names


def _run(given: argparse.Namespace) -> int:
    began, others = time.perf_counter(), dict[str, float]()
    weights_folder = given.weights_folder.resolve()
    registry = _registry(weights_folder)
    found: dict[str, Findings] = {}
    with tempfile.TemporaryDirectory(prefix="demo-hub-bench-") as name, Processes(Path(name)) as processes:
        device, dtype = _hardware(Path(name))
        slug = PAGE if PAGE in registry.pages else next(iter(registry.pages))
        plan = QUICK if given.quick else FULL
        bench = Bench(plan, registry, slug, weights_folder, device, dtype, Path(name), processes)
        for measurement in given.only:
            _tell(f"{measurement} ...")
            begin, meter = time.perf_counter(), report.Others()
            try:
                found[measurement] = MEASUREMENTS[measurement](bench)
            except (ConnectionError, BenchError) as error:
                raise BenchError(f"{measurement}: {error}\n{processes.ended()}") from error
            others[measurement] = round(meter.percent(), 1)
            _tell(f"{measurement}: {time.perf_counter() - begin:.0f} s, others took {others[measurement]} %")
    about = {
        "date": report.now(),
        "commit": _commit(),
        "quick": given.quick,
        "seconds": round(time.perf_counter() - began, 1),
        "machine": report.machine(),
        "others_percent": others,
        "versions": report.versions(),
        "device": device,
        "dtype": dtype,
        "pages": list(registry.pages),
        "page": slug,
    }
    _show(found, about)
    return 0


def _registry(weights_folder: Path) -> Registry:
    """The pages that can answer: declared well, and their weights are here. Raises BenchError when there is none."""
    store, pages = WeightsStore(weights_folder), {}
    for page in discover():
        try:
            for weights in page.demo.weights[:1]:
                store.size_bytes(weights.name)
        except HubError as error:
            _tell(f"{page.slug} is left out: {error.message}")
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


def _show(found: dict[str, Findings], about: dict[str, object]) -> None:
    report_ = report.document(found, about)
    others = max(report_["others_percent"].values())
    caption = (
        f"medians (first .. third quartile); ratios within rounds, hub and baseline in turn. {report_['device']}, "
        f"{report_['dtype']}, {report_['machine']['cores']} cores of {report_['machine']['cpu']}; other programs took "
        f"up to {others:.0f}% of them meanwhile."
    )
    if report_["quick"] or others > report.QUIET_PERCENT:
        caption += " NOT FOR QUOTING: " + ("a quick run." if report_["quick"] else "the machine was busy.")
    rows = [row for findings in found.values() for row in findings.rows]
    Console(width=None if sys.stdout.isatty() else 150).print(report.table(rows, caption))
    print(report.line(report_), flush=True)


def _tell(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
