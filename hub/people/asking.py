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
# Where Gradio keeps the request whose event is answered, which the context variable cannot know. Set once, at import.
ask_gradio: list[Callable[[], Caller | None]] = []


def current() -> Caller | None:
    """Who asks; None: this machine itself, by a command or the hub's own work."""
    for ask in ask_gradio:
        if (who := ask()) is not None:
            return who
    return _asking.get()


def ask_for(who: Caller | None) -> None:
    """From here on, in this thread or task, it is this one who asks."""
    _asking.set(who)


@contextmanager
def asked_by(who: Caller | None) -> Iterator[None]:
    """The same inside of the `with` alone."""
    token = _asking.set(who)
    try:
        yield
    finally:
        _asking.reset(token)
