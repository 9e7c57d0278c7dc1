"""Run capsules, and a store that is bounded, survives restarts and hands out nothing that can be changed."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from hub.results.result import Capsule, Picture, Receipt, Result
from hub.results.store import ResultStore, load_secret
from hub.texts import Sentence, joined, sentence
from tests.fakes import Clock

BASE = Capsule(
    page="page",
    version="1",
    weights="w",
    digest="d" * 64,
    dtype="float32",
    parameters={"threshold": 0.5, "seed": 7},
    inputs={"image": "a" * 64},
)
SECRET = b"s" * 32
DAY = 86_400.0
NOW = datetime(2026, 1, 1, tzinfo=UTC).timestamp()


def receipt(created: float = NOW) -> Receipt:
    stages = dict.fromkeys(("total_ms", "queue_ms", "load_ms", "prepare_ms", "infer_ms", "present_ms"), 1.0)
    when = datetime.fromtimestamp(created, UTC).isoformat(timespec="milliseconds")
    return Receipt(
        **stages,
        cold=False,
        cached=False,
        batch_size=1,
        device="cpu",
        dtype="float32",
        weights="w",
        digest="d" * 64,
        created_at=when,
    )


def result(number: int, size: int = 0, created: float = NOW) -> Result:
    pictures = {"mask": (Picture(bytes(size), "image/png", 8, 8, f"picture {number}"),)} if size else {}
    capsule = replace(BASE, parameters={"number": number})
    values = json.dumps({"answer": number})
    return Result(capsule.identify(SECRET), capsule.to_json(), values, MappingProxyType(pictures), receipt(created))


def test_sentences_among_the_values_and_captions_are_kept_and_a_record_from_before_them_is_still_read(
    tmp_path: Path,
) -> None:
    caption = joined([sentence("seed {number}", number=5), "hidden by the model's safety checker"])
    cell = sentence("{finger} tip", finger=sentence("Index"))
    one = result(1, size=3)
    shown = {name: tuple(replace(p, caption=caption) for p in group) for name, group in one.pictures.items()}
    values = json.dumps({"points": [{"point": cell, "x": 1}], "other": "Index tip 2"})
    told = (caption, cell)
    store(tmp_path).put(replace(one, values_json=values, pictures=MappingProxyType(shown), sentences=told))
    found = store(tmp_path).get(one.id)
    assert found is not None
    assert found.pictures["mask"][0].caption == "seed 5, hidden by the model's safety checker"
    kept = found.pictures["mask"][0].caption, found.values["points"][0]["point"]
    assert [one.template for one in kept if isinstance(one, Sentence)] == [one.template for one in told]
    assert kept[1].values["finger"] == "Index"
    assert not isinstance(found.values["other"], Sentence)
    file = next(tmp_path.rglob("record.json"))
    record = json.loads(file.read_text())
    del record["sentences"], record["sum"]
    file.write_text(json.dumps(record))
    found = store(tmp_path).get(one.id)
    assert found is not None and found.values["points"][0]["point"] == "Index tip"
    assert not isinstance(found.pictures["mask"][0].caption, Sentence)


def test_remarks_are_kept_with_their_templates_and_a_record_from_before_them_is_still_read(tmp_path: Path) -> None:
    inner = sentence("{count} bands", count=4)
    remark = sentence("{name} has {what}.", name="image", what=inner)
    one = result(1)
    store(tmp_path).put(replace(one, receipt=replace(one.receipt, remarks=(remark,))))
    (read,) = (found.receipt.remarks for found in [store(tmp_path).get(one.id)] if found)
    assert read == ("image has 4 bands.",) and isinstance(read[0], Sentence)
    assert read[0].template == remark.template and read[0].values["what"].template == inner.template
    file = next(tmp_path.rglob("record.json"))
    record = json.loads(file.read_text())
    del record["remarks"], record["receipt"]["remarks"], record["sum"]
    file.write_text(json.dumps(record))
    found = store(tmp_path).get(one.id)
    assert found is not None and found.receipt.remarks == ()


def test_a_headline_is_kept_with_its_template_and_a_record_from_before_them_is_still_read(tmp_path: Path) -> None:
    one = result(1)
    store(tmp_path).put(replace(one, headline=sentence("{hand}, {number} points", hand=sentence("Left"), number=12)))
    found = store(tmp_path).get(one.id)
    assert found is not None and found.headline == "Left, 12 points" and isinstance(found.headline, Sentence)
    assert found.headline.template == "{hand}, {number} points"
    file = next(tmp_path.rglob("record.json"))
    record = json.loads(file.read_text())
    del record["headline"], record["sum"]
    file.write_text(json.dumps(record))
    found = store(tmp_path).get(one.id)
    assert found is not None and found.headline == ""


def store(folder: Path | None, **options: Any) -> ResultStore:
    chosen = {"memory_bytes": 2**20, "disk_bytes": 2**20, "max_age_s": 30 * DAY, "clock": Clock(NOW), **options}
    return ResultStore(folder, **chosen)


def on_disk(folder: Path) -> int:
    return sum(f.stat().st_size for f in (folder / "results").rglob("*") if f.is_file())


# --- capsules -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"page": "other"},
        {"version": "2"},
        {"weights": "other"},
        {"digest": "e" * 64},
        {"dtype": "bfloat16"},
        {"parameters": {"threshold": 0.6, "seed": 7}},
        {"parameters": {"threshold": 0.5, "seed": 8}},
        {"parameters": {"threshold": 0.5}},
        {"inputs": {"image": "b" * 64}},
        {"inputs": {}},
    ],
)
def test_every_ingredient_changes_the_id(change: dict[str, Any]) -> None:
    assert replace(BASE, **change).identify(SECRET) != BASE.identify(SECRET)


def test_the_order_of_parameters_does_not_change_the_id() -> None:
    other = replace(BASE, parameters=dict(reversed(BASE.parameters.items())))
    assert other.identify(SECRET) == BASE.identify(SECRET)


def test_an_id_cannot_be_computed_without_the_secret() -> None:
    assert BASE.identify(SECRET) != BASE.identify(b"t" * 32)
    assert len(BASE.identify(SECRET)) == 32


# --- the secret -----------------------------------------------------------------------------------


def test_the_secret_is_kept_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    first = load_secret(tmp_path / "data")
    path = tmp_path / "data" / "secret"
    assert load_secret(tmp_path / "data") == first == path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(first) == 32


@pytest.mark.parametrize("damage", [b"", b"short"])
def test_a_damaged_secret_is_replaced_by_a_strong_one(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "secret").write_bytes(damage)
    made = load_secret(tmp_path)
    assert len(made) == 32
    assert load_secret(tmp_path) == made
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_without_a_folder_to_write_to_the_secret_is_for_this_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert len(load_secret(tmp_path / "file")) == 32
    assert load_secret(None) != load_secret(None)


# --- keeping --------------------------------------------------------------------------------------


def test_a_result_is_found_again_with_all_it_holds(tmp_path: Path) -> None:
    one = result(1, size=100)
    for kept in (store(tmp_path), store(None)):
        kept.put(one)
        assert kept.get(one.id) == one
        assert kept.get(result(2).id) is None


def test_a_result_survives_a_restart_with_the_same_id(tmp_path: Path) -> None:
    before = store(tmp_path)
    one = result(1, size=100)
    before.put(one)
    after = store(tmp_path)
    assert after.get(one.id) == one
    assert after.secret == before.secret
    assert after.stats()["disk_results"] == 1


def test_what_a_caller_changes_does_not_reach_the_store(tmp_path: Path) -> None:
    kept = store(tmp_path)
    one = result(1, size=10)
    kept.put(one)
    got = kept.get(one.id)
    assert got is not None
    got.values["answer"] = "changed"
    got.capsule["parameters"]["number"] = "changed"
    with pytest.raises(TypeError):
        got.pictures["mask"] = ()  # type: ignore[index]
    again = kept.get(one.id)
    assert again is not None
    assert again.values == {"answer": 1}
    assert again.capsule["parameters"] == {"number": 1}


def test_memory_and_disk_stop_growing_at_their_bounds(tmp_path: Path) -> None:
    kept = store(tmp_path, memory_bytes=40_000, disk_bytes=60_000)
    for number in range(600):
        kept.put(result(number, size=200))
        stats = kept.stats()
        assert stats["memory_bytes"] <= 40_000
        assert stats["disk_bytes"] <= 60_000
    assert on_disk(tmp_path) == kept.stats()["disk_bytes"] > 50_000
    assert len(list((tmp_path / "results").glob("??/*"))) == kept.stats()["disk_results"]


def test_thousands_of_small_results_stay_within_the_memory_bound() -> None:
    kept = store(None, memory_bytes=200_000)
    counts = []
    for number in range(4_000):
        kept.put(result(number))
        counts.append(kept.stats()["memory_results"])
    assert max(counts) == max(counts[:1000]) < 200
    assert kept.stats()["memory_bytes"] <= 200_000


def test_the_least_recently_used_result_leaves_the_disk_first(tmp_path: Path) -> None:
    first, *others = (result(number, size=1000) for number in range(20))
    kept = store(tmp_path, memory_bytes=0, disk_bytes=12_000)
    kept.put(first)
    for other in others:
        kept.put(other)
        assert kept.get(first.id) is not None
    assert kept.get(others[0].id) is None


def test_results_of_batches_have_half_of_the_disk_and_push_out_nobody_elses(tmp_path: Path) -> None:
    with_bounds = store(tmp_path, memory_bytes=0, disk_bytes=100_000)
    with_bounds.put(result(1, 10_000))
    for number in range(2, 30):
        with_bounds.put(result(number, 10_000), of_batch=True)
    assert with_bounds.created(result(1).id) is not None
    assert 20_000 < on_disk(tmp_path) < 75_000


def test_a_result_larger_than_memory_is_kept_on_disk_alone(tmp_path: Path) -> None:
    kept = store(tmp_path, memory_bytes=5_000, disk_bytes=100_000)
    large = result(1, size=50_000)
    kept.put(large)
    assert kept.stats()["memory_results"] == 0
    assert kept.get(large.id) == large


def test_a_smaller_bound_after_a_restart_holds_at_once(tmp_path: Path) -> None:
    before = store(tmp_path)
    for number in range(20):
        before.put(result(number, size=1000))
    after = store(tmp_path, disk_bytes=8_000)
    assert on_disk(tmp_path) == after.stats()["disk_bytes"] <= 8_000


# --- age ------------------------------------------------------------------------------------------


def test_a_result_ends_with_its_age_wherever_it_is_kept(tmp_path: Path) -> None:
    clock = Clock(NOW)
    one = result(1, size=10)
    for kept in (store(None, clock=clock), store(tmp_path, clock=clock), store(tmp_path, memory_bytes=0, clock=clock)):
        clock.now = NOW
        kept.put(one)
        clock.now = NOW + 30 * DAY - 1
        assert kept.get(one.id) is not None
        clock.now = NOW + 30 * DAY
        assert kept.get(one.id) is None


def test_reading_from_disk_does_not_make_a_result_young_again(tmp_path: Path) -> None:
    one, clock = result(1), Clock(NOW)
    store(tmp_path, clock=clock).put(one)
    clock.now = NOW + 29 * DAY
    after = store(tmp_path, clock=clock)
    assert after.get(one.id) is not None  # now also in memory
    clock.now = NOW + 31 * DAY
    assert after.get(one.id) is None


def test_all_that_is_too_old_leaves_the_disk_at_the_next_start(tmp_path: Path) -> None:
    before = store(tmp_path)
    for number in range(10):
        before.put(result(number))
    for path in (tmp_path / "results").glob("??/*"):
        os.utime(path, (NOW, NOW))
    after = store(tmp_path, clock=Clock(NOW + 31 * DAY))
    assert after.stats()["disk_results"] == 0
    assert on_disk(tmp_path) == 0


# --- trouble --------------------------------------------------------------------------------------


def result_folder(root: Path, one: Result) -> Path:
    return root / "results" / one.id[:2] / one.id


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: shutil.rmtree(folder),
        lambda folder: (folder / "record.json").unlink(),
        lambda folder: (folder / "record.json").write_text("{"),
        lambda folder: (folder / "record.json").write_text("[]"),
        lambda folder: (folder / "record.json").write_bytes(b"\xff\xfe"),
        lambda folder: (folder / "record.json").write_text("{}"),
        lambda folder: (folder / "mask-0.png").unlink(),
        lambda folder: (folder / "mask-0.png").write_bytes(b"half"),
    ],
)
def test_a_damaged_result_is_none_and_can_be_stored_anew(tmp_path: Path, damage: Any) -> None:
    one = result(1, size=100)
    kept = store(tmp_path, memory_bytes=0)
    kept.put(one)
    damage(result_folder(tmp_path, one))
    assert kept.get(one.id) is None
    kept.put(one)
    assert kept.get(one.id) == one
    assert store(tmp_path).get(one.id) == one


def test_strange_files_in_the_folder_do_not_stop_the_start(tmp_path: Path) -> None:
    kept = store(tmp_path)
    kept.put(result(1))
    (tmp_path / "results" / "ab").mkdir(exist_ok=True)
    (tmp_path / "results" / "ab" / "stray").touch()
    (tmp_path / "results" / "ab" / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "results" / ".new-left-by-a-crash").mkdir()
    assert store(tmp_path).get(result(1).id) is not None


def test_what_a_crash_left_half_written_goes_later(tmp_path: Path) -> None:
    store(tmp_path)
    left = tmp_path / "results" / ".new-left-by-a-crash"
    left.mkdir()
    os.utime(left, (NOW, NOW))
    store(tmp_path, clock=Clock(NOW + 60))
    assert left.exists()
    store(tmp_path, clock=Clock(NOW + DAY))
    assert not left.exists()


def test_a_folder_that_cannot_be_written_means_memory_only_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "results").touch()  # a file where the folder should be
    kept = store(tmp_path / "data")
    assert kept.warning.startswith("Results are kept in memory only: ")
    kept.put(result(1))
    assert kept.get(result(1).id) is not None
    assert kept.stats()["disk_results"] == 0


def test_a_full_disk_costs_only_durability(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("hub.results.records.write_result", full)
    kept = store(tmp_path)
    kept.put(result(1))
    assert kept.get(result(1).id) is not None
    assert "kept in memory only" in caplog.text
    assert on_disk(tmp_path) == 0
    assert not list((tmp_path / "results").glob(".new-*"))


@pytest.mark.parametrize(
    "id", ["", "../secret", "..", "/etc/passwd", "a" * 31, "A" * 32, "a" * 33, "../" * 10 + "ab", "\0" * 32, "é" * 32]
)
def test_an_id_that_is_none_finds_nothing_and_opens_no_file(tmp_path: Path, id: str) -> None:
    assert store(tmp_path).get(id) is None
