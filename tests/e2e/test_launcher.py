"""`python app.py` as users start it: wrong flags, a taken port, a password, a broken demo file."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from gradio_client import Client

from hub.cli import main as cli
from hub.cli import serve
from tests.served import PATIENT, Served, command, serving

HELPS: tuple[tuple[Callable[..., int], tuple[str, ...]], ...] = (
    (cli.main, ("serve", "--help")),
    (serve.main, ("--help",)),
)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--port", "lots"), "--port must be a whole number, got 'lots'"),
        (("--max-batch", "0"), "--max-batch must be more than 0"),
        (("--deadline-s", "nan"), "--deadline-s must be 0 or more, got 'nan'"),
        (("--port", "0", "--demos", "vehicle"), "Did you mean 'vehicle_classifier'?"),
        (
            ("--port", "0", "--device", "tpu"),
            "device must be auto, cuda, cuda:N, mps or cpu, or several: ",
        ),
        (("--port", "0", "--auth", "nopassword"), "--auth must be USER:PASSWORD"),
    ],
)
def test_a_wrong_flag_ends_the_start_with_one_line_that_helps(
    flags: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    done = command(serve.main, *flags, "--data", str(tmp_path))
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_serve_takes_the_same_flags_and_answers_alike() -> None:
    done = command(cli.main, "serve", "--port", "0", "--demos", "vehicle", "--device", "cpu")
    assert done.returncode == 2 and "Did you mean 'vehicle_classifier'?" in done.stderr
    flags = [set(re.findall(r"--[a-z-]+", command(main, *words).stdout)) for main, words in HELPS]
    assert flags[0] == flags[1] and "--port" in flags[0]


def test_a_taken_port_is_told_before_anything_is_built() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = command(serve.main, "--port", str(taken.getsockname()[1]))
    assert done.returncode == 2
    assert "Cannot listen on 127.0.0.1" in done.stderr
    assert "--port" in done.stderr


SIGNED_IN = httpx.BasicAuth("meeting", "tomorrow")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Path]]:
    """A hub with a password, a page that works and one whose file is broken; and the folder of the pages."""
    folder = tmp_path_factory.mktemp("guarded")
    demos = folder / "demos"
    made = command(cli.main, "new", "fine_demo", "--folder", str(demos))
    assert made.returncode == 0, made.stderr
    (demos / "broken_demo.py").write_text("import a_package_nobody_has\n")
    with serving(folder / "data", "--demos-folder", str(demos), "--auth", "meeting:tomorrow") as served:
        yield served, demos


def test_a_password_is_asked_for_at_every_door(guarded: tuple[Served, Path]) -> None:
    served, _ = guarded
    doors = ["/", "/fine_demo", "/config", "/gradio_api/info", "/api/v1/demos", "/metrics", "/nowhere"]
    for door in doors:
        assert httpx.get(served.url + door, timeout=60).status_code == 401, door
    for door in doors[:3]:  # five wrong ones in a row would have to wait
        assert httpx.get(served.url + door, auth=("meeting", "wrong"), timeout=60).status_code == 401, door
    refused = httpx.get(served.url + "/api/v1/demos", timeout=60)
    assert refused.json()["code"] == "sign_in"
    for door in doors[:-1]:
        answer = httpx.get(served.url + door, auth=SIGNED_IN, follow_redirects=True, timeout=60)
        assert answer.status_code == 200, door
    assert httpx.get(served.url + "/healthz", timeout=60).status_code == 200
    client = Client(served.url, headers={"Authorization": SIGNED_IN._auth_header}, verbose=False, httpx_kwargs=PATIENT)
    assert "/fine_demo" in client.view_api(return_format="dict", print_info=False)["named_endpoints"]


@pytest.mark.slow
def test_a_broken_demo_file_is_a_page_that_says_so_while_others_serve(guarded: tuple[Served, Path]) -> None:
    served, demos = guarded
    with httpx.Client(base_url=served.url, auth=SIGNED_IN, timeout=30) as client:
        assert "a_package_nobody_has" in client.get("/broken_demo").text
        entries = {entry["slug"]: entry["state"]["code"] for entry in client.get("/api/v1/demos").json()}
        assert entries == {"fine_demo": "ready", "broken_demo": "broken"}
        picture = next((demos / "assets" / "fine_demo").glob("*.*")).read_bytes()
        answer = client.post("/api/v1/demos/fine_demo", files={"image": picture})
        assert answer.status_code == 200, answer.text
        refused = client.post("/api/v1/demos/broken_demo", files={"image": picture})
        assert refused.status_code == 500
        assert "a_package_nobody_has" in refused.json()["detail"]
