"""Both entry points are one hub: the same routes and the same layers, in one order, with other pages around them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import BaseRoute, Match, Route
from starlette.testclient import TestClient

from hub.hub import Hub
from hub.pages.problems import NAME, RESERVED_SLUGS
from hub.web import server
from hub.web.api import openapi
from hub.web.streamlit_ui import host
from tests.served import ROOT, run_async
from tests.test_imports import imported_by
from tests.test_layers import module_of, modules

PUBLIC = "https://models.example.org/hub"
BOTH = """\
Ending SafeHeaders Packed Names BehindProxy Languages Guard Sockets Bounds Paths FromPage SessionCookie ... Arrivals
Traced"""


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What `streamlit run` makes its app with, behind a proxy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUB_DATA", str(tmp_path_factory.mktemp("data")))
        patch.setenv("HUB_DEVICE", "cpu")
        patch.setenv("HUB_PUBLIC_URL", PUBLIC)
        patch.setattr(host, "_host", None)
        options = server.streamlit_options()
        hub = host.current().hub
        yield {**options, "hub": hub}
        hub.close()


@pytest.fixture(scope="module")
def app(make_hub: Callable[..., Hub]) -> Any:
    async def build() -> Any:  # Gradio takes the event loop that runs, and leaves one of its own open
        return server.build_app(make_hub(public_url=PUBLIC))

    return run_async(build())


def places(routes: list[BaseRoute]) -> list[tuple[str, str]]:
    return [(route.path, str(route.name)) for route in routes if isinstance(route, Route)]


def test_both_entry_points_have_the_same_routes_in_the_same_order(app: Any, alone: dict[str, Any]) -> None:
    ours = places(alone["routes"])
    assert len(ours) == len(alone["routes"]) > 50
    assert places(app.router.routes[: len(ours)]) == ours
    after = [str(getattr(route, "path", "")) for route in app.router.routes[len(ours) :]]
    assert after == ["/api/v1/openapi.json", "/streamlit", "/streamlit", ""], "the pages come last"


def test_no_demo_can_have_an_address_of_the_hubs_own(alone: dict[str, Any]) -> None:
    """Nor does Gradio draw its page for what is none in their place."""
    firsts = {path.split("/")[1] for path, _ in places(alone["routes"])}
    assert {first for first in firsts if NAME.fullmatch(first)} <= RESERVED_SLUGS


def test_both_entry_points_have_the_same_layers_in_the_same_order(app: Any, alone: dict[str, Any]) -> None:
    first, last = (part.split() for part in BOTH.split("..."))
    for middleware in (app.user_middleware, alone["middleware"]):
        names = [layer.cls.__name__ for layer in middleware]
        assert (names[: len(first)], names[-len(last) :]) == (first, last)


def test_the_document_promises_nothing_that_streamlit_alone_does_not_have(alone: dict[str, Any]) -> None:
    own = [route for route in alone["routes"] if not route.path.startswith(("/api/{path", "/r/{path"))]
    for path, operations in openapi.of_hub(alone["hub"])["paths"].items():
        for method in operations:
            scope = {"type": "http", "path": path.replace("{number}", "0"), "method": method.upper(), "headers": []}
            assert any(route.matches(scope)[0] is Match.FULL for route in own), f"{method} {path}"


def test_streamlit_alone_serves_all_of_it_behind_a_proxy(
    alone: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from streamlit.runtime import Runtime
    from streamlit.starlette import App

    monkeypatch.setattr(Runtime, "_instance", None)
    options = {name: value for name, value in alone.items() if name not in ("hub", "lifespan")}
    client = TestClient(App(host.SCRIPT, **options), base_url="https://models.example.org", client=("127.0.0.1", 9))
    pages = ("gallery", "gallery/gallery.css", "grid", "history", "embed.js", "sitemap.xml", "healthz", "api/v1/demos",
             "api/v1/gallery", "", "_stcore/health")  # fmt: skip
    for prefix in ("/hub/", "/"):  # a proxy passes the path on, or strips it
        assert {place: client.get(prefix + place).status_code for place in pages} == dict.fromkeys(pages, 200)
        assert "<title>Streamlit</title>" in client.get(prefix).text
        assert client.get(f"{prefix}mcp").headers["allow"] == "POST"
    assert client.get("/hub/api/v1/openapi.json").json()["servers"] == [{"url": PUBLIC}]
    assert f"<loc>{PUBLIC}/</loc>" in client.get("/hub/sitemap.xml").text
    assert client.get("/hub/api/v1/demos").json()[0]["url"].startswith("/hub/api/v1/demos/")
    assert client.get("/hub/_stcore/metrics").status_code == 404, "Streamlit's own door is closed as ever"


def drags_in(begin: str) -> set[str]:
    """Libraries that modules of ours import as soon as those that begin like this are imported; read, not run."""
    known, seen, libraries = modules(ROOT), set[str](), set[str]()
    waiting = [name for name in known if f"{name}.".startswith(f"{begin}.")]
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        for node in at_once(ast.parse(known[module].read_text(encoding="utf-8")).body):
            names = [alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{name}" for name in names]
            for name in names:
                if name.startswith("hub."):
                    waiting.append(module_of(name, known))
                else:
                    libraries.add(name.partition(".")[0])
    assert len(seen) > 1
    return libraries


def at_once(body: Sequence[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """The imports that run with the module: not those of functions, nor those for type checkers alone."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.Try | ast.With | ast.ClassDef):
            yield from at_once(node.body)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.unparse(node.test):
            yield from at_once([*node.body, *node.orelse])


def test_neither_entry_points_pages_are_made_of_what_draws_the_others() -> None:
    faces = {"gradio", "streamlit", "torch"}
    assert drags_in("hub.web.server") & faces == set()
    assert drags_in("hub.web.streamlit_ui") & faces == {"streamlit"}
    assert drags_in("hub.web.gradio_ui") & faces == {"gradio"}


@pytest.mark.slow
def test_neither_entry_point_imports_what_draws_the_pages_of_the_other(tmp_path: Path) -> None:
    begin = "import os; os.environ.update(HUB_DATA='data', HUB_DEVICE='cpu')\nfrom hub.web import server\n"
    hub = "from hub.hub import Hub\nfrom hub.settings import Settings\nhub = Hub(Settings(data='data', device='cpu'))\n"
    faces = {"gradio", "streamlit", "torch"}
    assert imported_by(begin, tmp_path) & faces == set()
    assert imported_by(f"{begin}server.streamlit_options()", tmp_path) & faces == {"streamlit"}
    assert imported_by(f"{begin}{hub}server.build_app(hub)", tmp_path) & faces == {"gradio"}
