"""`python app.py` as users start it: wrong flags, a taken port, a broken demo file."""

from __future__ import annotations

import socket
from pathlib import Path

import httpx
import pytest

import app
from hub import cli
from tests.served import command, serving


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--port", "lots"), "--port must be a whole number, got 'lots'"),
        (("--max-batch", "0"), "--max-batch must be more than 0"),
        (("--deadline-s", "nan"), "--deadline-s must be 0 or more, got 'nan'"),
        (("--port", "0", "--demos", "vehicle"), "Did you mean 'vehicle_classifier'?"),
        (("--port", "0", "--device", "tpu"), "device must be auto, cuda, cuda:N, mps or cpu, got 'tpu'"),
        (("--port", "0", "--auth", "nopassword"), "--auth must be USER:PASSWORD"),
    ],
)
def test_a_wrong_flag_ends_the_start_with_one_line_that_helps(
    flags: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    done = command(app.main, *flags, "--data", str(tmp_path))
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_told_before_anything_is_built() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = command(app.main, "--port", str(taken.getsockname()[1]))
    assert done.returncode == 2
    assert "Cannot listen on 127.0.0.1" in done.stderr
    assert "--port" in done.stderr


def test_a_broken_demo_file_is_a_page_that_says_so_while_others_serve(tmp_path: Path) -> None:
    demos = tmp_path / "demos"
    made = command(cli.main, "new", "fine_demo", "--folder", str(demos))
    assert made.returncode == 0, made.stderr
    (demos / "broken_demo.py").write_text("import a_package_nobody_has\n")
    with serving(tmp_path / "data", "--demos-folder", str(demos)) as served:
        page = httpx.get(served.url + "/broken_demo").text
        assert "a_package_nobody_has" in page
        entries = {entry["slug"]: entry["state"]["code"] for entry in httpx.get(served.url + "/api/v1/demos").json()}
        assert entries == {"fine_demo": "ready", "broken_demo": "broken"}
        picture = next((demos / "assets" / "fine_demo").glob("*.*")).read_bytes()
        answer = httpx.post(served.url + "/api/v1/demos/fine_demo", files={"image": picture}, timeout=30)
        assert answer.status_code == 200, answer.text
        refused = httpx.post(served.url + "/api/v1/demos/broken_demo", files={"image": picture}, timeout=30)
        assert refused.status_code == 500
        assert "a_package_nobody_has" in refused.json()["detail"]
