"""Sharing in real headless Chromium: a link is made on a page, opened by a stranger, tried, and taken back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from hub.pages.registry import discover
from hub.web.parts import qr
from hub.web.site import embed
from tests.e2e.visits import answered, open_page, visitor
from tests.served import Served

pytestmark = pytest.mark.browser


def test_a_result_is_shared_opened_by_a_stranger_tried_and_taken_back(browser: Browser, hub: Served) -> None:
    complaints: list[str] = []  # a policy that blocks what the page needs would be told here
    mine = visitor(browser, complaints, permissions=["clipboard-read", "clipboard-write"])
    other = visitor(browser, complaints)
    open_page(mine, f"{hub.url}/vehicle_classifier")
    answered(mine, mine.locator(".hub-examples button").first.click)
    mine.get_by_role("button", name="Share", exact=True).click()
    link = mine.locator(".hub-link input")
    expect(link).to_be_visible()
    address = link.input_value()
    expect(mine.get_by_role("button", name="Copied")).to_be_visible()
    assert mine.evaluate("navigator.clipboard.readText()") == address
    mine.get_by_label("Note").and_(mine.get_by_test_id("textbox")).fill("Look at <b>this</b>")
    mine.get_by_label("The link ends").click()
    mine.get_by_role("option", name="in a week").click()
    mine.get_by_role("button", name="Save", exact=True).click()
    expect(mine.get_by_text("Saved: ")).to_be_visible()
    kept = httpx.get(f"{hub.url}/api/v1/links/{address.rpartition('/')[2]}").json()
    ends = datetime.fromisoformat(kept["expires_at"]).timestamp()
    assert ends == pytest.approx(time.time() + 7 * 86_400, abs=600)
    assert link.input_value() == address
    assert address.startswith(f"{hub.url}/r/")

    other.goto(address)
    expect(other.locator(".share-note")).to_contain_text("Look at <b>this</b>")
    expect(other.get_by_role("button", name="Print")).to_be_visible()  # its script ran
    assert other.locator(".share-columns img").first.evaluate("i => i.decode().then(() => i.naturalWidth > 100)")
    assert other.locator(".hub-meter > span").first.evaluate("e => e.getBoundingClientRect().width") > 100
    other.get_by_role("radio", name="Right").check()
    other.get_by_role("button", name="Send").click()
    expect(other.get_by_text("Thank you")).to_be_visible()
    expect(other.get_by_text("Take this link back")).to_have_count(0)
    other.get_by_role("link", name="Try it yourself").click()
    expect(other.locator(".hub-filled")).to_contain_text("as in the shared result")
    other.get_by_role("button", name="Run", exact=True).click()
    expect(other.locator(".hub-done")).to_be_visible()

    mine.goto(address)
    expect(mine.locator(".share-mine")).to_contain_text("1 up, 0 down")
    mine.get_by_role("button", name="Take this link back").click()
    expect(mine.get_by_role("heading", name="This link has ended")).to_be_visible()
    assert [text for text in complaints if "410" not in text] == []
    with mine.expect_console_message(lambda message: "Content Security Policy" in message.text):
        mine.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: '1'}))")
    assert "Content Security Policy" in complaints[-1], "what a policy blocks is heard here"
    for page in (mine, other):
        page.context.close()


@pytest.fixture
def blog(hub: Served, tmp_path: Path) -> Iterator[str]:
    """Another website, of another origin, with the snippet that the page offers."""
    snippet = embed.component(discover().get("vehicle_classifier"), hub.url)
    (tmp_path / "index.html").write_text(f"<!doctype html><title>Blog</title><h1>A blog</h1>{snippet}<p>The end.</p>")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_address[1]}/"
        server.shutdown()


@pytest.mark.slow
def test_a_page_runs_inside_another_website_as_high_as_it_is(browser: Browser, hub: Served, blog: str) -> None:
    complaints: list[str] = []
    page = visitor(browser, complaints)
    page.goto(blog)
    frame = page.frame_locator("demo-hub-page iframe")
    expect(frame.locator(".hub-bar")).to_be_hidden()  # the website has a bar of its own
    frame.locator(".hub-examples button").first.click()
    expect(frame.locator(".hub-done")).to_be_visible()
    heights = "[e.frame.getBoundingClientRect().height, document.documentElement.scrollHeight]"
    page.wait_for_function(
        "e => e.frame.getBoundingClientRect().height > 1000", arg=page.query_selector("demo-hub-page")
    )
    framed, whole = page.locator("demo-hub-page").evaluate(f"e => {heights}")
    inside = frame.locator("body").evaluate("() => document.querySelector('main').getBoundingClientRect().bottom")
    assert abs(framed - inside) < 40, "the frame is as high as the page: no second scroll bar, no gap"
    assert whole < framed + 300
    assert [text for text in complaints if "favicon" not in text and "404" not in text] == []
    page.set_content(f"<div style='width: 240px'>{qr.svg(hub.url)}</div>")  # what a page shows where others reach it
    photo = cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    assert cv2.QRCodeDetector().detectAndDecode(photo)[0] == hub.url
    page.context.close()
