"""Every route of the assembled app, Gradio's, Streamlit's and MCP's too, asked by everybody with everything.

Routes that are added are found by themselves: for who may reach them, `role` says `run` unless they are listed.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from hub.hub import Hub
from hub.people import users
from hub.people.tokens import TokenStore
from hub.people.users import UsersFile
from hub.web import server
from hub.web.streamlit_ui import mount as streamlit_mount
from tests.served import run_async
from tests.web.doors import streamlit_routes
from tests.web.middleware.test_guard import ADMIN, OPEN, PASSWORD, ROLES, VIEW, Echo, addresses

pytestmark = pytest.mark.slow

CANARY = "CANARY-a-file-of-this-machine"
SEEN = {re.sub(r":\w+}", "}", one) for one in VIEW}
OPERATION = re.compile(r"(/gradio_api)?/monitoring|/streamlit/_stcore/(?!health$|host-config$|stream$|upload_file/)")
PAGE_HEADERS = ("content-security-policy", "x-content-type-options", "referrer-policy", "cache-control")
LEAKS = re.compile(rb"Traceback \(most recent|File \"/|object at 0x|root:x:0|" + CANARY.encode())
STREAMED = "text/event-stream"

PIECES = [
    "..", "%2e%2e", "..%2f..%2f..%2fetc%2fpasswd", "%00", "%0A%0Dx", "%5C..%5C", "\\..\\", "%ff%fe", "a" * 9000, "//",
    "%25252e", "{0}", "0;rm", "~root", "%F0%9F%A6%8A", "file=/etc/passwd", "http:%2f%2felsewhere.example",
]  # fmt: skip
WHOLE = [
    "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//elsewhere.example", "//elsewhere.example/%2f..",
    "/\\elsewhere",
    "/gradio_api/file=/etc/passwd", "/gradio_api/file=CANARY", "/gradio_api/file=../../CANARY", "/file=CANARY",
    "/gradio_api/file=%2fproc%2fself%2fenviron", "/gradio_api/proxy=http://elsewhere.example", "/static/../../CANARY",
    "/assets/..%2f..%2fCANARY", "/static/%2e%2e/%2e%2e/CANARY", "/streamlit/static/..%2fCANARY", "/streamlit/CANARY",
    "/streamlit/media/..%2f..%2fCANARY", "/api/v1/demos/shades/assets/..%2fprivate.txt", "/r/..%2f..%2fCANARY",
    "/pwa_icon/9000", "/gradio_api/monitoring", "/monitoring/summary", "/docs", "/redoc", "/openapi.json",
    "/config?deep_link=x",
    "/" + "a/" * 2000, "/%", "/%zz", "/?" + "a=b&" * 5000, "/history?run=%00&a=%ff", "/gallery?q=%00", "/grid?page=%00",
]  # fmt: skip
DEEP = b"[" * 20_000 + b"]" * 20_000
BODIES: list[tuple[str, bytes]] = [
    ("application/json", b""), ("application/json", b"null"), ("application/json", b"[1]"), ("application/json", DEEP),
    ("application/json", b'{"data": "x", "fn_index": [], "session_hash": {}}'), ("application/json", b'{"a": NaN'),
    ("application/json", b'{"data": [{"path": "CANARY"}], "event_id": 1, "demo": 1, "action": []}'),
    ("application/json", b'"\\ud800"'), ("application/json; charset=nonsense", b"\xff\xfe{"),
    ("multipart/form-data", b"x"),
    ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\n"),
    ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\nx\r\n--x--'),
    ("application/x-www-form-urlencoded", b"%ff=%00&" * 50), ("nonsense", b"x"), ("", b"\x00"),
]  # fmt: skip
HEADERS: list[dict[str, str]] = [
    {"host": "evil.example"}, {"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "http://["},
    {"x-filler": "x" * 60_000}, {"range": "bytes=9-1,x"}, {"range": "bytes=-99999999999999999999"},
    {"if-none-match": '"' * 2000}, {"content-type": "multipart/form-data; boundary=" + "=" * 500},
    {"accept-language": "," * 5000 + "zz;q=x"}, {"cookie": "=;;hub_session=\xff; hub_lang=../..; a"},
    {"cookie": "hub_session=" + "a" * 128}, {"accept": "text/html;q=x," * 500}, {"accept": "\xff"},
    {"authorization": "Basic \xff"}, {"authorization": "Bearer " + "x" * 9000}, {"x-hub-caller": '{"role": "admin"}'},
    {"x-forwarded-host": "evil.example", "x-forwarded-proto": "gopher", "x-gradio-server": "http://evil.example"},
    {"content-length": "99999999999999999999999"}, {"content-length": "x"}, {"transfer-encoding": "chunked"},
    {"if-modified-since": "never"}, {"last-event-id": "\xff"}, {"content-encoding": "br"}, {"expect": "x"},
]  # fmt: skip


@dataclass
class Answer:
    """What came back; `status` 0: nothing in time."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)


async def ask(app: Any, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Answer:
    """One request as a server hands it over, whatever bytes it has; the client hangs up once it has sent all."""
    from urllib.parse import unquote

    answer, over = Answer(), asyncio.Event()
    place, _, query = path.partition("?")
    given = {"host": "127.0.0.1:7860", **headers}
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "method": method,
        "path": unquote(place), "raw_path": place.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in given.items()],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 7860), "state": {},
    }  # fmt: skip
    sent = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Any:
        if message := next(sent, None):
            return message
        await over.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {k.decode().lower(): v.decode("latin-1") for k, v in message["headers"]}
            if answer.headers.get("content-type", "").startswith(STREAMED) and "/call/" not in path:
                over.set()  # an open stream is left
        else:
            answer.body += message.get("body", b"")

    try:
        async with asyncio.timeout(20):
            await app(scope, receive, send)
    except TimeoutError:
        if not answer.headers.get("content-type", "").startswith(STREAMED):
            answer.status = 0
    except Exception as error:  # after the last net: a server would close the connection or say 500
        answer.status, answer.body = 500, bytearray(repr(error).encode())
    return answer


@dataclass
class Crawl:
    """The app, who asks it, and what was wrong with its answers."""

    app: FastAPI
    tokens: dict[str, str]
    canary: Path
    count: int = 0
    wrong: list[str] = field(default_factory=list)

    async def ask(
        self, role: str, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        path = path.replace("CANARY", str(self.canary).lstrip("/"))
        body = body.replace(b"CANARY", str(self.canary).encode())
        signed = {"authorization": f"Bearer {self.tokens[role]}"} if role in self.tokens else {}
        answer = await ask(self.app, method, path, {"accept": "text/html", **signed, **(headers or {})}, body)
        self.count += 1
        asked = f"{role} {method} {path[:120]} {str(headers)[:120] if headers else ''} {body[:60]!r}"
        kind = answer.headers.get("content-type", "")
        if answer.status == 0 or (answer.status >= 500 and answer.status != 503):
            self.wrong.append(f"{answer.status} for {asked}: {bytes(answer.body[:300])!r}")
        if found := LEAKS.search(answer.body):
            self.wrong.append(f"{found[0]!r} in the answer to {asked}")
        if kind.startswith("text/html") and (missing := [one for one in PAGE_HEADERS if one not in answer.headers]):
            self.wrong.append(f"no {missing} in the answer to {asked}")
        place = answer.headers.get("location", "")
        if re.match(r"(https?:)?[/\\]{2}", place) and not place.startswith("http://127.0.0.1:7860/"):
            self.wrong.append(f"{asked} leads to {place}")
        return answer


def role(method: str, pattern: str) -> str:
    """Who may reach a route, from tables of its own: not those of the guard."""
    pattern = re.sub(r":\w+}", "}", pattern)
    named = pattern if method == "GET" else f"{method} {pattern}"
    if named in OPEN:
        return "nobody"
    if pattern in ADMIN or OPERATION.match(pattern):
        return "admin"
    return "view" if named in SEEN or (pattern.startswith("/r/") and method == "GET") else "run"


def routes(app: FastAPI) -> list[tuple[str, str]]:
    """(method, pattern) of each route, of mounted apps and of the OpenAPI document."""
    streamlit = streamlit_routes()
    found = {*addresses(list(app.routes)), *addresses(streamlit, "/streamlit")}
    for path, methods in app.openapi()["paths"].items():
        found |= {(method.upper(), path) for method in methods if method in ("get", "post", "delete", "put", "patch")}
    return sorted((method, path) for method, path in found if method != "WEBSOCKET")


def filled(pattern: str, value: str) -> str:
    return re.sub(r"\{[^}]*\}", lambda _: value, pattern)


@pytest.fixture(scope="module")
def built(make_hub: Callable[..., Hub], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    canary = tmp_path_factory.mktemp("private") / "canary.txt"
    canary.write_text(CANARY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(users, "LOG2_N", 4)
        patch.setattr(streamlit_mount, "_build", lambda hub: Echo())
        patch.setenv("HUB_TEST_CANARY", CANARY)
        data = make_hub(only=("slow",)).settings.data_folder
        UsersFile(data / "users.txt").put("ann", "admin", PASSWORD)
        tokens = {name: TokenStore(data).add(name)[1] for name in users.ROLES}
        hub = make_hub(only=("shades", "slow"), auth=str(data / "users.txt"), data=str(data))
        hub.models.machine()
        yield hub, tokens, canary


async def crawl(hub: Hub, tokens: dict[str, str], canary: Path) -> tuple[Crawl, int]:
    app = server.build_app(hub)
    crawl = Crawl(app, tokens, canary)
    found = routes(app)
    async with app.router.lifespan_context(app):
        for method, pattern in found:
            needs = ROLES.index(role(method, pattern))
            for number, who in enumerate(ROLES):
                status = (await crawl.ask(who, method, filled(pattern, "0"))).status
                if number < needs and status != (401 if who == "nobody" else 403):
                    crawl.wrong.append(f"{who} may {method} {pattern}: {status}")
                if number >= needs and status == 401:
                    crawl.wrong.append(f"{who} may not {method} {pattern}: {status}")
        # Everything hostile, dealt out over the routes: each route gets some of each kind, each kind all routes' turns.
        pieces, headers, bodies = (itertools.cycle(kind) for kind in (PIECES, HEADERS, BODIES))
        for (method, pattern), who in zip(found, itertools.cycle(("run", "admin", "nobody")), strict=False):
            if "{" in pattern:
                for _ in range(4):
                    await crawl.ask(who, method, filled(pattern, next(pieces)))
            for _ in range(4):
                await crawl.ask(who, method, filled(pattern, "shades"), next(headers))
            if method in ("POST", "PUT", "PATCH", "DELETE"):
                for _ in range(len(BODIES)):
                    kind, body = next(bodies)
                    await crawl.ask("admin", method, filled(pattern, "shades"), {"content-type": kind}, body)
        for path, who in itertools.product(WHOLE, ("nobody", "run", "admin")):
            for method in ("GET", "HEAD", "POST", "OPTIONS", "PATCH"):
                await crawl.ask(who, method, path)
        for given in HEADERS:
            await crawl.ask("run", "GET", "/shades", given)
            await crawl.ask("run", "POST", "/api/v1/demos/slow", given)
        await queued(crawl)
    return crawl, len(found)


async def queued(crawl: Crawl) -> None:
    """Runs of gradio_client are answered by two requests, where what is wrong with the first is told by the second."""
    values: list[Any] = [[], [1], [None] * 5, ["\ud800", 0], [{"path": str(crawl.canary)}, 1, 1, 1, 1], [{}] * 2,
                         [{"path": "https://elsewhere.example/x.png", "url": "x"}, 0.5, 2, "front", ""]]  # fmt: skip
    for slug, data in itertools.product(("shades", "slow"), values):
        place, body = f"/gradio_api/call/{slug}", json.dumps({"data": data}).encode()
        begun = await crawl.ask("run", "POST", place, {"content-type": "application/json"}, body)
        if begun.status == 200:
            told = await crawl.ask("run", "GET", f"{place}/{json.loads(begun.body)['event_id']}")
            if b"event: " not in told.body:
                crawl.wrong.append(f"{place} {data!r} is not answered: {bytes(told.body)!r}")


def test_every_route_withstands_everybody(built: Any, capsys: pytest.CaptureFixture[str]) -> None:
    crawl_, count = run_async(crawl(*built))
    with capsys.disabled():
        print(f"\ncrawler: {count} routes x {len(ROLES)} roles, {crawl_.count} requests")
    assert count > 100
    assert not crawl_.wrong, f"{len(crawl_.wrong)}:\n" + "\n".join(sorted(set(crawl_.wrong)))
