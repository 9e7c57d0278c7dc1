"""The command line at its boundary: arguments in; stdout, stderr, files and exit status out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hub.cli import run as cli_run
from hub.cli.interrupt import cancelling
from hub.cli.main import main
from hub.engine.jobs import Cancel
from hub.hub import Hub
from hub.settings import ROOT, Settings

DEMO = """
import time

import numpy as np

from hub.spec import *


def infer(model, items):
    for item in items:
        time.sleep(item["seconds"])
    return [float(item["pixels"].mean()) for item in items]


def present(output, image, style, threshold, seconds, seed):
    grey = np.asarray(image.convert("L"))
    return {
        "picture": image if style is None else style,
        "mask": (grey > 255 * threshold).astype(np.uint8),
        "shares": {"light": output / 255, "dark": 1 - output / 255},
        "facts": {"seed": seed},
        "copies": [(image, "first"), (image, "second")],
    }


DEMO = Demo(
    title="Shades", summary="Tells light from dark.", task="Test",
    inputs=(
        ImageInput("image", "Photo"), ImageInput("style", "Style"),
        Slider("threshold", "Threshold", 0.0, 1.0, 0.5, 0.1), Slider("seconds", "Seconds", 0.0, 60.0, 0.0, 0.1), Seed(),
    ),
    outputs=(
        ImageOutput("picture", "Picture", format="jpeg"), Mask("mask", "Mask"), Labels("shares", "Shares"),
        Json("facts", "Facts"), Gallery("copies", "Copies"),
    ),
    load=lambda folder, device: None,
    prepare=lambda image, style, threshold, seconds, seed: {
        "pixels": np.asarray(image.resize((8, 8)), np.float32), "seconds": seconds
    },
    infer=infer, present=present,
)
"""
BROKEN = "import a_package_that_is_not_there\n"
WORDS = """
from hub.spec import *

DEMO = Demo(
    title="Words", summary="Says it again.", task="Test",
    inputs=(Text("text", "Text"),), outputs=(Json("said", "Said"),),
    load=lambda folder, device: None, prepare=lambda text: text, infer=lambda model, items: items,
    present=lambda output, text: {"said": text}, weights=(Weights("nowhere"),) if WEIGHTS else (),
)
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with demos/ and pictures; the settings flags that belong to it come from `flags`."""
    folder = tmp_path_factory.mktemp("hub")
    (folder / "demos").mkdir()
    for name, text in {
        "shades": DEMO,
        "broken": BROKEN,
        "words": WORDS.replace("WEIGHTS", "False"),
        "absent": WORDS.replace("WEIGHTS", "True"),
    }.items():
        (folder / "demos" / f"{name}.py").write_text(text)
    for name in ("teal", "gold", "pink"):
        Image.new("RGB", (24, 16), name).save(folder / f"{name}.png")
    (folder / "bad.png").write_bytes((folder / "teal.png").read_bytes()[:50])
    return folder


def flags(hub: Path) -> list[str]:
    return [f"--demos-folder={hub / 'demos'}", f"--data={hub / 'data'}", "--device=cpu", "--dtype=float32"]


@pytest.fixture
def run(hub: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Runs `run shades` in an empty folder with the fixtures' settings and a style picture."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, slug: str = "shades") -> int:
        style = ["--image", f"style={hub / 'pink.png'}"] if slug == "shades" else []
        return main(["run", slug, *style, *arguments, *flags(hub)])

    return call


# --- list -----------------------------------------------------------------------------------------


def test_list_tells_every_demo_and_why_one_does_not_work(hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", f"--demos-folder={hub / 'demos'}", "--json"]) == 0
    found = {entry["slug"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert found["shades"]["inputs"] == ["image", "style", "threshold", "seconds", "seed"]
    assert found["shades"]["state"] == {"code": "on_demand", "reason": ""}
    assert found["broken"]["state"]["code"] == "broken"
    assert "a_package_that_is_not_there" in found["broken"]["state"]["reason"]
    assert found["absent"]["state"]["code"] == "unavailable"
    assert main(["list", f"--demos-folder={hub / 'demos'}"]) == 0
    table = capsys.readouterr().out
    assert "Shades" in table
    assert "a_package_that_is_not_there" in table


def test_list_imports_no_heavy_package_and_leaves_no_files(hub: Path, tmp_path: Path) -> None:
    code = "import sys; from hub.cli.main import main; main(['list']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HUB_DEMOS_FOLDER": str(hub / "demos")},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stderr.split())
    assert "hub.pages.registry" in loaded
    assert not loaded & {"torch", "gradio", "streamlit", "diffusers", "timm", "fastapi"}
    assert not list(tmp_path.iterdir())


# --- run ------------------------------------------------------------------------------------------


def test_run_answers_as_the_engine_does(run: Any, hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = ["--set", "threshold=0.3", "--set", "seed=5"]
    assert run("--image", str(hub / "gold.png"), *values, "--out", "out", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    this = Hub(Settings(demos_folder=str(hub / "demos"), data=str(hub / "data"), device="cpu", dtype="float32"))
    result = this.engine.run(
        "shades", {"image": hub / "gold.png", "style": hub / "pink.png", "threshold": 0.3, "seed": 5}
    )
    assert answer["id"] == result.id
    assert result.receipt.cached  # they share the stored result
    assert answer["seed"] == 5
    assert answer["inputs"]["image"] == str(hub / "gold.png")
    outputs = answer["outputs"]
    assert list(outputs) == ["picture", "mask", "shares", "facts", "copies"]
    assert outputs["shares"] == result.values["shares"]
    assert outputs["facts"] == {"seed": 5}
    assert Path(outputs["mask"]).read_bytes() == result.pictures["mask"][0].data
    assert set(np.unique(np.asarray(Image.open(outputs["mask"])))) <= {0, 1}
    assert outputs["copies"] == [
        {"file": "out/gold-copies-1.png", "caption": "first"},
        {"file": "out/gold-copies-2.png", "caption": "second"},
    ]
    assert answer["receipt"]["device"] == "cpu"


def test_run_prints_readable_answers(run: Any, hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--image", str(hub / "teal.png"), "--set", "seed=1") == 0
    printed = capsys.readouterr().out
    assert "dark" in printed
    assert "Picture: not kept; give --out DIR (24 x 16 jpg)" in printed
    assert "seed 1" in printed


def test_files_are_never_overwritten_unless_forced(run: Any, hub: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "gold-mask.png").write_text("mine")
    arguments = ["--image", str(hub / "gold.png"), "--out", "out"]
    assert run(*arguments) == 0
    assert (tmp_path / "out" / "gold-mask.png").read_text() == "mine"
    assert (tmp_path / "out" / "gold-mask-2.png").stat().st_size
    assert run(*arguments, "--force") == 0
    assert (tmp_path / "out" / "gold-mask.png").read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "out" / "gold-mask-3.png").exists()


def test_equal_names_in_one_command_are_numbered_even_when_forced(run: Any, hub: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    Image.new("RGB", (24, 16), "navy").save(tmp_path / "other" / "gold.png")
    assert run("--image", str(hub / "gold.png"), "other/gold.png", "--out", "out", "--force") == 0
    assert {"gold-picture.jpg", "gold-picture-2.jpg"} <= {path.name for path in (tmp_path / "out").iterdir()}


def test_several_pictures_are_several_runs_and_a_bad_one_fails_alone(
    run: Any, hub: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = [str(hub / name) for name in ("teal.png", "bad.png", "gold.png")]
    assert run("--image", *pictures, "--json") == 2
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert [entry["inputs"]["image"] for entry in found] == pictures
    assert found[1]["error"]["field"] == "image"
    assert found[0]["outputs"]["shares"] != found[2]["outputs"]["shares"]
    assert found[0]["outputs"]["picture"] is None
    assert printed.err.startswith(f"error: {hub / 'bad.png'}: image")
    assert "cut off or damaged" in printed.err
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["run", "shade"], 2, "No demo 'shade'. Did you mean 'shades'?"),
        (["run", "shades"], 2, "image is missing"),
        (["run", "shades", "--image", "nowhere.png"], 2, "cannot read nowhere.png: No such file"),
        (["run", "shades", "--image", "styl=a.png"], 2, "Did you mean 'style'?"),
        (["run", "shades", "--image", "style=a.png", "style=b.png"], 2, "more than once"),
        (["run", "shades", "--set", "threshold"], 2, "--set wants NAME=VALUE, got 'threshold'"),
        (["run", "shades", "--set", "image=a.png"], 2, "give it with --image image=a.png"),
        (["run", "shades", "--set", "seed=1", "--set", "seed=2"], 2, "more than once"),
        (["run", "words", "--image", "a.png"], 2, "takes no file"),
        (["run", "words", "--set", "txt=a"], 2, "Did you mean 'text'?"),
        (["run", "broken"], 1, "a_package_that_is_not_there"),
        (["run", "absent", "--set", "text=a"], 1, "nowhere"),
        (["run", "words", "--set", "text=a", "--deadline-s", "soon"], 2, "--deadline-s must be a number, got 'soon'"),
        (["run", "words", "--set", "text=a", "--out", "/dev/null"], 2, "cannot be used as a folder"),
        (["run"], 2, "required: slug (see python -m hub run --help)"),
        (["walk"], 2, "invalid choice: 'walk'"),
        ([], 2, "python -m hub --help"),
    ],
)
def test_errors_are_one_line_and_an_exit_status(
    hub: Path, arguments: list[str], status: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, *(flags(hub) if arguments[1:] else [])]) == status
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert says in printed.err


def test_out_of_range_reads_the_same_as_at_every_door(run: Any, hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--image", str(hub / "teal.png"), "--set", "threshold=300") == 2
    assert capsys.readouterr().err == "error: threshold must be between 0 and 1, got 300.\n"


def test_a_demo_without_pictures_runs_once(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--set", "text=a=b", "--json", slug="words") == 0
    assert json.loads(capsys.readouterr().out)["outputs"] == {"said": "a=b"}


@pytest.fixture
def keys() -> Iterator[None]:
    """Ctrl+C works in this process and in those it starts, also where the tests run in the background of a script."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.usefixtures("keys")
def test_interrupting_ends_with_130_and_no_traceback(hub: Path) -> None:
    command = [sys.executable, "-m", "hub", "run", "shades", "--image", str(hub / "teal.png"), "--set", "seconds=10"]
    command += ["--image", f"style={hub / 'pink.png'}", *flags(hub), "--log-level", "info"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if "loaded shades" in line:
                break
        else:
            pytest.fail("it ended before it could be interrupted:\n" + "".join(lines))
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert "Traceback" not in process.stderr.read()


@pytest.mark.usefixtures("keys")
def test_an_interrupt_that_python_drops_ends_the_run_all_the_same(
    run: Any, hub: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dropped: list[type[BaseException] | None] = []

    class Futures(deque[Any]):
        def popleft(self) -> Any:  # the main thread begins to wait for the answer
            self.reference = weakref.ref(type("Dropped", (), {})(), lambda gone: signal.raise_signal(signal.SIGINT))
            return super().popleft()

    monkeypatch.setattr(sys, "unraisablehook", lambda dropping: dropped.append(dropping.exc_type))
    monkeypatch.setattr(cli_run, "deque", Futures)
    assert run("--image", str(hub / "teal.png"), "--set", "seconds=5") == 130
    assert dropped == [KeyboardInterrupt]
    assert "The run was cancelled." in capsys.readouterr().err


@pytest.mark.usefixtures("keys")
def test_an_interrupt_that_python_drops_is_remembered_to_the_end(
    run: Any, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def show(*answer: Any) -> None:
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(cli_run, "show", show)
    assert run("--image", str(hub / "teal.png")) == 130


def test_who_ignores_interrupts_for_a_command_is_obeyed() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with cancelling(cancel := Cancel()):
            signal.raise_signal(signal.SIGINT)
        assert not cancel.is_set()
    finally:
        signal.signal(signal.SIGINT, before)


# --- status ---------------------------------------------------------------------------------------


def test_status_says_when_no_hub_runs_and_what_this_machine_would_use(
    hub: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["status", "--url", "http://127.0.0.1:9", *flags(hub)]
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert not found["running"]
    assert (found["machine"]["device"], found["machine"]["dtype"]) == ("cpu", "float32")
    assert found["machine"]["budget_bytes"] > 0
    assert found["machine"]["models"][0]["state"] in ("absent", "missing")
    assert main(arguments) == 0
    assert capsys.readouterr().out.startswith("No hub answers at http://127.0.0.1:9. Start one: make serve")


MODEL = {"demo": "shades", "title": "Shades", "weights": "weights", "state": "ready", "bytes": 14_000_000,
         "measured": True,
         "reason": "", "leases": 2, "pinned": True, "loaded_for_s": 300.0, "idle_for_s": 0.0, "load_ms": 12.0,
         "leaves": 0}  # fmt: skip
RUNNING = {
    "device": "cpu",
    "dtype": "bfloat16",
    "pool": {"budget_bytes": 2_000_000_000, "used_bytes": 14_000_000, "models": []},
    "models": [MODEL, {**MODEL, "demo": "idle", "leases": 0, "pinned": False, "idle_for_s": 60.0, "leaves": 1}],
    "process_bytes": 700_000_000,
    "results": {"memory_results": 3, "memory_bytes": 5000, "disk_results": 4, "disk_bytes": 9000, "warning": ""},
    "queue": {"in_work": 2, "limit": 64},
}


@pytest.mark.parametrize(
    ("code", "body", "status", "says"),
    [
        (200, json.dumps(RUNNING), 0, "shades/weights"),
        (200, "<html>", 1, "not a Demo Hub"),
        (200, "[]", 1, "not a Demo Hub"),
        (401, "", 1, "--auth USER:PASSWORD"),
    ],
)
def test_status_tells_what_a_running_hub_holds(
    hub: Path, code: int, body: str, status: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(code)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *arguments: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.handle_request, daemon=True).start()
        assert main(["status", "--url", f"http://127.0.0.1:{server.server_port}", *flags(hub)]) == status
    printed = capsys.readouterr()
    assert says in printed.out + printed.err
    if status == 0:
        assert "14.0 MB of at most 2.0 GB" in printed.out
        lines = {line.split()[0]: line.split() for line in printed.out.splitlines() if "/weights" in line}
        assert lines["shades/weights"][1:] == "14.0 MB in memory, pinned 5 min in use 2".split()
        assert lines["idle/weights"][1:] == "14.0 MB in memory 5 min 60 s next".split()
