"""A disk that fills, is read-only or is busy: the true reason is told, as long as it lasts, and then all goes on."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hub import database
from hub.archive import links as links_module
from hub.archive.history_store import HistoryStore
from hub.database import reason, transaction
from hub.errors import StorageError
from hub.hub import Hub
from hub.results import disk, store
from hub.web.api import health
from tests.fakes import Calls, counting_demo, plain, shade_demo
from tests.results.test_damage import RUN

MakeEngine = Callable[..., Hub]


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Lets every connection that is opened from now on grow no further, as on a full disk; or ends that."""
    connect = sqlite3.connect

    def limited(*arguments: Any, **options: Any) -> sqlite3.Connection:
        made = connect(*arguments, **options)
        pages = made.execute("PRAGMA page_count").fetchone()[0]
        made.execute(f"PRAGMA max_page_count = {max(1, pages)}")
        return made

    return lambda on: monkeypatch.setattr(sqlite3, "connect", limited if on else connect)


def test_a_link_on_a_full_disk_tells_so_and_the_next_one_is_made(
    make_hub: MakeEngine, full: Callable[[bool], None]
) -> None:
    hub = make_hub(shade=shade_demo())
    result = hub.engine.run("shade", {"image": plain(250, 250, 250)})
    link, _ = hub.sharing.share(result.id)
    hub.corrections.say(link.id, "up", "")
    full(True)
    with pytest.raises(StorageError, match=r"The link cannot be kept: the disk is full \(.*links\.sqlite3\)") as told:
        hub.sharing.share(result.id)
    assert told.value.title == "The hub cannot keep or read this"
    kept = hub.corrections.store.database.connection
    (pages,) = kept.execute("PRAGMA page_count").fetchone()
    kept.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageError, match="the disk is full"):
        for _ in range(200):
            hub.corrections.say(link.id, "up", "x" * 1000)
    kept.execute(f"PRAGMA max_page_count = {pages * 100}")
    assert hub.sharing.links.get(link.id) and hub.sharing.links.file(link.id, "preview.jpg").data
    full(False)
    hub.corrections.say(link.id, "up", "")
    assert hub.sharing.share(result.id)[0].id


def test_a_history_on_a_full_disk_tells_so_and_goes_on(tmp_path: Path) -> None:
    kept = HistoryStore(tmp_path / "history.sqlite3", 10**9)
    pages = kept.database.connection.execute("PRAGMA page_count").fetchone()[0]
    kept.database.connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageError, match="The run cannot be kept in the history: the disk is full"):
        kept.add(RUN, {"sha": b"x" * 100_000}, "")
    assert kept.search("me")[1] == 0
    kept.database.connection.execute(f"PRAGMA max_page_count = {pages * 100}")
    kept.add(RUN, {"sha": b"x" * 100_000}, "")
    assert kept.search("me")[1] == 1
    kept.close()


def test_a_file_that_another_process_holds_is_told_as_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_S", 0.01)
    kept = links_module.LinkStore(tmp_path, 10**6)
    content = links_module.Content({"format": 1})
    kept.add(content, page="p", headline="h")
    other = sqlite3.connect(kept.path, isolation_level=None)
    with transaction(other), pytest.raises(StorageError, match="another process holds it"):
        kept.add(content, page="p", headline="h")
    other.close()
    kept.add(content, page="p", headline="h")


def test_what_went_wrong_is_told_where_nothing_is_left_to_roll_back() -> None:
    db = sqlite3.connect(":memory:", isolation_level=None)
    with pytest.raises(sqlite3.OperationalError, match="the first reason"), transaction(db):
        db.execute("ROLLBACK")  # as SQLite does by itself when the disk is full
        raise sqlite3.OperationalError("the first reason")
    db.close()


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "the disk is full"), (errno.EDQUOT, "the disk is full"), (errno.EROFS, "it cannot be written to")],
)
def test_a_disk_in_trouble_is_warned_of_while_it_lasts(
    make_hub: MakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    monkeypatch.setattr(disk, "LOOK_S", 0.0)
    monkeypatch.setattr(disk, "LOW_MB", 0)
    hub = make_hub(doubler=counting_demo(Calls()))
    assert health.warnings(hub) == []

    def fail(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fail)
        (told,) = health.warnings(hub)
        assert told == f"What people make cannot be kept: {words} ({tmp_path / 'data'})."
        assert health.readiness(hub)[1]["warnings"] == [told]
    assert health.warnings(hub) == []
    assert not list((tmp_path / "data").glob(".probe-*"))


def test_a_folder_that_could_not_be_used_is_used_as_soon_as_it_can(
    make_hub: MakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "RETRY_S", -1.0)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "results").touch()
    hub = make_hub(doubler=counting_demo(Calls()))
    assert "memory only" in health.warnings(hub)[-1]
    (tmp_path / "data" / "results").unlink()
    assert not any("memory only" in text for text in health.warnings(hub))
    result = hub.engine.run("doubler", {"number": 1, "seed": 1})
    assert make_hub(doubler=counting_demo(Calls())).results.get(result.id) is not None


def test_reasons_are_words(tmp_path: Path) -> None:
    assert reason(OSError(errno.ENOSPC, "x")) == "the disk is full"
    assert reason(OSError(errno.EACCES, "x")) == "it cannot be written to"
    assert reason(OSError(errno.EIO, "Input/output error")) == "Input/output error"
