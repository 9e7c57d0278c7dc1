"""Who visits a served hub: a page in a browser profile of its own, and what the browser complains about."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Browser, Page, expect

PATIENCE_MS = 100_000  # a model is loaded, on a machine that may be busy
# Gradio's scripts say this of a stream that is open while its page is left. Nobody is there any more to be troubled.
LEFT = re.compile(r"AbortError|Connection errored out")


def visitor(browser: Browser, complaints: list[str], **options: Any) -> Page:
    """A page; `complaints` gets what its console tells as errors. To be closed with its context."""
    defaults = {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce"}  # drawing it costs cores
    page = browser.new_context(**{**defaults, **options}).new_page()
    page.set_default_timeout(PATIENCE_MS)

    def hear(kind: str, text: str) -> None:
        if kind == "error" and not LEFT.search(text):
            complaints.append(text)

    page.on("console", lambda message: hear(message.type, message.text))
    return page


def open_page(page: Page, address: str) -> None:
    """Opens a demo's page, and waits until it stands: with its first answer, where there is one."""
    page.goto(address)
    wait_until_it_stands(page)


def wait_until_it_stands(page: Page) -> None:
    page.locator(".hub-run").wait_for()
    page.locator("html.hub-opened:not(.hub-arriving)").wait_for()


def answered(page: Page, act: Callable[[], object]) -> None:
    """Does what begins a run, and waits for its answer; a page may show another one before."""
    page.evaluate("document.querySelectorAll('.hub-done').forEach((line) => { line.dataset.before = ''; })")
    act()
    expect(page.locator(".hub-answers .hub-done:not([data-before])")).to_be_visible()


def drawn(page: Page) -> None:
    """Waits until Streamlit's script is at its end: until then, what stood there before stands beside the new."""
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()
