"""A slow page in a real browser: its stages, its steps, Stop, and a tab that is closed."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.e2e.own_pages import OwnPages
from tests.e2e.visits import visitor
from tests.served import Served

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def slow_hub(own_pages: OwnPages) -> Served:
    return own_pages.served


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = visitor(browser, [])
    yield page
    page.context.close()


def in_work(hub: Served) -> int:
    return int(httpx.get(hub.url + "/api/v1/status", timeout=60).json()["queue"]["in_work"])


def wait_until_idle(hub: Served) -> None:
    end = time.monotonic() + 30  # half as long as the run takes
    while time.monotonic() < end:
        if in_work(hub) == 0:
            return
        time.sleep(0.1)
    pytest.fail("the run went on for 30 s after nobody wanted it")


# Keeps every stage that is told from now on, also one that is gone before a test looks again.
KEEP_STAGES = """() => {
  window.stages = [];
  new MutationObserver(() => {
    const told = document.querySelector('.hub-busy [aria-current="step"]')?.textContent.trim();
    if (told && told !== window.stages.at(-1)) window.stages.push(told);
  }).observe(document.body, {childList: true, subtree: true, characterData: true, attributes: true});
}"""


def begin(page: Page, hub: Served, prompt: str) -> None:
    page.goto(f"{hub.url}/slow")
    page.evaluate(KEEP_STAGES)
    page.get_by_label("Prompt").fill(prompt)
    page.get_by_role("button", name="Run").click()


def test_stages_and_steps_are_told_as_they_happen_and_stop_frees_the_model(page: Page, slow_hub: Served) -> None:
    begin(page, slow_hub, "first")
    expect(page.locator('.hub-busy [aria-current="step"]')).to_have_text("Running")
    assert page.evaluate("window.stages")[-2:] == ["Loading the model", "Running"]
    expect(page.locator(".hub-busy progress")).to_have_attribute("max", "600")
    page.wait_for_function("document.querySelector('.hub-busy progress')?.value > 3")
    assert in_work(slow_hub) == 1
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".hub-status")).to_contain_text("Stopped.")
    wait_until_idle(slow_hub)
    assert "Traceback" not in slow_hub.log()


def test_closing_the_tab_stops_the_run(browser: Browser, slow_hub: Served) -> None:
    page = visitor(browser, [])
    begin(page, slow_hub, "second")
    page.locator(".hub-busy progress").wait_for()
    assert in_work(slow_hub) == 1
    page.context.close()
    wait_until_idle(slow_hub)


@pytest.mark.release
def test_a_run_in_work_is_found_again_after_a_reload_and_in_the_history(browser: Browser, slow_hub: Served) -> None:
    with browser.new_context() as context:
        page, other = context.new_page(), context.new_page()
        begin(page, slow_hub, "found again")
        page.wait_for_function("document.querySelector('.hub-busy progress')?.value > 2")
        page.reload()
        expect(page.get_by_label("Prompt")).to_have_value("found again", timeout=30_000)
        page.wait_for_function("document.querySelector('.hub-busy progress')?.value > 10")
        assert in_work(slow_hub) == 1
        other.goto(f"{slow_hub.url}/history")
        expect(other.locator("[data-work] .his-run")).to_contain_text("found again", timeout=30_000)
        page.get_by_role("button", name="Stop").click()
        expect(page.locator(".hub-status")).to_contain_text("Stopped.")
        expect(other.locator("[data-days] .his-run")).to_contain_text("Stopped", timeout=30_000)
        expect(other.locator("[data-work]")).to_be_hidden()
    wait_until_idle(slow_hub)


def test_an_empty_seed_is_drawn_and_told(page: Page, slow_hub: Served) -> None:
    page.goto(f"{slow_hub.url}/slow")
    page.get_by_label("Prompt").fill("third")
    expect(page.locator("input[type=number]")).to_be_hidden()
    page.get_by_role("button", name="More settings").click()
    page.locator("input[type=number]").fill("2")
    page.get_by_role("button", name="Run").click()
    expect(page.locator(".hub-done")).to_be_visible()
    page.locator(".hub-receipt summary").click()
    expect(page.locator(".hub-receipt")).to_contain_text("Seed")


def test_a_run_asked_for_before_a_links_values_are_there_waits_for_them(page: Page, slow_hub: Served) -> None:
    held = list[Route]()

    def hold(route: Route) -> None:
        held.append(route)

    fills = re.compile("/gradio_api/run/")  # what fills the page in; a run goes another way
    page.route(fills, hold)
    page.goto(f"{slow_hub.url}/slow?prompt=linked&steps=2")
    page.get_by_role("button", name="Run").click()
    expect(page.locator("html")).to_have_class(re.compile("hub-filling"))
    for route in held:
        route.continue_()
    page.unroute(fills)
    expect(page.locator(".hub-done")).to_be_visible()
    expect(page.locator(".hub-answers")).to_contain_text("LINKED")


def test_search_filters_a_long_gallery(page: Page, slow_hub: Served) -> None:
    page.goto(slow_hub.url)
    page.get_by_label("Search demos").fill("other 12")
    expect(page.locator(".hub-card:visible")).to_have_count(1)
    page.get_by_label("Search demos").fill("no such thing")
    expect(page.get_by_text("No demo matches.")).to_be_visible()


@pytest.mark.release
def test_on_a_streamlit_page_a_result_is_shared_in_a_click_and_stop_frees_the_model(
    page: Page, slow_hub: Served
) -> None:
    page.goto(f"{slow_hub.url}/streamlit/slow?steps=3")
    page.get_by_label("Prompt").fill("fourth")
    page.get_by_role("button", name="Run").click()
    page.get_by_role("button", name="Share", exact=True).click()  # of a run that was waited for, as most are
    expect(page.locator("code", has_text="/r/")).to_be_visible()
    page.get_by_role("slider", name="Steps").press("End")
    page.get_by_role("button", name="Run").click()
    page.get_by_text("of 600").wait_for()
    page.reload()  # it is found again
    page.get_by_text("of 600").wait_for()
    expect(page.get_by_label("Prompt")).to_have_value("fourth")
    assert in_work(slow_hub) == 1
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("Stopped.").wait_for()
    wait_until_idle(slow_hub)


def test_stopping_the_hub_does_not_wait_for_an_open_tab(page: Page, slow_hub: Served) -> None:
    """The last test over these pages: it ends their hub."""
    begin(page, slow_hub, "never ends")
    page.locator(".hub-busy progress").wait_for()
    slow_hub.process.terminate()
    assert slow_hub.process.wait(60) in (0, -15)
