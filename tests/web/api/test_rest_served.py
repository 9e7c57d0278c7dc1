"""REST over a real socket: full queues, callers who leave, bodies without end."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import pytest

from hub.hub import Hub
from tests.web.doors import BEGUN, STOPPED

SLOW = "/api/v1/demos/slow"
Serve = Callable[..., tuple[str, Hub]]


def until(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


@pytest.fixture(scope="module")
def narrow(serve: Serve) -> tuple[str, Hub]:
    """A hub that takes one run at a time and small pictures."""
    return serve(queue_limit=1, max_upload_mb=1)


def connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=60)


def head(length: str, *more: str) -> bytes:
    lines = [f"POST {SLOW} HTTP/1.1", "Host: hub", "Content-Type: application/json", length, *more]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def test_a_full_queue_is_429_at_once_with_retry_after(narrow: tuple[str, Hub]) -> None:
    url, hub = narrow
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(httpx.post, url + SLOW, json={"seconds": 3})
        assert until(lambda: hub.engine.in_work == 1)
        begin = time.monotonic()
        answer = httpx.post(url + SLOW, json={"prompt": "another"}, timeout=60)
        assert time.monotonic() - begin < 2.5, "it did not wait for the first"
        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "1"
        assert answer.json()["code"] == "busy"
        assert first.result().status_code == 200
    assert httpx.post(url + SLOW, json={"prompt": "another"}, timeout=60).status_code == 200


def test_a_host_header_that_is_no_address_gets_an_answer(narrow: tuple[str, Hub]) -> None:
    with connect(narrow[0]) as caller:
        caller.sendall(b"GET /api/nothing HTTP/1.1\r\nHost: [\r\n\r\n")
        assert caller.recv(4096).startswith(b"HTTP/1.1 404")


def test_a_caller_who_leaves_cancels_the_run(narrow: tuple[str, Hub]) -> None:
    url, hub = narrow
    BEGUN.clear()
    STOPPED.clear()
    body = json.dumps({"seconds": 50}).encode()
    with connect(url) as caller:
        caller.sendall(head(f"Content-Length: {len(body)}") + body)
        assert BEGUN.wait(60)
    assert STOPPED.wait(60)
    assert until(lambda: hub.engine.in_work == 0)
    assert httpx.post(url + SLOW, json={"prompt": "next"}, timeout=60).status_code == 200


def test_a_caller_who_leaves_while_sending_costs_nothing(narrow: tuple[str, Hub]) -> None:
    url, hub = narrow
    with connect(url) as caller:
        caller.sendall(head("Content-Length: 1000") + b'{"pro')
    time.sleep(0.1)
    assert hub.engine.in_work == 0
    assert httpx.post(url + SLOW, json={"prompt": "after"}, timeout=60).status_code == 200


def test_a_body_without_length_is_refused_when_it_has_grown_too_large(narrow: tuple[str, Hub]) -> None:
    url, _ = narrow
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(48):
            sent += 65_536
            yield b" " * 65_536

    answer = httpx.post(url + SLOW, content=endless(), headers={"Content-Type": "application/json"}, timeout=60)
    assert answer.status_code == 413
    assert answer.json()["code"] == "too_large"
    assert sent > 2**20  # there is no picture in this demo, so only the slack is read


def test_a_declared_length_too_large_is_refused_before_it_is_sent(narrow: tuple[str, Hub]) -> None:
    url, _ = narrow
    with connect(url) as caller:
        caller.sendall(head("Content-Length: 900000000", "Expect: 100-continue"))
        assert caller.recv(4096).startswith(b"HTTP/1.1 413")
    answer = httpx.post(url + SLOW, content=b" " * 3_000_000, headers={"Content-Type": "application/json"}, timeout=60)
    assert answer.status_code == 413
