"""`python -m hub call`: a hub elsewhere as if it were here."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.cli import call as cli_call
from hub.cli import main as cli
from hub.cli.remote_hub import RemoteHub, declared
from hub.hub import Hub
from hub.spec import Progress
from tests.served import ROOT, Done, command
from tests.web.doors import BEGUN, STOPPED, png

pytestmark = pytest.mark.slow

TOKEN = f"hub_{'a' * 8}_{'b' * 32}"


@pytest.fixture(scope="module")
def hub(serve: Callable[..., tuple[str, Hub]]) -> str:
    return serve()[0]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(png())
    return path


def call(*words: Any, folder: Path = ROOT) -> Done:
    return command(cli.main, "call", *map(str, words), folder=folder)


def test_it_prints_what_run_prints_and_saves_the_same_files(hub: str, photo: Path, tmp_path: Path) -> None:
    """Flags are the inputs; --set and --image NAME=FILE work as with `run`."""
    flags = ["--threshold", 0.25, "--view", "back", "--set", "seed=7"]
    done = call(hub, "shades", "--image", photo, *flags, "--out", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    given = {"threshold": 0.25, "view": "back", "seed": 7}
    rest = httpx.post(f"{hub}/api/v1/demos/shades", data=given, files={"image": png()}, timeout=60).json()
    assert told["id"] == rest["id"]
    assert {name: told["outputs"][name] for name in ("shares", "facts")} == {
        name: rest["outputs"][name] for name in ("shares", "facts")
    }
    assert told["seed"] == 7
    assert Path(told["outputs"]["mask"]).read_bytes() == httpx.get(hub + rest["outputs"]["mask"], timeout=60).content
    assert Path(told["outputs"]["picture"]).suffix == ".jpg"
    assert [Path(one["file"]).name for one in told["outputs"]["copies"]] == [
        "photo-copies-1.png",
        "photo-copies-2.png",
    ]
    shown = call(hub, "shades", "--image", f"image={photo}", *flags)
    assert "light" in shown.stdout
    assert f"Mask: {hub}{rest['outputs']['mask']} (24 x 16 png)" in shown.stdout
    assert f"stored result {rest['id']}" in shown.stdout


def test_several_pictures_are_several_runs_and_one_that_fails_stops_no_other(hub: str, photo: Path) -> None:
    done = call(hub, "shades", "--image", photo, photo.with_name("none.png"), photo, "--json")
    assert done.returncode == 2
    assert [("error" in one) for one in json.loads(done.stdout)] == [False, True, False]
    assert "none.png: No such file" in done.stderr


def test_without_a_demo_the_hubs_demos_are_listed(hub: str) -> None:
    assert "Tells light" not in (listed := call(hub).stdout)
    assert "shades" in listed
    assert "Image classification" in listed


def test_help_tells_the_inputs_that_the_hub_declares(hub: str) -> None:
    told = " ".join(call(hub, "shades", "--help").stdout.split())
    assert "--threshold X Threshold. Between 0 and 1 (default: 0.5)" in told
    assert "--view X View. One of: front, back (default: front)" in told


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["HUB", "shade"], 2, "No demo 'shade'. Did you mean 'shades'?"),
        (["HUB", "shades", "--treshold", "1"], 2, "No flag '--treshold'. Did you mean '--threshold'"),
        (["HUB", "shades", "photo.png"], 2, "what is 'photo.png'? Pictures are given with --image"),
        (["HUB", "shades"], 2, "image is missing: give a picture"),
        (["HUB", "shades", "--image", "PHOTO", "--threshold", "300"], 2, "threshold must be between 0 and 1, got 300."),
        (["HUB", "--json"], 2, "Which demo?"),
        (["HUB", "broken"], 1, "broken does not work on this hub: broken.py cannot be imported"),
        (["HUB", "faulty"], 1, "faulty failed: ValueError: a bug in the demo"),
        (["http://127.0.0.1:9", "shades"], 1, "No hub answers at http://127.0.0.1:9"),
        (["ftp://example.org", "shades"], 2, "URL must be the address of a hub"),
    ],
)
def test_what_is_wrong_is_said_clearly(words: list[str], status: int, said: str, hub: str, photo: Path) -> None:
    done = call(*(word.replace("HUB", hub).replace("PHOTO", str(photo)) for word in words))
    assert (done.returncode, done.stdout) == (status, "")
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_it_gives_up_after_the_timeout_and_the_run_is_stopped(hub: str) -> None:
    BEGUN.clear()
    STOPPED.clear()
    done = call(hub, "slow", "--seconds", 50, "--timeout", 0.5)
    assert done.returncode == 1
    assert f"{hub} did not answer in 0.5 s. Give it longer with --timeout." in done.stderr
    end = time.monotonic() + 20
    while (in_work := _in_work(hub)) and time.monotonic() < end:
        time.sleep(0.05)
    assert in_work == 0
    assert STOPPED.is_set() or not BEGUN.is_set()  # which it may not have, on a busy machine


def _in_work(hub: str) -> int:
    return int(httpx.get(f"{hub}/api/v1/status", timeout=60).json()["queue"]["in_work"])


def test_stages_and_steps_are_heard_as_they_happen(hub: str) -> None:
    heard: list[tuple[str, Any]] = []
    with RemoteHub(hub) as remote:
        demo = declared(remote.describe("slow"))
        given = {"seconds": "0.1", "prompt": "told step by step"}
        result, _ = remote.run(demo, "slow", given, True, lambda *event: heard.append(event))
    assert result.values == {"said": "told step by step"}
    assert ("running", Progress(1, 2)) in heard
    assert heard[0][0] in ("queued", "loading")


class _Stranger(BaseHTTPRequestHandler):
    """Something else: a page, and a place that wants a password."""

    def do_GET(self) -> None:
        signed = self.headers.get("Authorization") in ("Basic YTpi", f"Bearer {TOKEN}")
        self.send_response(401 if self.path.startswith("/locked") and not signed else 200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"[1, 2]" if self.path.startswith("/other") else b"<html>")

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="module")
def stranger() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Stranger) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_what_is_no_hub_or_wants_a_password_is_told(stranger: str) -> None:
    assert "but it is not a Demo Hub" in call(stranger, "x").stderr
    assert "but it is not a Demo Hub" in call(f"{stranger}/other", "x").stderr
    assert "give --auth USER:PASSWORD" in call(f"{stranger}/locked", "x").stderr
    locked = f"{stranger}/locked"
    for words in (["--auth", "a:b", locked, "x"], [locked, "x", "--auth", "a:b"], [locked, "x", "--auth", TOKEN]):
        assert "but it is not a Demo Hub" in call(*words).stderr  # it got past the password


def test_it_starts_without_torch_and_gradio(hub: str) -> None:
    script = (
        f"import sys; from hub.cli.main import main; status = main(['call', {hub!r}]);"
        "print(status, sorted({'torch', 'gradio', 'mcp'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "0 []"


def test_an_input_named_as_a_flag_is_given_by_set() -> None:
    """`json` stays the flag of the command; the input is not lost."""
    detail = {"summary": "x", "inputs": {"properties": {"json": {"type": "string"}, "a_b": {"type": "string"}}}}
    flags = cli_call._flags(argparse.Namespace(slug="x"), detail)
    wanted = flags.parse_args(["--set", "json=1", "--a-b", "2", "--json"])
    assert wanted.json is True
    assert [*wanted.set, *cli_call._values(wanted, detail)] == ["json=1", "a_b=2"]
