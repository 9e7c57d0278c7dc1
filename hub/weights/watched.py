"""Whether files and folders are as they were when they were looked at: a stat each instead of a walk."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# Times of files come in steps of some milliseconds: two changes within one step look like one. So what was changed so
# shortly before it was looked at is looked at again.
STEP_NS = 1_000_000_000
State = tuple[int, ...] | None  # None: it is not there


@dataclass(frozen=True, slots=True)
class Watched:
    """`paths` as they were; `is_sure`: a change after that shows in their states."""

    paths: tuple[str, ...]
    states: tuple[State, ...]
    is_sure: bool

    @classmethod
    def since(cls, begun_ns: int, paths: Iterable[Path]) -> Watched:
        """`begun_ns`: a time of `time.time_ns` before the first of them was looked at."""
        names = tuple(map(str, paths))
        states = tuple(map(_state, names))
        newest = max((max(state[:2]) for state in states if state), default=0)
        return cls(names, states, newest < begun_ns - STEP_NS)

    def is_same(self) -> bool:
        return self.is_sure and all(_state(path) == was for path, was in zip(self.paths, self.states, strict=True))


def folders_in(folder: Path) -> list[Path]:
    """A folder and all below it: what is put into one or taken out of it changes its time."""
    return [folder, *(path for path in folder.rglob("*") if path.is_dir())]


def _state(path: str) -> State:
    try:
        stat = os.stat(path)  # noqa: PTH116  # a Path each would take longer than the stat itself
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino, stat.st_dev
