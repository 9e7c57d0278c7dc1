"""Popularity: which model in memory is likely to be missed least, so that the pool loads little more than it must.

No one rule is good for all there is. What is used often should stay while visitors come and go; where two pages are
used in turn, what was used last should, and counts of yesterday's crowd would load both again and again. So several
rules keep house in thought only, each with the room of the pool, and the one that would have spent least on loads of
late says who leaves. bench/LOG.md has the figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")

LATELY, OFTEN = 16, 128  # half-lives of counts, in uses
REMEMBERED = 100  # half-life of what rules have spent, in uses
MOST = 2000  # models that are remembered, in memory or not; those used longest ago are forgotten
EACH_LOAD_S = 0.1  # what a load costs beside the time that was measured


@dataclass(slots=True)
class _Known:
    """What is remembered of a model, also when it has left. The counts are those of `used_at`."""

    bytes: int = 0
    load_s: float = EACH_LOAD_S
    used_at: int = 0
    lately: float = 0.0
    often: float = 0.0


def _recent(model: _Known, now: int) -> float:
    return model.used_at


def _lately(model: _Known, now: int) -> float:
    return _faded(model.lately, now - model.used_at, LATELY)


def _often(model: _Known, now: int) -> float:
    return _faded(model.often, now - model.used_at, OFTEN)


def _dear(model: _Known, now: int) -> float:
    """Used often, for what it costs to have it again, by the room that it takes."""
    return _often(model, now) * model.load_s / max(1, model.bytes)


def _in_turn(model: _Known, now: int) -> float:
    """Where all are used one after the other and one too many, the latest is the one that is needed last."""
    return -model.used_at


def _faded(count: float, uses: int, half_life: float) -> float:
    return float(count * 2.0 ** (-uses / half_life))


@dataclass(slots=True)
class _Rule:
    """A rule, and what it would have in memory."""

    worth: Callable[[_Known, int], float]
    held: dict[str, int] = field(default_factory=dict)  # bytes by model
    bytes: int = 0
    spent_s: float = 0.0  # on loads, faded


class Popularity:
    """Hears of every use and says what a model is worth. Not safe for two threads at once."""

    def __init__(self) -> None:
        self._now = 0  # uses so far
        self._latest = ""
        self._models: dict[str, _Known] = {}  # the latest used last
        self._rules = [_Rule(worth) for worth in (_recent, _lately, _often, _dear, _in_turn)]
        self._followed = self._rules[0]

    def note(self, key: str, size: int, load_s: float, room: int) -> None:
        """A model was used. `size`: bytes that it takes of `room`, none where it is pinned."""
        if key == self._latest:
            return  # to use one model a hundred times in a row needs no load, and says nothing of the others
        self._latest, self._now = key, self._now + 1
        model = self._models.pop(key, None) or _Known()
        idle = self._now - model.used_at
        model.lately, model.often = _faded(model.lately, idle, LATELY) + 1, _faded(model.often, idle, OFTEN) + 1
        model.used_at, model.bytes, model.load_s = self._now, size or model.bytes, EACH_LOAD_S + load_s
        self._models[key] = model
        if len(self._models) > MOST:
            del self._models[next(iter(self._models))]
        for rule in self._rules:
            self._keep_house(rule, key, size, room)
        best = min(self._rules, key=lambda rule: rule.spent_s)
        if best.spent_s < self._followed.spent_s:
            self._followed = best

    def worth(self, key: str) -> tuple[float, int]:
        """To be compared with other models': the least leaves first."""
        return self._worth(self._followed, key)

    def _worth(self, rule: _Rule, key: str) -> tuple[float, int]:
        model = self._models.get(key)
        return (-math.inf, 0) if model is None else (rule.worth(model, self._now), model.used_at)

    def _keep_house(self, rule: _Rule, key: str, size: int, room: int) -> None:
        """What a rule would have done."""
        rule.spent_s = _faded(rule.spent_s, 1, REMEMBERED)
        if key not in rule.held:
            rule.spent_s += self._models[key].load_s
        rule.bytes += size - rule.held.pop(key, 0)
        if rule.bytes > room:
            order = sorted(rule.held, key=lambda other: self._worth(rule, other))
            for other, _ in enough(((o, rule.held[o]) for o in order), rule.bytes - room):
                rule.bytes -= rule.held.pop(other)
        rule.held[key] = size


def enough(order: Iterable[tuple[T, int]], over: int) -> list[tuple[T, int]]:
    """The first of `order` that together have `over` bytes, but none that the others make unnecessary."""
    leave: list[tuple[T, int]] = []
    for one in order:
        if over <= 0:
            break
        leave.append(one)
        over -= one[1]
    for one in reversed(leave.copy()):
        if over + one[1] <= 0:
            leave.remove(one)
            over += one[1]
    return leave
