"""Which request a run, its stages and a log line belong to, in the words of W3C Trace Context (`traceparent`).

Here are the ids alone, which cost nothing. hub/telemetry.py tells a collector what took how long, where there is one.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

ASKED, ANSWERED = "traceparent", "traceresponse"  # headers of a request and of its answer
SCOPE = "hub.trace"  # in an ASGI scope, the trace of its request
HEADER_CHARS = 128  # a version to come may add to the 55 of today
HEADER = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[ -~]*)?")
RUN_CHARS = 12  # of a run's id: enough to find it, and not the key that opens its result


@dataclass(frozen=True, slots=True)
class Trace:
    """Where in a trace something happens: below the piece of work whose id is `span_id`. It can be pickled."""

    trace_id: str  # 32 hex digits
    span_id: str  # 16 hex digits
    sampled: bool = False  # whether a collector is told of it
    run: str = ""  # the begin of the run's id, where it is known

    @property
    def header(self) -> str:
        """As a `traceparent` has it."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}"


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a run and when it was, by the clock of the machine that it was on: seconds since the epoch."""

    name: str
    begin: float
    seconds: float


class OpenSpan:
    """One piece of work that is not over yet. Of this one nobody is told."""

    def __init__(self, trace: Trace):
        self.trace = trace

    def name_run(self, id: str) -> None:
        """It is this run."""
        self.trace = replace(self.trace, run=id[:RUN_CHARS])

    def rename(self, name: str) -> None:
        """What it is called, where that is known late."""

    def tell(self, values: Mapping[str, str | int | float | bool]) -> None:
        """What else is known of it. Never what people put in, nor an address that is a key."""

    def add(self, stages: Iterable[Stage]) -> None:
        """What it consisted of."""

    def end(self, *, failed: bool = False) -> None:
        """It is over. `failed`: by a fault of the hub's."""


class Tracer:
    """Gives pieces of work their ids. This one tells nobody of them."""

    is_on = False

    def begin(self, name: str, above: Trace | None = None, *, at_door: bool = False) -> OpenSpan:
        """Work begins, as part of what is `above` it; None: it begins a trace. `at_door`: it is a request."""
        return OpenSpan(new_trace(above))

    def close(self) -> None:
        """Tells what was not told yet, within seconds."""


def new_trace(above: Trace | None = None) -> Trace:
    """A place below another, or one that begins a trace."""
    span_id = secrets.token_hex(8)
    return replace(above, span_id=span_id) if above else Trace(secrets.token_hex(16), span_id)


def read_header(values: Sequence[str]) -> Trace | None:
    """Of the `traceparent` headers of a request. None: there is none, or none that counts; a bad one is no error."""
    if len(values) != 1 or len(values[0]) > HEADER_CHARS:
        return None
    found = HEADER.fullmatch(values[0].strip())
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more is not None) or not int(trace_id, 16) or not int(span_id, 16):
        return None
    return Trace(trace_id, span_id, sampled=bool(int(flags, 16) & 1))


# --- where this thread or task is -----------------------------------------------------------------

_CURRENT: ContextVar[Trace | None] = ContextVar("hub_trace", default=None)


def current() -> Trace | None:
    """What log lines name."""
    return _CURRENT.get()


@contextmanager
def entered(trace: Trace | None) -> Iterator[None]:
    """What is logged meanwhile belongs to this."""
    token = _CURRENT.set(trace)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def enter(trace: Trace | None) -> None:
    """From here on, to the end of `entered`."""
    _CURRENT.set(trace)
