"""What the pages' policies forbid is nothing that the pages do; what strangers bring is forbidden."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.visits import visitor
from tests.served import Served

pytestmark = [pytest.mark.browser, pytest.mark.slow]
HEAR = "addEventListener('securitypolicyviolation', e => console.error('FORBIDDEN', e.violatedDirective, e.blockedURI))"


def heard(browser: Any, address: str, *steps: Any) -> tuple[Any, list[str]]:
    """A tab on which the steps were taken, and what the browser forbade there."""
    tab, forbidden = visitor(browser, []), list[str]()
    tab.add_init_script(HEAR)
    tab.on("console", lambda m: forbidden.append(m.text) if "FORBIDDEN" in m.text or "Security Policy" in m.text else 0)
    tab.goto(address)
    for step in steps:
        step(tab)
    return tab, forbidden


def test_a_gradio_page_runs_and_shows_within_its_policy(hub: Served, browser: Any) -> None:
    def run(tab: Any) -> None:
        tab.locator("button[data-example]").first.click()
        tab.wait_for_selector(".hub-done")
        # The row of earlier runs comes after the answer, and its pictures after the row.
        tab.locator(".hub-past img").first.scroll_into_view_if_needed()
        tab.wait_for_function("[...document.images].every(i => i.complete && i.naturalWidth)")

    tab, forbidden = heard(browser, f"{hub.url}/camvid_segmentation", run)
    assert forbidden == []
    # A picture from elsewhere, as a card might have brought, does not load.
    tab.evaluate("document.body.append(Object.assign(new Image(), {src: 'http://elsewhere.example/pixel.png'}))")
    tab.wait_for_timeout(0)
    tab.wait_for_function("[...document.images].at(-1).complete")
    assert any("img-src" in text for text in forbidden)
    tab.context.close()


@pytest.mark.slow
def test_other_pages_keep_their_policies(hub: Served, browser: Any) -> None:
    tab, forbidden = heard(browser, f"{hub.url}/nowhere")
    for path in ("/gallery", "/grid", "/history", "/status", "/usage", "/audit", "/r/none"):
        tab.goto(hub.url + path)
        tab.wait_for_selector("h1")
        assert forbidden == [], path
    tab.context.close()


@pytest.mark.slow
def test_the_page_of_the_api_keeps_its_policy(hub: Served, browser: Any) -> None:
    tab, forbidden = heard(browser, f"{hub.url}/docs", lambda tab: tab.wait_for_selector("h1"))
    assert forbidden == []
    tab.context.close()


@pytest.mark.parametrize(
    "path", ["/vehicle_classifier", pytest.param("/streamlit/vehicle_classifier", marks=pytest.mark.slow)]
)
def test_a_page_in_a_closed_frame_says_so(path: str, hub: Served, browser: Any) -> None:
    tab = visitor(browser, [])
    tab.goto(f"{hub.url}/nowhere")  # on this machine: a browser keeps public websites from its servers
    tab.evaluate("html => document.body.innerHTML = html", f'<iframe sandbox="allow-scripts" src=".{path}"></iframe>')
    tab.frame_locator("iframe").get_by_text("has closed the frame off").wait_for()
    tab.context.close()
