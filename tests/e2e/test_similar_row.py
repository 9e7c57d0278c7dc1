"""Similar pictures in real headless Chromium, on the vehicle page."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, ImageOps
from playwright.sync_api import Browser, Page, expect

from tests.e2e.visits import answered, open_page, visitor
from tests.served import Served

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def visit(browser: Browser, hub: Served) -> Page:
    page = visitor(browser, [])
    open_page(page, f"{hub.url}/vehicle_classifier")
    return page


@pytest.mark.release
def test_my_earlier_picture_opens_an_example_runs_and_nobody_else_sees_mine(
    browser: Browser, hub: Served, photo: Path, tmp_path: Path
) -> None:
    mirrored = tmp_path / "mine.jpg"
    with Image.open(photo) as image:
        ImageOps.mirror(image).save(mirrored)
    mine = visit(browser, hub)
    answered(mine, lambda: mine.locator("input[type=file]").first.set_input_files(mirrored))
    example = mine.locator(".hub-similar button[data-example]").first
    expect(example).to_be_visible()
    assert example.locator("img").evaluate("i => i.decode().then(() => i.naturalWidth)") == 160
    example.click()
    earlier = mine.locator(".hub-similar button[data-result]")
    expect(earlier).to_have_count(1)
    earlier.click()
    expect(mine.locator("details.hub-opened")).to_contain_text("Probabilities")
    mine.reload()  # the cookie, not the open page, says whose it is
    mine.locator(".hub-examples button").first.click()
    expect(earlier).to_have_count(1)

    other = visit(browser, hub)
    other.locator(".hub-examples button").first.click()
    expect(other.locator(".hub-similar button[data-example]").first).to_be_visible()
    expect(other.locator(".hub-similar button[data-result]")).to_have_count(0)
    for page in (mine, other):
        page.context.close()
