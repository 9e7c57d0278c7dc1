"""Grids of pictures: planned once, drawn by several processes, never twice, nothing lost when one is killed."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from multiprocessing import Pipe
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from hub.batch import environment, fetch, grid, plan, small, workers
from hub.batch.folder import RunFolder
from hub.batch.stamps import record_of, with_record
from hub.cli.main import main
from hub.errors import ConflictError, InputError, UnavailableError
from hub.hub import Hub
from hub.results import capsules
from hub.spec import Choice, Weights
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


def planned(hub: Hub, run: str = "one", **more: object) -> tuple[RunFolder, plan.Plan]:
    made = plan.make(hub, "words", ["red", "blue"], ["on black", ""], [1, 2], run=run, **more)  # type: ignore[arg-type]
    return RunFolder.create(grid.root(hub.settings), made), made


def drawn(folder: RunFolder) -> dict[str, dict[str, Any]]:
    return folder.find_records(())


def test_every_cell_is_drawn_once_and_says_what_it_was_made_with(make_hub: Callable[..., Hub]) -> None:
    calls = Calls()
    hub = make_hub(words=drawing_demo(calls))
    folder, made = planned(hub, template="a {subject} ball {style}", settings={"width": 24})
    cells = grid.missing(folder, made.cells())
    assert [cell.prompt for cell in cells[::2]] == [
        "a red ball on black",
        "a blue ball on black",
        "a red ball",
        "a blue ball",
    ]
    tally = workers.here(hub, folder, made, cells, lambda kind, value: None)
    assert (tally.failed, grid.total(tally.paces.values()).pictures, sum(calls.batches)) == ({}, 8, 8)
    assert grid.missing(folder, made.cells()) == []
    for cell in cells:
        record = drawn(folder)[cell.name]
        data = (folder.path / record["pictures"][0]["file"]).read_bytes()
        capsule, _ = capsules.read(data)  # so the page it was made on can be set as it was
        assert capsule["parameters"] == {"prompt": cell.prompt, "width": 24, "seed": cell.seed} == record["parameters"]
        assert (record["run"], record["subject"], record["style"]) == ("one", cell.subject, cell.style)
        assert Image.open(io.BytesIO(data)).size == (24, 24)
    alone = hub.engine.run("words", made.inputs(cells[3]))
    record = drawn(folder)[cells[3].name]
    kept = (folder.path / record["pictures"][0]["file"]).read_bytes()
    assert with_record(alone.pictures["picture"][0], alone.capsule, 0, record) == kept


def test_a_picture_without_its_line_and_a_torn_line_cost_nothing(make_hub: Callable[..., Hub]) -> None:
    calls = Calls()
    hub = make_hub(words=drawing_demo(calls))
    folder, made = planned(hub)
    workers.here(hub, folder, made, grid.missing(folder, made.cells()), lambda kind, value: None)
    manifest = folder.path / "manifest.jsonl"
    lines = manifest.read_bytes().splitlines(keepends=True)
    manifest.write_bytes(b"".join(lines[:5]) + lines[6][:40])  # three lines lost, one of them torn
    lost = json.loads(lines[0])
    (folder.path / lost["pictures"][0]["file"]).unlink()
    assert [cell.name for cell in grid.missing(folder, made.cells())] == [lost["cell"]]
    readable = [record["cell"] for record in folder.records()]
    assert sorted(readable) == sorted({json.loads(line)["cell"] for line in lines})


def test_a_cell_that_fails_is_told_and_the_others_are_drawn(make_hub: Callable[..., Hub]) -> None:
    hub = make_hub(words=drawing_demo(Calls(), refused="blue"))
    folder, made = planned(hub)
    tally = workers.here(hub, folder, made, grid.missing(folder, made.cells()), lambda kind, value: None)
    assert len(tally.failed) == 4 and "blue is not drawn" in next(iter(tally.failed.values()))
    assert {cell.subject for cell in grid.missing(folder, made.cells())} == {"blue"}


def test_a_grid_goes_on_only_as_it_was_planned(make_hub: Callable[..., Hub]) -> None:
    hub = make_hub(words=drawing_demo(Calls()), shade=shade_demo())
    _, made = planned(hub)
    with pytest.raises(ConflictError, match="go on with it: --resume one"):
        planned(hub)
    changed = make_hub(words=drawing_demo(Calls(), version="2"))
    with pytest.raises(ConflictError, match="has changed since run 'one' began"):
        grid.check(changed, made)
    for slug, message, settings in (
        ("shade", "takes a page with a text, a seed and pictures", {}),
        ("words", "width must be between 8 and 64, got 900", {"width": 900}),
        ("words", "seed comes from the grid", {"seed": 3}),
    ):
        with pytest.raises(InputError, match=message):
            plan.make(hub, slug, ["red"], [], [1], settings=settings)


AS_THEY_ARE, LONG = "with nothing after a : or !", "x" * 1001


@pytest.mark.parametrize(
    ("template", "subject", "style", "field", "said"),
    [
        ("{subject} {stile}", "red", "", "template", "'stile'. Did you mean 'style'"),
        ("a ball", "red", "", "template", "must hold {subject}"),
        ("{subject:x>1000000}", "red", "", "template", AS_THEY_ARE),
        ("{subject:d}", "red", "", "template", AS_THEY_ARE),
        ("{subject:{width}}", "red", "", "template", AS_THEY_ARE),
        ("{subject!r}", "red", "", "template", AS_THEY_ARE),
        ("{subject}" * 200, "red", "", "template", "template has 1800 characters; at most 1000 are read"),
        ("", LONG, "", "subject", "subject has 1001 characters"),
        ("{subject}", "red", LONG, "style", "style has 1001 characters"),
    ],
)
def test_words_that_make_no_prompt_are_refused_before_any_is_made(
    make_hub: Callable[..., Hub], template: str, subject: str, style: str, field: str, said: str
) -> None:
    hub = make_hub(words=drawing_demo(Calls()))
    with pytest.raises(InputError) as caught:
        plan.make(hub, "words", [subject], [style], [1], template=template)
    assert caught.value.field == field and said in caught.value.message


def test_a_page_is_told_how_far_a_download_is_rather_than_held(
    make_hub: Callable[..., Hub], monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, weights = drawing_demo(Calls()), (Weights("hf://owner/model"),)
    sampler = Choice("sampler", "Sampler", ("a",), default="a", options_from="samplers")
    hub = make_hub(
        words=drawing_demo(Calls(), weights=weights),
        options=drawing_demo(Calls(), weights=weights, inputs=(*usual.inputs, sampler)),
    )
    go_on = threading.Event()
    monkeypatch.setattr(hub.weights.snapshots, "get", lambda *_: go_on.wait(0.5))
    monkeypatch.setattr(small, "PATIENCE_S", 0.0)
    try:
        for slug in ("words", "options"):
            with pytest.raises(UnavailableError, match="It is being downloaded"):
                small.make(hub, slug, {"subjects": ["red"]})
    finally:
        go_on.set()


def test_what_a_picture_says_too_deeply_is_not_read() -> None:
    file, said = io.BytesIO(), PngImagePlugin.PngInfo()
    said.add_itxt("demo-hub", "[" * 100_000)
    Image.new("L", (8, 8)).save(file, "PNG", pnginfo=said)
    assert record_of(file.getvalue()) is None
    with pytest.raises(InputError, match="has no settings in it"):
        capsules.read(file.getvalue())


def test_a_run_that_could_not_be_planned_leaves_its_name_free(
    make_hub: Callable[..., Hub], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    hub = make_hub(words=drawing_demo(Calls()))
    with monkeypatch.context() as patch, pytest.raises(UnavailableError, match="No space left"):
        patch.setattr(os, "fsync", full)
        planned(hub)
    folder, made = planned(hub)
    assert RunFolder.open(folder.path.parent, "one")[1] == made


def test_the_part_of_a_worker_that_dies_as_it_is_handed_over_is_drawn_by_another(
    make_hub: Callable[..., Hub],
) -> None:
    _, made = planned(make_hub(words=drawing_demo(Calls())))
    ours, theirs = Pipe()
    theirs.send(("idle", None))
    theirs.close()
    ended = SimpleNamespace(join=lambda timeout: None, exitcode=-9)
    worker, heard = workers._Worker("1", ended, ours), list[tuple[str, Any]]()
    portion = list(made.cells())
    todo, tally = deque([portion]), workers.Tally()

    def listen() -> bool:
        return workers._listen(worker, todo, tally, lambda *what: heard.append(what))

    assert (listen(), listen()) == (True, False)
    assert list(todo) == [portion] and heard == [("lost", "1 (exit status -9)")]


def test_what_a_flow_carried_is_brought_here_and_read_once(
    make_hub: Callable[..., Hub], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub = make_hub(words=drawing_demo(Calls()))
    folder, made = planned(hub)
    workers.here(hub, folder, made, list(made.cells()), lambda kind, value: None)
    pictures, reads = {p["file"] for r in folder.records() for p in r["pictures"]}, list[int]()

    class Data:  # as Metaflow's: what is in the datastore is unpickled at each access
        plan, records = made.to_json(), list(folder.records())

        @property
        def files(self) -> dict[str, bytes]:
            reads.append(1)
            return {name: (folder.path / name).read_bytes() for name in pictures}

    task = SimpleNamespace(data=Data())
    flow, exception = ModuleType("metaflow"), ModuleType("metaflow.exception")
    vars(flow).update(Run=lambda name: {"start": SimpleNamespace(task=task), "draw": [task]}, namespace=lambda _: None)
    vars(exception)["MetaflowException"] = type("MetaflowException", (Exception,), {})
    monkeypatch.setitem(sys.modules, "metaflow", flow)
    monkeypatch.setitem(sys.modules, "metaflow.exception", exception)
    monkeypatch.setattr(environment, "prepare", lambda: None)
    for count in (8, 0):
        brought, fetched = fetch.fetch("7", tmp_path / "there")
        assert (fetched, len(drawn(brought)), len(reads)) == (count, 8, 1)


@pytest.mark.release
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
        first.wait(60)
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
    assert len(RunFolder(tmp_path / "data" / "batches" / "one").find_records(())) == 8
    assert (
        len(list((tmp_path / "data" / "metaflow").rglob("*.html"))) == 6
    )  # a card per style and one of figures, twice
