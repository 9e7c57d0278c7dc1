"""`python -m hub new` writes a page that works untouched."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hub.cli.main import main
from hub.errors import InputError
from hub.hub import Hub
from hub.pages import new
from hub.pages.registry import discover
from hub.settings import ROOT, Settings


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub") / "demos"
    new.create("few_colours", folder)
    return folder


@pytest.fixture(scope="module")
def hub(demos: Path) -> Iterator[Hub]:
    made = Hub(Settings(demos_folder=str(demos), data=str(demos.parent / "data"), device="cpu", dtype="float32"))
    yield made
    made.close()


def test_the_page_is_registered_with_an_example_and_a_cover(demos: Path) -> None:
    page = discover(demos).get("few_colours")
    assert page.error == ""
    assert page.title == "Few colours"
    assert page.cover is not None
    assert page.cover.is_file()
    assert len(page.demo.examples) == 2


def test_every_example_runs(hub: Hub) -> None:
    page = hub.registry.get("few_colours")
    for example in page.demo.examples:
        inputs = {**example.inputs, "image": page.assets / example.inputs["image"]}
        result = hub.engine.run("few_colours", inputs)
        palette = result.values["palette"]
        assert len(palette) == example.inputs.get("colours", 6)
        assert sum(row["percent"] for row in palette) == pytest.approx(100, abs=0.1)
        assert palette[0]["percent"] == max(row["percent"] for row in palette)
        assert result.pictures["painting"][0].width == 640


def test_plain_small_and_grey_pictures_run(hub: Hub) -> None:
    for image in (
        Image.new("RGB", (8, 8), "red"),
        Image.new("L", (9, 400), 120),
        Image.fromarray(np.arange(64 * 64 * 3, dtype=np.uint32).reshape(64, 64, 3).astype(np.uint8)),
    ):
        result = hub.engine.run("few_colours", {"image": image, "colours": 24})
        assert 1 <= len(result.values["palette"]) <= 24
    assert hub.engine.run("few_colours", {"image": Image.new("RGB", (8, 8), "#ff0000")}).values["palette"] == [
        {"colour": "#ff0000", "percent": 100.0}
    ]


def test_bad_inputs_are_told(hub: Hub, demos: Path) -> None:
    picture = demos / "assets" / "few_colours" / new.PICTURE
    for inputs, says in (
        ({}, "image is missing"),
        ({"image": picture, "colours": 99}, "colours must be between 2 and 24, got 99"),
        ({"image": picture, "color": 3}, "Did you mean 'colours'?"),
        ({"image": picture.read_bytes()[:300]}, "cut off or damaged"),
    ):
        with pytest.raises(InputError, match=says.replace("?", r"\?")):
            hub.engine.run("few_colours", inputs)


def test_a_batch_answers_as_single_runs_do(demos: Path) -> None:
    demo = discover(demos).get("few_colours").demo
    images = [Image.new("RGB", (64, 40), colour) for colour in ("teal", "gold")]
    items = [demo.prepare(image=image, colours=4) for image in images]
    for item, together in zip(items, demo.infer(None, items), strict=True):
        np.testing.assert_array_equal(demo.infer(None, [item])[0], together)


def test_the_page_passes_lint_and_format(demos: Path) -> None:
    for check in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *check, "--config", str(ROOT / "pyproject.toml"), str(demos)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("slug", "says"),
    [
        ("My-Demo", "Try 'my_demo'"),
        ("2fast", "Try 'fast'"),
        ("../evil", "Try 'evil'"),
        ("é", "lower-case letters"),
        ("a" * 41, "at most 40"),
        ("status", "a route of the hub"),
        ("class", "a word of Python"),
    ],
)
def test_bad_names_are_refused_and_nothing_is_written(
    slug: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new", slug, "--folder", str(tmp_path / "demos")]) == 2
    assert says in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_existing_page_or_picture_is_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "mine", "--folder", str(tmp_path)]) == 0
    assert f"python -m hub run mine --image {tmp_path}" in capsys.readouterr().out
    (tmp_path / "mine.py").write_text("edited")
    assert main(["new", "mine", "--folder", str(tmp_path)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "mine.py").read_text() == "edited"
    (tmp_path / "mine.py").unlink()
    assert main(["new", "mine", "--folder", str(tmp_path)]) == 2
    assert "landscape.png exists already" in capsys.readouterr().err
