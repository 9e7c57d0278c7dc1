"""How the hub's SQLite files are opened: every earlier version, nobody else's to read, never those of a newer hub."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from hub.archive.corrections.store import CORRECTIONS
from hub.archive.history_store import HISTORY
from hub.archive.links import LINKS
from hub.database import Database, Tables, bring_up_to_date, connect, version_of
from hub.errors import StorageError
from hub.texts import sentence

CANNOT = sentence("The notes cannot be used")
FIRST = "CREATE TABLE note (text TEXT);"
SECOND = """
ALTER TABLE note ADD COLUMN shout TEXT;
UPDATE note SET shout = loud(text);
"""
NOTES = Tables("the file of notes", (FIRST, SECOND), ("journal_mode = WAL",), {"loud": str.upper}, private=True)


@pytest.mark.parametrize("tables", [LINKS, HISTORY, CORRECTIONS])
def test_a_file_of_every_earlier_version_opens_and_nobody_else_reads_it(tables: Tables, tmp_path: Path) -> None:
    for version in range(len(tables.steps) + 1):
        path = tmp_path / f"{version}.sqlite3"
        old = sqlite3.connect(path, isolation_level=None)
        bring_up_to_date(old, tables.steps[:version])
        old.close()
        path.chmod(0o644)
        db, before = connect(path, tables)
        assert (before, version_of(db)) == (version, len(tables.steps))
        db.close()
        assert version == len(tables.steps) or path.stat().st_mode & 0o077 == 0


def test_what_an_older_version_held_is_taken_along(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "notes", isolation_level=None)
    bring_up_to_date(old, (FIRST,))
    old.execute("INSERT INTO note VALUES ('hey')")
    old.close()
    notes = Database(tmp_path / "notes", NOTES)
    assert notes.ask(CANNOT, "SELECT * FROM note") == [("hey", "HEY")] and notes.version_before == 1
    notes.close()


def test_a_file_of_a_newer_hub_is_refused_in_words_and_left_as_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    newer = sqlite3.connect(tmp_path / "notes")
    newer.execute("PRAGMA user_version = 3")
    newer.close()
    before = (tmp_path / "notes").read_bytes()
    with pytest.raises(StorageError, match="notes was written by a newer hub; update this one"):
        connect(tmp_path / "notes", NOTES)
    notes = Database(tmp_path / "notes", NOTES)
    assert notes.path is None and "the file of notes is kept in memory only" in caplog.text
    notes.close()
    assert (tmp_path / "notes").read_bytes() == before


def test_the_files_beside_one_are_as_private_as_it_is(tmp_path: Path) -> None:
    notes = Database(tmp_path / "notes", NOTES)
    with notes.change(CANNOT) as db:
        db.execute("INSERT INTO note VALUES ('a', 'b')")
    assert {path.name: path.stat().st_mode & 0o077 for path in tmp_path.iterdir()} == {
        "notes": 0, "notes-wal": 0, "notes-shm": 0}  # fmt: skip
    notes.close()
