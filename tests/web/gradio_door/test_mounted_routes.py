"""Gradio and Streamlit mount routes of their own: visitors reach those that pages need, and a new one is seen here."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AuthenticationError
from starlette.responses import PlainTextResponse
from starlette.routing import Mount

from hub.hub import Hub
from hub.web import server
from hub.web.gradio_door import routes as gradio_door
from hub.web.gradio_door.routes import GradioDoor
from hub.web.middleware.entrance import client_login
from hub.web.streamlit_ui import door as streamlit_door
from tests.served import PATIENT, run_async
from tests.web.doors import streamlit_routes
from tests.web.middleware.test_guard import PASSWORD, ServedHub, addresses

# What Gradio mounts and visitors do not reach. A route that is in neither table is new: decide on it.
CLOSED = """
GET /dev/reload · GET /login_check · GET /token · GET /user · GET /runs · POST /api/{api_name}
POST /call/v2/{api_name} · GET /call/v2/{api_name}/{event_id} · GET /openapi.json · POST /component_server
GET /queue/status · GET /custom_component/{id}/{environment}/{type}/{file_name} · GET /proxy={url_path:path}
GET /file/{path:path}
GET /stream/{session_hash}/{run}/{component_id}/playlist.m3u8 · POST /process_recording · GET /deep_link
GET /stream/{session_hash}/{run}/{component_id}/{segment_id}.{ext} · GET /vibe-code · POST /vibe-code
GET /stream/{session_hash}/{run}/{component_id}/playlist-file · POST /vibe-edit · POST /undo-vibe-edit
POST /vibe-starter-queries · GET /heartbeat/{session_hash}
"""
CLOSED_AT_ROOT = """
POST /login · GET /logout · GET /svelte/{path:path} · GET /pwa_icon · GET /pwa_icon/{size} · GET /manifest.json
GET /openapi.json · GET /monitoring · GET /monitoring/summary · GET /monitoring/{key}
"""
OWN = {"GET /gradio_api/file={path_or_url:path}", "GET /gradio_api/upload_progress", "POST /gradio_api/upload"}


def listed(text: str, prefix: str = "") -> set[str]:
    pairs = [line.strip().split(" ") for line in re.split("[·\n]", text) if line.strip()]
    return {f"{method} {prefix}{path}" for method, path in pairs}


@pytest.fixture(scope="module")
def app(make_hub: Callable[..., Hub]) -> Any:
    async def build() -> Any:
        return server.build_app(make_hub(("shades",)))

    return run_async(build())


@pytest.fixture(scope="module")
def door(app: Any) -> GradioDoor:
    (mount,) = [one for one in app.routes if isinstance(one, Mount) and isinstance(one.app, GradioDoor)]
    found: GradioDoor = mount.app
    return found


def filled(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "9", path)


def test_every_route_of_gradio_is_in_the_table_or_closed(door: GradioDoor) -> None:
    mounted = {f"{method} {path}" for method, path in addresses(door.routes)}
    mounted = {one for one in mounted if not one.endswith("/")} | {"GET /"}  # each path also stands there with a slash
    closed = {one for one in mounted if not door.has(*filled(one).split(" "))} - OWN
    assert closed == listed(CLOSED, "/gradio_api") | listed(CLOSED_AT_ROOT)


def test_what_is_not_in_the_table_is_404_whatever_it_is(app: Any) -> None:
    paths = {f"{method} {path}" for method, path in addresses(app.routes)} & (
        listed(CLOSED, "/gradio_api") | listed(CLOSED_AT_ROOT)
    ) - {"POST /login"}
    assert len(paths) > 25
    more = [
        "GET /pwa_icon/9000", "GET /gradio_api/file=https://example.org/", "GET /gradio_api/file/etc/hostname",
        "GET /monitoring/x/y", "GET /gradio_api//queue/join", "POST /gradio_api/api/shades", "PUT /config",
        "GET /shades/x", "GET /gradio_api/proxy=https://a.hf.space/", "DELETE /gradio_api/upload",
    ]  # fmt: skip

    async def ask() -> dict[str, int]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            asked = [one.split(" ") for one in [*paths, *more]]
            return {path: (await client.request(method, filled(path))).status_code for method, path in asked}

    assert {path: status for path, status in run_async(ask()).items() if status != 404} == {}


def test_every_route_of_streamlit_is_in_the_table_or_closed() -> None:
    routes = streamlit_routes()
    mounted = {f"{method} {filled(path)}" for method, path in addresses(routes) if path}
    mounted |= {f"WEBSOCKET {route.path}" for route in routes if type(route).__name__ == "WebSocketRoute"}
    reached = {one for one in mounted if streamlit_door.has(one.split(" ")[0], one.split(" ")[1][1:].split("/"))}
    assert reached == {
        "WEBSOCKET /_stcore/stream", "GET /_stcore/health", "GET /_stcore/host-config", "GET /media/9", "GET /x",
        "PUT /_stcore/upload_file/9/9", "DELETE /_stcore/upload_file/9/9", "WEBSOCKET /x",
    }  # fmt: skip
    assert not streamlit_door.has("GET", ["_stcore", "metrics"])


def test_the_table_has_no_pattern() -> None:
    parts = {part for _, route in (*gradio_door.ROUTES, *streamlit_door.ROUTES) for part in route.split("/")}
    assert not any(set(part) & set("?+()[]|") for part in parts)


# --- signing in with gradio_client, and what Streamlit holds ---------------------------------------


def test_gradio_client_signs_in_with_a_password(served: ServedHub) -> None:  # the fixture
    client = Client(served.url, auth=("ann", PASSWORD), verbose=False, httpx_kwargs=PATIENT)
    assert client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    with pytest.raises(AuthenticationError):
        Client(served.url, auth=("ann", "wrong"), verbose=False, httpx_kwargs=PATIENT)
    sent = {"username": "ann", "password": PASSWORD}
    answer = httpx.post(f"{served.url}/login", data=sent)
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert httpx.post(f"{served.url}/login", data=sent, headers={"origin": "https://evil.example"}).status_code == 403
    for body in (b"", b"\xff", b"x" * 9000, b"&" * 100, b"username=ann%00&password=x"):
        answer = httpx.post(f"{served.url}/login", content=body, headers={"content-type": client_login.FORM})
        assert answer.status_code in (400, 401, 413), body
    for method in ("GET", "PUT"):
        assert httpx.request(method, f"{served.url}/login", headers=served.headers("run")).status_code in (404, 405)


def test_a_hub_that_asks_for_no_password_takes_any(app: Any) -> None:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.post("/login", data={"username": "a", "password": "b"})

    answer = run_async(ask())
    assert (answer.status_code, answer.json(), "set-cookie" in answer.headers) == (200, {"success": True}, False)


def test_streamlits_pages_hold_so_many_uploads_and_no_more(
    make_hub: Callable[..., Hub], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = make_hub(("shades",))
    largest, held, reached = hub.limits.max_bytes, dict[str, list[int]](), list[str]()

    async def streamlit(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope["path"])
        await PlainTextResponse("kept")(scope, receive, send)

    monkeypatch.setattr(streamlit_door, "_uploads_held", lambda: held)
    door = streamlit_door.StreamlitDoor(streamlit, hub)

    async def put(page: str, size: int) -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=door), base_url="http://hub") as client:
            headers = {"content-length": str(size)}
            return (await client.put(f"/_stcore/upload_file/{page}/1", headers=headers)).status_code

    assert run_async(put("mine", 1000)) == 200
    held["mine"] = [largest] * 4
    assert run_async(put("mine", 1000)) == 429
    assert run_async(put("other", 1000)) == 200
    held["mine"] = [1] * 32
    assert run_async(put("mine", 1)) == 429
    held.update({str(n): [largest] for n in range(16)})
    assert run_async(put("other", largest)) == 429
    assert len(reached) == 2
