"""Which names a hub answers to: no website may come in under a name of its own that points here."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import psutil
import pytest
from fastapi import FastAPI
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from hub.errors import HubError
from hub.hub import Hub
from hub.settings import Settings
from hub.web import server
from hub.web.middleware import hosts
from hub.web.streamlit_ui import mount as streamlit_mount
from tests.served import run_async, running
from tests.web.doors import png
from tests.web.middleware.test_guard import EVENTS, Echo

EVIL = {"host": "evil.example:7860", "origin": "http://evil.example:7860"}


@pytest.fixture(scope="module")
def served(make_hub: Callable[..., Hub]) -> Iterator[str]:
    """All doors of a hub on loopback that asks nobody."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streamlit_mount, "_build", lambda hub: Echo())
        hub = make_hub(only=("shades", "slow"))
        hub.models.machine()

        async def build() -> FastAPI:
            return server.build_app(hub)

        with running(run_async(build())) as url:
            yield url


DOORS = [
    ("GET", "/"), ("GET", "/slow"), ("GET", "/status"), ("GET", "/config"), ("GET", "/gallery"), ("GET", "/history"),
    ("GET", "/grid"), ("GET", "/r/nothing"), ("GET", "/healthz"), ("GET", "/metrics"), ("GET", "/embed.js"),
    ("GET", "/api/v1/demos"), ("HEAD", "/api/v1/demos"), ("OPTIONS", "/api/v1/demos/slow"), ("PUT", "/api/v1/x"),
    ("POST", "/api/v1/demos/slow"), ("POST", "/api/v1/models"), ("GET", "/api/v1/history"),
    ("POST", "/gradio_api/call/slow"), ("POST", "/gradio_api/queue/join"), ("POST", "/gradio_api/upload"),
    ("GET", "/streamlit/"), ("GET", "/streamlit/_stcore/health"), ("GET", "/sign-out"), ("GET", "/nowhere"),
    ("POST", "/mcp"), ("GET", "/mcp"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), DOORS, ids=lambda value: str(value))
def test_a_name_that_was_made_to_point_here_opens_no_door(method: str, path: str, served: str) -> None:
    forwarded = {"x-forwarded-host": "127.0.0.1", "forwarded": "host=localhost"}  # which anybody can send
    for more in ({}, forwarded, {"accept": "text/html"}, {"sec-fetch-site": "same-origin"}):
        answer = httpx.request(method, served + path, headers={**EVIL, **more}, timeout=60)
        assert answer.status_code == 403, (more, answer.text)
        if method != "HEAD":
            assert "evil.example" in answer.text and "--allow-host evil.example" in answer.text


def test_nor_a_websocket(served: str) -> None:
    place = served.replace("http:", "ws:") + "/streamlit/_stcore/stream"
    with socket.create_connection(("127.0.0.1", int(served.rsplit(":", 1)[1]))) as line, pytest.raises(InvalidStatus):
        connect("ws://evil.example:7860/streamlit/_stcore/stream", sock=line, origin="http://evil.example:7860")
    with connect(place) as line:  # of this name it opens
        line.send("who?")
        assert json.loads(str(line.recv())) == ["", "run"]  # who comes to an open hub


def test_its_own_names_open_all_doors(served: str) -> None:
    port = served.rsplit(":", 1)[1]
    for host in (f"LOCALHOST:{port}", "localhost.", "hub.localhost:1", "[::1]:7860", "127.0.0.2", f"127.0.0.1:{port}"):
        page = httpx.get(f"{served}/slow", headers={"host": host, "accept": "text/html"}, timeout=60)
        assert page.status_code == 200, host
        run = {"files": {"image": png()}, "headers": {"host": host, "origin": f"http://{host}"}}
        assert httpx.post(f"{served}/api/v1/demos/shades", timeout=60, **run).status_code == 200, host
        tools = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        found = httpx.post(f"{served}/mcp", json=tools, headers={**EVENTS, "host": host}, timeout=60)
        assert found.status_code == 200, host


def raw(served: str, text: str) -> str:
    """The first line of the answer to a request as it is written."""
    with socket.create_connection(("127.0.0.1", int(served.rsplit(":", 1)[1])), timeout=30) as line:
        line.sendall(text.encode("latin-1"))
        return line.recv(1000).decode("latin-1").split("\r\n")[0]


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("GET /healthz HTTP/1.1\r\n\r\n", "400"),
        ("GET /healthz HTTP/1.0\r\n\r\n", "200"),  # as some health checks ask; no browser does
        ("GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", "400"),
        ("GET /healthz HTTP/1.1\r\nHost:\r\n\r\n", "400"),
        ("GET /healthz HTTP/1.1\r\nHost: localhost:99999\r\n\r\n", "400"),
        ("GET /healthz HTTP/1.1\r\nHost: localhost@evil.example\r\n\r\n", "400"),
        ("GET /healthz HTTP/1.1\r\nHost: evil.example/localhost\r\n\r\n", "400"),
        ("GET /healthz HTTP/1.1\r\nHost: [::1\r\n\r\n", "400"),
        ("GET /healthz HTTP/1.1\r\nHost: [::::]\r\n\r\n", "400"),
        (f"GET /healthz HTTP/1.1\r\nHost: {'a' * 9000}\r\n\r\n", "400"),
        ("GET /healthz HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n", "403"),
        ("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1.evil.example\r\n\r\n", "403"),
        ("GET /healthz HTTP/1.1\r\nHost: localhost..\r\n\r\n", "403"),
        ("GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", "400"),
        ("GET /healthz%0D%0Aforged HTTP/1.1\r\nHost: localhost\r\n\r\n", "400"),
        ("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", "400"),
    ],
)
def test_what_is_no_name_is_told(text: str, status: str, served: str) -> None:
    assert raw(served, text.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")).split()[1] == status


MINE = next(
    one.address for several in psutil.net_if_addrs().values() for one in several if one.family == socket.AF_INET
)


@pytest.mark.parametrize(
    ("settings", "host", "fits"),
    [
        ({}, "localhost", True),
        ({}, MINE, True),
        ({}, "192.0.2.7", False),
        ({}, "0.0.0.0", False),
        ({}, "mybox", False),
        ({}, "evil.local", False),
        ({"allow_host": "hub.lan, Demos.example.org:8080"}, "demos.example.org", True),
        ({"allow_host": "hub.lan"}, "HUB.lan.:80", True),
        ({"allow_host": "hub.lan"}, "evil.hub.lan", False),
        ({"allow_host": "[fd00::1]"}, "[fd00::1]:7860", True),
        ({"allow_host": "*"}, "evil.example", True),
        ({"public_url": "https://demos.example.org/hub"}, "demos.example.org", True),
        ({"public_url": "https://demos.example.org:8443"}, "Demos.Example.org:8443", True),
        ({"public_url": "https://demos.example.org"}, "127.0.0.1:7860", True),  # a probe on the machine
        ({"public_url": "https://demos.example.org"}, "evil.example", False),
        ({"host": "0.0.0.0"}, "10.42.0.17:7860", True),  # a probe of Kubernetes; an address cannot be pointed elsewhere
        ({"host": "0.0.0.0"}, "[2001:db8::7]", True),
        ({"host": "0.0.0.0"}, socket.gethostname(), True),
        ({"host": "0.0.0.0"}, "demo-hub:7860", True),  # of Docker's network: no website has a name without a dot
        ({"host": "0.0.0.0"}, "hub.demos.svc.cluster.local", True),
        ({"host": "0.0.0.0"}, "evil.example", False),
        ({"host": "::"}, "evil.example", False),
        ({"host": "hub.lan"}, "hub.lan", True),
    ],
)  # fmt: skip
def test_which_names_fit_which_settings(settings: dict[str, Any], host: str, fits: bool) -> None:
    scope = {"type": "http", "path": "/", "headers": [(b"host", host.encode())], "server": ("127.0.0.1", 7860)}
    try:
        hosts.check(Settings(**settings), scope)
    except HubError as error:
        assert not fits, error.message
    else:
        assert fits


def test_a_space_is_known_by_the_name_its_proxy_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    scope = {"type": "http", "path": "/", "headers": [(b"host", b"ann-hub.hf.space")], "server": ("10.0.0.2", 7860)}
    with pytest.raises(HubError, match="ann-hub"):
        hosts.check(Settings(host="0.0.0.0"), scope)
    monkeypatch.setenv("SPACE_HOST", "ann-hub.hf.space")
    hosts.check(Settings(host="0.0.0.0"), scope)
