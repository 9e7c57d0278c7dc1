"""The row of similar pictures on a page: what it holds, when it is filled, whose it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hub.archive import examples as idle
from hub.archive.similar import Match
from hub.hub import Hub
from hub.pages.registry import Page, Registry
from hub.results.result import Result
from hub.settings import Settings
from hub.spec import Example
from hub.web.gradio_ui import similar as similar_ui
from hub.web.middleware import guard
from tests.fakes import BLUES, REDS, colour_demo, plain
from tests.served import run_async

MINE = SimpleNamespace(cookies={"hub_session": "m" * 32}, session_hash="tab", request=None)
THEIRS = SimpleNamespace(cookies={"hub_session": "t" * 32}, session_hash="other", request=None)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(idle, "IDLE_S", 0.05)
    monkeypatch.setattr(similar_ui, "TICK_S", 0.01)
    REDS[1].save(tmp_path / "red.png")
    demo = colour_demo(examples=(Example({"image": "red.png"}, "A <red> one"),))
    settings = Settings(device="cpu", dtype="float32", data=str(tmp_path / "data"))
    made = Hub(settings, Registry({"colours": Page("colours", "a test", tmp_path, declared=demo)}))
    yield made
    made.close()


@pytest.fixture
def row(hub: Hub) -> similar_ui.Row:
    return similar_ui.Row(hub, hub.registry.get("colours"))


def run(row: similar_ui.Row, image: Any, request: Any = MINE) -> Result:
    result = row.hub.engine.run("colours", {"image": image}, caller=guard.caller_on_page(request))
    row.remember_result(request, result)
    return result


def filled(row: similar_ui.Row, request: Any = MINE) -> list[list[Any]]:
    async def collect() -> list[list[Any]]:
        return [update async for update in row.fill(request)]

    return run_async(collect())


def test_the_row_comes_at_once_and_again_when_the_examples_are_in(row: similar_ui.Row) -> None:
    earlier = run(row, plain(230, 30, 20))
    run(row, REDS[0])
    first, *later = filled(row)
    assert f'data-result="{earlier.id}"' in first[0]
    assert "data-example" not in first[0]
    assert first[1] == ""  # what was opened before is closed
    assert len(later) == 1
    assert 'data-example="0"' in later[0][0]
    assert 'alt="A &lt;red&gt; one"' in later[0][0]
    assert later[0][0].index("data-result") < later[0][0].index("data-example")


def test_nothing_is_drawn_when_nothing_is_similar(row: similar_ui.Row) -> None:
    run(row, REDS[0])
    run(row, BLUES[0])
    assert filled(row)[-1][0] == ""
    assert filled(row, SimpleNamespace(cookies={}, session_hash="never ran", request=None))[-1][0] == ""


def test_another_session_sees_the_examples_only(row: similar_ui.Row) -> None:
    run(row, plain(230, 30, 20), MINE)
    run(row, REDS[0], THEIRS)
    drawn = filled(row, THEIRS)[-1][0]
    assert "data-example" in drawn
    assert "data-result" not in drawn


def test_an_older_answer_does_not_draw_over_a_newer_one(row: similar_ui.Row) -> None:
    run(row, REDS[0])

    async def overtaken() -> list[Any]:
        updates = row.fill(MINE)  # type: ignore[arg-type]
        waiting = asyncio.ensure_future(anext(updates))
        await asyncio.sleep(0)  # it has begun to look, for the red picture
        row._last["tab"] = "newer"
        return list(await waiting)

    assert all(update.get("__type__") == "update" and "value" not in update for update in run_async(overtaken()))


def test_a_past_result_opens_below_the_row(row: similar_ui.Row) -> None:
    result = run(row, REDS[0])
    drawn = row.open(event({"result": result.id}))
    assert f'src="api/v1/results/{result.id}/thumbnail"' in drawn
    assert "Share" in drawn
    assert "37.9 %" in drawn
    for wrong in ({"result": "0" * 32}, {"result": 5}, {}, None, {"result": "../../secret"}):
        assert "no longer kept" in row.open(event(wrong))


def event(data: Any) -> Any:
    return SimpleNamespace(_data=data)


def test_text_from_outside_is_escaped() -> None:
    drawn = similar_ui.draw_tiles([(Match("i" * 32, 0.87654, None, "", 0.0), '"><script>')], everyone=True)
    assert "<script>" not in drawn
    assert "0.88" in drawn
    assert "everyone" in drawn
    assert similar_ui.draw_tiles([], everyone=False) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "just now"),
        (59, "just now"),
        (60, "1 min ago"),
        (7300, "2 h ago"),
        (90_000, "1 day ago"),
        (10**6, "11 days ago"),
    ],
)
def test_times_are_told_as_people_do(seconds: float, text: str) -> None:
    assert similar_ui.ago(1000.0, 1000.0 + seconds) == text
    assert similar_ui.ago(1000.0, 900.0) == "just now"  # clocks differ


def test_a_page_without_embeddings_has_no_row(make_row: Callable[..., similar_ui.Row]) -> None:
    for row in (make_row("session", similar=False), make_row("off")):
        row.build(SimpleNamespace(), "")  # type: ignore[arg-type]
        assert row.tiles is None


@pytest.fixture
def make_row(tmp_path: Path) -> Callable[..., similar_ui.Row]:
    def make(setting: str, **changes: Any) -> similar_ui.Row:
        page = Page("colours", "a test", tmp_path, declared=colour_demo(**changes))
        settings = Settings(device="cpu", data=str(tmp_path / "data"), similar=setting)
        return similar_ui.Row(Hub(settings, Registry({"colours": page})), page)

    return make
