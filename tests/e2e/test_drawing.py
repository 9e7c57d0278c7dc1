"""Drawing on a picture in real headless Chromium: what is drawn reaches `prepare`, and comes back from the history."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.visits import answered, open_page, visitor
from tests.fakes import picture
from tests.served import ROOT, Served, serving

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PAGE = """
import sys

sys.path.insert(0, {root!r})
from tests.drawn_pages import drawn_demo

DEMO = drawn_demo({kind!r}{more})
"""
KINDS = {"boxed": ("box", ""), "pointed": ("points", ""), "painted": ("mask", ", help='Over what is to go'")}


@pytest.fixture(scope="module")
def drawn_on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    demos = tmp_path_factory.mktemp("demos")
    for slug, (kind, more) in KINDS.items():
        (demos / f"{slug}.py").write_text(PAGE.format(root=str(ROOT), kind=kind, more=more), encoding="utf-8")
    with serving(tmp_path_factory.mktemp("data"), "--demos-folder", str(demos)) as served:
        yield served


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    picture(600, 400).save(path)
    return path


def opened(browser: Browser, address: str, photo: Path, complaints: list[str], **options: Any) -> tuple[Page, Locator]:
    """A page with a picture, and the picture that is drawn on."""
    page = visitor(browser, complaints, **options)
    open_page(page, address)
    page.locator(".hub-field-photo input[type=file]").first.set_input_files(photo)
    place = page.locator(".hub-draw .hub-place-picture")
    expect(place.locator("img")).to_be_visible()
    place.scroll_into_view_if_needed()
    return page, place


def drag(page: Page, place: Locator, begin: tuple[float, float], end: tuple[float, float]) -> None:
    """From one place to another, in shares of the picture."""
    box = place.bounding_box()
    assert box is not None
    (x0, y0), (x1, y1) = ((box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (begin, end))
    page.mouse.move(x0, y0)
    page.mouse.down()
    page.mouse.move(x1, y1, steps=8)
    page.mouse.up()


def said(page: Page) -> dict[str, Any]:
    """What `prepare` got, once it is run."""
    answered(page, page.locator(".hub-run").click)
    return dict(json.loads(page.evaluate(ANSWER)))


# Whether about so many pixels of what can be painted on are painted.
PAINTED = """(wanted) => {
  const canvas = document.querySelector(".hub-draw canvas");
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return Math.abs(data.filter((value, place) => place % 4 === 3 && value > 127).length - wanted) < 50;
}"""
ANSWER = """async () => {
  const {runs} = await (await fetch("/api/v1/history")).json();
  return JSON.stringify((await (await fetch(runs[0].result)).json()).outputs.drawn);
}"""


def test_boxes_are_drawn_moved_and_taken_away(browser: Browser, drawn_on: Served, photo: Path) -> None:
    complaints: list[str] = []
    page, place = opened(browser, f"{drawn_on.url}/boxed", photo, complaints)
    drag(page, place, (0.1, 0.2), (0.5, 0.6))
    drag(page, place, (0.9, 0.9), (0.7, 0.7))
    text = page.locator(".hub-field-photo_boxes :is(textarea, input)")
    first, second = json.loads(text.input_value())
    assert all(abs(a - b) < 4 for a, b in zip(first, (60, 80, 300, 240), strict=True))
    assert all(abs(a - b) < 4 for a, b in zip(second, (420, 280, 540, 360), strict=True))
    page.get_by_role("button", name="Box 2").focus()
    page.keyboard.press("Shift+ArrowLeft")
    assert json.loads(text.input_value())[1][0] < second[0] - 5
    page.keyboard.press("Delete")
    (left,) = json.loads(text.input_value())
    assert left == first
    drawn = said(page)
    assert drawn["boxes"] == [[pytest.approx(side, abs=0.1) for side in first]]
    assert complaints == []
    page.context.close()


def test_points_are_clicked_and_places_that_are_written_are_seen(
    browser: Browser, drawn_on: Served, photo: Path
) -> None:
    complaints: list[str] = []
    page, place = opened(browser, f"{drawn_on.url}/pointed", photo, complaints)
    size = place.bounding_box()
    assert size is not None
    place.locator("svg").click(position={"x": 0.25 * size["width"], "y": 0.5 * size["height"]})
    page.locator("[data-out]").check()
    place.locator("svg").click(position={"x": 0.75 * size["width"], "y": 0.5 * size["height"]})
    text = page.locator(".hub-field-photo_points :is(textarea, input)")
    (x, _), (far, _, wanted) = json.loads(text.input_value())
    assert abs(x - 150) < 4 and abs(far - 450) < 4 and wanted == 0
    text.fill("[[10, 10], [20, 20], [30, 30]]")
    expect(place.locator(".hub-knob")).to_have_count(3)
    assert said(page)["points"] == [[10, 10, True], [20, 20, True], [30, 30, True]]
    page.locator(".hub-draw [data-clear]").click()
    expect(place.locator(".hub-knob")).to_have_count(0)
    assert text.input_value() == ""
    page.locator(".hub-run").click()
    expect(page.locator(".hub-error")).to_contain_text("Marked points is missing: draw on the picture first.")
    assert complaints == []
    page.context.close()


def test_a_field_for_a_mask_says_whole_what_it_takes(browser: Browser, drawn_on: Served, photo: Path) -> None:
    complaints: list[str] = []
    for width in (1280, 360):
        page = visitor(browser, complaints, viewport={"width": width, "height": 800})
        open_page(page, f"{drawn_on.url}/painted")
        field = page.locator(".hub-field-photo_mask")
        words, label = field.locator(".prompt p"), field.locator("[data-testid=block-label]")
        expect(words).to_contain_text("and black elsewhere")
        around, line, name = (one.bounding_box() for one in (field, words, label))
        assert around and line and name
        assert around["height"] < 160
        assert (
            line["y"] >= name["y"] + name["height"] - 1 and line["y"] + line["height"] <= around["y"] + around["height"]
        )
        assert words.evaluate("one => one.scrollWidth <= one.clientWidth + 1")
        page.context.close()
    page, _ = opened(browser, f"{drawn_on.url}/painted", photo, complaints)
    expect(page.locator(".hub-draw figcaption")).to_have_text("Over what is to go")
    assert complaints == []
    page.context.close()


def test_a_file_that_nobody_can_draw_on_is_what_is_wrong(browser: Browser, drawn_on: Served, tmp_path: Path) -> None:
    page = visitor(browser, [])  # the browser complains of it, too
    open_page(page, f"{drawn_on.url}/painted")
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 begins as a picture does")
    page.locator(".hub-field-photo input[type=file]").first.set_input_files(broken)
    expect(page.locator(".hub-field-photo img")).to_have_count(1)
    page.locator(".hub-run").click()
    expect(page.locator(".hub-error")).to_contain_text("cut off or damaged")
    expect(page.locator(".hub-draw")).to_be_hidden()
    page.context.close()


@pytest.mark.parametrize(
    "options", [{}, {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}]
)
def test_a_mask_painted_in_the_browser_reaches_prepare_and_the_history(
    browser: Browser, drawn_on: Served, photo: Path, options: dict[str, Any]
) -> None:
    complaints: list[str] = []
    page, place = opened(browser, f"{drawn_on.url}/painted", photo, complaints, **options)
    drag(page, place, (0.3, 0.5), (0.6, 0.5))
    expect(page.locator(".hub-field-photo_mask img")).to_be_visible()
    drawn = said(page)
    left, top, right, low = drawn["around"]
    assert abs(left - 156) < 14 and abs(right - 384) < 14 and abs((top + low) / 2 - 200) < 10
    expect(page.locator(".hub-field-photo_mask img")).to_be_visible()
    page.locator("[data-erase]").check()
    page.locator("[data-brush]").fill("25")
    drag(page, place, (0.6, 0.5), (0.45, 0.5))
    fewer = said(page)
    assert fewer["painted"] < 0.7 * drawn["painted"] and fewer["around"][2] < 300
    page.reload()
    page.locator(".hub-past ol a").last.click()
    page.locator("html.hub-opened:not(.hub-arriving)").wait_for()
    expect(page.locator(".hub-field-photo_mask img")).to_be_visible()
    expect(page.locator(".hub-draw canvas")).to_be_visible()
    page.wait_for_function(PAINTED, arg=drawn["painted"])
    assert complaints == []
    page.context.close()


@pytest.mark.release
def test_another_picture_begins_without_what_was_drawn(browser: Browser, drawn_on: Served, photo: Path) -> None:
    complaints: list[str] = []
    page, place = opened(browser, f"{drawn_on.url}/painted", photo, complaints)
    drag(page, place, (0.3, 0.5), (0.6, 0.5))
    expect(page.locator(".hub-field-photo_mask img")).to_be_visible()
    other = io.BytesIO()
    Image.new("RGB", (300, 500), "teal").save(other, "PNG")
    page.locator(".hub-field-photo input[type=file]").first.set_input_files(
        {"name": "b.png", "mimeType": "image/png", "buffer": other.getvalue()}
    )
    expect(page.locator(".hub-field-photo_mask img")).to_have_count(0)
    assert complaints == []
    page.context.close()
