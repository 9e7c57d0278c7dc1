"""Every body of every route is bounded before anything parses it, behind each door of the assembled app."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from hub.errors import HubError, TooLargeError
from hub.hub import Hub
from hub.web import server
from hub.web.api.bodies import read_inputs
from hub.web.middleware import arriving, bounds
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
    "/api/v1/results/x/links", "/api/v1/links/x/feedback", "/r/x/feedback", "/nowhere", "/api/v1/results/x/correction",
    "/api/v1/links/x/correction",
)  # fmt: skip


@pytest.fixture(scope="module")
def hub(make_hub: Callable[..., Hub]) -> Hub:
    return make_hub(only=("shades", "slow"), max_upload_mb=2, bodies_mb=20, similar="off")


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


FORMS = ["/gradio_api/upload", "/gradio_api/queue/join", "/r/x/feedback", "/api/v1/links/x/feedback", "/mcp"]


@pytest.mark.parametrize("path", FORMS)
def test_forms_of_many_parts_fields_or_headers_are_refused(
    app: TestClient, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\n1\r\n'
    for body in (part * 70 + b"--x--\r\n", b"--x\r\n" + b"A" * 20_000, b"--x\r\n" + b"a: b\r\n" * 50, b"no form"):
        assert "form" in refused(app.post(path, content=body, headers=MULTIPART), 400)
    assert "boundary" in refused(app.post(path, content=part, headers={"content-type": "multipart/form-data"}), 400)
    assert "fields" in refused(app.post(path, content=b"a=1&" * 70, headers=FORM), 400)
    assert not [record for record in caplog.records if record.exc_info], "what strangers send fills no log"


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


# --- how much is held at once ---------------------------------------------------------------------

HERE, THERE, ELSEWHERE = "203.0.113.1", "203.0.113.2", "203.0.113.3"
LARGE = b'{"a": "' + b"a" * 4_000_000  # 7.9 MB are held of each: an address may have 10.5, all together 21
UPLOAD = (
    b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n' + b"a" * 2_900_000 + b"\r\n--x--\r\n"
)
SENT = {
    "/api/v1/demos/shades": (JSON, LARGE), "/gradio_api/queue/join": (JSON, LARGE), "/mcp": (JSON, LARGE),
    "/api/v1/demos/shades?form": (MULTIPART, UPLOAD), "/gradio_api/upload": (MULTIPART, UPLOAD),
}  # fmt: skip


class Sender:
    """Clients of the assembled app at several addresses, whose bodies stop short of their ends until told."""

    def __init__(self, app: Any):
        self.app, self.goes_on, self.tasks = app, asyncio.Event(), list[asyncio.Task[Any]]()

    async def post(self, address: str, path: str, body: bytes, headers: dict[str, str], stops: bool = False) -> Any:
        reached = asyncio.Event()

        async def pieces() -> AsyncIterator[bytes]:
            for begin in range(0, len(body), 60_000):
                yield body[begin : begin + 60_000]
            reached.set()
            if stops:
                await self.goes_on.wait()
                raise ConnectionResetError

        transport = httpx.ASGITransport(self.app, client=(address, 1))
        client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")
        asked = asyncio.ensure_future(client.post(path, content=pieces(), headers=headers))
        if not stops:
            return await asked
        self.tasks.append(asked)
        return await reached.wait()


@pytest.mark.parametrize("ending", ["hangs up", "is cancelled"])
def test_bodies_that_are_held_have_a_bound_for_all_and_for_one_address(app: TestClient, ending: str) -> None:
    async def play() -> None:
        sender = Sender(app.app)
        await sender.post(HERE, "/mcp", LARGE, JSON, stops=True)
        await sender.post(THERE, "/api/v1/demos/shades", LARGE, JSON, stops=True)
        for path, (kind, body) in SENT.items():
            answer = await sender.post(HERE, path, body, kind)
            assert "your address" in refused(answer, 429) and answer.headers["retry-after"], path
        await sender.post("203.0.113.4", "/mcp", LARGE[:2_200_000], JSON, stops=True)
        for path, (kind, body) in SENT.items():
            answer = await sender.post(ELSEWHERE, path, body, kind)
            assert "others are sending" in refused(answer, 503) and answer.headers["retry-after"], path
            small = await sender.post(HERE, path, b'{"a": "' + b"a" * 60_000 + b'"}', kind)  # a click has room
            assert small.status_code not in (429, 503), (path, small.text)
        photo = base64.b64encode(png(8, 8)).decode()
        assert (
            await sender.post(ELSEWHERE, "/api/v1/demos/shades", b'{"image": "%s"}' % photo.encode(), JSON)
        ).is_success
        if ending == "hangs up":
            sender.goes_on.set()
        for task in sender.tasks:
            task.cancel() if ending == "is cancelled" else None
        await asyncio.gather(*sender.tasks, return_exceptions=True)
        for _ in range(3):  # what was refused, failed, cancelled or answered has given back its room
            for address in (HERE, THERE, ELSEWHERE):
                for path, (kind, body) in SENT.items():
                    answer = await sender.post(address, path, body, kind)
                    assert answer.status_code not in (429, 503), (path, answer.text)

    assert app.portal is not None
    app.portal.call(play)


def test_a_body_that_trickles_in_has_a_deadline(app: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> None:
        sender = Sender(app.app)
        for path, (kind, body) in SENT.items():
            await sender.post(HERE, path, body[:100], kind, stops=True)
            assert "too slowly" in refused(await sender.tasks.pop(), 408), path

    monkeypatch.setattr(arriving, "WITHIN_S", 0.05)
    assert app.portal is not None
    app.portal.call(play)


def test_a_body_is_not_held_more_often_than_it_counts(hub: Hub) -> None:
    page, taken = hub.registry.get("shades"), list[Any]()

    async def door(scope: Any, receive: Any, send: Any) -> None:
        taken.append(await read_inputs(Request(scope, receive), page.demo, 10**8))
        taken.append(tracemalloc.get_traced_memory())
        taken.append(taken[0]())
        taken.append(tracemalloc.get_traced_memory())

    whole = b'{"image": "' + base64.b64encode(b"a" * 3_400_000) + b'"}'
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in chunked(whole)]
    messages.append({"type": "http.request", "body": b"", "more_body": False})
    headers = [(b"content-type", b"application/json"), (b"transfer-encoding", b"chunked")]
    scope = {"type": "http", "method": "POST", "path": "/api/v1/demos/shades", "headers": headers}

    async def receive() -> Any:
        return messages.pop(0)

    async def play() -> None:
        tracemalloc.start()
        try:
            await bounds.Bounds(door, hub)(scope, receive, None)  # type: ignore[arg-type]  # nothing is sent
        finally:
            tracemalloc.stop()

    run_async(play())
    (_, while_it_comes), inputs, (in_work, _) = taken[1:]
    assert while_it_comes < bounds.COPIES * len(whole) and in_work < len(whole), (while_it_comes, in_work, len(whole))
    assert len(inputs["image"]) == 3_400_000


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
