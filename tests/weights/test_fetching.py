"""Weights from the Hub: the real client against a local Hub, in good times and bad."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from hub.errors import UnavailableError
from hub.weights import lock
from hub.weights import snapshots as snapshots_module
from hub.weights.snapshots import Snapshots
from hub.weights.sources import HubSource, parse_hub
from hub.weights.store import WeightsStore
from tests.fakes import in_threads, wait_until
from tests.hub_server import TOKEN, HubServer
from tests.weights.conftest import model_files

REPO = "owner/model"
SOURCE = parse_hub(f"hf://{REPO}")
ROOT = Path(__file__).resolve().parents[2]
Make = Callable[..., WeightsStore]


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(UnavailableError) as caught:
        call()
    assert TOKEN not in caught.value.message
    return caught.value.message


# --- good times -----------------------------------------------------------------------------------


def test_cold_every_file_is_fetched_once_and_only_what_a_model_reads(
    hub_server: HubServer, snapshots: Snapshots
) -> None:
    files = model_files()
    commit = hub_server.add(REPO, {**files, "pytorch_model.bin": b"\x80\x04.", "modeling.py": b"raise SystemExit"})
    found = snapshots.get(SOURCE)
    assert {p.name: p.read_bytes() for p in found.folder.iterdir()} == files
    assert found.entry.commit == commit
    assert found.entry.files["model.safetensors"].sha256 == hashlib.sha256(files["model.safetensors"]).hexdigest()
    assert hub_server.count("/resolve/") == len(files)
    assert hub_server.count(host="storage") == 1


def test_warm_nothing_is_fetched_and_a_locked_source_asks_nobody(hub_server: HubServer, make_store: Make) -> None:
    hub_server.add(REPO, model_files())
    name = SOURCE.address
    first = make_store()
    folder = first.obtain(name)
    lock.write(first.lock_path, {name: first.snapshots.get(SOURCE).entry})
    before = len(hub_server.hits)
    again = make_store().obtain(name)
    assert (again.digest, again.commit, again.locked) == (folder.digest, folder.commit, True)
    assert len(hub_server.hits) == before


def test_the_token_goes_to_the_hub_and_never_to_the_storage_host(
    hub_server: HubServer, snapshots: Snapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub_server.add(REPO, model_files(), private=True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    snapshots.get(SOURCE)
    assert {hit.authorization for hit in hub_server.hits if hit.host == "hub"} == {f"Bearer {TOKEN}"}
    assert {hit.authorization for hit in hub_server.hits if hit.host == "storage"} == {""}


def test_a_folder_of_a_repository_and_a_pull_request_are_sources_too(
    hub_server: HubServer, snapshots: Snapshots
) -> None:
    files = {f"small/{path}": data for path, data in model_files(1).items()}
    hub_server.add(REPO, {**files, **model_files(2)}, ref="refs/pr/3")
    found = snapshots.get(parse_hub(f"hf://{REPO}@refs/pr/3/small"))
    assert (found.folder / "model.safetensors").read_bytes() == files["small/model.safetensors"]
    assert set(found.entry.files) == {"README.md", "config.json", "model.safetensors"}
    assert hub_server.count(host="storage") == 1


def test_of_a_pipeline_the_folders_are_fetched_in_one_precision(hub_server: HubServer, snapshots: Snapshots) -> None:
    tensors = model_files()["model.safetensors"]
    wanted = ["model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.safetensors"]
    wanted += ["tokenizer/merges.txt", "tokenizer/vocab.json"]
    spare = ["unet/diffusion_pytorch_model.fp16.safetensors", "whole.safetensors", "unet/diffusion_pytorch_model.bin"]
    hub_server.add(REPO, {path: tensors if path.endswith("safetensors") else b"{}" for path in [*wanted, *spare]})
    assert sorted(snapshots.get(SOURCE).entry.files) == sorted(wanted)


def test_what_other_programs_fetched_is_copied_not_fetched_again(hub_server: HubServer, snapshots: Snapshots) -> None:
    from huggingface_hub import snapshot_download

    files = model_files()
    hub_server.add(REPO, files)
    snapshot_download(REPO)
    before = hub_server.count("/resolve/")
    found = snapshots.get(SOURCE)
    assert (found.folder / "model.safetensors").read_bytes() == files["model.safetensors"]
    assert hub_server.count("/resolve/") == before
    assert not (found.folder / "model.safetensors").is_symlink()


def test_a_cache_with_other_bytes_is_not_believed(hub_server: HubServer, snapshots: Snapshots) -> None:
    from huggingface_hub import hf_hub_download

    files = model_files()
    hub_server.add(REPO, files)
    Path(hf_hub_download(REPO, "model.safetensors")).resolve().write_bytes(b"rotten")
    found = snapshots.get(SOURCE)
    assert (found.folder / "model.safetensors").read_bytes() == files["model.safetensors"]


# --- cuts, waits, faults ---------------------------------------------------------------------------


def test_after_a_cut_the_rest_is_fetched_not_the_whole(hub_server: HubServer, snapshots: Snapshots) -> None:
    data = model_files()["model.safetensors"]
    hub_server.add(REPO, model_files())
    hub_server.fault("/objects/", cut_after=1000)
    found = snapshots.get(SOURCE)
    assert (found.folder / "model.safetensors").read_bytes() == data
    assert [hit.range for hit in hub_server.hits if hit.host == "storage"] == ["", "bytes=1000-"]


def test_a_part_left_by_a_process_that_died_is_gone_on_with(hub_server: HubServer, snapshots: Snapshots) -> None:
    data = model_files()["model.safetensors"]
    commit = hub_server.add(REPO, model_files())
    part = snapshots.root / "owner--model" / commit / "model.safetensors.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(data[:3000])
    found = snapshots.get(SOURCE)
    assert (found.folder / "model.safetensors").read_bytes() == data
    assert [hit.range for hit in hub_server.hits if hit.host == "storage"] == ["bytes=3000-"]
    assert not part.exists()


def test_other_bytes_than_promised_are_thrown_away(hub_server: HubServer, snapshots: Snapshots) -> None:
    hub_server.add(REPO, model_files())
    hub_server.fault("/objects/", garble=True)
    text = refused(lambda: snapshots.get(SOURCE))
    assert "model.safetensors" in text and "sha256" in text and "thrown away" in text
    assert snapshots.local(SOURCE) is None
    assert not list(snapshots.root.rglob("model.safetensors*"))
    assert Snapshots(snapshots.root).get(SOURCE).entry.files  # and another try mends it


def test_a_small_file_is_checked_against_gits_name_for_it(hub_server: HubServer, snapshots: Snapshots) -> None:
    hub_server.add(REPO, model_files(config={"a": 1}))
    hub_server.fault("config.json", times=2, garble=True)  # the redirect, then the file
    assert "what came for config.json is not that file" in refused(lambda: snapshots.get(SOURCE))


@pytest.mark.parametrize("pattern", ["/api/models/", "/resolve/", "/objects/"])
def test_429_waits_as_long_as_the_hub_asks(
    hub_server: HubServer, snapshots: Snapshots, waits: list[float], pattern: str
) -> None:
    hub_server.add(REPO, model_files())
    hub_server.fault(pattern, status=429, headers={"Retry-After": "7"})
    assert snapshots.get(SOURCE).entry.files
    assert waits and 7 <= waits[0] <= 8


def test_a_wait_of_an_hour_is_told_rather_than_waited(
    hub_server: HubServer, snapshots: Snapshots, waits: list[float]
) -> None:
    hub_server.add(REPO, model_files())
    hub_server.fault("/api/models/", status=429, headers={"Retry-After": "3600"}, times=9)
    text = refused(lambda: snapshots.get(SOURCE))
    assert "takes no more requests" in text and "3600 s" in text
    assert waits == []


@pytest.mark.parametrize("pattern", ["/api/models/", "/resolve/", "/objects/"])
@pytest.mark.parametrize("status", [500, 503])
def test_a_hub_that_stumbles_is_asked_again(
    hub_server: HubServer, snapshots: Snapshots, pattern: str, status: int
) -> None:
    hub_server.add(REPO, model_files())
    hub_server.fault(pattern, status=status, times=2)
    assert snapshots.get(SOURCE).entry.files


def test_a_hub_that_stays_down_is_told(hub_server: HubServer, snapshots: Snapshots) -> None:
    hub_server.add(REPO, model_files())
    hub_server.fault("", status=502, times=99)
    assert "answered 502. Try again later." in refused(lambda: snapshots.get(SOURCE))


def test_a_slow_hub_is_waited_for(hub_server: HubServer, snapshots: Snapshots) -> None:
    hub_server.add(REPO, model_files())
    hub_server.fault("/objects/", delay_s=0.3)
    assert snapshots.get(SOURCE).entry.files


def test_nobody_listens(hub_server: HubServer, snapshots: Snapshots, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    text = refused(lambda: snapshots.get(SOURCE))
    assert "cannot be reached" in text and "--offline" in text


# --- who may, what is there -----------------------------------------------------------------------


def test_gated_without_a_token_says_where_to_accept_the_terms(hub_server: HubServer, snapshots: Snapshots) -> None:
    hub_server.add(REPO, model_files(), gated=True)
    text = refused(lambda: snapshots.get(SOURCE))
    assert "gated" in text and f"{hub_server.endpoint}/{REPO}" in text and "hf auth login" in text


def test_gated_with_a_token_is_fetched(
    hub_server: HubServer, snapshots: Snapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub_server.add(REPO, model_files(), gated=True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert snapshots.get(SOURCE).entry.files


def test_a_repository_that_is_gone_a_revision_that_never_was_and_pickles_alone_are_told_apart(
    hub_server: HubServer, snapshots: Snapshots
) -> None:
    hub_server.add(REPO, {"config.json": b"{}", "pytorch_model.bin": b"\x80\x04."})
    assert "removed, or it is private" in refused(lambda: snapshots.get(HubSource("owner/gone")))
    assert "no revision 'v9'" in refused(lambda: snapshots.get(HubSource(REPO, "v9")))
    text = refused(lambda: snapshots.get(SOURCE))
    assert "pytorch_model.bin" in text and "can run code" in text
    assert hub_server.count(host="storage") == 0


def test_no_token_is_written_to_the_log(
    hub_server: HubServer, snapshots: Snapshots, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    caplog.set_level(logging.DEBUG)
    hub_server.add(REPO, model_files())
    hub_server.fault("/resolve/", status=503)
    hub_server.fault("/objects/", cut_after=10)
    snapshots.get(SOURCE)
    assert "503" in caplog.text and TOKEN not in caplog.text


# --- revisions that move --------------------------------------------------------------------------


def test_a_branch_that_moved_is_told_and_used_by_the_next_process(hub_server: HubServer, tmp_path: Path) -> None:
    old = hub_server.add(REPO, model_files(1))
    running = Snapshots(tmp_path)
    assert running.get(SOURCE).entry.commit == old
    new = hub_server.add(REPO, model_files(2))
    assert running.get(SOURCE).entry.commit == old, "a running hub does not change its model"
    later = Snapshots(tmp_path)
    assert later.get(SOURCE).entry.commit == new
    assert any(old[:12] in text and new[:12] in text for text in later.notices())
    assert hub_server.count("/objects/") == 2


def test_a_locked_source_stays_with_its_commit_when_the_branch_moves(hub_server: HubServer, make_store: Make) -> None:
    old = hub_server.add(REPO, model_files(1))
    first = make_store()
    entry = first.snapshots.get(SOURCE).entry
    lock.write(first.lock_path, {SOURCE.address: entry})
    hub_server.add(REPO, model_files(2))
    elsewhere = WeightsStore(first.root, first.root.parent / "another-machine")
    assert elsewhere.obtain(SOURCE.address).commit == old


def test_a_locked_commit_that_serves_another_file_is_refused(hub_server: HubServer, make_store: Make) -> None:
    commit = hub_server.add(REPO, model_files(1))
    store = make_store()
    entry = store.snapshots.get(SOURCE).entry
    lock.write(store.lock_path, {SOURCE.address: entry})
    hub_server.repos[REPO].commits[commit]["model.safetensors"] = model_files(2)["model.safetensors"]
    elsewhere = WeightsStore(store.root, store.root.parent / "another-machine")
    text = refused(lambda: elsewhere.obtain(SOURCE.address))
    assert "model.safetensors is another file at the locked commit" in text


def test_without_a_hub_the_copy_of_a_branch_serves_at_once_and_says_so(
    hub_server: HubServer, tmp_path: Path, waits: list[float]
) -> None:
    commit = hub_server.add(REPO, model_files())
    Snapshots(tmp_path).get(SOURCE)
    hub_server.fault("", status=503, times=99)
    later = Snapshots(tmp_path)
    assert later.get(SOURCE).entry.commit == commit
    assert any("Using the copy kept here" in text for text in later.notices())
    assert waits == []


# --- many at once, and disks ----------------------------------------------------------------------


def test_a_stampede_of_32_threads_is_one_download(hub_server: HubServer, make_store: Make) -> None:
    hub_server.add(REPO, model_files())
    hub_server.fault("/objects/", delay_s=0.2)
    store = make_store()
    found = in_threads([lambda: store.obtain(SOURCE.address)] * 32)
    assert len({folder.digest for folder in found}) == 1
    assert hub_server.count("/objects/") == 1 and hub_server.count("/api/models/") == 1


def test_visitors_are_told_how_far_a_long_download_is_rather_than_held(hub_server: HubServer, make_store: Make) -> None:
    hub_server.add(REPO, model_files())
    hub_server.fault("/objects/", delay_s=1.0)
    store = make_store()
    assert "being downloaded" in refused(lambda: store.obtain(SOURCE.address, patience_s=0.0))
    wait_until(lambda: store.fetching(SOURCE.address) is not None, "the download begins")
    texts = in_threads([lambda: refused(lambda: store.obtain(SOURCE.address, patience_s=0.05))] * 8)
    assert all("% of 0 MB. Try again in a moment." in text for text in texts)
    assert store.obtain(SOURCE.address, patience_s=60).digest
    assert hub_server.count("/objects/") == 1


def test_visitors_who_wait_together_hear_the_same_trouble(hub_server: HubServer, make_store: Make) -> None:
    store = make_store()
    texts = in_threads([lambda: refused(lambda: store.obtain(SOURCE.address, patience_s=60))] * 8)
    assert len(set(texts)) == 1 and "There is no repository owner/model" in texts[0]
    assert hub_server.count("/api/models/") == 1


def process(hub_server: HubServer, code: str, folder: Path) -> subprocess.Popen[str]:
    """A process of its own whose client is sent to the local Hub by HF_ENDPOINT alone."""
    environment = {**os.environ, "HF_ENDPOINT": hub_server.endpoint, "HF_HUB_DISABLE_XET": "1", "PYTHONPATH": str(ROOT)}
    environment |= {"HF_HOME": str(folder / "hf-home"), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("HF_HUB_OFFLINE", None)
    environment.pop("TRANSFORMERS_OFFLINE", None)
    script = (
        "from pathlib import Path\nfrom hub.errors import HubError\nfrom hub.weights.snapshots import Snapshots\n"
        f"from hub.weights.sources import parse_hub\nSOURCE = parse_hub({SOURCE.address!r})\n"
        f"try:\n    {code}\nexcept HubError as error:\n    print('refused:', error.message)\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", script],
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
def test_two_processes_at_once_are_one_download(hub_server: HubServer, tmp_path: Path) -> None:
    hub_server.add(REPO, model_files())
    hub_server.fault("/objects/", delay_s=1.0)
    code = "print(Snapshots(Path('hub')).get(SOURCE).entry.commit)"
    both = [process(hub_server, code, tmp_path) for _ in range(2)]
    said = [one.communicate(timeout=100)[0].splitlines()[-1] for one in both]
    assert said == [hub_server.repos[REPO].refs["main"]] * 2
    assert hub_server.count("/objects/") == 1


def test_a_full_disk_is_told_before_the_download(
    hub_server: HubServer, snapshots: Snapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub_server.add(REPO, model_files())
    monkeypatch.setattr(
        snapshots_module.shutil, "disk_usage", lambda path: SimpleNamespace(total=10**9, used=10**9, free=1000)
    )
    text = refused(lambda: snapshots.get(SOURCE))
    assert "MB free" in text and "--hub-folder" in text
    assert hub_server.count(host="storage") == 0


def test_a_disk_that_fills_up_on_the_way_is_told(hub_server: HubServer, snapshots: Snapshots) -> None:
    commit = hub_server.add(REPO, model_files())
    part = snapshots.root / "owner--model" / commit / "model.safetensors.part"
    part.parent.mkdir(parents=True)
    part.symlink_to("/dev/full")  # every write to it fails as on a full disk
    text = refused(lambda: snapshots.get(SOURCE))
    assert "the disk is full" in text and "--hub-folder" in text


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A temporary folder that every user may enter; pytest's own are private."""
    with tempfile.TemporaryDirectory(prefix="demo-hub-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("complete", [True, False])
def test_a_folder_that_cannot_be_written_serves_what_it_holds(
    hub_server: HubServer, open_folder: Path, complete: bool
) -> None:
    commit = hub_server.add(REPO, model_files())
    folder = open_folder / "hub"
    folder.mkdir()
    if complete:
        Snapshots(folder).get(SOURCE)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    # Root may write everywhere, so the process becomes another user, once all it has to import is imported.
    become = "import os; Snapshots(Path('warm')).get(SOURCE); os.getuid() or os.seteuid(65534)"
    code = f"{become}; s = Snapshots(Path('hub')); print(s.get(SOURCE).entry.commit, *s.notices(), sep='\\n')"
    said = process(hub_server, code, open_folder).communicate(timeout=100)[0]
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)
    assert "the folder cannot be written" in said and "--hub-folder" in said
    assert (commit in said.splitlines()) is complete
