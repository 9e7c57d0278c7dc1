"""What people do in a browser, in real headless Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from hub.pages.registry import discover
from hub.spec import Demo, ImageOutput, Json, Labels, Mask, VideoInput
from tests.e2e.visits import answered, open_page, visitor, wait_until_it_stands
from tests.served import Served

pytestmark = pytest.mark.browser
SLUGS = [page.slug for page in discover()]


class Tab:
    """A page that is used again and again, since a new browser profile costs as much as a page."""

    def __init__(self, browser: Browser):
        self.trouble: list[str] = []
        self.page = visitor(browser, self.trouble)
        self.page.on("response", lambda r: self.trouble.append(f"{r.status} {r.url}") if r.status >= 400 else None)

    def visits(self, url: str) -> Iterator[Page]:
        """As somebody new; ends with a failure where there were console errors or failed requests."""
        self.page.context.clear_cookies()
        self.page.set_viewport_size({"width": 1280, "height": 900})
        self.page.emulate_media(color_scheme="light")
        self.page.goto(url)
        yield self.page
        self.page.evaluate("localStorage.clear()")
        self.page.goto("about:blank")
        told, self.trouble[:] = list(self.trouble), []
        assert told == []


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Iterator[Tab]:
    tab = Tab(browser)
    yield tab
    tab.page.context.close()


@pytest.fixture(scope="module")
def window(browser: Browser) -> Iterator[Tab]:
    tab = Tab(browser)
    yield tab
    tab.page.context.close()


@pytest.fixture
def page(tab: Tab) -> Iterator[Page]:
    yield from tab.visits("about:blank")


ALWAYS = {"vehicle_classifier", "stable_diffusion"}  # one of a photo, one of words
MORE = {"street_objects", "vehicle_classifier_video"}  # with the slow tests
LIKE_ANOTHER = {"camvid_segmentation_video"}
LOOKED_AT = [
    slug if slug in ALWAYS else pytest.param(slug, marks=pytest.mark.slow if slug in MORE else pytest.mark.release)
    for slug in SLUGS
    if slug not in LIKE_ANOTHER
]


@pytest.fixture(scope="module", params=LOOKED_AT)
def shown(request: pytest.FixtureRequest, window: Tab, hub: Served) -> Iterator[tuple[Page, Demo]]:
    """Each demo's page, loaded once for all tests that look at it; the last of them runs an example."""
    for page in window.visits(f"{hub.url}/{request.param}"):
        wait_until_it_stands(page)
        yield page, discover().get(request.param).demo


def test_gallery_shows_every_demo_with_picture_and_state_and_leads_to_it(page: Page, hub: Served) -> None:
    page.goto(hub.url)
    cards = page.locator(".hub-card")
    expect(cards).to_have_count(len(SLUGS))
    for number, declared in enumerate(discover()):
        card = cards.nth(number)
        expect(card).to_contain_text(declared.demo.title)
        expect(card).to_contain_text(declared.demo.summary)
        expect(card.locator(".hub-chip, .hub-dot")).to_be_visible()
        assert card.locator("img").evaluate("i => i.decode().then(() => i.naturalWidth)") > 100
        assert card.get_by_role("link").evaluate("a => a.href") == f"{hub.url}/{declared.slug}"
    fits_its_window_and_is_easy_to_read(page)
    has_alternative_texts(page)
    page.get_by_role("link", name=declared.demo.title).last.click()
    page.wait_for_url(f"**/{declared.slug}")
    expect(page).to_have_title(f"{declared.demo.title} · Demo Hub")


@pytest.mark.release
def test_no_page_is_wider_than_its_window_or_hard_to_read(shown: tuple[Page, Demo]) -> None:
    fits_its_window_and_is_easy_to_read(shown[0])


def test_pictures_have_alternative_texts(shown: tuple[Page, Demo]) -> None:
    has_alternative_texts(shown[0])


def test_the_card_is_on_the_page(shown: tuple[Page, Demo]) -> None:
    page, demo = shown
    page.get_by_role("button", name="About this model").click()
    about = page.locator(".hub-facts").first
    expect(about).to_contain_text("licence")
    expect(about.locator(".hub-summary-lines dd").first).not_to_be_empty()
    if len(demo.weights) > 1:
        page.get_by_role("button", name="Its card").first.click()
    expect(page.locator(".hub-model-card").first).to_contain_text("Limits")
    page.get_by_role("button", name="About this model").click()


def test_an_example_gives_a_result_with_all_outputs(shown: tuple[Page, Demo]) -> None:
    page, demo = shown
    expect(page).to_have_title(f"{demo.title} · Demo Hub")
    answered(page, page.locator(".hub-examples button").first.click)
    expect(page.locator(".hub-receipt")).to_contain_text("Infer")
    lines = {output.line for output in demo.outputs if isinstance(output, Labels)}
    for output in demo.outputs:
        if isinstance(output, Labels | Json) and output.name not in lines and not output.optional:
            heading = page.get_by_role("heading", name=output.label, exact=True)
            expect(heading.or_(page.locator("summary", has_text=output.label)).first).to_be_visible()
    pictures = [output for output in demo.outputs if isinstance(output, ImageOutput | Mask) and not output.optional]
    drawn = page.locator("img[src*='file=']").filter(visible=True)
    if any(isinstance(field, VideoInput) for field in demo.inputs):
        expect(page.locator(".hub-plot img").filter(visible=True)).to_have_count(1)  # that of the page's theme
        return
    expect(drawn.nth(len(pictures))).to_be_visible()  # the photo itself is the first


def fits_its_window_and_is_easy_to_read(page: Page) -> None:
    """Light on a phone, dark on a desk."""
    page.add_style_tag(content="*, *::before, *::after { transition: none !important; }")  # colours change at once
    for scheme, width, height in (("light", 390, 844), ("dark", 1280, 900)):
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=scheme)
        wanted = {"width": width, "dark": scheme == "dark"}
        page.wait_for_function(
            "w => innerWidth === w.width && document.body.classList.contains('dark') === w.dark", arg=wanted
        )
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1"), scheme
        for _ in range(5):  # what is still being drawn may be pale for a moment
            pale = [text for contrast, text in page.evaluate(CONTRASTS) if contrast < 4.5]
            if not pale:
                break
            page.wait_for_timeout(500)
        assert pale == [], scheme


def has_alternative_texts(page: Page) -> None:
    assert page.evaluate("[...document.images].filter(i => !i.hasAttribute('alt')).map(i => i.src)") == []


def test_an_uploaded_photo_runs_without_another_click(page: Page, hub: Served, photo: Path) -> None:
    page.goto(f"{hub.url}/vehicle_classifier")
    page.locator("input[type=file]").set_input_files(photo)
    expect(page.locator(".hub-done")).to_be_visible()
    expect(page.locator(".hub-labels li")).to_have_count(2)


@pytest.mark.slow
def test_moving_a_slider_answers_anew_without_running_the_model(page: Page, hub: Served) -> None:
    open_page(page, f"{hub.url}/camvid_segmentation")
    answered(page, page.locator(".hub-examples button").first.click)
    page.wait_for_load_state("networkidle")
    page.locator("input[type=range]").first.focus()
    # The answer may be one that was kept longer than what the model made for it: the first move may run the model.
    answered(page, lambda: page.keyboard.press("ArrowRight"))
    page.wait_for_load_state("networkidle")
    answered(page, lambda: page.keyboard.press("ArrowRight"))
    expect(page.locator(".hub-receipt")).to_contain_text("model not run again")


@pytest.mark.slow
def test_classes_are_chosen_compared_and_downloaded_exactly(page: Page, hub: Served) -> None:
    open_page(page, f"{hub.url}/camvid_segmentation")
    page.get_by_label("fast", exact=True).check()
    answered(page, page.locator(".hub-examples button").nth(1).click)  # puts the other inputs back to their defaults
    expect(page.locator("tr.hub-off")).to_have_count(0)
    pictures = page.locator(".slider-wrap img")
    expect(pictures).to_have_count(2)
    # A picture that is exchanged while the browser decodes it is refused: sizes are read once all are there.
    there = "[...document.querySelectorAll('.slider-wrap img')].every(i => i.complete && i.naturalWidth)"
    page.wait_for_function(there)
    sizes = pictures.evaluate_all("all => all.map(i => [i.naturalWidth, i.naturalHeight])")
    assert sizes[0] == sizes[1]
    names = ["Street photo", "Photo and classes"]
    assert pictures.evaluate_all("all => all.map(i => i.alt)") == names
    handle = page.get_by_role("slider", name=" | ".join(names))
    for key, value in (("End", "100"), ("ArrowLeft", "98"), ("Home", "0")):
        handle.press(key)
        expect(handle).to_have_attribute("aria-valuenow", value)
    page.get_by_label("road", exact=True).check()
    expect(page.locator("tr.hub-off")).to_have_count(10)
    expect(page.locator("tr:not(.hub-off) td").first).to_have_text("road")
    with page.expect_download() as download:
        page.get_by_role("link", name="mask.png").or_(page.locator("a[download='mask.png']")).first.click()
    with Image.open(download.value.path()) as mask:
        assert (mask.format, mask.mode, list(mask.size)) == ("PNG", "L", sizes[0])
        assert mask.getextrema()[1] <= 10


@pytest.mark.release
def test_two_sets_of_weights_are_compared_beside_each_other(page: Page, hub: Served) -> None:
    open_page(page, f"{hub.url}/satellite_labels")
    answered(page, page.locator(".hub-examples button").first.click)
    page.get_by_label("Why", exact=True).click()
    page.get_by_role("option", name="strongest", exact=True).click()
    page.get_by_role("button", name="Compare weights").click()
    page.get_by_role("button", name="Run A and B").click()
    compared = page.locator(".hub-compare")
    expect(compared.locator(".hub-paid .hub-receipt")).to_have_count(2)
    expect(compared.locator(".hub-paid")).to_contain_text("satellite_landuse")
    expect(compared.locator(".hub-paid")).to_contain_text("satellite_amazon")
    expect(compared.locator(".slider-wrap img")).to_have_count(2)
    expect(compared.locator(".hub-measured")).to_contain_text("of the pixels differ")
    expect(compared.get_by_role("rowheader", name="water")).to_be_visible()
    expect(compared.locator(".hub-lines")).to_contain_text("of 17 at or above the line at 45.0 %")
    expect(compared.locator(".hub-lines")).to_contain_text("at 14.0 %")  # the other weights' own
    expect(compared.locator(".hub-old")).to_be_hidden()
    threshold = page.locator("input[type=number]").first
    expect(threshold).to_have_value("0.45")
    page.locator("label").filter(has_text="Amazon (17 tags)").first.click()
    expect(threshold).to_have_value("0.14")
    expect(page.locator(".hub-line-text").first).to_contain_text("at 14.0 %")
    page.locator(".hub-examples button").nth(1).click()
    expect(threshold).to_have_value("0.45")
    expect(page.locator(".hub-labels").first).to_contain_text("dock")  # what is below has moved up now
    expect(compared.locator(".hub-old")).to_be_visible()
    compared.locator("label").filter(has_text="Amazon (17 tags)").first.click()  # A, as B is
    page.get_by_role("button", name="Run A and B").click()
    expect(compared.locator(".hub-error")).to_contain_text("weights_a and weights_b are both")


@pytest.mark.slow
def test_a_bad_file_is_told_on_the_page_and_the_next_one_works(
    page: Page, hub: Served, photo: Path, tmp_path: Path
) -> None:
    open_page(page, f"{hub.url}/vehicle_classifier")
    bad = tmp_path / "broken.jpg"
    bad.write_bytes(photo.read_bytes()[:500])
    page.locator("input[type=file]").set_input_files(bad)
    expect(page.get_by_role("alert")).to_contain_text("Photo")
    answered(page, page.locator(".hub-examples button").first.click)
    page.get_by_role("button", name="Remove Image").click()
    page.locator("input[type=file]").set_input_files(bad)
    expect(page.get_by_text("the answer of the run before")).to_be_visible()


@pytest.mark.slow
def test_the_keyboard_reaches_an_example_and_runs_it(page: Page, hub: Served) -> None:
    page.goto(f"{hub.url}/vehicle_classifier")
    page.locator(".hub-examples button").first.wait_for()
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('[data-example]')"):
            break
    else:
        pytest.fail("40 presses of Tab did not reach an example")
    page.keyboard.press("Enter")
    expect(page.locator(".hub-done")).to_be_visible()


def test_an_unknown_page_suggests_the_one_that_was_meant(browser: Browser, hub: Served) -> None:
    page = browser.new_page()
    answer = page.goto(f"{hub.url}/vehicle_clasifier")
    assert answer is not None
    assert answer.status == 404
    expect(page.locator("body")).to_contain_text("Did you mean one of these?")
    expect(page.get_by_role("main").get_by_role("link", name="Emergency vehicle").last).to_be_visible()
    page.close()


# Contrast ratio (WCAG 2) of each visible text of the hub's own pieces against what it stands on.
CONTRASTS = """() => {
  const channel = (v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
  const parse = (c) => (c.match(/[\\d.]+/g) || []).map(Number);
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const background = (e) => {  // what is half transparent lies over what is below it
    if (!e) return parse(getComputedStyle(document.body).backgroundColor);
    const [r, g, b, alpha = 1] = parse(getComputedStyle(e).backgroundColor);
    if (alpha === 1) return [r, g, b];
    const below = background(e.parentElement);
    return [r, g, b].map((c, i) => c * alpha + below[i] * (1 - alpha));
  };
  const own = '[class*=hub-] *, [class*=hub-], button, label, label span';
  const texts = [...document.querySelectorAll(own)].filter((e) =>
    [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()) && e.offsetParent !== null &&
    e.offsetWidth > 1 && !e.closest('.hub-cover'));  // 1: for screen readers only
  return texts.map((e) => {
    const [a, b] = [luminance(parse(getComputedStyle(e).color)), luminance(background(e))].sort((x, y) => y - x);
    return [(a + 0.05) / (b + 0.05), e.outerHTML.slice(0, 200)];
  });
}"""


def test_the_status_page_loads_pins_and_unloads(page: Page, hub: Served) -> None:
    page.goto(f"{hub.url}/status")
    row, told = page.locator("tr", has_text="satellite_amazon"), page.locator(".hub-done")
    load, pin, unload = (row.locator(f"button[data-action={action}]") for action in ("load", "pin", "unload"))
    expect(load.or_(unload)).to_be_visible()
    if unload.count():  # an earlier test has used it
        unload.click()
    load.click()
    expect(told).to_contain_text("Satellite labels (satellite_amazon) is in memory.")
    pin.click()
    expect(row).to_contain_text("pinned")
    unload.click()
    expect(told).to_contain_text("has left memory")
    expect(load).to_be_visible()
