"""What a hub promised is done by the next one, and batches keep out of the way of those who wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from hub.errors import HubError
from hub.hub import Hub
from hub.jobs.jobs import Given, Wish
from hub.jobs.records import StoredJob
from hub.people.limits import LimitError
from hub.people.users import Caller
from tests.fakes import PATIENCE_S, Calls, counting_demo, shade_demo, wait_until
from tests.web.doors import png


def state(hub: Hub, job: StoredJob) -> str:
    return hub.jobs.get(job.id).state


def has_ended(hub: Hub, job: StoredJob) -> bool:
    return state(hub, job) == "done"


def ask_batch(hub: Hub, pictures: list[bytes], caller: Caller | None = None, **inputs: Any) -> StoredJob:
    folder = hub.jobs.begin_batch("shade", caller, Wish())
    given = []
    for number, data in enumerate(pictures):
        folder.write(f"file-{number}", data)
        given.append(Given(f"{number}.png", f"file-{number}"))
    return hub.jobs.ask_batch(folder, "shade", inputs, given, [], caller, Wish())


def test_what_was_promised_before_the_hub_ended_is_done_by_the_next(make_hub: Callable[..., Hub]) -> None:
    first = make_hub(doubler=counting_demo(Calls()), shade=shade_demo())
    run = first.jobs.ask_run("doubler", {"number": 21}, None)
    batch = ask_batch(first, [png(colour="white"), png(colour="black")])
    first.close()
    calls = Calls()
    second = make_hub(doubler=counting_demo(calls), shade=shade_demo())
    second.jobs.start()
    wait_until(lambda: state(second, run) == state(second, batch) == "done")
    result = second.results.get(second.jobs.get(run.id).result)
    assert result is not None and result.values["answer"]["doubled"] == 42 and calls.infers == 1
    assert result.seed == run.parameters["seed"], "the seed was drawn when it was promised"


def test_a_run_in_work_waits_again_when_its_hub_ends_in_good_order(make_hub: Callable[..., Hub]) -> None:
    calls = Calls(hold=threading.Event())
    first = make_hub(doubler=counting_demo(calls))
    first.jobs.start()
    job = first.jobs.ask_run("doubler", {"number": 1}, None)
    assert calls.started.wait(PATIENCE_S)
    first.stop.begun.set()
    first.stop.over.set()
    first.jobs.close()
    assert (state(first, job), first.jobs.get(job.id).starts) == ("queued", 0)
    assert calls.hold is not None
    calls.hold.set()


def test_two_hubs_over_one_folder_do_a_job_once(make_hub: Callable[..., Hub]) -> None:
    calls = Calls()
    hubs = [make_hub(doubler=counting_demo(calls)) for _ in range(2)]
    for hub in hubs:
        hub.jobs.start()
    jobs = [hubs[number % 2].jobs.ask_run("doubler", {"number": number}, None) for number in range(6)]
    wait_until(lambda: all(state(hubs[0], job) == "done" for job in jobs))
    assert sum(calls.batches) == 6


def test_a_job_that_ends_its_hub_again_and_again_is_given_up(make_hub: Callable[..., Hub]) -> None:
    hub = make_hub(doubler=counting_demo(Calls()))
    job = hub.jobs.ask_run("doubler", {"number": 1}, None)
    for _ in range(5):
        assert hub.jobs._store.claim("run") is not None
        hub.jobs._store.requeue()  # as after a kill
    hub.jobs.start()
    wait_until(lambda: state(hub, job) == "failed")
    problem = hub.jobs.get(job.id).problem
    assert problem is not None and "ended 5 times" in problem.detail


def test_turns_go_round_by_who_asked(make_hub: Callable[..., Hub]) -> None:
    hub = make_hub(doubler=counting_demo(Calls()))
    ann, ben = Caller(name="ann"), Caller(name="ben")
    jobs = [hub.jobs.ask_run("doubler", {"number": n}, who) for n, who in enumerate([ann, ann, ann, ben])]
    places = [hub.jobs.view(job).place for job in jobs]
    assert places == [1, 3, 4, 2]


def test_a_batch_takes_one_of_the_rate_and_each_picture_of_the_quota(make_hub: Callable[..., Hub]) -> None:
    hub = make_hub({"rate_limit": "2/hour", "quota": "5/day"}, shade=shade_demo())
    ann = Caller(name="ann")
    ask_batch(hub, [png()] * 4, ann)
    with pytest.raises(LimitError):
        ask_batch(hub, [png()] * 2, ann)
    assert [path.name for path in hub.jobs.folders.root.iterdir() if path.name.startswith(".new")] == []


def test_what_jobs_hold_is_bounded_and_ended_ones_make_room(make_hub: Callable[..., Hub]) -> None:
    hub = make_hub({"jobs_disk_mb": 0.004}, shade=shade_demo())
    hub.jobs.start()
    first = ask_batch(hub, [png()])
    wait_until(lambda: state(hub, first) == "done")
    with pytest.raises(HubError):  # more than one batch may have
        ask_batch(hub, [bytes(3000)])
    for _ in range(6):
        job = ask_batch(hub, [png()])
        wait_until(partial(has_ended, hub, job))
    assert sum(path.stat().st_size for path in hub.jobs.folders.root.glob("*/*")) <= 4_194


def test_a_hub_that_keeps_no_jobs_says_so(make_hub: Callable[..., Hub]) -> None:
    hub = make_hub({"jobs_disk_mb": 0.0}, doubler=counting_demo(Calls()))
    with pytest.raises(HubError, match="keeps no jobs"):
        hub.jobs.ask_run("doubler", {"number": 1}, None)
