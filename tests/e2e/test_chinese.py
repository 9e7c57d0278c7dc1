"""A visitor whose browser prefers Chinese: no English is left on a page, and everything else stays as it was."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect

from hub.pages.registry import discover
from tests.e2e.visits import answered, open_page, visitor
from tests.served import ROOT, Served

# Names, file formats, units; `receipt` and `comparison` are seen by gradio_client alone.
NAMES = """Demo Hub English Streamlit
REST API GET api v1 MCP Python curl JavaScript fetch JSON PNG PDF Cookie MB GB cpu cuda
float32 bfloat16 receipt comparison Stable Diffusion DPM Euler ancestral DDIM""".split()
CODE = re.compile(r"--weights [\w=:/.-]+|'[^']*'")  # what a page's note quotes: options, commands, words of prompts
CONFIG = re.compile(r"window\.gradio_config = (.*?);</script>")
FACTS = re.compile(r'<section class="hub-facts">.*?</section>', re.DOTALL)  # of the card, which is in English
READ_ALOUD = re.compile(r'\b(?:alt|title|aria-label|placeholder)="([^"]*)"')


def fetch(url: str, language: str = "zh-CN,zh;q=0.9", **options: Any) -> httpx.Response:
    """As a browser asks; `language` empty: as a program."""
    headers = {"Accept": "text/html", "Accept-Language": language} if language else {}
    with httpx.Client(timeout=60, follow_redirects=True, cookies=options.pop("cookies", None)) as browser:
        return browser.request(options.pop("method", "GET"), url, headers=headers, **options)


def shown(html: str) -> str:
    """What people read or hear of a piece of HTML."""
    html = re.sub(r"(?s)<(script|style|code)\b.*?</\1>", " ", FACTS.sub("", html))
    said = [re.sub(r"<[^>]*>", " ", html), *READ_ALOUD.findall(html)]
    return unescape(" ".join(said))


def english(text: str) -> list[str]:
    return [word for word in re.findall(r"[A-Za-z][A-Za-z0-9_]+", CODE.sub("", text)) if word not in NAMES]


def texts_of(config: dict[str, Any]) -> Iterator[str]:
    """What Gradio's front end shows of a page's components."""
    words = config["i18n_translations"]["zh-CN"]
    for component in config["components"]:
        props = component["props"]
        for name in ("label", "info", "placeholder", "alt_text", "value"):
            text = props.get(name)
            if not isinstance(text, str) or (name == "label" and props.get("show_label") is False):
                continue
            if text.startswith('<div class="hub-model-card">'):  # in its author's words
                continue
            if text.startswith("__i18n__"):
                yield words[json.loads(text.removeprefix("__i18n__"))["key"]]
            elif name != "value" or component["type"] in ("html", "button"):
                yield shown(text)
        yield from (str(name) for name, _ in props.get("choices") or ())


@pytest.mark.parametrize("path", ["", *(page.slug for page in discover()), "status"])
def test_a_gradio_page_is_served_in_chinese_whole(hub: Served, path: str) -> None:
    answer = fetch(f"{hub.url}/{path}")
    assert answer.headers["content-language"] == "zh-CN"
    assert "Accept-Language" in answer.headers["vary"]
    assert '<html\n\tlang="zh-CN"' in answer.text
    found = CONFIG.search(answer.text)
    assert found is not None
    left = {word for text in texts_of(json.loads(found[1])) for word in english(text)}
    assert left == set()


@pytest.mark.parametrize("path", ["history", "gallery", "r/nothing", "no_such_page"])
def test_a_page_of_the_hubs_own_is_served_in_chinese_whole(hub: Served, path: str) -> None:
    answer = fetch(f"{hub.url}/{path}")
    assert answer.headers["content-language"] == "zh-CN"
    assert '<html lang="zh-CN">' in answer.text
    named = {"no_such_page", "python", "hub", "gallery", "history", *discover().pages}  # commands and addresses
    assert set(english(shown(answer.text))) - named == set()


def test_a_streamlit_page_says_that_it_is_chinese(hub: Served) -> None:
    assert '<html lang="zh-CN">' in fetch(f"{hub.url}/streamlit/vehicle_classifier").text


def test_programs_read_english_whoever_asks(hub: Served) -> None:
    for path in ("gradio_api/info", "api/v1/demos/vehicle_classifier", "api/v1/demos/nothing"):
        assert fetch(f"{hub.url}/{path}").text == fetch(f"{hub.url}/{path}", "").text
    refused = fetch(f"{hub.url}/api/v1/demos/vehicle_classifier", method="POST", json={"views": "x"})
    assert refused.json()["detail"].startswith("image is missing")


def test_a_page_asked_for_in_another_language_stays_in_it(hub: Served) -> None:
    asked = fetch(f"{hub.url}/r/nothing?lang=en")
    assert '<html lang="en">' in asked.text
    assert asked.cookies["hub_lang"] == "en"
    again = fetch(f"{hub.url}/r/nothing", cookies={"hub_lang": "en"})
    assert '<html lang="en">' in again.text
    assert "set-cookie" not in again.headers
    assert '<html lang="zh-CN">' in fetch(f"{hub.url}/r/nothing?lang=zh-TW", cookies={"hub_lang": "en"}).text


@pytest.mark.slow
def test_what_was_kept_is_read_in_the_language_of_who_opens_it(hub: Served) -> None:
    """Captions and headlines are stored as templates with values: no text of a result is searched for."""
    with httpx.Client(base_url=hub.url, timeout=60) as browser:
        with (ROOT / "demos/assets/vehicle_classifier/ambulance.jpg").open("rb") as photo:
            asked = {"files": {"image": photo}, "data": {"why": "the answer"}}
            done = browser.post("/api/v1/demos/vehicle_classifier", **asked).json()
        assert re.fullmatch(r"What speaks for emergency \(\d+%\)", done["captions"]["why"])
        made = browser.post(f"/api/v1/results/{done['id']}/links", json={}).json()
        chinese = fetch(f"{hub.url}/r/{made['id']}").text
        assert re.search(r"支持“应急车辆”的区域（\d+%）", chinese)
        assert re.search(r"应急车辆，\d+%", chinese)
        assert re.search(r"What speaks for emergency \(\d+%\)", fetch(f"{hub.url}/r/{made['id']}?lang=en").text)
        refused = browser.get("/history?run=nothing", headers={"Accept-Language": "zh-CN", "Accept": "text/html"}).text
        assert "历史记录中没有这次运行" in refused
        browser.delete(f"/api/v1/links/{made['id']}")


@pytest.mark.release
@pytest.mark.browser
def test_a_chinese_browser_runs_an_example_and_switches_to_english(browser: Browser, hub: Served) -> None:
    complaints: list[str] = []
    tab = visitor(browser, complaints, locale="zh-CN")
    open_page(tab, f"{hub.url}/vehicle_classifier")
    expect(tab.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(tab.get_by_text("判断依据", exact=True)).to_be_visible()
    tab.get_by_role("radio", name="原图", exact=True).check()  # its value is the English one
    answered(tab, tab.get_by_role("button", name="绿色方格涂装的黄色救护车").first.click)
    expect(tab.locator(".hub-done")).to_contain_text("应急车辆，")
    expect(tab.locator(".hub-labels li").first).to_contain_text("应急车辆")
    tab.locator(".hub-receipt summary").click()
    expect(tab.locator(".hub-receipt")).to_contain_text("推理")

    tab.get_by_role("link", name="English").click()
    expect(tab.locator("html")).to_have_attribute("lang", "en")
    expect(tab.get_by_role("button", name=re.compile("^Run")).first).to_be_visible()
    assert tab.url.endswith("/vehicle_classifier?lang=en")
    tab.goto(f"{hub.url}/stable_diffusion?lang=zh-CN")
    tab.get_by_role("textbox").first.fill("")
    tab.locator(".hub-run").click()
    expect(tab.locator(".hub-error")).to_contain_text("缺少")
    tab.goto(f"{hub.url}/camvid_segmentation?lang=en")
    expect(tab.get_by_text("Street photo", exact=True)).to_be_visible()
    assert complaints == []
    tab.context.close()
