"""What chats and search engines show of an address: a page's own words and card; and small pictures."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from hub.hub import Hub
from hub.pages.registry import discover
from hub.web import server
from tests.served import run_async

PUBLIC = "https://demos.example.org/hub"
TAG = re.compile(r'<meta (?:property|name)="([^"]+)" content="([^"]*)"')


@pytest.fixture(scope="module")
def hub(make_hub: Callable[..., Hub]) -> Hub:
    return make_hub(public_url=PUBLIC)


@pytest.fixture(scope="module")
def visitor(hub: Hub) -> TestClient:
    async def build() -> Any:  # outside of an event loop, Gradio makes loops that it never closes
        return server.build_app(hub)

    return TestClient(run_async(build()), base_url="http://demos.example.org")


def tags(page: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in TAG.findall(page):
        found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize("slug", ["", "shades"])
def test_the_home_and_every_demo_have_their_own_preview_and_nothing_of_gradios(
    slug: str, visitor: TestClient, hub: Hub
) -> None:
    page = visitor.get(f"/{slug}").text
    found = tags(page)
    title = hub.registry.get(slug).demo.title if slug else "Try the models"
    assert found["og:title"] == found["twitter:title"] == [title]
    assert found["og:url"] == [f"{PUBLIC}/{slug}"]
    assert f'<link rel="canonical" href="{PUBLIC}/{slug}">' in page
    assert len(found["description"]) == len(found["og:description"]) == 1 and found["description"][0]
    assert re.findall("<title>(.*?)</title>", page) == [f"{title} · Demo Hub"]
    head = page.partition("window.gradio_config")[0]
    assert "radio-app/gradio" not in head and "teamGradio" not in head and "Click to try" not in head
    picture = visitor.get(found["og:image"][0].removeprefix(PUBLIC))
    assert picture.headers["content-type"] == "image/jpeg" and "max-age" in picture.headers["cache-control"]
    assert Image.open(io.BytesIO(picture.content)).size == (1200, 630)


def test_previews_speak_the_visitors_language(visitor: TestClient) -> None:
    found = tags(visitor.get("/?lang=zh").text)
    assert found["og:title"] == ["动手试试这些模型"] and found["og:image"][0].endswith("?lang=zh-CN")
    visitor.cookies.clear()


@pytest.mark.parametrize("path", ["/status", "/broken"])
def test_pages_that_nobody_should_find_say_so_and_have_no_preview(path: str, visitor: TestClient) -> None:
    found = tags(visitor.get(path).text)
    assert found["robots"] == ["noindex"] and "og:title" not in found


def test_pictures_are_as_small_as_their_place_and_kept_for_long_under_their_own_address(
    visitor: TestClient, hub: Hub
) -> None:
    address = re.search(r"pictures/shades/\w+/grey\.png\?v=\w+", visitor.get("/shades").text)
    assert address is not None
    answer = visitor.get(f"/{address[0]}")
    assert answer.headers["content-type"] == "image/webp" and "immutable" in answer.headers["cache-control"]
    assert max(Image.open(io.BytesIO(answer.content)).size) <= 240
    assert "immutable" not in visitor.get(f"/{address[0]}x").headers["cache-control"]


@pytest.mark.parametrize(
    "path", ["shades/tile/private.txt", "shades/huge/grey.png", "broken/tile/grey.png", "none/tile/grey.png",
             "none/preview.jpg", "shades/tile/..%2fgrey.png"],
)  # fmt: skip
def test_no_other_file_and_no_other_size_is_served(path: str, visitor: TestClient) -> None:
    assert visitor.get(f"/pictures/{path}").status_code == 404


def test_pages_are_compressed_and_files_named_after_their_content_are_kept_for_long(visitor: TestClient) -> None:
    headers = {"accept": "text/html", "accept-encoding": "gzip", "sec-fetch-dest": "document"}
    for path in ("/", "/shades", "/gallery"):
        page = visitor.get(path, headers=headers)
        assert page.headers["content-encoding"] == "gzip" and "</html>" in page.text, path
    script = re.search(r"assets/index-[\w-]+\.js", visitor.get("/").text)
    assert script is not None
    assert "immutable" in visitor.get(f"/{script[0]}").headers["cache-control"]
    assert "immutable" not in visitor.get("/assets/none.js").headers["cache-control"]


@pytest.mark.parametrize("path", ["/", "/shades", "/history"])
def test_the_hub_can_be_installed_as_an_app(path: str, visitor: TestClient) -> None:
    page = visitor.get(path).text
    assert re.findall('rel="manifest" href="([^"]*)"', page) in (["app.webmanifest"], ["./app.webmanifest"])
    app = visitor.get("/app.webmanifest").json()
    assert app["name"] == "Demo Hub" and app["theme_color"] and app["start_url"] == "./"
    for icon in app["icons"]:
        side = int(icon["sizes"].split("x")[0])
        assert Image.open(io.BytesIO(visitor.get(f"/{icon['src']}").content)).size == (side, side)


def test_the_home_page_shows_an_answer_of_each_of_the_projects_pages_in_the_visitors_language() -> None:
    pages = discover()
    assert all(page.cover == page.card_path() for page in pages)
    for card in (card for page in pages for card in page.cards()):
        assert card.stat().st_size <= 25_000
        with Image.open(card) as image:
            assert image.size == (640, 400)
    assert pages.get("satellite_labels").cover_in("zh-CN") != pages.get("satellite_labels").cover
