"""People who signed in at a proxy in front of the hub: whom it names is believed of listed proxies alone."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from hub.errors import InputError
from hub.hub import Hub
from hub.people.signin import SignIn
from hub.people.tokens import TokenStore
from hub.settings import Settings, from_environment
from hub.web import serving
from hub.web.middleware import guard

ROLES = "ann@example.org:admin,@research:run,@team:core:admin,*:view"
HERE = {"auth_header": "X-Forwarded-User", "auth_proxies": "127.0.0.1,10.0.0.0/8", "auth_roles": ROLES}


async def tell(request: Request) -> JSONResponse:
    who = guard.caller(request)
    return JSONResponse([who.name, who.role, who.address])


class Inside:
    """Tells who came, by HTTP and by websocket."""

    def __init__(self) -> None:
        self.app = FastAPI()
        for path in ("/", "/r/{id}", "/status"):
            self.app.add_route(path, tell)  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self.app(scope, receive, send)
            return
        await receive()
        await send({"type": "websocket.accept"})
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        who = guard.caller_of_headers(headers)
        await send({"type": "websocket.send", "text": json.dumps([who.name, who.role])})


@contextmanager
def served(hub: Hub) -> Iterator[str]:
    """The guard, as the launcher serves it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = serving.configure_server(guard.Guard(Inside(), hub), most=50, proxies="127.0.0.1", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="module")
def url(make_hub: Callable[..., Hub]) -> Iterator[str]:
    with served(make_hub(only=("slow",), **HERE)) as url:
        yield url


@pytest.mark.parametrize(
    ("user", "groups", "name", "role"),
    [
        ("ann@example.org", "", "ann@example.org", "admin"),
        ("ben", "research", "ben", "run"),
        ("ben", "sales, research ,x", "ben", "run"),
        ("ben", "research,team:core", "ben", "admin"),  # the highest of all
        ("eva", "", "eva", "view"),
        ("eva", "@research,*,ann@example.org", "eva", "view"),  # a group's name stands for nothing else
    ],
)
def test_names_and_groups_have_their_roles(url: str, user: str, groups: str, name: str, role: str) -> None:
    headers = {"x-forwarded-user": user, "x-forwarded-groups": groups, "x-forwarded-for": "203.0.113.9"}
    answer = httpx.get(f"{url}/r/0", headers=headers)
    assert (answer.status_code, answer.json()) == (200, [name, role, "203.0.113.9"])
    assert httpx.get(f"{url}/", headers=headers).status_code == (403 if role == "view" else 200)
    assert httpx.get(f"{url}/status", headers=headers).status_code == (200 if role == "admin" else 403)
    assert "set-cookie" not in answer.headers  # the proxy says it again with each request


@pytest.mark.parametrize("user", ["a b", "ann@example.org, eva", "../ann", "a" * 200, "ann:admin", "a\tb"])
def test_what_is_no_name_is_refused(url: str, user: str) -> None:
    assert httpx.get(f"{url}/r/0", headers={"x-forwarded-user": user}).status_code == 403


def test_two_names_are_refused_and_none_is_asked_to_sign_in(url: str) -> None:
    twice = [("x-forwarded-user", "eva"), ("X-Forwarded-User", "ann@example.org")]
    assert httpx.get(f"{url}/r/0", headers=twice).status_code == 403
    assert httpx.get(f"{url}/r/0").status_code == 401
    assert httpx.get(f"{url}/r/0", headers={"x-forwarded-user": ""}).status_code == 401
    assert httpx.get(f"{url}/r/0", headers={"x-forwarded-groups": "research"}).status_code == 401


def test_who_comes_from_elsewhere_may_write_what_they_like(make_hub: Callable[..., Hub]) -> None:
    hub = make_hub(only=("slow",), **{**HERE, "auth_proxies": "10.0.0.0/8"})
    token = TokenStore(hub.settings.data_folder).add("run")[1]
    with served(hub) as url:
        for more in ({}, {"x-forwarded-for": "10.0.0.1"}, {"forwarded": "for=10.0.0.1"}, {"x-real-ip": "10.0.0.1"}):
            answer = httpx.get(f"{url}/r/0", headers={"x-forwarded-user": "ann@example.org", **more})
            assert answer.status_code == 401, more
        headers = {"x-forwarded-user": "ann@example.org", "authorization": f"Bearer {token}"}
        assert httpx.get(f"{url}/", headers=headers).json()[1] == "run"  # by the token, and with its role


def test_a_websocket_knows_who_signed_in(url: str) -> None:
    place = url.replace("http", "ws") + "/streamlit/_stcore/stream"
    with connect(place, additional_headers={"X-Forwarded-User": "ann@example.org"}) as socket_:
        assert json.loads(socket_.recv()) == ["ann@example.org", "admin"]
    with pytest.raises(InvalidStatus):
        connect(place)


def test_who_signs_out_stays_out_until_they_ask_for_more(url: str) -> None:
    with httpx.Client(base_url=url, headers={"x-forwarded-user": "ann@example.org"}) as browser:
        assert browser.post("/sign-out").status_code == 303
        assert browser.get("/").status_code == 401
        again = browser.get("/sign-in")
        assert (again.status_code, again.headers["location"]) == (303, "/")
        assert browser.get("/").status_code == 200


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"auth_proxies": ""}, "--auth-proxies, the addresses"),
        ({"auth_roles": ""}, "--auth-roles, who may what"),
        ({"auth_proxies": "proxy.lan"}, "'proxy.lan'"),
        ({"auth_header": ""}, "--auth-header, such as"),
    ],
)
def test_a_hub_that_would_believe_everybody_or_nobody_does_not_start(changed: dict[str, Any], why: str) -> None:
    with pytest.raises(InputError, match=why):
        SignIn(Settings(**{**HERE, **changed}))


def test_settings_are_checked() -> None:
    for name, text in (("AUTH_HEADER", "X Forwarded"), ("AUTH_ROLES", "ann"), ("AUTH_ROLES", "ann:boss")):
        with pytest.raises(InputError, match=f"HUB_{name}"):
            from_environment({f"HUB_{name}": text})
