"""What is run through gradio_client belongs to whose cookie the client sends, as what that browser runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client, handle_file

from hub.hub import Hub
from hub.pages.registry import Page, Registry
from hub.settings import Settings
from hub.web import server
from hub.web.middleware.sessions import COOKIE
from tests.fakes import Calls, colour_demo, drawing_demo
from tests.served import run_async, running
from tests.web.doors import png


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    demos = {"colours": colour_demo(), "words": drawing_demo(Calls())}
    registry = Registry({slug: Page(slug, "a test", tmp_path, declared=demo) for slug, demo in demos.items()})
    hub = Hub(Settings(device="cpu", dtype="float32", data=str(tmp_path / "data")), registry)

    async def build() -> Any:  # in a running event loop: outside of one, Gradio makes loops it never closes
        return server.build_app(hub)

    with running(run_async(build())) as url:
        yield url
    hub.close()


def test_a_run_is_in_its_callers_history_and_gallery_and_among_their_similar_pictures(
    address: str, tmp_path: Path
) -> None:
    mine, theirs = (Client(address, verbose=False, httpx_kwargs={"cookies": {COOKIE: letter * 40}}) for letter in "mt")
    pictures = {colour: tmp_path / f"{colour}.png" for colour in ("red", "darkred")}
    for colour, path in pictures.items():
        path.write_bytes(png(colour=colour))
    first, second = (mine.predict(image=handle_file(path), api_name="/colours")[-1]["id"] for path in pictures.values())
    drawn = mine.predict(prompt="a wish", api_name="/words")[-1]["id"]

    def ask(client: Client, path: str) -> Any:
        answer = httpx.get(f"{address}/api/v1/{path}", cookies=client.cookies)
        assert answer.status_code == 200, answer.text
        return answer.json()

    assert [entry["result"].split("/")[-1] for entry in ask(mine, "history")["runs"]] == [drawn, second, first]
    assert {picture["prompt"] for picture in ask(mine, "gallery")["pictures"]} == {"a wish"}
    assert [entry["id"] for entry in ask(mine, f"results/{second}/similar")["similar"]] == [first]
    assert ask(theirs, "history")["runs"] == ask(theirs, "gallery")["pictures"] == []
    assert ask(theirs, f"results/{second}/similar")["similar"] == []
    for client in (mine, theirs):
        client.close()
