"""Gradio's queue rests while nobody asks for anything, and is awake while somebody waits for an answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread
from gradio_client import Client

from hub.hub import Hub
from hub.pages.registry import Page, Registry
from hub.settings import Settings
from hub.web import server
from hub.web.gradio_ui import mount
from hub.web.middleware import pace
from tests.fakes import Calls, drawing_demo, wait_until
from tests.served import PATIENT, run_async, running


@pytest.fixture
def queues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Any]]:
    """The address of a hub with one page, and Gradio's queue in it."""
    monkeypatch.setattr(pace, "AWAKE_S", 0.5)
    built: list[Any] = []
    build_pages = mount.build
    monkeypatch.setattr(mount, "build", lambda hub: built.append(build_pages(hub)) or built[0])
    registry = Registry({"words": Page("words", "a test", tmp_path, declared=drawing_demo(Calls()))})
    hub = Hub(Settings(device="cpu", dtype="float32", data=str(tmp_path / "data")), registry)

    async def build() -> Any:
        return server.build_app(hub)

    with running(run_async(build())) as url:
        yield url, built[0]._queue
    hub.close()


def test_it_rests_and_is_awake_from_the_first_question_until_the_last_answer(queues: tuple[str, Any]) -> None:
    url, queue = queues
    client = Client(url, verbose=False, httpx_kwargs=PATIENT)
    wait_until(lambda: queue.sleep_when_free == pace.RESTING_S)
    begun, over = threading.Event(), threading.Event()
    process = queue.process_events

    async def slowly(*arguments: Any, **named: Any) -> Any:
        begun.set()
        await to_thread.run_sync(over.wait, 20.0)
        return await process(*arguments, **named)

    queue.process_events = slowly
    job = client.submit("a wish", api_name="/words")
    assert begun.wait(20)
    wait_until(lambda: queue.sleep_when_free < pace.RESTING_S)
    time.sleep(3 * pace.AWAKE_S)
    assert queue.sleep_when_free < pace.RESTING_S and queue.progress_update_sleep_when_free < pace.RESTING_S
    over.set()
    assert job.result(30) is not None
    wait_until(lambda: queue.sleep_when_free == queue.progress_update_sleep_when_free == pace.RESTING_S)
    client.close()
