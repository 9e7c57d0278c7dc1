"""Who waits for a picture to be drawn keeps nobody from uploads, files and lists."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from hub.decoding import budget
from hub.decoding.budget import BUDGET, PixelRoom
from hub.hub import Hub
from hub.people.users import Caller
from hub.web import drawers, server
from hub.web.middleware import sessions
from tests.fakes import PATIENCE_S
from tests.served import run_async
from tests.web.doors import png

MINE = {sessions.COOKIE: "m" * 32}
MANY = 45  # more than the 40 threads that everything is served in, where nothing else is said


@pytest.fixture(scope="module")
def app(make_hub: Callable[..., Hub]) -> Iterator[TestClient]:
    hub = make_hub(only=("shades",), similar="off")

    async def build() -> Any:  # outside of an event loop, Gradio makes loops that it never closes
        return server.build_app(hub)

    with TestClient(run_async(build()), base_url="http://127.0.0.1", cookies=MINE) as client:
        yield client


@contextmanager
def full() -> Iterator[None]:
    """All room for decoding is taken meanwhile, that for small pictures, too."""
    small, large = (PixelRoom(lambda: PATIENCE_S, lambda: False) for _ in range(2))
    small.reserve(1), large.reserve(BUDGET.pixels)
    small.reserve(BUDGET.pixels)
    try:
        yield
    finally:
        small.give_back(), large.give_back()


def test_who_waits_for_the_decoding_budget_holds_no_thread_of_the_others(app: TestClient) -> None:
    colours = ("red", "green")
    for colour in colours:
        answer = app.post("/api/v1/demos/shades", files={"image": png(colour=colour)}, data={"seed": "1"})
        assert answer.status_code == 200, answer.text
    result = answer.json()["id"]
    a, b = (run["id"] for run in app.get("/api/v1/history").json()["runs"])
    shared = {"note": "n"}
    doors: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", f"/api/v1/history/{a}/thumbnail", {}),
        ("GET", f"/api/v1/history/compare?a={a}&b={b}", {}),
        ("GET", f"/history/{a}/in-image.png", {}),
        ("GET", f"/history?run={a}", {}),
        ("GET", f"/history?a={a}&b={b}", {}),
        ("POST", f"/api/v1/results/{result}/links", {"json": shared}),
        ("POST", f"/history/{a}/share", {"data": shared}),
    ]

    async def play(method: str, path: str, sent: dict[str, Any]) -> None:
        async with client("203.0.113.1") as one, client("203.0.113.2") as other:
            with full():
                asked = [asyncio.ensure_future(one.request(method, path, **sent)) for _ in range(MANY)]
                while not BUDGET.waiting:
                    await asyncio.sleep(0.01)
                place = (await other.post("/gradio_api/upload", files={"files": ("a.png", png())})).json()[0]
                for free in ("/api/v1/demos", "/api/v1/history", f"/gradio_api/file={place}", "/history"):
                    assert (await other.get(free)).status_code == 200, free
                assert not any(task.done() for task in asked), path
                for task in asked[2:]:
                    task.cancel()
            answers = await asyncio.gather(*asked, return_exceptions=True)
            told = {answer.status_code for answer in answers if isinstance(answer, httpx.Response)}
            assert told <= {200, 201, 303}, (path, told)

    def client(address: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app.app, client=(address, 1))
        return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", cookies=MINE, timeout=PATIENCE_S)

    assert app.portal is not None
    for method, path, sent in doors:
        app.portal.call(play, method, path, sent)
    assert BUDGET.used == 0


def test_gradio_shows_uploads_in_threads_of_its_own(app: TestClient) -> None:
    """Its components decode what browsers do not show, within the same budget."""

    async def threads() -> set[Any]:
        from anyio import to_thread

        pages = next(route.app.app for route in app.app.routes if hasattr(getattr(route, "app", None), "files"))
        return {pages.get_blocks().limiter, to_thread.current_default_thread_limiter()}

    assert app.portal is not None
    found = app.portal.call(threads)
    assert len(found) == 2 and None not in found


def test_one_address_leaves_room_to_draw_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawers, "WAITING_MOST", 5)
    opened, begun = threading.Event(), threading.Semaphore(0)

    def wait() -> str:
        begun.release()
        assert opened.wait(PATIENCE_S)
        return "drawn"

    async def play() -> None:
        one, other = Caller(address="203.0.113.1"), Caller(address="203.0.113.2")
        tasks = [asyncio.ensure_future(drawers.draw(one, wait)) for _ in range(5)]
        for _ in range(drawers.OF_ADDRESS):
            await asyncio.to_thread(begun.acquire)
        with pytest.raises(drawers.BusyError, match="very many pictures"):
            await drawers.draw(one, wait)
        assert await drawers.draw(other, lambda: "at once") == "at once"
        tasks[-1].cancel()
        opened.set()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert done[:4] == ["drawn"] * 4
        assert await drawers.draw(one, lambda: "again") == "again"
        assert not drawers._DRAWERS.get().turns

    run_async(play())


def test_the_thumbnail_of_a_run_in_work_is_drawn_once(
    make_hub: Callable[..., Hub], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, seen = make_hub(only=("shades",), similar="off"), list[Any]()
    me = Caller(session="cookie " + "m" * 40)

    def hear(stage: str, progress: Any) -> None:
        if seen:
            return
        (run,) = hub.history.in_work(hub.history.owner(me))
        first = hub.history.thumbnail(run.entry)
        with monkeypatch.context() as patched:
            patched.setattr(budget, "room", None)  # nothing is decoded again
            seen.extend([first, hub.history.thumbnail(run.entry)])

    hub.engine.run("shades", {"image": png(colour="teal"), "seed": 1}, on_event=hear, caller=me)
    assert seen[0] == seen[1]
