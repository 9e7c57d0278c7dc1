"""One machine at a time uses a data folder; several hubs of one machine may."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from hub import presence
from hub.errors import UnavailableError
from hub.presence import Presence
from tests.fakes import wait_until
from tests.served import serving


@pytest.fixture(autouse=True)
def lively(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "BEAT_S", 0.1)


def test_a_hub_of_another_machine_is_refused_in_words_while_one_is_alive(tmp_path: Path) -> None:
    here, beside = Presence(tmp_path, "one"), Presence(tmp_path, "one")
    here.begin()
    beside.begin()  # another hub of the same machine, as another container has it too
    with pytest.raises(UnavailableError, match=r"in use by a hub on another machine \(.+\).*--data") as refused:
        Presence(tmp_path, "two").begin()
    assert str(tmp_path) in str(refused.value)
    here.close()
    with pytest.raises(UnavailableError):
        Presence(tmp_path, "two").begin()  # the other one of that machine is still there
    beside.close()
    other = Presence(tmp_path, "two")
    other.begin()
    other.close()
    assert not [*tmp_path.iterdir()]


def test_one_that_gives_no_sign_of_life_is_gone_whatever_its_clock_said(tmp_path: Path) -> None:
    lost = Presence(tmp_path, "one")
    lost._beat()  # and no more: its machine lost power
    other = Presence(tmp_path, "two")
    other.begin()
    assert not lost._own.exists()
    other.close()


def test_of_two_machines_that_begin_at_once_never_both_serve(tmp_path: Path) -> None:
    begun, together = list[str](), threading.Barrier(2)

    def begin(name: str) -> None:
        one = Presence(tmp_path, name)
        together.wait()
        try:
            one.begin()
        except UnavailableError:
            return
        begun.append(name)

    threads = [threading.Thread(target=begin, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(begun) < 2


def test_another_machine_that_comes_later_all_the_same_is_told_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    here, other = Presence(tmp_path, "one"), Presence(tmp_path, "two")
    here.begin()
    for _ in range(20):  # of an older hub, say, that does not look
        other._beat()
        if "one must end" in caplog.text:
            break
        threading.Event().wait(0.1)
    here.close()
    assert "one must end" in caplog.text


def test_a_folder_that_cannot_be_written_ends_no_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    Presence(tmp_path / "file" / "data").begin()


def test_processes_of_this_machine_agree_on_which_it_is() -> None:
    assert presence.machine_id() == presence.machine_id() != ""


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.slow
def test_a_hub_that_serves_says_so_and_one_that_does_not_leaves_no_trace(
    tmp_path: Path, make_hub: Callable[..., object]
) -> None:
    make_hub({"data": str(tmp_path / "quiet")})
    assert not [*(tmp_path / "quiet").glob(f"{presence.PREFIX}*")]
    data = tmp_path / "served"
    with serving(data, "--demos", "palm_keypoints") as served:
        wait_until(lambda: answers(served.url))
        assert [*data.glob(f"{presence.PREFIX}*")]
    assert not [*data.glob(f"{presence.PREFIX}*")]
