"""Similar pictures over REST, and the cookie that says whose past results may be shown."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from hub.hub import Hub
from hub.pages.registry import Page, Registry
from hub.settings import Settings
from hub.web.middleware.sessions import COOKIE, SessionCookie, session_of
from tests.fakes import BLUES, REDS, colour_demo
from tests.web.doors import app_of

MINE, THEIRS = {COOKIE: "m" * 32}, {COOKIE: "t" * 32}
ServedHub = Callable[..., TestClient]


@pytest.fixture
def served(tmp_path: Path) -> ServedHub:
    def make(**settings: str) -> TestClient:
        pages = {"colours": colour_demo(), "plain": colour_demo(similar=False)}
        registry = Registry({slug: Page(slug, "a test", tmp_path, declared=demo) for slug, demo in pages.items()})
        chosen = Settings(device="cpu", dtype="float32", data=str(tmp_path / "data"), **settings)
        return TestClient(app_of(Hub(chosen, registry)))

    return make


def run(client: TestClient, image: Image.Image, cookie: dict[str, str], slug: str = "colours") -> str:
    file = io.BytesIO()
    image.save(file, "PNG")
    client.cookies.clear()
    client.cookies.update(cookie)
    answer = client.post(f"/api/v1/demos/{slug}", files={"image": file.getvalue()})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def similar(client: TestClient, id: str, cookie: dict[str, str], query: str = "") -> list[str]:
    client.cookies.clear()
    client.cookies.update(cookie)
    answer = client.get(f"/api/v1/results/{id}/similar{query}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return [entry["id"] for entry in answer.json()["similar"]]


def test_the_nearest_comes_first_with_a_thumbnail(served: ServedHub) -> None:
    client = served()
    red, blue, other = (run(client, image, MINE) for image in (REDS[0], BLUES[0], REDS[1]))
    client.cookies.update(MINE)
    body = client.get(f"/api/v1/results/{red}/similar").json()
    assert body["id"] == red
    assert body["demo"] == "colours"
    assert body["complete"] is True
    assert [entry["id"] for entry in body["similar"]] == [other, blue]
    nearest = body["similar"][0]
    assert nearest["kind"] == "result"
    assert 0.99 < nearest["similarity"] < 1
    assert client.get(nearest["url"]).json()["id"] == other
    picture = client.get(nearest["thumbnail"])
    assert picture.headers["content-type"] == "image/jpeg"
    with Image.open(io.BytesIO(picture.content)) as small:
        assert max(small.size) <= 160
        red_level, _, blue_level = small.convert("RGB").resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]
        assert red_level > 200 > 60 > blue_level
    assert similar(client, red, MINE, "?limit=1") == [other]


def test_past_results_are_told_to_the_session_they_belong_to_alone(served: ServedHub) -> None:
    client = served()
    theirs, nobodys, mine = (run(client, i, c) for i, c in ((REDS[1], THEIRS), (BLUES[0], {}), (REDS[0], MINE)))
    assert similar(client, mine, MINE) == []
    assert similar(client, mine, {}) == []
    assert similar(client, mine, THEIRS) == [theirs]  # who knows the id of mine sees theirs, and theirs only
    assert similar(client, nobodys, {COOKIE: ""}) == []
    for weak in ("short", "m" * 31, "m" * 129, "m" * 31 + "!"):
        run(client, BLUES[1], {COOKIE: weak})
        assert similar(client, mine, {COOKIE: weak}) == []


def test_everyone_sees_all_where_the_setting_says_so(served: ServedHub) -> None:
    client = served(similar="everyone")
    theirs, mine = run(client, REDS[1], THEIRS), run(client, REDS[0], MINE)
    assert similar(client, mine, {}) == [theirs]


@pytest.mark.parametrize("limit", ["0", "51", "-1", "x", "1.5", "", "²", "9" * 5000])
def test_a_bad_limit_is_refused_by_name(served: ServedHub, limit: str) -> None:
    client = served()
    id = run(client, REDS[0], MINE)
    answer = client.get(f"/api/v1/results/{id}/similar", params={"limit": limit})
    assert answer.status_code == 422
    assert answer.json()["field"] == "limit"
    assert answer.json()["detail"].startswith("limit must be a whole number from 1 to 50, got ")


def test_what_is_not_there_is_problem_json(served: ServedHub) -> None:
    client = served()
    without = run(client, REDS[0], MINE, "plain")
    for path, words in {
        f"{'0' * 32}/similar": "There is no result",
        "../secret/similar": "There is nothing",
        f"{'0' * 32}/thumbnail": "There is no result",
        f"{without}/similar": "Its page does not offer that",
        f"{without}/thumbnail": "has no thumbnail",
    }.items():
        answer = client.get(f"/api/v1/results/{path}")
        assert answer.status_code == 404, path
        assert answer.headers["content-type"] == "application/problem+json"
        assert words in answer.json()["detail"]
    refused = client.post(f"/api/v1/results/{without}/similar")
    assert refused.status_code == 405


def test_off_says_that_it_is_off(served: ServedHub) -> None:
    client = served(similar="off")
    answer = client.get(f"/api/v1/results/{run(client, REDS[0], MINE)}/similar")
    assert answer.status_code == 404
    assert "switched off on this hub (similar=off)" in answer.json()["detail"]


def test_the_document_names_the_routes_and_their_parameters(served: ServedHub) -> None:
    paths = served().get("/api/v1/openapi.json").json()["paths"]
    operation = paths["/api/v1/results/{id}/similar"]["get"]
    assert {p["name"]: p["in"] for p in operation["parameters"]} == {"id": "path", "limit": "query", COOKIE: "cookie"}
    assert {"200", "404", "422"} <= operation["responses"].keys()
    assert "/api/v1/results/{id}/thumbnail" in paths


# --- the cookie -----------------------------------------------------------------------------------


def pages(tmp_path: Path, similar: str = "session", demo_similar: bool = True, scheme: str = "http") -> TestClient:
    page = Page("colours", "a test", tmp_path, declared=colour_demo(similar=demo_similar))
    hub = Hub(Settings(device="cpu", data=str(tmp_path / "data"), similar=similar), Registry({"colours": page}))
    app = Starlette(
        routes=[
            Route("/", lambda request: HTMLResponse("a page")),
            Route("/file", lambda request: PlainTextResponse("a file")),
            Route("/session", lambda request: PlainTextResponse(session_of(request.cookies))),
        ]
    )
    app.add_middleware(SessionCookie, hub=hub)
    return TestClient(app, base_url=f"{scheme}://hub")


def test_a_browser_gets_one_cookie_that_scripts_cannot_read(tmp_path: Path) -> None:
    client = pages(tmp_path)
    assert "set-cookie" not in client.get("/file").headers
    first = client.get("/")
    assert first.headers["cache-control"] == "private, no-store"
    flags = first.headers["set-cookie"].split("; ")[1:]
    assert {"HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=2592000"} == set(flags)  # as long as results are kept
    token = client.cookies[COOKIE]
    assert f"{COOKIE}={token}; " in client.get("/").headers["set-cookie"]  # and that long again
    assert client.get("/session").text == f"cookie {token}"
    client.cookies.clear()
    client.get("/")
    assert client.cookies[COOKIE] != token


def test_over_https_the_cookie_stays_there(tmp_path: Path) -> None:
    assert "; Secure" in pages(tmp_path, scheme="https").get("/").headers["set-cookie"]


def test_a_browser_without_cookies_is_known_by_its_page(tmp_path: Path) -> None:
    assert session_of({}, "abc") == "page abc" != session_of({COOKIE: "a" * 32}, "abc")
    assert session_of({}) == session_of({COOKIE: "abc"}) == ""
