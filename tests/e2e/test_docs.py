"""The page `/docs` in a browser: a demo is tried there, and nothing is asked of another host."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.visits import visitor
from tests.served import Served

pytestmark = pytest.mark.browser


@pytest.mark.slow
def test_a_demo_is_tried_on_the_page(hub: Served, browser: Any, photo: Path) -> None:
    asked, problems = list[str](), list[str]()
    tab = visitor(browser, problems)
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(f"{hub.url}/docs")
    operation = tab.locator(".opblock-post[id$='-vehicle_classifier']").first
    operation.locator("button.opblock-summary-control").click()
    operation.locator("input[type=file]").set_input_files(photo)
    operation.locator("button.execute").click()
    body = operation.locator(".live-responses-table .highlight-code code").first
    body.wait_for()
    assert json.loads(body.inner_text())["demo"] == "vehicle_classifier"
    assert all(url.startswith((hub.url, "data:", "blob:")) for url in asked), asked
    assert problems == []
    tab.context.close()
