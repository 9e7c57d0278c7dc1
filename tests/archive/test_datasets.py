"""Corrections as a dataset: what is written loads with `datasets`, says what is true, and can be uploaded."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hub.archive.corrections import dataset
from hub.archive.corrections.dataset import export
from hub.archive.corrections.parts import Part
from hub.archive.corrections.store import FILE, Correction, CorrectionStore
from hub.cli.main import main
from hub.errors import InputError
from hub.people.owners import Owner
from hub.results.result import Picture
from tests.fakes import HOSTILE, Clock, picture
from tests.hub_server import TOKEN, HubServer
from tests.weights.conftest import hub_server, waits

pytestmark = pytest.mark.slow

__all__ = ["hub_server", "waits"]
SHADE = Part("shade", "Shade", "class", "light", ("light", "dark"))
POINTS = Part("points", "Points", "points", {"thumb": [3.0, 4.0], "ring": [1.0, 1.0]}, rows=("thumb", "ring"))
BOXES = Part("objects", "Objects", "boxes", [], size=(128, 96))
BLANK = Correction("", "r", "", "shade", "w", "d", "1", "dark", (SHADE,), "right", {}, "", "", "", 0.0)


def photo(seed: int = 0) -> Picture:
    file = io.BytesIO()
    picture(seed=seed).save(file, "PNG")
    return Picture(file.getvalue(), "image/png", 64, 48)


@pytest.fixture
def store(tmp_path: Path) -> CorrectionStore:
    """Five about shades, of which three can be exported; one with boxes and points."""
    clock = Clock()
    store = CorrectionStore(tmp_path / FILE, 10**7, clock)

    def say(target: str, pictured: bool = True, who: str = "me", **more: Any) -> None:
        clock.now += 1
        store.keep(
            replace(BLANK, target=target, **more), {"image": photo(int(clock.now))} if pictured else {}, Owner(who)
        )

    say("1", width=64, height=48)
    say("2", verdict="wrong", value={"shade": "dark"}, note=HOSTILE)
    say("2", verdict="right", who="you")
    say("3", verdict="wrong", value={"shade": "dark"})
    say("4", verdict="wrong")  # nobody said what is right
    say("5", pictured=False)
    box = {"label": "car", "x0": 10.0, "y0": 20.0, "x1": 30.0, "y1": 40.0}
    say("6", page="street", parts=(BOXES, POINTS), verdict="wrong", width=128, height=96,
        value={"objects": [box], "points": {"thumb": [6.0, 8.0], "ring": None}})  # fmt: skip
    return store


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_rows_say_the_last_word_on_each_answer_and_have_its_picture(store: CorrectionStore, tmp_path: Path) -> None:
    done = export(store, tmp_path / "out", "imagefolder", "shade")
    rows = lines(tmp_path / "out" / "shade" / "metadata.jsonl")
    assert [(row["label"], row["verdict"]) for row in rows] == [
        ("light", "right"),
        ("light", "right"),
        ("dark", "wrong"),
    ]
    assert done.left_out == 2 and {*done.pages} == {"shade"}
    for row in rows:
        with Image.open(tmp_path / "out" / "shade" / row["file_name"]) as image:
            assert image.size == (64, 48)
    assert "owner" not in rows[0] and json.loads(rows[0]["answer"]) == {"shade": "light"}
    with pytest.raises(InputError, match="not empty"):
        export(store, tmp_path / "out", "imagefolder")
    with pytest.raises(InputError, match="nothing to export"):
        export(store, tmp_path / "none", "imagefolder", "nowhere")


def test_boxes_and_points_are_in_pixels_of_the_picture_that_is_kept(store: CorrectionStore, tmp_path: Path) -> None:
    export(store, tmp_path / "out", "coco", "street")
    document = json.loads((tmp_path / "out" / "street" / "annotations.json").read_text())
    (image,) = document["images"]
    assert (image["width"], image["height"]) == (64, 48)
    box, points = document["annotations"]
    assert (box["bbox"], box["area"]) == ([5.0, 10.0, 10.0, 10.0], 100.0)
    assert points["keypoints"] == [3.0, 4.0, 2, 0, 0, 0] and points["num_keypoints"] == 1
    assert [one["name"] for one in document["categories"]] == ["car", "points"]
    assert document["categories"][1]["keypoints"] == ["thumb", "ring"]


def test_parquet_is_written_in_groups_of_few_pictures(
    store: CorrectionStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets, parquet = pytest.importorskip("datasets"), pytest.importorskip("pyarrow.parquet")
    export(store, tmp_path / "folder", "imagefolder", "shade")
    monkeypatch.setattr(dataset, "GROUP_BYTES", 1)
    export(store, tmp_path / "out", "parquet", "shade")
    file = tmp_path / "out" / "shade" / "train.parquet"
    assert parquet.ParquetFile(file).num_row_groups == 3, "one picture at a time"
    loaded = datasets.load_dataset(str(tmp_path / "out"), "shade", split="train", cache_dir=str(tmp_path / "cache"))
    for row in loaded:
        (path,) = (tmp_path / "folder" / "shade").glob(f"{row['id']}.*")
        with Image.open(path) as image:
            assert image.convert("RGB").tobytes() == row["image"].convert("RGB").tobytes()


@pytest.mark.parametrize("form", ["imagefolder", "jsonl", "coco", "parquet"])
def test_every_form_loads_with_datasets_by_its_card(
    form: str, store: CorrectionStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    export(store, tmp_path / "out", form)
    loaded = datasets.load_dataset(str(tmp_path / "out"), "shade", split="train", cache_dir=str(tmp_path / "cache"))
    assert [*loaded["label"]][:3] == ["light", "light", "dark"]
    if form == "jsonl":
        assert [name is None for name in loaded["file_name"]] == [False, False, False, True]
    else:
        assert [image.size for image in loaded["image"]] == [(64, 48)] * 3
    street = datasets.load_dataset(str(tmp_path / "out"), "street", split="train", cache_dir=str(tmp_path / "cache"))
    assert street[0]["objects"]["bbox"] == [[5.0, 10.0, 10.0, 10.0]]


def test_the_command_lists_deletes_exports_and_uploads(
    store: CorrectionStore, tmp_path: Path, hub_server: HubServer, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    store.close()
    data = ("--data", str(tmp_path))
    assert main(["corrections", "list", "--json", *data]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert (listed["total"], listed["accuracy"][0]) == (
        7, {"page": "shade", "weights": "w", "digest": "d", "right": 3, "wrong": 2},
    )  # fmt: skip
    assert main(["corrections", "list", *data]) == 0
    assert "3 of 5 right" in capsys.readouterr().out
    assert [main(["corrections", "delete", listed["corrections"][0]["id"], *data]) for _ in range(2)] == [0, 2]
    out = tmp_path / "out"
    command = ["corrections", "export", "--format", "parquet", "--out", str(out), "--push", "me/shades", *data]
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert main(command) == 0, capsys.readouterr().err
    repo = hub_server.repos["datasets/me/shades"]
    files = repo.commits[repo.refs["main"]]
    assert repo.private and files["README.md"] == (out / "README.md").read_bytes()
    assert files["shade/train.parquet"] == (out / "shade" / "train.parquet").read_bytes()
    assert main(["corrections", "export", "--out", str(out), *data]) == 2
    assert main(["corrections", "export", "--out", str(tmp_path / "two"), "--push", "me/x@v1", *data]) == 2
