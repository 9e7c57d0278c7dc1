"""A hub of 1,000 pages against one of six of the same kind: from the start to the first page, and the home page."""

from __future__ import annotations

import shutil
from pathlib import Path

from bench.context import Bench, Findings
from bench.figures import compare
from bench.probes import get, timed_ms
from bench.processes import ROOT, Server

FEW = 6
PAGE = ROOT / "bench" / "baselines" / "trivial_page.txt"


def measure(bench: Bench) -> Findings:
    few, many = FEW, bench.plan.many_pages
    taken: dict[int, dict[str, list[list[float]]]] = {n: {"first": [], "demo": [], "home": []} for n in (few, many)}
    folders = {number: _pages(bench.folder / f"pages-{number}", number) for number in (few, many)}
    for turn in range(bench.plan.starts):
        for number in (few, many) if turn % 2 == 0 else (many, few):
            server = bench.hub(f"many-{number}-{turn}", "--demos-folder", str(folders[number]))
            _start(server, number, bench.plan.samples, taken[number])
            bench.processes.stop(server)
    ours, theirs, name = taken[many], taken[few], f"{few} pages"
    rows = (
        compare("many_pages.first", f"first page / of {many} pages", "s", ours["first"], theirs["first"], name),
        compare("many_pages.demo", f"first demo page of {many}", "s", ours["demo"], theirs["demo"], name),
        compare("many_pages.home", f"home page of {many} pages", "ms", ours["home"], theirs["home"], name),
    )
    return Findings(rows, {})


def _start(server: Server, number: int, samples: int, into: dict[str, list[list[float]]]) -> None:
    into["first"].append([server.wait()])
    into["demo"].append([server.wait(f"/page_{number // 2:04d}")])
    with server.http() as http:
        get(http, "/")
        into["home"].append([timed_ms(lambda: get(http, "/")) for _ in range(samples)])


def _pages(folder: Path, number: int) -> Path:
    """So many pages without weights."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    text = PAGE.read_text(encoding="utf-8")
    for n in range(number):
        (folder / f"page_{n:04d}.py").write_text(text.replace("NUMBER", str(n)), encoding="utf-8")
    return folder
