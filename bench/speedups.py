"""One forward pass of every page's network, as the hub runs it where that is fastest, against eager float32.

What is timed stands in bench/backends.py, which runs in a process of its own. Stable Diffusion is held against eager in
the dtype that this machine runs it in.
"""

from __future__ import annotations

import json
from typing import Any

from bench.context import Bench, BenchError, Findings
from bench.figures import Row, compare
from bench.probes import DRAWING


def measure(bench: Bench) -> Findings:
    if bench.device != "cpu":
        raise BenchError("compiled forms are for CPUs only")
    quick = [] if bench.plan.name == "full" else ["--quick"]
    pages = ",".join(bench.registry.pages) if bench.plan.name == "full" else bench.slug
    worker = bench.processes.work("backends", ["-m", "bench.backends", "--only", pages, "--dtype", bench.dtype, *quick])
    last = ""
    while line := worker.process.stdout.readline() if worker.process.stdout else "":
        last = line
    if not last.startswith("{"):
        raise BenchError(f"bench.backends ended without figures: {bench.processes.ended()[-300:]}")
    passes = json.loads(last)["passes"]
    rows = dict[str, Row]()
    for one in passes:
        row = _row(one, bench.dtype)
        rows.setdefault(row.key, row)  # a page's first method is what the bars are about
    return Findings(tuple(rows.values()), {"passes": passes})


def _row(one: dict[str, Any], dtype: str) -> Row:
    page, batch = one["page"], one["shape"][0]
    ours = min(one["compiled_ms"], one["eager_ms"])
    theirs, name = one["eager_float32_ms"], "eager float32"
    if page == DRAWING:
        theirs, name = one["eager_ms"], f"eager {dtype}"
    what = f"{page}, {one['method']}, batch {batch}, {one['won']}"
    return compare(f"speedups.{page}.{batch}", what, "1/s", [[1000 / ours]], [[1000 / theirs]], name, "higher")
