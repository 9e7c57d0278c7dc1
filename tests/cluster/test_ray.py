"""Models in replicas of Ray Serve: the same answers as in one process, previews, cancelling, and replicas that end."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

if importlib.util.find_spec("ray") is None:  # not imported here: the hub has to tell it something first
    pytest.skip("Ray is not installed: make test-ray", allow_module_level=True)

from hub.cluster import session
from hub.cluster.executor import RayExecutor
from hub.engine.jobs import Cancel
from hub.errors import CancelledError, DeadlineError, HubError, InputError, OtherWeightsError, UnavailableError
from hub.execution.executor import Work
from hub.hub import Hub
from hub.settings import ROOT, Settings
from hub.spec import Progress
from hub.web.api import health
from tests.fakes import wait_until
from tests.model_pages import PAGES, TEXT

pytestmark = [
    pytest.mark.ray,
    pytest.mark.timeout(240),
    # Ray leaves sockets and child processes to the end of this process.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]
LONG_S = 90.0  # a replica that is started on a busy machine takes a while
SLUG, DRAWN, ROLLED = "satellite_labels", "stable_diffusion", "vehicle_classifier"


def settings_of(folder: Path, **more: Any) -> Settings:
    """Two replicas that share a CPU."""
    chosen: dict[str, Any] = {
        "data": str(folder / "data"), "device": "cpu", "dtype": "float32", "backend": "eager", "offline": True,
        "executor": "ray", "ray_replicas": "2", "ray_cpus": 0.5, "deadline_s": 90.0,
    }  # fmt: skip
    return Settings(**chosen | more)


def write_pages(folder: Path) -> Path:
    pages = folder / "pages"
    pages.mkdir()
    for slug, infer in PAGES.items():
        (pages / f"{slug}.py").write_text(TEXT.format(slug=slug, infer=infer), encoding="utf-8")
    return pages


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub whose models live in two replicas: pages of these tests, and three of the repository's."""
    folder = tmp_path_factory.mktemp("ray")
    pages = write_pages(folder)
    weights = folder / "weights"
    weights.mkdir()
    for slug in (SLUG, DRAWN, ROLLED):
        shutil.copy(ROOT / "demos" / f"{slug}.py", pages)
        shutil.copytree(ROOT / "demos" / "assets" / slug, pages / "assets" / slug)
    for name in ("satellite_landuse", "satellite_amazon", DRAWN, ROLLED):
        (weights / name).symlink_to(ROOT / "weights" / name)
    hub = Hub(settings_of(folder, demos_folder=str(pages), weights_folder=str(weights)), serving=True)
    yield hub
    hub.close()


@pytest.fixture
def replicas(served: Hub) -> RayExecutor:
    """The executor, with both replicas there."""
    assert isinstance(served.executor, RayExecutor)
    wait_for(lambda: len(served.models.processes()) == 2)
    return served.executor


def wait_for(true: Any) -> None:
    end = time.monotonic() + LONG_S
    while not true():
        assert time.monotonic() < end, "never came true"
        time.sleep(0.05)


def picture(seed: int = 0) -> Image.Image:
    return Image.effect_noise((300 + seed, 200), 90).convert("RGB")


def test_answers_are_those_of_one_process_and_say_which_replica_gave_them(
    served: Hub, replicas: RayExecutor, tmp_path: Path
) -> None:
    photo = picture()
    alone = Hub(Settings(data=str(tmp_path), device="cpu", dtype="float32", backend="eager", offline=True, demos=SLUG))
    expected = alone.engine.run(SLUG, {"image": photo})
    result = served.engine.run(SLUG, {"image": photo})
    alone.close()

    assert result.values["tags"] == expected.values["tags"]
    assert result.values["probabilities"] == pytest.approx(expected.values["probabilities"], abs=1e-4)
    assert {name: [p.data for p in group] for name, group in result.pictures.items()} == {
        name: [p.data for p in group] for name, group in expected.pictures.items()
    }
    (where,) = [
        one for one in served.models.processes() if f"replica {one.replica} on {one.node}" in result.receipt.device
    ]
    assert where.pid != 0
    assert result.receipt.cold and result.receipt.load_ms > 0
    assert served.models.is_loaded(SLUG)
    assert served.engine.run(SLUG, {"image": photo}).receipt.cached


def test_previews_of_a_picture_being_drawn_arrive_in_order_and_cancelling_ends_it(
    served: Hub, replicas: RayExecutor
) -> None:
    heard: list[Progress] = []
    cancel = Cancel()

    def hear(stage: str, progress: Progress | None) -> None:
        if progress is not None:
            heard.append(progress)
            if len([one for one in heard if one.preview]) == 2:
                cancel.set()

    with pytest.raises(CancelledError):
        served.engine.run(DRAWN, {"prompt": "a red circle", "steps": 50}, on_event=hear, cancel=cancel)

    assert [one.step for one in heard] == sorted(one.step for one in heard)
    shown = next(one.preview for one in heard if one.preview)
    assert shown[0].size[0] > 0
    assert heard[-1].step < 50
    wait_until(lambda: not any(one.in_work for one in replicas.processes()))
    wait_for(lambda: not any(model.leases for model in served.models.state().models))
    drawn = served.engine.run(DRAWN, {"prompt": "a red circle", "steps": 2})
    assert drawn.pictures


def test_errors_of_a_page_and_runs_that_are_late_are_told_as_they_are_in_one_process(
    served: Hub, replicas: RayExecutor
) -> None:
    with pytest.raises(HubError, match="raising failed on this input: ValueError: no such thing"):
        served.engine.run("raising", {"number": 1.0})
    with pytest.raises(HubError, match="tried to end the hub"):
        served.engine.run("raising", {"number": 13.0})
    begin = time.monotonic()
    with pytest.raises(DeadlineError):
        served.engine.run("steps", {"number": 60.0}, deadline_s=2.0)
    assert time.monotonic() - begin < 10.0


def test_status_tells_of_both_replicas_and_models_change_in_all_of_them(served: Hub, replicas: RayExecutor) -> None:
    told = health.status(served)["processes"]
    assert len({one["replica"] for one in told}) == 2
    assert all(one["node"] and psutil.pid_exists(one["pid"]) and one["bytes"] > 0 for one in told)

    here = served.models.change(SLUG, "", "pin")
    assert (here.state, here.pinned) == ("ready", True)
    (model,) = [one for one in served.models.state().models if one.key.startswith(SLUG)]
    wait_for(lambda: all(one.loaded for one in served.models.processes()))
    assert served.models.machine().budget_bytes > 0 and model.bytes > 0
    assert not served.models.change(SLUG, "", "unpin").pinned
    assert served.models.change(SLUG, "", "unload").state == "absent"
    wait_for(lambda: not served.models.is_loaded(SLUG))
    assert served.models.change(SLUG, "", "load").state == "ready"
    with pytest.raises(InputError):
        served.models.change(SLUG, "", "polish")
    text = served.metrics.render().decode()
    assert "hub_model_hosts 2.0" in text
    assert "hub_model_loads_total 0" not in text
    assert f'hub_batch_size_count{{demo="{SLUG}"}}' in text


def test_a_page_that_was_saved_is_read_again_in_every_replica(served: Hub, replicas: RayExecutor) -> None:
    from hub.weights.again import read_again

    file = served.settings.pages_folder / "deadly.py"
    before = served.engine.run("deadly", {"number": 4.0})
    file.write_text(file.read_text(encoding="utf-8").replace("output}", "output + 1}"), encoding="utf-8")
    served.take_pages(read_again(served.settings, served.weights, ["deadly"]))
    after = [served.engine.run("deadly", {"number": 4.0 + n / 100}) for n in range(4)]
    assert before.values["double"] == 8.0
    assert [one.values["double"] for one in after] == pytest.approx([9.0, 9.02, 9.04, 9.06])


def test_weights_that_are_not_those_of_the_hub_are_refused(served: Hub, replicas: RayExecutor) -> None:
    page = served.registry.get(SLUG)
    name = page.demo.weights[0].name
    work = Work(SLUG, name, "0" * 64, {}, {}, "{}", 30.0)
    with pytest.raises(OtherWeightsError, match=r"on .+ \(replica .+\) are not those of the hub, 000000000000"):
        replicas.compute(work, lambda stage, progress: None, threading.Event())


def test_weights_that_are_replaced_under_load_are_taken_up_without_refusing_a_run(
    served: Hub, replicas: RayExecutor
) -> None:
    link = Path(served.settings.weights_folder) / ROLLED
    new = shutil.copytree(link.resolve(), link.parent.parent / "second")
    card = json.loads((new / "config.json").read_text(encoding="utf-8"))
    (new / "config.json").write_text(json.dumps(card | {"release": 2}), encoding="utf-8")
    (link.parent / "next").symlink_to(new)

    def run(number: int) -> str:
        return served.engine.run(ROLLED, {"image": picture(number)}).receipt.digest

    with ThreadPoolExecutor(8) as threads:
        before = [threads.submit(run, number) for number in range(40)]
        wait_for(lambda: sum(one.done() for one in before) >= 8)
        (link.parent / "next").replace(link)
        after = [threads.submit(run, 100 + number) for number in range(8)]
        digests = [one.result(LONG_S) for one in before]
        last = {one.result(LONG_S) for one in after}

    assert len(last) == 1 and last != {digests[0]}
    assert set(digests) <= {digests[0], *last}


def test_an_input_that_kills_replicas_is_told_so_and_the_hub_goes_on(served: Hub, replicas: RayExecutor) -> None:
    with pytest.raises(UnavailableError, match="lost before it answered, and so were those that tried again"):
        served.engine.run("deadly", {"number": 13.0})

    wait_for(lambda: len(served.models.processes()) == 2)
    assert served.engine.run("deadly", {"number": 5.5}).values["double"] in (11.0, 12.0)


def test_a_replica_that_is_killed_under_load_loses_no_run(served: Hub, replicas: RayExecutor) -> None:
    def run(number: int) -> tuple[float, float]:
        value = 1.0 + number / 100
        return value, served.engine.run("steps", {"number": value}).values["double"]

    with ThreadPoolExecutor(8) as threads:
        runs = [threads.submit(run, number) for number in range(48)]
        wait_for(lambda: sum(one.done() for one in runs) >= 8)
        victim = next(one.pid for one in replicas.processes() if one.in_work)
        psutil.Process(victim).kill()
        answers = [one.result(LONG_S) for one in runs]

    assert [double for _, double in answers] == pytest.approx([2 * value for value, _ in answers])
    wait_for(lambda: victim not in [one.pid for one in replicas.processes()] and len(replicas.processes()) == 2)
    assert 'hub_runs_lost_total{demo="steps"}' in served.metrics.render().decode()


def test_nothing_listens_beyond_this_machine(served: Hub, replicas: RayExecutor) -> None:
    own = [psutil.Process(), *psutil.Process().children(recursive=True)]
    open_to = set()
    for process in own:
        with suppress(psutil.Error):
            for one in process.net_connections("inet"):
                if one.status == psutil.CONN_LISTEN:
                    open_to.add(one.laddr.ip)
    assert open_to <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def test_a_hub_starts_and_stops_more_than_once_and_leaves_nothing(served: Hub, tmp_path: Path) -> None:
    """This ends the hub of the others; those that follow have hubs of their own."""
    served.close()
    for number in range(2):
        hub = Hub(settings_of(tmp_path, ray_replicas="1", demos=SLUG), serving=True)
        (one,) = hub.models.processes()
        with ThreadPoolExecutor() as threads:
            assert hub.engine.run(SLUG, {"image": picture(number)}).values["tags"] is not None
            late: Any = threads.submit(hub.engine.run, SLUG, {"image": picture(10 + number)})
            time.sleep(0.01)
            hub.close()
            with suppress(HubError):  # it was answered, or is told that the hub ends
                late.result(LONG_S)
        wait_for(lambda pid=one.pid: not psutil.pid_exists(pid))
        assert not list(Path(tempfile.gettempdir()).glob(f"{session.FOLDER}{os.getpid()}-*"))
    with pytest.raises(UnavailableError, match=r"No Ray cluster answers this hub at 127\.0\.0\.1:\d+"):
        Hub(settings_of(tmp_path, ray_address=f"127.0.0.1:{free_port()}"), serving=True)


def test_there_are_more_replicas_while_there_is_more_to_do(served: Hub, tmp_path: Path) -> None:
    served.close()
    pages = write_pages(tmp_path)
    settings = settings_of(tmp_path, ray_replicas="1-2", ray_cpus=0.5, max_batch=4, demos_folder=str(pages))
    hub = Hub(settings, serving=True)
    try:
        assert hub.engine.run("steps", {"number": 0.5}).values["double"] == 1.0
        assert len(hub.models.processes()) == 1
        with ThreadPoolExecutor(8) as threads:
            runs = [threads.submit(hub.engine.run, "steps", {"number": 4.0 + n / 100}) for n in range(24)]
            wait_for(lambda: len(hub.models.processes()) == 2)
            answers = [run.result(LONG_S).values["double"] for run in runs]
        assert answers == pytest.approx([8.0 + n / 50 for n in range(24)])
    finally:
        hub.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
