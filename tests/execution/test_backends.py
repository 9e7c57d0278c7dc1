"""Networks in compiled forms: as good as eager, faster, never in the way, and made once."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import math
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import psutil
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from hub import memory
from hub.execution import devices
from hub.execution.backends import compiled, export, measuring, orders, points, store, workshop
from hub.execution.backends.orders import Origin, RefusedError
from hub.execution.backends.points import EAGER, OPENVINO, Point, take_used
from hub.execution.backends.store import SUMS
from hub.execution.backends.workshop import Workshop
from hub.hub import Hub
from hub.kit.heat_maps import classify
from hub.kit.networks import image_classifier
from hub.pages.registry import discover
from hub.results.result import Capsule
from hub.settings import ROOT, Settings
from tests.fakes import in_threads

SLUG = "vehicle_classifier"
pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.slow,
]  # the export runs with low priority, beside whatever else runs
WEIGHTS = ROOT / "weights" / SLUG
PATIENCE_S = 280.0  # for an export: a process that imports torch, reads the weights and traces them
TOLERANCE = measuring.TOLERANCE["float32"]


def load() -> Any:
    return devices.place(image_classifier(WEIGHTS), torch.device("cpu"), torch.float32)


def origin(**changes: Any) -> Origin:
    found = Origin(SLUG, "1", ROOT / "demos", SLUG, "0" * 64, WEIGHTS, "float32")
    return dataclasses.replace(found, **changes)


def pictures(count: int = 1, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 3, 224, 224, generator=torch.Generator().manual_seed(seed))


def passed(call: Callable[[], Any]) -> tuple[Any, str]:
    """What a call gives where gradients are off, and by which backend."""
    take_used()
    with torch.inference_mode():
        answer = call()
    return answer, take_used()


def settled(model: Any, name: str = "forward_features") -> Point:
    """The point, once what it was offered is made or refused."""
    point: Point = getattr(model, name)
    end = time.monotonic() + PATIENCE_S
    while any(form is points.WAITING for form in point._forms.values()):
        assert time.monotonic() < end, "nothing came of it in time"
        time.sleep(0.02)
    return point


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Workshop]]:
    """Workshops that take forms whether they are faster or not, and wait for nothing."""
    monkeypatch.setattr(workshop, "QUIET_S", 0.0)
    made: list[Workshop] = []

    def make(data: Path, **options: Any) -> Workshop:
        made.append(Workshop(data, lambda: math.inf, **{"always": True, **options}))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the form of the classifier in it, exported once for all tests here."""
    folder = tmp_path_factory.mktemp("data")
    shop = Workshop(folder, lambda: math.inf, always=True)
    model = load()
    shop.attach(model, origin(), lambda: None)
    passed(lambda: model.forward_features(pictures()))
    settled(model)
    shop.close()
    assert forms(folder), "the classifier was not exported"
    return folder


def forms(data: Path) -> list[Path]:
    return [sums.parent for sums in (data / "backends").glob(f"*/{SUMS}")]


def fast_model(opened: Callable[..., Workshop], data: Path) -> tuple[Any, Workshop]:
    shop, model = opened(data), load()
    shop.attach(model, origin(), lambda: None)
    passed(lambda: model.forward_features(pictures()))
    settled(model)
    return model, shop


@pytest.mark.release
def test_while_others_run_models_a_form_is_made_for_those_alone_who_use_its_network(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page was slower by half for as long as the forms of another were made that nobody asked any more."""
    monkeypatch.setattr(orders, "WANTED_S", 0.0)
    monkeypatch.setattr(workshop, "PATIENCE_S", 0.1)  # of a measurement, for a moment without runs
    shutil.copytree(data / "backends", tmp_path / "backends")
    shop, model = Workshop(tmp_path, lambda: 0.0, always=True), load()
    try:
        shop.attach(model, origin(), lambda: None)
        passed(lambda: model.forward_features(pictures()))
        time.sleep(20 * workshop.LOOK_S)
        assert points.WAITING in model.forward_features._forms.values()
        monkeypatch.setattr(orders, "WANTED_S", PATIENCE_S)
        time.sleep(20 * workshop.LOOK_S)
        assert points.WAITING in model.forward_features._forms.values(), "there may be a pause yet"
        monkeypatch.setattr(workshop, "HOLD_S", 0.0)
        settled(model)
        assert passed(lambda: model.forward_features(pictures()))[1] == OPENVINO
    finally:
        shop.close()


@pytest.fixture
def no_export(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("it was exported again")

    monkeypatch.setattr(Workshop, "_export", refuse)


@pytest.mark.usefixtures("no_export")
def test_a_form_that_is_there_answers_as_the_eager_network_does(opened: Callable[..., Workshop], data: Path) -> None:
    model, eager = fast_model(opened, data)[0], load()
    for batch in (pictures(1, 1), pictures(3, 2)):
        fast, used = passed(lambda: model.forward_features(batch))  # noqa: B023  # called right here
        slow, plain = passed(lambda: eager.forward_features(batch))  # noqa: B023
        assert (used, plain) == (OPENVINO, EAGER)
        assert measuring.differ([fast], [slow]) < TOLERANCE


@pytest.mark.usefixtures("no_export")
def test_a_form_that_rests_gives_back_what_its_passes_took_once_and_answers_as_before(
    opened: Callable[..., Workshop], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = fast_model(opened, data)[0]
    (form,) = model.forward_features.compiled.values()
    before, _ = passed(lambda: model.forward_features(pictures(2, 1)))
    assert not form.release(3600.0), "it was called just now"
    assert [form.release(), form.release()] == [True, False]
    after, used = passed(lambda: model.forward_features(pictures(2, 1)))
    assert used == OPENVINO
    assert torch.equal(after, before)
    monkeypatch.setattr(compiled, "RESTING_S", 0.0)
    in_threads([lambda: passed(lambda: model.forward_features(pictures())), compiled.release_resting] * 20)
    with form._lock:
        assert form._in_use == 0


@pytest.mark.usefixtures("no_export")
def test_a_form_whose_batches_became_small_gives_back_what_large_ones_took(
    opened: Callable[..., Workshop], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It never rests where many ask, so that it kept for ever what its largest pass had taken."""
    model = fast_model(opened, data)[0]
    (form,) = model.forward_features.compiled.values()
    before, _ = passed(lambda: model.forward_features(pictures(1, 1)))

    def rss_of(size: int, passes: int = 1) -> tuple[bool, int]:
        for _ in range(passes):
            passed(lambda: model.forward_features(pictures(size, 1)))
        gives_back = form.release(3600.0)
        memory.trim()
        return gives_back, psutil.Process().memory_info().rss

    assert not form.release(3600.0)
    _, small = rss_of(1)
    gave_back, large = rss_of(64)
    assert not gave_back
    assert large - small > 50 * 2**20, "there is something to give back"
    assert rss_of(1, 4)[0] is False, "large ones were there just now"
    monkeypatch.setattr(compiled, "RESTING_S", 0.0)
    gave_back, after = rss_of(1)
    assert gave_back
    assert after - small < (large - small) / 2
    assert not form.release(3600.0), "once"
    assert torch.equal(passed(lambda: model.forward_features(pictures(1, 1)))[0], before)


@pytest.mark.usefixtures("no_export")
def test_heat_maps_and_embeddings_are_made_of_what_a_form_answers(opened: Callable[..., Workshop], data: Path) -> None:
    pixels: list[NDArray[np.float32]] = [pictures(1, 3).numpy()]
    names = json.loads((WEIGHTS / "config.json").read_text(encoding="utf-8"))["label_names"]

    def look(model: Any) -> tuple[Any, str]:
        return passed(lambda: classify(model, pixels, [names[0]], names, exclusive=True)[0])

    (fast, used), (slow, _) = look(fast_model(opened, data)[0]), look(load())
    assert used == OPENVINO
    for part in ("logits", "embedding", "cam"):
        np.testing.assert_allclose(fast[part], slow[part], atol=0.01 * np.abs(slow[part]).max())


def test_the_network_is_measured_with_as_many_threads_as_its_form_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders, used, model = list[Any](), set[int](), load()
    shop = Workshop(tmp_path, lambda: math.inf)
    monkeypatch.setattr(shop, "_take", orders.append)
    shop.attach(model, origin(), lambda: None)
    passed(lambda: model.forward_features(pictures()))
    (order,), point = orders, model.forward_features

    class Form:
        def run(self, tensors: Any) -> list[torch.Tensor]:
            used.add(torch.get_num_threads())
            with points.inside():
                return [point.function(model, *tensors)]

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        one = dataclasses.replace(order, seen=dataclasses.replace(order.seen, threads=1))
        measuring.speedups(point, cast("Any", Form()), one, lambda: None)
    finally:
        torch.set_num_threads(before)
        shop.close()
    assert used == {1}


@pytest.mark.usefixtures("no_export")
def test_hooks_gradients_and_changed_weights_go_to_the_eager_network(
    opened: Callable[..., Workshop], data: Path
) -> None:
    model, _ = fast_model(opened, data)
    hook = model.conv_stem.register_forward_hook(lambda *_: None)
    assert passed(lambda: model.forward_features(pictures()))[1] == EAGER
    hook.remove()
    assert passed(lambda: model.forward_features(pictures()))[1] == OPENVINO
    take_used()
    model.forward_features(pictures())  # gradients are on
    assert take_used() == EAGER
    twin = copy.deepcopy(model)
    assert not isinstance(twin.forward_features, Point)
    with torch.no_grad():
        model.conv_stem.weight.mul_(2)
    assert passed(lambda: model.forward_features(pictures()))[1] == EAGER


@pytest.mark.usefixtures("no_export")
def test_a_form_that_is_not_as_good_is_not_used(
    opened: Callable[..., Workshop],
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setitem(measuring.TOLERANCE, "float32", 0.0)
    shutil.copytree(data / "backends", tmp_path / "backends")  # what was found is remembered elsewhere
    model, _ = fast_model(opened, tmp_path)
    assert passed(lambda: model.forward_features(pictures()))[1] == EAGER
    assert "stays eager: its compiled form differs" in caplog.text


def test_a_failed_export_leaves_eager_and_says_so_once(
    opened: Callable[..., Workshop], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise RefusedError("it could not be exported (no such layer)")

    monkeypatch.setattr(Workshop, "_export", fail)
    caplog.set_level(logging.INFO)
    shop = opened(tmp_path)
    for _ in range(2):
        model = load()
        shop.attach(model, origin(), lambda: None)
        for count in (1, 2):
            answer, used = passed(lambda: model.forward_features(pictures(count)))  # noqa: B023  # called right here
            assert used == EAGER and answer.shape[0] == count
            settled(model)
    assert caplog.text.count("stays eager") == 1


def test_a_damaged_form_is_refused_and_made_anew(
    opened: Callable[..., Workshop], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []
    (form,) = forms(data)
    good = {file: (form / file).read_bytes() for file in (export.MODEL, export.CONSTANTS)}
    shutil.copytree(data / "backends", tmp_path / "backends")
    damaged = tmp_path / "backends" / form.name
    (damaged / export.MODEL).write_bytes(good[export.MODEL].replace(b"<layer", b"<LAYER", 1))

    def again(self: Workshop, order: Any, folder: Path) -> None:
        made.append(folder)
        for file, content in good.items():
            (folder / file).write_bytes(content)

    monkeypatch.setattr(Workshop, "_export", again)
    model, _ = fast_model(opened, tmp_path)
    assert made and passed(lambda: model.forward_features(pictures()))[1] == OPENVINO
    assert forms(tmp_path) == [damaged] and (damaged / export.MODEL).read_bytes() == good[export.MODEL]


def test_forms_of_other_weights_leave_and_so_do_the_oldest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MOST_FORMS", 2)
    kept = store.FormStore(tmp_path)

    def make(slug: str, exactly: str) -> store.Name:
        name = store.Name(slug, "forward", exactly)
        with kept.making(name, 1.0) as folder:
            (folder / export.MODEL).write_bytes(slug.encode())
            (folder / export.CONSTANTS).write_bytes(b"")
        return name

    first, second = make("a", "1"), make("a", "2")
    assert kept.read(first) is None and kept.read(second) == (b"a", b"")
    others = [make(slug, "1") for slug in "bc"]
    assert [kept.read(name) is not None for name in (second, *others)] == [False, True, True]


@pytest.mark.usefixtures("no_export")
def test_the_receipt_names_the_backend_and_capsules_of_both_ways_differ(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workshop, "QUIET_S", 0.0)
    monkeypatch.setattr(Workshop, "_export", lambda self, order, folder: _copy(data, folder))
    registry = discover(ROOT / "demos", (SLUG,))
    ids, receipts = {}, {}
    for backend in (OPENVINO, EAGER):
        hub = Hub(Settings(data=str(tmp_path), device="cpu", dtype="float32", backend=backend, demos=SLUG), registry)
        try:
            for shade in (90, 91):
                result = hub.engine.run(SLUG, {"image": Image.new("RGB", (64, 64), (shade, 20, 30))})
                ids[backend, shade], receipts[backend, shade] = result.id, result.receipt.backend
                wait_for(hub, backend)
            (resident,) = hub.models.residents()
            assert resident.backend == backend
        finally:
            hub.close()
    assert receipts[OPENVINO, 90] == EAGER and receipts[OPENVINO, 91] == OPENVINO
    assert {receipts[EAGER, shade] for shade in (90, 91)} == {EAGER}
    assert len(set(ids.values())) == 4


def _copy(data: Path, folder: Path) -> None:
    (form,) = forms(data)
    for file in (export.MODEL, export.CONSTANTS):
        (folder / file).write_bytes((form / file).read_bytes())


def wait_for(hub: Hub, backend: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while hub.models.residents()[0].backend != backend:
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_capsule_states_a_tolerance_only_where_there_is_one() -> None:
    plain = Capsule("page", "1", "", "", "float32", {}, {})
    assert "tolerance" not in plain.to_json()
    assert '"tolerance":0.001' in dataclasses.replace(plain, tolerance=0.001).to_json()
