"""The bar on top: the same on every page, and all of it within the narrowest screen."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.visits import visitor, wait_until_it_stands
from tests.served import Served

PAGES = {"": "All demos", "vehicle_classifier": "Emergency vehicle", "status": "Status", "history": "History",
         "gallery": "Gallery", "grid": ""}  # fmt: skip
PLACE = "bar => { const {left, top, width, height} = bar.getBoundingClientRect(); return [left, top, width, height] }"


@pytest.mark.release
@pytest.mark.parametrize("width", [320, 1280])
def test_every_page_has_the_same_bar_which_marks_it_and_nothing_is_cut_off(
    width: int, hub: Served, browser: Any
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800})
    places = set()
    for path, name in PAGES.items():
        page.goto(f"{hub.url}/{path}")
        expect(page.locator("h1")).to_be_visible()
        places.add(tuple(page.locator(".hub-bar").evaluate(PLACE)))
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        menu = page.locator(".hub-bar summary")
        if width < 700 and name:
            menu.click()
        marked = page.locator(".hub-bar-links [aria-current]")
        assert name in [link.text_content() for link in marked.all()] or not name
        assert not name or width > 700 or marked.locator("visible=true").text_content() == name
    assert len(places) == 1
    page.close()


@pytest.mark.slow
def test_the_first_key_offers_to_skip_the_bar(hub: Served, browser: Any) -> None:
    page = visitor(browser, [])
    for path in ("vehicle_classifier?threshold=0.5", "history"):
        page.goto(f"{hub.url}/{path}")
        if path != "history":
            wait_until_it_stands(page)
        page.wait_for_load_state("networkidle")  # a page that is still being drawn may take the focus away again
        page.keyboard.press("Tab")
        expect(page.locator(".hub-skip")).to_be_focused()
        page.keyboard.press("Enter")
        inside = "document.activeElement.matches('h1, #content')"
        page.wait_for_function(inside)
        assert path.split("?")[0] in page.url
    page.context.close()
