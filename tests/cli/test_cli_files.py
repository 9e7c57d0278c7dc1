"""What the command line does with names and disks that refuse: each picture is told, the others go on."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hub.archive.pictures import MANIFEST
from hub.batch.folder import RunFolder
from hub.cli import files as cli_files
from hub.cli import grid as cli_grid
from hub.cli.files import OutFolder, fitting
from hub.cli.main import main
from hub.errors import HubError, UnavailableError
from hub.hub import Hub
from hub.results.result import Picture
from hub.settings import ROOT
from tests.web.doors import png

FOLDER = "from tests.web.doors import SHADES, variant\nDEMO = variant(SHADES, examples=())\n"


@pytest.fixture
def flags(tmp_path: Path) -> list[str]:
    """A hub of one page that answers with pictures, and where its pictures go."""
    (tmp_path / "demos").mkdir()
    (tmp_path / "demos" / "shades.py").write_text(FOLDER)
    return ["--demos-folder", str(tmp_path / "demos"), "--data", str(tmp_path / "data"), "--set", "seed=1",
            "--device", "cpu", "--out", str(tmp_path / "out")]  # fmt: skip


def hub(*words: str | bytes, **environment: str) -> tuple[int, bytes, bytes]:
    done = subprocess.run(
        [sys.executable, "-m", "hub", *words], cwd=ROOT, capture_output=True, timeout=100, check=False,
        env={**os.environ, "HUB_RESULTS_DISK_MB": "0", **environment},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.release
def test_one_picture_that_cannot_be_written_is_told_and_the_others_go_on(
    tmp_path: Path, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    names = [
        b"first.png",
        b"n" * 251 + b".png",
        "语".encode() * 82 + b".png",
        b"taken.png",
        b"\xff\xfe.png",
        b"last.png",
    ]
    given = [os.path.join(os.fsencode(tmp_path), name) for name in names]  # noqa: PTH118  # bytes
    for path in given:
        Path(os.fsdecode(path)).write_bytes(png())
    (tmp_path / "out" / "taken-picture.jpg").mkdir(parents=True)  # a folder in the place of one picture
    run = ["run", "shades", *flags, "--force", "--image", *given]
    status, out, error = hub(*run, PYTHONIOENCODING="ascii")
    assert status == 1 and b"Traceback" not in error, error
    (told,) = [line for line in error.splitlines() if line.startswith(b"error:")]
    assert b"taken.png: " in told and b"taken-picture.jpg cannot be written: Is a directory." in told
    assert out.count(b"Shares") == 5
    kept = {os.fsencode(path.name) for path in (tmp_path / "out").iterdir()}
    assert {b"first-picture.jpg", b"last-picture.jpg", b"\xff\xfe-picture.jpg"} <= kept
    shortened = {b"n" * 243 + b"-picture.jpg", "语".encode() * 81 + b"-picture.jpg"}
    assert shortened <= kept and max(map(len, kept)) <= 255
    assert main(["--json" if word == "--force" else os.fsdecode(word) for word in run]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert [("error" in one) for one in entries] == [False] * 6  # not forced: another number
    assert entries[4]["inputs"]["image"].endswith("\udcff\udcfe.png")


def test_names_are_shortened_by_bytes_never_inside_of_a_letter_and_keep_their_end() -> None:
    assert fitting("a", "-mask.png") == "a-mask.png"
    for stem in ("é" * 200, "语" * 100, "😀" * 80, "a" + "😀" * 80, "x" * 300, "e\u0301" * 100):
        name = fitting(stem, "-mask-2.png")
        assert 250 < len(name.encode()) <= 255 and name.endswith("-mask-2.png") and stem.startswith(name[:-11])
    raw = os.fsdecode(b"\xff" * 300)
    assert len(os.fsencode(fitting(raw, ".png"))) == 255


def picture() -> Picture:
    return Picture(png(), "image/png", 8, 8)


def test_names_that_shortening_made_the_same_are_kept_apart(tmp_path: Path) -> None:
    folder = OutFolder(tmp_path, force=True)
    paths = [folder._write("n" * 300 + end, "-mask", picture()) for end in ("1", "2", "3")]
    assert len({*paths}) == 3 and [path.name[-11:] for path in paths] == [
        "nn-mask.png", "-mask-2.png", "-mask-3.png"]  # fmt: skip
    assert all(len(path.name) == 255 for path in paths)


def test_a_disk_that_fills_leaves_no_half_picture_and_keeps_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.RawIOBase):
        def write(self, data: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    def full(file: int, mode: str) -> Any:
        os.close(file)
        return Full()

    (tmp_path / "a-mask.png").write_bytes(b"before")
    monkeypatch.setattr(os, "fdopen", full)
    for force in (False, True):
        with pytest.raises(UnavailableError, match="No space left on device"):
            OutFolder(tmp_path, force)._write("a" if force else "b", "-mask", picture())
    monkeypatch.undo()
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a-mask.png", b"before")]


def test_a_cell_of_a_grid_that_cannot_be_written_fails_alone_and_a_full_disk_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path)
    cells = [{"cell": f"{number:02x}" + "0" * 30} for number in range(3)]
    (tmp_path / "pictures" / "01").mkdir(parents=True)
    (tmp_path / "pictures" / "01" / f"{cells[1]['cell']}.png").mkdir()
    folder.keep(cells[0], {}, [picture()])
    with pytest.raises(HubError, match="Is a directory") as caught:
        folder.keep(cells[1], {}, [picture()])
    assert not isinstance(caught.value, UnavailableError)  # which would end the run
    folder.keep(cells[2], {}, [picture()])
    lines = (tmp_path / MANIFEST).read_text().splitlines()
    assert [json.loads(line)["cell"][:2] for line in lines] == ["00", "02"]

    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UnavailableError, match="No space left"):
        folder.keep({"cell": "f" * 32}, {}, [picture()])


def test_the_gallery_copies_what_it_can_and_tells_the_rest(
    make_hub: Callable[..., Hub], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    rows = [{"file": f"{name}.png"} for name in ("one", "two")]
    monkeypatch.setattr(cli_grid.gallery, "files", lambda pictures, entries: ((row, png()) for row in rows))
    (tmp_path / "one.png").mkdir()
    assert cli_grid._copy(make_hub(), [], tmp_path) == 1
    assert "one.png cannot be written: Is a directory." in capsys.readouterr().err
    table = (tmp_path / "prompts.csv").read_text(encoding="utf-8")
    assert "two.png" in table and "one.png" not in table and table.startswith("\ufeff")


def test_the_system_says_how_long_a_name_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pathconf", lambda folder, name: 143)  # as encrypted folders do
    assert len(OutFolder(tmp_path, False)._write("n" * 300, "-mask", picture()).name) == 143
    shutil.rmtree(tmp_path)
    with pytest.raises(UnavailableError, match="No such file"):
        OutFolder.save(_gone(tmp_path), _result(), "a")


def _gone(path: Path) -> OutFolder:
    folder = OutFolder(path, False)
    shutil.rmtree(path)
    return folder


def _result() -> Any:
    return SimpleNamespace(kept_files={"mask": (picture(),)})


def test_why_not_has_words_for_every_error() -> None:
    assert cli_files.why_not(ValueError("embedded null byte")) == "embedded null byte"
    assert cli_files.why_not(OSError(errno.EACCES, "Permission denied")) == "Permission denied"
