"""Who may come in, through each door of one served hub: pages, REST, files, gradio_client, MCP, Streamlit."""

from __future__ import annotations

import ast
import asyncio
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from gradio_client import Client, handle_file
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Mount
from starlette.types import Receive, Scope, Send
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from hub.cli.main import main
from hub.cli.remote_hub import RemoteHub
from hub.errors import BusyError, InputError, SignInError
from hub.hub import Hub
from hub.people import users
from hub.people.limits import Allowance, LimitError
from hub.people.signin import SignIn
from hub.people.tokens import TokenStore
from hub.people.users import Caller, UsersFile
from hub.web import server
from hub.web.middleware import guard
from hub.web.middleware.entrance import space_signin
from hub.web.streamlit_ui import host as streamlit_host
from hub.web.streamlit_ui import mount as streamlit_mount
from hub.web.streamlit_ui import run as streamlit_run
from tests.fakes import Clock
from tests.served import PATIENT, ROOT, run_async
from tests.web.doors import png

ROLES = ("nobody", "view", "run", "admin")
PASSWORD = "correct horse"
EVENTS = {"accept": "application/json, text/event-stream"}


@dataclass(frozen=True)
class ServedHub:
    """A served hub that asks who comes, with a token for each role."""

    url: str
    app: FastAPI
    hub: Hub
    tokens: dict[str, str]

    def headers(self, role: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self.tokens[role]}"} if role in self.tokens else {}

    def ask(self, role: str, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {**self.headers(role), **more.pop("headers", {})}
        return httpx.request(method, self.url + path, headers=headers, timeout=60, **more)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Stands in for Streamlit's own app, whose start takes seconds: its websocket tells who came, again and again."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        headers = {name.decode(): value.decode() for name, value in reversed(scope["headers"])}  # a forged one first
        while True:
            who = guard.caller_of_headers(headers)
            await send({"type": "websocket.send", "text": json.dumps([who.name, who.role])})
            if (await receive())["type"] == "websocket.disconnect":
                return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
    await send({"type": "http.response.body", "body": b"Streamlit"})


class Echo:
    lifespan = staticmethod(lambda: lambda app: _Nothing())
    __call__ = staticmethod(echo)


class _Nothing:
    async def __aenter__(self) -> None: ...
    async def __aexit__(self, *error: object) -> None: ...


@pytest.fixture(scope="module")
def served(make_hub: Callable[..., Hub]) -> Iterator[ServedHub]:
    """All doors of a hub with a users file, `ann` being its administrator, and one friendly website."""
    patch = pytest.MonkeyPatch()
    patch.setattr(users, "LOG2_N", 4)
    patch.setattr(streamlit_mount, "_build", lambda hub: Echo())
    data = make_hub(only=("slow",)).settings.data_folder
    UsersFile(data / "users.txt").put("ann", "admin", PASSWORD)
    tokens = {role: TokenStore(data).add(role)[1] for role in users.ROLES}
    settings = {"auth": str(data / "users.txt"), "data": str(data), "allow_origins": "https://friend.example"}
    hub = make_hub(only=("shades", "slow"), **settings)

    async def build() -> FastAPI:  # in a running event loop: outside of one, Gradio makes loops it never closes
        return server.build_app(hub)

    app, listener = run_async(build()), socket.create_server(("127.0.0.1", 0))
    serving = uvicorn.Server(uvicorn.Config(app, http="h11", log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=serving.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not serving.started:
        time.sleep(0.01)
    yield ServedHub(f"http://127.0.0.1:{listener.getsockname()[1]}", app, hub, tokens)
    serving.should_exit = True
    thread.join(10)
    patch.undo()


@pytest.fixture(scope="module")
def client(served: ServedHub) -> Client:
    return Client(served.url, headers=served.headers("run"), verbose=False, httpx_kwargs=PATIENT)


# --- every route ----------------------------------------------------------------------------------

OPEN = {"/healthz", "/readyz", "/embed.js", "/favicon.ico"}
ADMIN = {
    "/status", "/status/", "/usage", "/metrics", "/api/v1/status", "/api/v1/models", "POST /api/v1/models",
    "/api/v1/usage", "/audit", "/api/v1/audit",
}  # fmt: skip
VIEW = {
    "/r", "/r/page.css", "/r/page.js", "/r/{id}", "/r/{id}/{name}", "/r/{path:path}", "POST /r/{id}/feedback",
    "POST /r/{id}/correction", "POST /api/v1/links/{id}/correction", "/api/v1/results/{id}/correction",
    "/api/v1/results/{id}/correction/{name}", "/r/corrections.js",
    "/api/v1/links", "/api/v1/links/{id}", "POST /api/v1/links/{id}/feedback", "/api/v1/results/{id}",
    "/api/v1/results/{id}/similar", "/api/v1/results/{id}/thumbnail", "/api/v1/results/{id}/{output}",
    "/api/v1/results/{id}/{output}/{number:int}",
    # Asked with GET, these answer that they take POST.
    "/r/{id}/correction", "/api/v1/links/{id}/correction",
    "/r/{id}/feedback", "/r/{id}/revoke", "/api/v1/links/{id}/feedback", "/api/v1/results/{id}/links",
}  # fmt: skip


def addresses(routes: list[BaseRoute], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(method, path pattern) of every route, those of mounted apps too."""
    for route in routes:
        path = prefix + str(getattr(route, "path", ""))
        if isinstance(route, Mount):
            inner = list(getattr(route.app, "routes", []))
            yield from addresses(inner, path) if inner else [("GET", f"{path}/x"), ("WEBSOCKET", f"{path}/x")]
        elif hasattr(route, "include_context") or hasattr(route, "original_router"):
            yield from addresses(list(route.original_router.routes), prefix)
        else:
            given = getattr(route, "methods", None) or ("GET", "POST", "DELETE")
            yield from ((method, path) for method in given if method not in ("HEAD", "OPTIONS"))


def just(needs: str) -> tuple[str, ...]:
    """Who just may not, and who just may."""
    return ROLES[max(0, ROLES.index(needs) - 1) : ROLES.index(needs) + 1]


def test_every_route_of_the_hub_asks_for_the_role_it_should(served: ServedHub) -> None:
    """What is neither open, nor to view, nor for administrators is for `run`, also a route that is new."""
    found = {*addresses(list(served.app.routes)), ("GET", "/status"), ("GET", "/favicon.ico")}
    assert len(found) > 60, sorted(found)  # Gradio's are among them
    assert ("POST", "/gradio_api/queue/join") in found
    asked: dict[str, set[str]] = {"": set(), "view": set(), "run": set(), "admin": set()}
    for method, path in found:
        filled = re.sub(r"\{[^}]*\}", "0", path)
        asked[guard.role_needed(method, filled)].add(path if method == "GET" else f"{method} {path}")
    assert asked["view"] <= VIEW, asked["view"] - VIEW
    assert asked[""] == OPEN
    assert asked["admin"] >= ADMIN - {"/status/"}
    run = {("POST", "/mcp"), ("GET", "/"), ("GET", "/streamlit/x"), ("GET", "/config"), ("POST", "/r/{id}/revoke")}
    run |= {("POST", "/gradio_api/queue/join"), ("POST", "/gradio_api/upload"), ("DELETE", "/api/v1/links/{id}")}
    assert {path if method == "GET" else f"{method} {path}" for method, path in run} <= asked["run"]

    reached: list[str] = []

    async def inside(scope: Scope, receive: Receive, send: Send) -> None:
        reached.append(scope["path"])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def try_all() -> None:
        layer = httpx.ASGITransport(guard.Guard(inside, served.hub))
        async with httpx.AsyncClient(transport=layer, base_url="http://127.0.0.1") as client:
            for method, path in sorted(found):
                filled = re.sub(r"\{[^}]*\}", "0", path)
                needs = guard.role_needed(method, filled) or "nobody"
                for role in just(needs):
                    answer = await client.request(
                        method.replace("WEBSOCKET", "GET"), filled, headers=served.headers(role)
                    )
                    may = ROLES.index(role) >= ROLES.index(needs)
                    wanted = 204 if may else 401 if role == "nobody" else 403
                    assert answer.status_code == wanted, (method, filled, role, answer.text)

    run_async(try_all())
    assert reached


def test_a_prefix_that_a_proxy_left_in_the_path_hides_no_page(served: ServedHub) -> None:
    """The router takes it away, and so must the guard."""

    async def inside(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError(f"{scope['path']} was reached")

    async def ask(path: str) -> int:
        layer = httpx.ASGITransport(guard.Guard(inside, served.hub), root_path="/r")
        async with httpx.AsyncClient(transport=layer, base_url="http://127.0.0.1") as client:
            return (await client.get(path, headers=served.headers("view"))).status_code

    for path in ("/r/config", "/r/status", "/r", "/config"):
        assert run_async(ask(path)) == 403, path


# --- each door, for real --------------------------------------------------------------------------

MCP_LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
DOORS: list[tuple[str, str, str, dict[str, Any]]] = [
    ("run", "GET", "/", {}),
    ("run", "GET", "/shades", {}),
    ("run", "GET", "/config", {}),
    ("run", "GET", "/gradio_api/info", {}),
    ("run", "POST", "/gradio_api/upload", {"files": {"files": png()}}),
    ("run", "GET", "/streamlit/", {}),
    ("run", "POST", "/mcp", {"json": MCP_LIST, "headers": EVENTS}),
    ("run", "GET", "/api/v1/openapi.json", {}),
    ("run", "GET", "/docs", {}),
    ("run", "GET", "/api/v1/demos", {}),
    ("run", "GET", "/api/v1/demos/shades/assets/grey.png", {}),
    ("run", "POST", "/api/v1/demos/shades", {"files": {"image": png()}}),
    ("view", "GET", "/api/v1/results/RESULT", {}),
    ("view", "GET", "/api/v1/results/RESULT/picture", {}),
    ("view", "GET", "/r/LINK", {}),
    ("view", "GET", "/r/LINK/preview.jpg", {}),
    ("view", "GET", "/r/page.css", {}),
    ("view", "POST", "/api/v1/links/LINK/feedback", {"json": {"thumb": "up"}}),
    ("view", "POST", "/api/v1/links/LINK/correction", {"json": {"verdict": "wrong"}}),
    ("run", "POST", "/api/v1/results/RESULT/correction", {"json": {"verdict": "right"}}),
    ("run", "GET", "/api/v1/corrections", {}),
    ("run", "GET", "/corrections", {}),
    ("admin", "GET", "/status", {}),
    ("admin", "GET", "/usage", {}),
    ("admin", "GET", "/api/v1/usage", {}),
    ("admin", "GET", "/audit", {}),
    ("admin", "GET", "/api/v1/audit", {}),
    ("admin", "GET", "/metrics", {}),
    ("admin", "GET", "/api/v1/models", {}),
    ("admin", "POST", "/api/v1/models", {"json": {"demo": "slow", "action": "load"}}),
    ("nobody", "GET", "/healthz", {}),
]


@pytest.fixture(scope="module")
def shared(served: ServedHub) -> tuple[str, str]:
    """A result and a link to it."""
    done = served.ask("run", "POST", "/api/v1/demos/shades", files={"image": png()})
    assert done.status_code == 200, done.text
    link = served.ask("run", "POST", f"/api/v1/results/{done.json()['id']}/links", json={})
    assert link.status_code == 201, link.text
    return done.json()["id"], link.json()["id"]


@pytest.mark.parametrize("needs, method, path, more", DOORS, ids=[f"{m} {p}" for _, m, p, _ in DOORS])
def test_a_door_lets_in_who_may(
    needs: str, method: str, path: str, more: dict[str, Any], served: ServedHub, shared: tuple[str, str]
) -> None:
    path = path.replace("RESULT", shared[0]).replace("LINK", shared[1])
    for role in just(needs):
        answer = served.ask(role, method, path, **more)
        may = ROLES.index(role) >= ROLES.index(needs)
        assert answer.status_code in ((200, 201) if may else (401,) if role == "nobody" else (403,)), (
            role,
            answer.text,
        )
        if not may and path.startswith(("/api", "/mcp", "/gradio_api")):
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["code"] == ("sign_in" if role == "nobody" else "forbidden")


def test_gradio_client_comes_in_by_token(served: ServedHub, client: Client) -> None:
    picture = served.hub.registry.get("shades").assets / "grey.png"
    assert client.predict(handle_file(picture), api_name="/shades")[-1]["id"]
    with pytest.raises(Exception, match="credentials were not provided"):
        Client(served.url, verbose=False, httpx_kwargs=PATIENT)


def test_commands_come_in_by_token_and_by_password(served: ServedHub, capsys: pytest.CaptureFixture[str]) -> None:
    with RemoteHub(served.url, served.tokens["run"]) as remote:
        assert [one["slug"] for one in remote.demos()] == ["shades", "slow"]
    for auth, status in (
        (served.tokens["admin"], 0),
        (f"ann:{PASSWORD}", 0),
        (served.tokens["run"], 1),
        ("ann:wrong", 1),
    ):
        assert main(["status", "--url", served.url, "--json", "--auth", auth]) == status
    told = capsys.readouterr()
    assert '"running": true' in told.out
    assert "It takes the role admin to load models, see the status" in told.err
    assert "give --auth USER:PASSWORD or --auth TOKEN" in told.err
    assert main(["status", "--url", served.url, "--auth", "onlyapassword"]) == 2
    assert "must be USER:PASSWORD or an access token" in capsys.readouterr().err


def test_a_page_event_of_the_status_page_is_refused_without_the_page(served: ServedHub) -> None:
    """Its events are Gradio's, whose address is the one of all events."""
    config = served.ask("admin", "GET", "/config?page=status").json()
    number = next(d["id"] for d in config["dependencies"] if d["api_name"] == "draw_board")

    def fresh(role: str) -> str:
        body = {"data": [], "fn_index": number, "session_hash": f"tab{role}"}
        return served.ask(role, "POST", "/gradio_api/run/predict", json=body).text

    assert "Models" in fresh("admin")
    assert "It needs the role admin; yours is run." in fresh("run")


def test_the_websocket_of_streamlit_asks_too_and_ends_when_its_token_does(served: ServedHub) -> None:
    place = f"{served.url.replace('http', 'ws')}/streamlit/_stcore/stream"
    for role in ("nobody", "view"):
        with pytest.raises(InvalidStatus, match="403"):
            connect(place, additional_headers=served.headers(role))
    with pytest.raises(InvalidStatus, match="403"):
        connect(place, additional_headers=served.headers("run"), origin="http://evil.example")
    store = TokenStore(served.hub.settings.data_folder)
    made, text = store.add("run")
    headers = {"authorization": f"Bearer {text}", "x-hub-caller": '{"name": "forged", "role": "admin"}'}
    with connect(place, additional_headers=headers) as socket:
        assert json.loads(socket.recv(10)) == [f"token {made.id}", "run"]
        socket.send("still here")
        assert json.loads(socket.recv(10)) == [f"token {made.id}", "run"]
        store.revoke(made.id)
        socket.send("still here")
        with pytest.raises(ConnectionClosed):
            socket.recv(10)


# --- in a browser ---------------------------------------------------------------------------------


def test_a_token_in_an_address_becomes_a_cookie_and_leaves_the_address(
    served: ServedHub, shared: tuple[str, str]
) -> None:
    with httpx.Client(base_url=served.url) as browser:
        first = browser.get(f"/r/{shared[1]}?a=1&token={served.tokens['view']}&b=%C3%A9")
        assert (first.status_code, first.headers["location"]) == (303, f"/r/{shared[1]}?a=1&b=%C3%A9")
        assert (first.headers["referrer-policy"], first.headers["cache-control"]) == ("no-referrer", "no-store")
        cookie = first.headers["set-cookie"]
        assert re.fullmatch(r"hub_key=hub_\w+; Path=/; HttpOnly; SameSite=Lax", cookie)
        page = browser.get(first.headers["location"])
        assert page.status_code == 200
        assert served.tokens["view"] not in page.text
        assert browser.get("/shades").status_code == 403
        secure = served.ask("nobody", "GET", f"/?token={served.tokens['run']}", headers={"x-forwarded-proto": "https"})
        assert secure.headers["set-cookie"].endswith("; Secure")
        away = httpx.get(f"{served.url}//evil.example/?token={served.tokens['run']}", timeout=60)
        assert away.headers["location"] == "/evil.example/"


def test_a_token_of_one_link_opens_that_link_only(served: ServedHub, shared: tuple[str, str]) -> None:
    id = shared[1]
    _, text = TokenStore(served.hub.settings.data_folder).add("view", link=id)
    for path, status in (
        (f"/r/{id}", 200),
        (f"/r/{id}/preview.jpg", 200),
        ("/r/page.css", 200),
        (f"/api/v1/links/{id}", 200),
        (f"/r/{'A' * 22}", 403),
        (f"/api/v1/results/{shared[0]}", 403),
        ("/api/v1/links", 403),
    ):
        answer = httpx.get(served.url + path, headers={"authorization": f"Bearer {text}"}, timeout=60)
        assert answer.status_code == status, (path, answer.text)


def test_a_browser_with_a_password_stays_signed_in_until_it_is_changed(served: ServedHub) -> None:
    file = UsersFile(served.hub.settings.data_folder / "users.txt")
    file.put("eva", "run", PASSWORD)
    with httpx.Client(base_url=served.url, headers={"accept": "text/html"}) as browser:
        asked = browser.get("/")
        assert (asked.status_code, asked.headers["www-authenticate"][:6]) == (401, "Bearer")
        assert 'name="password"' in asked.text, "the hub's own form, not the browser's box"
        headless = browser.get("/", headers={"accept": "*/*"})
        assert (headless.status_code, headless.headers["www-authenticate"][:5]) == (401, "Basic")
        first = browser.get("/", auth=("eva", PASSWORD))
        assert first.status_code == 200
        assert "hub_key=" in first.headers["set-cookie"]
        assert browser.get("/").status_code == 200  # a websocket has no password, only this cookie
        assert browser.get("/", headers={"authorization": "Basic ????"}).status_code == 200  # a proxy's own
        file.put("eva", "run", "another password")
        assert browser.get("/").status_code == 401


def test_the_form_of_the_sign_in_leads_where_the_browser_wanted_to_go_and_nowhere_else(served: ServedHub) -> None:
    file = UsersFile(served.hub.settings.data_folder / "users.txt")
    file.put("eve", "run", PASSWORD)
    right, wrong = {"username": "eve", "password": PASSWORD}, {"username": "eve", "password": "not hers at all"}
    with httpx.Client(base_url=served.url, headers={"accept": "text/html"}) as browser:
        form = re.search('action="([^"]*)"', browser.get("/shades?threshold=0.5").text)
        assert form is not None
        refused = browser.post(form[1], data=wrong)
        assert refused.status_code == 401 and "do not belong together" in refused.text and form[1] in refused.text
        assert "hub_key=" not in refused.headers.get("set-cookie", "")
        elsewhere = {"origin": "http://evil.example", "sec-fetch-site": "cross-site"}
        assert browser.post(form[1], data=right, headers=elsewhere).status_code == 403
        opened = browser.post(form[1], data=right)
        assert (opened.status_code, opened.headers["location"]) == (303, "/shades?threshold=0.5")
        assert browser.get("/history").status_code == 200
        for place in ("//evil.example", "/\\evil.example", "http://evil.example", "\\\\evil.example", "%0d%0aX: y"):
            answer = browser.post("/login", params={"next": place}, data=right)
            assert answer.headers["location"].startswith("/") and answer.headers["location"][1:2] not in ("/", "\\")
            assert "x" not in answer.headers


def test_a_stale_link_is_told_without_asking_for_a_password(served: ServedHub) -> None:
    store = TokenStore(served.hub.settings.data_folder)
    made, text = store.add("run")
    with httpx.Client(base_url=served.url, headers={"accept": "text/html"}) as browser:
        assert browser.get(f"/?token={text}").status_code == 303
        store.revoke(made.id)
        stale = browser.get("/")
        assert stale.status_code == 401
        assert "was revoked, or is past its day" in stale.text
        assert stale.headers["www-authenticate"].startswith("Bearer")
        assert 'name="password"' in browser.get("/").text  # the cookie is gone
        assert browser.get(f"/?token={text}").status_code == 401


# --- other websites -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/v1/demos/shades", "/gradio_api/upload", "/mcp", "/r/0/feedback", "/nowhere"])
def test_a_post_from_another_website_is_refused_at_every_door(path: str, served: ServedHub) -> None:
    cookies = {"cookie": f"hub_key={served.tokens['admin']}"}
    for headers in ({"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
        answer = httpx.post(served.url + path, headers={**cookies, **headers}, files={"image": png()}, timeout=60)
        assert answer.status_code == 403, answer.text
        assert "Another website" in answer.text
        assert "access-control-allow-origin" not in answer.headers
    own = {"origin": served.url, "sec-fetch-site": "same-origin"}
    assert "Another website" not in httpx.post(served.url + path, headers={**cookies, **own}, timeout=60).text


def test_only_named_websites_may_read_answers(served: ServedHub) -> None:
    for path in ("/api/v1/demos", "/config"):
        friend = served.ask("run", "GET", path, headers={"origin": "https://friend.example"})
        assert friend.headers["access-control-allow-origin"] == "https://friend.example"
        assert "access-control-allow-credentials" not in friend.headers
        foe = served.ask("run", "GET", path, headers={"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in foe.headers
    ask = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    allowed = served.ask(
        "nobody", "OPTIONS", "/api/v1/demos/shades", headers={**ask, "origin": "https://friend.example"}
    )
    assert (allowed.status_code, allowed.headers["access-control-allow-headers"]) == (200, "authorization")
    friend = {"origin": "https://friend.example"}
    ran = served.ask("run", "POST", "/api/v1/demos/shades", headers=friend, files={"image": png()})
    assert ran.status_code == 200
    refused = served.ask("nobody", "OPTIONS", "/api/v1/demos/shades", headers={**ask, "origin": "https://evil.example"})
    assert refused.status_code == 400


# --- passwords ------------------------------------------------------------------------------------


class Checked:
    """A sign-in with a clock of its own, which counts how often a password was really checked."""

    def __init__(self, served: ServedHub, monkeypatch: pytest.MonkeyPatch):
        self.clock, self.count = Clock(), 0
        self.signin = SignIn(served.hub.settings, self.clock)
        real = users.matches

        def counting(password: str, hash: str) -> bool:
            self.count += 1
            return real(password, hash)

        monkeypatch.setattr("hub.people.signin.matches", counting)

    async def ask(self, name: str, password: str, address: str = "192.0.2.1") -> str:
        header = httpx.BasicAuth(name, password)._auth_header
        return (await self.signin.identify({"authorization": header}, {}, address)).role


def test_a_right_password_is_checked_once_however_many_ask(served: ServedHub, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = Checked(served, monkeypatch)

    async def many() -> list[str]:
        found = await asyncio.gather(*(checked.ask("ann", PASSWORD) for _ in range(40)))
        return [*found, await checked.ask("ann", PASSWORD)]

    assert run_async(many()) == ["admin"] * 41
    assert checked.count == 1


def test_wrong_passwords_cost_more_and_more_time(served: ServedHub, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = Checked(served, monkeypatch)

    async def tries() -> None:
        waits = []
        for n in range(9):
            with pytest.raises(SignInError):
                await checked.ask("ann", f"wrong {n}")
            try:
                await checked.ask("ann", PASSWORD, "192.0.2.1")
            except BusyError as error:
                waits.append(error.retry_after_s)
                checked.clock.now += error.retry_after_s
            else:
                checked.signin._tries["192.0.2.1 ann"] = (n + 1, checked.clock.now)  # as if it had not been right
        assert waits == [1, 2, 4, 8, 16]
        assert await checked.ask("ann", PASSWORD, "192.0.2.2") == "admin"  # others are not held up
        count = checked.count
        results = await asyncio.gather(*(checked.ask(f"user{n}", "wrong") for n in range(60)), return_exceptions=True)
        assert checked.count - count <= 25  # many names from one address, all at once
        assert any(isinstance(result, BusyError) for result in results)

    run_async(tries())


# --- limits ---------------------------------------------------------------------------------------


def test_one_limit_counts_runs_of_all_doors_and_nothing_else(
    served: ServedHub, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served.hub.engine, "allowance", Allowance("4/hour"))
    picture = served.hub.registry.get("shades").assets / "grey.png"
    for _ in range(10):
        assert served.ask("run", "GET", "/api/v1/demos").status_code == 200
    assert served.ask("run", "POST", "/api/v1/demos/shades", files={"image": png()}).status_code == 200
    client.predict(handle_file(picture), api_name="/shades")

    def by_mcp() -> str:
        arguments = {"image": "/api/v1/demos/shades/assets/grey.png"}
        call = {**MCP_LIST, "method": "tools/call", "params": {"name": "shades", "arguments": arguments}}
        return served.ask("run", "POST", "/mcp", json=call, headers=EVENTS).text

    assert '"isError":false' in by_mcp().replace(" ", "")
    assert served.ask("run", "POST", "/api/v1/demos/shades", files={"image": png()}).status_code == 200
    refused = served.ask("run", "POST", "/api/v1/demos/shades", files={"image": png()})
    words = "asked for 4 runs in the last hour, the most this hub allows"
    assert (refused.status_code, refused.json()["code"]) == (429, "limit")
    assert 3000 < int(refused.headers["retry-after"]) <= 3600
    assert words in refused.json()["detail"]
    assert words in by_mcp()
    with pytest.raises(Exception, match=words):
        client.predict(handle_file(picture), api_name="/shades")
    assert words in page_event(served, "run")
    assert served.ask("admin", "POST", "/api/v1/demos/shades", files={"image": png()}).status_code == 200  # another's

    host = streamlit_host.Host(served.hub, streamlit_host.ThreadPoolExecutor(1), True)
    me = Caller("ann", "run")
    monkeypatch.setattr(guard, "caller_of_headers", lambda headers: me)
    page = served.hub.registry.get("shades")
    ended = [streamlit_run.start(host, page, {"image": png()}).future for _ in range(5)]
    errors = [future.exception(60) for future in ended if future]
    assert errors[:4] == [None] * 4
    assert isinstance(errors[4], LimitError)
    host.threads.shutdown()


def test_no_door_runs_a_model_without_telling_who_asks() -> None:
    """Also the camera and comparisons, and a door that is new: `Engine.run` counts nobody's runs to nobody."""
    found = 0
    for file in sorted((ROOT / "hub" / "web").rglob("*.py")):
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call):
                named = call.args[0] if ast.unparse(call.func) == "partial" and call.args else call.func
                if ast.unparse(named).endswith("engine.run") or ast.unparse(named) == "compare":
                    found += 1
                    assert {keyword.arg for keyword in call.keywords} & {"caller", None}, f"{file}: {ast.unparse(call)}"
    assert found >= 9


def page_event(served: ServedHub, role: str) -> str:
    """What the page of a demo says after Run, over Gradio's own protocol."""
    config = served.ask(role, "GET", "/config?page=shades").json()
    event = next(d for d in config["dependencies"] if d["api_name"] == "run")
    image = served.ask(role, "POST", "/gradio_api/upload", files={"files": png()}).json()[0]
    picture = {"path": image, "meta": {"_type": "gradio.FileData"}}
    body = {"fn_index": event["id"], "session_hash": "tab", "data": [picture, 0.5, 2, "front", None]}
    assert served.ask(role, "POST", "/gradio_api/queue/join", json=body).status_code == 200
    with httpx.stream(
        "GET", f"{served.url}/gradio_api/queue/data?session_hash=tab", headers=served.headers(role), timeout=60
    ) as lines:
        told = ""
        for line in lines.iter_lines():
            told += line
            if "process_completed" in line:
                break
    return told


def test_without_auth_all_may_come_but_no_other_website(make_hub: Callable[..., Hub]) -> None:
    hub = make_hub(only=("slow",))
    seen: list[Caller] = []

    async def inside(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope[guard.CALLER])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def ask(path: str, **headers: str) -> int:
        layer = httpx.ASGITransport(guard.Guard(inside, hub), client=("192.0.2.7", 1))
        async with httpx.AsyncClient(transport=layer, base_url="http://hub.local:7860") as client:
            return (await client.post(path, headers=headers)).status_code

    assert run_async(ask("/api/v1/models", cookie=f"hub_session={'a' * 40}")) == 204
    assert run_async(ask("/api/v1/models", origin="http://hub.local:7860")) == 204
    assert run_async(ask("/api/v1/models", origin="http://evil.example")) == 403
    assert seen[0] == Caller("", "run", f"cookie {'a' * 40}", "192.0.2.7")
    assert not seen[0].is_admin


def test_a_space_signs_in_with_hugging_face(make_hub: Callable[..., Hub], monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for Gradio's sign-in: its routes and session cookie, but no Hugging Face behind them."""
    hub = make_hub(only=("slow",), space_users="ann:admin,ben:view")
    app = FastAPI()
    app.add_route("/", lambda request: PlainTextResponse("the gallery"))
    app.add_route("/r/0", lambda request: PlainTextResponse("a result"))
    app.user_middleware[:0] = guard.layers(hub)
    with pytest.raises(InputError, match="hf_oauth: true"):
        space_signin.add_to(app, hub.settings)

    def stand_in(app: FastAPI) -> None:
        async def callback(request: Request) -> PlainTextResponse:
            seconds = float(request.query_params.get("for", "3600"))
            who = {"userinfo": {"preferred_username": request.query_params["as"]}, "expires_at": time.time() + seconds}
            request.session["oauth_info"] = who
            return PlainTextResponse("signed in")

        app.add_route("/login/callback", callback)
        app.add_middleware(SessionMiddleware, secret_key="a secret", same_site="none", https_only=True)

    monkeypatch.setenv("SPACE_ID", "ann/hub")
    monkeypatch.setenv("OAUTH_CLIENT_ID", "an id")
    monkeypatch.setattr("gradio.oauth.attach_oauth", stand_in)
    space_signin.add_to(app, hub.settings)

    async def visit() -> None:
        layer = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=layer, base_url="https://ann-hub.hf.space") as browser:
            asked = await browser.get("/", headers={"accept": "text/html"})
            assert (asked.status_code, asked.headers["www-authenticate"][:6]) == (401, "Bearer")
            assert 'href="/login/huggingface?_target_url=%2F"' in asked.text
            for query, page, result in (("as=ann", 200, 200), ("as=ben", 403, 200), ("as=eva", 403, 403)):
                assert (await browser.get(f"/login/callback?{query}")).status_code == 200
                assert (await browser.get("/")).status_code == page, query
                assert (await browser.get("/r/0")).status_code == result, query
            assert "eva is not among those who may use this Space" in (await browser.get("/")).text
            await browser.get("/login/callback?as=ann&for=-1")
            assert (await browser.get("/")).status_code == 401  # its time is over
            browser.cookies.set("session", "forged", domain="ann-hub.hf.space")
            assert (await browser.get("/")).status_code == 401

    run_async(visit())
