"""Saying what is right in real headless Chromium: under an answer, and on the page that lists what was said."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.own_pages import OwnPages
from tests.e2e.visits import answered, open_page, visitor
from tests.served import Served
from tests.web.doors import png

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.mark.slow
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


@pytest.mark.release
def test_points_and_boxes_are_set_right_on_the_picture_by_mouse_and_keyboard(
    browser: Browser, own_pages: OwnPages
) -> None:
    complaints: list[str] = []
    page = visitor(browser, complaints)
    page.goto(f"{own_pages.url}/many/marks")
    photo = {"name": "a.png", "mimeType": "image/png", "buffer": png(160, 120)}
    page.locator("[data-files]").set_input_files(photo)
    page.get_by_role("button", name="Run", exact=True).click()
    page.locator(".many-open").click()
    form = page.locator(".hub-correction")
    form.get_by_role("radio", name="Wrong, it is ...").check()
    places, point = form.locator(".hub-place svg"), form.get_by_role("button", name="left", exact=True)
    expect(places).to_have_count(2)
    drag(page, point, 40, 20)
    page.keyboard.press("Shift+ArrowUp")
    form.get_by_role("button", name="right", exact=True).focus()
    page.keyboard.press("Delete")
    drag(page, form.get_by_role("button", name="Box 1: car").locator("xpath=..").get_by_label("corner 3"), 30, 10)
    box = places.first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.1 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.4 * box["height"], steps=5)
    page.mouse.up()
    expect(form.locator("tr[data-box]")).to_have_count(2)
    form.locator("tr[data-box] input").nth(5).fill("bus")
    sides = [[float(n) for n in numbers(row)] for row in form.locator("tr[data-box]").all()]
    assert sides[0][:2] == [10, 60] and sides[0][2] > 61 and sides[0][3] > 91
    assert 88 < sides[1][0] < 104 and 136 < sides[1][2] < 152
    left = [float(n) for n in numbers(form.locator("tr[data-row=left]"))]
    assert left[0] > 21 and left[1] != 30 and numbers(form.locator("tr[data-row=right]")) == ["", ""]
    with page.expect_response(lambda answer: answer.request.method == "POST") as sent:
        form.get_by_role("button", name="Send").click()
    assert sent.value.status == 201
    expect(page.locator(".hub-kept")).to_contain_text("2 boxes: car, bus")
    expect(page.locator(".hub-kept")).to_contain_text("right -")
    assert complaints == []
    page.context.close()


def drag(page: Any, handle: Any, right: float, down: float) -> None:
    """By so many pixels of the screen."""
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + right, y + down, steps=3)
    page.mouse.up()


def numbers(row: Any) -> list[str]:
    return list(row.locator("input[type=number]").evaluate_all("all => all.map((one) => one.value)"))
