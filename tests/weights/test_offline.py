"""One switch takes every library off the network; and without a network the hub works with what it has."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from hub import describe, settings
from hub.errors import UnavailableError
from hub.hub import Hub
from hub.images import encode
from hub.settings import ROOT
from hub.spec import Weights
from hub.weights import facts as weights_facts
from hub.weights.snapshots import Snapshots
from hub.weights.sources import parse_hub
from hub.weights.store import WeightsStore, fetch_ahead
from tests.fakes import picture, shade_demo, wait_until
from tests.hub_server import HubServer
from tests.served import serving
from tests.weights.conftest import model_files

REPO = "owner/model"
SOURCE = parse_hub(f"hf://{REPO}")

# Python imports this by itself at its start: every attempt to leave the machine is written down and refused.
GUARD = """
import os, socket
def refuse(what, address):
    with open(os.environ["ATTEMPTS"], "a") as file:
        file.write(f"{what} {address}\\n")
    raise OSError(f"the network is blocked: {address}")
connect, connect_ex, getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo
def inside(address):
    return not isinstance(address, tuple) or address[0] in ("127.0.0.1", "localhost", "::1", "0.0.0.0")
def guarded(original):
    return lambda self, address: original(self, address) if inside(address) else refuse("connect", address)
socket.socket.connect, socket.socket.connect_ex = guarded(connect), guarded(connect_ex)
socket.getaddrinfo = lambda host, *a, **k: (
    getaddrinfo(host, *a, **k) if host is None or inside((host, 0)) else refuse("look up", host)
)
"""


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hub_server: HubServer) -> Path:
    """Processes started now cannot leave the machine; the file lists their attempts. The local Hub is their Hub."""
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(GUARD)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "guard"), str(ROOT)]))
    monkeypatch.setenv("ATTEMPTS", str(tmp_path / "attempts"))
    monkeypatch.setenv("HF_ENDPOINT", hub_server.endpoint)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    for name in [*settings.OFFLINE_SWITCHES, *(n for n in os.environ if n.startswith("HUB_"))]:
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "attempts"


def test_the_guard_itself_catches_a_library_that_wants_to_leave(guarded: Path) -> None:
    code = "import urllib.request as u\ntry: u.urlopen('http://example.com', timeout=5)\nexcept OSError: pass"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert "example.com" in guarded.read_text()


@pytest.mark.slow
def test_an_offline_hub_starts_answers_and_says_what_it_lacks_without_one_attempt_to_reach_anybody(
    hub_server: HubServer, guarded: Path, tmp_path: Path
) -> None:
    vehicle = ROOT / "weights" / "vehicle_classifier"
    hub_server.add(
        REPO, {f.name: f.read_bytes() for f in vehicle.iterdir() if f.suffix in (".json", ".safetensors", ".md")}
    )
    hub_server.add("owner/other", model_files())
    Snapshots(tmp_path / "data" / "hub").get(SOURCE)
    hub_server.hits.clear()
    weights = f"vehicle_classifier=hf://{REPO},vehicle_classifier=hf://owner/other"
    flags = ["--demos", "vehicle_classifier", "--weights", weights, "--device", "cpu", "--dtype", "float32"]
    with serving(tmp_path / "data", *flags) as served:
        demo = f"{served.url}/api/v1/demos/vehicle_classifier"
        assert "This hub is offline" in httpx.get(served.url, timeout=60).text
        about = httpx.get(demo, timeout=60).text
        assert "hf://owner/other@main is not on this machine" in about and "pack and unpack" in about
        data = encode(picture(), "png")
        digests = set()
        for name in (f"hf://{REPO}@main", "vehicle_classifier"):
            answer = httpx.post(demo, files={"image": data}, data={"weights": name}, timeout=200)
            assert answer.status_code == 200, answer.text
            digests.add(answer.json()["receipt"]["digest"])
        assert len(digests) == 1, "the same files, from the Hub and bundled"
        absent = httpx.post(demo, files={"image": data}, data={"weights": "hf://owner/other@main"}, timeout=60)
        assert absent.status_code == 503
    assert not guarded.exists(), guarded.read_text()
    assert hub_server.hits == []


def test_offline_what_is_not_here_is_told_with_the_way_to_get_it(hub_server: HubServer, tmp_path: Path) -> None:
    hub_server.add(REPO, model_files())
    store = WeightsStore(tmp_path / "weights", tmp_path / "hub", offline=True)
    for call in (store.obtain, store.find):
        with pytest.raises(UnavailableError, match=r"python -m hub pull.* pack and unpack"):
            call(SOURCE.address)
    assert hub_server.hits == []


def test_a_users_own_offline_switch_is_respected_too(
    hub_server: HubServer, snapshots: Snapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UnavailableError, match="HF_HUB_OFFLINE"):
        snapshots.get(SOURCE)
    assert hub_server.hits == []


def test_the_switch_reaches_a_client_that_was_imported_before(
    hub_server: HubServer, snapshots: Snapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*settings.OFFLINE_SWITCHES, "GRADIO_ANALYTICS_ENABLED", "STREAMLIT_BROWSER_GATHER_USAGE_STATS"):
        monkeypatch.setenv(name, "")  # so that the test's end takes back what the switch sets
    settings.go_offline()
    with pytest.raises(UnavailableError):
        snapshots.get(SOURCE)
    assert hub_server.hits == []
    assert {os.environ[name] for name in settings.OFFLINE_SWITCHES} == {"1"}


# --- no network, and nobody said so ---------------------------------------------------------------


@pytest.fixture
def hub_page(tmp_path: Path, make_hub: Callable[..., Hub]) -> Callable[[], Hub]:
    """A hub whose only page has its weights on the Hub; each call is a start."""

    def start() -> Hub:
        demo = shade_demo(weights=(Weights("shade", sources=(f"hf://{REPO}",)),))
        chosen = {"weights": f"shade=hf://{REPO}", "hub_folder": str(tmp_path / "hub")}
        return make_hub(settings=chosen, shade=demo)

    return start


def test_without_network_the_hub_uses_its_copy_and_says_so(hub_server: HubServer, hub_page: Callable[[], Hub]) -> None:
    commit = hub_server.add(REPO, model_files())
    hub_page().weights.obtain(SOURCE.address)
    hub_server.fault("", status=503, times=99)
    hub = hub_page()
    fetch_ahead(hub.weights, hub.registry)
    wait_until(lambda: bool(describe.notices(hub)), "a notice")
    assert f"Using the copy kept here of commit {commit[:12]}" in describe.notices(hub)[0]
    assert describe.state(hub, hub.registry.get("shade")).code == "on_demand"


def test_without_network_and_copy_the_page_says_why_it_cannot_answer(
    hub_server: HubServer, hub_page: Callable[[], Hub]
) -> None:
    hub_server.fault("", status=503, times=99)
    hub = hub_page()
    page = hub.registry.get("shade")
    assert describe.state(hub, page).text == "Downloads on first use"
    fetch_ahead(hub.weights, hub.registry)
    wait_until(lambda: describe.state(hub, page).code == "unavailable", "the trouble is told")
    assert "answered 503" in describe.state(hub, page).reason


def test_a_download_on_its_way_is_told_with_how_far_it_is(hub_server: HubServer, hub_page: Callable[[], Hub]) -> None:
    hub_server.add(REPO, model_files())
    hub_server.fault("/objects/", delay_s=1.0)
    hub = hub_page()
    page = hub.registry.get("shade")
    fetch_ahead(hub.weights, hub.registry)
    wait_until(lambda: describe.state(hub, page).text.startswith("Downloading · "), "the download is told")
    (facts, _) = weights_facts.weights_facts(hub.weights, page)
    assert "being downloaded" in facts.reason
    wait_until(lambda: describe.state(hub, page).text.startswith("Loads on first use"), "the download ends")
