"""Saying what is right in real headless Chromium: under an answer, and on the page that lists what was said."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.visits import answered, open_page, visitor
from tests.served import Served

pytestmark = pytest.mark.browser


def test_an_answer_is_called_wrong_with_what_is_right_listed_and_deleted(browser: Browser, hub: Served) -> None:
    complaints: list[str] = []
    page = visitor(browser, complaints)
    open_page(page, f"{hub.url}/vehicle_classifier")
    answered(page, page.locator(".hub-examples button").first.click)
    form = page.locator(".hub-correction")
    expect(form.get_by_role("button", name="Send")).to_be_hidden()
    form.get_by_text("Wrong, it is ...").click()
    form.locator(".hub-part").get_by_text("ordinary").click()
    form.get_by_label("Note (optional)").fill("Look at <b>this</b>")
    form.get_by_label("The picture may be kept").check()
    form.get_by_role("button", name="Send").click()
    expect(page.locator(".hub-kept")).to_contain_text("Wrong, ordinary Look at <b>this</b>")
    page.get_by_role("button", name="Change", exact=True).click()
    expect(form).to_be_visible()
    page.goto(f"{hub.url}/corrections")
    one = page.locator(".cor-one")
    expect(one).to_contain_text("Look at <b>this</b>")
    expect(one.locator("ins")).to_have_text("ordinary")
    assert one.locator("img").evaluate("i => i.decode().then(() => i.naturalWidth > 100)")
    one.get_by_role("button", name="Delete").click()
    expect(page.locator(".cor-empty")).to_be_visible()
    assert complaints == []
    page.context.close()
