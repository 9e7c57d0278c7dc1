"""Hubs served as users start them, and a real browser in front of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.own_pages import OwnPages, write
from tests.served import Served, serving

HERE = Path(__file__).parent
# A camera that shows a moving test picture, for the pages that ask for one.
CHROMIUM_FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --use-fake-device-for-media-stream --use-fake-ui-for-media-stream"
).split()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == HERE:
            item.add_marker(pytest.mark.timeout(300))  # longer than one wait of a page


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """All of the project's pages."""
    with serving(tmp_path_factory.mktemp("data")) as served:
        yield served


@pytest.fixture(scope="session")
def own_pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnPages]:
    """A hub of pages that tests can see through: a slow one with steps, a slow one with a camera, many more."""
    demos, data = tmp_path_factory.mktemp("demos"), tmp_path_factory.mktemp("data")
    write(demos)
    with serving(data, "--demos-folder", str(demos), "--grace-s", "1") as served:
        yield OwnPages(served, data)


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    """Headless Chromium. Without one the test is skipped, unless HUB_REQUIRE_BROWSER says that is a failure."""
    from playwright.sync_api import expect, sync_playwright

    from tests.e2e.visits import PATIENCE_MS

    found = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
    )
    if not found:
        message = "NO BROWSER: install Chromium (Debian: apt install chromium) to run the browser tests"
        if os.environ.get("HUB_REQUIRE_BROWSER"):
            pytest.fail(message)
        pytest.skip(message)
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=CHROMIUM_FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def photo() -> Path:
    """A picture the project ships: the first example of the vehicle page."""
    from hub.pages.registry import discover

    page = discover().get("vehicle_classifier")
    return page.assets / str(page.demo.examples[0].inputs["image"])
