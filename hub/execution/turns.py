"""Whose turn it is: by account or address, then by who asks, then by page: nobody starves behind another's many."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Generic, TypeVar

T = TypeVar("T")
Path = tuple[str, ...]  # of one length in one `Turns`


class Turns(Generic[T]):
    """What waits, each under a path such as (address, caller, page). Not safe for two threads at once."""

    def __init__(self) -> None:
        self._items: list[T] = []  # where the path has no names any more
        self._below: dict[str, Turns[T]] = {}  # by the path's first name; whose turn is next comes first

    def __bool__(self) -> bool:
        return bool(self._items or self._below)

    def __iter__(self) -> Iterator[T]:
        """All, the next first: one of each name in turn, in their order of arrival under the whole path."""
        yield from self._items
        missing = object()
        for round_ in zip_longest(*self._below.values(), fillvalue=missing):
            yield from (item for item in round_ if item is not missing)  # type: ignore[misc]

    def add(self, path: Path, item: T) -> None:
        """Puts an item behind all others of its path."""
        if not path:
            self._items.append(item)
        else:
            self._below.setdefault(path[0], Turns()).add(path[1:], item)

    def remove(self, path: Path, item: T, *, had_turn: bool = False) -> None:
        """Takes an item out. `had_turn`: its names come last from now on."""
        if not path:
            self._items.remove(item)
            return
        below = self._below[path[0]]
        below.remove(path[1:], item, had_turn=had_turn)
        if not below:
            del self._below[path[0]]
        elif had_turn:
            self._below[path[0]] = self._below.pop(path[0])
