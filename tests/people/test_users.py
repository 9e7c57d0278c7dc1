"""Users, access tokens and limits: their files, their commands, and what is counted."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from hub.cli import main as cli
from hub.errors import InputError, NotFoundError
from hub.people import users
from hub.people.limits import Allowance, LimitError
from hub.people.tokens import TokenStore
from hub.people.users import Caller, UsersFile, hashed, matches, open_users
from hub.settings import from_environment
from tests.fakes import Clock
from tests.served import command

PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "LOG2_N", 4)


# --- users ----------------------------------------------------------------------------------------


def test_a_password_is_kept_salted_and_hashed(tmp_path: Path) -> None:
    file = UsersFile(tmp_path / "users.txt")
    assert not file.put("ann", "view", PASSWORD)
    assert not file.put("ben", "run", PASSWORD)
    text = file.path.read_text()
    assert PASSWORD not in text
    assert file.all()["ann"].hash != file.all()["ben"].hash
    assert file.path.stat().st_mode & 0o077 == 0
    assert matches(PASSWORD, file.all()["ann"].hash)
    assert not matches(PASSWORD + " ", file.all()["ann"].hash)


def test_the_cost_of_a_hash_is_what_was_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "LOG2_N", 14)
    assert (kept := hashed(PASSWORD)).startswith("scrypt$14$8$5$")
    assert matches(PASSWORD, kept)


def test_a_user_is_changed_and_removed_and_comments_stay(tmp_path: Path) -> None:
    file = UsersFile(tmp_path / "users.txt")
    file.path.write_text("# the team\n\n")
    file.put("ann", "view", PASSWORD)
    assert file.put("ann", "admin", "another password")
    assert [user.role for user in file.all().values()] == ["admin"]
    assert matches("another password", file.all()["ann"].hash)
    file.remove("ann")
    assert file.path.read_text() == "# the team\n\n"
    with pytest.raises(NotFoundError, match=r"no user 'ann' .* there is: nobody"):
        file.remove("ann")


@pytest.mark.parametrize(
    "line", ["ann", "ann:view", "ann:boss:HASH", "ann:view:secret", "ann:view:HASH\nann:run:HASH", "a b:view:HASH"]
)
def test_a_damaged_file_is_refused_by_its_line_and_not_written_over(line: str, tmp_path: Path) -> None:
    file = UsersFile(tmp_path / "users.txt")
    file.path.write_text(before := "# users\n" + line.replace("HASH", hashed(PASSWORD)) + "\n")
    with pytest.raises(InputError, match=r"users.txt: line \d is not name:role:hash"):
        open_users(str(file.path))
    with pytest.raises(InputError, match=r"line \d"):
        file.put("ben", "run", PASSWORD)
    assert file.path.read_text() == before


def test_a_slip_while_the_hub_runs_locks_nobody_out_but_a_file_that_is_gone_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = UsersFile(tmp_path / "users.txt")
    file.put("ann", "view", PASSWORD)
    assert "ann" in file.all()
    file.path.write_text("oops\n")
    assert "ann" in file.all()
    assert "line 1 is not name:role:hash" in caplog.text
    file.path.unlink()
    assert not file.all()


def test_the_setting_is_one_user_or_a_file() -> None:
    assert open_users("") == (None, None)
    _, user = open_users("meeting:tomorrow")
    assert user is not None
    assert (user.name, user.role) == ("meeting", "admin")
    with pytest.raises(InputError, match=r"--auth must be USER:PASSWORD or a users file") as told:
        open_users("onlyapassword")
    assert "onlyapassword" not in told.value.message


def test_users_are_added_listed_and_removed_by_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*words: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        done = command(cli.main, "users", *words, "--data", str(tmp_path))
        return done.returncode, done.stdout, done.stderr

    status, out, _ = run("add", "ann", "--role", "admin", "--password-stdin", stdin=f"{PASSWORD}\n")
    assert (status, out.splitlines()[0]) == (0, f"Added ann (admin) in {tmp_path}/users.txt.")
    assert json.loads(run("list", "--json")[1]) == [{"name": "ann", "role": "admin"}]
    assert "no terminal to ask" in run("add", "ben")[2]
    assert "8 to 1024 characters, got 5" in run("add", "ben", "--password-stdin", stdin="short\n")[2]
    assert "A user's name is letters" in run("add", "b:n", "--password-stdin", stdin=f"{PASSWORD}\n")[2]
    assert run("remove", "ann")[0] == 0
    assert run("remove", "ann")[0] == 2
    assert json.loads(run("list", "--json")[1]) == []


# --- tokens ---------------------------------------------------------------------------------------


def test_a_token_is_told_once_ends_at_its_day_and_when_it_is_revoked(tmp_path: Path) -> None:
    clock = Clock()
    store, other = TokenStore(tmp_path, clock), TokenStore(tmp_path, clock)
    made, text = store.add("run", "for Ann", days=1)
    assert text.rpartition("_")[2] not in store.path.read_text()
    assert store.path.stat().st_mode & 0o077 == 0
    assert other.find(text) == made
    assert other.find(text[:-1] + ("a" if text[-1] != "a" else "b")) is None
    clock.now += 86_400
    assert other.find(text) is None
    second, text = store.add("view")  # without an end; the expired one leaves
    clock.now += 10 * 365 * 86_400
    assert [token.id for token in other.all()] == [second.id]
    assert other.find(text) == second
    store.revoke(text)
    assert other.find(text) is None
    with pytest.raises(NotFoundError, match="There is no token"):
        store.revoke(second.id)


def test_damaged_tokens_open_nothing_and_are_not_written_over(tmp_path: Path) -> None:
    store = TokenStore(tmp_path)
    _, text = store.add("admin")
    for damage in ("[", '[{"id": "x"}]', '[{"id": "x", "role": "boss"}]'):
        store.path.write_text(damage)
        assert TokenStore(tmp_path).find(text) is None
        with pytest.raises(InputError, match="is damaged"):
            store.add("view")
        assert store.path.read_text() == damage


def test_tokens_are_made_listed_and_revoked_by_command(tmp_path: Path) -> None:
    def run(*words: str) -> tuple[int, str, str]:
        done = command(cli.main, "tokens", *words, "--data", str(tmp_path))
        return done.returncode, done.stdout, done.stderr

    link = "A" * 22
    status, out, advice = run("add", "--note", "for Ann", "--days", "7", "--public-url", "https://demos.example.org")
    token = re.search(r"hub_\w{8}_\w{32}", out)
    assert status == 0
    assert token is not None
    assert f"https://demos.example.org/?token={token[0]}" in out
    assert "when it is started with --auth" in advice
    one = json.loads(run("add", "--link", f"https://x.org/r/{link}?a=b", "--json")[1])
    assert (one["role"], one["link"]) == ("view", link)
    assert one["url"].startswith(f"http://127.0.0.1:7860/r/{link}?token=hub_")
    listed = run("list", "--json")[1]
    assert [(entry["role"], entry["note"]) for entry in json.loads(listed)] == [("view", ""), ("run", "for Ann")]
    assert token[0].rpartition("_")[2] not in listed
    assert run("revoke", token[0])[1] == f"Revoked {token[0][4:12]}.\n"
    assert "has the role view, not run" in run("add", "--role", "run", "--link", link)[2]
    assert "is not the id of a link" in run("add", "--link", "nonsense")[2]
    assert "days must be above 0 and up to 3650" in run("add", "--days", "-1")[2]


# --- limits ---------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("limits.storage.memory.time", SimpleNamespace(time=made))
    monkeypatch.setattr("hub.people.limits.time", SimpleNamespace(time=made))
    return made


def spent(allowance: Allowance, caller: Caller | None, most: int = 100) -> int:
    """How many runs are allowed in a row."""
    for count in range(most):
        try:
            allowance.spend(caller)
        except LimitError:
            return count
    return most


def test_each_user_session_and_address_has_an_allowance_of_its_own(clock: Clock) -> None:
    allowance = Allowance("3/minute")
    assert spent(allowance, Caller("ann", "run", "cookie a", "192.0.2.1")) == 3
    assert spent(allowance, Caller("ann", "run", "cookie b", "192.0.2.2")) == 0
    assert spent(allowance, Caller("ben", "run", "cookie a", "192.0.2.1")) == 3
    assert spent(allowance, Caller(session="cookie a", address="192.0.2.1")) == 3
    assert spent(allowance, Caller(session="cookie b", address="192.0.2.1")) == 3
    assert spent(allowance, Caller(address="192.0.2.1")) == 3
    assert spent(allowance, None) == 100
    clock.now += 61
    assert spent(allowance, Caller("ann")) == 3


def test_new_sessions_do_not_help_one_address_without_end(clock: Clock) -> None:
    allowance = Allowance("3/minute")
    by_session = [spent(allowance, Caller(session=f"cookie {n}", address="2001:db8::1")) for n in range(10)]
    assert sum(by_session) == 15
    assert spent(allowance, Caller(session="cookie z", address="2001:db8::ffff")) == 0  # the same network
    assert spent(allowance, Caller(session="cookie z", address="2001:db8:1::1")) == 3


def test_a_run_that_one_limit_refuses_is_not_counted_by_the_other(clock: Clock) -> None:
    allowance = Allowance("2/minute", "5/day")
    ann = Caller("ann")
    assert spent(allowance, ann) == 2
    assert [clock.__setattr__("now", clock.now + 61) or spent(allowance, ann) for _ in range(3)] == [2, 1, 0]
    with pytest.raises(LimitError) as told:
        allowance.spend(ann)
    assert told.value.message == (
        "You asked for 5 runs in the last day, the most this hub allows. Try again in 24 hours."
    )
    assert told.value.retry_after_s == 86_400 - 183


def test_who_may_sign_in_on_a_space_is_names_with_roles() -> None:
    roles = from_environment({"HUB_SPACE_USERS": "ann:admin, Ben-1:run,*:view"}).space_roles()
    assert roles == {"ann": "admin", "Ben-1": "run", "*": "view"}
    with pytest.raises(InputError, match=r"HUB_SPACE_USERS must be names with roles such as"):
        from_environment({"HUB_SPACE_USERS": "ann:boss"})


@pytest.mark.parametrize("text", ["60", "0/minute", "60/fortnight", "sixty/minute", "60/minute;5/day"])
def test_a_limit_that_is_not_understood_is_told(text: str) -> None:
    with pytest.raises(InputError, match=r"HUB_RATE_LIMIT must be a number per second, minute, hour or day"):
        from_environment({"HUB_RATE_LIMIT": text})
