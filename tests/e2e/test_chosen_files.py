"""Files that people choose or drop for a picture, in a browser that may not know their kind."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.visits import answered, open_page, visitor
from tests.served import ROOT, Served

pytestmark = [pytest.mark.browser, pytest.mark.slow]
DROP = """(place, [name, text]) => {
  const carrier = new DataTransfer();
  carrier.items.add(new File([text], name, {type: "text/plain"}));
  place.dispatchEvent(new DragEvent("drop", {dataTransfer: carrier, bubbles: true, cancelable: true}));
}"""


def empty_page(browser: Browser, hub: Served) -> Page:
    page = visitor(browser, [])
    open_page(page, f"{hub.url}/vehicle_classifier")
    page.wait_for_load_state("networkidle")
    clear = page.locator(".hub-field-image").get_by_role("button", name="Remove Image")
    if clear.count():  # it opened with an answer
        clear.click()
    return page


@pytest.mark.parametrize("way", [pytest.param("choose", marks=pytest.mark.slow), "drop"])
def test_a_file_that_is_no_picture_is_refused_in_our_words(
    browser: Browser, hub: Served, tmp_path: Path, way: str
) -> None:
    page, file = empty_page(browser, hub), tmp_path / "notes.txt"
    file.write_text("Milk, eggs, bread.")
    if way == "choose":
        page.locator(".hub-field-image input[type=file]").set_input_files(file)
    else:
        page.locator(".hub-field-image button[aria-dropeffect]").evaluate(DROP, [file.name, file.read_text()])
    expect(page.locator(".hub-answers .hub-error"), "in the hub's words").to_contain_text("Photo looks like text")
    expect(page.locator(".toast-body")).to_have_count(0)
    expect(page.locator(".hub-field-image img")).to_have_count(0)  # no sign of a picture that cannot be seen
    page.context.close()


def test_a_photo_as_phones_send_it_is_answered_and_seen(browser: Browser, hub: Served) -> None:
    page = empty_page(browser, hub)
    photo = ROOT / "tests" / "cases" / "photo.heic"
    answered(page, lambda: page.locator(".hub-field-image input[type=file]").set_input_files(photo))
    shown_well = "() => [...document.querySelectorAll('.hub-field-image img')].some((image) => image.naturalWidth > 0)"
    page.wait_for_function(shown_well)
    expect(page.locator(".toast-body")).to_have_count(0)
    page.context.close()
