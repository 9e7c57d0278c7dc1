"""The page `/history` to somebody who comes for the first time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from hub.hub import Hub
from hub.web import server
from hub.web.mcp import mount

REFUSED = "This browser sends no cookies"


@pytest.fixture
def visitor(hub: Hub) -> Iterator[TestClient]:
    pages: list[Middleware] = []
    yield TestClient(Starlette(routes=server.routes(hub, mount.make(hub)), middleware=server.layers(hub, pages)),
                     base_url="http://localhost")  # fmt: skip


def test_a_first_visit_gets_its_cookie_first_and_keeps_its_address(visitor: TestClient) -> None:
    page = visitor.get("/history?demo=shades&lang=en")
    assert str(page.url).endswith("/history?demo=shades&lang=en") and page.status_code == 200
    assert REFUSED not in page.text and [one.status_code for one in page.history] == [303, 303]
    assert not visitor.get("/history").history, "once"


def test_a_browser_that_keeps_no_cookies_reads_so(visitor: TestClient) -> None:
    first = visitor.get("/history", follow_redirects=False)
    visitor.cookies.clear()
    assert REFUSED in visitor.get(first.headers["location"], follow_redirects=False).text
