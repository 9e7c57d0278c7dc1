"""The audit log: what is written of whom, for how long, and who reads it."""

from __future__ import annotations

import csv
import io
import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from hub.cli.main import main
from hub.errors import NotFoundError
from hub.hub import Hub
from hub.people import audit as audits
from hub.people import users
from hub.people.audit import FILE, Audit, Search
from hub.people.owners import Owners
from hub.people.tokens import TokenStore
from hub.people.users import Caller, UsersFile
from hub.settings import ROOT
from hub.web.middleware import guard
from tests.fakes import Clock
from tests.web.doors import app_of, png

ADDRESS = "203.0.113.77"
SESSION = "cookie " + "s" * 40
ANN = Caller("ann", "run", SESSION, ADDRESS)
VISITOR = Caller(session=SESSION, address=ADDRESS)


def opened(path: Path | None, clock: Clock | None = None, **options: float) -> Audit:
    return Audit(path, Owners(b"secret"), clock=clock or time.time, **options)  # type: ignore[arg-type]


def deeds(log: Audit) -> list[tuple[str, str, str, str, str]]:
    return [(line.deed, line.account, line.page, line.subject, line.outcome) for line in log.search(Search(), 1000)]


def test_what_people_do_is_written_with_their_account_and_the_code_of_what_went_wrong(
    make_hub: Callable[..., Hub],
) -> None:
    hub = make_hub(only=("shades", "slow"))
    done = hub.engine.run("shades", {"image": png(), "seed": 7}, caller=ANN)
    hub.engine.run("shades", {"image": png(), "seed": 7}, caller=ANN)  # kept
    with pytest.raises(NotFoundError):
        hub.engine.run("shadows", {}, caller=ANN)  # no page, so nothing of it ran
    hub.engine.run("slow", {"prompt": "a secret word"}, caller=ANN, kind="live")
    hub.engine.run("slow", {"prompt": "the next frame"}, caller=ANN, kind="live")
    hub.engine.run("slow", {"prompt": "for the hub"}, kind="background")
    hub.forget(ANN, None)
    lines = deeds(hub.audit)
    assert lines == [
        ("delete", "ann", "", "1", "ok"),
        ("run", "ann", "slow", "", "ok"),
        *[("run", "ann", "shades", done.id[:12], "ok")] * 2,
    ]


def test_of_who_has_no_account_the_log_holds_a_mark_and_no_address(make_hub: Callable[..., Hub]) -> None:
    hub = make_hub(only=("slow",))
    hub.engine.run("slow", {"prompt": "a secret word"}, caller=VISITOR)
    (line,) = hub.audit.search(Search(), 10)
    assert (line.account, line.owner) == ("", hub.owners.of(VISITOR).id[:12])
    hub.audit.close()
    data = b"".join(file.read_bytes() for file in hub.settings.data_folder.glob(f"{FILE}*"))
    for word in (ADDRESS, SESSION, "a secret word", "s" * 40):
        assert word.encode() not in data
    assert (hub.settings.data_folder / FILE).stat().st_mode & 0o077 == 0


def test_the_log_is_bounded_by_lines_and_days_and_nobody_pushes_the_lines_of_accounts_out(tmp_path: Path) -> None:
    clock = Clock(1_000_000_000.0)
    log = opened(tmp_path / FILE, clock, rows=100, days=10)
    for number in range(30):
        log.note_of(ANN, "run", subject=f"of ann {number}")
    for number in range(300):
        log.note_of(Caller(address=f"198.51.100.{number % 250}"), "sign_in_failed", subject=str(number))
    log.search(Search(), 1)
    clock.now += 61
    log.note_of(ANN, "share")
    lines = log.search(Search(), 1000)
    assert sum(line.account == "" for line in lines) == 50
    assert sum(line.account == "ann" for line in lines) == 31
    for number in range(200):
        log.note_of(ANN, "run", subject=f"more {number}")
    clock.now += 61
    log.note_of(ANN, "share")
    assert len(log.search(Search(), 1000)) == 100
    clock.now += 11 * 86_400
    log.note_of(ANN, "share")
    assert len(log.search(Search(days=100), 1000)) == 1
    log.close()


def test_the_same_again_in_one_moment_is_one_line_with_a_count(tmp_path: Path) -> None:
    log = opened(tmp_path / FILE)
    for _ in range(1000):
        log.note_of(Caller(address=ADDRESS), "sign_in_failed")
    (line,) = log.search(Search(), 10)
    assert line.count == 1000
    log.close()


def test_a_note_takes_microseconds_and_a_disk_that_fails_fails_no_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audits, "WAITING_MOST", 10_000)
    log = opened(tmp_path / FILE)
    begin = time.perf_counter()
    for number in range(5000):
        log.note_of(ANN, "run", subject=str(number))
    assert (time.perf_counter() - begin) / 5000 < 0.000_2
    assert len(log.search(Search(), 10_000)) == 5000
    held = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    held.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr("hub.database.BUSY_S", 0.0)
    log._open().connection.execute("PRAGMA busy_timeout = 0")
    log.note_of(ANN, "share")
    log._write_quietly()
    assert "has not taken 1 lines" in caplog.text
    held.execute("ROLLBACK")
    held.close()
    log.close()


def test_a_kill_loses_no_more_than_the_last_second(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path\n"
        "from hub.people.audit import Audit; from hub.people.owners import Owners\n"
        "from hub.people.users import Caller\n"
        "log = Audit(Path(sys.argv[1]), Owners(b'x'))\n"
        "n = 0\n"
        "while True:\n"
        "    log.note_of(Caller('ann', 'run'), 'run', subject=repr(time.time())); n += 1\n"
        "    if n == 1: print('begun', flush=True)\n"
        "    time.sleep(0.01)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / FILE)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "begun\n"
        time.sleep(2.5)
        process.send_signal(signal.SIGKILL)
        killed = time.time()
        process.wait(10)
    log = opened(tmp_path / FILE)
    newest = log.search(Search(), 1)[0]
    assert killed - newest.at < 1.0
    assert len(log.search(Search(), 1000)) > 50
    log.close()


def test_sign_ins_are_written_and_a_password_in_the_wrong_field_is_not(
    make_hub: Callable[..., Hub], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(users, "LOG2_N", 4)
    UsersFile(tmp_path / "users.txt").put("ann", "admin", "correct horse")
    hub = make_hub(only=("slow",), auth=str(tmp_path / "users.txt"))
    token, text = TokenStore(hub.settings.data_folder).add("run")
    client = TestClient(guard.Guard(app_of(hub), hub), follow_redirects=False)
    assert client.post("/login", data={"username": "ann", "password": "correct horse"}).status_code == 200
    assert client.post("/sign-out").status_code == 303
    client.cookies.clear()
    assert client.post("/login", data={"username": "ann", "password": "wrong"}).status_code == 401
    assert client.post("/login", data={"username": "hunter2-my-password", "password": ""}).status_code == 401
    assert client.get(f"/?token={text}").status_code == 303
    lines = [(line.deed, line.account) for line in hub.audit.search(Search(), 10)]
    assert lines == [
        ("sign_in", f"token {token.id}"), ("sign_in_failed", ""), ("sign_in_failed", "ann"), ("sign_out", "ann"),
        ("sign_in", "ann"),
    ]  # fmt: skip


def test_whoever_operates_the_hub_reads_it_over_rest_and_nobody_else(make_hub: Callable[..., Hub]) -> None:
    hub = make_hub(only=("shades", "slow"), manage="everyone")
    client = TestClient(app_of(hub))
    done = client.post("/api/v1/demos/shades", files={"image": png()}).json()
    link = client.post(f"/api/v1/results/{done['id']}/links", json={}).json()
    client.delete(f"/api/v1/links/{link['id']}", headers={"x-link-secret": link.get("secret", "")})
    client.post("/api/v1/models", json={"demo": "slow", "action": "load"})
    client.post(f"/api/v1/results/{done['id']}/correction", json={"verdict": "right"})
    answer = client.get("/api/v1/audit")
    assert answer.status_code == 200
    lines = answer.json()["lines"]
    told = {(line["deed"], line["page"]) for line in lines}
    assert {("run", "shades"), ("share", "shades"), ("model", "slow"), ("correct", "shades")} <= told
    assert link["id"] not in answer.text  # the whole of it would open the link
    only = client.get("/api/v1/audit?deed=share").json()["lines"]
    assert [line["subject"] for line in only] == [link["id"][:12]]
    table = client.get("/api/v1/audit?format=csv&page=shades")
    rows = list(csv.DictReader(io.StringIO(table.content.decode("utf-8-sig"))))
    assert {row["page"] for row in rows} == {"shades"} and rows[0]["at"]
    assert client.get("/api/v1/audit?deed=murder").status_code == 422
    assert client.get("/api/v1/audit?days=0").status_code == 422
    stranger = TestClient(app_of(make_hub(only=("shades",))))  # its client is no address of this machine
    assert stranger.get("/api/v1/audit").status_code == 403
    assert stranger.get("/audit").status_code == 403


def test_the_page_shows_and_filters_it_and_escapes_what_strangers_wrote(make_hub: Callable[..., Hub]) -> None:
    hub = make_hub(only=("shades",), manage="everyone")
    hub.audit.note_of(Caller("<script>alert(1)</script>", "run"), "run", page="shades", subject="<b>", outcome="busy")
    hub.audit.note_of(None, "model", page="shades", subject="pin")
    hub.audit.note_of(VISITOR, "share", page="shades")
    client = TestClient(app_of(hub))
    page = client.get("/audit").text
    assert "<script>alert" not in page and "&lt;script&gt;" in page and "<b>" not in page
    assert "This machine" in page and "Not signed in (" in page and "Shared a result" in page
    filtered = client.get("/audit?deed=model").text
    assert "This machine" in filtered and "Not signed in (" not in filtered
    assert client.get("/usage/usage.css").status_code == 200
    chinese = client.get("/audit?lang=zh", headers={"accept-language": "zh-CN"})
    assert chinese.status_code == 200


def test_commands_write_and_read_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users, "LOG2_N", 4)
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse\n"))
    data = ["--data", str(tmp_path)]
    assert main(["users", "add", "ann", "--password-stdin", *data]) == 0
    assert main(["users", "remove", "ann", *data]) == 0
    assert main(["tokens", "add", *data, "--json"]) == 0
    out = capsys.readouterr().out
    token = json.loads(out[out.index("{") :])
    assert main(["tokens", "revoke", token["id"], *data]) == 0
    capsys.readouterr()
    assert main(["audit", *data, "--json"]) == 0
    told = capsys.readouterr().out
    assert [(line["deed"], line["account"], line["subject"]) for line in json.loads(told)] == [
        ("token_revoked", "machine", token["id"]), ("token_added", "machine", f"{token['id']}:run"),
        ("user_removed", "machine", "ann"), ("user_changed", "machine", "ann:run"),
    ]  # fmt: skip
    assert token["token"] not in told
    assert main(["audit", *data, "--deed", "user_removed", "--csv"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split(",")[1:3] == ["user_removed", "machine"]
    assert main(["audit", *data]) == 0
    assert "token_revoked" in capsys.readouterr().out
    assert main(["audit", *data, "--deed", "murder"]) == 2


def test_a_hub_may_keep_none(make_hub: Callable[..., Hub]) -> None:
    hub = make_hub(only=("slow",), audit_rows=0)
    hub.engine.run("slow", {}, caller=ANN)
    assert hub.audit.search(Search(), 10) == []
    assert not (hub.settings.data_folder / FILE).exists()
