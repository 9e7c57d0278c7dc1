"""What a page's code can do wrong, and what a machine can: told as theirs, in time, and never for good."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from hub import imports
from hub.decoding.decode import decode
from hub.errors import DeadlineError, HubError, OutOfMemoryError, UnavailableError
from hub.execution import devices
from hub.execution.construction import CONSTRUCTION
from hub.execution.residency import Residency
from hub.hub import Hub
from hub.images import encode
from hub.results.result import Result
from hub.web.api import health
from tests.engine.test_engine import run_in_thread
from tests.fakes import PATIENCE_S, Calls, FakeModel, counting_demo, picture, shade_demo, wait_until

Make = Callable[..., Hub]


class Leaving(BaseException):
    """Neither an Exception nor one of Python's own."""


# --- a page that leaves ---------------------------------------------------------------------------


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), Leaving("off")])
@pytest.mark.parametrize("stage", ["load", "prepare", "infer", "present"])
def test_a_page_that_tries_to_end_the_hub_is_told_as_at_fault(make_hub: Make, stage: str, error: BaseException) -> None:
    left = [True]

    def leave(*given: Any, **named: Any) -> Any:
        if left:
            left.clear()
            raise error
        return getattr(counting_demo(Calls()), stage)(*given, **named)

    hub = make_hub(doubler=counting_demo(Calls(), **{stage: leave}))
    with pytest.raises(
        HubError, match=r"doubler .* tried to end the hub, .* a fault of the page, not of the input"
    ) as caught:
        hub.engine.run("doubler", {"number": 1, "seed": 1})
    assert caught.value.status == (503 if stage == "load" else 500)
    assert hub.engine.run("doubler", {"number": 1, "seed": 1}).values  # all threads are as they were
    assert hub.engine.in_work == 0


# --- the deadline ---------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["prepare", "present"])
def test_code_that_hangs_keeps_nobody_past_the_deadline(make_hub: Make, stage: str) -> None:
    hold, begun = threading.Event(), threading.Event()

    def hang(*given: Any, **named: Any) -> Any:
        begun.set()
        assert hold.wait(PATIENCE_S)
        return getattr(counting_demo(Calls()), stage)(*given, **named)

    hub = make_hub(doubler=counting_demo(Calls(), **{stage: hang}), settings={"deadline_s": 0.5})
    hub.models.preload("doubler")
    with pytest.raises(DeadlineError, match=r"doubler did not answer in 0\.5 s"):
        hub.engine.run("doubler", {"number": 1, "seed": 1})
    assert hub.engine.in_work == begun.is_set()  # it still takes a place: what hangs must not pile up without a bound
    hold.set()
    wait_until(lambda: hub.engine.in_work == 0)


def test_a_machine_that_is_slow_to_start_keeps_nobody_past_the_deadline(
    make_hub: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold, found = threading.Event(), Residency._detect_hardware

    def slowly(self: Residency) -> Any:
        assert hold.wait(PATIENCE_S)
        return found(self)

    monkeypatch.setattr(Residency, "_detect_hardware", slowly)
    hub = make_hub(doubler=counting_demo(Calls()), settings={"deadline_s": 0.05})
    with pytest.raises(DeadlineError, match="still finding out what this machine can do"):
        hub.engine.run("doubler", {"number": 1, "seed": 1})
    hold.set()
    assert hub.models.machine().dtype == "float32"


def test_a_machine_that_was_not_found_out_is_asked_again(make_hub: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    found, errors = Residency._detect_hardware, [OSError("cannot open torch"), MemoryError()]

    def fail(self: Residency) -> Any:
        if errors:
            raise errors.pop()
        return found(self)

    monkeypatch.setattr(Residency, "_detect_hardware", fail)
    hub = make_hub(doubler=counting_demo(Calls()))
    for _ in range(2):
        with pytest.raises(UnavailableError, match="This hub cannot run models now"):
            hub.engine.run("doubler", {"number": 1})
    assert hub.engine.run("doubler", {"number": 1}).values


# --- memory ---------------------------------------------------------------------------------------


def test_memory_that_runs_out_while_decoding_is_told_so(make_hub: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: Any, **named: Any) -> Any:
        raise MemoryError

    hub = make_hub(shade=shade_demo())
    monkeypatch.setattr("hub.pages.inputs.decode", fail)
    with pytest.raises(OutOfMemoryError, match="no memory left for this input") as caught:
        hub.engine.run("shade", {"image": encode(picture(), "png")})
    assert caught.value.status == 503
    monkeypatch.setattr("hub.pages.inputs.decode", decode)
    assert hub.engine.run("shade", {"image": encode(picture(), "png")}).values


# --- a load that hangs ----------------------------------------------------------------------------


def test_a_load_that_hangs_is_told_and_loaded_pages_go_on(make_hub: Make) -> None:
    hold = threading.Event()

    def hang(folder: Path | None, device: Any) -> FakeModel:
        assert hold.wait(PATIENCE_S)
        return FakeModel()

    demos = {name: counting_demo(Calls()) for name in ("loaded", "other")}
    hub = make_hub(**demos, stuck=counting_demo(Calls(), load=hang), settings={"deadline_s": 1.0})
    hub.engine.run("loaded", {"number": 1, "seed": 1})
    thread, first = run_in_thread(hub, "stuck", {"number": 1, "seed": 1})
    wait_until(lambda: CONSTRUCTION.now is not None)
    _, second = run_in_thread(hub, "other", {"number": 1, "seed": 1})  # waits for its turn, before the bound
    thread.join(PATIENCE_S)
    wait_until(lambda: bool(second))
    for outcome in (first[0], second[0]):
        assert outcome.status in (503, 504)
        assert "The model of stuck has been loading for" in outcome.message
        assert "restart the hub" in outcome.message
    with pytest.raises(UnavailableError, match="The model of stuck has been loading"):  # at once, now that it is known
        hub.engine.run("other", {"number": 2, "seed": 1})
    assert hub.engine.run("loaded", {"number": 2, "seed": 1}).values
    ready, told = health.readiness(hub)
    assert ready  # a page can answer
    assert set(told["demos"]) == {"other", "stuck"}
    assert any("The model of stuck has been loading" in text for text in told["warnings"])
    assert health.status(hub)["warnings"] == told["warnings"]
    hold.set()
    wait_until(lambda: CONSTRUCTION.now is None)
    assert hub.engine.run("other", {"number": 3, "seed": 1}).values
    assert health.readiness(hub)[1]["demos"] == {}


def test_a_hub_whose_every_page_waits_for_a_load_that_hangs_is_not_ready(make_hub: Make) -> None:
    hub = make_hub(doubler=counting_demo(Calls()), settings={"deadline_s": 0.05})
    hub.models.machine()
    with CONSTRUCTION.turn("another/model@1", None):
        wait_until(lambda: not health.readiness(hub)[0])
        assert "The model of another has been loading" in health.readiness(hub)[1]["demos"]["doubler"]
    assert health.readiness(hub)[0]


# --- an import that fails -------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package whose import fails as long as there is a file `trouble`, when a part of it is imported already."""
    folder = tmp_path / "code" / "heavy_package"
    (folder / "deep").mkdir(parents=True)
    (folder / "__init__.py").write_text("import heavy_package.part\nimport heavy_package.deep.broken\nNAME = 'whole'\n")
    (folder / "part.py").write_text("VALUE = 1\n")
    (folder / "deep" / "__init__.py").write_text("from heavy_package.deep import first\n")
    (folder / "deep" / "first.py").write_text("")
    (folder / "deep" / "broken.py").write_text(
        "import pathlib\nif pathlib.Path(__file__).with_name('trouble').exists():\n    raise OSError('stale handle')\n"
    )
    (folder / "deep" / "trouble").write_text("")
    monkeypatch.syspath_prepend(str(folder.parent))
    yield folder / "deep" / "trouble"
    for name in [name for name in sys.modules if name.split(".")[0] == "heavy_package"]:
        del sys.modules[name]


@pytest.mark.parametrize("stage", ["load", "prepare", "infer"])
def test_an_import_that_failed_once_is_made_anew(make_hub: Make, package: Path, stage: str) -> None:
    def heavy(*given: Any, **named: Any) -> Any:
        import heavy_package  # type: ignore[import-not-found]  # the fixture makes it

        assert heavy_package.part.VALUE == 1  # which a half import would leave out of its package
        return getattr(counting_demo(Calls()), stage)(*given, **named)

    hub = make_hub(doubler=counting_demo(Calls(), **{stage: heavy}))
    with pytest.raises(HubError, match="OSError: stale handle"):
        hub.engine.run("doubler", {"number": 1, "seed": 1})
    assert not [name for name in sys.modules if name.startswith("heavy_package")]
    package.unlink()
    assert isinstance(hub.engine.run("doubler", {"number": 1, "seed": 1}), Result)


def test_a_package_that_cannot_be_imported_again_is_told_with_the_way_out(
    make_hub: Make, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "_compiled", lambda name: name == "heavy_package.part")
    monkeypatch.setattr(imports, "_SPOILED", {})

    def load(folder: Path | None, device: Any) -> Any:
        import heavy_package  # noqa: F401

    hub = make_hub(doubler=counting_demo(Calls(), load=load))
    with pytest.raises(UnavailableError, match=r"heavy_package was not wholly imported \(OSError: stale handle\)"):
        hub.engine.run("doubler", {"number": 1, "seed": 1})
    (told,) = [text for text in health.warnings(hub) if "heavy_package" in text]
    assert told.endswith("cannot be imported again in this process. Restart the hub.")


# --- the dtype ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_dtype_is_measured_by_what_the_processor_did_not_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other programs that take the processor meanwhile change nothing: their time is not counted."""
    import torch

    def wall() -> float:
        raise AssertionError("the time of day is not asked")

    monkeypatch.setattr(devices.time, "perf_counter", wall)
    threads = torch.get_num_threads()
    assert devices._bf16_speedup(torch.device("cpu")) > 0
    assert torch.get_num_threads() == threads


def test_a_dtype_that_is_nearly_as_fast_is_measured_longer() -> None:
    def told(*seconds: float) -> Callable[[], float]:
        times = iter(seconds + seconds[-1:] * devices.ROUNDS)
        asked.append(0)
        number = len(asked) - 1

        def measure() -> float:
            asked[number] += 1
            return next(times)

        return measure

    asked: list[int] = []
    assert devices._ratio((told(9.0, 2.0), told(9.0, 1.0))) == 2.0
    assert devices._ratio((told(9.0, 1.0), told(1.0, 4.0))) == 0.25
    # The second was disturbed at first; what it can do shows later.
    assert devices._ratio((told(9.0, 1.2), told(9.0, 1.1, 1.1, 1.1, 0.9, 1.0))) == pytest.approx(1.2 / 0.9)
    assert asked == [3, 3, 3, 3, devices.ROUNDS, devices.ROUNDS]


def test_readiness_over_http_tells_what_hangs(make_hub: Make) -> None:
    from fastapi import FastAPI

    from hub.web.api import demos as rest

    hub = make_hub(doubler=counting_demo(Calls()), settings={"deadline_s": 0.05})
    hub.models.machine()
    app = FastAPI()
    app.router.routes[:0] = rest.routes(hub)
    with CONSTRUCTION.turn("another", None), TestClient(app) as client:
        wait_until(lambda: client.get("/readyz").status_code == 503)
        assert "The model of another" in client.get("/api/v1/status").json()["warnings"][-1]
        refused = client.post("/api/v1/demos/doubler", json={"number": 1})
        assert (refused.status_code, "The model of another" in refused.json()["detail"]) == (503, True)
