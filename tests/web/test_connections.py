"""What a connection may cost: silence, slowness and numbers are bounded, and who asks is answered meanwhile."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from hub.hub import Hub
from hub.web import connections, serving
from hub.web.connections import Patience, Seats
from hub.web.middleware import ending
from tests.fakes import PATIENCE_S, wait_until
from tests.served import run_async
from tests.web.doors import app_of

pytestmark = pytest.mark.slow

RUN = "POST /api/v1/demos/slow HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
MOST = 40
PATIENCE = Patience(header_s=0.4, pace_s=1.0, pace_bytes=500, rest_s=0.3, unread_s=0.5)


@dataclass
class ServedHub:
    """A hub served with bounds that a test can reach."""

    hub: Hub
    server: serving.Server
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self, sent: str = "") -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), PATIENCE_S)
        connection.sendall(sent.encode())
        return connection


Serve = Callable[..., ServedHub]


@pytest.fixture(scope="module")
def serve(make_hub: Callable[..., Hub]) -> Iterator[Serve]:
    with ExitStack() as stack:

        def start(patience: Patience = PATIENCE, **settings: Any) -> ServedHub:
            hub = make_hub(only=("slow",), **settings)
            hub.models.machine()
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            app = ending.Ending(app_of(hub), hub)
            config = serving.configure_server(app, most=MOST, patience=patience, lifespan="off")
            server = serving.Server(config, hub)
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
            port = listener.getsockname()[1]
            thread.start()
            stack.callback(thread.join, PATIENCE_S)
            stack.callback(setattr, server, "should_exit", True)
            wait_until(lambda: server.started)
            return ServedHub(hub, server, port)

        yield start


@pytest.fixture(scope="module")
def served(serve: Serve) -> ServedHub:
    return serve()


def rest(connection: socket.socket) -> str:
    """What still comes until the server closes."""
    with connection:
        pieces = list(iter(lambda: connection.recv(65_536), b""))
    return b"".join(pieces).decode()


def test_who_asks_is_answered_however_many_are_silent(served: ServedHub, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), ExitStack() as stack:
        for number in range(10 * MOST):
            stack.enter_context(served.connect("GET / HT" if number % 3 else ""))
            if number % MOST == 0:
                assert httpx.get(f"{served.url}/healthz", timeout=PATIENCE_S).status_code == 200
    lines = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(lines) == 1 and "connections are open" in lines[0].getMessage() and not lines[0].exc_info


def test_a_header_or_a_body_that_comes_too_slowly_is_408(served: ServedHub) -> None:
    for begun in (
        "GET /healthz HT",
        RUN + "Content-Length: 5000\r\n\r\n{",
        RUN + "Transfer-Encoding: chunked\r\n\r\n1",
    ):
        answer = rest(served.connect(begun))
        assert answer.startswith("HTTP/1.1 408") and json.loads(answer.split("\r\n\r\n")[1])["status"] == 408
    with served.connect("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n") as connection:  # the next request on the same line
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET /heal")
        assert "HTTP/1.1 408" in rest(connection)
    assert rest(served.connect()) == ""  # who says nothing is told nothing


def test_a_slow_body_that_gets_on_is_read_to_its_end(served: ServedHub) -> None:
    body = b'{"prompt": "' + b" " * 5_000 + b'"}'
    with served.connect(RUN + f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n") as connection:
        for begin in range(0, len(body), 600):
            connection.sendall(body[begin : begin + 600])
            time.sleep(0.1)
        assert rest(connection).startswith("HTTP/1.1 200")


def test_a_body_that_nobody_reads_does_not_hold_its_connection(served: ServedHub) -> None:
    connection = served.connect("POST /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
    assert rest(connection).startswith("HTTP/1.1 405")


def test_idle_connections_outlast_those_of_clients_and_proxies(served: ServedHub) -> None:
    assert Patience().idle_s > 90  # Go's; nginx and Amazon's balancers: 60
    with httpx.Client(base_url=served.url, timeout=PATIENCE_S) as client:
        for _ in range(2):  # longer idle than a header may take
            assert client.get("/healthz").status_code == 200
            time.sleep(0.6)
        (held,) = served.server.server_state.connections
        assert client.get("/healthz").status_code == 200
        assert [*served.server.server_state.connections] == [held]


class Line:
    """Stands in for a transport."""

    gone = False

    def abort(self) -> None:
        self.gone = True


def test_the_longest_silent_leaves_and_who_is_being_answered_stays() -> None:
    seats, lines = Seats(4), [Line() for _ in range(8)]
    take = lambda n, address: seats.take(lines[n], address)  # type: ignore[arg-type]  # noqa: E731
    assert take(0, "a") and take(1, "a")
    seats.asks(lines[0])  # type: ignore[arg-type]
    assert take(2, "a") and lines[1].gone and not lines[0].gone  # half of all seats are one address's
    assert take(3, "b") and take(4, "c") and take(5, "d") and lines[2].gone
    for n in (3, 4, 5):
        seats.asks(lines[n])  # type: ignore[arg-type]
    assert not take(6, "e")
    seats.waits(lines[4])  # type: ignore[arg-type]
    assert take(7, "e") and lines[4].gone and len(seats) == 4
    for line in lines:
        seats.leave(line)  # type: ignore[arg-type]
    assert len(seats) == 0 and not seats._counts and seats._silent._by.keys() == {""} == seats._idle._by.keys()


def test_descriptors_that_run_out_are_one_line(served: ServedHub, caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.new_event_loop()
    with caplog.at_level(logging.WARNING):
        for _ in range(100):
            served.server._log_fault(loop, {"exception": OSError(24, "Too many open files")})
    loop.close()
    assert [record.getMessage()[:36] for record in caplog.records] == ["no connection can be accepted: Too m"]
    assert connections.raise_descriptors() >= 100


# --- the end --------------------------------------------------------------------------------------


def test_at_the_end_what_is_in_work_has_a_grace_and_nothing_new_begins(serve: Serve) -> None:
    served = serve(grace_s=20)
    url = f"{served.url}/api/v1/demos/slow"
    with ThreadPoolExecutor(2) as threads, httpx.Client(timeout=PATIENCE_S) as client:
        running = threads.submit(httpx.post, url, json={"seconds": 1.5}, timeout=PATIENCE_S)
        wait_until(lambda: served.hub.engine.in_work == 1)
        served.server.stop("a test")
        assert client.get(f"{served.url}/readyz").status_code == 503
        assert client.get(f"{served.url}/healthz").status_code == 200
        refused = client.post(url, json={"seconds": 0})
        assert (refused.status_code, refused.json()["code"]) == (503, "stopping")
        assert int(refused.headers["retry-after"]) > 0
        assert running.result().status_code == 200
    wait_until(lambda: not served.server.server_state.connections and served.server.should_exit)


def test_what_outlasts_the_grace_gets_a_problem_or_a_last_event(serve: Serve) -> None:
    served = serve(grace_s=0.3)
    url, events = f"{served.url}/api/v1/demos/slow", {"accept": "text/event-stream"}
    with ThreadPoolExecutor(3) as threads:
        plain = threads.submit(httpx.post, url, json={"seconds": 50}, timeout=PATIENCE_S)
        stream = threads.submit(httpx.post, url, json={"seconds": 51}, headers=events, timeout=PATIENCE_S)
        wait_until(lambda: served.hub.engine.in_work == 2)
        silent = served.connect()
        served.server.stop("a test")
        answer = plain.result()
        assert (answer.status_code, answer.json()["code"]) == (503, "stopping")
        assert answer.headers["content-type"] == "application/problem+json"
        last = stream.result().text.strip().split("\n\n")[-1]
        assert last.startswith("event: error\ndata: ") and json.loads(last.split("data: ")[1])["code"] == "stopping"
        silent.close()


def test_a_request_that_hears_nothing_of_the_end_is_answered_by_the_outermost_layer(hub: Hub) -> None:
    class Stopped:
        over, ended = threading.Event(), staticmethod(hub.stop.ended)

    async def stuck(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/stream":
            kind = [(b"content-type", b"text/event-stream")]
            await send({"type": "http.response.start", "status": 200, "headers": kind})
        await asyncio.sleep(PATIENCE_S)

    async def cut_off(path: str) -> list[Any]:
        layer, sent = ending.Ending(stuck, hub), list[Any]()
        layer.stop = Stopped()  # type: ignore[assignment]

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "GET", "path": path, "headers": []}
        task = asyncio.ensure_future(layer(scope, send, send))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        Stopped.over.set()
        task.cancel()
        await task
        return sent

    assert run_async(cut_off("/plain"))[0]["status"] == 503
    assert run_async(cut_off("/stream"))[-1]["body"].startswith(b"event: error\ndata: {")
