"""The history over HTTP: whose it is, what deleting means, what it survives, runs in work, and signing out."""

from __future__ import annotations

import asyncio
import hashlib
import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest
from PIL import Image
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from hub.archive import history, history_store
from hub.cli.main import main
from hub.engine.jobs import Followed
from hub.hub import Hub
from hub.pages.registry import Page, Registry
from hub.people import users
from hub.people.tokens import TokenStore
from hub.people.users import Caller, UsersFile
from hub.settings import Settings
from hub.web.gradio_ui import history as history_ui
from hub.web.middleware import arrivals, guard, sessions
from hub.web.parts import filled
from tests.fakes import wait_until
from tests.served import command, run_async
from tests.web.doors import SHADES, SLOW, app_of, become, png

MINE, THEIRS = {sessions.COOKIE: "m" * 32}, {sessions.COOKIE: "t" * 32}
ME, THEM = Caller(session=f"cookie {'m' * 32}"), Caller(session=f"cookie {'t' * 32}")
PASSWORD, ENDED = "correct horse", threading.Event()
ServedHub = Callable[..., tuple[Hub, TestClient]]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ServedHub]:
    """An engine and a client of its doors over one data folder: making another is a restart."""
    engines: list[Hub] = []

    def start(**settings: Any) -> tuple[Hub, TestClient]:
        pages = {
            slug: Page(slug, "a test", tmp_path, declared=d) for slug, d in {"shades": SHADES, "slow": SLOW}.items()
        }
        chosen = Settings(device="cpu", dtype="float32", data=str(tmp_path / "data"), **settings)
        engines.append(Hub(chosen, Registry(pages)))
        app = app_of(engines[-1])
        app.add_middleware(arrivals.Arrivals, hub=engines[-1])
        app.router.routes[:0] = [WebSocketRoute("/echo", echo)]
        app.user_middleware[:0] = guard.layers(engines[-1])
        return engines[-1], TestClient(app, follow_redirects=False)

    yield start
    for hub in engines:
        hub.close()


async def echo(socket: WebSocket) -> None:
    """As a Streamlit page, which stays open for hours."""
    await socket.accept()
    with suppress(WebSocketDisconnect):
        while True:
            await socket.send_text(await socket.receive_text())
    ENDED.set()


def run(client: TestClient, cookies: dict[str, str], colour: str = "teal", **values: Any) -> str:
    become(client, cookies)
    files = {"image": ("photo.png", png(colour=colour), "image/png")}
    answer = client.post(
        "/api/v1/demos/shades", files=files, data={"seed": "1", **{k: str(v) for k, v in values.items()}}
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def listed(client: TestClient, query: str = "", cookies: dict[str, str] | None = None) -> list[dict[str, Any]]:
    if cookies is not None:
        become(client, cookies)
    answer = client.get(f"/api/v1/history?{query}")
    assert answer.status_code == 200, answer.text
    return list(answer.json()["runs"])


def test_each_browser_finds_what_it_ran_newest_first_and_nobody_elses(served: ServedHub) -> None:
    _, client = served()
    result = run(client, MINE)
    run(client, MINE, threshold=0.25)
    assert run(client, THEIRS) == result == run(client, MINE)  # equal runs: one result, in both histories
    first, second = listed(client, cookies=MINE)
    assert (first["result"], first["times"], first["cached"]) == (f"/api/v1/results/{result}", 2, True)
    assert {one["label"]: one["value"] for one in second["settings"]}["Threshold"] == 0.25
    assert (first["title"], first["headline"], first["state"]) == ("Shades", "dark 67\N{NO-BREAK SPACE}%", "done")
    assert [listed(client, f"per_page=1&page={n}")[0]["id"] for n in (1, 2)] == [first["id"], second["id"]]
    assert (
        listed(client, "q=0.25+SHADES") == [second] and listed(client, "q=zebra") == listed(client, "demo=slow") == []
    )
    small = client.get(first["thumbnail"])
    assert Image.open(io.BytesIO(small.content)).format == "WEBP"
    assert client.get(first["inputs"]["image"]).content == png()
    for query in ("page=0", "per_page=201", "sort=up", f"q={'x' * 501}"):
        assert client.get(f"/api/v1/history?{query}").status_code == 422, query
    (other,) = listed(client, cookies=THEIRS)
    assert other["id"] != first["id"] and listed(client, cookies={}) == []
    for cookies in (THEIRS, {}):
        become(client, cookies)
        for path in ("", "/thumbnail", "/inputs/image"):
            assert client.get(f"/api/v1/history/{first['id']}{path}").status_code == 404
        assert client.delete(f"/api/v1/history/{first['id']}").status_code == 404
        assert client.delete(f"/api/v1/history?ids={first['id']}").json()["deleted"] == 0
        assert client.get(f"/history?run={first['id']}").status_code == 404
        assert client.post(f"/history/{first['id']}/share").status_code == 404
        assert client.get(f"/history/{first['id']}/in-image.png").status_code == 404
        assert client.get(f"/api/v1/history/compare?a={first['id']}&b={second['id']}").status_code == 404
    assert len(listed(client, cookies=MINE)) == 2


def test_a_result_goes_with_the_last_history_that_has_it_and_links_stay(served: ServedHub, tmp_path: Path) -> None:
    hub, client = served()
    photo = png(colour="orange")
    shared, own = run(client, MINE), run(client, MINE, "orange", threshold=0.25)
    run(client, THEIRS)
    mine = {entry["result"].rpartition("/")[2]: entry["id"] for entry in listed(client, cookies=MINE)}
    link = client.post(f"/history/{mine[own]}/share", data={"include": "on", "ends": "0"})
    assert link.status_code == 303
    for query in ("", "ids=", "all=false", f"all=true&ids={mine[own]}"):  # nothing by leaving something out
        assert client.delete(f"/api/v1/history?{query}").status_code == 422, query
    assert client.delete(f"/api/v1/history?ids={mine[shared]}").json() == {"deleted": 1, "results_deleted": 1}
    assert client.get(f"/api/v1/results/{shared}").status_code == 200
    assert client.delete("/api/v1/history?all=true").json() == {"deleted": 1, "results_deleted": 1}
    assert client.get(f"/api/v1/results/{own}").status_code == 404
    page = client.get("/history/" + link.headers["location"])
    assert page.status_code == 200 and "Shades" in page.text
    assert hub.history.stats()["pictures"] == 1  # theirs
    assert photo not in b"".join(file.read_bytes() for file in (tmp_path / "data").glob("history*"))
    assert listed(client) == [] and len(listed(client, cookies=THEIRS)) == 1


def test_the_row_waits_until_a_run_cannot_be_replaced_by_the_next_value(
    served: ServedHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_ui, "PASSING_S", 0.2)
    monkeypatch.setattr(history_ui, "LOOK_S", 0.01)
    hub, client = served()
    values = [hub.results.get(run(client, MINE, threshold=value)) for value in (0.25, 0.75)]
    first, second = (result for result in values if result is not None)
    past = history_ui.Past(hub, hub.registry.get("shades"), cast(Any, None))
    past.owner = lambda request: hub.history.owner(ME)  # type: ignore[method-assign]
    tab = cast(gr.Request, SimpleNamespace(session_hash="tab"))

    async def drag() -> tuple[Any, int, Any]:
        await past.remember_result(tab, first, adjusting=True)
        early = asyncio.ensure_future(past.fill(tab))
        await asyncio.sleep(0.05)
        there = len(listed(client))
        await past.remember_result(tab, second, adjusting=True)
        return await early, there, await past.fill(tab)

    early, there, last = run_async(drag())
    assert early == gr.skip(), "a picture that is gone in a moment is not asked for"
    assert (there, last.count("<li>"), len(listed(client))) == (2, 1, 1)
    assert listed(client)[0]["id"] in last


def test_it_survives_a_restart_and_is_swept_with_its_results(served: ServedHub, tmp_path: Path) -> None:
    _, client = served()
    kept, gone = run(client, MINE), run(client, MINE, threshold=0.25)
    folder = tmp_path / "data" / "results" / gone[:2] / gone
    folder.rename(tmp_path / "elsewhere")
    hub, client = served()
    wait_until(lambda: len(listed(client, cookies=MINE)) == 1, "the one whose result went is forgotten")
    (entry,) = listed(client)
    assert entry["result"].endswith(kept)
    assert "In the model" in client.get(f"/history?run={entry['id']}").text
    hub.results.remove(kept)
    assert listed(client) == []
    run(client, MINE)
    _, client = served(results_days=0)
    wait_until(lambda: listed(client, cookies=MINE) == [], "what is too old is forgotten")
    assert (tmp_path / "data" / "history.sqlite3").stat().st_mode & 0o077 == 0
    _, memory = served(results_disk_mb=0)  # who wants nothing on the disk has a history until the hub ends
    run(memory, MINE)
    assert len(listed(memory, cookies=MINE)) == 1
    assert listed(served()[1], cookies=MINE) == []


def test_it_stops_growing(served: ServedHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_store, "MOST_OF_ONE", 3)
    hub, client = served()
    results = [run(client, MINE, colour) for colour in ("red", "green", "blue", "white")]
    assert [entry["result"][-32:] for entry in listed(client)] == results[:0:-1]
    assert hub.history.stats() | {"picture_bytes": 0} == {
        "entries": 3, "pictures": 3, "picture_bytes": 0, "in_work": 0
    }  # fmt: skip
    hub.history._open_store().limit_bytes = len(png(colour="red")) + 10
    run(client, MINE, "black")
    newest, before = listed(client)[:2]
    assert client.get(newest["inputs"]["image"]).status_code == 200
    assert client.get(before["inputs"]["image"]).status_code == 404
    assert "not held any more" in client.get(f"/history?run={before['id']}").text


def test_a_stranger_with_many_cookies_pushes_out_nobody_elses_history(
    served: ServedHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_store, "MOST", 8)
    _, client = served()
    stranger = TestClient(client.app, client=("203.0.113.9", 50_000))
    run(client, MINE, "red")
    for number in range(8):
        run(stranger, {sessions.COOKIE: f"{number}" * 32}, "green")
    assert len(listed(client, cookies=MINE)) == 1
    left = [len(listed(stranger, cookies={sessions.COOKIE: f"{number}" * 32})) for number in range(8)]
    assert left == [0] * 6 + [1] * 2


def test_two_runs_beside_each_other(served: ServedHub) -> None:
    _, client = served()
    run(client, MINE)
    run(client, MINE, "white", threshold=0.25)
    client.post("/api/v1/demos/slow")
    slow, b, a = listed(client)
    told = client.get(f"/api/v1/history/compare?a={a['id']}&b={b['id']}").json()
    differs = {one["name"] for one in told["settings"] if one["differs"]}
    assert differs == {"image", "threshold"} and told["settings"][0]["differs"]
    (light,) = [row for row in told["rows"] if row["name"] == "light"]
    assert light["difference"] == pytest.approx(light["b"] - light["a"])
    page = client.get(f"/history?a={a['id']}&b={b['id']}")
    assert page.status_code == 200 and f"api/v1/results/{a['result'][-32:]}/picture" in page.text
    assert client.get(f"/history/{a['id']}/in-image.jpg").status_code == 200
    answer = client.get(f"/api/v1/history/compare?a={a['id']}&b={slow['id']}")
    assert (answer.status_code, "one page" in answer.text) == (422, True)


def test_a_run_opens_again_with_all_that_went_in(served: ServedHub, tmp_path: Path) -> None:
    hub, client = served()
    run(client, MINE, threshold=0.25, view="back")
    (entry,) = listed(client)
    page, query = hub.registry.get("shades"), [("history", entry["id"])]
    found = filled.read(hub, page, query, tmp_path, hub.history.owner(ME))
    assert not found.problems
    assert Path(found.values.pop("image")).read_bytes() == png()
    assert found.values == {"threshold": 0.25, "count": 2, "view": "back", "seed": 1}
    assert filled.read(hub, page, query, tmp_path, hub.history.owner(THEM)).problems == [history.GONE]
    assert entry["open"] == f"/shades?history={entry['id']}"


# --- runs in work ---------------------------------------------------------------------------------


def begin(hub: Hub, cancel: Followed, caller: Caller = ME) -> tuple[threading.Thread, history.InWork]:
    asked = {"engine": hub.engine, "seconds": 60}
    thread = threading.Thread(target=lambda: _outlasted(asked, cancel, caller), daemon=True)
    thread.start()
    wait_until(lambda: bool((found := hub.history.in_work(hub.history.owner(caller))) and found[0].last_event[1]))
    return thread, hub.history.in_work(hub.history.owner(caller))[0]


def _outlasted(asked: dict[str, Any], cancel: Followed, caller: Caller) -> None:
    with pytest.raises(history.CancelledError):
        asked["engine"].run("slow", {"seconds": asked["seconds"]}, cancel=cancel, caller=caller)


def test_a_run_in_work_is_told_and_can_be_stopped_from_elsewhere(served: ServedHub) -> None:
    hub, client = served()
    cancel = Followed()
    cancel.join()
    thread, _ = begin(hub, cancel)
    become(client, MINE)
    (entry,) = client.get("/api/v1/history").json()["running"]
    assert (entry["state"], entry["progress"]["stage"], entry["progress"]["total"]) == ("running", "running", 2)
    moved = client.get(f"/history?run={entry['id']}")
    assert (moved.status_code, moved.headers["location"]) == (303, f"slow?history={entry['id']}")
    become(client, THEIRS)
    assert client.get("/api/v1/history").json()["running"] == []
    assert client.post(f"/api/v1/history/{entry['id']}/stop").status_code == 404
    become(client, MINE)
    assert client.post(f"/api/v1/history/{entry['id']}/stop").status_code == 204
    thread.join(10)
    (ended,) = listed(client)
    assert (ended["id"], ended["state"], ended["result"]) == (entry["id"], "stopped", None)
    assert "It was stopped" in client.get(f"/history?run={entry['id']}").text


def test_a_run_that_was_left_goes_on_only_where_its_browser_comes_back(served: ServedHub) -> None:
    hub, client = served()
    cancel = Followed(patience_s=0.3)
    cancel.join()
    thread, work = begin(hub, cancel)
    become(client, MINE)
    client.get("/history", headers={"accept": "text/html"})  # as a browser does before it leaves the old page
    cancel.leave()
    time.sleep(0.5)
    assert not cancel.is_set() and cancel.is_left
    cancel.join()  # the page is there again
    cancel._until = 0.0
    assert not cancel.is_set()
    become(client, THEIRS)
    client.get("/history", headers={"accept": "text/html"})
    cancel.leave()
    thread.join(10)
    with pytest.raises(history.CancelledError):
        work.future.result(5)


def test_a_value_that_a_control_only_passed_leaves_no_entry(served: ServedHub) -> None:
    hub, client = served()
    first, second = run(client, MINE), run(client, MINE, threshold=0.25)
    run(client, MINE)
    owner = hub.history.owner(ME)
    for result in (first, second):
        hub.history.forget_passing(owner, result)
    assert [entry["result"][-32:] for entry in listed(client)] == [first]  # it was run twice: somebody wanted it
    assert hub.results.get(second) is not None


# --- signed in ------------------------------------------------------------------------------------


def test_a_user_has_one_history_in_all_browsers_and_a_token_one_in_each(
    served: ServedHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users, "LOG2_N", 4)
    file, data = UsersFile(tmp_path / "users.txt"), tmp_path / "data"
    for name in ("ann", "ben"):
        file.put(name, "run", PASSWORD)
    token, view = (TokenStore(data).add(role)[1] for role in ("run", "view"))
    _, client = served(auth=str(file.path))
    client.auth = ("ann", PASSWORD)
    run(client, MINE)
    assert len(listed(client, cookies=THEIRS)) == 1
    client.auth = ("ben", PASSWORD)
    assert listed(client, cookies=MINE) == []
    client.auth = None
    client.headers["authorization"] = f"Bearer {token}"
    run(client, MINE)
    assert len(listed(client)) == 1 and listed(client, cookies=THEIRS) == []
    client.headers["authorization"] = f"Bearer {view}"
    assert client.get("/api/v1/history").status_code == 403


def test_signing_out_ends_the_session_although_the_browser_sends_its_password(
    served: ServedHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users, "LOG2_N", 4)
    file = UsersFile(tmp_path / "users.txt")
    file.put("ann", "run", PASSWORD)
    _, client = served(auth=str(file.path))
    client.auth, client.headers["accept"] = ("ann", PASSWORD), "text/html"
    page = client.get("/history")
    assert (page.status_code, 'action="./sign-out"' in page.text) == (200, True)
    with client.websocket_connect("/echo") as socket:
        socket.send_text("still here")
        assert socket.receive_text() == "still here"
        client.post("/sign-out")
        socket.send_text("still here")
        assert ENDED.wait(10)
    become(client, {})
    ticket = client.get("/history").cookies["hub_key"]
    assert client.post("/sign-out", headers={"origin": "http://evil.example"}).status_code == 403
    assert client.get("/history").status_code == 200
    out = client.post("/sign-out", headers={"sec-fetch-site": "same-origin"})
    assert (out.status_code, out.headers["location"]) == (303, "/sign-out")
    assert "signed out" in client.get("/sign-out").text
    refused = client.get("/history")
    assert refused.status_code == 401 and "Basic" not in refused.headers["www-authenticate"]
    asked = client.get("/sign-in")  # with what the browser still sends by itself
    assert asked.status_code == 200 and 'action="/login"' in asked.text
    assert client.get("/history").status_code == 401
    assert client.post("/login", data={"username": "ann", "password": "not her password"}).status_code == 401
    back = client.post("/login", data={"username": "ann", "password": PASSWORD})
    assert (back.status_code, back.headers["location"]) == (303, "/")
    client.auth = None
    assert client.get("/history").status_code == 200
    become(client, {"hub_key": ticket})
    assert client.get("/history").status_code == 401  # nobody signs in with the old one


# --- the command ----------------------------------------------------------------------------------


def test_the_command_tells_who_has_the_machine_how_much_is_kept_and_clears_it(
    served: ServedHub, tmp_path: Path
) -> None:
    _, client = served()
    run(client, MINE)
    data = ("--data", str(tmp_path / "data"))
    done = command(main, "history", *data)
    assert done.returncode == 0 and "1 run" in done.stdout and "teal" not in done.stdout
    assert hashlib.sha256(b"m" * 32).hexdigest() not in done.stdout
    assert command(main, "history", "clear", *data).returncode == 2  # not by accident
    assert command(main, "history", "clear", "--all", *data).returncode == 0
    assert listed(client) == []
