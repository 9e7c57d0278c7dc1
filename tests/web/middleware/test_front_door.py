"""What every answer carries, addresses that mean another one, and cards of weights that can do nothing."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from hub.hub import Hub
from hub.settings import Settings
from hub.web import server
from hub.web.middleware import addresses, guard
from hub.web.parts import model_cards
from hub.web.streamlit_ui import mount as streamlit_mount
from hub.weights.store import CARD_BYTES, open_store
from tests.served import run_async, running
from tests.web.doors import png
from tests.web.middleware.test_guard import Echo

PAGES = ("/", "/slow", "/status", "/gallery", "/grid", "/history", "/streamlit/", "/nowhere", "/r/none", "/sign-out")


@pytest.fixture(scope="module")
def served(make_hub: Callable[..., Hub]) -> Iterator[tuple[str, Hub]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streamlit_mount, "_build", lambda hub: Echo())
        hub = make_hub(only=("shades", "slow"))
        hub.models.machine()

        async def build() -> FastAPI:
            return server.build_app(hub)

        with running(run_async(build())) as url:
            yield url, hub


@pytest.fixture(scope="module")
def asked(served: tuple[str, Hub]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served[0], timeout=60, headers={"accept": "text/html,*/*"}) as client:
        yield client


# --- headers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES)
def test_every_page_says_what_it_may_load_and_who_may_frame_it(path: str, asked: httpx.Client) -> None:
    headers = asked.get(path).headers
    rules = {rule.split()[0]: rule.split()[1:] for rule in headers["content-security-policy"].split(";")}
    assert rules["img-src"] == ["'self'", "data:", "blob:"]
    assert rules["object-src"] == ["'none'"] and rules["form-action"] == ["'self'"]
    assert rules["base-uri"] in (["'self'"], ["'none'"])
    assert not {"*", "https:", "http:"} & {one for name in ("script-src", "connect-src", "style-src", "default-src")
                                          for one in rules.get(name, ())}  # fmt: skip
    framed = path in ("/", "/slow", "/streamlit/", "/nowhere")
    assert rules["frame-ancestors"] == (["*"] if framed else ["'self'"])
    assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "same-origin"
    assert re.search(r"private|no-store", headers["cache-control"])


def test_answers_of_programs_are_nobody_elses_either(asked: httpx.Client) -> None:
    for path in ("/api/v1/demos", "/config", "/api/v1/openapi.json", "/api/v1/nothing", "/gradio_api/info"):
        answer = asked.get(path)
        assert re.search("private|no-store", answer.headers["cache-control"]), path
        assert answer.headers["x-content-type-options"] == "nosniff", path


def test_a_refusal_of_a_name_is_a_page_as_safe_as_others(asked: httpx.Client) -> None:
    answer = asked.get("/slow", headers={"host": "evil.example"})
    assert answer.status_code == 403 and "form-action 'self'" in answer.headers["content-security-policy"]


# --- addresses ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/slow/?prompt=a%20b&lang=zh", "../slow?prompt=a%20b&lang=zh"),
        ("/status/", "../status"),
        ("/gallery/?order=old", "../gallery?order=old"),
        ("/grid/?page=x", "../grid?page=x"),
        ("/history/?run=1", "../history?run=1"),
        ("/r/abc/", "../abc"),
        ("/slow///?a=1", "../../../slow?a=1"),
        ("//evil.example/", "../evil.example"),
        ("/%5C%5Cevil.example/", "../%5C%5Cevil.example"),
        ("/%2F%2Fevil.example/", "../%2F%2Fevil.example"),
        ("/javascript:alert(1)/", "../javascript:alert(1)"),
    ],
)
def test_a_slash_too_many_leads_back_relatively(path: str, location: str, asked: httpx.Client) -> None:
    for method in ("GET", "HEAD"):
        answer = asked.request(method, str(asked.base_url).rstrip("/") + path)
        assert (answer.status_code, answer.headers["location"]) == (307, location)
        there = httpx.URL(str(asked.base_url).rstrip("/") + path).join(location)
        assert there.netloc == asked.base_url.netloc


def test_programs_get_lists_with_a_slash_too(asked: httpx.Client) -> None:
    assert asked.get("/api/v1/demos/").json() == asked.get("/api/v1/demos").json()
    assert asked.get("/api/v1/demos/slow/").json()["slug"] == "slow"
    assert asked.get("/api/v1/history/").status_code == 200
    assert asked.post("/api/v1/demos/slow/", data={"prompt": "x"}).status_code == 200


@pytest.mark.parametrize("path", [*PAGES, "/api/v1/demos", "/healthz", "/embed.js", "/favicon.ico", "/theme.css"])
def test_head_answers_as_get_without_a_body(path: str, asked: httpx.Client) -> None:
    got, head = asked.get(path), asked.head(path)
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert head.headers["content-type"] == got.headers["content-type"]


def test_the_way_to_a_sub_path_keeps_the_query() -> None:
    settings = Settings(public_url="https://demos.example.org/hub")
    client = TestClient(addresses.BehindProxy(PlainTextResponse("in"), settings), follow_redirects=False)
    assert client.get("/hub?lang=zh").headers["location"] == "/hub/?lang=zh"


@pytest.fixture(scope="module")
def proxied(served: tuple[str, Hub]) -> Iterator[str]:
    """A proxy as `proxy_set_header Host $host` makes it: on a port of its own, which it does not pass on."""

    async def proxy(scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = [(name, b"127.0.0.1" if name == b"host" else value) for name, value in scope["headers"]]
        query = scope["query_string"].decode()
        async with httpx.AsyncClient(timeout=60) as client:
            got = await client.request(scope["method"], f"{served[0]}{scope['path']}?{query}", headers=headers,
                                       content=body)  # fmt: skip
        kept = [(name, value) for name, value in got.headers.raw if name.lower() not in (b"content-encoding",)]
        kept = [(name, value) for name, value in kept if name.lower() not in (b"transfer-encoding", b"content-length")]
        await send({"type": "http.response.start", "status": got.status_code, "headers": kept})
        await send({"type": "http.response.body", "body": got.content})

    with running(proxy, lifespan="off") as url:
        yield url


def test_a_proxy_that_drops_the_port_breaks_no_picture(proxied: str) -> None:
    page = {"origin": proxied, "sec-fetch-site": "same-origin"}  # as a browser says with what a page sends
    with httpx.Client(base_url=proxied, headers=page, timeout=60) as browser:
        answer = browser.post("/api/v1/demos/shades", files={"image": png()}).json()
        assert browser.get(answer["outputs"]["mask"]).status_code == 200  # relative to the host
        link = browser.post(f"/api/v1/results/{answer['id']}/links", json={}).json()
        assert link["url"] == f"{proxied}/r/{link['id']}" and browser.get(link["url"]).status_code == 200
        (path,) = browser.post("/gradio_api/upload", files={"files": ("a.png", png(), "image/png")}).json()
        given = {"path": path, "meta": {"_type": "gradio.FileData"}}
        event = browser.post("/gradio_api/call/shades", json={"data": [given, 0.5, 2, "front", ""]}).json()["event_id"]
        told = browser.get(f"/gradio_api/call/shades/{event}").text
        assert "event: complete" in told, told
        places = re.findall(r'"url": ?"([^"]*file=[^"]*)"', told)
        assert places and all(place.startswith((proxied, "/")) for place in places), places
        assert browser.get(places[0]).status_code == 200


@pytest.mark.parametrize(
    ("headers", "host", "scheme"),
    [
        ({"host": "hub.lan", "origin": "https://hub.lan:8443"}, "hub.lan:8443", "https"),
        ({"host": "hub.lan:80", "origin": "http://hub.lan"}, "hub.lan", "http"),
        ({"host": "hub.lan", "origin": "http://localhost:7860", "sec-fetch-site": "same-origin"}, "hub.lan", "http"),
        ({"host": "hub.lan", "origin": "http://["}, "hub.lan", "http"),
        ({"host": "hub.lan", "origin": "null"}, "hub.lan", "http"),
        ({"host": "hub.lan"}, "hub.lan", "http"),
    ],
)
def test_of_what_a_page_says_only_the_port_is_taken_over(headers: dict[str, str], host: str, scheme: str) -> None:
    """Who may manage models depends on the name, so nobody's word for it counts."""
    heard: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        heard.extend([dict(scope["headers"]).get(b"host"), scope["scheme"]])

    scope = {"type": "http", "scheme": "http", "headers": [(k.encode(), v.encode()) for k, v in headers.items()]}
    run_async(addresses.FromPage(app)(scope, None, None))  # type: ignore[arg-type]
    assert heard == [host.encode(), scheme]


# --- roles and frames -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "role"),
    [
        ("/monitoring/summary", "admin"),
        ("/monitoring/", "admin"),
        ("/gradio_api/monitoring/x", "admin"),
        ("/streamlit/_stcore/metrics", "admin"),
        ("/_stcore/metrics", "admin"),
        ("/streamlit/_stcore/script-health-check", "admin"),
        ("/streamlit/_stcore/anything-new", "admin"),
        ("/streamlit/_stcore/health", "run"),
        ("/streamlit/_stcore/stream", "run"),
        ("/streamlit/_stcore/upload_file/a/b", "run"),
    ],
)
def test_figures_of_the_operation_are_the_administrators(path: str, role: str) -> None:
    assert guard.role_needed("GET", path) == role


def test_a_page_in_a_closed_frame_has_words(asked: httpx.Client) -> None:
    page = asked.get("/slow").text
    assert 'window.origin === "null"' in page and "<noscript>" in page
    assert "Another website (null)" in asked.post("/api/v1/demos/slow", headers={"origin": "null"}).json()["detail"]
    assert asked.post("/api/v1/demos/slow", headers={"origin": "http://[::"}).status_code == 403


# --- cards ----------------------------------------------------------------------------------------

CARD = """# Title
<form action="https://evil.example"><input name=password></form><style>body{display:none}</style>
<div style="position:fixed;inset:0">covered</div> <script>alert(1)</script> <iframe src="//evil.example"></iframe>

![seen by <b>](https://evil.example/pixel.png) ![inline](data:image/png;base64,AAAA) <img src=x onerror=alert(1)>
[a](javascript:alert(1)) [b](JAVASCRIPT:alert(1)) [c](data:text/html,x) [d](/sign-out) [e](//evil.example)
[f](vbscript:x)
[good](https://example.org/paper "a title") <https://example.org>

| a | b |
|---|---|
| 1 | 2 |

```python
print("<b>")
```
$x^2$
"""


def test_a_card_is_drawn_without_html_pictures_and_odd_links() -> None:
    drawn = model_cards.draw(CARD)
    tags = {tag.lower() for tag in re.findall(r"<(\w+)", drawn)}
    assert tags <= {"div", "h1", "h2", "p", "a", "table", "thead", "tbody", "tr", "th", "td", "pre", "code", "br"}
    assert re.findall(r'href="([^"]*)"', drawn) == ["https://example.org/paper", "https://example.org"]
    assert drawn.count('rel="noopener noreferrer nofollow"') == 2
    assert "<td>2</td>" in drawn and "print(&quot;&lt;b&gt;&quot;)" in drawn and "$x^2$" in drawn
    assert not re.search(r"<[^>]*(onerror|style|src)=", drawn)


HOSTILE = {"[": "[" * 10**6, "![": "![" * 10**6, "**": "**a *b " * 10**5, "|": "|a|b|\n|-|-|\n" + "|1|2|\n" * 10**5}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_card_ends(text: str) -> None:
    begun = time.monotonic()
    assert "left out" in model_cards.draw(text)
    assert time.monotonic() - begun < 60  # it would be hours, were it not cut


@pytest.mark.parametrize(
    "text",
    [
        "---\nlicense: " + "[" * 90_000 + "\n---\n",
        "---\n" + "a: &a [x]\n" * 20 + "---\nhello",
        "x" * 10**6,
        "---\nlicense: {a: b}\n---\nhello",
    ],
    ids=["nested", "aliases", "long", "a licence of another type"],
)
def test_a_card_of_any_shape_is_read_or_told(text: str, tmp_path: Path, make_hub: Callable[..., Hub]) -> None:
    hub = make_hub(only=("slow",))
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "README.md").write_text(text)
    _, store = open_store(Settings(weights_folder=str(tmp_path), data=str(tmp_path)), hub.registry)
    try:
        assert len(store.card("odd")[1]) <= CARD_BYTES
    except Exception as error:
        assert "cannot be read" in str(error), json.dumps(str(error))


def test_an_odd_origin_and_a_slash_in_a_name_are_no_trouble(asked: httpx.Client) -> None:
    assert asked.get("/healthz", headers={"Origin": "http://[1.1]"}).status_code < 500
    assert asked.get("/status%2F").status_code != 307  # it would lead to itself for ever
