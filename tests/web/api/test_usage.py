"""Usage: what is counted of runs, who may see it, and that nothing of anybody is in it."""

from __future__ import annotations

import csv
import io
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from hub.archive import usage
from hub.archive.usage import Usage, seconds_of, step_of
from hub.cli.main import main
from hub.errors import HubError
from hub.hub import Hub
from hub.people.users import Caller
from tests.served import command
from tests.web.doors import app_of, png

NAME, ADDRESS, SESSION = "anna-the-user", "192.0.2.77", "cookie 0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def used(make_hub: Callable[..., Hub]) -> Hub:
    hub = make_hub(only=("shades",), manage="everyone")
    who = Caller(session=SESSION, address=ADDRESS)
    for caller in (who, who, Caller(name=NAME), None):
        hub.engine.run("shades", {"image": png(), "seed": 7}, caller=caller)
    with pytest.raises(HubError):
        hub.engine.run("shades", {}, caller=Caller(address=ADDRESS))
    return hub


def test_runs_are_counted_by_page_and_kind_of_caller_with_errors_and_what_came_from_the_cache(used: Hub) -> None:
    report = TestClient(app_of(used)).get("/api/v1/usage?days=7").json()
    total = report["total"]
    assert (total["runs"], total["errors"], total["from_cache"]) == (5, 1, 3)
    assert total["p50_s"] > 0
    assert {line["name"]: line["runs"] for line in report["by_caller"]} == {
        "browser": 2, "user": 1, "machine": 1, "program": 1,
    }  # fmt: skip
    assert [line["name"] for line in report["by_page"]] == ["shades"]
    assert len(report["by_day"]) == 7
    assert report["by_day"][-1]["runs"] == 5
    assert report["loads"]["count"] == 1
    assert "usage" in {part["name"] for part in report["disk"]["parts"]}


def test_the_csv_and_the_command_tell_the_same(used: Hub) -> None:
    answer = TestClient(app_of(used)).get("/api/v1/usage?format=csv")
    rows = [*csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig")))]
    assert sum(int(row["count"]) for row in rows if row["outcome"] != "load") == 5
    done = command(main, "usage", "--csv", "--data", str(used.settings.data_folder))
    assert [*csv.DictReader(io.StringIO(done.stdout))] == rows
    assert "shades" in command(main, "usage", "--data", str(used.settings.data_folder)).stdout


def test_nothing_of_who_asked_is_in_the_file(used: Hub) -> None:
    used.usage.rows(1)
    with sqlite3.connect(used.settings.data_folder / usage.FILE) as db:
        text = "\n".join(db.iterdump())
    assert "shades" in text
    assert not any(one in text for one in (NAME, ADDRESS, SESSION, SESSION[7:]))


def test_the_page_draws_it_and_strangers_do_not_see_it(used: Hub, make_hub: Callable[..., Hub]) -> None:
    page = TestClient(app_of(used)).get("/usage?days=7")
    assert page.status_code == 200
    assert page.text.count('class="usage-day"') == 7
    away = TestClient(app_of(make_hub(only=("shades",))))  # its client is no address of this machine
    assert away.get("/api/v1/usage").status_code == 403
    assert away.get("/usage").status_code == 403


@pytest.mark.parametrize("query", ["days=0", "days=9999", "days=x", "format=xml", "other=1"])
def test_odd_questions_are_refused(query: str, used: Hub) -> None:
    assert TestClient(app_of(used)).get(f"/api/v1/usage?{query}").status_code == 422


def test_old_days_are_dropped_and_counts_of_two_hubs_are_added(tmp_path: Any) -> None:
    day_s, now = 86_400.0, [1_700_000_000.0]
    one, other = (Usage(tmp_path / usage.FILE, lambda: now[0]) for _ in range(2))
    for counted in (one, other):
        counted.run_ended("page", "browser", "computed", 0.2)
        assert sum(row.count for row in counted.rows(1)) == (1 if counted is one else 2)
    now[0] += (usage.DAYS_MOST + 1) * day_s
    one.run_ended("page", "browser", "computed", 0.2)
    assert [row.count for row in one.rows(usage.DAYS_MOST * 2)] == [1]
    one.close()
    other.close()


def test_a_step_holds_its_times() -> None:
    for seconds in (0.001, 0.02, 0.5, 7.0, 600.0):
        assert seconds <= seconds_of(step_of(seconds)) <= seconds * usage.GROWTH
    assert step_of(0.0) == 0
    assert step_of(1e9) == usage.STEPS - 1
