"""Makes the pictures of README.md and of these docs from a running hub: its home page, and a run on the street page.

    make serve                                    # in another window
    python -m docs.make_pictures http://127.0.0.1:7860

Needs Chromium, as the browser tests do. The pages decide what is seen; nothing is drawn here.
"""

from __future__ import annotations

import io
import shutil
import sys
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

OUT = Path(__file__).with_name("pictures")
WIDE = {"width": 1280, "height": 860}
SMALL = (960, 645)  # pixels of the animation
TICK_MS, HOLD_MS = 160, 1800  # a picture of it; the last one
LARGEST_KB = {"product.webp": 200, "run.webp": 800}
FLAGS = ("--no-sandbox", "--disable-gpu", "--hide-scrollbars")


def main() -> None:
    hub = sys.argv[1].rstrip("/")
    OUT.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=[*FLAGS])
        draw_product(browser, hub)
        draw_run(browser, hub)
        browser.close()
    for name, most in LARGEST_KB.items():
        size_kb = (OUT / name).stat().st_size / 1024
        print(f"{name}: {size_kb:.0f} KB")
        if size_kb > most:
            raise SystemExit(f"{name} must be at most {most} KB")


def draw_product(browser: Browser, hub: str) -> None:
    """The home page."""
    page = browser.new_page(viewport=WIDE)
    page.goto(hub)
    page.locator(".hub-card").first.wait_for()
    hide_languages(page)
    page.wait_for_timeout(2500)  # until covers are drawn
    see(page).save(OUT / "product.webp", quality=82, method=6)
    page.close()


def draw_run(browser: Browser, hub: str) -> None:
    """A click on an example, its answer, the slider over the picture."""
    page = browser.new_page(viewport=WIDE)
    page.goto(f"{hub}/camvid_segmentation")
    page.locator(".hub-examples button").nth(1).wait_for()
    hide_languages(page)
    page.wait_for_timeout(4000)
    frames, end = [see(page)], time.monotonic() + 20.0
    page.locator(".hub-examples button").nth(1).click()
    while time.monotonic() < end:
        frames.append(see(page))
        page.wait_for_timeout(TICK_MS)
        if len(frames) > 8 and page.locator(".hub-done").count() and frames[-1] == frames[-2] == frames[-3]:
            break
    handle = page.locator('.slider-wrap [role="slider"]').first
    handle.focus()
    for key in ["ArrowLeft"] * 8 + ["ArrowRight"] * 16 + ["ArrowLeft"] * 8:
        for _ in range(4):
            page.keyboard.press(key)
        frames.append(see(page))
    small = [frame.resize(SMALL, Image.Resampling.LANCZOS) for frame in frames]
    kept = [frame for number, frame in enumerate(small) if number == 0 or frame != small[number - 1]]
    times = [1200, *[TICK_MS] * (len(kept) - 2), HOLD_MS]
    kept[0].save(
        OUT / "run.webp", save_all=True, append_images=kept[1:], duration=times, loop=0, quality=58, method=4,
        minimize_size=True,
    )  # fmt: skip
    page.close()


def hide_languages(page: Page) -> None:
    """The machine that this runs on may lack the letters of their names."""
    page.add_style_tag(content=".hub-language { visibility: hidden; }")


def see(page: Page) -> Image.Image:
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


if __name__ == "__main__":
    main()
