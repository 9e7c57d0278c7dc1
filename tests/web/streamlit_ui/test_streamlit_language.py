"""The Streamlit pages in the language of whoever opens them, by Streamlit's own test harness."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from hub.archive.first_answers import FirstAnswers
from hub.hub import Hub
from hub.pages.registry import Page, Registry
from hub.settings import Settings
from hub.texts import CHINESE, ENGLISH
from hub.web.middleware import sessions
from hub.web.streamlit_ui import host as streamlit_host
from hub.web.streamlit_ui import page as streamlit_page
from tests.served import ROOT
from tests.web.doors import SHADES, png

PATIENCE_S = 60


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = tmp_path_factory.mktemp("hub")
    (folder / "grey.png").write_bytes(png(colour="grey"))
    (folder / f"{CHINESE}.toml").write_text('[page]\n"Shades" = "明暗"\n"front" = "正面"\n', encoding="utf-8")
    settings = Settings(data=str(folder / "data"), device="cpu", dtype="float32")
    made = Hub(settings, Registry({"shades": Page("shades", "a test", folder, declared=SHADES)}))
    made.models.machine()  # torch is imported here, not while a page waits
    streamlit_host.use(made)
    yield made
    made.close()


def test_an_address_asks_for_chinese_and_the_switch_for_english_again(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "session_of", lambda cookies, page="": "a browser of the tests")
    home = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=PATIENCE_S)
    home.query_params["lang"] = "zh-TW"
    home.run()
    assert not home.exception
    assert [title.value for title in home.title] == ["动手试试这些模型"]
    assert [link.proto.label for link in home.get("page_link")] == ["**明暗**"]
    switch: Any = home.get("button_group")[0]
    switch.set_value(ENGLISH).run()
    assert [title.value for title in home.title] == ["Try the models"]
    assert home.query_params["lang"] == ENGLISH  # a reload keeps it


def test_a_demo_is_run_in_chinese_with_the_values_of_every_door(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def script() -> None:
        from hub import texts
        from hub.web.streamlit_ui import demo as streamlit_demo
        from hub.web.streamlit_ui import host as streamlit_host

        host = streamlit_host.current()
        texts.speak(host.hub.texts[texts.CHINESE])
        streamlit_demo.show(host, host.hub.registry.get("shades"), "http://hub.test")

    monkeypatch.setattr(sessions, "session_of", lambda cookies, page="": "a browser of the tests")
    monkeypatch.setattr(FirstAnswers, "get", lambda self, page: None)  # made in an idle moment, whenever that is
    page = AppTest.from_function(script, default_timeout=PATIENCE_S).run()
    assert not page.exception
    assert page.radio[0].options == ["正面", "back"]
    [run] = [button for button in page.button if button.label == "运行"]
    assert run.click().run().error[0].value.startswith("**输入无效**  \n缺少 Photo")
    [example] = [button for button in page.button if button.label == "A grey square"]
    assert example.click().run().success[0].value == "**Light 50%**"
    assert page.session_state["shades"].outcome.capsule["parameters"]["view"] == "front"


@pytest.mark.parametrize(
    ("headers", "cookies", "locale", "language"),
    [
        ({"accept-language": "zh-CN,zh;q=0.9"}, {}, None, CHINESE),
        ({"accept-language": "zh-CN"}, {"hub_lang": "en"}, "zh-CN", ENGLISH),
        ({}, {}, "zh-Hans-CN", CHINESE),
        ({}, {}, None, ENGLISH),
    ],
)
def test_without_a_choice_the_browser_decides_as_on_every_page(
    hub: Hub,
    monkeypatch: pytest.MonkeyPatch,
    headers: dict[str, str],
    cookies: dict[str, str],
    locale: str | None,
    language: str,
) -> None:
    context = SimpleNamespace(headers=headers, cookies=cookies, locale=locale)
    monkeypatch.setattr(streamlit_page, "st", SimpleNamespace(context=context, query_params={}, session_state={}))
    assert streamlit_page.language(streamlit_host.current()).language == language
