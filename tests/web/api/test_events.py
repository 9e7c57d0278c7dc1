"""A run as server-sent events: what is told, in which order, and that leaving ends it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
from PIL import Image
from starlette.testclient import TestClient

from hub.hub import Hub
from hub.spec import Progress
from hub.web.api import events
from tests.web.doors import STOPPED

SLOW, ACCEPT = "/api/v1/demos/slow", {"Accept": "text/event-stream"}


def told(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    name = ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def test_stages_steps_and_the_result_are_told_in_order(client: TestClient) -> None:
    wish = {"prompt": "told", "seconds": 0.1}
    answer = client.post(SLOW, json=wish, headers=ACCEPT)
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = list(told(iter(answer.text.splitlines())))
    names = [name for name, _ in found]
    assert names[0] == "stage" and names[-1] == "result" and "progress" in names
    assert next(data for name, data in found if name == "progress") == {"step": 1, "total": 2}
    assert found[-1][1]["outputs"] == client.post(SLOW, json=wish).json()["outputs"]


def test_what_is_wrong_is_a_problem_before_the_run_and_an_event_in_it(client: TestClient) -> None:
    assert client.post("/api/v1/demos/sloww", headers=ACCEPT).status_code == 404
    answer = client.post(SLOW, json={"seconds": "long"}, headers=ACCEPT)
    ((name, data),) = told(iter(answer.text.splitlines()))
    assert (name, data["status"], data["field"]) == ("error", 422, "seconds")


def test_who_leaves_ends_the_run(serve: Callable[..., tuple[str, Hub]]) -> None:
    url, hub = serve()
    STOPPED.clear()
    with httpx.stream("POST", url + SLOW, json={"seconds": 20, "prompt": "left"}, headers=ACCEPT, timeout=60) as answer:
        names = told(answer.iter_lines())
        assert next(name for name, _ in names if name == "progress")
    assert STOPPED.wait(60), "the model went on for nobody"
    end = time.monotonic() + 60
    while hub.engine.in_work and time.monotonic() < end:
        time.sleep(0.01)
    assert not hub.engine.in_work


def test_a_preview_is_a_small_jpeg_of_ones_own_picture() -> None:
    picture = Image.new("RGB", (1024, 512), "red")
    progress = Progress(1, 4, (picture,), left_s=1.234)
    assert events.steps_to_json(progress) == {"step": 1, "total": 4, "left_s": 1.23}
    assert events.preview(progress) is picture
    assert events.data_url(picture).startswith("data:image/jpeg;base64,")
    assert len(events.data_url(picture)) < 20_000
    assert events.preview(Progress(1, 4, (None,))) is None and events.data_url(None) == ""
