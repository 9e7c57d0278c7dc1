"""What lies damaged in the data folder is met once: set aside, told in the log, and made anew."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hub.archive import history_store
from hub.archive import picture_index as gallery_index
from hub.archive.history_store import HistoryStore
from hub.archive.manifest import read_cell
from hub.archive.picture_index import ALL, PictureIndex, Query
from hub.database import bring_up_to_date, transaction
from hub.errors import StorageError
from hub.hub import Hub
from hub.people.users import Caller
from hub.results.secret import load_secret
from hub.results.store import ResultStore
from tests.fakes import Calls, colour_demo, drawing_demo, in_threads, plain

pytestmark = pytest.mark.slow

MakeEngine = Callable[..., Hub]
ME = Caller(session=f"cookie {'m' * 40}")


def changed(**parts: Any) -> Callable[[Path], None]:
    """record.json with other parts, as whoever edits it by hand would write it, without its sum."""

    def damage(folder: Path) -> None:
        record = {**json.loads((folder / "record.json").read_text()), **parts}
        record.pop("sum", None)
        (folder / "record.json").write_text(json.dumps(record))

    return damage


def written(data: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / "record.json").write_bytes(data) and None  # type: ignore[func-returns-value]


def a_folder(folder: Path) -> None:
    (folder / "record.json").unlink()
    (folder / "record.json").mkdir()


def a_link(folder: Path) -> None:
    (folder / "record.json").unlink()
    (folder / "record.json").symlink_to("/dev/zero")


def a_pipe(folder: Path) -> None:
    (folder / "record.json").unlink()
    os.mkfifo(folder / "record.json")


def a_file(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.write_text("a file in the place of a folder")


def huge(folder: Path) -> None:
    with (folder / "record.json").open("ab") as file:
        file.truncate(2**40)


STAGES = ("total_ms", "queue_ms", "load_ms", "prepare_ms", "infer_ms", "present_ms")
RECEIPT = {**dict.fromkeys(STAGES, 1.0), "cold": False, "cached": False, "batch_size": 1, "device": "cpu",
           "dtype": "float32", "weights": "", "digest": ""}  # fmt: skip
DAMAGES = {
    "null": written(b"null"), "a number": written(b"5"), "empty": written(b""), "not UTF-8": written(b'{"a": "\xff"}'),
    "deep": written(b"[" * 100_000), "a list": written(b"[[]]"), "cut": written(b'{"capsule": "'),
    "pictures: 5": changed(pictures=5), "pictures: null": changed(pictures=None),
    "of numbers": changed(pictures={"p": 5}),
    "of a path": changed(pictures={"p": [{"file": "../../../secret", "sha256": "a" * 64, "media_type": "image/png",
                                          "width": 1, "height": 1, "caption": ""}]}),
    "capsule: {}": changed(capsule={}), "capsule of another shape": changed(capsule='{"page": 5}'),
    "values: 7": changed(values=7), "values of another kind": changed(values="[]"), "NaN": changed(values='{"a": NaN}'),
    "receipt: []": changed(receipt=[]), "no date": changed(receipt={**RECEIPT, "created_at": "yesterday"}),
    "no zone": changed(receipt={**RECEIPT, "created_at": "2026-01-01T00:00:00"}),
    "sight: 3": changed(sight=3), "sentences": changed(sentences=[{"template": "{x:>9999999999}", "values": {"x": 1}}]),
    "a folder": a_folder, "a link": a_link, "a pipe": a_pipe, "a file": a_file, "huge": huge,
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_record_is_met_once_and_made_anew(
    make_hub: MakeEngine, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    demos = {"colours": colour_demo(), "words": drawing_demo(Calls())}
    before = make_hub(**demos)
    asked = {"colours": {"image": plain(250, 10, 10)}, "words": {"prompt": "a ball", "seed": 1}}
    results = {slug: before.engine.run(slug, inputs, caller=ME) for slug, inputs in asked.items()}
    for result in results.values():
        DAMAGES[name](tmp_path / "data" / "results" / result.id[:2] / result.id)
    (tmp_path / "data" / "gallery" / "index.db").unlink()
    hub = make_hub(**demos)
    other = hub.engine.run("colours", {"image": plain(240, 10, 10)}, caller=ME)
    hub.similar.find(other, hub.owners.of(ME))
    index = hub.pictures.index()
    assert index.search(Query(), ALL) == ([], 0)
    for slug, inputs in asked.items():
        anew = hub.engine.run(slug, inputs, caller=ME)
        assert (anew.id, anew.values) == (results[slug].id, results[slug].values)
        assert make_hub(**demos).results.get(anew.id) is not None
    assert caplog.text.count("is damaged") <= 2
    aside = list((tmp_path / "data" / "results" / ".damaged").glob("*"))
    assert len(aside) <= 2
    assert hub.forget(ME, None)[0] == 3
    assert not list((tmp_path / "data" / "results" / ".damaged").glob("*")), "who deletes a run deletes that, too"


def test_what_is_set_aside_is_bounded(make_hub: MakeEngine, tmp_path: Path) -> None:
    hub = make_hub(colours=colour_demo(), settings={"results_memory_mb": 0.0})
    for red in range(30):
        result = hub.engine.run("colours", {"image": plain(red, 0, 0)})
        written(b"null")(tmp_path / "data" / "results" / result.id[:2] / result.id)
        assert hub.results.get(result.id) is None
    assert len(list((tmp_path / "data" / "results" / ".damaged").iterdir())) <= 20


# --- tables ---------------------------------------------------------------------------------------


def spoil(path: Path, from_page: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[from_page * 4096 :] = b"\xa5" * (len(data) - from_page * 4096)
    path.write_bytes(bytes(data))
    for end in ("-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)


@pytest.mark.parametrize("from_page", [0, 1])
def test_damaged_tables_begin_anew(make_hub: MakeEngine, tmp_path: Path, from_page: int) -> None:
    demos = {"words": drawing_demo(Calls())}
    before = make_hub(**demos)
    result = before.engine.run("words", {"prompt": "a ball", "seed": 1}, caller=ME)
    before.sharing.share(result.id)
    before.close()
    before.history._open_store().close()
    for path in (tmp_path / "data").rglob("*"):
        if path.suffix in (".sqlite3", ".db"):
            spoil(path, from_page)
    hub = make_hub(**demos)

    def met(use: Callable[[], Any]) -> None:
        """Nothing but a StorageError, and that at most once."""
        try:
            use()
        except StorageError:
            use()

    owner = hub.history.owner(ME)
    for _ in range(2):
        hub.engine.run("words", {"prompt": "a cube", "seed": 1}, caller=ME)
        met(lambda: hub.history.search(owner))
        met(lambda: hub.pictures.index().search(Query(), ALL))
    assert hub.history.search(owner)[1] == 1
    assert hub.pictures.index().search(Query(text="cube"), ALL)[1] == 1
    if from_page == 0:
        assert hub.sharing.links.get(hub.sharing.share(result.id)[0].id)


def test_a_history_of_a_newer_hub_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "history.sqlite3") as newer:
        newer.execute("PRAGMA user_version = 99")
    newer.close()
    store = HistoryStore(tmp_path / "history.sqlite3", 100)  # in memory
    assert store.search("me")[1] == 0
    with sqlite3.connect(tmp_path / "history.sqlite3") as newer:
        assert newer.execute("PRAGMA user_version").fetchone() == (99,)
    newer.close()


def test_a_damaged_line_of_a_grid_costs_its_own_pictures_alone() -> None:
    right = {"cell": "a" * 32, "page": "words", "prompt": "p", "subject": "p", "style": "", "seed": 1, "weights": "",
             "digest": "", "created_at": "2026-11-21T12:00:00+00:00", "parameters": {},
             "pictures": [{"file": f"pictures/aa/{'a' * 32}.png", "width": 1, "height": 1, "caption": ""}]}  # fmt: skip
    assert read_cell(json.dumps(right).encode()) is not None
    wrongs: list[dict[str, Any]] = [
        {"seed": []}, {"seed": 2**70}, {"pictures": 5}, {"prompt": None}, {"created_at": "x"}, {"parameters": "x"},
        {"pictures": [{**right["pictures"][0], "file": "../../secret"}]},
    ]  # fmt: skip
    for wrong in wrongs:
        assert read_cell(json.dumps({**right, **wrong}).encode()) is None, wrong
    for line in (b"null", b"5", b"[" * 10**6, b"\xff", b"{}"):
        assert read_cell(line) is None


# --- the secret -----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("before", [None, b"", b"short"])
def test_all_that_start_at_once_have_one_secret(tmp_path: Path, before: bytes | None) -> None:
    for number in range(15):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        if before is not None:
            (folder / "secret").write_bytes(before)
        found = in_threads([lambda folder=folder: load_secret(folder)] * 12)  # type: ignore[misc]
        assert len(set(found)) == 1 and len(found[0]) == 32
        assert (folder / "secret").read_bytes() == found[0]
        assert (folder / "secret").stat().st_mode & 0o077 == 0


def test_another_start_that_tidies_up_costs_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its probe may be gone between the look at the folder and the look at the file."""
    real = Path.glob
    monkeypatch.setattr(Path, "glob", lambda self, text: [*real(self, text), *([self / ".probe-x"] * (text == ".*"))])
    assert str(ResultStore(tmp_path, memory_bytes=10**6, disk_bytes=10**6, max_age_s=60.0).warning) == ""


# --- searching ------------------------------------------------------------------------------------


def found_words(index: PictureIndex, text: str) -> list[str]:
    return [entry.prompt for entry in index.search(Query(text=text), ALL, order="old")[0]]


PROMPTS = [
    "一只红色的圆圈",
    "赤い丸と青い星",
    "วงกลมสีแดงบนพื้นขาว",
    "a red circle, 50% grey",
    "snake_case CAFÉ!!!",
    "🌵 desert",
]
SEARCHES = {
    "红": [0], "红色": [0], "圆圈": [0], "丸": [1], "青い星": [1], "สีแดง": [2], "กลม": [2], "CIRCLE": [3], "irc": [3],
    "50%": [3], "%": [3], "_": [4], "cafe": [4], "café": [4], "!!!": [4], "🌵": [5], "🌴": [], "???": [], "\u0301": [],
    "red grey": [3], "": [0, 1, 2, 3, 4, 5], "  ": [0, 1, 2, 3, 4, 5], '"': [], "*": [], "red*": [],
}  # fmt: skip


def entry(number: int, prompt: str) -> gallery_index.PictureRecord:
    return gallery_index.PictureRecord(
        source="run", result=f"{number:032x}", place=f"{number:032x}/images/0", demo="words", prompt=prompt, subject="",
        style="", seed=number, weights="", digest="", run="", created=float(number), width=8, height=8, caption="",
        parameters={},
    )  # fmt: skip


def test_words_are_found_as_they_stand_in_any_language(tmp_path: Path) -> None:
    index = PictureIndex(tmp_path / "index.db")
    index.add([entry(number, prompt) for number, prompt in enumerate(PROMPTS)], "me")
    for text, numbers in SEARCHES.items():
        assert found_words(index, text) == [PROMPTS[number] for number in numbers], text
    index.close()


def test_an_index_of_before_is_searched_like_a_new_one_and_keeps_whose_pictures_are(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "index.db")
    old.executescript(
        gallery_index.PICTURES
        + """CREATE VIRTUAL TABLE words USING fts5(prompt, content='pictures', content_rowid='row');
        CREATE TRIGGER added AFTER INSERT ON pictures BEGIN SELECT 1; END;
        CREATE TRIGGER removed AFTER DELETE ON pictures BEGIN SELECT 1; END;
        PRAGMA user_version = 2;"""
    )
    columns = ("owner", *gallery_index.COLUMNS)
    sql = f"INSERT INTO pictures ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    old.executemany(sql, [("me", *entry(number, prompt).row()) for number, prompt in enumerate(PROMPTS)])
    old.commit()
    old.close()
    index = PictureIndex(tmp_path / "index.db")
    assert not index.fresh
    for text, numbers in SEARCHES.items():
        assert found_words(index, text) == [PROMPTS[number] for number in numbers], text
    assert index.search(Query(), gallery_index.Viewer(True, ("me",)))[1] == len(PROMPTS)
    assert index.search(Query(), gallery_index.Viewer(True, ("you",)))[1] == 0
    index.close()


def test_an_index_of_the_first_version_is_read_anew_as_its_pictures_had_no_owners(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "index.db")
    old.executescript(
        """CREATE TABLE pictures (row INTEGER PRIMARY KEY, id TEXT UNIQUE, prompt TEXT);
        CREATE INDEX by_time ON pictures (row);
        CREATE TABLE batches (run TEXT PRIMARY KEY, offset INTEGER) WITHOUT ROWID;
        CREATE VIRTUAL TABLE words USING fts5(prompt, content='pictures', content_rowid='row');
        INSERT INTO pictures VALUES (1, 'a', 'a red ball');
        PRAGMA user_version = 1;"""
    )
    old.close()
    index = PictureIndex(tmp_path / "index.db")
    assert index.fresh and index.search(Query(), ALL)[1] == 0
    index.add([entry(1, "a red ball")], "me")
    index.caught_up()
    index.close()
    index = PictureIndex(tmp_path / "index.db")
    assert not index.fresh and index.search(Query(text="ball"), ALL)[1] == 1
    index.close()


# --- a long history -------------------------------------------------------------------------------


def test_adding_a_run_takes_as_many_steps_in_a_long_history_as_in_a_short_one(tmp_path: Path) -> None:
    store = HistoryStore(tmp_path / "history.sqlite3", 10**9)
    steps = {count: steps_to_add(store, count) for count in (50, 3_000)}
    assert steps[3_000] < 2 * steps[50], steps
    assert store.stats()["entries"] == 3_001
    store.close()


def steps_to_add(store: HistoryStore, count: int) -> int:
    """Instructions of SQLite for one more run with a picture, beside `count` others of many owners."""
    before = store.stats()["entries"]
    fill(store.database.connection, before, count)
    steps = [0]

    def step() -> int:
        steps[0] += 1
        return 0

    store.database.connection.set_progress_handler(step, 1)
    new = replace(RUN, id=f"new {count}", begun=1e9 + count, inputs={"image": f"new {count}"})
    store.add(new, {f"new {count}": b"x" * 100}, "words")
    store.database.connection.set_progress_handler(None, 1)
    return steps[0]


def fill(db: sqlite3.Connection, before: int, count: int, picture_bytes: int = 100) -> None:
    """Rows up to `count`, as many runs of 500 owners, each with a picture."""
    columns = (*history_store.COLUMNS, "words")
    base = {name: getattr(RUN, name) for name in history_store.COLUMNS} | {"parameters": "{}", "words": "some words"}
    with transaction(db):
        for number in range(before, count):
            sha = f"sha {number}"
            row = base | {"id": f"{number}", "owner": f"owner {number % 500}", "begun": float(number),
                          "result": f"{number}", "inputs": json.dumps({"image": sha})}  # fmt: skip
            db.execute(
                f"INSERT INTO run ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
                [row[name] for name in columns],
            )
            db.execute("INSERT INTO used VALUES (?, ?)", (f"{number}", sha))
            db.execute(
                "INSERT INTO picture (sha, last, bytes, data) VALUES (?, ?, ?, ?)",
                (sha, number, picture_bytes, b"x" * picture_bytes),
            )


RUN = history_store.HistoryEntry(
    id="", owner="me", result="r", page="words", state="done", begun=0.0, took_ms=1.0, cached=False, times=1,
    weights="", digest="", version="1", parameters={}, inputs={}, pictured=True, headline="", message="",
)  # fmt: skip


def test_the_oldest_go_first_and_pictures_with_the_last_run_that_used_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_store, "MOST", 6)
    monkeypatch.setattr(history_store, "MOST_OF_ONE", 3)
    store = HistoryStore(tmp_path / "history.sqlite3", 250)
    for number in range(5):
        used = {"shared": b"x" * 50, f"{number}": b"x" * 50}
        store.add(replace(RUN, id=f"{number}", begun=float(number), inputs={n: n for n in used}), used, "")
    assert [entry.id for entry in store.search("me")[0]] == ["4", "3", "2"]
    assert store.stats() == {"entries": 3, "pictures": 4, "picture_bytes": 200}
    assert store.picture("0") is None and store.picture("shared") is not None
    for number in range(5, 10):
        store.add(replace(RUN, id=f"{number}", owner=f"{number}", begun=float(number)), {}, "")
    assert store.stats()["entries"] == 6 and [entry.id for entry in store.search("me")[0]] == ["4"]
    for number in range(4):
        store.add(replace(RUN, id=f"p{number}", owner="p", begun=20.0 + number), {f"p{number}": b"x" * 90}, "")
    assert store.stats()["picture_bytes"] <= 250
    store.remove("p", None), store.remove("me", None)
    assert store.stats()["pictures"] == 0
    store.close()


def test_who_makes_up_cookies_pushes_out_no_more_than_what_came_from_the_same_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_store, "MOST", 20)
    store = HistoryStore(tmp_path / "history.sqlite3", 1000)

    def add(owner: str, place: str, begun: float) -> None:
        sha = f"sha {owner} {begun}"
        run = replace(RUN, id=f"{owner} {begun}", owner=owner, place=place, begun=begun, inputs={"image": sha})
        store.add(run, {sha: b"x" * 50}, "")

    for begun in range(12):
        add("user", "", float(begun))
    for begun in range(3):
        add("visitor", "there", 20.0 + begun)
    for begun in range(60):  # a cookie of its own each
        add(f"made up {begun}", "here", 100.0 + begun)
    assert [store.search(owner)[1] for owner in ("user", "visitor", "made up 59", "made up 55", "made up 54")] == [
        12, 3, 1, 1, 0,
    ]  # fmt: skip
    assert all(store.picture(f"sha user {begun}.0") for begun in range(12))
    assert all(store.picture(f"sha visitor {20.0 + begun}") for begun in range(3))
    for begun in range(6):  # the hub is full now: who has most makes room, and a newcomer has a history
        add(f"newcomer {begun}", f"elsewhere {begun}", 200.0 + begun)
    assert store.stats()["entries"] == 20 and store.search("user")[1] == 12 and store.search("newcomer 5")[1] == 1
    assert store.search("visitor")[1] >= 1
    for owner, _, _ in store.owners():
        store.remove(owner, None)
    assert store.database.connection.execute("SELECT * FROM place").fetchall() == []
    store.close()


def test_a_history_of_before_opens_and_a_stranger_keeps_to_a_share_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "history.sqlite3"
    old = sqlite3.connect(path, isolation_level=None)
    monkeypatch.setattr(history_store, "COLUMNS", history_store.COLUMNS[:-1])
    bring_up_to_date(old, history_store.HISTORY.steps[:2])
    fill(old, 0, 16)
    old.close()
    monkeypatch.undo()
    monkeypatch.setattr(history_store, "MOST", 16)
    store = HistoryStore(path, 10**6)
    assert store.stats() == {"entries": 16, "pictures": 16, "picture_bytes": 1600}
    for number in range(40):
        store.add(replace(RUN, id=f"new {number}", owner=f"new {number}", place="here", begun=1e9 + number), {}, "")
    left = [store.search(f"owner {number}")[1] for number in range(16)]
    assert left == [0] * 4 + [1] * 12 and store.stats()["pictures"] == 12
    store.add(replace(RUN, id="15", owner="owner 15", place="", begun=2e9), {}, "")  # a user asks again: it is theirs
    counts = dict(store.database.connection.execute("SELECT name, runs FROM place"))
    assert counts == {"before": 11, "here": 4}
    store.close()
