"""`hub check`: one page is held to the contract, and each rule that it breaks is named with what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.cli import main as cli
from tests.served import command

pytestmark = pytest.mark.slow

GOOD = '''"""A page for tests."""

from hub.spec import Demo, ImageInput, Json, Slider


def prepare(image, number):
    import numpy as np

    return {"pixels": np.asarray(image.resize((8, 8)), np.float32), "number": number}


def infer(model, items):
    return [float(item["pixels"].mean()) for item in items]


def present(output, image, number):
    return {"mean": round(output, 3)}


DEMO = Demo(
    title="Mine [bold]", summary="A page for tests.", task="Test",
    inputs=(ImageInput("image", "Picture"), Slider("number", "Number", 0, 10, default=1, step=1)),
    outputs=(Json("mean", "Mean"),),
    load=lambda folder, device: None, prepare=prepare, infer=infer, present=present,
)
'''


def check(folder: Path, text: str) -> tuple[int, str]:
    (folder / "demos").mkdir(exist_ok=True)
    (folder / "demos" / "mine.py").write_text(text, encoding="utf-8")
    done = command(cli.main, "check", "demos/mine.py", "--device", "cpu", folder=folder)
    assert done.stderr == ""
    return done.returncode, done.stdout


@pytest.mark.slow
def test_a_good_page_passes_and_its_author_learns_what_a_run_costs(tmp_path: Path) -> None:
    status, told = check(tmp_path, GOOD)
    assert status == 0 and "Everything holds." in told and "BAD" not in told
    assert "Mine [bold] (Test)" in told and "A run, 640 x 480" in told
    assert "no Chinese words: 'Mine [bold]'" in told


def test_what_a_page_breaks_is_told_by_rule_and_line(tmp_path: Path) -> None:
    bad = GOOD.replace('"""A page for tests."""', '"""A page for tests."""\nimport cv2')
    bad = bad.replace("for item in items]", "+ len(items) for item in items]")
    bad = bad.replace(
        '    return {"mean"',
        '    image.putpixel((0, 0), (1, 2, 3))\n    number / (image.width - 8)\n    return {"mean"',
    )
    status, told = check(tmp_path, bad)
    assert status == 1 and "4 rules broken." in told
    assert "imports cv2" in told
    assert "ZeroDivisionError" in told or "division by zero" in told
    assert "writes into its inputs" in told
    assert "in one run" in told and "in the other" in told


def test_a_page_that_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    status, told = check(tmp_path, GOOD + "def (")
    assert status == 1 and "SyntaxError" in told
    done = command(cli.main, "check", "demos/nowhere.py", folder=tmp_path)
    assert done.returncode == 2 and "There is no file" in done.stderr
