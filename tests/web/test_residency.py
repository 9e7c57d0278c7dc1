"""What is in memory, what it takes by measurement, and changing it: over the engine, REST and the command line."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.cli.main import main
from hub.errors import ConflictError, InputError, NotFoundError, OutOfMemoryError
from hub.execution.models import Resident
from hub.execution.remembered import Remembered
from hub.hub import Hub
from hub.settings import Settings
from hub.web.middleware.access import refusal
from tests.fakes import PATIENCE_S, Calls, counting_demo, registry_of, write_weights


class Large:
    """A model that takes far more than its file."""

    nbytes = 5_000_000


def large_demo(calls: Calls, tmp_path: Path, *names: str) -> Any:
    def load(folder: Path | None, device: Any) -> Large:
        calls.loads += 1
        return Large()

    weights = tuple(write_weights(tmp_path / "weights", name) for name in names)
    return counting_demo(calls, weights=weights, load=load)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Hub]]:
    made: list[Hub] = []

    def hub(demo: Any, **changes: Any) -> Hub:
        settings = {"data": str(tmp_path / "data"), "device": "cpu", "dtype": "float32"}
        settings |= {"weights_folder": str(tmp_path / "weights"), **changes}
        made.append(Hub(Settings(**settings), registry_of(doubler=demo)))
        return made[-1]

    yield hub
    for one in made:
        one.close()


def only(hub: Hub) -> Resident:
    (found,) = hub.models.residents()
    return found


def test_measured_bytes_are_known_at_the_next_start(make: Callable[..., Hub], tmp_path: Path) -> None:
    demo = large_demo(Calls(), tmp_path, "model")
    hub = make(demo)
    hub.models.machine()
    before = only(hub)
    assert (before.state, before.measured) == ("absent", False)
    assert before.bytes < 1_000
    hub.engine.run("doubler", {"number": 1})
    assert (only(hub).state, only(hub).bytes, only(hub).measured) == ("ready", 5_000_000, True)
    again = make(demo)
    again.models.machine()
    assert (only(again).state, only(again).bytes, only(again).measured) == ("absent", 5_000_000, True)


def test_a_model_known_to_be_too_large_is_not_even_built(make: Callable[..., Hub], tmp_path: Path) -> None:
    calls = Calls()
    demo = large_demo(calls, tmp_path, "model")
    make(demo).engine.run("doubler", {"number": 1})
    assert calls.loads == 1
    small = make(demo, pool_gb=0.004, results_disk_mb=0)
    with pytest.raises(OutOfMemoryError, match=r"needs 5 MB; models may take 4 MB"):
        small.engine.run("doubler", {"number": 2})
    assert calls.loads == 1


def test_damaged_measurements_cost_nothing_but_themselves(make: Callable[..., Hub], tmp_path: Path) -> None:
    file = tmp_path / "data" / "sizes.json"
    file.parent.mkdir()
    for text in ("", "[1]", '{"cpu torch.float32 doubler/model@": "much"}'):
        file.write_text(text)
        hub = make(large_demo(Calls(), tmp_path, "model"), results_disk_mb=0)
        assert hub.engine.run("doubler", {"number": 1}).values
        assert 5_000_000 in json.loads(file.read_text()).values()


def test_two_processes_keep_each_others_measurements(tmp_path: Path) -> None:
    one, other = Remembered(tmp_path / "a.json"), Remembered(tmp_path / "a.json")
    one.add({"a": 1})
    other.add({"b": 2})
    one.add({"a": 3})
    assert list(other.read().items()) == [("b", 2), ("a", 3)]
    assert [path.name for path in tmp_path.glob(".hub-*")] == []


def test_models_are_loaded_pinned_and_unloaded_by_name(make: Callable[..., Hub], tmp_path: Path) -> None:
    hub = make(large_demo(Calls(), tmp_path, "small", "large"))
    assert hub.models.change("doubler", "", "load").weights == "small"
    assert hub.models.change("doubler", "large", "pin").pinned
    small, large = hub.models.residents()
    assert (small.weights, small.leaves, large.weights, large.leaves) == ("small", 1, "large", 0)
    assert not hub.models.change("doubler", "large", "unpin").pinned
    assert [r.leaves for r in hub.models.residents()] == [1, 2]
    assert hub.models.change("doubler", "small", "unload").state == "absent"
    assert hub.models.change("doubler", "small", "unload").state == "absent"  # twice is no mistake
    with pytest.raises(InputError, match=r"No weights 'smal'\. Did you mean 'small'"):
        hub.models.change("doubler", "smal", "load")
    with pytest.raises(InputError, match=r"action must be load, pin, unpin or unload, got 'drop'"):
        hub.models.change("doubler", "", "drop")
    with pytest.raises(NotFoundError, match="No demo 'tripler'"):
        hub.models.change("tripler", "", "load")


def test_a_model_in_use_is_not_unloaded(make: Callable[..., Hub]) -> None:
    calls = Calls(hold=threading.Event())
    hub = make(counting_demo(calls))
    run = threading.Thread(target=hub.engine.run, args=("doubler", {"number": 1}))
    run.start()
    assert calls.started.wait(PATIENCE_S)
    with pytest.raises(ConflictError, match=r"in use by 1 run and stays until that ends"):
        hub.models.change("doubler", "", "unload")
    assert calls.hold is not None
    calls.hold.set()
    run.join(PATIENCE_S)
    assert hub.models.change("doubler", "", "unload").state == "absent"


# --- who may --------------------------------------------------------------------------------------

HOST = {"host": "127.0.0.1:7860"}


@pytest.mark.parametrize(
    ("settings", "client", "headers", "why"),
    [
        ({}, "127.0.0.1", HOST, ""),
        ({}, "127.0.0.1", {**HOST, "origin": "http://127.0.0.1:7860", "sec-fetch-site": "same-origin"}, ""),
        ({}, "127.0.0.1", {**HOST, "origin": "http://evil.example"}, "Another website"),
        ({}, "127.0.0.1", {**HOST, "sec-fetch-site": "cross-site"}, "Another website"),
        ({}, "127.0.0.1", {"host": "evil.example:7860"}, "own machine"),  # a name that was made to point here
        ({}, "127.0.0.1", {**HOST, "x-forwarded-for": "203.0.113.9"}, "own machine"),
        ({}, "192.168.1.9", {"host": "192.168.1.2:7860"}, "own machine"),
        ({"share": True}, "127.0.0.1", HOST, "own machine"),
        ({"auth": "me:secret"}, "192.168.1.9", {"host": "192.168.1.2:7860"}, ""),
        ({"auth": "me:secret"}, "127.0.0.1", {**HOST, "origin": "http://evil.example"}, "Another website"),
        ({"manage": "everyone"}, "192.168.1.9", {"host": "192.168.1.2:7860"}, ""),
        ({"manage": "nobody", "auth": "me:secret"}, "127.0.0.1", HOST, "manage=nobody"),
    ],
)
def test_who_may_change_what_is_in_memory(
    settings: dict[str, Any], client: str, headers: dict[str, str], why: str
) -> None:
    found = refusal(Settings(**settings), client, headers)
    assert (why in found) if why else found == ""


# --- REST and the command line --------------------------------------------------------------------


def test_rest_and_the_command_line_change_a_running_hub(
    serve: Callable[..., tuple[str, Hub]], capsys: pytest.CaptureFixture[str]
) -> None:
    url, hub = serve(only=("slow", "absent"))
    models = f"{url}/api/v1/models"
    assert {m["demo"]: m["state"] for m in httpx.get(models, timeout=60).json()} == {
        "slow": "absent",
        "absent": "missing",
    }
    loaded = httpx.post(models, json={"demo": "slow", "action": "load"}, timeout=60)
    assert (loaded.status_code, loaded.json()["state"]) == (200, "ready")
    assert main(["pin", "slow", "--url", url]) == 0
    assert "slow: in memory, eager, pinned" in capsys.readouterr().out
    assert main(["status", "--url", url, "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["models"][0]["pinned"]
    assert status["process_bytes"] > 1e7
    assert main(["unload", "slow", "--url", url, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "absent"
    assert not hub.models.is_loaded("slow")
    assert main(["load", "sloww", "--url", url]) == 2
    assert "No demo 'sloww'. Did you mean 'slow'?" in capsys.readouterr().err
    assert main(["load", "absent", "--url", url]) == 1
    assert "There are no weights 'nowhere'" in capsys.readouterr().err
    assert main(["load", "slow", "--url", "http://127.0.0.1:9"]) == 1
    assert "No hub answers at http://127.0.0.1:9" in capsys.readouterr().err
    foreign = httpx.post(
        models, json={"demo": "slow", "action": "load"}, headers={"Origin": "http://evil.example"}, timeout=60
    )
    assert (foreign.status_code, foreign.json()["code"]) == (403, "forbidden")
    assert httpx.post(models, data={"demo": "slow", "action": "load"}, timeout=60).status_code == 415
    assert "action is missing" in httpx.post(models, json={"demo": "slow"}, timeout=60).json()["detail"]
    assert "action must be text" in httpx.post(models, json={"demo": "slow", "action": 1}, timeout=60).json()["detail"]
    assert not hub.models.is_loaded("slow")
