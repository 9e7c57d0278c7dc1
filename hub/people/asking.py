"""Who asks, while a request is answered: set once by the guard, so that what lists pages need not be told at each call.

Where nobody said who asks, it is somebody of whom nothing is known: a door that forgets to say it shows no more than
what everybody may see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from hub.people.users import Caller

SOMEBODY = Caller(role="view")
_asking: ContextVar[Caller | None] = ContextVar("asking", default=SOMEBODY)
# Gradio and Streamlit answer events of an open page in tasks and threads of their own, whose request they alone know.
# Each is set once, at import; None: it answers no event now.
of_events: dict[str, Callable[[], Caller | None]] = {}


def current() -> Caller | None:
    """Who asks; None: this machine itself, by a command or the hub's own work."""
    for ask in of_events.values():
        if (who := ask()) is not None:
            return who
    return _asking.get()


@contextmanager
def asked_by(who: Caller | None) -> Iterator[None]:
    """The same inside of the `with` alone."""
    token = _asking.set(who)
    try:
        yield
    finally:
        _asking.reset(token)
