"""What axe finds wrong for people who cannot see a page, or not well: nothing, on every page, in light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from hub.pages.registry import discover
from tests.e2e.visits import answered, drawn, open_page, visitor
from tests.served import Served, serving

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SLUGS = [
    page.slug if page.slug == "vehicle_classifier" else pytest.param(page.slug, marks=pytest.mark.release)
    for page in discover()
    if page.slug != "camvid_segmentation_video"  # as the other video page
]
SITE = ["", "status", "history", "gallery", "grid", "no-such-page"]
MAIN = "[data-testid=stMain]"  # its frame, its menus and its running man are Streamlit's
# Streamlit's own within it: a drop zone that is a section without a role, a table whose index has no heading.
STREAMLITS = ["[data-testid=stFileUploaderDropzone]", "[data-testid=stDataFrame]"]
DARK = """wanted => matchMedia("(prefers-color-scheme: dark)").matches === wanted &&
  (!document.querySelector("gradio-app") || document.body.classList.contains("dark") === wanted)"""
RULES = {"resultTypes": ["violations"]}


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Iterator[Page]:
    tab = visitor(browser, [])
    yield tab
    tab.context.close()


def faults(page: Page, within: dict[str, list[str]] | None = None) -> str:
    """Each violation that stays as one line: what is still being drawn may be pale for a moment."""
    found = ""
    for _ in range(5):
        results = Axe().run(page, context=within, options=RULES).response
        found = "\n".join(
            f"{violation['id']}: {node['target']} {node['html'][:200]} {node['failureSummary']}"
            for violation in results["violations"]
            for node in violation["nodes"]
        )
        if not found:
            break
        page.wait_for_timeout(1000)
    return found


def stands_both_looks(page: Page) -> None:
    """No fault in light, and none in dark."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function(DARK, arg=scheme == "dark")
        assert faults(page) == "", scheme


@pytest.mark.parametrize("slug", SLUGS)
def test_a_page_with_an_answer(tab: Page, hub: Served, slug: str) -> None:
    open_page(tab, f"{hub.url}/{slug}")
    answered(tab, tab.locator(".hub-examples button").first.click)
    tab.wait_for_load_state("networkidle")
    stands_both_looks(tab)


@pytest.mark.parametrize("path", SITE)
def test_a_page_of_the_site(tab: Page, hub: Served, path: str) -> None:
    tab.goto(f"{hub.url}/{path}")
    tab.locator("html:not(.hub-arriving) main").first.wait_for()
    tab.wait_for_load_state("networkidle")
    stands_both_looks(tab)


def test_a_shared_result(tab: Page, hub: Served, photo: Path) -> None:
    with httpx.Client(base_url=hub.url, timeout=60) as client:
        made = client.post("/api/v1/demos/vehicle_classifier", files={"image": photo.read_bytes()}).json()
        link = client.post(f"/api/v1/results/{made['id']}/links", json={"note": "Look"}).json()
    tab.goto(link["url"])
    tab.wait_for_load_state("networkidle")
    stands_both_looks(tab)


@pytest.mark.release
@pytest.mark.parametrize(
    "slug", ["stable_diffusion", *(pytest.param(s, marks=pytest.mark.release) for s in ("", "palm_keypoints"))]
)
def test_our_parts_of_streamlits_pages(tab: Page, hub: Served, slug: str) -> None:
    for scheme in ("light", "dark"):
        tab.emulate_media(color_scheme=scheme)
        tab.goto(f"{hub.url}/streamlit/{slug}")
        expect(tab.locator(MAIN).get_by_role("heading").first).to_be_visible()
        tab.wait_for_load_state("networkidle")
        drawn(tab)
        tab.wait_for_function("!document.querySelector('[data-stale=true]')")
        assert faults(tab, {"include": [MAIN], "exclude": STREAMLITS}) == "", scheme


@pytest.mark.release
def test_the_form_to_sign_in(tab: Page, tmp_path: Path) -> None:
    with serving(tmp_path, "--auth", "ada:a long password") as served:
        tab.goto(served.url)
        expect(tab.get_by_label("Password")).to_be_visible()
        stands_both_looks(tab)
