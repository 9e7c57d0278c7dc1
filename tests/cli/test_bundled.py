"""`hub bundled` copies pages and weights into a hub's own folders, and overwrites nothing there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hub.cli import main as cli
from hub.settings import ROOT
from tests.served import Done, command

PAGE = "vehicle_classifier"


@pytest.fixture
def places(tmp_path: Path) -> list[str]:
    return ["--demos-folder", str(tmp_path / "demos"), "--weights-folder", str(tmp_path / "weights")]


def bundled(*words: str) -> Done:
    return command(cli.main, "bundled", *words)


def test_a_page_comes_with_its_pictures_weights_and_what_locks_them(tmp_path: Path, places: list[str]) -> None:
    done = bundled(PAGE, *places)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "demos").glob("*.py")) == [f"{PAGE}.py"]
    assert (tmp_path / "demos" / "assets" / "README.md").is_file()
    assert not [*(tmp_path / "weights").rglob("*.py")]  # recipes stay where they are
    assert list(json.loads((tmp_path / "weights" / "lock.json").read_text())["sources"]) == [PAGE]
    verified = command(cli.main, "verify", *places)
    assert (verified.returncode, verified.stdout.split(":")[0]) == (0, f"ok    {PAGE}")
    again = bundled(PAGE, *places)
    assert again.returncode == 0 and "0 bytes new" in again.stdout


def test_what_is_there_with_other_content_stays_and_nothing_is_copied(tmp_path: Path, places: list[str]) -> None:
    (tmp_path / "demos").mkdir()
    (tmp_path / "demos" / f"{PAGE}.py").write_text("mine = 1\n")
    done = bundled(PAGE, *places)
    assert done.returncode == 2 and "is there with other content. Nothing was copied." in done.stderr
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [f"{PAGE}.py"]


def test_in_a_clone_they_are_there_already() -> None:
    done = bundled()
    assert done.returncode == 2 and str(ROOT / "demos") in done.stderr


def test_a_page_that_does_not_come_with_the_hub_is_named(places: list[str]) -> None:
    done = bundled("vehicle", *places)
    assert done.returncode != 0 and "Did you mean 'vehicle_classifier'?" in done.stderr
