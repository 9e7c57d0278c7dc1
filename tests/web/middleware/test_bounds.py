"""Every body of every route is bounded before anything parses it, behind each door of the assembled app."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from hub.errors import HubError, TooLargeError
from hub.hub import Hub
from hub.web import server
from hub.web.middleware import bounds
from hub.web.middleware.bounds import DEPTH, MARKS, SLACK_BYTES, Marks
from tests.served import run_async
from tests.web.doors import png

JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
MULTIPART = {"content-type": "multipart/form-data; boundary=x"}
EVENTS = {"accept": "application/json, text/event-stream"}
TAKE_JSON = (
    "/gradio_api/queue/join", "/gradio_api/call/shades", "/gradio_api/run/predict", "/gradio_api/cancel", "/mcp",
    "/api/v1/demos/shades", "/api/v1/demos/shades/compare", "/api/v1/demos/shades/grid", "/api/v1/models",
    "/api/v1/results/x/links", "/api/v1/links/x/feedback", "/r/x/feedback", "/nowhere",
)  # fmt: skip


@pytest.fixture(scope="module")
def hub(make_hub: Callable[..., Hub]) -> Hub:
    return make_hub(only=("shades", "slow"), max_upload_mb=2, similar="off")


@pytest.fixture(scope="module")
def app(hub: Hub) -> Iterator[TestClient]:
    async def build() -> Any:  # outside of an event loop, Gradio makes loops that it never closes
        return server.build_app(hub)

    with TestClient(run_async(build()), base_url="http://127.0.0.1") as client:
        yield client


def refused(answer: Any, *statuses: int) -> str:
    assert answer.status_code in statuses, (answer.status_code, answer.text[:300])
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["detail"])


def chunked(body: bytes) -> Iterator[bytes]:
    """Sent without a Content-Length."""
    for begin in range(0, len(body), 60_000):
        yield body[begin : begin + 60_000]


@pytest.mark.parametrize("path", TAKE_JSON)
def test_json_of_too_many_values_or_levels_is_refused_at_every_route(app: TestClient, path: str) -> None:
    for body in (b"[" + b"[]," * 200_000 + b"[]]", b"[" * (DEPTH + 1), b'{"a":' * 4_000):
        assert "The body is JSON" in refused(app.post(path, content=body, headers=JSON), 413)
        assert "The body is JSON" in refused(app.post(path, content=chunked(body), headers=JSON), 413)


@pytest.mark.parametrize("path", [*TAKE_JSON, "/gradio_api/upload", "/"])
def test_a_body_over_the_route_s_bytes_is_refused_however_its_length_is_told(app: TestClient, path: str) -> None:
    body, kind = b'"' + b"a" * (6 * SLACK_BYTES) + b'"', MULTIPART if "upload" in path else JSON
    if kind is MULTIPART:
        body = b'--x\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n' + body + b"\r\n--x--"
    for content, more in ((body, {}), (chunked(body), {}), (body, {"expect": "100-continue"})):
        assert "MB that are read" in refused(app.post(path, content=content, headers={**kind, **more}), 413)
    assert app.get("/healthz").status_code == 200


@pytest.mark.parametrize("path", ["/gradio_api/upload", "/gradio_api/queue/join", "/r/x/feedback", "/mcp"])
def test_forms_of_many_parts_fields_or_headers_are_refused(app: TestClient, path: str) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\n1\r\n'
    for body in (part * 70 + b"--x--\r\n", b"--x\r\n" + b"A" * 20_000, b"--x\r\n" + b"a: b\r\n" * 50, b"no form"):
        assert "form" in refused(app.post(path, content=body, headers=MULTIPART), 400)
    assert "boundary" in refused(app.post(path, content=part, headers={"content-type": "multipart/form-data"}), 400)
    assert "fields" in refused(app.post(path, content=b"a=1&" * 70, headers=FORM), 400)


def test_a_feedback_form_of_too_many_fields_is_the_sender_s_fault(app: TestClient) -> None:
    for path in ("/r/x/feedback", "/r/x/revoke"):
        answer = app.post(path, content=b"&".join(b"f%d=1" % n for n in range(25)), headers=FORM)
        assert answer.status_code == 400 and "more than 20 fields" in answer.text


@pytest.mark.parametrize("path", ["/gradio_api/queue/join", "/mcp", "/r/x/feedback", "/api/v1/links/x/feedback"])
def test_compressed_bodies_and_wide_letters_are_refused(app: TestClient, path: str) -> None:
    answer = app.post(path, content=b"{}", headers={**JSON, "content-encoding": "gzip"})
    assert "Content-Encoding" in refused(answer, 415)
    for encoding in ("utf-16", "utf-16-le", "utf-32-be"):
        wide = ("[" + '"\u2222",' * 10 + "[]]").encode(encoding)
        assert "UTF-8" in refused(app.post(path, content=wide, headers=JSON), 400)


def test_what_is_within_the_bounds_arrives_as_it_was_sent(app: TestClient) -> None:
    photo = png(64, 48)
    text = "data:image/png;base64," + base64.b64encode(photo).decode()
    for body in ({"image": text, "seed": 1}, {"image": text.replace("/", "\\/"), "seed": 1}):
        sent = json.dumps(body).replace("\\\\/", "\\/").encode()
        assert app.post("/api/v1/demos/shades", content=chunked(sent), headers=JSON).status_code == 200
    place = app.post("/gradio_api/upload", files={"files": ("a.png", photo)}).json()[0]
    assert Path(place).read_bytes() == photo
    hello = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    assert app.post("/mcp", json=hello, headers=EVENTS).status_code == 200


def test_memory_that_runs_out_with_a_body_is_503(hub: Hub) -> None:
    async def exhausted(scope: Any, receive: Any, send: Any) -> None:
        await Request(scope, receive).body()
        raise MemoryError

    client = TestClient(bounds.Bounds(exhausted, hub))
    assert "no memory left" in refused(client.post("/gradio_api/queue/join", json={}), 503)
    assert "no memory left" in refused(client.post("/gradio_api/upload", files={"a": b"b"}), 503)


# --- what is looked for ---------------------------------------------------------------------------


def look(body: bytes, size: int) -> str:
    """What is said of a body that comes in pieces of so many bytes."""
    marks = Marks()
    try:
        for begin in range(0, len(body), size):
            marks.look(body[begin : begin + size])
    except HubError as error:
        return error.message
    return ""


TEXTS = ('a"b', "\\", '\\"', '"' * 9, "[" * 99, "\\" * 7 + '"[', "é]}", "\n\t", "{,:" * 99, "\u2028")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
def test_marks_within_texts_do_not_count_wherever_a_piece_ends(size: int) -> None:
    for ascii in (True, False):
        many = json.dumps([{"key": text} for text in TEXTS * 20], ensure_ascii=ascii)
        assert look(many.encode(), size) == ""
        deep = json.dumps([*TEXTS, 0], ensure_ascii=ascii)[:-2] + "[" * DEPTH
        assert "nested too deeply" in look(deep.encode(), size)
        over = json.dumps([*TEXTS * 20, *[0] * MARKS], ensure_ascii=ascii)
        assert "more values" in look(over.encode(), size)


def test_the_look_takes_time_in_line_with_the_bytes() -> None:
    """Every body that could make a scanner go back: each piece is split and counted once, in C."""
    megabyte = 2**20
    for unit in (b"\\", b'\\"', b'"', b"\\u0041", b" ", b"[]", b'",', os.urandom(1000)):
        body = b'{"a": "' + unit * (4 * megabyte // len(unit))
        told = look(body, 65_536)
        assert told == "" or (isinstance(told, str) and "JSON" in told)


def test_a_text_of_many_megabytes_is_one_value() -> None:
    assert look(b'{"image": "' + b"A" * (8 * 2**20) + b'"}', 65_536) == ""
    with pytest.raises(TooLargeError):
        Marks().look(b"," * (MARKS + 1))


def test_marks_cannot_hide_in_wide_letters_behind_a_short_first_piece() -> None:
    body = ('["∀"' + ",[]" * 1000 + "]").encode("utf-16-le")
    marks = bounds.Marks()
    marks.look(body[:1])
    with pytest.raises(HubError, match="UTF-8"):
        marks.look(body[1:])
