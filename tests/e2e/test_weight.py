"""What a first visit sends over the wire: bytes as they come, packed."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.e2e.visits import open_page, visitor
from tests.served import Served

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.mark.parametrize(("place", "most"), [("", 400_000), ("vehicle_classifier", 1_000_000)])
def test_a_first_visit_is_light(browser: Browser, hub: Served, place: str, most: int) -> None:
    page, sizes = visitor(browser, []), list[int]()
    session = page.context.new_cdp_session(page)

    def count(event: dict[str, Any]) -> None:
        sizes.append(int(event["encodedDataLength"]))

    session.on("Network.loadingFinished", count)
    session.send("Network.enable")
    if place:
        open_page(page, f"{hub.url}/{place}")
    else:
        page.goto(hub.url)
        page.locator(".hub-card").first.wait_for()
    page.wait_for_load_state("networkidle")
    assert len(sizes) > 5
    assert sum(sizes) <= most
    page.context.close()
