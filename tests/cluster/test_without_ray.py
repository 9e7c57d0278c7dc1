"""The executor on Ray where Ray is not installed, and settings that do not go together: told at the start."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest

from hub.cli import serve
from hub.cluster import session
from hub.errors import InputError
from hub.settings import Settings
from tests.served import command

find_spec = importlib.util.find_spec


def without_ray(name: str, package: str | None = None) -> Any:
    return None if name.partition(".")[0] == "ray" else find_spec(name, package)


def with_ray(name: str, package: str | None = None) -> Any:
    return find_spec("json") if name.partition(".")[0] == "ray" else find_spec(name, package)


def test_a_hub_on_ray_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", without_ray)
    done = command(serve.main, "--executor", "ray", "--port", "0")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: --executor ray needs Ray")
    assert "make setup-ray" in line and "pip install 'demo-hub[ray]'" in line


@pytest.mark.parametrize(("settings", "why"), [
    ({"device": "cuda:0,cuda:1"}, "--ray-gpus"), ({"ray_replicas": "4-2"}, "the least comes first"),
])  # fmt: skip
def test_settings_that_do_not_go_together_are_refused(
    settings: dict[str, str], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", with_ray)
    with pytest.raises(InputError, match=why):
        session.check(Settings(executor="ray", **settings))


@pytest.mark.parametrize(("settings", "resources", "is_local", "expected"), [
    ({}, {"CPU": 2.0}, True, (2, 2, 1.0, 0.0, 2)),
    ({}, {"CPU": 64.0}, True, (4, 4, 1.0, 0.0, 4)),
    ({"ray_cpus": 4.0}, {"CPU": 2.0}, True, (1, 1, 4.0, 0.0, 1)),
    ({"ray_replicas": "1-8"}, {"CPU": 2.0}, True, (1, 8, 1.0, 0.0, 8)),
    ({}, {"CPU": 16.0, "GPU": 2.0}, True, (2, 2, 1.0, 1.0, 1)),
    ({"device": "cpu"}, {"CPU": 2.0, "GPU": 2.0}, True, (2, 2, 1.0, 0.0, 2)),
    ({"ray_gpus": "0.5", "ray_replicas": "6"}, {"CPU": 16.0, "GPU": 4.0}, False, (6, 6, 1.0, 0.5, 2)),
])  # fmt: skip
def test_replicas_are_as_many_as_there_is_room_for(
    settings: dict[str, Any], resources: dict[str, float], is_local: bool, expected: tuple[float, ...]
) -> None:
    plan = session.plan(Settings(executor="ray", **settings), resources, is_local=is_local)
    assert (plan.least, plan.most, plan.cpus, plan.gpus, plan.share) == expected


def test_a_share_of_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="this machine has 0"):
        session.plan(Settings(executor="ray", ray_gpus="1"), {"CPU": 2.0}, is_local=True)


def test_replicas_are_told_no_secrets_and_folders_that_mean_the_same_everywhere() -> None:
    settings = Settings(executor="ray", auth="me:secret", webhook_secret="0123456789abcdef", preload=True)
    told = session.models_settings(settings, session.Plan(2, 2, 1.0, 0.0, 2))
    assert (told.auth, told.webhook_secret, told.preload, told.device) == ("", "", False, "cpu")
    assert told.data.startswith("/") and told.demos_folder.startswith("/")


def test_a_cluster_is_shown_the_token_that_there_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        "RAY_AUTH_MODE",
        "RAY_AUTH_TOKEN",
        "RAY_AUTH_TOKEN_PATH",
        "RAY_USAGE_STATS_ENABLED",
        *session.TRANSPORT,
    ):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    session.prepare_environment(is_local=False)
    assert "RAY_AUTH_MODE" not in os.environ
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("0123", encoding="utf-8")
    session.prepare_environment(is_local=False)
    assert os.environ["RAY_AUTH_MODE"] == "token"
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # whoever says so knows
    session.prepare_environment(is_local=False)
    assert os.environ["RAY_AUTH_MODE"] == "disabled"
