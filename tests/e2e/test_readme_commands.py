"""The commands and Python blocks of README.md and docs/ run as written, against a served hub."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hub.cli import main as cli
from hub.pages.registry import discover
from tests.served import ROOT, Done, Served, command
from tests.test_readme import blocks, titled_blocks

HERE = "http://127.0.0.1:7860"  # in the documents


@pytest.fixture(autouse=True)
def a_folder_with_a_photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`photo.jpg` is a shipped example."""
    page = discover().get("vehicle_classifier")
    shutil.copy(page.assets / str(page.demo.examples[0].inputs["image"]), tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_commands_run_as_written(hub: Served, tmp_path: Path) -> None:
    for line in [line for block in blocks("sh") for line in block.splitlines()]:
        given = line.split("#")[0].strip().replace(HERE, hub.url)
        if given.startswith("make"):
            continue
        words = shlex.split(given)
        done: Done | subprocess.CompletedProcess[str]
        if words[0] == "curl":
            words[1:1] = ["--silent", "--show-error", "--fail"]
            done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        else:
            assert words[:3] == [".venv/bin/python", "-m", "hub"], given
            extra = {"status": ["--url", hub.url], "new": ["--folder", str(tmp_path / "demos")]}
            done = command(cli.main, *words[3:], *extra.get(words[3], []), folder=tmp_path)
        assert done.returncode == 0, f"{given}\n{done.stdout}\n{done.stderr}"


def test_python_blocks_run_as_written(hub: Served, capsys: pytest.CaptureFixture[str]) -> None:
    scripts = [block.replace(HERE, hub.url) for block in blocks("python")]
    assert scripts
    for script in scripts:
        with ThreadPoolExecutor(1) as thread:  # without the event loop that Playwright leaves in the tests' thread
            thread.submit(exec, script, {}).result(60)
    assert "emergency" in capsys.readouterr().out


def test_the_page_of_the_tutorial_works(tmp_path: Path) -> None:
    (name, text), *others = titled_blocks(ROOT / "docs" / "write-a-page.md").items()
    assert not others
    path = tmp_path / name
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    done = command(
        cli.main, "run", path.stem, "--image", "photo.jpg", "--json", "--demos-folder", str(path.parent),
        folder=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "picture" in json.loads(done.stdout)["headline"]
