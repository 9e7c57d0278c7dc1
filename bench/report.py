"""What was found, for people (a table) and for programs (one line of JSON)."""

from __future__ import annotations

import json
import os
import platform
import resource
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from rich.table import Table

from bench.context import Findings
from bench.figures import Row, Spread

PACKAGES = ("gradio", "gradio_client", "torch", "torchvision", "timm", "segmentation-models-pytorch", "pillow", "numpy")
FORMAT = 1  # raise it when a key of the JSON line changes its meaning
QUIET_PERCENT = 5.0  # of all cores; with more taken by other programs, figures are not for quoting


def table(rows: Iterable[Row], caption: str) -> Table:
    shown = Table(caption=caption, caption_justify="left")
    for title in ("", "what", "unit", "hub", "baseline", "", "hub / baseline", "n"):
        shown.add_column(title, justify="left" if title in ("", "what", "unit") else "right")
    last = ""
    for row in rows:
        if last not in ("", row.measurement):
            shown.add_section()
        good = "green" if row.hub_wins else "default"
        shown.add_row(
            row.measurement if row.measurement != last else "",
            row.what,
            row.unit,
            _with_spread(row.hub),
            _with_spread(row.baseline),
            row.baseline_name,
            f"[{good}]{_with_spread(row.ratio, ratio=True)}[/]",
            str(row.hub.n) if row.hub.n == row.baseline.n else f"{row.hub.n} / {row.baseline.n}",
        )
        last = row.measurement
    return shown


def document(found: Mapping[str, Findings], about: Mapping[str, Any]) -> dict[str, Any]:
    """All figures with what they depend on; JSON-able."""
    rows = [_rounded(asdict(row)) for findings in found.values() for row in findings.rows]
    details = {name: _rounded(findings.details) for name, findings in found.items() if findings.details}
    return {"bench": "demo-hub", "format": FORMAT, **about, "rows": rows, "details": details}


def line(report: Mapping[str, Any]) -> str:
    return json.dumps(report, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def machine() -> dict[str, Any]:
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(),
    }


def versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class Others:
    """How much of the machine other programs (and the hypervisor) took since this was made, in percent of all cores.

    Exact once every process of ours has ended and been waited for; until then ours count as others.
    """

    def __init__(self) -> None:
        self._busy, self._own, self._begin = _busy_s(), _own_s(), time.perf_counter()

    def percent(self) -> float:
        taken = (_busy_s() - self._busy) - (_own_s() - self._own)
        return max(0.0, 100 * taken / ((time.perf_counter() - self._begin) * (os.cpu_count() or 1)))


def _busy_s() -> float:
    times = psutil.cpu_times()._asdict()
    within = ("guest", "guest_nice")  # already part of user and nice
    return float(sum(s for kind, s in times.items() if kind not in ("idle", "iowait", *within)))


def _own_s() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _with_spread(spread: Spread, *, ratio: bool = False) -> str:
    if spread.n == 1:
        return _number(spread.median, ratio)
    return f"{_number(spread.median, ratio)} ({_number(spread.q1, ratio)} .. {_number(spread.q3, ratio)})"


def _number(value: float, ratio: bool = False) -> str:
    digits = 3 if value < 0.1 else 2 if ratio or value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f}"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(entry) for entry in value]
    return value


def _cpu_name() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    facts = dict(part.split(":", 1) for part in text.split("\n\n")[0].splitlines() if ":" in part)
    named = {key.strip(): value.strip() for key, value in facts.items()}
    name = named.get("model name", platform.machine())
    family = f"family {named['cpu family']} model {named['model']}" if "cpu family" in named else ""
    return f"{name} ({family})" if family else name
