"""The round trip to an OpenID Connect provider in real headless Chromium: in, a run, Streamlit, the log, and out."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.visits import answered, open_page, visitor
from tests.oidc_provider import CLIENT, SECRET, provider_served
from tests.served import serving

pytestmark = pytest.mark.browser


@pytest.mark.release
def test_somebody_signs_in_at_a_provider_sees_their_pages_runs_one_and_signs_out_there_too(
    browser: Browser, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text(SECRET)
    rights = tmp_path / "rights.toml"
    rights.write_text("[[rules]]\npages = ['age_regression']\nrun = ['@boss']\n")
    with provider_served() as at:
        at.people["cleo"] = {"groups": ["boss"]}
        flags = (
            "--oidc-issuer", at.url, "--oidc-client-id", CLIENT, "--oidc-secret-file", str(tmp_path / "secret"),
            "--auth-roles", "@research:run,@boss:admin", "--rights", str(rights),
            "--demos", "vehicle_classifier,age_regression",
        )  # fmt: skip
        with serving(tmp_path / "data", *flags) as hub:
            complaints: list[str] = []
            tab = visitor(browser, complaints)
            tab.goto(f"{hub.url}/vehicle_classifier?lang=en")
            tab.get_by_role("link", name="Sign in at").click()
            tab.get_by_label("Name").fill("ann")
            tab.get_by_role("button", name="Log in").click()
            tab.wait_for_url(f"{hub.url}/vehicle_classifier**")
            open_page(tab, f"{hub.url}/vehicle_classifier")
            answered(tab, tab.locator(".hub-examples button").first.click)
            tab.goto(hub.url)
            expect(tab.locator(".hub-card").first).to_be_visible()
            expect(tab.locator(".hub-card").filter(has_text="Age from faces")).to_have_count(0)
            assert tab.goto(f"{hub.url}/age_regression").status == 404  # type: ignore[union-attr]  # it answers
            assert tab.goto(f"{hub.url}/audit").status == 403  # type: ignore[union-attr]  # it answers
            tab.goto(f"{hub.url}/streamlit/")
            expect(tab.get_by_test_id("stPageLink").first).to_be_visible()
            expect(tab.get_by_test_id("stPageLink").filter(has_text="Age from faces")).to_have_count(0)

            tab.goto(f"{hub.url}/sign-out")
            tab.get_by_role("button", name="Sign out").click()
            expect(tab.get_by_role("heading", name="You are signed out")).to_be_visible()
            assert at.signed_out, "the provider heard of it"
            assert tab.goto(hub.url).status == 401  # type: ignore[union-attr]  # it answers

            boss = visitor(browser, complaints)
            boss.goto(f"{hub.url}/audit?lang=en")
            boss.get_by_role("link", name="Sign in at").click()
            boss.get_by_label("Name").fill("cleo")
            boss.get_by_role("button", name="Log in").click()
            expect(boss.get_by_role("heading", name="Audit log")).to_be_visible()
            expect(boss.get_by_role("row").filter(has_text="ann").filter(has_text="Signed out")).to_be_visible()
            boss.get_by_label("What").select_option("run")
            boss.get_by_role("button", name="Show").click()
            expect(boss.get_by_role("row").filter(has_text="Signed out")).to_have_count(0)
            expect(boss.get_by_role("row").filter(has_text="ann").first).to_be_visible()
            assert [text for text in complaints if "40" not in text] == []
            for one in (tab, boss):
                one.context.close()
            assert "Traceback" not in hub.log() and SECRET not in hub.log()
