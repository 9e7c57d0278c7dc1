"""Models in processes of their own: the same answers as in one, progress, cancelling, and processes that end."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from hub.engine.jobs import Cancel, text_so_far
from hub.errors import CancelledError, DeadlineError, HubError, InputError, UnavailableError
from hub.execution.workers import Workers
from hub.hub import Hub
from hub.settings import OF_DOORS, ROOT, Settings
from hub.spec import Progress
from hub.weights.again import read_again
from tests.fakes import PATIENCE_S, wait_until
from tests.model_pages import PAGES, TEXT

SECRET = "of-the-doors-alone"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub whose models live in two processes: pages of these tests, and one of the repository's."""
    folder = tmp_path_factory.mktemp("pages")
    for slug, infer in PAGES.items():
        (folder / f"{slug}.py").write_text(TEXT.format(slug=slug, infer=infer), encoding="utf-8")
    shutil.copy(ROOT / "demos" / "satellite_labels.py", folder)
    shutil.copytree(ROOT / "demos" / "assets" / "satellite_labels", folder / "assets" / "satellite_labels")
    settings = Settings(
        data=str(tmp_path_factory.mktemp("data")), demos_folder=str(folder), device="cpu", dtype="float32",
        workers="2", offline=True, deadline_s=110.0,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:  # one of these pages hangs; its process is looked at after that
        patch.setattr("hub.execution.workers.HUNG_S", 600.0)
        for name in OF_DOORS:
            patch.setenv(name, SECRET)
        hub = Hub(settings, serving=True)
    yield hub
    hub.close()


@pytest.fixture
def workers(served: Hub) -> Workers:
    assert isinstance(served.executor, Workers)
    return served.executor


def picture() -> Image.Image:
    return Image.effect_noise((300, 200), 90).convert("RGB")


def test_answers_are_those_of_one_process(served: Hub, tmp_path: Path) -> None:
    photo = picture()
    alone = Hub(Settings(data=str(tmp_path), device="cpu", dtype="float32", offline=True, demos="satellite_labels"))
    expected = alone.engine.run("satellite_labels", {"image": photo})
    result = served.engine.run("satellite_labels", {"image": photo})
    alone.close()

    # How many threads share a sum decides its last digit.
    assert result.values["tags"] == expected.values["tags"]
    assert result.values["probabilities"] == pytest.approx(expected.values["probabilities"], abs=1e-4)
    assert {name: [p.data for p in group] for name, group in result.pictures.items()} == {
        name: [p.data for p in group] for name, group in expected.pictures.items()
    }
    assert (result.receipt.device, result.receipt.dtype, result.receipt.cold) == ("cpu", "float32", True)
    assert served.models.is_loaded("satellite_labels")
    assert served.engine.run("satellite_labels", {"image": photo}).receipt.cached


@pytest.mark.slow
def test_a_text_arrives_as_it_grows_and_not_at_every_step(served: Hub) -> None:
    heard: list[str] = []
    served.engine.run("writing", {"number": 3.0}, on_event=lambda stage, now: heard.append(text_so_far(now)))
    texts = [text for text in heard if text]
    assert texts == sorted(texts) and len(texts) == 20, "what was told last stands until there is more"
    assert 3 <= len(set(texts)) <= 15


def test_progress_arrives_in_order_and_cancelling_ends_the_run(served: Hub, workers: Workers) -> None:
    heard: list[tuple[str, int]] = []
    cancel = Cancel()

    def hear(stage: str, progress: Progress | None) -> None:
        heard.append((stage, progress.step if progress else 0))
        if progress and progress.step == 5:
            cancel.set()

    with pytest.raises(CancelledError):
        served.engine.run("steps", {"number": 20.0}, on_event=hear, cancel=cancel)  # a step in 0.1 s

    steps = [step for stage, step in heard if stage == "running" and step]
    assert steps == list(range(1, len(steps) + 1))
    assert heard[0] == ("queued", 0)
    wait_until(lambda: not any(one.in_work for one in workers.processes()))
    wait_until(lambda: not any(model.leases for model in served.models.state().models))


def test_a_run_whose_process_is_killed_is_tried_once_more(served: Hub, workers: Workers) -> None:
    begun = threading.Event()

    def hear(stage: str, progress: Progress | None) -> None:
        if progress:
            begun.set()

    with ThreadPoolExecutor() as threads:
        run = threads.submit(served.engine.run, "steps", {"number": 2.0}, on_event=hear)
        assert begun.wait(PATIENCE_S)
        victim = next(one.pid for one in workers.processes() if one.in_work)
        psutil.Process(victim).kill()
        result = run.result(PATIENCE_S)

    assert result.values == {"double": 4.0}
    wait_until(lambda: victim not in [one.pid for one in workers.processes()])
    assert served.engine.run("deadly", {"number": 3.0}).values == {"double": 6.0}


@pytest.mark.slow
def test_an_input_that_kills_processes_is_told_so_and_the_hub_goes_on(served: Hub) -> None:
    with pytest.raises(UnavailableError, match=r"ended before it answered.*status 9, status 9"):
        served.engine.run("deadly", {"number": 13.0})

    assert served.engine.run("deadly", {"number": 4.0}).values == {"double": 8.0}


@pytest.mark.slow
def test_errors_of_a_page_are_told_as_they_are_in_one_process(served: Hub) -> None:
    with pytest.raises(HubError, match="raising failed on this input: ValueError: no such thing"):
        served.engine.run("raising", {"number": 1.0})
    with pytest.raises(HubError, match="tried to end the hub"):
        served.engine.run("raising", {"number": 13.0})


@pytest.mark.slow
def test_code_that_hangs_keeps_nobody_past_the_deadline(served: Hub, workers: Workers) -> None:
    cancel = Cancel()
    begun = threading.Event()

    def hear(stage: str, progress: Progress | None) -> None:
        if stage == "running":
            begun.set()

    with ThreadPoolExecutor() as threads:
        run = threads.submit(served.engine.run, "hanging", {"number": 13.0}, on_event=hear, cancel=cancel)
        assert begun.wait(PATIENCE_S)
        cancel.set()
        with pytest.raises((CancelledError, DeadlineError)):
            run.result(PATIENCE_S)
    assert served.engine.run("deadly", {"number": 5.0}).values == {"double": 10.0}


@pytest.mark.release
def test_a_process_with_a_pass_that_hangs_is_replaced_and_the_page_answers_again(
    served: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("hub.execution.workers.HUNG_S", 1.0)
    settings = replace(served.settings, data=str(tmp_path), workers="1", deadline_s=3.0)
    hub = Hub(settings, serving=True)
    try:
        hub.models.machine()
        assert hub.engine.run("hanging", {"number": 1.0}).values == {"double": 2.0}
        (before,) = (process.pid for process in hub.models.processes())
        with pytest.raises(DeadlineError):
            hub.engine.run("hanging", {"number": 13.0})

        def is_replaced() -> bool:
            pids = [process.pid for process in hub.models.processes()]
            return bool(pids) and before not in pids

        wait_until(is_replaced, "another process")
        for _ in range(10):  # the new process may take longer to start than a run may last here
            with suppress(DeadlineError):
                assert hub.engine.run("hanging", {"number": 2.0}).values == {"double": 4.0}
                break
        else:
            pytest.fail("the page does not answer any more")
    finally:
        hub.close()


@pytest.mark.slow
def test_what_is_in_memory_is_told_and_changed_over_all_processes(served: Hub, workers: Workers) -> None:
    slug = "satellite_labels"
    served.engine.run(slug, {"image": picture()})
    here = served.models.change(slug, "", "pin")
    assert (here.state, here.pinned) == ("ready", True)
    assert any(one.demo == slug and one.pinned for one in served.models.residents())
    assert served.models.state().used_bytes >= here.bytes > 0
    assert not served.models.change(slug, "", "unpin").pinned
    assert served.models.change(slug, "", "unload").state == "absent"
    wait_until(lambda: not served.models.is_loaded(slug))
    with pytest.raises(InputError):
        served.models.change(slug, "", "polish")
    text = served.metrics.render().decode()
    assert "hub_model_loads_total 0" not in text
    assert 'hub_batch_size_count{demo="satellite_labels"}' in text


def test_doors_come_before_forward_passes(served: Hub, workers: Workers) -> None:
    """Where there is not processor enough for all, a stored answer waits for no model."""
    served.engine.run("steps", {"number": 0.0})
    wanted = {min(19, psutil.Process().nice() + served.settings.nice)}
    # One that has just been started says so to the system itself, once it knows its settings.
    wait_until(lambda: {psutil.Process(status.pid).nice() for status in workers.processes()} == wanted)


def test_a_page_is_not_told_what_signs_people_in(served: Hub, workers: Workers) -> None:
    served.engine.run("steps", {"number": 0.0})
    assert workers.processes()
    for status in workers.processes():
        assert SECRET not in psutil.Process(status.pid).environ().values()


@pytest.mark.slow
def test_the_second_process_is_started_when_there_is_something_to_do(served: Hub, workers: Workers) -> None:
    with ThreadPoolExecutor(4) as threads:
        runs = [threads.submit(served.engine.run, "steps", {"number": 3.0 + n / 100}) for n in range(4)]
        assert [run.result(PATIENCE_S).values["double"] for run in runs] == [6.0, 6.02, 6.04, 6.06]

    assert len(workers.processes()) == 2


@pytest.mark.slow
def test_runs_that_follow_each_other_need_no_second_process(served: Hub, tmp_path: Path) -> None:
    hub = Hub(replace(served.settings, data=str(tmp_path), workers="2"), serving=True)
    try:
        for _ in range(3):
            hub.engine.run("satellite_labels", {"image": picture()})
            time.sleep(0.3)
        assert len(hub.models.processes()) == 1
    finally:
        hub.close()


@pytest.mark.slow
def test_a_page_that_was_saved_is_read_again_in_every_process(served: Hub) -> None:
    hub, slug = served, "deadly"
    file = hub.settings.pages_folder / f"{slug}.py"
    before = hub.engine.run(slug, {"number": 4.0})
    text = file.read_text(encoding="utf-8").replace("output}", "output + 1}").replace('title="', 'title="The ')
    file.write_text(text, encoding="utf-8")
    hub.take_pages(read_again(hub.settings, hub.weights, [slug]))

    after = hub.engine.run(slug, {"number": 4.0})
    assert (before.values["double"], after.values["double"]) == (8.0, 9.0)
    assert (after.receipt.cold, hub.registry.get(slug).title) == (False, f"The {slug}")


@pytest.mark.release
def test_each_of_several_devices_has_a_process_with_its_own_room(tmp_path: Path, served: Hub) -> None:
    """With stand-ins for two GPUs."""
    settings = {"device": "cpu:0,cpu:1", "workers": "auto", "data": str(tmp_path), "pool_gb": 0.5, "preload": False}
    hub = Hub(replace(served.settings, **settings), serving=True)
    try:
        machine = hub.models.machine()
        assert (machine.device, machine.budget_bytes) == ("cpu:0, cpu:1", 10**9)
        assert [one.device for one in hub.models.processes()] == ["cpu:0", "cpu:1"]
        with ThreadPoolExecutor(4) as threads:
            runs = [threads.submit(hub.engine.run, "steps", {"number": 3.0 + n / 100}) for n in range(4)]
            results = [run.result(PATIENCE_S) for run in runs]
        assert [result.values["double"] for result in results] == [6.0, 6.02, 6.04, 6.06]
        assert {result.receipt.device for result in results} == {"cpu:0", "cpu:1"}

        second = hub.models.processes()[1]
        psutil.Process(second.pid).kill()
        wait_until(
            lambda: {one.pid for one in hub.models.processes()} - {second.pid} and len(hub.models.processes()) == 2
        )
        assert sorted(one.device for one in hub.models.processes()) == ["cpu:0", "cpu:1"]
    finally:
        hub.close()


@pytest.mark.slow
@pytest.mark.parametrize(("device", "workers", "why"), [
    ("cpu,cuda:17", "auto", "'cuda:17' is not available"), ("cpu:0,cpu:1", "1", "at least 2 --workers, got 1"),
])  # fmt: skip
def test_a_device_that_is_not_there_or_has_no_process_stops_the_start(
    tmp_path: Path, served: Hub, device: str, workers: str, why: str
) -> None:
    with pytest.raises(InputError, match=why):
        Hub(replace(served.settings, device=device, workers=workers, data=str(tmp_path)), serving=True)


def test_processes_end_with_their_hub(tmp_path: Path) -> None:
    hub = Hub(
        Settings(data=str(tmp_path), device="cpu", workers="1", offline=True, demos="satellite_labels"), serving=True
    )
    assert isinstance(hub.executor, Workers)
    (one,) = hub.executor.processes()
    with ThreadPoolExecutor() as threads:
        run: Any = threads.submit(hub.engine.run, "satellite_labels", {"image": picture()})
        time.sleep(0.2)
        hub.close()
        error = run.exception(PATIENCE_S)

    assert isinstance(error, HubError)
    assert not psutil.pid_exists(one.pid)
