"""Files as people and their programs leave them: byte order marks, spreadsheets, what lies in the place of weights."""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from hub import describe, settings
from hub.archive import spreadsheets
from hub.cli import grid as cli_grid
from hub.cli.main import main
from hub.errors import UnavailableError
from hub.files import LEFT_AFTER_S, read_text, replacing, write_atomic, write_once
from hub.hub import Hub
from hub.people.tokens import TokenStore
from hub.people.users import hashed, open_users
from hub.settings import ROOT
from hub.web import server
from hub.web.api import health
from hub.weights import formats, stand_ins
from tests.fakes import in_threads, write_weights
from tests.web.doors import SHADES, png, variant

MARKED = {"utf-8": codecs.BOM_UTF8, "utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}


@pytest.fixture(params=MARKED)
def saved(request: pytest.FixtureRequest, tmp_path: Path):  # type: ignore[no-untyped-def]  # a function, below
    def save(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_bytes(MARKED[request.param] + text.encode(request.param))
        return path

    return save


def test_files_with_a_byte_order_mark_are_read(saved, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert settings.from_file(saved("hub.toml", "port = 8123\r\n"))["port"] == 8123
    words = saved("words.txt", "a red circle\r\n\r\na blue star")
    assert cli_grid._lines([f"@{words}"]) == ["a red circle", "a blue star"]
    users = saved("users.txt", f"ann:view:{hashed('a long password')}\r\n")
    file, _ = open_users(str(users))
    assert file is not None and "ann" in file.all()
    store = TokenStore(tmp_path)
    made, _ = store.add("view", "reader")
    store.path.write_bytes(saved("marked.json", store.path.read_text()).read_bytes())
    assert [token.id for token in TokenStore(tmp_path).all()] == [made.id]
    assert formats.config_of(saved("config.json", '{"mean": [1]}').parent, "'x'") == {"mean": [1]}
    assert read_text(saved("any.txt", "é\r\nb")) == "é\nb"


def test_a_csv_begins_as_spreadsheets_know_utf_8_and_nothing_in_it_runs() -> None:
    out = io.StringIO(newline="")
    texts = [
        "=1+1",
        "+cmd",
        "-2+3",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        " =1",
        "＝1",
        "\u00a0@x",
        "-5",
        "+1.5",
        "a=b",
        "语",
        "'=1",
    ]
    spreadsheets.write(out, ["text"], [{"text": text} for text in texts])
    data = spreadsheets.encoded(out.getvalue())
    assert data.startswith(codecs.BOM_UTF8)
    rows = [row["text"] for row in csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))]
    assert rows == [*(f"'{text}".replace("\r", "\n") for text in texts[:9]), *texts[9:]]


# --- written whole --------------------------------------------------------------------------------


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)  # a name as long as names can be
    write_atomic(path, b"first", mode=0o600)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"first", 0o600)
    write_atomic(path, b"second", mode=0o600, lasting=False)
    with pytest.raises(KeyboardInterrupt), replacing(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [(path.name, b"second")]


@pytest.mark.parametrize("links", [True, False])
def test_a_file_is_not_written_over_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    def refuse(*paths: Any) -> None:
        raise OSError(95, "Operation not supported")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    written = []

    def write(text: bytes) -> None:
        with suppress(FileExistsError):
            write_once(tmp_path / "one", text)
            written.append(text)

    in_threads([lambda number=number: write(b"%d" % number) for number in range(8)])  # type: ignore[misc]
    assert [path.read_bytes() for path in tmp_path.iterdir()] == written


def test_what_a_killed_process_left_is_cleared_and_what_another_writes_is_not(tmp_path: Path) -> None:
    old, fresh, others = (tmp_path / name for name in (f".hub-{'0' * 16}", f".hub-{'1' * 16}", ".hub-notes"))
    for path in (old, fresh, others):
        path.write_bytes(b"half")
    for path in (old, others):
        os.utime(path, (time.time() - LEFT_AFTER_S - 9,) * 2)
    write_atomic(tmp_path / "a", b"whole")
    assert {path.name for path in tmp_path.iterdir()} == {fresh.name, others.name, "a"}


# --- in the place of weights ----------------------------------------------------------------------

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 6896218\n"
PAGE = b"\xef\xbb\xbf\n<!DOCTYPE html>\n<html><body>Sign in</body></html>"


def damaged(folder: Path, file: str, content: bytes) -> None:
    path = folder / file
    path.write_bytes(content)
    os.utime(path, ns=(1, time.monotonic_ns()))  # several writes in one tick of the clock


def test_what_lies_in_the_place_of_weights_is_named_at_load_at_start_by_verify_and_on_the_pages(
    make_hub: Callable[..., Hub], tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: Any
) -> None:
    weights = write_weights(tmp_path / "weights", "tiny", {"mean": 1})
    folder = tmp_path / "weights" / "tiny"
    whole = (folder / "model.safetensors").read_bytes()
    hub = make_hub(shades=variant(SHADES, weights=(weights,)))
    assert hub.weights.find("tiny").size_bytes
    cases = [
        ("model.safetensors", POINTER, "is a Git LFS pointer, not the file itself. Fetch it: git lfs pull."),
        ("model.safetensors", PAGE, "model.safetensors is a web page, not the file itself"),
        ("model.safetensors", whole[:-1], f"is cut off: {len(whole) - 1} of {len(whole)} bytes are here"),
        ("model.safetensors", whole[:20], "model.safetensors is cut off: 20 bytes are here"),
        ("model.safetensors", b"", "model.safetensors is cut off: 0 bytes are here"),
        ("model.safetensors", b"\x80\x02}q\x00" + b"x" * 40, "model.safetensors is no safetensors file"),
        ("config.json", POINTER, "config.json is a Git LFS pointer"),
        ("config.json", PAGE, "config.json is a web page"),
    ]  # fmt: skip
    for file, content, words in cases:
        before = (folder / file).read_bytes()
        damaged(folder, file, content)
        with pytest.raises(UnavailableError, match=re.escape(words)):
            hub.weights.find("tiny")
        with pytest.raises(UnavailableError, match=re.escape(words)):
            hub.engine.run("shades", {"image": png()})
        assert words in describe.state(hub, hub.registry.get("shades")).reason
        assert any(words in reason for reason in health.readiness(hub)[1]["demos"].values())
        assert any(words in str(row) for row in hub.models.residents())
        caplog.clear()
        server.warm_up(hub)
        assert words in caplog.text
        damaged(folder, file, before)
    assert hub.weights.find("tiny").size_bytes


def test_verify_names_what_lies_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(ROOT / "weights" / "vehicle_classifier", tmp_path / "vehicle_classifier")
    damaged(tmp_path / "vehicle_classifier", "model.safetensors", POINTER)
    assert main(["verify", "vehicle_classifier", "--weights-folder", str(tmp_path)]) == 1
    assert "WRONG vehicle_classifier" in (said := capsys.readouterr().out)
    assert "is a Git LFS pointer" in said


def test_every_bundled_file_is_what_it_should_be() -> None:
    files = [*(ROOT / "weights").rglob("*.safetensors"), *(ROOT / "weights").rglob("*.json")]
    assert len(files) > 10 and not [path for path in files if stand_ins.what_it_is(path)]


DAMAGED = ["null", "[1]", '"x"', "[" * 5000, "", '{"pages": 5}', '[{"id": []}]']


@pytest.mark.parametrize("text", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_file_is_told_as_that_by_who_reads_it(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tokens.json").write_text(text)
    (tmp_path / "lock.json").write_text(text)
    (tmp_path / "batches" / "one").mkdir(parents=True)
    (tmp_path / "batches" / "one" / "run.json").write_text(text)
    data = ["--data", str(tmp_path)]
    for words, name in (
        (["tokens", "add", "--role", "view", *data], "tokens.json"),
        (["verify", "--weights-folder", str(tmp_path), *data], "lock.json"),
        (["grid", "--resume", "one", *data], "run.json"),
    ):
        status, printed = main(words), capsys.readouterr()
        told = printed.out + printed.err
        assert "RecursionError" not in told and "Error: " not in told, told
        assert status == 0 or name in told or "lock" in told, told
