"""The page `/grid` and its door: what the form offers, and events that its script can read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from hub.hub import Hub
from hub.settings import Settings
from hub.spec import Slider
from tests.fakes import Calls, drawing_demo, registry_of
from tests.web.doors import app_of


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    usual = drawing_demo(Calls())
    several = drawing_demo(Calls(), inputs=(*usual.inputs, Slider("images", "Images", 1, 4, 1, 1)))
    settings = Settings(device="cpu", dtype="float32", data=str(tmp_path / "data"))
    hub = Hub(settings, registry_of(words=usual, several=several))
    app = app_of(hub)
    yield TestClient(app)
    hub.close()


def test_a_cell_is_one_picture(client: TestClient) -> None:
    form = client.get("/grid?page=several&set.images=4").text
    assert 'data-set="width"' in form and 'data-set="images"' not in form
    wish: dict[str, Any] = {"subjects": ["red"], "settings": {"images": 4}}
    answer = client.post("/api/v1/demos/several/grid", json=wish)
    assert (answer.status_code, answer.json()["field"]) == (422, "images")
    assert "one picture in a cell" in answer.json()["detail"]


def test_events_hold_no_line_ends_of_a_text(client: TestClient) -> None:
    wish = {"subjects": ["red\u2028ball"]}
    answer = client.post("/api/v1/demos/words/grid", json=wish, headers={"Accept": "text/event-stream"})
    *_, event, data = answer.text.strip().splitlines()  # it takes U+2028 for a line's end, as scripts do
    assert event == "event: result"
    (cell,) = json.loads(data.removeprefix("data: "))["cells"]
    assert cell["subject"] == "red\u2028ball"
