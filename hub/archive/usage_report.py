"""What the counted runs say: totals by page, day and kind of caller, shares, and times that half and most runs took."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from hub.archive import spreadsheets
from hub.archive.usage import LOADS, Counted, seconds_of

KEPT = frozenset({"hit", "shared"})  # answered without a run of their own
COMPUTED = frozenset({"computed", "background"})
COLUMNS = ("day", "page", "caller", "outcome", "count", "p50_s", "p95_s")
FILES_MOST = 200_000  # of the data folder that are looked at


@dataclass(frozen=True, slots=True)
class Line:
    """Runs that have something in common. Times are of those that were computed; None: none was."""

    name: str
    runs: int
    errors: int
    from_cache: int
    p50_s: float | None
    p95_s: float | None


def report(rows: Sequence[Counted], days: int, today: str) -> dict[str, Any]:
    """As JSON data."""
    runs = [row for row in rows if row.outcome != LOADS]
    loads = [row for row in rows if row.outcome == LOADS]
    last = date.fromisoformat(today)
    every_day = [(last - timedelta(days=ago)).isoformat() for ago in reversed(range(days))]
    codes = Counter[str]()
    for row in runs:
        if row.outcome not in KEPT | COMPUTED:
            codes[row.outcome] += row.count
    return {
        "days": days,
        "total": asdict(_line("", runs)),
        "by_day": [asdict(line) for line in _lines(runs, lambda row: row.day, every_day)],
        "by_page": _sorted(_lines(runs, lambda row: row.page)),
        "by_caller": _sorted(_lines(runs, lambda row: row.caller)),
        "errors": dict(codes.most_common()),
        "loads": {"count": sum(row.count for row in loads), "p50_s": _share(loads, 0.5), "p95_s": _share(loads, 0.95)},
    }


def to_csv(rows: Iterable[Counted]) -> str:
    """One line a day, page, kind of caller and outcome."""
    groups = dict[tuple[str, str, str, str], list[Counted]]()
    for row in rows:
        groups.setdefault((row.day, row.page, row.caller, row.outcome), []).append(row)
    file = io.StringIO()
    lines = (
        (*key, sum(row.count for row in group), _share(group, 0.5), _share(group, 0.95))
        for key, group in sorted(groups.items())
    )
    spreadsheets.write(file, COLUMNS, (dict(zip(COLUMNS, map(str, line), strict=True)) for line in lines))
    return file.getvalue()


def disk_use(folder: Path) -> list[dict[str, Any]]:
    """What lies in the data folder, by its parts, the largest first."""
    sizes, left = Counter[str](), FILES_MOST
    for entry in folder.iterdir() if folder.is_dir() else ():
        name = entry.name.partition(".sqlite3")[0]
        for path in [entry] if entry.is_file() else entry.rglob("*"):
            left -= 1
            if left < 0:
                break
            try:
                sizes[name] += 0 if path.is_symlink() else path.stat().st_size
            except OSError:  # it went away meanwhile
                continue
    return [{"name": name, "bytes": size} for name, size in sizes.most_common() if size]


def _lines(rows: Sequence[Counted], key: Callable[[Counted], str], names: Iterable[str] = ()) -> list[Line]:
    groups: dict[str, list[Counted]] = {name: [] for name in names}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return [_line(name, group) for name, group in groups.items()]


def _sorted(lines: list[Line]) -> list[dict[str, Any]]:
    return [asdict(line) for line in sorted(lines, key=lambda line: -line.runs)]


def _line(name: str, rows: Sequence[Counted]) -> Line:
    computed = [row for row in rows if row.outcome in COMPUTED]
    runs, kept = sum(row.count for row in rows), sum(row.count for row in rows if row.outcome in KEPT)
    errors = runs - kept - sum(row.count for row in computed)
    return Line(name, runs, errors, kept, _share(computed, 0.5), _share(computed, 0.95))


def _share(rows: Sequence[Counted], share: float) -> float | None:
    """The time that this share of runs did not exceed, to the step in which it was counted."""
    steps = Counter[int]()
    for row in rows:
        steps[row.step] += row.count
    wanted, passed = share * steps.total(), 0
    for step, count in sorted(steps.items()):
        passed += count
        if passed >= wanted:
            return round(seconds_of(step), 3)
    return None
