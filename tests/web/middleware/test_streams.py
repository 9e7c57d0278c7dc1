"""A page's stream of events ends once nothing is to come over it, also where the page was slow to open it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client

from hub.hub import Hub
from hub.pages.registry import Page, Registry
from hub.settings import Settings
from hub.web import server
from tests.fakes import Calls, drawing_demo
from tests.served import PATIENT, run_async, running

SESSION = "s" * 12


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    registry = Registry({"words": Page("words", "a test", tmp_path, declared=drawing_demo(Calls()))})
    hub = Hub(Settings(device="cpu", dtype="float32", data=str(tmp_path / "data")), registry)

    async def build() -> Any:
        return server.build_app(hub)

    with running(run_async(build())) as url:
        yield url
    hub.close()


@pytest.fixture
def event(address: str) -> dict[str, Any]:
    """What a page sends to have the demo run."""
    client = Client(address, verbose=False, httpx_kwargs=PATIENT)
    index = next(d["id"] for d in client.config["dependencies"] if d["api_name"] == "words")
    client.close()
    return {"data": ["a wish"], "fn_index": index, "session_hash": SESSION}


async def heard(client: httpx.AsyncClient) -> list[str]:
    """Kinds of the messages of one stream, until its end."""
    messages = []
    async with client.stream("GET", "/gradio_api/queue/data", params={"session_hash": SESSION}) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                messages.append(json.loads(line.removeprefix("data: "))["msg"])
            if messages and messages[-1] == "close_stream":
                return messages  # as a page hangs up
    return messages


def test_a_stream_that_is_opened_when_all_was_answered_ends_at_once(address: str, event: dict[str, Any]) -> None:
    async def visit() -> tuple[list[str], list[str], list[str]]:
        async with httpx.AsyncClient(base_url=address, timeout=httpx.Timeout(30, read=14)) as client:
            (await client.post("/gradio_api/queue/join", json=event)).raise_for_status()
            first, late = await heard(client), await heard(client)
            (await client.post("/gradio_api/queue/join", json=event)).raise_for_status()
            return first, late, await heard(client)

    first, late, again = run_async(visit())
    assert first[-2:] == again[-2:] == ["process_completed", "close_stream"]
    assert late == ["close_stream"]
