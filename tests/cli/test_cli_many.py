"""`hub run PAGE --image DIR --csv out.csv`: a table of many pictures, which goes on where it was cut."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from hub.cli.main import main
from tests.served import Done, command
from tests.web.doors import png

pytestmark = pytest.mark.slow

FOLDER = "from tests.web.doors import SHADES, variant\nDEMO = variant(SHADES, examples=())\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of pictures, one of them wrong, and a file that is no picture."""
    (tmp_path / "demos").mkdir()
    (tmp_path / "demos" / "shades.py").write_text(FOLDER)
    for name, colour in {"light/1.png": "white", "light/2.png": "black", "dark/3.png": "black"}.items():
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(colour=colour))
    (tmp_path / "pictures" / "dark" / "notes.txt").write_text("no picture")
    (tmp_path / "pictures" / ".hidden.png").write_bytes(b"")
    return tmp_path


def run(folder: Path, *words: str, image: str = "pictures") -> Done:
    return command(
        main, "run", "shades", "--image", str(folder / image), "--csv", str(folder / "out.csv"), "--device", "cpu",
        "--demos-folder", str(folder / "demos"), "--data", str(folder / "data"), "--set", "seed=1", *words,
    )  # fmt: skip


def table(folder: Path) -> list[dict[str, str]]:
    text = (folder / "out.csv").read_text(encoding="utf-8-sig")
    return [*csv.DictReader(io.StringIO(text))]


def test_a_folder_becomes_a_table_and_is_scored_by_its_folders(folder: Path) -> None:
    done = run(folder)
    assert done.returncode == 2 and "dark/notes.txt" in done.stderr
    assert [(row["file"], row["answer"], row["truth"]) for row in table(folder)] == [
        ("dark/3.png", "dark", "dark"), ("dark/notes.txt", "", "dark"), ("light/1.png", "light", "light"),
        ("light/2.png", "dark", "light"),
    ]  # fmt: skip
    assert "3 answered, 1 failed" in done.stdout and "accuracy" in done.stdout and "0.6667" in done.stdout


@pytest.mark.slow
def test_it_goes_on_where_it_was_cut_and_begins_anew_only_when_it_is_told(folder: Path) -> None:
    run(folder)
    rows = folder / "out.csv.rows.jsonl"
    lines = rows.read_text().splitlines(keepends=True)
    kept = json.loads(lines[1])
    kept["headline"] = "from before"
    rows.write_text(lines[0] + json.dumps(kept) + "\n" + lines[2][:20])  # a kill cut the second row off
    run(folder)
    assert len(table(folder)) == 4
    assert [row["file"] for row in table(folder) if row["headline"] == "from before"] == [kept["file"]]
    assert "other settings" in run(folder, "--set", "threshold=0.9").stderr
    assert run(folder, "--set", "threshold=0.9", "--force").returncode == 2
    assert "from before" not in [row["headline"] for row in table(folder)]
    rows.unlink()
    assert "--force" in run(folder).stderr


def test_a_zip_with_labels_and_a_table_of_labels_tell_what_is_true(folder: Path) -> None:
    with zipfile.ZipFile(folder / "all.zip", "w") as opened:
        opened.writestr("../a.png", png(colour="white"))
        opened.writestr("b.png", png(colour="black"))
    (folder / "truth.csv").write_text("file,label\na.png,light\nb.png,light\n")
    done = run(folder, "--truth", str(folder / "truth.csv"), "--json", "--out", str(folder / "out"), image="all.zip")
    summary: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == 0 and summary["score"]["figures"][0]["value"] == 0.5
    assert summary["names"] == {"light": 1, "dark": 1}
    assert all(Path(row["result"]).is_file() for row in table(folder))
