"""Addresses that are none, and pages that are broken."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient

from hub.hub import Hub
from hub.web import server
from hub.web.parts import html
from tests.served import run_async


@pytest.fixture(scope="module")
def visitor(hub: Hub) -> TestClient:
    async def build() -> Any:  # outside of an event loop, Gradio makes loops that it never closes
        return server.build_app(hub)

    return TestClient(run_async(build()), base_url="http://localhost", headers={"accept": "text/html"})


def test_an_unknown_address_is_a_page_of_the_hub_that_suggests_titles(visitor: TestClient) -> None:
    answer = visitor.get("/shade")
    assert answer.status_code == 404 and "hub-bar" in answer.text
    assert '<li><a href="./shades">Shades</a></li>' in answer.text and "<h1>There is no such page</h1>" in answer.text
    assert '<a href="./shades">' in visitor.get("/qqqqqq").text, "where nothing is near, what there is"


def test_an_unknown_address_of_several_parts_is_that_page_too_and_its_links_lead_home(visitor: TestClient) -> None:
    answer = visitor.get("/shades/none")
    assert answer.status_code == 404 and "<h1>There is no such page</h1>" in answer.text
    assert '<a href="../shades">' in answer.text and 'href="../r/page.css"' in answer.text
    assert visitor.get("/a/b", headers={"accept": "*/*"}).headers["content-type"] == "application/problem+json"
    assert visitor.get("/api/v1/none").headers["content-type"] == "application/problem+json"


def test_a_broken_page_shows_no_folder(hub: Hub) -> None:
    page = replace(
        hub.registry.get("broken"), source="/srv/secret/demos/broken.py",
        error="/srv/secret/demos/broken.py cannot be imported: ImportError: x",
    )  # fmt: skip
    assert "/srv" not in html.broken(page) and "broken.py cannot be imported: ImportError: x" in html.broken(page)
