"""Live links: every address is the public one behind a proxy; who can reach the hub is told; pages can be framed."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from hub.errors import UnavailableError
from hub.hub import Hub
from hub.settings import Settings
from hub.web import announce as share
from hub.web import server
from hub.web.middleware import addresses
from hub.web.parts import qr
from hub.web.site import embed
from tests.served import run_async
from tests.web.doors import png

PUBLIC = "https://demos.example.org/hub"


@pytest.fixture(scope="module")
def behind(make_hub: Callable[..., Hub]) -> Iterator[TestClient]:
    """The whole hub as a proxy at `PUBLIC` asks it: by plain HTTP, with the public host."""
    hub = make_hub(public_url=f"{PUBLIC}/", similar="off")

    async def build() -> Any:  # outside of an event loop, Gradio makes loops that it never closes
        return server.build_app(hub)

    yield TestClient(run_async(build()), base_url="http://demos.example.org")


@pytest.mark.parametrize("kept", ["/hub", ""], ids=["the proxy passes the path on", "the proxy strips it"])
def test_every_address_is_the_public_one(kept: str, behind: TestClient) -> None:
    demos = behind.get(f"{kept}/api/v1/demos").json()
    assert {one["url"].rsplit("/", 1)[0] for one in demos} == {"/hub/api/v1/demos"}
    answer = behind.post(f"{kept}/api/v1/demos/shades", files={"image": png()}, data={"seed": 1}).json()
    assert answer["outputs"]["mask"] == f"/hub/api/v1/results/{answer['id']}/mask"
    assert behind.get(kept + answer["outputs"]["mask"].removeprefix("/hub")).status_code == 200
    assert behind.get(f"{kept}/api/v1/openapi.json").json()["servers"] == [{"url": PUBLIC}]
    link = behind.post(f"{kept}/api/v1/results/{answer['id']}/links", json={}).json()
    assert link["url"] == f"{PUBLIC}/r/{link['id']}"
    assert f'content="{PUBLIC}/r/{link["id"]}' in behind.get(f"{kept}/r/{link['id']}").text
    places = re.findall("<loc>(.*?)</loc>", behind.get(f"{kept}/sitemap.xml").text)
    assert places == [f"{PUBLIC}/", *(f"{PUBLIC}/{slug}" for slug in ("shades", "slow", "faulty", "absent"))]
    # Gradio's pages ask for everything under `root`.
    assert behind.get(f"{kept}/config").json()["root"] == PUBLIC
    assert behind.get(f"{kept}/shades").status_code == 200


def test_a_link_without_the_last_slash_goes_to_the_home_page(behind: TestClient) -> None:
    answer = behind.get("/hub", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (308, "/hub/")


def test_the_page_tells_its_public_address_in_code_and_snippets(behind: TestClient) -> None:
    """What fills the foot of the page when it is opened."""
    config = behind.get("/config").json()
    (fill, *_) = [d for d in config["dependencies"] if len(d["outputs"]) == 7 and d["targets"][0][1] == "load"]
    values = {one["id"]: one["props"].get("value") for one in config["components"]}  # as a page has them at first
    body = {"data": [values[id] for id in fill["inputs"]], "fn_index": fill["id"], "session_hash": "x"}
    answer = behind.post("/gradio_api/run/predict", json=body).json()
    python, curl, javascript, fetch, command, mcp, panel = answer["data"]
    assert f'Client("{PUBLIC}")' in python
    assert f"curl {PUBLIC}/api/v1/demos/shades" in curl
    assert f'Client.connect("{PUBLIC}")' in javascript
    assert f'fetch("{PUBLIC}/api/v1/demos/shades"' in fetch
    assert f"python -m hub call {PUBLIC} shades" in command
    assert f'Client("{PUBLIC}/mcp")' in mcp
    assert "<svg" in panel
    assert "<demo-hub-page" not in panel
    assert f'<demo-hub-page src="{PUBLIC}/shades"' in html.unescape(panel)
    assert f"{PUBLIC}/embed.js" in panel


def test_only_pages_that_change_nothing_may_be_framed(behind: TestClient) -> None:
    status, page = behind.get("/status"), behind.get("/shades")
    assert "frame-ancestors 'self'" in status.headers["content-security-policy"]
    assert status.headers["x-frame-options"] == "SAMEORIGIN"
    assert "x-frame-options" not in page.headers
    assert "frame-ancestors *" in page.headers["content-security-policy"]
    script = behind.get("/embed.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert 'customElements.define("demo-hub-page"' in script.text


def asked(url: str) -> Request:
    host = url.split("/")[2]
    name, _, port = host.partition(":")
    return Request(
        {"type": "http", "method": "GET", "scheme": url.split(":")[0], "path": "/", "query_string": b"",
         "server": (name, int(port or 80)), "headers": [(b"host", host.encode())]}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "url", "reached"),
    [
        ({}, "http://127.0.0.1:7860/", ""),
        ({}, "http://localhost:7860/", ""),
        ({"public_url": PUBLIC}, "http://127.0.0.1:7860/", PUBLIC),
        ({"host": "0.0.0.0"}, "http://127.0.0.1:7860/", "http://192.168.7.7:7860"),
        ({"host": "0.0.0.0"}, "http://hub.local:7860/", "http://hub.local:7860"),
        ({"host": "10.1.2.3"}, "http://10.1.2.3:80/", "http://10.1.2.3:80"),
    ],
)
def test_it_is_known_where_others_reach_the_hub(
    settings: dict[str, Any], url: str, reached: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "_own_address", lambda: "192.168.7.7")
    assert addresses.reachable(Settings(**settings), asked(url)) == reached


def test_a_page_that_only_this_machine_reaches_has_no_code_and_says_how_to_change_that(hub: Hub) -> None:
    panel = embed.panel(hub.registry.get("shades"), "http://127.0.0.1:7860", "")
    assert "<svg" not in panel
    assert "Only this machine can open this address" in panel
    assert "--share" in panel


def test_the_code_in_the_terminal_can_be_read_by_a_camera() -> None:
    rows = qr.terminal(f"{PUBLIC}/shades").splitlines()
    light = {"█": (255, 255), "▀": (255, 0), "▄": (0, 255), " ": (0, 0)}
    modules = np.array([[light[c][half] for c in row] for row in rows if row for half in (0, 1)], np.uint8)
    text, _, _ = cv2.QRCodeDetector().detectAndDecode(np.kron(modules, np.ones((4, 4), np.uint8)))
    assert text == f"{PUBLIC}/shades"


# --- the tunnel -----------------------------------------------------------------------------------


def test_a_public_link_is_told_loudly_and_used_in_links(
    make_hub: Callable[..., Hub], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hub = make_hub(share=True)
    monkeypatch.setattr(share, "tunnel", lambda host, port: f"https://{port}.gradio.live")
    share._share(hub, "127.0.0.1", 7860, "http://127.0.0.1:7860")
    told = " ".join(capsys.readouterr().out.split())
    assert "PUBLIC LINK: https://7860.gradio.live" in told
    assert "on the internet, for anyone who has or guesses the link, without a password" in told
    assert "--auth USER:PASSWORD" in told
    here = asked("http://127.0.0.1:7860/")
    assert addresses.link(hub.settings, here, "abc") == "https://7860.gradio.live/r/abc"


def test_without_internet_the_hub_goes_on_without_a_public_link(
    make_hub: Callable[..., Hub], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreachable(*arguments: Any) -> str:
        raise RuntimeError("Could not get share link from Gradio API Server.")

    monkeypatch.setattr("gradio.networking.setup_tunnel", unreachable)
    with pytest.raises(UnavailableError, match="No public link: Could not get share link"):
        share.tunnel("127.0.0.1", 7860)
    hub = make_hub(share=True)
    share._share(hub, "127.0.0.1", 7860, "http://127.0.0.1:7860")
    said = capsys.readouterr().err
    assert "--share needs internet access. The hub goes on at http://127.0.0.1:7860" in said
    assert hub.settings.public_url == ""
