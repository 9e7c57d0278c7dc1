"""What nobody changed is looked at with a stat a file; whatever changes is seen at once."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hub.errors import UnavailableError
from hub.weights import formats, watched
from hub.weights.store import WeightsStore
from hub.weights.watched import Watched, folders_in

BUNDLED = Path(__file__).parents[2] / "weights" / "satellite_landuse"
LONG_AGO = time.time() - 3600


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Small weights that were written an hour ago."""
    folder = tmp_path / "weights" / "tags"
    (folder / "more").mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(BUNDLED / name, folder / name)
    return folder


def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Hears of each walk through a folder."""
    walked: list[str] = []
    files_of = formats.files_of

    def counted(path: Path, what: str) -> dict[str, Path]:
        walked.append(what)
        return files_of(path, what)

    monkeypatch.setattr(formats, "files_of", counted)
    return walked


def test_weights_that_stay_the_same_are_walked_through_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "STEP_NS", -(10**12))  # as if they had been written long ago
    store, walked = WeightsStore(folder.parent), looks(monkeypatch)
    found = [store.obtain("tags") for _ in range(5)]
    assert len(walked) == 1 and all(one is found[0] for one in found)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "config.json").write_text((folder / "config.json").read_text() + " "),
        lambda folder: os.utime(folder / "model.safetensors", (1, 1)),
        lambda folder: shutil.copyfile(folder / "config.json", folder / "more" / "config.json"),
        lambda folder: (folder / "another").mkdir(),
        lambda folder: (folder.parent / "lock.json").write_text('{"version": 1, "sources": {}}'),
    ],
)
def test_whatever_changes_is_looked_at_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object]
) -> None:
    monkeypatch.setattr(watched, "STEP_NS", -(10**12))
    store, walked = WeightsStore(folder.parent), looks(monkeypatch)
    store.obtain("tags")
    change(folder)
    store.obtain("tags")
    assert len(walked) == 2


def test_weights_that_are_taken_away_or_spoilt_are_refused_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watched, "STEP_NS", -(10**12))
    store = WeightsStore(folder.parent)
    store.obtain("tags")
    (folder / "pytorch_model.bin").write_bytes(b"\x80")
    (folder / "model.safetensors").rename(folder / "model.gone")
    with pytest.raises(UnavailableError, match=r"pytorch_model\.bin"):
        store.obtain("tags")


def test_what_was_written_a_moment_ago_is_not_trusted_to_show_the_next_change(folder: Path) -> None:
    """Times of files come in steps: two changes in one step look like one."""
    just_now = Watched.since(time.time_ns(), folders_in(folder))
    assert not just_now.is_same()
    for path in folders_in(folder):
        os.utime(path, (LONG_AGO, LONG_AGO))
    assert not Watched.since(time.time_ns(), folders_in(folder)).is_same(), "ctime tells that its times were set now"
