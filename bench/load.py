"""Many clients at once from one thread: bytes made ready before, sockets that never block, one selector.

The clients share the cores with the servers, so what they cost counts: 0.15 ms of processor time a request of 75 kB
and its answer, where a thread a client with http.client takes 0.3 ms, and asyncio with httpx over 3 ms.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from bench.client import MULTIPART

TIMEOUT_S = 180.0
CHUNK = 1 << 18
LOST = 0  # the status of a request that got no answer


@dataclass(frozen=True, slots=True)
class Answer:
    """`number` is the request's place in what was asked. Of a LOST one `body` says why."""

    number: int
    status: int
    body: bytes
    seconds: float


@dataclass(frozen=True, slots=True)
class Load:
    """What many clients got, in the order in which it came, and the seconds for all."""

    seconds: float
    answers: tuple[Answer, ...]

    @property
    def rate(self) -> float:
        return len(self.answers) / self.seconds

    @property
    def latencies_ms(self) -> list[float]:
        return [answer.seconds * 1000 for answer in self.answers]


def request_bytes(path: str, body: bytes = b"", headers: Mapping[str, str] = MULTIPART) -> bytes:
    """A whole request; a GET where there is no body."""
    method = "POST" if body else "GET"
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Accept: */*", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()] if body else []
    return "\r\n".join([*lines, "", ""]).encode() + body


def send_all(port: int, requests: Iterable[bytes], clients: int, until: Callable[[], bool] = lambda: False) -> Load:
    """Sends `requests` from so many clients, each with one connection and one request at a time.

    All are connected before the clock starts. What gets no answer is LOST and its client connects anew. Ends when
    there are no more requests, or `until` is true.
    """
    waiting, answers = enumerate(iter(requests)), list[Answer]()
    with selectors.DefaultSelector() as selector:
        connections = [_Connection(port) for _ in range(clients)]
        begin = time.perf_counter()
        busy = sum(connection.begin(waiting, selector) for connection in connections)
        while busy:
            ready = selector.select(TIMEOUT_S)
            if not ready:
                answers += [c.lose("no answer in time") for c in connections if c.number >= 0]
                break
            for key, _ in ready:
                connection: _Connection = key.data
                answer = connection.move(selector)
                if answer is not None:
                    answers.append(answer)
                    busy -= 1
                    if not until():
                        busy += connection.begin(waiting, selector)
        seconds = time.perf_counter() - begin
        for connection in connections:
            connection.close()
    return Load(seconds, tuple(answers))


class _Connection:
    """One client: `number` is the request in work, -1 for none."""

    def __init__(self, port: int):
        self._port, self._socket = port, socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
        self._ready()
        self.number, self._began = -1, 0.0
        self._out, self._in = memoryview(b""), bytearray()

    def _ready(self) -> None:
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def begin(self, waiting: Iterator[tuple[int, bytes]], selector: selectors.BaseSelector) -> bool:
        """Starts the next request; False when there is none."""
        number, data = next(waiting, (-1, b""))
        if number < 0:
            return False
        self.number, self._began, self._out = number, time.perf_counter(), memoryview(data)
        self._in.clear()
        selector.register(self._socket, selectors.EVENT_READ | selectors.EVENT_WRITE, self)
        return True

    def move(self, selector: selectors.BaseSelector) -> Answer | None:
        """Sends or reads what is possible now; the answer when it is whole."""
        try:
            if self._out:
                self._out = self._out[self._socket.send(self._out[:CHUNK]) :]
                if not self._out:
                    selector.modify(self._socket, selectors.EVENT_READ, self)
                return None
            read = self._socket.recv(CHUNK)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as error:
            return self._start_anew(selector, repr(error))
        if not read:
            return self._start_anew(selector, "the connection was closed")
        self._in += read
        answer = self._whole()
        if answer is not None:
            selector.unregister(self._socket)
            self.number = -1
        return answer

    def _whole(self) -> Answer | None:
        head, blank, body = bytes(self._in).partition(b"\r\n\r\n") if self._in else (b"", b"", b"")
        if not blank:
            return None
        fields = head.lower().split(b"\r\n")
        (length,) = [int(line.partition(b":")[2]) for line in fields if line.startswith(b"content-length:")] or [-1]
        if length < 0:
            raise ConnectionError(f"an answer without a length: {head[:200]!r}")
        if len(body) < length:
            return None
        return Answer(self.number, int(fields[0].split()[1]), body, time.perf_counter() - self._began)

    def _start_anew(self, selector: selectors.BaseSelector, why: str) -> Answer:
        answer = self.lose(why)
        selector.unregister(self._socket)
        self._socket.close()
        self._socket = socket.create_connection(("127.0.0.1", self._port), TIMEOUT_S)
        self._ready()
        return answer

    def lose(self, why: str) -> Answer:
        answer = Answer(self.number, LOST, why.encode(), time.perf_counter() - self._began)
        self.number = -1
        return answer

    def close(self) -> None:
        self._socket.close()
