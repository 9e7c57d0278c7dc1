"""README.md is true: its settings table, its commands and its Python blocks."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from hub import cli, settings
from hub.registry import discover
from tests.served import ROOT, Done, command, serving

README = (ROOT / "README.md").read_text(encoding="utf-8")


def settings_table() -> str:
    """The table as README.md must hold it. `python -m tests.test_readme` prints it."""
    rows = [f"| `{name}` | `{default!r}` | {help} |" for name, default, help in settings.TABLE]
    return "\n".join(["| setting | default | what it does |", "|---|---|---|", *rows])


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.S)


def test_every_setting_is_documented() -> None:
    assert settings_table() in README


def test_both_commands_stand_at_the_top() -> None:
    head = "\n".join(README.splitlines()[:40])
    assert "make serve" in head
    assert "make test" in head


def test_every_make_target_named_here_exists() -> None:
    made = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.M))
    assert set(re.findall(r"`?make ([a-z-]+)", README)) <= made


def test_every_demo_and_only_those_are_listed() -> None:
    listed = re.findall(r"^\| `([a-z_]+)` \| [^|]+ \| \[weights/", README, flags=re.M)
    assert sorted(listed) == sorted(page.slug for page in discover())


def test_links_to_files_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_space_front_matter_fits_the_requirements() -> None:
    front = yaml.safe_load(README.split("---")[1])
    pinned = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert f"gradio=={front['sdk_version']}" in pinned
    assert (ROOT / front["app_file"]).is_file()
    assert len(front["short_description"]) <= 60


def test_requirements_are_pinned() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
            assert re.match(r"[A-Za-z0-9._-]+==[^ ]+", line), f"{name}: {line}"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_commands_and_python_blocks_run_as_written(tmp_path: Path) -> None:
    """Against a served hub on another port; `photo.jpg` is a shipped example."""
    page = discover().get("vehicle_classifier")
    shutil.copy(page.assets / str(page.demo.examples[0].inputs["image"]), tmp_path / "photo.jpg")
    with serving(tmp_path / "data", "--demos", "vehicle_classifier,camvid_segmentation") as served:
        for line in [line for block in blocks("sh") for line in block.splitlines()]:
            given = line.split("#")[0].strip().replace("http://127.0.0.1:7860", served.url)
            if given.startswith("make"):
                continue
            words = shlex.split(given)
            done: Done | subprocess.CompletedProcess[str]
            if words[0] == "curl":
                words[1:1] = ["--silent", "--show-error", "--fail"]
                done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
            else:
                assert words[:3] == [".venv/bin/python", "-m", "hub"], given
                extra = {"status": ["--url", served.url], "new": ["--folder", str(tmp_path / "demos")]}
                done = command(cli.main, *words[3:], *extra.get(words[3], []), folder=tmp_path)
            assert done.returncode == 0, f"{given}\n{done.stdout}\n{done.stderr}"
        for block in blocks("python"):
            script = block.replace("http://127.0.0.1:7860", served.url)
            done = subprocess.run(
                [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
            )
            assert done.returncode == 0, done.stderr


if __name__ == "__main__":
    print(settings_table())
