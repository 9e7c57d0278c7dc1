"""Similar pictures: nearest first, of one's own session, bounded with the results they belong to."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hub import settings
from hub.archive import examples as idle
from hub.archive.vectors import Vectors
from hub.errors import HubError, InputError
from hub.hub import Hub
from hub.images import thumbnail
from hub.pages.registry import Page, Registry
from hub.people.users import Caller
from hub.results.result import Result
from hub.results.sight import THUMBNAIL_SIDE, from_bytes, look
from hub.settings import Settings
from hub.spec import Example
from tests.fakes import BLUES, REDS, FakeModel, colour_demo, in_threads, plain, wait_until, write_weights

pytestmark = pytest.mark.slow

MakeHub = Callable[..., Hub]


@pytest.fixture
def hub(make_hub: MakeHub) -> Hub:
    return make_hub(colours=colour_demo())


def caller(session: str) -> Caller | None:
    """Who asks with this session; None, for an empty one, is this machine."""
    return Caller(session=session) if session else None


def run(hub: Hub, image: Image.Image, session: str = "mine", **inputs: Any) -> Result:
    return hub.engine.run("colours", {"image": image, **inputs}, caller=caller(session))


def found(hub: Hub, result: Result, session: str = "mine", limit: int = 99) -> list[str]:
    return [match.id for match in hub.similar.find(result, hub.owners.of(caller(session)), limit)]


# --- what is found --------------------------------------------------------------------------------


def test_the_nearest_picture_comes_first(hub: Hub) -> None:
    red, other_red, blue, other_blue = (run(hub, image).id for image in (*REDS, *BLUES))
    result = hub.results.get(red)
    assert result is not None
    matches = hub.similar.find(result, hub.owners.of(caller("mine")))
    assert [m.id for m in matches] == [other_red, other_blue, blue]
    assert matches[0].similarity == pytest.approx(0.9935, abs=1e-3)
    assert [m.similarity for m in matches] == sorted((m.similarity for m in matches), reverse=True)
    assert found(hub, run(hub, BLUES[0]))[0] == other_blue


def test_the_same_picture_with_other_parameters_is_not_similar_to_itself(hub: Hub) -> None:
    run(hub, REDS[0], shown=0.1)
    other = [run(hub, REDS[1], shown=share).id for share in (0.1, 0.2)]
    matches = found(hub, run(hub, REDS[0], shown=0.9))
    assert len(matches) == 1
    assert matches[0] in other


def test_at_most_so_many_are_found_as_were_asked_for(hub: Hub) -> None:
    results = [run(hub, plain(200, shade, 30)) for shade in range(0, 100, 10)]
    assert len(hub.similar.find(results[0], hub.owners.of(caller("mine")), limit=3)) == 3
    assert len(hub.similar.find(results[0], hub.owners.of(caller("mine")), limit=20)) == 9


def test_an_output_without_an_embedding_is_an_error_that_says_so(make_hub: MakeHub) -> None:
    wrong = {
        "list": lambda model, items: [0.5 for _ in items],
        "shape": lambda model, items: [{"embedding": np.eye(2)}],
    }
    for infer in wrong.values():
        with pytest.raises(HubError, match='"embedding", a float32 array'):
            run(make_hub(colours=colour_demo(infer=infer)), REDS[0])


def test_an_embedding_must_be_finite_and_zero_points_nowhere() -> None:
    with pytest.raises(HubError, match="not finite"):
        look("page", {"embedding": np.array([1, np.nan], np.float32)}, REDS[0], "")
    assert look("page", {"embedding": np.zeros(3, np.float32)}, REDS[0], "") is None


@pytest.mark.parametrize("size", [(8, 8), (160, 90), (3000, 2000), (40, 2000), (4000, 8)])
def test_a_thumbnail_is_a_small_jpeg_of_the_whole_picture(size: tuple[int, int]) -> None:
    image = Image.linear_gradient("L").resize(size).convert("RGB")
    with Image.open(io.BytesIO(thumbnail(image, THUMBNAIL_SIDE, "sight"))) as small:
        assert small.format == "JPEG"
        assert max(small.size) == min(160, max(size))
        assert small.height == max(1, round(size[1] * small.width / size[0])) or max(size) > 160
        if min(small.size) > 4:  # dark above, light below, as the picture is
            grey = np.asarray(small.convert("L"), int)
            assert grey[0].mean() < 30
            assert grey[-1].mean() > 225


# --- whose pictures -------------------------------------------------------------------------------


def test_pictures_of_another_session_are_never_shown(hub: Hub) -> None:
    run(hub, REDS[1], session="theirs")
    run(hub, plain(230, 30, 30), session="")
    mine = run(hub, REDS[0], session="mine")
    assert found(hub, mine, "mine") == []
    assert found(hub, mine, "") == []  # no session is nobody's, not everybody's
    assert len(found(hub, mine, "theirs")) == 1


def test_a_stored_result_becomes_mine_when_i_ask_for_it_too(hub: Hub) -> None:
    theirs = run(hub, REDS[1], session="theirs")
    before = time.time()
    mine = run(hub, REDS[1], session="mine")
    assert not mine.receipt.cached and mine.created >= before - 0.001, "nobody is told that another ran it before"
    assert run(hub, REDS[1], session="mine").receipt.cached
    assert found(hub, run(hub, REDS[0], session="mine"), "mine") == [theirs.id]


def test_everyone_sees_all_where_the_setting_says_so(make_hub: MakeHub) -> None:
    hub = make_hub(colours=colour_demo(), settings={"similar": "everyone"})
    theirs = run(hub, REDS[1], session="theirs")
    assert found(hub, run(hub, REDS[0], session=""), "") == [theirs.id]


def test_off_keeps_and_finds_nothing(make_hub: MakeHub, tmp_path: Path) -> None:
    hub = make_hub(colours=colour_demo(), settings={"similar": "off"})
    first, second = run(hub, REDS[0]), run(hub, REDS[1])
    assert first.sight is second.sight is None
    assert hub.similar.find(first, hub.owners.of(caller("mine"))) == []
    assert list((tmp_path / "data").rglob("*.safetensors")) == []


def test_a_page_that_does_not_ask_for_it_keeps_no_pictures(make_hub: MakeHub) -> None:
    hub = make_hub(colours=colour_demo(similar=False))
    assert run(hub, REDS[0]).sight is None


def test_the_setting_takes_three_words() -> None:
    assert settings.from_environment({"HUB_SIMILAR": "everyone"}).similar == "everyone"
    with pytest.raises(InputError, match="HUB_SIMILAR must be session, everyone or off, got 'all'"):
        settings.from_environment({"HUB_SIMILAR": "all"})


# --- what is compared -----------------------------------------------------------------------------


def test_vectors_of_other_weights_or_another_dtype_are_not_compared(make_hub: MakeHub, tmp_path: Path) -> None:
    first = write_weights(tmp_path / "weights", "first", content=b"1")
    second = write_weights(tmp_path / "weights", "second", content=b"2")
    hub = make_hub(colours=colour_demo(weights=(first, second)))
    one = run(hub, REDS[0], weights="first")
    run(hub, REDS[1], weights="second")
    assert found(hub, one) == []
    capsule = one.capsule_json.replace('"dtype":"float32"', '"dtype":"bfloat16"')
    assert len(found(hub, run(hub, REDS[1], weights="first"))) == 1
    assert found(hub, replace(one, capsule_json=capsule)) == []


def test_new_bytes_under_the_same_name_are_other_weights(make_hub: MakeHub, tmp_path: Path) -> None:
    weights = write_weights(tmp_path / "weights", "w", content=b"1")
    run(make_hub(colours=colour_demo(weights=(weights,))), REDS[1])
    write_weights(tmp_path / "weights", "w", content=b"22")
    hub = make_hub(colours=colour_demo(weights=(weights,)))
    assert found(hub, run(hub, REDS[0])) == []


# --- bounds and restarts --------------------------------------------------------------------------


@pytest.mark.parametrize("disk_mb", [0.0, 0.1])
def test_a_vector_leaves_with_its_result(make_hub: MakeHub, disk_mb: float) -> None:
    hub = make_hub(colours=colour_demo(), settings={"results_memory_mb": 0.05, "results_disk_mb": disk_mb})
    hub.similar.index.limit_bytes = 10**6  # more than the results may take: only they bound it here
    results = [run(hub, plain(shade, 9, 9)) for shade in range(0, 250, 2)]
    kept = {r.id for r in results if hub.results.created(r.id)}
    assert 0 < len(kept) < len(results)
    assert hub.similar.index._entries.keys() == kept
    assert set(found(hub, results[-1])) == kept - {results[-1].id}


def test_too_old_results_are_not_found(make_hub: MakeHub) -> None:
    hub = make_hub(colours=colour_demo(), settings={"results_days": 1.0})
    run(hub, REDS[1])
    result = run(hub, REDS[0])
    hub.results._clock = lambda: result.created + 86_401
    assert found(hub, result) == []
    assert hub.similar.index.stats()["vectors"] == 1  # the one that was asked about goes when it is asked for
    assert hub.results.get(result.id) is None
    assert hub.similar.index.stats() == {"vectors": 0, "groups": 0, "bytes": 0}


def test_the_index_stays_within_its_bytes_and_drops_the_oldest() -> None:
    index = Vectors(50_000)
    for number in range(300):
        index.add(f"{number}", f"group {number % 2}", f"{number}", unit(number), "mine")
    stats = index.stats()
    assert 40_000 < stats["bytes"] <= 50_000
    assert index.pictures("group 0") | index.pictures("group 1") == {f"{n}" for n in range(300 - stats["vectors"], 300)}
    rows = sum(len(group.matrix) for group in index._groups.values())
    assert rows <= 2 * stats["vectors"]
    cosine, id, picture = index.nearest("group 1", unit(299), owners=["mine"], always=(), without="")[0]
    assert (id, picture) == ("299", "299")
    assert cosine == pytest.approx(1)
    for number in range(300):
        index.remove(f"{number}")
    assert index.stats() == {"vectors": 0, "groups": 0, "bytes": 0}


def unit(seed: int) -> np.ndarray:
    vector = np.random.default_rng(seed).standard_normal(64).astype(np.float32)
    return vector / np.linalg.norm(vector)


def test_a_new_owner_of_an_old_vector_gets_that_vector() -> None:
    index = Vectors(10**6)
    for number in range(40):  # more than the first matrix holds, with gaps
        index.add(f"{number}", "g", f"{number}", unit(number), "mine")
        if number % 3 == 0:
            index.remove(f"{number}")
    index.add("10", "g", "10", unit(10), "theirs")
    for owner in ("mine", "theirs"):
        cosine, id, _ = index.nearest("g", unit(10), owners=[owner], always=(), without="")[0]
        assert id == "10"
        assert cosine == pytest.approx(1)


def test_searches_and_changes_at_once_give_right_answers() -> None:
    index = Vectors(100_000)
    index.add("same", "g", "same", unit(0), "mine")
    stop, wrong = threading.Event(), list[Any]()

    def search() -> None:
        while not stop.is_set():
            nearest = index.nearest("g", unit(0), owners=["mine"], always=(), without="")
            expected = {id: float(unit(int(id)) @ unit(0)) for _, id, _ in nearest[:5] if id != "same"}
            wrong.extend(m for m in nearest[:5] if abs(m[0] - expected.get(m[1], 1.0)) > 1e-4)

    def change() -> None:
        for number in range(1, 600):
            index.add("same", "g", "same", unit(0), "mine")
            index.add(f"{number}", "g", f"{number}", unit(number), "mine")
            index.remove(f"{number - 20}")
        stop.set()

    assert in_threads([search, search, change]) == [None, None, None]
    assert wrong == []
    assert index.stats()["vectors"] == 21


def test_a_restart_keeps_vectors_and_whose_they_are(make_hub: MakeHub) -> None:
    first = make_hub(colours=colour_demo())
    mine, theirs = run(first, REDS[0], "mine"), run(first, REDS[1], "theirs")
    first.close()
    again = make_hub(colours=colour_demo())
    new = run(again, plain(240, 30, 20), "mine")
    assert found(again, new, "mine") == [mine.id]
    assert found(again, new, "theirs") == [theirs.id]
    stored = again.results.get(mine.id)
    assert stored is not None
    assert stored.sight is not None
    assert mine.sight is not None
    assert stored.sight.thumbnail == mine.sight.thumbnail
    assert np.array_equal(stored.sight.embedding, mine.sight.embedding)


def test_a_restart_with_less_room_keeps_the_latest(make_hub: MakeHub) -> None:
    first = make_hub(colours=colour_demo())
    results = [run(first, plain(shade, 9, 9)) for shade in range(0, 40, 2)]
    again = make_hub(colours=colour_demo(), settings={"results_memory_mb": 8 * 5 * 1100 / 2**20})
    again.similar._read_once()
    held = again.similar.index.stats()["vectors"]
    assert 0 < held < 20
    # The last used first; the clock of the disk orders the folders.
    assert again.similar.index._entries.keys() <= {r.id for r in results}


def test_no_file_holds_the_session_and_none_is_a_pickle(hub: Hub, tmp_path: Path) -> None:
    run(hub, REDS[0], session="a-secret-cookie")
    files = [f for f in (tmp_path / "data" / "results").rglob("*") if f.is_file()]
    assert {f.name for f in files} == {"record.json", "similar.safetensors"}
    assert all(b"a-secret-cookie" not in f.read_bytes() for f in files)
    with pytest.raises(ValueError, match="no picture's embedding"):
        from_bytes(b"\x80\x04]q.", "")


def test_a_damaged_embedding_makes_the_result_anew(make_hub: MakeHub, tmp_path: Path) -> None:
    first = run(make_hub(colours=colour_demo()), REDS[0])
    (path,) = (tmp_path / "data").rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    again = make_hub(colours=colour_demo())
    run(again, REDS[1])
    assert found(again, run(again, REDS[1])) == []
    renewed = run(again, REDS[0])
    assert renewed.id == first.id
    assert not renewed.receipt.cached


# --- examples -------------------------------------------------------------------------------------


@pytest.fixture
def with_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Hub]]:
    monkeypatch.setattr(idle, "IDLE_S", 0.01)
    monkeypatch.setattr(idle, "LOOK_S", 0.002)
    assets, made = tmp_path / "assets", list[Hub]()
    assets.mkdir()
    for name, image in {"red.png": REDS[1], "blue.png": BLUES[1]}.items():
        image.save(assets / name)
    examples = (Example({"image": "red.png"}, "Something red"), Example({"image": "blue.png"}, "Something blue"))

    def make(settings: dict[str, Any] | None = None, **changes: Any) -> Hub:
        page = Page("colours", "a test", assets, declared=colour_demo(examples=examples, **changes))
        chosen = {
            "device": "cpu",
            "dtype": "float32",
            "pool_gb": 1.0,
            "data": str(tmp_path / "data"),
            **(settings or {}),
        }
        made.append(Hub(Settings(**chosen), Registry({"colours": page})))
        return made[-1]

    yield make
    for hub in made:
        hub.close()


def ready(hub: Hub, result: Result) -> bool:
    hub.similar.find(result, hub.owners.of(caller("")))
    return hub.similar.index.stats()["vectors"] >= 3


def test_examples_are_found_by_everybody_once_the_hub_is_idle(with_examples: Callable[..., Hub]) -> None:
    hub = with_examples()
    result = run(hub, REDS[0])
    wait_until(lambda: ready(hub, result), "the examples are compared")
    for session in ("mine", "theirs", ""):
        matches = hub.similar.find(result, hub.owners.of(caller(session)))
        assert [(m.example, m.title) for m in matches] == [(0, "Something red"), (1, "Something blue")]
    clicked = hub.engine.run(
        "colours", {"image": hub.registry.get("colours").assets / "red.png"}, caller=caller("mine")
    )
    assert clicked.receipt.cached  # it ran in the background already
    first = hub.similar.find(clicked, hub.owners.of(caller("mine")))[0]
    assert (first.id, first.example) == (result.id, None)


def test_no_model_is_loaded_for_examples(with_examples: Callable[..., Hub]) -> None:
    first = with_examples()
    result = run(first, REDS[0])
    first.pool.unload("colours")
    first.similar.find(result, first.owners.of(caller("mine")))
    again = with_examples()
    stored = run(again, REDS[0])
    assert stored.receipt.cached
    assert again.similar.find(stored, again.owners.of(caller("mine"))) == []
    assert not again.similar.examples.wake(again.registry.get("colours"), stored.capsule, "any")
    assert not again.models.is_loaded("colours")


def test_an_example_waits_until_nobody_is_served_and_makes_way(with_examples: Callable[..., Hub]) -> None:
    busy, hold = threading.Event(), threading.Event()
    usual = colour_demo().infer

    def infer(model: FakeModel, items: list[np.ndarray]) -> Any:
        if items[0][0, 0, 1] > 0.9:  # the green picture takes its time
            busy.set()
            assert hold.wait(30)
        return usual(model, items)

    hub = with_examples(infer=infer, settings={"queue_limit": 1})
    result = run(hub, REDS[0])
    slow = threading.Thread(target=run, args=(hub, plain(0, 255, 0)))
    slow.start()
    assert busy.wait(30)
    hub.similar.find(result, hub.owners.of(caller("mine")))
    threading.Event().wait(0.1)  # ten times as long as it takes to be idle
    assert len(hub.engine.running._futures) == 1  # the visitor's
    hold.set()
    slow.join()
    wait_until(lambda: hub.similar.index.stats()["vectors"] == 4, "the examples follow")


def test_a_background_run_takes_no_place_in_the_queue(make_hub: MakeHub) -> None:
    begun, hold = threading.Event(), threading.Event()
    usual = colour_demo().infer

    def infer(model: FakeModel, items: list[np.ndarray]) -> Any:
        begun.set()
        assert hold.wait(30)
        return usual(model, items)

    hub = make_hub(colours=colour_demo(infer=infer), settings={"queue_limit": 1})
    images = {"background": REDS[0], "visitor": REDS[1]}
    runs = {
        name: threading.Thread(target=hub.engine.run, args=("colours", {"image": image}), kwargs={"kind": name})
        for name, image in images.items()
    }
    runs["background"].start()
    assert begun.wait(30)
    assert hub.engine.in_work == 0
    runs["visitor"].start()
    wait_until(lambda: hub.engine.in_work == 1, "the visitor is taken, though the queue holds one")
    hold.set()
    for thread in runs.values():
        thread.join(30)
    assert hub.similar.index.stats()["vectors"] == 2


def test_an_example_that_fails_is_tried_once(with_examples: Callable[..., Hub], caplog: Any) -> None:
    usual, tries = colour_demo().infer, list[int]()

    def infer(model: FakeModel, items: list[np.ndarray]) -> Any:
        if items[0][0, 0, 2] > 0.8:  # the blue example
            tries.append(1)
            raise ValueError("no blue today")
        return usual(model, items)

    hub = with_examples(infer=infer)
    result = run(hub, REDS[0])
    page = hub.registry.get("colours")
    wait_until(lambda: hub.similar.find(result, hub.owners.of(caller(""))) != [], "the red example is compared")
    wait_until(lambda: not hub.similar.outstanding(result)[0], "nothing more is to come")
    assert [m.title for m in hub.similar.find(result, hub.owners.of(caller("")))] == ["Something red"]
    assert len(tries) == 1
    assert "example 2 of colours is not compared" in caplog.text
    assert len(hub.similar.examples.of(page)) == 2
