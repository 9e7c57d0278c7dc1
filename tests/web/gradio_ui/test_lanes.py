"""The parts of live mode: a run that keeps nothing, one frame at a time, the measured rate."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from hub.hub import Hub
from hub.settings import Settings
from hub.spec import ImageInput, Text
from hub.web.gradio_ui.lanes import PAUSE_S, Lanes, Meter
from hub.web.gradio_ui.live import can_be_live
from tests.fakes import Calls, Clock, picky_demo, registry_of, shade_demo, steps_demo
from tests.served import run_async
from tests.web.doors import png


def test_a_live_run_keeps_nothing_and_cannot_be_found(tmp_path: Path) -> None:
    calls = Calls()

    def infer(model: Any, items: list[Any]) -> list[float]:
        calls.batches.append(len(items))
        return [0.5 for _ in items]

    hub = Hub(Settings(data=str(tmp_path), device="cpu", dtype="float32"), registry_of(shade=shade_demo(infer=infer)))
    first, second = (hub.engine.run("shade", {"image": png()}, kind="live") for _ in range(2))
    assert first.id != second.id
    assert hub.results.get(first.id) is None
    assert calls.infers == 2, "the model's output is not kept either"
    assert hub.results.stats()["memory_results"] == hub.results.stats()["disk_results"] == 0
    kept = hub.engine.run("shade", {"image": png()})
    assert kept.values == first.values
    assert hub.results.get(kept.id) is not None
    hub.close()


def test_live_mode_is_for_pages_that_a_frame_alone_answers_at_once() -> None:
    camera = ImageInput("image", "Photo", webcam=True)
    assert can_be_live(picky_demo())
    assert can_be_live(shade_demo(inputs=(camera,)))
    assert not can_be_live(shade_demo())
    assert not can_be_live(shade_demo(inputs=(camera, ImageInput("other", "Other"))))
    assert not can_be_live(shade_demo(inputs=(camera, Text("prompt", "Prompt"))))
    assert not can_be_live(steps_demo(Calls(), inputs=(camera,)))


def test_a_frame_that_waits_gives_way_to_a_newer_one() -> None:
    async def scenario() -> tuple[list[Any], list[int]]:
        lanes, gate, ran = Lanes(), asyncio.Event(), list[int]()

        async def work(number: int) -> int:
            ran.append(number)
            await gate.wait()
            return number

        tasks = []
        for number in range(5):
            tasks.append(asyncio.create_task(lanes.run("tab", lambda number=number: work(number))))
            await asyncio.sleep(0)
        gate.set()
        return await asyncio.gather(*tasks), ran

    found, ran = run_async(scenario())
    assert found == [0, None, None, None, 4]
    assert ran == [0, 4]


def test_a_lane_is_free_when_its_work_ends_even_if_nobody_waits_for_it() -> None:
    async def scenario() -> list[Any]:
        lanes, gate = Lanes(), asyncio.Event()

        async def held() -> str:
            await gate.wait()
            return "held"

        async def quick() -> str:
            return "quick"

        async def failing() -> str:
            raise ValueError("a fault")

        left = asyncio.create_task(lanes.run("tab", held))
        await asyncio.sleep(0)
        given_up = asyncio.create_task(lanes.run("tab", quick))
        await asyncio.sleep(0)
        left.cancel()
        given_up.cancel()
        await asyncio.sleep(0)
        waiting = asyncio.create_task(lanes.run("tab", quick))
        await asyncio.sleep(0.01)
        begun = waiting.done()
        gate.set()
        after = await waiting
        with pytest.raises(ValueError, match="a fault"):
            await lanes.run("tab", failing)
        return [begun, after, await lanes.run("tab", quick)]

    assert run_async(scenario()) == [False, "quick", "quick"]


def test_the_rate_is_measured_and_begins_anew_after_a_pause() -> None:
    clock = Clock()
    meter = Meter(clock)
    assert meter.tick() is None
    for _ in range(30):
        clock.now += 0.25
        rate = meter.tick()
    assert rate == pytest.approx(4.0)
    clock.now += PAUSE_S + 1
    assert meter.tick() is None
