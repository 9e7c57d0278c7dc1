"""Grids of pictures: planned once, drawn by several processes, never twice, nothing lost when one is killed."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hub import capsules
from hub.batch import grid, plan, workers
from hub.batch.folder import RunFolder
from hub.batch.png import with_record
from hub.cli import main
from hub.engine import Engine
from hub.errors import ConflictError, InputError
from tests.fakes import Calls, drawing_demo, shade_demo
from tests.served import ROOT, command

PAGE = """
from tests.fakes import Calls, drawing_demo
DEMO = drawing_demo(Calls(), pause_s={pause})
"""


def pages(folder: Path, pause: float = 0.0) -> Path:
    demos = folder / "demos"
    demos.mkdir()
    (demos / "words.py").write_text(PAGE.format(pause=pause), encoding="utf-8")
    return demos


def planned(engine: Engine, run: str = "one", **more: object) -> tuple[RunFolder, plan.Plan]:
    made = plan.make(engine, "words", ["red", "blue"], ["on black", ""], [1, 2], run=run, **more)  # type: ignore[arg-type]
    return RunFolder.create(grid.root(engine.settings), made), made


def drawn(folder: RunFolder) -> dict[str, dict[str, Any]]:
    return folder.done(())


def test_every_cell_is_drawn_once_and_says_what_it_was_made_with(make_engine: Callable[..., Engine]) -> None:
    calls = Calls()
    engine = make_engine(words=drawing_demo(calls))
    folder, made = planned(engine, template="a {subject} ball {style}", settings={"width": 24})
    cells = grid.missing(folder, made.cells())
    assert [cell.prompt for cell in cells[::2]] == [
        "a red ball on black",
        "a blue ball on black",
        "a red ball",
        "a blue ball",
    ]
    tally = workers.here(engine, folder, made, cells, lambda kind, value: None)
    assert (tally.failed, grid.total(tally.paces.values()).pictures, sum(calls.batches)) == ({}, 8, 8)
    assert grid.missing(folder, made.cells()) == []
    for cell in cells:
        record = drawn(folder)[cell.name]
        data = (folder.path / record["pictures"][0]["file"]).read_bytes()
        capsule, _ = capsules.read(data)  # so the page it was made on can be set as it was
        assert capsule["parameters"] == {"prompt": cell.prompt, "width": 24, "seed": cell.seed} == record["parameters"]
        assert (record["run"], record["subject"], record["style"]) == ("one", cell.subject, cell.style)
        assert Image.open(io.BytesIO(data)).size == (24, 24)
    alone = engine.run("words", made.inputs(cells[3]))
    record = drawn(folder)[cells[3].name]
    kept = (folder.path / record["pictures"][0]["file"]).read_bytes()
    assert with_record(alone.pictures["picture"][0], alone.capsule, 0, record) == kept


def test_a_picture_without_its_line_and_a_torn_line_cost_nothing(make_engine: Callable[..., Engine]) -> None:
    calls = Calls()
    engine = make_engine(words=drawing_demo(calls))
    folder, made = planned(engine)
    workers.here(engine, folder, made, grid.missing(folder, made.cells()), lambda kind, value: None)
    manifest = folder.path / "manifest.jsonl"
    lines = manifest.read_bytes().splitlines(keepends=True)
    manifest.write_bytes(b"".join(lines[:5]) + lines[6][:40])  # three lines lost, one of them torn
    lost = json.loads(lines[0])
    (folder.path / lost["pictures"][0]["file"]).unlink()
    assert [cell.name for cell in grid.missing(folder, made.cells())] == [lost["cell"]]
    readable = [record["cell"] for record in folder.records()]
    assert sorted(readable) == sorted({json.loads(line)["cell"] for line in lines})


def test_a_cell_that_fails_is_told_and_the_others_are_drawn(make_engine: Callable[..., Engine]) -> None:
    engine = make_engine(words=drawing_demo(Calls(), refused="blue"))
    folder, made = planned(engine)
    tally = workers.here(engine, folder, made, grid.missing(folder, made.cells()), lambda kind, value: None)
    assert len(tally.failed) == 4 and "blue is not drawn" in next(iter(tally.failed.values()))
    assert {cell.subject for cell in grid.missing(folder, made.cells())} == {"blue"}


def test_a_grid_goes_on_only_as_it_was_planned(make_engine: Callable[..., Engine]) -> None:
    engine = make_engine(words=drawing_demo(Calls()), shade=shade_demo())
    _, made = planned(engine)
    with pytest.raises(ConflictError, match="go on with it: --resume one"):
        planned(engine)
    changed = make_engine(words=drawing_demo(Calls(), version="2"))
    with pytest.raises(ConflictError, match="has changed since run 'one' began"):
        grid.check(changed, made)
    for slug, message, settings in (
        ("shade", "takes a page with a text, a seed and pictures", {}),
        ("words", "width must be between 8 and 64, got 900", {"width": 900}),
        ("words", "seed comes from the grid", {"seed": 3}),
    ):
        with pytest.raises(InputError, match=message):
            plan.make(engine, slug, ["red"], [], [1], settings=settings)
    with pytest.raises(InputError, match=r"'stile'. Did you mean 'style'"):
        plan.make(engine, "words", ["red"], [], [1], template="{subject} {stile}")


def test_a_killed_grid_is_resumed_by_two_workers(tmp_path: Path) -> None:
    """The command is killed with its workers at work: they end too, and --resume draws exactly what is missing."""
    places = ["--demos-folder", str(pages(tmp_path, 0.05)), "--data", str(tmp_path / "data")]
    flags = [*places, "--device", "cpu", "--dtype", "float32", "--max-batch", "1", "--workers", "2"]
    words = ["grid", "words", "--subject", "red", "blue", "green", "--style", "on black", "on white", "--seeds", "4"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    first = subprocess.Popen(
        [sys.executable, "-m", "hub", *words, "--run", "one", *flags],
        cwd=ROOT, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    folder = RunFolder(tmp_path / "data" / "batches" / "one")
    try:
        end = time.monotonic() + 200
        while len(list(folder.records())) < 8 and time.monotonic() < end:
            time.sleep(0.01)
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait(20)
    before = {record["cell"]: record["created_at"] for record in drawn(folder).values()}
    assert 8 <= len(before) < 24
    done = command(main, "grid", "--resume", "one", "--json", *[f for f in flags if f not in ("--workers", "2")])
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    after = {record["cell"]: record["created_at"] for record in folder.records()}
    assert len(list(folder.records())) == len(after) == 24 == told["kept"] + told["drawn"]
    assert before.items() <= after.items()


def test_the_command_tells_what_is_wrong(tmp_path: Path) -> None:
    places = ["--demos-folder", str(pages(tmp_path)), "--data", str(tmp_path / "data")]
    for words, message in (
        (
            ["grid", "words", "--subject", "red", "--seeds", "x"],
            "seeds must be how many (4), or which (7,12,40-49), got 'x'",
        ),
        (["grid", "--resume", "gone"], "There is no run 'gone'"),
        (["grid", "word", "--subject", "red"], "Did you mean 'words'?"),
        (["gallery", "--since", "May"], "since must be a day such as 2026-11-21, got 'May'"),
    ):
        done = command(main, *words, *places)
        assert done.returncode == 2 and message in done.stderr, done.stderr


@pytest.mark.skipif(
    "HUB_TEST_FLOW" not in os.environ, reason="takes a minute; HUB_TEST_FLOW=1 runs it (make flow first)"
)
def test_the_flow_draws_the_same_grid(tmp_path: Path) -> None:
    settings = {"HUB_DATA": str(tmp_path / "data"), "HUB_DEMOS_FOLDER": str(pages(tmp_path)), "HUB_DEVICE": "cpu"}
    words = ["--page", "words", "--subjects", "red;blue", "--styles", "on black;on white", "--seeds", "2"]
    for drawn in (8, 0):  # once more: all is there
        done = subprocess.run(
            [sys.executable, "hub/batch/flow.py", "run", *words, "--run-name", "one", "--max-workers", "2"],
            cwd=ROOT, env={**os.environ, **settings}, capture_output=True, text=True, timeout=500,
        )  # fmt: skip
        assert done.returncode == 0 and f"8 of 8 cells are there, {drawn} of these drawn now" in done.stdout, (
            done.stdout
        )
    assert len(RunFolder(tmp_path / "data" / "batches" / "one").done(())) == 8
    assert (
        len(list((tmp_path / "data" / "metaflow").rglob("*.html"))) == 6
    )  # a card per style and one of figures, twice
