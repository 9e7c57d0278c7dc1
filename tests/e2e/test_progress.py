"""A slow page in a real browser: its stages, its steps, Stop, and a tab that is closed."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.served import Served, serving

pytestmark = pytest.mark.browser
SLOW = """
import threading, time
from hub.spec import Demo, Json, Progress, Seed, Slider, Text

def load(folder, device):
    time.sleep(1.0)
    return object()

def prepare(prompt, steps, seed):
    return {"prompt": prompt, "steps": steps, "seed": seed}

def infer(model, items):
    for step in range(items[0]["steps"]):
        time.sleep(0.1)
        yield Progress(step + 1, items[0]["steps"])
    return [item["prompt"].upper() for item in items]

def present(output, prompt, steps, seed):
    return {"answer": {"text": output, "seed": seed}}

DEMO = Demo(
    title="Slow", summary="Counts slowly.", task="Text", inputs=(Text("prompt", "Prompt"),
    Slider("steps", "Steps", 1, 600, 600, 1), Seed()), outputs=(Json("answer", "Answer"),),
    load=load, prepare=prepare, infer=infer, present=present,
)
"""


@pytest.fixture(scope="module")
def slow_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    demos = tmp_path_factory.mktemp("demos")
    (demos / "slow.py").write_text(SLOW)
    for number in range(13):
        (demos / f"other_{number}.py").write_text(SLOW.replace('"Slow"', f'"Other {number}"'))
    with serving(tmp_path_factory.mktemp("data"), "--demos-folder", str(demos)) as served:
        yield served


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    page.set_default_timeout(30_000)
    yield page
    page.close()


def in_work(hub: Served) -> int:
    return int(httpx.get(hub.url + "/api/v1/status").json()["queue"]["in_work"])


def wait_until_idle(hub: Served) -> None:
    for _ in range(100):
        if in_work(hub) == 0:
            return
        time.sleep(0.1)
    pytest.fail("the run went on for 10 s after nobody wanted it")


def begin(page: Page, hub: Served, prompt: str) -> None:
    page.goto(f"{hub.url}/slow")
    page.get_by_label("Prompt").fill(prompt)
    page.get_by_role("button", name="Run").click()


def test_stages_and_steps_are_told_as_they_happen_and_stop_frees_the_model(page: Page, slow_hub: Served) -> None:
    begin(page, slow_hub, "first")
    expect(page.locator('.hub-busy [aria-current="step"]')).to_have_text("Loading the model")
    expect(page.locator('.hub-busy [aria-current="step"]')).to_have_text("Running")
    expect(page.locator(".hub-busy progress")).to_have_attribute("max", "600")
    page.wait_for_function("document.querySelector('.hub-busy progress')?.value > 3")
    assert in_work(slow_hub) == 1
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".hub-status")).to_have_text("Stopped.")
    wait_until_idle(slow_hub)
    assert "Traceback" not in slow_hub.log()


def test_closing_the_tab_stops_the_run(browser: Browser, slow_hub: Served) -> None:
    page = browser.new_page()
    begin(page, slow_hub, "second")
    page.locator(".hub-busy progress").wait_for()
    assert in_work(slow_hub) == 1
    page.close()
    wait_until_idle(slow_hub)


def test_an_empty_seed_is_drawn_and_told(page: Page, slow_hub: Served) -> None:
    page.goto(f"{slow_hub.url}/slow")
    page.get_by_label("Prompt").fill("third")
    page.locator("input[type=number]").fill("2")
    page.get_by_role("button", name="Run").click()
    expect(page.locator(".hub-done")).to_be_visible()
    page.locator(".hub-receipt summary").click()
    expect(page.locator(".hub-receipt")).to_contain_text("Seed")


def test_search_filters_a_long_gallery(page: Page, slow_hub: Served) -> None:
    page.goto(slow_hub.url)
    page.get_by_label("Search demos").fill("other 12")
    expect(page.locator(".hub-card:visible")).to_have_count(1)
    page.get_by_label("Search demos").fill("no such thing")
    expect(page.get_by_text("No demo matches.")).to_be_visible()


def test_stop_on_a_streamlit_page_frees_the_model(page: Page, slow_hub: Served) -> None:
    page.goto(f"{slow_hub.url}/streamlit/slow?steps=500")
    page.get_by_label("Prompt").fill("fourth")
    page.get_by_role("button", name="Run").click()
    page.get_by_text("of 500").wait_for()
    assert in_work(slow_hub) == 1
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("Stopped.").wait_for()
    wait_until_idle(slow_hub)


def test_stopping_the_hub_does_not_wait_for_an_open_tab(page: Page, slow_hub: Served) -> None:
    """The last test of this file: it ends the hub of the others."""
    begin(page, slow_hub, "never ends")
    page.locator(".hub-busy progress").wait_for()
    slow_hub.process.terminate()
    assert slow_hub.process.wait(20) in (0, -15)
