"""The gallery over HTTP: who sees what, searches, pages, thumbnails, downloads, and an index that can be made anew."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from PIL import Image
from starlette.testclient import TestClient

from hub import database
from hub.archive import picture_index as index
from hub.batch import grid, plan, small, workers
from hub.batch.folder import RunFolder
from hub.cli.main import main
from hub.engine.jobs import Cancel
from hub.errors import CancelledError, NotFoundError
from hub.hub import Hub
from hub.pages.registry import Page, Registry
from hub.people.users import Caller
from hub.settings import Settings
from hub.spec import Gallery
from hub.web.middleware import guard, sessions
from tests.fakes import Calls, drawing_demo, plain, shade_demo
from tests.served import command
from tests.web.doors import app_of, become

MINE, THEIRS = {sessions.COOKIE: "m" * 32}, {sessions.COOKIE: "t" * 32}
ServedHub = Callable[..., tuple[Hub, TestClient]]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ServedHub]:
    """An engine and a client of its doors over one data folder: making another is a restart."""
    engines: list[Hub] = []

    def start(**settings: Any) -> tuple[Hub, TestClient]:
        demos = {"words": drawing_demo(Calls()), "shade": shade_demo()}
        registry = Registry({slug: Page(slug, "a test", tmp_path, declared=demo) for slug, demo in demos.items()})
        chosen = Settings(device="cpu", dtype="float32", data=str(tmp_path / "data"), **settings)
        engines.append(Hub(chosen, registry))
        app = app_of(engines[-1])
        return engines[-1], TestClient(app)

    yield start
    for hub in engines:
        hub.close()


def run(client: TestClient, cookies: dict[str, str], prompt: str, seed: int = 1) -> str:
    become(client, cookies)
    answer = client.post("/api/v1/demos/words", json={"prompt": prompt, "seed": seed})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def found(client: TestClient, query: str = "", cookies: dict[str, str] | None = None) -> list[dict[str, Any]]:
    if cookies is not None:
        become(client, cookies)
    answer = client.get(f"/api/v1/gallery?{query}")
    assert answer.status_code == 200, answer.text
    return list(answer.json()["pictures"])


def draw(hub: Hub, run: str, styles: list[str], template: str = "") -> RunFolder:
    hub.pictures._looked = 0.0  # as a second later
    hub = Hub(grid.settings_for(hub.settings), hub.registry)
    made = plan.make(hub, "words", ["red ball", "blue cube"], styles, [1, 2], run=run, template=template)
    folder = RunFolder.create(grid.root(hub.settings), made)
    workers.here(hub, folder, made, grid.missing(folder, made.cells()), lambda kind, value: None)
    hub.close()
    return folder


def test_single_runs_are_shown_to_the_browser_that_made_them(served: ServedHub) -> None:
    hub, client = served()
    mine, theirs = run(client, MINE, "my secret wish"), run(client, THEIRS, "another wish")
    (seen,) = found(client, "q=wish", MINE)
    assert (seen["prompt"], seen["run"], seen["demo"]) == ("my secret wish", "", "words")
    assert [p["prompt"] for p in found(client, "", THEIRS)] == ["another wish"]
    assert found(client, "", {}) == []
    become(client, THEIRS)
    for path in ("", "/image", "/thumbnail"):
        assert client.get(f"/api/v1/gallery/{seen['id']}{path}").status_code == 404
    assert "secret" not in client.get("/api/v1/gallery/download?format=csv").text
    assert client.get("/api/v1/gallery/facets").json()["demo"][0]["count"] == 1
    run(client, THEIRS, "my secret wish")  # an equal run: a stored result is given to both
    assert len(found(client, "", THEIRS)) == 2
    _, everyone = served(similar="everyone")
    assert {p["prompt"] for p in found(everyone, "", {})} == {"my secret wish", "another wish"}
    _, off = served(similar="off")
    assert found(off, "", MINE) == []
    hub.results.max_age_s = 0  # both are too old now
    assert hub.results.get(mine) is None and hub.results.get(theirs) is None
    assert found(client, "", MINE) == []


def test_what_one_deletes_goes_from_ones_own_gallery_only(served: ServedHub) -> None:
    hub, client = served()
    signed_in = Caller("ann", session=f"cookie {'a' * 32}")
    elsewhere = Caller("ann", session=f"cookie {'e' * 32}")
    hub.engine.run("words", {"prompt": "a wish", "seed": 1}, caller=signed_in)
    for cookies in (MINE, THEIRS):
        run(client, cookies, "a wish")
    hers = hub.pictures.viewer(hub.owners.of(elsewhere))
    (picture,) = found(client, "", MINE)
    assert hub.pictures.get(picture["id"], hers).prompt == "a wish"
    assert client.delete("/api/v1/history?all=true").json() == {"deleted": 1, "results_deleted": 1}
    assert found(client, "", MINE) == [] and len(found(client, "", THEIRS)) == 1
    assert hub.forget(elsewhere, None) == (1, 1), "from any browser"
    with pytest.raises(NotFoundError):
        hub.pictures.get(picture["id"], hers)
    assert client.get(picture["thumbnail"]).status_code == 200  # theirs


def test_grids_are_found_by_what_they_were_made_with(served: ServedHub) -> None:
    hub, client = served()
    draw(hub, "first", ["on black", "on white"])
    everything = found(client)
    assert len(everything) == 8
    assert {p["seed"] for p in found(client, "q=BALL&style=on+black&seed=2")} == {2}
    assert [p["prompt"] for p in found(client, "q=cub&order=seed&run=first&style=on+white")] == [
        "blue cube, on white"
    ] * 2
    assert found(client, "run=single") == found(client, "until=2020-01-01") == found(client, "q=zebra") == []
    pages = [found(client, f"order=seed&per_page=3&page={number}") for number in (1, 2, 3, 4)]
    assert [len(page) for page in pages] == [3, 3, 2, 0]
    assert len({p["id"] for page in pages for p in page}) == 8
    small = Image.open(io.BytesIO(client.get(everything[0]["thumbnail"]).content))
    assert (small.format, small.size) == ("WEBP", (32, 32))
    opened = urlsplit(everything[0]["open"])
    assert opened.path == "/words" and parse_qs(opened.query)["prompt"] == [everything[0]["prompt"]]
    for query, field in (
        ("seed=x", "seed"),
        ("page=0", "page"),
        ("order=up", "order"),
        ("sed=1", "sed"),
        ("since=May", "since"),
        ("until=9999-12-31", "until"),
        (f"seed={'0' * 11}{'9' * 20}", "seed"),
    ):
        answer = client.get(f"/api/v1/gallery?{query}")
        assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_pictures_of_one_cell_have_the_seeds_that_their_captions_tell(served: ServedHub) -> None:
    def present(output: dict[str, Any], prompt: str, width: int, seed: int) -> dict[str, Any]:
        return {"pictures": [(plain(9, 9, own, width, width), f"seed {own}") for own in (seed, seed + 1)]}

    hub, client = served()
    demo = drawing_demo(Calls(), outputs=(Gallery("pictures", "Pictures"),), present=present)
    hub.registry.pages["words"] = Page("words", "a test", Path(), declared=demo)
    draw(hub, "first", [""])
    assert sorted(p["seed"] for p in found(client)) == [1, 1, 2, 2, 2, 2, 3, 3]


def test_two_runs_are_laid_beside_each_other(served: ServedHub) -> None:
    hub, client = served()
    draw(hub, "first", ["on black", "on white"])
    draw(hub, "second", ["on black"], template="one {subject} {style}")
    body = client.get("/api/v1/gallery/pairs?a=first&b=second&per_page=3").json()
    assert (body["total"], len(body["pairs"])) == (4, 3)
    for pair in body["pairs"]:
        assert pair["a"]["prompt"] == pair["b"]["prompt"].removeprefix("one ").replace(" on", ", on")
        assert pair["a"]["seed"] == pair["b"]["seed"]
    assert client.get("/api/v1/gallery/pairs?a=first").json()["field"] == "b"


def test_a_download_holds_the_pictures_and_a_table_of_their_prompts(served: ServedHub) -> None:
    hub, client = served()
    folder = draw(hub, "first", ["", "=on black"])
    with zipfile.ZipFile(io.BytesIO(client.get("/api/v1/gallery/download?q=ball").content)) as made:
        assert made.testzip() is None
        rows = list(csv.DictReader(io.StringIO(made.read("prompts.csv").decode("utf-8-sig"))))
        assert sorted(made.namelist()) == sorted([row["file"] for row in rows] + ["prompts.csv"])
        record = next(r for r in folder.records() if r["seed"] == 2 and r["prompt"] == "red ball")
        row = next(r for r in rows if r["seed"] == "2" and r["prompt"] == "red ball")
        assert made.read(row["file"]) == (folder.path / record["pictures"][0]["file"]).read_bytes()
    assert len(rows) == 4 and {row["style"] for row in rows} == {"", "'=on black"}  # no spreadsheet runs it
    assert json.loads(rows[0]["settings"])["width"] == 32


def test_the_index_is_made_anew_where_it_is_lost_or_damaged(served: ServedHub, tmp_path: Path) -> None:
    hub, client = served()
    folder, id = draw(hub, "first", [""]), run(client, MINE, "alone")
    assert len(found(client, "", MINE)) == 5
    hub.close()
    for damaged in (None, b"no database" * 100):
        for file in (tmp_path / "data" / "gallery").glob("index.db*"):
            file.unlink()
        if damaged:
            (tmp_path / "data" / "gallery" / "index.db").write_bytes(damaged)
        again, client = served(similar="everyone")
        assert len(found(client)) == 5
        again.close()
    with (folder.path / "manifest.jsonl").open("a") as file:
        file.write('{"half of a li')  # another process is writing it
    (tmp_path / "data" / "results" / id[:2] / id / "record.json").unlink()
    (tmp_path / "data" / "results" / id[:2] / id).rename(tmp_path / "gone")
    _, client = served(similar="everyone")
    assert {p["run"] for p in found(client)} == {"first"}
    (folder.path / "manifest.jsonl").unlink()
    _, client = served()
    assert found(client) == []


def entry(number: int) -> index.PictureRecord:
    return index.PictureRecord(
        "run", f"{number}", f"{number}/picture/0", "words", "red", "", "", 1, "", "", "", 0.0, 8, 8, "", {}
    )


def test_processes_that_begin_together_keep_one_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    together, path = Barrier(6), tmp_path / "gallery" / "index.db"
    (path.parent).mkdir()
    with sqlite3.connect(path) as old:
        old.execute("PRAGMA user_version = 99")  # of another program: all find that it has to be made anew
    old.close()

    def begin(number: int) -> None:
        together.wait(20)
        own = index.PictureIndex(path)
        own.add([entry(number)], "me")
        own.close()

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(begin, range(6)))
    other = sqlite3.connect(path, isolation_level=None)
    assert other.execute("SELECT count(*) FROM pictures").fetchone() == (6,)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr(database, "BUSY_S", 0.01)
    alone = index.PictureIndex(path)  # busy for too long: that is no damage
    alone.close()
    other.execute("COMMIT")
    assert other.execute("SELECT count(*) FROM pictures").fetchone() == (6,)
    other.close()
    again = index.PictureIndex(path)
    assert again.search(index.Query(), index.Viewer(True, ("me",)))[1] == 6
    again.close()


def test_the_command_finds_and_copies_pictures(served: ServedHub, tmp_path: Path) -> None:
    hub, client = served()
    draw(hub, "first", [""])
    run(client, MINE, "a ball of my own")
    words = ["gallery", "--query", "ball", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--json"]
    done = command(main, *words)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)  # who has the machine sees the runs of all visitors
    assert told["total"] == 3 and {row["prompt"] for row in told["pictures"]} == {"red ball", "a ball of my own"}
    assert len([*(tmp_path / "out").glob("*.png")]) == 3


@pytest.mark.parametrize("place", ["gallery", "grid"])
def test_the_page_runs_no_script_but_its_own(served: ServedHub, place: str) -> None:
    _, client = served()
    answer = client.get(f"/{place}")
    assert answer.status_code == 200 and "script-src 'self';" in answer.headers["content-security-policy"]
    for name, kind in ((f"{place}.css", "text/css"), (f"{place}.js", "text/javascript")):
        assert f"{place}/{name}" in answer.text
        assert client.get(f"/{place}/{name}").headers["content-type"].startswith(kind)
    assert client.get(f"/{place}/permalink.html").status_code == 404


# --- grids that are drawn on a page ---------------------------------------------------------------

GRID = "/api/v1/demos/words/grid"
WISH = {"subjects": ["red ball", "blue cube"], "styles": ["on black", ""], "seeds": [1, 2], "settings": {"width": 24}}


def test_a_grid_is_drawn_for_who_asked_and_what_was_drawn_before_is_kept(served: ServedHub) -> None:
    hub, client = served()
    become(client, MINE)
    body = client.post(GRID, json=WISH).json()
    assert (body["drawn"], body["kept"], body["failed"], len(body["cells"])) == (8, 0, 0, 8)
    cell = next(c for c in body["cells"] if (c["subject"], c["style"], c["seed"]) == ("blue cube", "on black", 2))
    assert cell["prompt"] == "blue cube, on black" and parse_qs(urlsplit(cell["open"]).query)["width"] == ["24"]
    assert Image.open(io.BytesIO(client.get(cell["pictures"][0]["url"]).content)).size == (24, 24)
    (alone,) = found(client, f"run={body['run']}&subject=blue+cube&style=on+black&seed=2")
    assert client.get(alone["image"]).content == client.get(cell["pictures"][0]["url"]).content
    more = client.post(GRID, json={**WISH, "seeds": "3", "styles": "on black", "run": body["run"]}).json()
    assert (more["drawn"], more["kept"], more["run"]) == (2, 4, body["run"])  # seed 0 of both subjects is new
    assert len(found(client, "")) == 10
    theirs = run(client, THEIRS, "red ball, on black", seed=7)
    assert [p["id"] for p in found(client, "", THEIRS)] == [p["id"] for p in found(client, "run=single")] and theirs
    own = client.post(GRID, json={**WISH, "seeds": [9], "run": "own"}).json()
    assert client.get(f"/api/v1/gallery/pairs?a={own['run']}&b={body['run']}").json()["total"] == 0
    hub.pictures._looked = 0.0
    assert found(client, f"run={body['run']}") == []


def test_each_visitor_has_their_own_words_for_the_same_pictures(
    served: ServedHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "RUNS_MOST", 2)
    _, client = served()

    def post(cookies: dict[str, str], run: str, **more: Any) -> tuple[int, int]:
        become(client, cookies)
        body = client.post(GRID, json={**WISH, "run": run, **more}).json()
        return body["drawn"], body["kept"]

    def facet(name: str, cookies: dict[str, str]) -> dict[str, int]:
        become(client, cookies)
        return {one["value"]: one["count"] for one in client.get("/api/v1/gallery/facets").json()[name]}

    assert post(MINE, "mine") == (8, 0)
    same = {"subjects": ["red ball, on black"], "styles": ["hidden"], "template": "{subject}"}
    assert post(THEIRS, "theirs", **same) == (2, 0), "nobody is told that another drew it before"
    assert (facet("run", THEIRS), facet("style", THEIRS)) == ({"theirs": 2}, {"hidden": 2})
    assert [p["style"] for p in found(client, "q=hidden", THEIRS)] == ["hidden"] * 2 and len(found(client)) == 2
    assert (facet("run", MINE), facet("style", MINE)) == ({"mine": 8}, {"on black": 4})
    assert found(client, "q=hidden", MINE) == found(client, "run=theirs") == []
    assert post(MINE, "again", seeds=[1]) == (0, 4)  # in both grids from now on, and once among all
    assert [len(found(client, query, MINE)) for query in ("run=mine", "run=again", "")] == [8, 4, 8]
    assert facet("run", MINE) == {"again": 4, "mine": 8} and facet("style", MINE) == {"on black": 4}
    assert client.get("/api/v1/gallery/pairs?a=mine&b=again").json()["total"] == 4
    _, everyone = served(similar="everyone")
    assert len(found(everyone, "", {})) == 8
    for name in ("third", "fourth"):
        post(MINE, name, seeds=[1])
    assert facet("run", MINE) == {"fourth": 4, "third": 4, "mine": 4}  # a picture's oldest grids go


def test_a_grid_is_told_as_it_is_drawn(served: ServedHub) -> None:
    _, client = served()
    answer = client.post(GRID, json=WISH, headers={"Accept": "text/event-stream"})
    blocks = [dict(line.split(": ", 1) for line in block.split("\n")) for block in answer.text.strip().split("\n\n")]
    names, told = [block["event"] for block in blocks], [json.loads(block["data"]) for block in blocks]
    assert (names[0], names[-1], names.count("picture")) == ("plan", "result", 8)
    counts = [data["done"] for name, data in zip(names, told, strict=True) if name == "picture"]
    assert counts == [*range(1, 9)]
    assert {data["cell"] for name, data in zip(names, told, strict=True) if name == "picture"} == {
        cell["cell"] for cell in told[0]["cells"]
    }
    again = client.post(GRID, json=WISH).json()
    assert (again["drawn"], again["kept"]) == (0, 8)


def test_a_cancelled_grid_begins_no_other_picture_and_goes_on_from_there(served: ServedHub) -> None:
    calls = Calls()
    hub, _ = served(max_batch=1)
    hub.registry.pages["words"] = Page("words", "a test", Path(), declared=drawing_demo(calls))
    made, cancel, seen = small.make(hub, "words", WISH), Cancel(), list[str]()

    def hear(kind: str, *what: Any) -> None:
        seen.append(kind)
        if seen.count("drawn") == 3:
            cancel.set()

    with pytest.raises(CancelledError):
        small.draw(hub, made, hear, cancel, Caller())
    assert sum(calls.batches) == 3
    done = small.draw(hub, made, hear, Cancel(), Caller())
    assert (len(done.drawn), done.computed, sum(calls.batches)) == (8, 5, 8)


@pytest.mark.parametrize(
    ("wish", "field", "said"),
    [
        ({"seeds": 4}, "subjects", "subjects is missing"),
        ({**WISH, "seeds": "7-13"}, None, "at most 24 pictures; 2 subjects x 2 styles x 7 seeds are 28"),
        ({**WISH, "seeds": [True]}, "seeds", "how many"),
        ({**WISH, "subjects": [1]}, "subjects", "a list of texts"),
        ({**WISH, "settings": {"width": 900}}, "width", "between 8 and 64"),
        ({**WISH, "stiles": []}, "stiles", "Did you mean 'styles'"),
    ],
)
def test_a_wish_that_makes_no_grid_is_refused_in_words(
    served: ServedHub, wish: Any, field: str | None, said: str
) -> None:
    _, client = served()
    answer = client.post(GRID, json=wish)
    assert (answer.status_code, answer.json().get("field")) == (422, field) and said in answer.json()["detail"]


def test_a_run_on_a_page_belongs_to_its_browser(served: ServedHub) -> None:

    request = SimpleNamespace(cookies=MINE, session_hash="tab", request=None)
    for settings in ({}, {"similar": "off"}):
        served(**settings)
        assert guard.caller_on_page(request).session == f"cookie {'m' * 32}"  # what is read of a request
