"""Serves the app within bounds, and ends in order: grace for what is in work, an answer for what outlasts it."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import re
import signal
import socket
import threading
import time
from types import FrameType
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from hub.hub import Hub
from hub.web import connections
from hub.web.connections import Http, Patience, Rarely
from hub.web.middleware.guard import PEER

log = logging.getLogger(__name__)
SETTLE_S = 0.5  # with nothing in work before the end: an answer may be on its way, a comparison between its two runs
ENDING_S = 3.0  # for what is in work to hear that the grace is over
AT_LAST_S = 10.0  # after which the process ends, even where a thread never heard that it should
# Answers that never end: an open tab's.
ENDLESS = re.compile(r"/gradio_api/(queue/data|startup-events)")


def serve(app: Any, hub: Hub, listener: socket.socket, **options: Any) -> None:
    """Serves until a signal has come and what was in work has ended."""
    Server(configure_server(app, **options), hub).run(sockets=[listener])


def configure_server(
    app: Any, *, most: int = 0, patience: Patience | None = None, proxies: str | list[str] = "", **options: Any
) -> uvicorn.Config:
    """uvicorn's settings. `most` connections; 0: as many as descriptors allow.

    `proxies`: addresses whose word is taken on whom they pass on, as uvicorn's `forwarded_allow_ips`.
    """
    patience = patience or Patience()
    # As uvicorn would put it around the app by itself, but with the peer kept.
    behind: Any = ProxyHeadersMiddleware(app, trusted_hosts=proxies)
    http, websocket = connections.make_protocols(most or connections.raise_descriptors(), patience)
    return uvicorn.Config(
        Peers(behind), proxy_headers=False, http=http, ws=websocket, ws_max_size=2**20, backlog=connections.BACKLOG,
        log_config=None, log_level="warning", access_log=False,
        timeout_graceful_shutdown=int(ENDING_S), **options,
    )  # fmt: skip


class Peers:
    """Keeps the address at the other end of the connection, before a proxy's header tells whom it passes on."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            scope[PEER] = str((scope.get("client") or ("",))[0])
        await self.app(scope, receive, send)


class Server(uvicorn.Server):
    """uvicorn's server, which would cut off what is in work and end by the signal that it got."""

    def __init__(self, config: uvicorn.Config, hub: Hub):
        super().__init__(config)
        self.hub = hub
        self._grace_ends = self._at_rest_since = float("inf")
        self._no_descriptors = Rarely()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.hub.stop.begun.is_set():
            os._exit(128 + sig)  # asked twice: at once, whatever is in work
        self.stop(signal.Signals(sig).name)

    def stop(self, why: str) -> None:
        """Takes no new work from now on, and ends once what is in work has ended, or at the end of the grace."""
        self._grace_ends = time.monotonic() + self.hub.settings.grace_s
        self.hub.stop.begun.set()
        log.info("%s: no new work; %d runs have %g s to end", why, self.hub.engine.in_work, self.hub.settings.grace_s)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().set_exception_handler(self._log_fault)
        await super().startup(sockets)

    async def on_tick(self, counter: int) -> bool:
        if self.hub.stop.begun.is_set():
            now = time.monotonic()
            self._at_rest_since = float("inf") if self._is_working() else min(self._at_rest_since, now)
            if now > self._grace_ends:
                self.hub.stop.over.set()
            self.should_exit |= now - self._at_rest_since > SETTLE_S or now > self._grace_ends + ENDING_S
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.hub.stop.begun.set()
        self.hub.stop.over.set()
        last = threading.Timer(AT_LAST_S, os._exit, (0,))
        last.daemon = True
        if threading.current_thread() is threading.main_thread():  # else the process is not this server's
            last.start()
        for connection in [*self.server_state.connections]:
            if isinstance(connection, Http) and ENDLESS.search(connection.requested_path()):
                connection.hang_up()
        await super().shutdown(sockets)
        if self.server_state.tasks:  # they were cancelled, and `Ending` answers for them
            await asyncio.wait(self.server_state.tasks, timeout=1)

    def _is_working(self) -> bool:
        """Whether anything is being answered that ends by itself."""
        paths = (c.requested_path() for c in self.server_state.connections if isinstance(c, Http))
        return self.hub.engine.in_work > 0 or any(path and not ENDLESS.search(path) for path in paths)

    def _log_fault(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Logs a lack of descriptors in one line, where asyncio would log a traceback for each connection."""
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            self._no_descriptors.warn("no connection can be accepted: %s; raise it with ulimit -n", error.strerror)
        else:
            loop.default_exception_handler(context)
