"""Many tabs of one browser, which opens six connections to a host: no page holds one while nothing runs."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Request, expect

from tests.e2e.visits import PATIENCE_MS, visitor
from tests.served import Served

pytestmark = [pytest.mark.browser, pytest.mark.slow]
TABS = 10
SLUGS = ("vehicle_classifier", "camvid_segmentation")  # both with a camera, which is off


@pytest.mark.release
def test_ten_tabs_all_become_usable_and_hold_no_connection(browser: Browser, hub: Served) -> None:
    first = visitor(browser, [])
    tabs, open_requests = [first, *(first.context.new_page() for _ in range(TABS - 1))], set[Request]()
    for number, tab in enumerate(tabs):
        tab.on("request", lambda request: open_requests.add(request))
        tab.on("requestfinished", lambda request: open_requests.discard(request))
        tab.on("requestfailed", lambda request: open_requests.discard(request))
        tab.goto(f"{hub.url}/{SLUGS[number % len(SLUGS)]}")
        expect(tab.locator(".hub-examples button").first).to_be_visible()
        expect(tab.locator(".hub-run")).to_be_enabled()
        tab.wait_for_load_state("networkidle", timeout=PATIENCE_MS)
    tabs[-1].locator(".hub-examples button").first.click()
    expect(tabs[-1].locator(".hub-receipt")).to_be_visible()
    tabs[0].locator(".hub-examples button").first.click()
    expect(tabs[0].locator(".hub-receipt")).to_be_visible()
    for _ in range(PATIENCE_MS // 250):  # similar pictures may come a while after an answer
        held = [request.url for request in open_requests if not request.url.startswith("data:")]
        if not held:
            break
        first.wait_for_timeout(250)
    assert held == []
    first.context.close()
