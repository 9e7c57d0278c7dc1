"""Live mode: frames over HTTP as a browser sends them, and a real browser with a fake camera. The model is slow."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.own_pages import FRAME_S, OwnPages
from tests.e2e.visits import visitor
from tests.served import Served
from tests.web.doors import png

pytestmark = pytest.mark.slow


@dataclass
class Hub:
    """The served hub, and what is needed to talk to its page as a browser does."""

    served: Served
    data: Path
    stream: int

    @property
    def url(self) -> str:
        return self.served.url

    def files(self) -> list[Path]:
        """What is kept on the disk, without what any visit makes.

        That is its session's secret, an empty history, counts, and that somebody had a camera on.
        """
        made = ("secret", "history.", "usage.", "audit.", "opening.lock")
        return sorted(path for path in self.data.rglob("*") if not path.name.startswith(made))

    def frame(self, level: int) -> list[Any]:
        """A frame of which `level` is the brightness, and the page's other input."""
        url = "data:image/png;base64," + base64.b64encode(png(colour=(level, 0, 0))).decode()
        return [{"url": url, "meta": {"_type": "gradio.FileData"}}, "best"]

    def join(self, tab: str, level: int) -> str:
        """Begins a stream with its first frame; its event id."""
        body = {"data": self.frame(level), "fn_index": self.stream, "session_hash": tab}
        answer = httpx.post(f"{self.url}/gradio_api/queue/join", json=body, timeout=60).raise_for_status()
        return str(answer.json()["event_id"])

    def answers(self, tab: str, until: int) -> list[dict[str, Any]]:
        """What a tab's page is told, up to the answer for the frame `until`."""
        told: list[dict[str, Any]] = []
        address, tab_of = f"{self.url}/gradio_api/queue/data", {"session_hash": tab}
        with httpx.stream("GET", address, params=tab_of, timeout=60) as lines:
            for line in lines.iter_lines():
                message = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                shown = (message.get("output") or {}).get("data") or [""]
                panels = shown[-1] if isinstance(shown[-1], str) else ""
                if "hub-value-json" in panels:
                    told.append(json.loads(panels.split('hub-value-json">')[1].split("<")[0].replace("&#34;", '"')))
                    if told[-1]["level"] == until:
                        return told
        pytest.fail(f"the stream ended without the answer to frame {until}: {told}")


@pytest.fixture(scope="module")
def hub(own_pages: OwnPages) -> Hub:
    functions = httpx.get(own_pages.url + "/config", timeout=60).json()["dependencies"]
    (stream,) = [f["id"] for f in functions if any(event == "stream" for _, event in f["targets"])]
    picture = {"image": base64.b64encode(png()).decode()}
    httpx.post(own_pages.url + "/api/v1/demos/eye", json=picture, timeout=120).raise_for_status()  # imports torch
    return Hub(own_pages.served, own_pages.data, stream)


@pytest.mark.release
def test_a_slow_model_gets_the_newest_frame_and_no_queue_grows(hub: Hub) -> None:
    files = hub.files()
    event, told = hub.join("tab-a", 1), list[dict[str, Any]]()
    listener = threading.Thread(target=lambda: told.extend(hub.answers("tab-a", until=250)))
    listener.start()
    begin, waiting = time.monotonic(), []
    with httpx.Client(timeout=60) as client:
        for level in range(2, 251):
            client.post(f"{hub.url}/gradio_api/stream/{event}", json={"data": hub.frame(level)}).raise_for_status()
            if level % 25 == 0:
                waiting.append(client.get(f"{hub.url}/api/v1/status").json()["queue"]["in_work"])
    sending_s = time.monotonic() - begin
    listener.join(60)
    levels = [answer["level"] for answer in told]
    assert levels == sorted(levels)
    assert levels[-1] == 250, "the last frame is answered"
    assert len(levels) <= sending_s / FRAME_S + 3, "frames that came too fast were dropped"
    assert max(waiting) <= 1
    assert told[-1]["most"] == 1, "one frame at a time was in the model"
    assert {answer["quality"] for answer in told} == {"fast"}, "what `live` declares wins over the page"
    assert hub.files() == files, "no frame is kept"


@pytest.mark.release
def test_one_tab_cannot_have_two_frames_in_work_by_asking_twice(hub: Hub) -> None:
    for level in (10, 11, 12):
        hub.join("tab-b", level)
    assert hub.answers("tab-b", until=12)[-1]["most"] == 1


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    trouble: list[str] = []
    page = visitor(browser, trouble, permissions=["camera"])
    yield page
    page.context.close()
    assert trouble == []


@pytest.mark.browser
def test_the_switch_starts_the_camera_answers_frames_and_stops_it(page: Page, hub: Hub) -> None:
    sent = list[float]()
    page.on("request", lambda r: sent.append(time.monotonic()) if "/stream/" in r.url else None)
    page.goto(f"{hub.url}/eye")
    files = hub.files()
    page.get_by_label("Live camera").check()
    expect(page.get_by_role("button", name="Run")).to_be_hidden()
    expect(page.locator(".hub-live")).to_contain_text("frames a second")
    picture = page.locator("img[src^='data:image/jpeg']")
    expect(picture).to_be_visible()
    shown = picture.get_attribute("src")
    expect(picture).not_to_have_attribute("src", shown or "")
    assert float(page.locator(".hub-live strong").inner_text()) <= 1 / FRAME_S
    expect(page.locator(".hub-value-json")).to_contain_text('"quality": "fast"')
    page.get_by_label("Live camera").uncheck()
    expect(page.get_by_role("button", name="Run")).to_be_visible()
    expect(page.locator(".hub-camera")).to_have_count(0)
    for _ in range(20):  # frames that were on their way
        before = len(sent)
        page.wait_for_timeout(500)
        if len(sent) == before:
            break
    else:
        pytest.fail("the camera is not off after 10 s")
    assert hub.files() == files, "no frame is kept"
    assert page.request.get(f"{hub.url}/api/v1/history").json()["runs"] == []
    assert "Traceback" not in hub.served.log()
