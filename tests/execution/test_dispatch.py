"""Which process a run goes to: a picture whose setting changes goes where the model's output of it is kept."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

from hub.execution.dispatch import Dispatch
from hub.execution.executor import Work
from hub.execution.leases import model_key


class Process:
    """What the dispatch knows of one."""

    def __init__(self, *loaded: str):
        self.pulse, self.is_alive = SimpleNamespace(loaded=frozenset(loaded)), True

    def use_cores(self, cores: int) -> None:
        pass


def work(picture: bytes, **more: Any) -> Work:
    pictures = {"image": picture} if picture else {}
    return Work("page", "weights", "0" * 64, {}, pictures, "{}", 60.0, **more)


def chosen(dispatch: Dispatch, one: Work) -> Any:
    with dispatch.place(one, frozenset(), lambda: 60.0, threading.Event()) as place:
        return place


def test_a_picture_goes_where_it_was_seen_last() -> None:
    key = model_key("page", "weights", "0" * 64)
    dispatch = Dispatch(8, 2, lambda process, ticket: None)
    quick: Any = Process(key)
    other: Any = Process(key, "more")
    dispatch.add(quick)
    dispatch.add(other)
    assert chosen(dispatch, work(b"a")) is quick  # it has fewer models
    quick.pulse.loaded = frozenset({key, "more", "still more"})
    assert chosen(dispatch, work(b"a")) is quick
    assert chosen(dispatch, work(b"b")) is other
    assert chosen(dispatch, work(b"")) is other and chosen(dispatch, work(b"a", live=True)) is other  # nothing is kept
    quick.is_alive = False
    assert chosen(dispatch, work(b"a")) is other
