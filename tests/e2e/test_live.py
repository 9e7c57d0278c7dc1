"""Live mode: frames over HTTP as a browser sends them, and a real browser with a fake camera. The model is slow."""

from __future__ import annotations

import base64
import json
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import CHROMIUM_FLAGS
from tests.served import Served, serving
from tests.web.doors import png

CAMERA_FLAGS = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
SLOW_S = 0.1  # of the model, for each frame
SLOW = f"""
import threading, time
from hub.spec import Choice, Demo, ImageInput, ImageOutput, Json

SEEN = {{"runs": 0, "now": 0, "most": 0}}
LOCK = threading.Lock()

def infer(model, items):
    with LOCK:
        SEEN["now"] += len(items)
        SEEN["most"] = max(SEEN["most"], SEEN["now"])
        SEEN["runs"] += 1
        seen = dict(SEEN)
    time.sleep({SLOW_S})
    with LOCK:
        SEEN["now"] -= len(items)
    return [{{**item, **seen}} for item in items]

def present(output, image, quality):
    return {{"seen": {{"quality": quality, **output}}, "turned": image.transpose(0)}}

DEMO = Demo(
    title="Slow eye", summary="Looks slowly.", task="Test",
    inputs=(ImageInput("image", "Photo", webcam=True), Choice("quality", "Quality", ("best", "fast"), "best")),
    outputs=(ImageOutput("turned", "Turned", format="jpeg"), Json("seen", "Seen")),
    load=lambda folder, device: object(), prepare=lambda image, quality: {{"level": image.getpixel((0, 0))[0]}},
    infer=infer, present=present, live={{"quality": "fast"}},
)
"""


@dataclass
class Hub:
    """The served hub, and what is needed to talk to its page as a browser does."""

    served: Served
    data: Path
    stream: int

    @property
    def url(self) -> str:
        return self.served.url

    def frame(self, level: int) -> list[Any]:
        """A frame of which `level` is the brightness, and the page's other input."""
        url = "data:image/png;base64," + base64.b64encode(png(colour=(level, 0, 0))).decode()
        return [{"url": url, "meta": {"_type": "gradio.FileData"}}, "best"]

    def join(self, tab: str, level: int) -> str:
        """Begins a stream with its first frame; its event id."""
        body = {"data": self.frame(level), "fn_index": self.stream, "session_hash": tab}
        answer = httpx.post(f"{self.url}/gradio_api/queue/join", json=body, timeout=30).raise_for_status()
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
                    told.append(json.loads(panels.split('hub-value-json">')[1].split("<")[0].replace("&quot;", '"')))
                    if told[-1]["level"] == until:
                        return told
        pytest.fail(f"the stream ended without the answer to frame {until}: {told}")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    demos, data = tmp_path_factory.mktemp("demos"), tmp_path_factory.mktemp("data")
    (demos / "eye.py").write_text(SLOW)
    with serving(data, "--demos-folder", str(demos)) as served:
        functions = httpx.get(served.url + "/config").json()["dependencies"]
        (stream,) = [f["id"] for f in functions if any(event == "stream" for _, event in f["targets"])]
        picture = {"image": base64.b64encode(png()).decode()}
        httpx.post(served.url + "/api/v1/demos/eye", json=picture, timeout=120).raise_for_status()  # imports torch
        yield Hub(served, data, stream)


def test_a_slow_model_gets_the_newest_frame_and_no_queue_grows(hub: Hub) -> None:
    files = sorted(hub.data.rglob("*"))
    event, told = hub.join("tab-a", 1), list[dict[str, Any]]()
    listener = threading.Thread(target=lambda: told.extend(hub.answers("tab-a", until=250)))
    listener.start()
    begin, waiting = time.monotonic(), []
    with httpx.Client(timeout=30) as client:
        for level in range(2, 251):
            client.post(f"{hub.url}/gradio_api/stream/{event}", json={"data": hub.frame(level)}).raise_for_status()
            if level % 25 == 0:
                waiting.append(client.get(f"{hub.url}/api/v1/status").json()["queue"]["in_work"])
    sending_s = time.monotonic() - begin
    listener.join(60)
    levels = [answer["level"] for answer in told]
    assert levels == sorted(levels)
    assert levels[-1] == 250, "the last frame is answered"
    assert len(levels) <= sending_s / SLOW_S + 3, "frames that came too fast were dropped"
    assert max(waiting) <= 1
    assert told[-1]["most"] == 1, "one frame at a time was in the model"
    assert {answer["quality"] for answer in told} == {"fast"}, "what `live` declares wins over the page"
    assert sorted(hub.data.rglob("*")) == files, "no frame is kept"


def test_one_tab_cannot_have_two_frames_in_work_by_asking_twice(hub: Hub) -> None:
    for level in (10, 11, 12):
        hub.join("tab-b", level)
    assert hub.answers("tab-b", until=12)[-1]["most"] == 1


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A browser with a camera that shows a moving test picture. (The one that all tests share has none.)"""
    executable = next(
        path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))
    )
    chromium = browser.browser_type.launch(executable_path=executable, args=[*CHROMIUM_FLAGS, *CAMERA_FLAGS])
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, permissions=["camera"])
    page = context.new_page()
    page.set_default_timeout(30_000)
    trouble: list[str] = []
    page.on("console", lambda m: trouble.append(m.text) if m.type == "error" else None)
    yield page
    chromium.close()
    assert trouble == []


@pytest.mark.browser
def test_the_switch_starts_the_camera_answers_frames_and_stops_it(page: Page, hub: Hub) -> None:
    files, sent = sorted(hub.data.rglob("*")), list[float]()
    page.on("request", lambda r: sent.append(time.monotonic()) if "/stream/" in r.url else None)
    page.goto(f"{hub.url}/eye")
    page.get_by_label("Live camera").check()
    expect(page.get_by_role("button", name="Run")).to_be_hidden()
    expect(page.locator(".hub-live")).to_contain_text("frames a second", timeout=60_000)
    picture = page.locator("img[src^='data:image/jpeg']")
    expect(picture).to_be_visible()
    shown = picture.get_attribute("src")
    expect(picture).not_to_have_attribute("src", shown or "")
    assert float(page.locator(".hub-live strong").inner_text()) <= 1 / SLOW_S
    expect(page.locator(".hub-value-json")).to_contain_text('"quality": "fast"')
    page.get_by_label("Live camera").uncheck()
    expect(page.get_by_role("button", name="Run")).to_be_visible()
    expect(page.locator(".hub-camera")).to_have_count(0)
    page.wait_for_timeout(500)
    before = len(sent)
    page.wait_for_timeout(500)
    assert len(sent) == before, "the camera is off"
    assert sorted(hub.data.rglob("*")) == files, "no frame is kept"
    assert "Traceback" not in hub.served.log()
