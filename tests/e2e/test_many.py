"""Many pictures in real headless Chromium: sent, left alone, found again, looked through."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from hub.pages.registry import discover
from tests.e2e.visits import visitor
from tests.served import Served

pytestmark = pytest.mark.browser


def zipped() -> bytes:
    """The page's examples in a folder for each class, one of them in the wrong one, and a file that is no picture."""
    page, file = discover().get("vehicle_classifier"), io.BytesIO()
    ordinary = ("hatchback.jpg", "pickup.jpg", "saloon.jpg")
    with zipfile.ZipFile(file, "w") as opened:
        for example in page.demo.examples:
            name = str(example.inputs["image"])
            folder = "ordinary" if name in (*ordinary, "ambulance.jpg") else "emergency"
            opened.writestr(f"{folder}/{name}", (page.assets / name).read_bytes())
        opened.writestr("ordinary/notes.jpg", b"no picture at all")
    return file.getvalue()


@pytest.mark.slow
def test_a_batch_is_sent_left_and_found_again_by_its_address(browser: Browser, hub: Served, tmp_path: Path) -> None:
    complaints: list[str] = []
    page = visitor(browser, complaints)
    page.goto(f"{hub.url}/vehicle_classifier")
    page.get_by_role("link", name="Many pictures").click()
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_disabled()
    page.locator("[data-files]").set_input_files({"name": "all.zip", "mimeType": "application/zip", "buffer": zipped()})
    expect(page.locator("[data-chosen]")).to_contain_text("1 file")
    page.get_by_text("Settings of all pictures").click()
    page.get_by_label("Views").select_option("photo as it is")
    page.get_by_role("button", name="Run", exact=True).click()
    page.wait_for_url("**/many/vehicle_classifier/*")
    address = page.url
    page.close()

    page = visitor(browser, complaints)
    page.goto(address)
    expect(page.locator("[data-status]")).to_contain_text("Done")
    expect(page.locator(".many-table tbody tr")).to_have_count(7)
    expect(page.locator(".many-panel").first).to_contain_text("83.3 %")
    expect(page.locator(".many-problem")).to_contain_text("looks like text")
    assert page.locator(".many-table img").first.evaluate("i => i.decode().then(() => i.naturalWidth > 50)")
    page.get_by_label("Which pictures").select_option("wrong")
    expect(page.locator(".many-table tbody tr")).to_have_count(1)
    page.locator(".many-open").click()
    expect(page.locator("dialog[open]")).to_contain_text("ordinary/ambulance.jpg")
    page.get_by_role("button", name="Close").click()
    page.get_by_label("Which pictures").select_option("")
    page.get_by_label("Search").fill("pickup")
    expect(page.locator(".many-table tbody tr")).to_have_count(1)
    page.get_by_label("Search").fill("")
    page.get_by_role("button", name="Probability").click()
    expect(page.locator("[aria-sort=ascending]")).to_have_text("Probability ↑")
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    download.value.save_as(tmp_path / "table.csv")
    rows = [*csv.DictReader(io.StringIO((tmp_path / "table.csv").read_text(encoding="utf-8-sig")))]
    assert len(rows) == 7 and {row["state"] for row in rows} == {"done", "failed"}
    assert complaints == []
