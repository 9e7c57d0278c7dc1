"""Unit vectors by result, and the nearest of them; exact, with numpy.

Libraries were compared on this machine with 3,000 vectors of 1,280 numbers, which is more than the default bound keeps,
on one thread: one matrix product 0.2 ms, usearch 2.26 0.3 ms with HNSW (0.5 ms exact) and 0.6 ms for each vector added.
faiss-cpu brings 66 MB and an OpenMP of its own beside torch's; hnswlib has no wheels; voyager and usearch cannot ask
for "these rows only" from Python, and that is what every search here does: a visitor's own pictures, and no other's.
From some hundred thousand vectors on, usearch would be the choice.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]  # [features], of length 1

ROOM = 1.5  # a group's matrix is made for so many times the rows it holds
OWNERS = 32  # sessions remembered per result; the same picture may come from more, of whom the first are forgotten
ENTRY_BYTES = 1024  # what an entry takes beside its vector, about


@dataclass(frozen=True, slots=True)
class _VectorRow:
    """One vector's place: its row in the matrix of its group, and who may see it."""

    group: str
    row: int
    picture: str
    owners: tuple[str, ...] = ()


@dataclass(slots=True)
class _Group:
    """Vectors that can be compared. A row is written once, and a full matrix is replaced by a new one.

    So a search takes the matrix and the entries under the lock, and reads them without it.
    """

    matrix: NDArray[np.float32]
    used: int = 0  # rows, with those whose entry has left
    live: dict[str, _VectorRow] = field(default_factory=dict)


class Vectors:
    """Unit vectors by result id, in at most `limit_bytes`; the one used longest ago leaves first."""

    def __init__(self, limit_bytes: int):
        self.limit_bytes = limit_bytes
        # Guards all below. Held to write a row or to list entries, not to choose and compare them; taken alone.
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _VectorRow] = OrderedDict()
        self._groups: dict[str, _Group] = {}
        self._bytes = 0

    def add(self, id: str, group: str, picture: str, vector: Vector, owner: str, old: bool = False) -> bool:
        """Keeps a vector, or another owner of it. `old`: it comes after all others, and only if there is room."""
        with self._lock:
            entry = self._entries.get(id)
            if entry is None:
                size = vector.nbytes + ENTRY_BYTES
                if size > self.limit_bytes or (old and self._bytes + size > self.limit_bytes):
                    return False
                entry = self._write(group, picture, vector)
                self._bytes += size
            if owner and owner not in entry.owners:
                entry = replace(entry, owners=(*entry.owners, owner)[-OWNERS:])
            self._entries[id] = self._groups[entry.group].live[id] = entry
            self._entries.move_to_end(id, last=not old)
            while self._bytes > self.limit_bytes:
                self._drop(next(iter(self._entries)))
            return True

    def _write(self, name: str, picture: str, vector: Vector) -> _VectorRow:
        group = self._groups.get(name)
        if group is None or group.used == len(group.matrix):
            rows = group.live if group else {}
            fresh = _Group(np.zeros((max(16, int(len(rows) * ROOM)), len(vector)), np.float32), len(rows))
            if group is not None:
                fresh.matrix[: len(rows)] = group.matrix[[entry.row for entry in rows.values()]]
            fresh.live = {id: replace(entry, row=row) for row, (id, entry) in enumerate(rows.items())}
            self._entries.update(fresh.live)
            group = self._groups[name] = fresh
        group.matrix[group.used] = vector
        group.used += 1
        return _VectorRow(name, group.used - 1, picture)

    def disown(self, ids: Collection[str], owners: Collection[str]) -> None:
        """Forgets that these results are theirs."""
        with self._lock:
            for id in ids:
                if entry := self._entries.get(id):
                    remaining = tuple(owner for owner in entry.owners if owner not in owners)
                    self._entries[id] = self._groups[entry.group].live[id] = replace(entry, owners=remaining)

    def remove(self, id: str) -> None:
        """Forgets a vector, if it is here."""
        with self._lock:
            if id in self._entries:
                self._drop(id)

    def _drop(self, id: str) -> None:
        entry = self._entries.pop(id)
        group = self._groups[entry.group]
        del group.live[id]
        self._bytes -= group.matrix[entry.row].nbytes + ENTRY_BYTES
        if not group.live:
            del self._groups[entry.group]

    def pictures(self, group: str) -> set[str]:
        """Digests of the pictures whose vectors a group holds."""
        with self._lock:
            return {e.picture for e in self._groups[group].live.values()} if group in self._groups else set()

    def nearest(
        self, group: str, vector: Vector, *, owners: Collection[str] | None, always: Collection[str], without: str
    ) -> list[tuple[float, str, str]]:
        """(cosine similarity, result id, picture digest), nearest first, each picture once.

        Looks at entries of `owners` (None: of all) and at the pictures `always`, never at the picture `without`.
        """
        with self._lock:
            if group not in self._groups:
                return []
            matrix, entries = self._groups[group].matrix, list(self._groups[group].live.items())
        candidates = [
            (id, entry)
            for id, entry in entries
            if entry.picture != without
            and (owners is None or entry.picture in always or any(owner in entry.owners for owner in owners))
        ]
        rows = [entry.row for _, entry in candidates]
        # A product with the whole matrix is cheaper than a copy of many of its rows.
        scores = (matrix @ vector)[rows] if 4 * len(rows) > len(matrix) else matrix[rows] @ vector
        answer: dict[str, tuple[float, str, str]] = {}
        for place in np.argsort(-scores, kind="stable"):
            id, entry = candidates[place]
            answer.setdefault(entry.picture, (min(1.0, float(scores[place])), id, entry.picture))
        return list(answer.values())

    def stats(self) -> dict[str, int]:
        """Counts and bytes."""
        with self._lock:
            return {"vectors": len(self._entries), "groups": len(self._groups), "bytes": self._bytes}
