"""`lock`, `pull`, `verify`, `pack` and `unpack`, as typed; and that loading refuses what does not match."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hub.cli.main import main
from hub.errors import InputError, UnavailableError
from hub.weights import lock, pack
from hub.weights.store import WeightsStore
from tests.fakes import write_weights
from tests.hub_server import HubServer
from tests.weights.conftest import model_files

REPO = "owner/model"
NAME = f"hf://{REPO}@main"
DEMO = '''"""A page with weights."""

from hub.spec import Demo, Json, Text, Weights

DEMO = Demo(
    title="Page", summary="A page.", task="Nothing", inputs=(Text("text", "Text"),), outputs=(Json("json", "Json"),),
    load=lambda folder, device: object(),
    prepare=lambda text: text,
    infer=lambda model, items: items,
    present=lambda output, text: {"json": output},
    weights=(Weights("bundled"),),
)
'''
Run = Callable[..., tuple[int, str, str]]


class Machine:
    """The folders of one machine, and commands run on it."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]):
        self.root, self.capsys = root, capsys
        (root / "demos").mkdir(parents=True)
        (root / "demos" / "page.py").write_text(DEMO)
        (root / "weights").mkdir()

    def __call__(self, command: str, *arguments: str, hub_server: bool = True) -> tuple[int, str, str]:
        """Exit status, stdout and stderr of `python -m hub <command>`."""
        flags = ["--demos-folder", str(self.root / "demos"), "--weights-folder", str(self.root / "weights")]
        flags += ["--data", str(self.root / "data"), *(["--weights", f"bundled=hf://{REPO}"] if hub_server else [])]
        status = main([command, *arguments, *flags])
        said = self.capsys.readouterr()
        return status, said.out, said.err

    def store(self, **options: Any) -> WeightsStore:
        return WeightsStore(self.root / "weights", self.root / "data" / "hub", **options)


@pytest.fixture
def machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Machine:
    made = Machine(tmp_path / "here", capsys)
    write_weights(made.root / "weights", "bundled", content=b"bundled weights")
    return made


@pytest.fixture
def other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Machine:
    """A machine that has the pages, and no weights."""
    return Machine(tmp_path / "there", capsys)


def flip(path: Path, at: int = -1) -> None:
    """Changes one bit of one byte."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


# --- lock, pull, verify ---------------------------------------------------------------------------


def test_lock_pull_verify_from_beginning_to_end(hub_server: HubServer, machine: Machine) -> None:
    commit = hub_server.add(REPO, model_files())
    status, out, _ = machine("lock")
    assert status == 0 and commit[:12] in out and "bundled" in out
    written = json.loads((machine.root / "weights" / "lock.json").read_text())["sources"]
    assert written[NAME]["commit"] == commit
    assert written[NAME]["files"]["model.safetensors"]["size"] == 4168
    assert "commit" not in written["bundled"] and set(written["bundled"]["files"]) == {
        "config.json",
        "model.safetensors",
    }
    assert hub_server.count(host="storage") == 0, "locking needs no large file"

    status, out, _ = machine("pull")
    assert status == 0 and "as locked" in out
    assert hub_server.count(host="storage") == 1
    status, out, _ = machine("verify")
    assert (status, out.count("ok ")) == (0, 2)


def test_verify_names_the_file_with_one_flipped_byte_and_loading_refuses_it(
    hub_server: HubServer, machine: Machine
) -> None:
    hub_server.add(REPO, model_files())
    machine("lock")
    machine("pull")
    store = machine.store()
    folders = {name: store.find(name).path for name in (NAME, "bundled")}
    for name, folder in folders.items():
        flip(folder / "model.safetensors")
        status, out, err = machine("verify")
        assert status == 1 and "model.safetensors has sha256" in out and "not loaded" in err
        with pytest.raises(UnavailableError, match=r"refused: model\.safetensors has sha256"):
            store.find(name)
        flip(folder / "model.safetensors")
        assert store.find(name).locked


def test_pull_mends_what_verify_found(hub_server: HubServer, machine: Machine) -> None:
    hub_server.add(REPO, model_files())
    machine("pull")
    flip(machine.store().find(NAME).path / "model.safetensors")
    assert machine("verify")[0] == 1
    assert machine("pull")[0] == 0
    assert machine("verify")[0] == 0
    assert hub_server.count("/objects/") == 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda f: (f / "config.json").unlink(), "config.json is missing"),
        (lambda f: (f / "config.json").write_text("{ }"), "config.json has 3 bytes, the lock says 2"),
        (lambda f: shutil.copy(f / "model.safetensors", f / "a.safetensors"), "a.safetensors is not in the lock"),
        (lambda f: (f / "vocab.txt").write_text("the"), "vocab.txt is not in the lock"),
    ],
)
def test_a_file_that_is_missing_changed_or_new_is_refused_by_name(
    machine: Machine, change: Callable[[Path], object], told: str
) -> None:
    assert machine("lock", hub_server=False)[0] == 0
    change(machine.root / "weights" / "bundled")
    with pytest.raises(UnavailableError, match="python -m hub lock") as caught:
        machine.store().find("bundled")
    assert told in caught.value.message
    assert told in machine("verify", hub_server=False)[1]


def test_the_card_and_the_recipe_may_change_without_the_lock_or_the_digest(machine: Machine) -> None:
    machine("lock", hub_server=False)
    before = machine.store().find("bundled").digest
    for name in ("README.md", "recipe.py", "metrics.json", "LICENSE.txt"):
        (machine.root / "weights" / "bundled" / name).write_text("told better")
    assert machine.store().find("bundled").digest == before


@pytest.mark.parametrize("name", ["merges.txt", "vocab.txt", "tokenizer/vocab.json", "spiece.model", "chat.jinja"])
def test_every_file_a_model_reads_changes_the_digest(machine: Machine, name: str) -> None:
    before = machine.store().find("bundled").digest
    path = machine.root / "weights" / "bundled" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("a b")
    first = machine.store().find("bundled").digest
    path.write_text("a c")
    assert len({before, first, machine.store().find("bundled").digest}) == 3


def test_a_pickle_under_the_name_of_a_tokenizer_is_refused(machine: Machine) -> None:
    (machine.root / "weights" / "bundled" / "spiece.model").write_bytes(b"\x80\x04\x95 pickled")
    with pytest.raises(UnavailableError, match=r"spiece\.model is a pickle"):
        machine.store().find("bundled")


def test_a_pickle_that_a_library_would_prefer_is_refused(machine: Machine) -> None:
    folder = machine.root / "weights" / "bundled"
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    assert machine.store().find("bundled")
    (folder / "model.safetensors").rename(folder / "weights.safetensors")
    with pytest.raises(UnavailableError, match=r"pytorch_model\.bin lies beside"):
        machine.store().find("bundled")


def test_locking_without_the_hub_keeps_what_was_locked(hub_server: HubServer, machine: Machine) -> None:
    hub_server.add(REPO, model_files())
    machine("lock")
    before = (machine.root / "weights" / "lock.json").read_text()
    hub_server.fault("", status=503, times=99)
    status, _, err = machine("lock")
    assert status == 1 and "answered 503" in err and "stays locked as it was" in err
    assert (machine.root / "weights" / "lock.json").read_text() == before


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"version": 9, "sources": {}}', '{"version": 1, "sources": {"bundled": {}}}'],
)
def test_a_damaged_lock_stops_loading_rather_than_being_ignored(machine: Machine, text: str) -> None:
    (machine.root / "weights" / "lock.json").write_text(text)
    with pytest.raises(UnavailableError, match="python -m hub lock"):
        machine.store().find("bundled")


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "a/../../b.json", "C:/x.json", "a\\b.json", ""])
def test_a_lock_cannot_name_a_file_outside_its_folder(machine: Machine, path: str) -> None:
    entry = {"commit": "c" * 40, "files": {path: {"size": 1, "sha256": "0"}}}
    data = {"version": 1, "sources": {NAME: entry}}
    (machine.root / "weights" / "lock.json").write_text(json.dumps(data))
    with pytest.raises(UnavailableError, match="not inside its folder"):
        machine.store().obtain(NAME)


def test_the_repository_has_a_lock_that_fits_or_none() -> None:
    store = WeightsStore()
    for name in store.locked():
        if not name.startswith("hf://"):
            assert store.find(name).locked


def test_run_downloads_what_it_needs_and_waits_for_it(
    hub_server: HubServer, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.engine.engine.PATIENCE_S", 0.0)  # what a visitor would not wait for
    hub_server.add(REPO, model_files())
    status, out, err = machine("run", "page", "--set", "text=hello", "--json", "--device", "cpu", "--dtype", "float32")
    assert status == 0, err
    assert json.loads(out)["receipt"]["weights"] == NAME


# --- pack, unpack ---------------------------------------------------------------------------------


def test_what_was_packed_runs_on_a_machine_that_never_had_internet(
    hub_server: HubServer, machine: Machine, other: Machine
) -> None:
    commit = hub_server.add(REPO, model_files())
    machine("lock")
    machine("pull")
    archive = machine.root / "hub.tar"
    assert machine("pack", str(archive))[0] == 0
    hub_server.hits.clear()
    status, out, _ = other("unpack", str(archive), "--offline")
    assert status == 0 and "python -m hub verify" in out
    assert other("verify", "--offline")[0] == 0
    here, there = machine.store(), other.store(offline=True)
    for name in (NAME, "bundled"):
        assert there.obtain(name).digest == here.find(name).digest
    assert there.find(NAME).commit == commit and there.find(NAME).locked
    assert there.card(NAME)[0]["license"] == "mit"
    assert hub_server.hits == []


def test_packing_twice_gives_the_same_bytes_and_wheels_travel_along(machine: Machine, other: Machine) -> None:
    wheels = machine.root / "wheels"
    wheels.mkdir()
    (wheels / "thing-1.0-py3-none-any.whl").write_bytes(b"a wheel")
    archives = [machine.root / name for name in ("one.tar", "two.tar")]
    for archive in archives:
        assert machine("pack", str(archive), "--wheels", str(wheels), hub_server=False)[0] == 0
    assert archives[0].read_bytes() == archives[1].read_bytes()
    status, out, _ = other("unpack", str(archives[0]), "--wheels", str(other.root / "wheels"), hub_server=False)
    assert status == 0 and "--no-index" in out
    assert (other.root / "wheels" / "thing-1.0-py3-none-any.whl").read_bytes() == b"a wheel"


def test_what_is_here_already_is_not_overwritten_unless_told(machine: Machine, other: Machine) -> None:
    archive = machine.root / "hub.tar"
    machine("pack", str(archive), hub_server=False)
    write_weights(other.root / "weights", "bundled", content=b"other weights")
    before = other.store().find("bundled").digest
    status, _, err = other("unpack", str(archive), hub_server=False)
    assert status == 2 and "other content" in err and "--force" in err
    assert other.store().find("bundled").digest == before
    assert other("unpack", str(archive), "--force", hub_server=False)[0] == 0
    assert other.store().find("bundled").digest == machine.store().find("bundled").digest


def test_weights_that_do_not_match_the_lock_are_not_packed(machine: Machine) -> None:
    machine("lock", hub_server=False)
    flip(machine.root / "weights" / "bundled" / "model.safetensors")
    status, _, err = machine("pack", str(machine.root / "hub.tar"), hub_server=False)
    assert status == 1 and "refused" in err
    assert not (machine.root / "hub.tar").exists()


def archive_of(path: Path, members: dict[str, bytes], *, listed: dict[str, bytes] | None = None, **info: Any) -> Path:
    """A tar as an attacker or an accident might make it."""
    files = {name: {"size": len(data), "sha256": digest(data)} for name, data in (listed or members).items()}
    body = json.dumps({"version": 1, "files": files}).encode()
    with tarfile.open(path, "w") as tar:
        for name, data in {pack.LIST: body, **members}.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            for key, value in info.items() if name != pack.LIST else ():
                setattr(member, key, value)
            tar.addfile(member, io.BytesIO(data) if member.isreg() else None)
    return path


def digest(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    "name",
    [
        "../escaped.json",
        "weights/../../escaped.json",
        "/tmp/escaped.json",
        "weights//etc/escaped.json",
        "hub/a/../../../escaped.json",
        "app.py",
        "weights/bundled/recipe.py",
        "demos/evil.py",
        "weights/bundled/model.bin",
        "wheels/../escaped.whl",
        "wheels/not_a_wheel.json",
    ],
)
def test_an_archive_cannot_write_outside_its_folders_or_bring_code(other: Machine, name: str) -> None:
    before = sorted(other.root.parent.rglob("*"))
    status, _, err = other("unpack", str(archive_of(other.root / "evil.tar", {name: b"{}"})), hub_server=False)
    assert status in (1, 2) and "refused" in err
    (other.root / "evil.tar").unlink()
    new = [p for p in sorted(other.root.parent.rglob("*")) if p not in before and p.is_file()]
    assert [path for path in new if path.suffix != ".pyc"] == []  # Python writes those of its own code


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_links_pipes_and_folders_in_an_archive_are_refused(other: Machine, kind: bytes) -> None:
    members = {"weights/bundled/config.json": b""}
    archive = archive_of(other.root / "evil.tar", members, type=kind, linkname="/etc/passwd")
    with pytest.raises(InputError, match="not a file of its list"):
        unpack(other, archive)


def test_a_link_that_lies_here_does_not_lead_an_archive_out(other: Machine, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (other.root / "weights" / "bundled").symlink_to(tmp_path / "outside")
    with pytest.raises(InputError, match="outside of"):
        unpack(other, archive_of(other.root / "x.tar", {"weights/bundled/config.json": b"{}"}))
    assert not list((tmp_path / "outside").iterdir())


def unpack(machine: Machine, archive: Path) -> pack.Packed:
    folders = {"weights": machine.root / "weights", "hub": machine.root / "hub", "wheels": machine.root / "wheels"}
    return pack.unpack(archive, folders)


def test_a_damaged_or_short_archive_restores_nothing(machine: Machine, other: Machine) -> None:
    archive = machine.root / "hub.tar"
    machine("pack", str(archive), hub_server=False)
    whole = archive.read_bytes()
    for damaged in (
        whole[: len(whole) // 3],
        whole[:1536],
        b"not a tar",
        b"",
        whole.replace(b"bundled weights", b"bundled wEights"),
    ):
        archive.write_bytes(damaged)
        with pytest.raises(InputError):
            unpack(other, archive)
    assert not list((other.root / "weights").iterdir())


def test_the_locks_of_two_machines_are_merged(machine: Machine, other: Machine) -> None:
    machine("lock", hub_server=False)
    machine("pack", str(machine.root / "hub.tar"), hub_server=False)
    theirs = lock.Locked("", {"model.safetensors": lock.LockedFile(1, "0" * 64)})
    lock.write(other.root / "weights" / "lock.json", {"something_else": theirs})
    assert other("unpack", str(machine.root / "hub.tar"), hub_server=False)[0] == 0
    assert set(other.store().locked()) == {"something_else", "bundled"}
    lock.write(other.root / "weights" / "lock.json", {"bundled": theirs})
    status, _, err = other("unpack", str(machine.root / "hub.tar"), hub_server=False)
    assert status == 2 and "another entry for bundled" in err


# --- settings -------------------------------------------------------------------------------------


def test_sources_come_from_flags_the_environment_and_a_settings_file(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = machine.root / "hub.toml"
    file.write_text('port = 8000\n[weights]\nbundled = "hf://from/file"\n')
    monkeypatch.setenv("HUB_SETTINGS_FILE", str(file))
    assert "hf://from/file@main" in machine("list", "--json", hub_server=False)[1]
    monkeypatch.setenv("HUB_WEIGHTS", "bundled=hf://from/environment")
    out = machine("list", "--json", hub_server=False)[1]
    assert "hf://from/environment@main" in out and "from/file" not in out
    out = machine("list", "--json")[1]
    assert NAME in out and "from/environment" not in out


@pytest.mark.parametrize(
    ("text", "told"),
    [("prot = 1", "Did you mean 'port'"), ("port = 'x'", "whole number"), ("port = [1]", "one value"), ("=", "TOML")],
)
def test_a_settings_file_that_is_wrong_says_where(machine: Machine, text: str, told: str) -> None:
    (machine.root / "hub.toml").write_text(text)
    status, _, err = machine("list", "--settings-file", str(machine.root / "hub.toml"), hub_server=False)
    assert status == 2 and str(machine.root / "hub.toml") in err
    assert told in err or told == "TOML"
