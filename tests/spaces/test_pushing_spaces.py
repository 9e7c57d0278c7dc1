"""An exported Space reaches the Hub as it is here; a Space of something else is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.cli.main import main
from hub.errors import InputError, UnavailableError
from hub.spaces import export
from hub.spaces import push as export_push
from hub.spaces.texts import Options
from hub.weights.sources import HubSource
from tests.hub_server import TOKEN, HubServer
from tests.served import command

# huggingface_hub 2.4 hands large files to httpx2 in a way that httpx2 would rather not see.
pytestmark = [pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"), pytest.mark.slow]
SPACE, KEPT = HubSource("ada/shades"), "spaces/ada/shades"


@pytest.fixture
def planned(tmp_path: Path) -> export.SpacePlan:
    """A small one: what a plan holds is test_export.py's."""
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(bytes(2000))
    files: dict[str, bytes | Path] = {
        "README.md": b"---\nsdk: gradio\n---\n",
        "hub/new.py": b"new = 1\n",
        "weights/tiny/model.safetensors": weights,
    }
    return export.SpacePlan(
        Options(("shades",)), {**files, export.MANIFEST: export.manifest(Options(("shades",)), files)}
    )


@pytest.fixture
def signed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)


def push(planned: export.SpacePlan, out: Path, **options: bool) -> str:
    export.write(planned, out)
    return export_push.push(planned, out, SPACE, **{"private": False, **options})


def test_a_space_is_made_filled_and_brought_up_to_date(
    hub_server: HubServer, tmp_path: Path, planned: export.SpacePlan, signed_in: None
) -> None:
    out = tmp_path / "space"
    older = {**planned.files, "hub/old.py": b"old = 1\n"}
    older[export.MANIFEST] = export.manifest(planned.options, older)
    commit = push(export.SpacePlan(planned.options, older), out, private=True)
    made = hub_server.repos[KEPT]
    assert made.refs["main"] == commit and made.private and made.sdk == "gradio"
    there = made.commits[commit]
    assert there["weights/tiny/model.safetensors"] == bytes(2000) and there["hub/old.py"] == b"old = 1\n"

    (out / "notes.txt").write_text("mine, not the Space's\n")
    hub_server.add(KEPT, {**there, "from_the_web.txt": b"written on the Hub's own page\n"})
    commit = push(planned, out)
    there = made.commits[commit]
    assert there.keys() == {*planned.files, ".gitattributes", "from_the_web.txt"}


def test_the_command_exports_and_pushes_in_one_go(hub_server: HubServer, tmp_path: Path, signed_in: None) -> None:
    out = tmp_path / "space"
    words = ("export-space", str(out), "--demos", "vehicle_classifier", "--hardware", "zero", "--push", SPACE.repo)
    done = command(main, *words, "--private")
    assert done.returncode == 0, done.stderr
    made = hub_server.repos[KEPT]
    commit = made.refs["main"]
    assert made.private and f"Pushed https://huggingface.co/spaces/ada/shades (commit {commit[:12]})" in done.stdout
    assert "choose zero-a10g in its settings" in done.stdout
    here = {file.relative_to(out).as_posix(): file.read_bytes() for file in out.rglob("*") if file.is_file()}
    assert made.commits[commit] == here


def test_a_space_of_something_else_is_left_alone(
    hub_server: HubServer, tmp_path: Path, planned: export.SpacePlan, signed_in: None
) -> None:
    before = hub_server.add(KEPT, {"README.md": b"# Mine\n", "app.py": b"print('mine')\n"})
    with pytest.raises(InputError, match=r"The Space ada/shades holds something else \(1 files.*Nothing was sent"):
        push(planned, tmp_path / "space")
    assert hub_server.repos[KEPT].refs["main"] == before


def test_without_a_token_nothing_is_asked_and_the_way_to_one_is_told(
    hub_server: HubServer, tmp_path: Path, planned: export.SpacePlan
) -> None:
    with pytest.raises(UnavailableError, match="hf auth login"):
        push(planned, tmp_path / "space")
    assert not hub_server.hits


def test_a_file_that_arrives_as_another_is_told(
    hub_server: HubServer, tmp_path: Path, planned: export.SpacePlan, signed_in: None
) -> None:
    out = tmp_path / "space"
    export.write(planned, out)
    (out / "hub" / "new.py").write_text("new = 2\n")  # of the same size, changed while it was on its way
    with pytest.raises(UnavailableError, match=r"hub/new\.py did not arrive as it was sent"):
        export_push.push(planned, out, SPACE, private=False)


def test_an_address_that_is_no_space() -> None:
    for text in ("ada", "ada/shades@v2", "https://huggingface.co/spaces/ada/shades"):
        with pytest.raises(InputError):
            export_push.parse(text)
    assert export_push.parse("ada/shades") == SPACE
