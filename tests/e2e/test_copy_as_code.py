"""The menu "Copy as code" in real headless Chromium: each way is copied, one runs as copied, the last is kept."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.visits import answered, open_page, visitor
from tests.served import Served

pytestmark = [pytest.mark.browser, pytest.mark.slow]
WAYS = {
    "Python": "gradio_client", "JavaScript": "@gradio/client", "fetch": "new FormData()", "Command line": "hub run",
    "MCP": "/mcp", "curl": "curl http",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_each_way_is_copied_and_makes_the_answer_again(
    browser: Browser, hub: Served, photo: Path, tmp_path: Path
) -> None:
    complaints: list[str] = []
    page = visitor(browser, complaints, permissions=["clipboard-read", "clipboard-write"])
    open_page(page, f"{hub.url}/vehicle_classifier")
    answered(page, page.locator(".hub-examples button").first.click)
    menu = page.locator(".hub-code")
    text = ""
    for way, words in WAYS.items():
        menu.locator("select").select_option(way)
        expect(menu.get_by_role("button")).to_have_text("Copy as code")
        menu.get_by_role("button").click()
        expect(menu.get_by_role("button")).to_have_text("Copied")
        text = page.evaluate("navigator.clipboard.readText()")
        assert words in text and "vehicle_classifier" in text, way
    shutil.copy(photo, tmp_path / "photo.jpg")
    done = subprocess.run(
        shlex.split(text.replace("\\\n", " ")), cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert "probabilities" in json.loads(done.stdout)["outputs"]
    open_page(page, f"{hub.url}/vehicle_classifier")
    answered(page, page.locator(".hub-examples button").first.click)
    expect(page.locator(".hub-code select")).to_have_value("curl")
    assert complaints == []
    page.context.close()
