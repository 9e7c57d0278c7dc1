"""Whose results are: what one visitor is told of another's runs, and what may be shown of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from hub.errors import ConflictError
from hub.hub import Hub
from hub.pages.registry import Page, Registry
from hub.people.owners import Owners
from hub.people.users import Caller
from hub.settings import Settings
from hub.spec import Text
from hub.web.middleware import arrivals
from tests.fakes import colour_demo
from tests.web.doors import app_of, png

MINE, THEIRS = {"hub_session": "m" * 40}, {"hub_session": "t" * 40}
ServedHub = Callable[..., tuple[Hub, TestClient]]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ServedHub]:
    engines: list[Hub] = []

    def start(**settings: Any) -> tuple[Hub, TestClient]:
        chosen = {"device": "cpu", "dtype": "float32", "data": str(tmp_path / "data"), **settings}
        pages = {"colours": Page("colours", "a test", tmp_path, declared=colour_demo())}
        engines.append(Hub(Settings(**chosen), Registry(pages)))
        app = app_of(engines[-1])
        app.add_middleware(arrivals.Arrivals, hub=engines[-1])
        return engines[-1], TestClient(app)

    yield start
    for hub in engines:
        hub.close()


def asked(client: TestClient, cookies: dict[str, str], method: str, path: str, **more: Any) -> Any:
    client.cookies.clear()
    client.cookies.update(cookies)
    return client.request(method, path, **more)


def run(client: TestClient, cookies: dict[str, str], colour: str = "red") -> dict[str, Any]:
    answer = asked(client, cookies, "POST", "/api/v1/demos/colours", files={"image": png(colour=colour)})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.mark.parametrize("similar", ["session", "everyone"])
def test_held_inputs_go_with_a_link_only_for_who_ran_that_result(served: ServedHub, similar: str) -> None:
    _, client = served(similar=similar)
    theirs = run(client, THEIRS, "darkred")["id"]
    mine = run(client, MINE)["id"]
    found = asked(client, MINE, "GET", f"/api/v1/results/{mine}/similar").json()["similar"]
    assert [one["id"] for one in found] == ([theirs] if similar == "everyone" else [])
    for cookies in (MINE, {}):
        refused = asked(client, cookies, "POST", f"/api/v1/results/{theirs}/links", json={})
        assert (refused.status_code, refused.json()["field"]) == (409, "image"), cookies
        bare = asked(client, cookies, "POST", f"/api/v1/results/{theirs}/links", json={"leave_out": ["image"]})
        assert bare.status_code == 201 and client.get(f"/r/{bare.json()['id']}/in-image.png").status_code == 404
    made = asked(client, THEIRS, "POST", f"/api/v1/results/{theirs}/links", json={})
    assert made.status_code == 201 and client.get(f"/r/{made.json()['id']}/in-image.png").status_code == 200


def test_who_sends_no_cookie_shares_what_their_address_ran_unless_all_are_told_of_it(served: ServedHub) -> None:
    for similar, status in (("session", 201), ("everyone", 409)):
        _, client = served(similar=similar)
        id = run(client, {})["id"]
        made = asked(client, {}, "POST", f"/api/v1/results/{id}/links", json={})
        assert made.status_code == status
        if status == 201:
            assert made.json()["expires_at"] is not None, "nobody can be told to own it"
    owned = asked(client, MINE, "POST", f"/api/v1/results/{run(client, MINE)['id']}/links", json={}).json()
    assert owned["expires_at"] is None


def test_a_visitor_is_told_of_no_earlier_run_than_their_own(served: ServedHub) -> None:
    _, client = served()
    theirs = run(client, THEIRS)
    for cookies in (MINE, {}):
        mine = run(client, cookies)
        assert mine["id"] == theirs["id"], "the model runs once for all"
        assert not mine["receipt"]["cached"]
        first = mine["receipt"]["created_at"]
        assert datetime.fromisoformat(first) > datetime.fromisoformat(theirs["receipt"]["created_at"])
        again = run(client, cookies)["receipt"]
        assert (again["cached"], again["created_at"]) == (True, first)
        shown = asked(client, cookies, "GET", f"/api/v1/results/{mine['id']}").json()["receipt"]
        assert (shown["cached"], shown["created_at"]) == (False, first)
    stranger = asked(client, {"hub_session": "s" * 40}, "GET", f"/api/v1/results/{theirs['id']}").json()["receipt"]
    assert stranger["created_at"] is None
    (entry,) = asked(client, MINE, "GET", "/api/v1/history").json()["runs"]
    assert entry["cached"] and entry["times"] == 2
    again = run(client, THEIRS)["receipt"]
    assert (again["cached"], again["created_at"]) == (True, theirs["receipt"]["created_at"])
    _, client = served()  # a restart
    assert run(client, THEIRS)["receipt"]["created_at"] == theirs["receipt"]["created_at"]
    assert run(client, MINE)["receipt"]["cached"] and not run(client, {"hub_session": "s" * 40})["receipt"]["cached"]


def test_a_deletion_tells_nothing_of_others_and_leaves_nothing_of_who_deletes(
    served: ServedHub, tmp_path: Path
) -> None:
    hub, client = served()
    mine = run(client, MINE)["id"]
    run(client, THEIRS)
    other = run(client, MINE, "darkred")["id"]
    for colour, id in (("red", mine), ("darkred", other)):  # one that another has too, and one that nobody has
        run(client, MINE, colour)
        (entry,) = [e for e in asked(client, MINE, "GET", "/api/v1/history").json()["runs"] if id in e["result"]]
        answer = asked(client, MINE, "DELETE", f"/api/v1/history/{entry['id']}").json()
        assert answer == {"deleted": 1, "results_deleted": 1}
    assert hub.results.get(other) is None and len(hub.similar.index._entries) == 1
    owner = Owners(hub.results.secret).of(Caller(session=f"cookie {'m' * 40}")).id
    kept = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert kept and not [path for path in kept if owner.encode() in path.read_bytes()], "of whom it was made for"
    assert not hub.executor._outputs, "outputs of models go too"
    assert not run(client, MINE)["receipt"]["cached"], "it never was"
    _, client = served()
    assert run(client, THEIRS)["receipt"]["cached"]


def test_a_users_deletion_reaches_all_browsers_and_rows_of_before(served: ServedHub) -> None:
    hub, _ = served()
    one, two = (Caller("ann", session=f"cookie {letter * 40}") for letter in "ab")
    result = hub.engine.run("colours", {"image": png(colour="red")}, caller=one)
    other = hub.engine.run("colours", {"image": png(colour="darkred")}, caller=two)
    assert [m.id for m in hub.similar.find(other, hub.owners.of(two))] == [result.id]
    assert hub.forget(two, None) == (2, 2)
    assert hub.results.get(result.id) is None and not hub.similar.index._entries


def test_an_old_history_opens_and_is_counted(served: ServedHub, tmp_path: Path) -> None:
    from hub.archive import history_store

    (tmp_path / "data").mkdir()
    with sqlite3.connect(tmp_path / "data" / "history.sqlite3") as old:
        old.executescript(history_store.TABLES)
        columns = ["a", "me", "r", "colours", "failed", 1e10, 1.0, 0, 1, "", "", "1", "{}", "{}", 0, "", "", "words"]
        old.execute(f"INSERT INTO run VALUES ({','.join('?' * 18)})", columns)
        old.execute("INSERT INTO used VALUES ('a', 's')")
        old.execute("INSERT INTO picture VALUES ('s', 1.0, 3, x'010203')")
        old.execute("PRAGMA user_version = 1")
    old.close()
    store = history_store.HistoryStore(tmp_path / "data" / "history.sqlite3", 100)
    assert store.stats() == {"entries": 1, "pictures": 1, "picture_bytes": 3}
    assert store.search("me", "words")[1] == 1
    assert [one.state for one in store.remove("me", None)[0]] == ["failed"]
    assert store.stats() == {"entries": 0, "pictures": 0, "picture_bytes": 0}
    store.close()


def test_what_somebody_wrote_goes_with_a_link_only_for_who_ran_it(served: ServedHub) -> None:
    hub, _ = served()
    page = hub.registry.get("colours")
    inputs = (*page.demo.inputs, Text("name", "Name"))
    known = colour_demo()
    demo = colour_demo(
        inputs=inputs,
        prepare=lambda image, shown, name: known.prepare(image, shown),
        present=lambda output, image, shown, name: known.present(output, image, shown),
    )
    hub.registry.pages["named"] = Page("named", "a test", page.assets, declared=demo)
    me, you = (Caller(session=f"cookie {letter * 40}") for letter in "my")
    result = hub.engine.run("named", {"image": png(colour="red"), "name": "Private"}, caller=me)
    with pytest.raises(ConflictError, match="'name' must be left out"):
        hub.sharing.share(result.id, who=hub.owners.of(you), leave_out=["image"])
    hub.sharing.share(result.id, who=hub.owners.of(you), leave_out=["image", "name"])
    assert hub.sharing.share(result.id, who=hub.owners.of(me))[0].id
