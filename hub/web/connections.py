"""How many connections the server holds, and how long each may take to say what it wants.

uvicorn has no timeouts but one between requests, and no end of connections but that of the descriptors, at which
asyncio fills the log. Here each connection has a seat. When all are taken, who waits longest without asking for
anything leaves; so a client that asks is answered however many are open and silent.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.utils import get_remote_addr
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

log = logging.getLogger(__name__)
MOST = 4096  # connections, if the descriptors are enough
BACKLOG = 128  # asyncio accepts so many at a time before any is counted
DESCRIPTORS = 65_536  # no more, since some programs loop over every descriptor that they may have
TELL_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a connection may take."""

    header_s: float = 20.0  # from its first moment, or the first byte of a next request, to the end of the header
    # Between requests. Longer than what clients and proxies keep an idle connection for (nginx and Amazon's balancers
    # 60 s, Go 90 s): who closes first must be the side that sends, else a request meets a closed connection.
    idle_s: float = 120.0
    pace_s: float = 30.0  # in each of these a body gets on by `pace_bytes`, or is complete
    pace_bytes: int = 16 * 1024
    rest_s: float = 5.0  # for the rest of a body that nobody reads any more
    unread_s: float = 60.0  # for a client to take what is sent to it


def raise_descriptors() -> int:
    """Takes as many descriptors as the system allows; returns how many connections leave enough of them."""
    if sys.platform == "win32":
        return MOST
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < limit:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
            soft = limit
        except (OSError, ValueError):  # macOS has a lower limit than it reports
            log.info("the limit of open files stays %d", soft)
    most = MOST if soft == resource.RLIM_INFINITY else min(MOST, soft * 5 // 8)
    if most < 512:
        log.warning("only %d files may be open, so at most %d connections; raise it with ulimit -n", soft, most)
    return most


class Rarely:
    """Logs a line at most once a minute, however often it is called."""

    def __init__(self) -> None:
        self._last = float("-inf")

    def warn(self, text: str, *values: object) -> None:
        if time.monotonic() - self._last >= TELL_EVERY_S:
            self._last = time.monotonic()
            log.warning(text, *values)


class Seats:
    """Who is connected, by transport; used in the event loop only.

    One address may have half of all: behind a proxy or a tunnel everybody comes from one.
    """

    def __init__(self, most: int):
        self.most, self.of_one = most, max(1, most // 2)
        self._addresses: dict[asyncio.Transport, str] = {}
        self._counts = Counter[str]()
        # Connections that ask for nothing now, the longest waiting first: those that never asked, and those that did.
        self._silent, self._idle = _Queue(), _Queue()
        self._full = Rarely()

    def __len__(self) -> int:
        return len(self._addresses)

    def take(self, transport: asyncio.Transport, address: str) -> bool:
        """A new connection. False: all seats are taken by who is being answered."""
        crowded = self._counts[address] >= self.of_one
        if crowded or len(self) >= self.most:
            self._full.warn(
                "%d connections are open, %d of them from %r: the longest silent ones are closed for new ones (told "
                "once a minute)", len(self), self._counts[address], address,
            )  # fmt: skip
            first = self._silent.first(address if crowded else "") or self._idle.first(address if crowded else "")
            if first is None:
                return False
            self.leave(first)
            first.abort()
        self._addresses[transport] = address
        self._counts[address] += 1
        self._silent.add(transport, address)
        return True

    def asks(self, transport: asyncio.Transport) -> None:
        self._silent.remove(transport, self._addresses.get(transport, ""))
        self._idle.remove(transport, self._addresses.get(transport, ""))

    def waits(self, transport: asyncio.Transport) -> None:
        if transport in self._addresses:
            self._idle.add(transport, self._addresses[transport])

    def leave(self, transport: asyncio.Transport) -> None:
        self.asks(transport)
        address = self._addresses.pop(transport, None)
        if address is not None:
            self._counts[address] -= 1
            if not self._counts[address]:
                del self._counts[address]


class _Queue:
    """Transports in the order in which they came, all and by address."""

    def __init__(self) -> None:
        self._by: dict[str, OrderedDict[asyncio.Transport, None]] = {"": OrderedDict()}

    def add(self, transport: asyncio.Transport, address: str) -> None:
        for name in {"", address}:
            self._by.setdefault(name, OrderedDict())[transport] = None

    def remove(self, transport: asyncio.Transport, address: str) -> None:
        for name in {"", address}:
            self._by.get(name, OrderedDict()).pop(transport, None)
        if address and not self._by.get(address, True):
            del self._by[address]

    def first(self, address: str) -> asyncio.Transport | None:
        """The one that came first; of all, where `address` is empty."""
        return next(iter(self._by.get(address) or ()), None)


class Http(H11Protocol):
    """One HTTP connection with a seat and patience; `make_protocols` binds both."""

    seats: Seats
    patience: Patience

    def __init__(self, *arguments: Any, **named: Any):
        super().__init__(*arguments, **named)
        self.timeout_keep_alive = self.patience.idle_s  # type: ignore[assignment]  # declared as whole seconds; a fraction works
        self._timer: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._received = self._received_before = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        self.transport = transport
        address = get_remote_addr(transport)
        if not self.seats.take(transport, address[0] if address else ""):
            transport.write(_plain_answer(503, "The hub is busy", "busy", "Too many connections are open. Try again."))
            transport.close()
            return
        super().connection_made(transport)
        self._wait(self.patience.header_s, self._no_header)

    def connection_lost(self, exc: Exception | None) -> None:
        self.seats.leave(self.transport)
        self._wait(0, None)
        if self._unread is not None:
            self._unread.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if self._timer is None and (self.cycle is None or self.cycle.response_complete):
            self._wait(self.patience.header_s, self._no_header)
        super().data_received(data)

    def handle_events(self) -> None:
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self.seats.asks(self.transport)
            self._received_before = self._received
            self._wait(self.patience.pace_s, self._look_at_pace if self.cycle.more_body else None)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self.seats.asks(self.transport)
        self._wait(0, None)
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        self.seats.waits(self.transport)
        self._wait(self.patience.rest_s, self.transport.close if self.cycle.more_body else None)
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(self.patience.unread_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def hang_up(self) -> None:
        """Ends an answer that would never end by itself: its door hears that the client is gone."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def requested_path(self) -> str:
        """The path of the request that is being answered; empty: none."""
        active = self.cycle is not None and not self.cycle.response_complete
        return str(self.scope["path"]) if active else ""

    def _wait(self, seconds: float, then: Any) -> None:
        """One timer at a time: what comes next ends the wait for what came before."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, then) if then else None

    def _no_header(self) -> None:
        if self.conn.trailing_data[0]:
            self._too_slow("The request's header")
        else:
            self.transport.close()

    def _look_at_pace(self) -> None:
        if self.cycle is None or not self.cycle.more_body:
            return
        # While reading is paused it is the hub that does not read, so the client is not to blame.
        if self._received - self._received_before < self.patience.pace_bytes and not self.flow.read_paused:
            self._too_slow("The request's body")
            return
        self._received_before = self._received
        self._wait(self.patience.pace_s, self._look_at_pace)

    def _too_slow(self, what: str) -> None:
        answered = bool(self.requested_path()) and self.cycle.response_started
        if not answered and not self.transport.is_closing():
            detail = f"{what} came too slowly. Try again over a better line."
            self.transport.write(_plain_answer(408, "The request came too slowly", "timeout", detail))
        self.hang_up()


class Socket(WebSocketsSansIOProtocol):
    """A websocket, which keeps the seat of the connection that it was."""

    seats: Seats

    def connection_lost(self, exc: Exception | None) -> None:
        self.seats.leave(self.transport)
        super().connection_lost(exc)


def make_protocols(most: int, patience: Patience) -> tuple[type[Http], type[Socket]]:
    """Both protocols over the seats of one server."""
    seats = Seats(most)
    return type("Http", (Http,), {"seats": seats, "patience": patience}), type("Socket", (Socket,), {"seats": seats})


def _plain_answer(status: int, title: str, code: str, detail: str) -> bytes:
    """A problem document by a server that has no request to answer, or none that is complete."""
    body = json.dumps({"type": f"urn:demo-hub:problem:{code}", "title": title, "status": status, "detail": detail})
    reason = {408: "Request Timeout", 503: "Service Unavailable"}[status]
    head = (
        f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/problem+json\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nRetry-After: 5\r\nConnection: close\r\n\r\n"
    )
    return (head + body).encode()
