"""The Streamlit pages in real headless Chromium, beside the Gradio pages of the same hub."""

from __future__ import annotations

import secrets
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, expect

from hub.pages.registry import discover
from tests.e2e.visits import drawn, visitor
from tests.served import Served

pytestmark = pytest.mark.browser


@pytest.mark.slow
def test_a_result_of_rest_is_a_hit_in_streamlit_with_its_exact_mask_and_shared_from_there(
    browser: Browser, hub: Served
) -> None:
    before = len(hub.log())  # tests of other doors share this hub, and Gradio tells of what it refuses in full
    page = discover().get("camvid_segmentation")
    photo: Path = page.assets / str(page.demo.examples[0].inputs["image"])
    session = {"hub_session": secrets.token_urlsafe(32)}  # of the browser: nobody is told of another's runs
    made = httpx.post(
        f"{hub.url}/api/v1/demos/{page.slug}", files={"image": photo.read_bytes()}, data={"quality": "fast"},
        cookies=session, timeout=60,
    ).json()  # fmt: skip
    assert httpx.get(f"{hub.url}/streamlit", follow_redirects=True, timeout=60).url.path == "/streamlit/"
    assert httpx.get(f"{hub.url}/streamlit/_stcore/health", timeout=60).text == "ok"

    tab = visitor(browser, [])
    tab.context.add_cookies([{"name": name, "value": value, "url": hub.url} for name, value in session.items()])
    foreign: list[str] = []
    tab.on("request", lambda r: urlsplit(r.url).netloc in ("", urlsplit(hub.url).netloc) or foreign.append(r.url))
    tab.goto(hub.url)
    tab.get_by_role("link", name="Streamlit").click()
    tab.get_by_test_id("stPageLink").filter(has=tab.get_by_text(page.title, exact=True)).click()
    tab.locator("input[type=file]").set_input_files(photo)
    expect(tab.get_by_role("img", name=photo.name)).to_be_visible()  # its name stands there before it has come
    tab.get_by_text("fast", exact=True).click()
    tab.get_by_test_id("stBaseButton-primaryFormSubmit").click()  # similar pictures have one, too
    expect(tab.locator(f".st-key-{made['id']}-mask-0")).to_be_visible()
    drawn(tab)  # the first answer's receipt is gone
    tab.get_by_text("Receipt", exact=True).click()
    expect(tab.get_by_text("answered before, shown again")).to_be_visible()
    expect(tab.get_by_text(made["id"][:12])).to_be_visible()
    expect(tab.get_by_text("answered before, shown again")).to_be_visible()

    with tab.expect_download() as saved:
        tab.locator(f".st-key-{made['id']}-mask-0 button").click()
    assert saved.value.suggested_filename == "mask.png"
    assert Path(saved.value.path()).read_bytes() == httpx.get(hub.url + made["outputs"]["mask"], timeout=60).content

    tab.get_by_role("button", name="Share", exact=True).click()
    address = tab.locator("code", has_text="/r/").inner_text().strip()
    tab.get_by_role("textbox", name="Note").fill("Look at this")
    tab.get_by_role("button", name="Save").click()
    expect(tab.get_by_text("Saved:")).to_be_visible()
    assert address.startswith(f"{hub.url}/r/")
    tab.goto(address)  # the browser that made it may take it back: one session over both
    expect(tab.get_by_role("button", name="Take this link back")).to_be_visible()
    expect(tab.get_by_text("Look at this")).to_be_visible()
    assert foreign == []
    assert "Traceback" not in hub.log()[before:]
    tab.context.close()


@pytest.mark.release
def test_on_a_phone_an_example_leads_to_its_answer_with_chips_and_an_address_and_a_bar_leads_on(
    browser: Browser, hub: Served
) -> None:
    tab = browser.new_page(viewport={"width": 390, "height": 844})
    tab.goto(f"{hub.url}/streamlit/satellite_labels")
    expect(tab).to_have_title("Satellite labels · Demo Hub")
    tab.get_by_role("button", name=discover().get("satellite_labels").demo.examples[1].title, exact=True).click()
    expect(tab.locator(".st-key-answer .hub-chips")).to_be_in_viewport()
    assert urlsplit(tab.url).query == "example=2"
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    tab.locator(".hub-bar summary").click()
    tab.locator(".hub-bar").get_by_role("link", name="History").locator("visible=true").click()
    expect(tab).to_have_url(f"{hub.url}/history")
    tab.close()
