"""Pages are made when they are asked for, once; counted, since a thousand of them must not slow a start."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from gradio.blocks import BlocksConfig
from gradio.context import Context
from gradio.routes import App
from starlette.routing import Mount

from hub import texts
from hub.hub import Hub
from hub.pages.registry import Page, Registry
from hub.settings import Settings
from hub.web import server
from hub.web.gradio_door.routes import GradioDoor
from hub.web.gradio_ui.page.page import DemoPage
from hub.web.parts.html import AT_ONCE, IN_MENU
from tests.fakes import in_threads, shade_demo
from tests.served import run_async, running

pytestmark = pytest.mark.slow

MANY, FEW = 150, 6
LEVEL, CHINESE = re.compile(r'"label": ?"Level"'), re.compile("[\u4e00-\u9fff]+")


class Counts:
    """How often Gradio put its configuration together for a page, and how often it made an app."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pages = self.apps = 0
        get_config, create_app = BlocksConfig.get_config, App.create_app

        def count_page(config: BlocksConfig, *arguments: Any) -> Any:
            self.pages += 1
            return get_config(config, *arguments)

        def count_app(*arguments: Any, **named: Any) -> Any:
            self.apps += 1
            return create_app(*arguments, **named)

        monkeypatch.setattr(BlocksConfig, "get_config", count_page)
        monkeypatch.setattr(App, "create_app", staticmethod(count_app))


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counts:
    return Counts(monkeypatch)


@pytest.fixture
def app_with(tmp_path: Path) -> Iterator[Callable[[int], Any]]:
    """The app of a hub with so many trivial pages."""
    hubs = []

    def make(number: int) -> Any:
        slugs = [f"page_{n:03d}" for n in range(number)]
        pages = {s: Page(s, "a test", tmp_path, declared=shade_demo(title=f"Page {s[-3:]}")) for s in slugs}
        hubs.append(Hub(Settings(data=str(tmp_path / f"data-{number}"), device="cpu"), Registry(pages)))

        async def build() -> Any:  # in a loop: outside of one, Gradio makes loops that it never closes
            return server.build_app(hubs[-1])

        return run_async(build())

    yield make
    for hub in hubs:
        hub.close()


def say_in_chinese(text: str) -> str:
    with texts.speaking(texts.catalogues([])[texts.CHINESE]):
        return texts.say(text)


def blocks_of(app: Any) -> Any:
    (mount,) = [one for one in app.routes if isinstance(one, Mount) and isinstance(one.app, GradioDoor)]
    return mount.app.app.get_blocks()  # type: ignore[attr-defined]


def test_a_start_makes_no_page_and_as_many_apps_whatever_the_number(app_with: Any, counts: Counts) -> None:
    app_with(FEW)
    apps = counts.apps
    app_with(MANY)
    assert (counts.pages, counts.apps) == (0, 2 * apps)


def test_a_page_is_made_once_when_it_is_asked_for_and_all_for_who_asks_for_all(app_with: Any, counts: Counts) -> None:
    with running(app_with(FEW), lifespan="off") as url, httpx.Client(base_url=url, timeout=60) as client:
        made = []
        for path in ("/", "/page_001", "/page_001", "/page_002?threshold=1", "/config?page=page_003", "/status"):
            assert client.get(path, headers={"Accept": "text/html"}).status_code == 200
            made.append(counts.pages)
        assert made == [1, 2, 2, 3, 4, 5]
        endpoints = client.get("/gradio_api/info").json()["named_endpoints"]
        assert set(endpoints) == {f"/page_{n:03d}" for n in range(FEW)}
        config = client.get("/config").json()
        assert counts.pages == FEW + 2, "each page, the home and the status: once"
    ids = [one["id"] for one in config["components"]]
    events = [one["id"] for one in config["dependencies"]]
    assert (len(ids), len(events)) == (len({*ids}), len({*events}))
    assert len(config["page"]) == FEW + 2
    assert {n for page in config["page"].values() for n in page["components"]} == {*ids}


def test_pages_of_a_large_hub_have_as_much_in_them_as_those_of_a_small_one(app_with: Any) -> None:
    levels, sizes = [], []
    for number in (FEW, MANY):
        with running(app_with(number), lifespan="off") as url, httpx.Client(base_url=url, timeout=60) as client:
            home, page = client.get("/").text, client.get("/page_003").text
        levels.append(len(LEVEL.findall(page)))
        sizes.append(len(page))
        assert len({*re.findall(r"page_\d+", page)}) == min(number, IN_MENU)
        assert home.count("data-words") == min(number, AT_ONCE)
    assert levels[0] == levels[1] > 0
    assert sizes[1] < 1.3 * sizes[0]


def test_an_endpoint_answers_before_its_page_was_opened(app_with: Any, counts: Counts) -> None:
    with running(app_with(FEW)) as url, httpx.Client(base_url=url, timeout=60) as client:
        files = {"files": ("a.png", (Path(__file__).parents[3] / "hub/web/favicon.png").read_bytes())}
        (path,) = client.post("/gradio_api/upload", files=files).json()
        data = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}, 0.5]}
        event = client.post("/gradio_api/call/page_002", json=data).json()["event_id"]
        assert "event: complete" in client.get(f"/gradio_api/call/page_002/{event}").text
        assert counts.pages == 1


def test_an_open_page_keeps_what_changed_on_it_only_and_finds_pages_that_were_made_later(app_with: Any) -> None:
    blocks = blocks_of(app_with(FEW))
    blocks.hub_parts.make("page_001")
    state = blocks.state_holder["a tab"]
    assert (len(state.config_values), len(state.blocks_config.blocks)) == (0, 0)
    before = set(blocks.blocks)
    blocks.hub_parts.make("page_002")
    later = (set(blocks.blocks) - before).pop()
    assert later in state
    assert state[later] is blocks.blocks[later]
    state[later] = changed = gr.Textbox("changed here", render=False)
    assert (state[later], len(state.blocks_config.blocks)) == (changed, 1)
    assert blocks.state_holder["another tab"][later] is blocks.blocks[later]


def test_threads_that_ask_at_once_make_each_page_once(app_with: Any, counts: Counts) -> None:
    parts = blocks_of(app_with(FEW)).hub_parts
    made = in_threads([partial(parts.make, name) for name in (*parts.names, *parts.names)])
    assert counts.pages == len(parts.names) == len({id(part) for part in made})


def test_who_opens_a_page_first_does_not_decide_its_language(app_with: Any) -> None:
    def read(path: str, language: str) -> str:
        text = client.get(path, headers={"Accept-Language": language}).text
        return re.sub(r"\\u([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), text)

    with running(app_with(FEW), lifespan="off") as url, httpx.Client(base_url=url, timeout=60) as client:
        assert say_in_chinese("Status") in read("/page_001", "zh-CN")
        first, second = read("/page_001", "en"), read("/page_002", "en")
    assert {*CHINESE.findall(first)} == {*CHINESE.findall(second)}
    assert say_in_chinese("Status") not in first


def test_a_page_that_cannot_be_drawn_leaves_gradio_as_it_was_and_is_tried_again(
    app_with: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = blocks_of(app_with(FEW)).hub_parts
    with monkeypatch.context() as patched:
        patched.setattr(DemoPage, "about", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            parts.make("page_000")
    assert (Context.root_block, Context.block) == (None, None)
    assert parts.make("page_000").made
