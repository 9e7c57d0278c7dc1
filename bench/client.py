"""A keep-alive client that costs as little as Python allows, and the protocols it speaks: REST and Gradio's two.

`http.client` takes about 0.1 ms of client time a request where httpx takes about 1 ms; bodies are built
before the clock starts.
"""

from __future__ import annotations

import http.client
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

BOUNDARY = "demo-hub-bench-7c1f"
MULTIPART = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
TIMEOUT_S = 180.0
GRADIO = "/gradio_api"


class Http:
    """One keep-alive connection to 127.0.0.1. Not for two threads at once.

    `retry_after_s`: how long the last answer told to wait; None: it did not.
    """

    def __init__(self, port: int):
        self.port = port
        self.retry_after_s: float | None = None
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)

    def __enter__(self) -> Http:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._connection.close()

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        return self._send("GET", path, None, headers or {})

    def post(self, path: str, body: bytes, headers: Mapping[str, str] = MULTIPART) -> tuple[int, bytes]:
        return self._send("POST", path, body, headers)

    def put(self, path: str, body: bytes, headers: Mapping[str, str] = MULTIPART) -> tuple[int, bytes]:
        return self._send("PUT", path, body, headers)

    def lines(self, path: str) -> Iterator[bytes]:
        """Lines of an answer as they come, on a connection of their own. Raises ConnectionError."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            if answer.status != 200:
                raise ConnectionError(f"GET {path}: {answer.status} {answer.read()[:300]!r}")
            yield from answer
        except (http.client.HTTPException, OSError) as error:
            raise ConnectionError(f"GET {path}: {error!r}") from error
        finally:
            connection.close()

    def _send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """The request, once again on a new connection where the server had closed the kept one."""
        for attempt in (1, 2):
            kept = self._connection.sock is not None
            try:
                self._connection.request(method, path, body, dict(headers))
                with self._connection.getresponse() as response:
                    wait = response.headers.get("Retry-After", "")
                    self.retry_after_s = float(wait) if wait.isascii() and wait.isdigit() else None
                    return response.status, response.read()
            except (http.client.HTTPException, OSError) as error:
                self._connection.close()
                if attempt == 2 or not kept or isinstance(error, TimeoutError):
                    raise ConnectionError(f"{method} {path}: {error!r}") from error
        raise AssertionError("unreachable")


def multipart(files: Mapping[str, bytes], fields: Mapping[str, Any] | None = None) -> bytes:
    """A multipart body with JPEG files and plain fields; options of one field with commas between."""
    parts = []
    for name, value in (fields or {}).items():
        value = ",".join(value) if isinstance(value, tuple | list) else value
        parts.append(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode())
    for name, data in files.items():
        head = f'Content-Disposition: form-data; name="{name}"; filename="photo.jpg"\r\nContent-Type: image/jpeg'
        parts += [f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode(), data, b"\r\n"]
    return b"".join([*parts, f"--{BOUNDARY}--\r\n".encode()])


def gradio_upload(http: Http, picture: bytes) -> dict[str, Any]:
    """Uploads a picture as a browser does; the file as an input value."""
    (path,) = _ok(http.post(f"{GRADIO}/upload", multipart({"files": picture})))
    return {"path": path, "orig_name": "photo.jpg", "meta": {"_type": "gradio.FileData"}}


def gradio_call(http: Http, endpoint: str, values: Sequence[Any]) -> list[Any]:
    """One answer over Gradio's documented HTTP interface: an upload for each `bytes`, a call, an event stream."""
    data = [gradio_upload(http, value) if isinstance(value, bytes) else value for value in values]
    body = json.dumps({"data": data}).encode()
    event = _ok(http.post(f"{GRADIO}/call/{endpoint}", body, {"Content-Type": "application/json"}))["event_id"]
    status, stream = http.get(f"{GRADIO}/call/{endpoint}/{event}")
    _, complete, answer = stream.decode().rpartition("event: complete\ndata: ")
    if status != 200 or not complete:
        raise ConnectionError(f"{endpoint} failed: {status} {stream[-500:]!r}")
    return list(json.loads(answer))


@dataclass(frozen=True, slots=True)
class Event:
    """What a browser sends for one event of a page: its number, the component that fired, how many values."""

    number: int
    trigger: int | None
    values: int


def gradio_events(http: Http, slug: str) -> tuple[Event, Event | None]:
    """The event of the endpoint `slug`, and that of the page's own button where it is another one."""
    dependencies = _ok(http.get("/config"))["dependencies"]
    endpoint = next(entry for entry in dependencies if entry["api_name"] == slug)
    runs = [entry for entry in dependencies if entry["types"]["generator"] and entry["inputs"] == endpoint["inputs"]]
    return _event(endpoint), _event(runs[0]) if runs else None


def browser_call(http: Http, event: Event, values: Sequence[Any]) -> list[Any]:
    """One run as a page in a browser does it: an upload for each `bytes`, a place in the queue, the session's events.

    Raises ConnectionError.
    """
    data = [gradio_upload(http, value) if isinstance(value, bytes) else value for value in values]
    session = secrets.token_hex(6)
    asked = {"data": data, "event_data": None, "fn_index": event.number, "trigger_id": event.trigger}
    body = json.dumps({**asked, "session_hash": session}).encode()
    _ok(http.post(f"{GRADIO}/queue/join", body, {"Content-Type": "application/json"}))
    for line in http.lines(f"{GRADIO}/queue/data?session_hash={session}"):
        message: dict[str, Any] = json.loads(line[5:]) if line.startswith(b"data:") else {}
        if message.get("msg") == "process_completed":
            if not message["success"]:
                raise ConnectionError(f"event {event.number} failed: {line[:500]!r}")
            return list(message["output"]["data"])
    raise ConnectionError(f"event {event.number}: the events ended without an answer")


def _event(entry: Mapping[str, Any]) -> Event:
    trigger = entry["targets"][0][0] if entry["targets"] else None
    return Event(entry["id"], trigger, len(entry["inputs"]))


def _ok(answer: tuple[int, bytes]) -> Any:
    status, body = answer
    if status != 200:
        raise ConnectionError(f"HTTP {status}: {body[:500]!r}")
    return json.loads(body)
