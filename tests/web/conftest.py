"""Engines over the fake demos, and clients that come through the REST door."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from starlette.testclient import TestClient

from hub.hub import Hub
from hub.pages.registry import Page, Registry
from hub.settings import Settings
from hub.spec import Weights
from tests.web.doors import SHADES, SLOW, app_of, fail, png, variant


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    folder = tmp_path_factory.mktemp("assets")
    (folder / "grey.png").write_bytes(png(colour="grey"))
    (folder / "private.txt").write_text("not an example")
    demos = {
        "shades": SHADES,
        "slow": SLOW,
        "faulty": variant(SLOW, title="Faulty", present=fail),
        "absent": variant(SLOW, title="Absent", weights=(Weights("nowhere"), Weights("nothing"))),
    }
    pages = {slug: Page(slug, "a test", folder, declared=demo) for slug, demo in demos.items()}
    return Registry({**pages, "broken": Page("broken", "a test", folder, error="broken.py cannot be imported")})


@pytest.fixture(scope="session")
def make_hub(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Hub]]:
    made: list[Hub] = []

    def make(only: tuple[str, ...] = (), **settings: Any) -> Hub:
        settings = {"data": str(tmp_path_factory.mktemp("data")), "device": "cpu", "dtype": "float32", **settings}
        pages = {slug: page for slug, page in registry.pages.items() if not only or slug in only}
        made.append(Hub(Settings(**settings), Registry(pages)))
        return made[-1]

    yield make
    for hub in made:
        hub.close()


@pytest.fixture(scope="session")
def hub(make_hub: Callable[..., Hub]) -> Hub:
    return make_hub()


@pytest.fixture(scope="session")
def client(hub: Hub) -> TestClient:
    return TestClient(app_of(hub), raise_server_exceptions=True)


@pytest.fixture(scope="session")
def serve(make_hub: Callable[..., Hub]) -> Iterator[Callable[..., tuple[str, Hub]]]:
    """Serves an engine with the given settings on a free port, as the launcher does; returns its address."""
    servers: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(**settings: Any) -> tuple[str, Hub]:
        hub = make_hub(**settings)
        hub.models.machine()
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = uvicorn.Server(uvicorn.Config(app_of(hub), http="h11", log_level="warning", ws="none", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        servers.append((server, thread))
        while not server.started:
            time.sleep(0.01)
        return f"http://127.0.0.1:{listener.getsockname()[1]}", hub

    yield start
    for server, thread in servers:
        server.should_exit = True
        thread.join(5)
