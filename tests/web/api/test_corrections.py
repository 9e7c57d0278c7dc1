"""Corrections over REST and on their page: who may say, see and delete what; what is refused, in words."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from hub.archive.corrections import bounds
from hub.hub import Hub
from hub.pages.registry import Page, Registry
from hub.people import users
from hub.people.users import UsersFile
from hub.settings import Settings
from hub.web.middleware import guard, sessions
from tests.fakes import HOSTILE
from tests.web.doors import SHADES, app_of, become, png

MINE, THEIRS = {sessions.COOKIE: "m" * 32}, {sessions.COOKIE: "t" * 32}


def make(folder: Path, **settings: Any) -> tuple[Hub, TestClient]:
    chosen = Settings(device="cpu", dtype="float32", data=str(folder / "data"), **settings)
    hub = Hub(chosen, Registry({"shades": Page("shades", "a test", folder, declared=SHADES)}))
    app = app_of(hub)
    app.add_middleware(guard.Guard, hub=hub)
    return hub, TestClient(app, base_url="http://127.0.0.1", cookies=MINE)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    hub, client = make(tmp_path)
    yield client
    hub.close()


def run(client: TestClient, colour: str = "teal") -> str:
    return str(client.post("/api/v1/demos/shades", files={"image": png(colour=colour)}, data={"seed": 1}).json()["id"])


def correct(client: TestClient, id: str, status: int = 201, **body: Any) -> dict[str, Any]:
    answer = client.post(f"/api/v1/results/{id}/correction", json=body)
    assert answer.status_code == status, answer.text
    return dict(answer.json())


def test_what_can_be_said_is_told_and_what_was_said_is_kept_listed_and_deleted(client: TestClient) -> None:
    place = f"/api/v1/results/{(id := run(client))}/correction"
    can = client.get(place).json()
    (part,) = can["parts"]
    assert (part["name"], part["kind"], part["answer"]) == ("shares", "class", "dark")
    assert ({*part["options"]}, can["pictured"], can["said"]) == ({"light", "dark"}, True, None)
    kept = correct(client, id, verdict="wrong", correction={"shares": "light"}, note=HOSTILE, keep_picture=True)
    assert client.get(place).json()["said"] == kept
    assert (kept["correction"], kept["note"], kept["mine"], kept["result"]) == ({"shares": "light"}, HOSTILE, True, id)
    picture = client.get(kept["pictures"]["image"])
    assert picture.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(picture.content)).size == (24, 16)
    again = correct(client, id, verdict="right")
    listed = client.get("/api/v1/corrections?demo=shades").json()
    assert (listed["total"], listed["corrections"], listed["everybody"]) == (1, [again], False)
    assert listed["demos"] == [{"slug": "shades", "title": "Shades", "count": 1}]
    assert client.get(kept["pictures"]["image"]).status_code == 404, "the picture of before went with the word"
    assert client.get("/api/v1/corrections?verdict=wrong").json()["total"] == 0
    here = f"/api/v1/corrections/{again['id']}"
    assert client.get(here).json() == again
    assert [client.delete(here).status_code for _ in range(2)] == [204, 404]


def test_what_went_in_is_there_to_say_on_it_what_is_right_for_who_ran_it(client: TestClient) -> None:
    id = run(client)
    view = client.get(f"/api/v1/results/{id}/correction/image")
    assert (view.headers["content-type"], view.headers["picture-size"]) == ("image/jpeg", "24x16")
    assert client.get(f"/api/v1/results/{id}/correction/nothing").status_code == 404
    become(client, THEIRS)
    assert client.get(f"/api/v1/results/{id}/correction/image").status_code == 403


def test_a_run_of_the_history_is_corrected_on_its_page(client: TestClient) -> None:
    run(client)
    (entry,) = client.get("/api/v1/history").json()["runs"]
    page, place = f"/history?run={entry['id']}", f"/history/{entry['id']}/correction"
    assert f'action="history/{entry["id"]}/correction"' in client.get(page).text
    said = {"verdict": "wrong", "correction": '{"shares": "light"}', "note": HOSTILE, "keep": "on"}
    sent = client.post(place, data=said, follow_redirects=False)
    assert (sent.status_code, sent.headers["location"]) == (303, f"../..{page}#correction")
    text = client.get(page).text
    assert "You said: Wrong" in text and HOSTILE not in text and "data-correction" not in text
    assert "data-correction" in client.get(f"{page}&again=1").text
    (kept,) = client.get("/api/v1/corrections").json()["corrections"]
    assert (kept["correction"], [*kept["pictures"]]) == ({"shares": "light"}, ["image"])
    assert client.post(place, data={"verdict": "maybe"}).status_code == 422
    become(client, THEIRS)
    assert client.post(place, data=said).status_code == 404


def test_strangers_correct_see_and_delete_nothing_of_others(client: TestClient) -> None:
    id = run(client)
    kept = correct(client, id, verdict="wrong", keep_picture=True)
    here, picture = f"/api/v1/corrections/{kept['id']}", kept["pictures"]["image"]
    for cookies in (THEIRS, None):
        become(client, cookies)
        assert client.get("/api/v1/corrections").json()["total"] == 0
        assert kept["id"] not in client.get("/corrections").text
        assert [client.get(path).status_code for path in (here, picture)] == [404, 404]
        assert client.delete(here).status_code == client.post(f"/corrections/{kept['id']}/delete").status_code == 404
        assert "You are not known to have run" in correct(client, id, 403, verdict="right")["detail"]
        assert client.get(f"/api/v1/results/{id}/correction").status_code == 403
    become(client, MINE)
    assert client.get(picture).status_code == 200
    assert client.delete("/api/v1/history?all=true").json()["deleted"] == 1
    assert [client.get(path).status_code for path in (here, picture)] == [404, 404], "it goes with the history"


def test_an_administrator_sees_and_deletes_what_all_said_as_it_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users, "LOG2_N", 4)
    file = UsersFile(tmp_path / "users.txt")
    for name, role in (("ann", "admin"), ("ben", "run"), ("eve", "run")):
        file.put(name, role, "a password")
    hub, client = make(tmp_path, auth=str(tmp_path / "users.txt"))
    client.auth = ("ben", "a password")
    wrong: dict[str, Any] = {"verdict": "wrong", "correction": {"shares": "light"}, "note": HOSTILE}
    kept = correct(client, run(client), **wrong, keep_picture=True)
    client.auth = ("eve", "a password")
    assert client.get("/api/v1/corrections").json()["total"] == 0
    assert client.get(kept["pictures"]["image"]).status_code == 404
    client.auth = ("ann", "a password")
    listed = client.get("/api/v1/corrections").json()
    assert listed["everybody"] and [one["id"] for one in listed["corrections"]] == [kept["id"]]
    assert not listed["corrections"][0]["mine"] and client.get(kept["pictures"]["image"]).status_code == 200
    page = client.get("/corrections?demo=shades&verdict=wrong").text
    assert HOSTILE not in page and "&lt;script&gt;alert(1)" in page
    assert "<s>dark</s> <ins>light</ins>" in page and "0 of 1" in page and kept["pictures"]["image"][1:] in page
    gone = client.post(f"/corrections/{kept['id']}/delete", data={"demo": "shades"}, follow_redirects=False)
    assert (gone.status_code, gone.headers["location"]) == (303, "../../corrections?demo=shades")
    assert "Nothing was said yet" in client.get("/corrections").text
    hub.close()


def test_a_shared_result_is_corrected_by_who_has_its_link(client: TestClient) -> None:
    link = client.post(f"/api/v1/results/{run(client)}/links", json={}).json()
    place, page = f"/api/v1/links/{link['id']}/correction", f"/r/{link['id']}"
    become(client, THEIRS)
    assert 'name="keep"' not in client.get(page).text, "it is not theirs to give"
    said = client.post(place, json={"verdict": "wrong", "correction": {"shares": "light"}, "keep_picture": True})
    assert said.status_code == 201 and said.json()["pictures"] == {}
    assert (said.json()["result"], said.json()["link"]) == (None, link["id"])
    become(client, MINE)
    form = {"verdict": "wrong", "correction": '{"shares": "light"}', "note": HOSTILE, "keep": "on"}
    assert 'name="keep"' in client.get(page).text
    sent = client.post(f"{page}/correction", data=form, follow_redirects=False)
    assert (sent.status_code, sent.headers["location"]) == (303, f"../{link['id']}?thanks=1#feedback")
    shown = client.get(f"/api/v1/links/{link['id']}").json()
    assert (shown["thumbs_up"], shown["thumbs_down"], len(shown["feedback"])) == (0, 2, 2)
    (mine,) = client.get("/api/v1/corrections").json()["corrections"]
    assert (mine["correction"], [*mine["pictures"]]) == ({"shares": "light"}, ["image"])
    text = client.get(page).text
    assert "Wrong: light" in text and HOSTILE not in text
    for bad, status in (({"verdict": "up"}, 422), ({"verdict": "wrong", "correction": "["}, 400),
                        ({"verdict": "wrong", "correction": '{"shares": "grey"}'}, 422)):  # fmt: skip
        assert client.post(f"{page}/correction", data=bad).status_code == status
    assert client.post("/api/v1/links/" + "x" * 22 + "/correction", json={"verdict": "right"}).status_code == 404


def test_what_is_refused_is_said_in_words(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    id = run(client)
    for body, field in (
        ({}, "verdict"), ({"verdict": "maybe"}, "verdict"), ({"verdict": ["right"]}, "verdict"),
        ({"verdict": "wrong", "correction": "light"}, "correction"),
        ({"verdict": "wrong", "correction": {"shares": "grey"}}, "correction"),
        ({"verdict": "wrong", "correction": {"picture": "x"}}, "correction"),
        ({"verdict": "right", "note": "x" * 1001}, "note"), ({"verdict": "right", "note": 5}, "note"),
        ({"verdict": "right", "keep_picture": "yes"}, "keep_picture"), ({"verdict": "right", "who": "me"}, "who"),
    ):  # fmt: skip
        assert correct(client, id, 422, **body)["field"] == field, body
    place, json = f"/api/v1/results/{id}/correction", {"content-type": "application/json"}
    assert client.post(place, content=b" " * 70_000, headers=json).status_code == 413
    assert client.post(place, content=b"{}", headers={"content-type": "text/plain"}).status_code == 415
    assert client.post(place, json={"verdict": "right"}, headers={"origin": "https://e.example"}).status_code == 403
    assert "'dark'" in correct(client, id, 422, verdict="wrong", correction={"shares": "drak"})["detail"]
    assert correct(client, "0" * 32, 404, verdict="right")["code"] == "not_found"
    for query, field in (("demos=x", "demos"), ("page=0", "page"), ("verdict=x", "verdict")):
        answer = client.get(f"/api/v1/corrections?{query}")
        assert (answer.status_code, answer.json()["field"]) == (422, field)
        assert client.get(f"/corrections?{query}").status_code == 422
    monkeypatch.setattr(bounds, "A_MINUTE", 1)
    correct(client, id, verdict="right")
    assert correct(client, run(client, "red"), 429, verdict="right")["code"] == "busy"


def test_the_document_has_corrections_as_they_answer(client: TestClient) -> None:
    document = client.get("/api/v1/openapi.json").json()
    schemas = document["components"]["schemas"]
    kept = correct(client, run(client), verdict="right", keep_picture=True)
    assert {*kept} == {*schemas["Correction"]["required"]}
    assert {*client.get("/api/v1/corrections").json()} == {*schemas["Corrections"]["required"]}
    assert {*document["paths"]["/api/v1/corrections/{id}"]} == {"get", "delete"}


def test_a_hub_that_keeps_no_corrections_says_so(tmp_path: Path) -> None:
    hub, client = make(tmp_path, corrections_disk_mb=0.0)
    assert correct(client, run(client), 503, verdict="right")["code"] == "unavailable"
    assert client.get("/api/v1/corrections").json()["total"] == 0
    hub.close()
