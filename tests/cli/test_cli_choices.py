"""`python -m hub run` with several options of one input, and outputs that may be missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hub.cli.main import main

PAGE = """
import numpy as np
from hub.spec import *

DEMO = Demo(
    title="Picky", summary="Keeps what you tick.", task="Test",
    inputs=(Choices("paints", "Paints", ("red", "green", "dark blue"), ("green",)),),
    outputs=(Json("got", "Got"), Json("more", "More", optional=True), Mask("mask", "Mask", optional=True)),
    load=lambda folder, device: None, prepare=lambda paints: list(paints), infer=lambda model, items: items,
    present=lambda output, paints: {"got": output, "mask": np.zeros((2, 3), np.uint8) if "red" in paints else None},
)
"""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "demos").mkdir()
    (tmp_path / "demos" / "picky.py").write_text(PAGE)
    for name, value in {"DEMOS_FOLDER": "demos", "DATA": "data", "DEVICE": "cpu", "DTYPE": "float32"}.items():
        monkeypatch.setenv(f"HUB_{name}", str(tmp_path / value) if value in ("demos", "data") else value)
    return tmp_path


@pytest.mark.parametrize(
    ("flags", "got"),
    [
        ([], ["green"]),
        (["--set", "paints="], []),
        (["--set", "paints=dark blue,red"], ["red", "dark blue"]),
        (["--set", "paints=dark blue", "--set", "paints=red", "--set", "paints=green"], ["red", "green", "dark blue"]),
    ],
)
def test_options_come_with_commas_or_one_by_one(
    flags: list[str], got: list[str], hub: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "picky", "--json", *flags]) == 0
    outputs = json.loads(capsys.readouterr().out)["outputs"]
    assert outputs == {"got": got} | ({"mask": None} if "red" in got else {})


def test_what_is_not_there_is_not_printed(hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "picky"]) == 0
    printed = capsys.readouterr().out
    assert "Got" in printed
    assert "More" not in printed
    assert "Mask" not in printed


def test_an_unknown_option_is_told_in_one_line(hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "picky", "--set", "paints=blue"]) == 2
    there = "There are: 'red', 'green', 'dark blue'."
    assert capsys.readouterr().err == f"error: paints: no option 'blue'. Did you mean 'dark blue'? {there}\n"
