"""Two runs of one open page: the newer one's answer stays, whichever ends last."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

from hub.hub import Hub
from hub.web.gradio_ui.page.page import DemoPage
from tests.served import run_async


def test_an_older_run_that_ends_later_is_not_drawn(hub: Hub, tmp_path: Any, monkeypatch: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as threads:
        running = DemoPage(hub, hub.registry.get("shades"), threads, tmp_path).running
        may_end, drawn = threading.Event(), list[str]()

        def run(slug: str, inputs: Any, **named: Any) -> str:
            if inputs["image"] == "older":
                may_end.wait(10)
            return str(inputs["image"])

        async def draw(request: Any, now: Any, inputs: Any, adjusting: bool = False) -> list[Any]:
            if now.ended is not None:
                drawn.append(now.ended.result())
            return []

        monkeypatch.setattr(hub, "engine", SimpleNamespace(run=run))
        monkeypatch.setattr(running, "draw_moment", draw)
        monkeypatch.setattr("hub.web.gradio_ui.page.running.guard.caller_on_page", lambda request: None)
        request = SimpleNamespace(session_hash="tab")
        rest = [None] * (len(running.asking.names) - 1)

        async def follow(name: str) -> None:
            async for _ in running.run(request, name, *rest):  # type: ignore[arg-type]
                pass

        async def both() -> None:
            older = asyncio.ensure_future(follow("older"))
            await asyncio.sleep(0.05)
            await follow("newer")
            may_end.set()
            await older

        run_async(both())
    assert drawn == ["newer"]
