"""Engine.run: the one path to a prediction, with fake demos and real threads."""

from __future__ import annotations

import contextlib
import random
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hub.engine.jobs import Cancel
from hub.errors import (
    BusyError,
    CancelledError,
    DeadlineError,
    DeclarationError,
    HubError,
    InputError,
    NotFoundError,
    OutOfMemoryError,
    UnavailableError,
)
from hub.hub import Hub
from hub.images import encode
from hub.pages.registry import Page, Registry
from hub.people.users import Caller
from hub.results.result import Result
from hub.settings import Settings
from hub.spec import Progress
from tests.fakes import (
    PATIENCE_S,
    Calls,
    FakeModel,
    counting_demo,
    in_threads,
    nothing_collected,
    picture,
    shade_demo,
    steps_demo,
    wait_until,
    write_weights,
)

Make = Callable[..., Hub]


def metric(hub: Hub, name: str, **labels: str) -> float:
    return hub.metrics.registry.get_sample_value(name, labels) or 0.0


def run_in_thread(hub: Hub, *arguments: Any, **named: Any) -> tuple[threading.Thread, list[Any]]:
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(hub.engine.run(*arguments, **named))
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome


# --- computed, hit, shared ------------------------------------------------------------------------


def test_a_run_is_computed_once_and_then_a_hit(make_hub: Make) -> None:
    calls = Calls()
    hub = make_hub(doubler=counting_demo(calls))
    first = hub.engine.run("doubler", {"number": 21, "seed": 1})
    second = hub.engine.run("doubler", {"seed": 1, "number": "21"})
    assert first.values == {"answer": {"doubled": 42.0, "seed": 2.0, "shown": 0.5}}
    assert (second.id, second.values) == (first.id, first.values)
    assert (first.receipt.cached, second.receipt.cached) == (False, True)
    assert calls.infers == 1
    assert metric(hub, "hub_requests_total", demo="doubler", outcome="computed") == 1
    assert metric(hub, "hub_requests_total", demo="doubler", outcome="hit") == 1


def test_32_equal_requests_at_once_compute_once(make_hub: Make) -> None:
    calls = Calls()
    hub = make_hub(doubler=counting_demo(calls))
    results = in_threads([lambda: hub.engine.run("doubler", {"number": 5, "seed": 1}) for _ in range(32)])
    assert {r.values["answer"]["doubled"] for r in results} == {10.0}
    assert len({r.id for r in results}) == 1
    assert (calls.infers, calls.prepares, calls.presents) == (1, 1, 1)
    assert sum(not r.receipt.cached for r in results) == 1


def test_a_shared_run_fails_for_all_alike_and_the_next_one_works(make_hub: Make) -> None:
    calls, fail = Calls(hold=threading.Event()), [True]

    def present(output: Any, number: int, shown: float, seed: int) -> dict[str, Any]:
        if fail[0]:
            raise TimeoutError("a foreign one")  # the built-in one, which a wait for a future raises too
        return {"answer": 1}

    hub = make_hub(doubler=counting_demo(calls, present=present))
    threads = [run_in_thread(hub, "doubler", {"number": 1, "seed": 1})]
    assert calls.started.wait(PATIENCE_S)
    threads += [run_in_thread(hub, "doubler", {"number": 1, "seed": 1}) for _ in range(7)]
    assert calls.hold is not None
    calls.hold.set()
    for thread, _ in threads:
        thread.join(PATIENCE_S)
    told = {str(outcome[0]) for _, outcome in threads}
    assert told == {"doubler failed: TimeoutError: a foreign one. The hub's log has the details."}
    assert len({id(outcome[0]) for _, outcome in threads}) == 8  # each its own: tracebacks are not shared
    fail[0] = False
    assert hub.engine.run("doubler", {"number": 1, "seed": 1}).values == {"answer": 1}


@pytest.mark.parametrize("reason", [CancelledError("left"), DeadlineError("too late")])
def test_who_shares_a_run_is_not_failed_by_the_other_ones_cancel_or_deadline(make_hub: Make, reason: HubError) -> None:
    calls, reasons = Calls(hold=threading.Event()), [reason]

    def present(output: Any, number: int, shown: float, seed: int) -> dict[str, Any]:
        if reasons:
            raise reasons.pop()
        return {"answer": float(output[0])}

    hub = make_hub(doubler=counting_demo(calls, present=present))
    leader, led = run_in_thread(hub, "doubler", {"number": 3, "seed": 1})
    assert calls.started.wait(PATIENCE_S)
    shares = threading.Event()
    follower, shared = run_in_thread(
        hub, "doubler", {"number": 3, "seed": 1}, on_event=lambda stage, progress: shares.set()
    )
    assert shares.wait(PATIENCE_S)
    assert calls.hold is not None
    calls.hold.set()
    leader.join(PATIENCE_S)
    follower.join(PATIENCE_S)
    assert type(led[0]) is type(reason)
    assert isinstance(shared[0], Result)
    assert shared[0].values == {"answer": 6.0}


def test_a_parameter_only_present_uses_does_not_run_the_model_again(make_hub: Make) -> None:
    calls = Calls()
    hub = make_hub(doubler=counting_demo(calls))
    one = hub.engine.run("doubler", {"number": 4, "seed": 1, "shown": 0.1})
    other = hub.engine.run("doubler", {"number": 4, "seed": 1, "shown": 0.9})
    assert (one.values["answer"]["shown"], other.values["answer"]["shown"]) == (0.1, 0.9)
    assert one.id != other.id
    assert calls.infers == 1
    assert not other.receipt.cached
    assert other.receipt.batch_size == 0  # no pass was run for it
    assert metric(hub, "hub_cache_hits_total", demo="doubler", kind="output") == 1
    assert metric(hub, "hub_stage_seconds_count", demo="doubler", stage="infer") == 1  # no zero among the times


def test_a_seed_that_is_absent_is_drawn_and_reported(make_hub: Make) -> None:
    hub = make_hub(doubler=counting_demo(Calls()))
    drawn = [hub.engine.run("doubler", {"number": 1}) for _ in range(3)]
    assert len({r.seed for r in drawn}) == 3
    again = hub.engine.run("doubler", {"number": 1, "seed": drawn[0].seed})
    assert again.id == drawn[0].id
    assert again.receipt.cached


def test_another_seed_is_another_result(make_hub: Make) -> None:
    hub = make_hub(doubler=counting_demo(Calls()))
    one, other = (hub.engine.run("doubler", {"number": 1, "seed": seed}) for seed in (1, 2))
    assert one.id != other.id
    assert one.values != other.values


def test_concurrent_requests_share_a_forward_pass_and_match_single_ones(make_hub: Make) -> None:
    calls = Calls()
    hub = make_hub(doubler=counting_demo(calls), settings={"batch_window_ms": 30_000.0, "max_batch": 8})
    results = in_threads([lambda n=n: hub.engine.run("doubler", {"number": n, "seed": 1}) for n in range(24)])
    assert [r.values["answer"]["doubled"] for r in results] == [2.0 * n for n in range(24)]
    assert sum(calls.batches) == 24
    assert calls.infers < 24
    assert {r.receipt.batch_size for r in results} == set(calls.batches)


# --- errors ---------------------------------------------------------------------------------------


def test_an_unknown_page_is_not_found_with_a_suggestion(make_hub: Make) -> None:
    hub = make_hub(doubler=counting_demo(Calls()))
    with pytest.raises(NotFoundError, match=r"No demo 'doublr'\. Did you mean 'doubler'\?"):
        hub.engine.run("doublr", {})
    assert metric(hub, "hub_errors_total", demo="unknown", code="not_found") == 1


def test_a_broken_page_says_what_is_broken(tmp_path: Path) -> None:
    registry = Registry({"broken": Page("broken", "x.py", tmp_path, error="x.py cannot be imported")})
    hub = Hub(Settings(device="cpu", data=str(tmp_path)), registry)
    with pytest.raises(DeclarationError, match=r"x\.py cannot be imported"):
        hub.engine.run("broken", {})


def test_a_bad_input_names_its_field_and_the_next_request_works(make_hub: Make) -> None:
    hub = make_hub(doubler=counting_demo(Calls()))
    with pytest.raises(InputError) as caught:
        hub.engine.run("doubler", {"number": -1})
    assert caught.value.field == "number"
    assert metric(hub, "hub_errors_total", demo="doubler", code="invalid_input") == 1
    assert hub.engine.run("doubler", {"number": 1}).values


@pytest.mark.parametrize("stage", ["prepare", "infer", "present"])
@pytest.mark.parametrize("error", [KeyError("label"), RuntimeError("first line\n  File 'x.py', line 3\nmore")])
def test_whatever_a_demo_raises_is_a_hub_error_without_a_traceback(
    make_hub: Make, stage: str, error: Exception
) -> None:
    def fail(*given: Any, **named: Any) -> Any:
        raise error

    calls = Calls()
    hub = make_hub(doubler=counting_demo(calls, **{stage: fail}))
    with pytest.raises(HubError) as caught:
        hub.engine.run("doubler", {"number": 1})
    assert type(caught.value) is HubError
    assert str(caught.value).startswith("doubler failed")
    assert "\n" not in str(caught.value)
    assert "File" not in str(caught.value)
    assert metric(hub, "hub_errors_total", demo="doubler", code="internal_error") == 1
    assert hub.engine.in_work == 0


def test_a_model_that_fails_to_load_is_unavailable_and_tried_again(make_hub: Make) -> None:
    fail = [True]

    def load(folder: Path | None, device: Any) -> FakeModel:
        if fail[0]:
            raise OSError("cannot read model.safetensors")
        return FakeModel()

    hub = make_hub(doubler=counting_demo(Calls(), load=load))
    with pytest.raises(UnavailableError, match=r"doubler could not be loaded: OSError: cannot read"):
        hub.engine.run("doubler", {"number": 1})
    fail[0] = False
    assert hub.engine.run("doubler", {"number": 1}).values


def test_a_model_larger_than_the_budget_is_an_out_of_memory_error(make_hub: Make) -> None:
    import torch

    demo = counting_demo(Calls(), load=lambda folder, device: torch.nn.Linear(1000, 1000))
    hub = make_hub(doubler=demo, settings={"pool_gb": 0.001})
    with pytest.raises(OutOfMemoryError, match="doubler needs 4 MB; models may take 1 MB here"):
        hub.engine.run("doubler", {"number": 1})


def test_one_request_over_the_limit_is_busy_and_equal_ones_are_not_counted(make_hub: Make) -> None:
    calls = Calls(hold=threading.Event())
    hub = make_hub(doubler=counting_demo(calls), settings={"queue_limit": 2})
    threads = [run_in_thread(hub, "doubler", {"number": n, "seed": 1}) for n in (1, 2)]
    wait_until(lambda: hub.engine.in_work == 2)
    threads.append(run_in_thread(hub, "doubler", {"number": 1, "seed": 1}))
    with pytest.raises(BusyError, match="2 requests are in work, the most this hub takes") as caught:
        hub.engine.run("doubler", {"number": 3, "seed": 1})
    assert caught.value.retry_after_s >= 1
    assert calls.hold is not None
    calls.hold.set()
    for thread, outcome in threads:
        thread.join(PATIENCE_S)
        assert isinstance(outcome[0], Result)
    assert hub.engine.run("doubler", {"number": 3, "seed": 1}).values
    assert hub.engine.in_work == 0


def test_one_visitor_with_200_requests_leaves_places_and_turns_to_others(make_hub: Make) -> None:
    go, computed = threading.Event(), list[float]()

    def infer(model: Any, items: list[np.ndarray]) -> list[np.ndarray]:
        computed.extend(float(item[0]) for item in items)
        assert go.wait(PATIENCE_S)
        return items

    calls = Calls()
    hub = make_hub(doubler=counting_demo(calls, infer=infer))
    ann, ben = Caller(session="ann", address="203.0.113.7"), Caller(session="ben", address="203.0.113.8")
    threads = [run_in_thread(hub, "doubler", {"number": number, "seed": 1}, caller=ann) for number in range(200)]
    wait_until(lambda: hub.engine.in_work + sum(map(len, (outcome for _, outcome in threads))) == 200)
    last = run_in_thread(hub, "doubler", {"number": 1000, "seed": 1}, caller=ben)
    [batcher] = hub.executor._batchers.values()
    wait_until(lambda: len(computed) + len(list(batcher._queue)) == 44, "all but the first wait for their turn")
    go.set()
    for thread, _ in (*threads, last):
        thread.join(PATIENCE_S)

    refused = [str(outcome[0]) for _, outcome in threads if isinstance(outcome[0], BusyError)]
    assert isinstance(last[1][0], Result)
    assert computed.index(1000) < 12  # the second dozen of the 200 begins there
    assert len(computed) == 44
    assert refused == 157 * [
        "43 of your requests are in work, your share of the 64 that this hub takes. Send the next one when one of "
        "them has ended."
    ]


def test_who_waits_for_runs_of_others_has_no_more_than_a_share_either(make_hub: Make) -> None:
    calls = Calls(hold=threading.Event())
    hub = make_hub(doubler=counting_demo(calls), settings={"queue_limit": 4})
    ann = Caller(session="ann", address="203.0.113.7")
    threads = [run_in_thread(hub, "doubler", {"number": 1, "seed": 1}, caller=ann) for _ in range(20)]
    wait_until(lambda: sum(not outcome for _, outcome in threads) == 3)
    calls.hold.set()
    for thread, _ in threads:
        thread.join(PATIENCE_S)
    assert sum(isinstance(outcome[0], BusyError) for _, outcome in threads) == 17
    assert hub.engine.run("doubler", {"number": 2, "seed": 1}, caller=ann).values  # places came back


def test_in_a_crowd_who_would_be_answered_too_late_is_told_at_once(make_hub: Make) -> None:
    def infer(model: Any, items: list[np.ndarray]) -> list[np.ndarray]:
        time.sleep(0.1 * len(items))
        return items

    calls = Calls()
    demo = counting_demo(calls, infer=infer, max_batch=1)
    hub = make_hub(doubler=demo, settings={"deadline_s": 3.0})
    hub.models.machine()  # else that may take the time
    first = [run_in_thread(hub, "doubler", {"number": n, "seed": 1}) for n in range(20)]
    wait_until(lambda: sum(bool(outcome) for _, outcome in first) >= 10)
    crowd = [run_in_thread(hub, "doubler", {"number": 100 + n, "seed": 1}) for n in range(40)]
    for thread, _ in first + crowd:
        thread.join(PATIENCE_S)
    told = [outcome[0] for _, outcome in first + crowd]
    late = [one for one in told if isinstance(one, BusyError) and "would not be answered in" in str(one)]
    assert late and all(isinstance(one, Result) for one in told if one not in late)
    assert hub.engine.run("doubler", {"number": 999, "seed": 1}).values  # nobody is left of the crowd


def test_a_run_that_takes_too_long_is_a_deadline_error(make_hub: Make) -> None:
    calls = Calls()
    hub = make_hub(doubler=counting_demo(calls))
    hub.engine.run("doubler", {"number": 2, "seed": 1})  # else the load may take the time
    calls.hold = threading.Event()
    with pytest.raises(DeadlineError, match="doubler did not answer in"):
        hub.engine.run("doubler", {"number": 1, "seed": 1}, deadline_s=0.05)
    assert calls.hold is not None
    calls.hold.set()
    assert hub.engine.in_work == 0


def test_a_cancelled_run_stops_at_its_next_step(make_hub: Make) -> None:
    calls, cancel = Calls(hold=threading.Event()), Cancel()
    hub = make_hub(steps=steps_demo(calls, steps=1000))
    thread, outcome = run_in_thread(hub, "steps", {"prompt": "a cat", "seed": 1}, cancel=cancel)
    assert calls.started.wait(PATIENCE_S)
    cancel.set()
    thread.join(PATIENCE_S)
    assert isinstance(outcome[0], CancelledError)
    assert calls.hold is not None
    calls.hold.set()
    assert hub.engine.run("steps", {"prompt": "a dog", "seed": 1}).values == {"text": "a dog 1"}


# --- events, receipts -----------------------------------------------------------------------------


def test_the_stages_of_a_run_are_told_in_order(make_hub: Make) -> None:
    hub = make_hub(steps=steps_demo(Calls(), steps=2))
    seen: list[Any] = []
    hub.engine.run("steps", {"prompt": "a", "seed": 1}, on_event=lambda stage, progress: seen.append((stage, progress)))
    assert seen == [
        ("queued", None),
        ("loading", None),
        ("running", None),
        ("running", Progress(1, 2, ("a",))),
        ("running", Progress(2, 2, ("a",))),
    ]
    seen.clear()
    hub.engine.run("steps", {"prompt": "b", "seed": 1}, on_event=lambda stage, progress: seen.append(stage))
    assert [stage for stage in seen if stage == "loading"] == []


def test_a_listener_that_fails_does_not_fail_the_run(make_hub: Make) -> None:
    def broken(stage: str, progress: Progress | None) -> None:
        raise ConnectionError("the browser is gone")

    hub = make_hub(steps=steps_demo(Calls()))
    assert hub.engine.run("steps", {"prompt": "a", "seed": 1}, on_event=broken).values


def test_a_receipt_is_complete_and_true(make_hub: Make, tmp_path: Path) -> None:
    weights = write_weights(tmp_path / "weights", "doubler_small")
    hub = make_hub(doubler=counting_demo(Calls(), weights=(weights,)))
    cold = hub.engine.run("doubler", {"number": 1, "seed": 1}).receipt
    warm = hub.engine.run("doubler", {"number": 2, "seed": 1}).receipt
    hit = hub.engine.run("doubler", {"number": 2, "seed": 1}).receipt
    assert [(r.cold, r.cached, r.batch_size) for r in (cold, warm, hit)] == [
        (True, False, 1),
        (False, False, 1),
        (False, True, 1),
    ]
    for receipt in (cold, warm):
        stages = receipt.queue_ms + receipt.load_ms + receipt.prepare_ms + receipt.infer_ms + receipt.present_ms
        assert 0 < stages <= receipt.total_ms + 0.1
        assert (receipt.device, receipt.dtype) == ("cpu", "float32")
        assert receipt.weights == "doubler_small"
        assert receipt.digest == hub.weights.find("doubler_small").digest
    assert (hit.infer_ms, hit.created_at) == (warm.infer_ms, warm.created_at)
    for stage in ("queue", "load", "prepare", "infer", "present", "total"):
        assert metric(hub, "hub_stage_seconds_count", demo="doubler", stage=stage) >= 2
    assert metric(hub, "hub_model_loads_total") == 1
    assert metric(hub, "hub_batch_size_count", demo="doubler") == 2
    assert b"hub_requests_total" in hub.metrics.render()


# --- weights --------------------------------------------------------------------------------------


def test_weights_are_a_choice_and_each_gets_its_own_config(make_hub: Make, tmp_path: Path) -> None:
    two = tuple(write_weights(tmp_path / "weights", name, {"by": by}) for name, by in (("small", 1), ("large", 9)))

    def present(output: Any, number: int, shown: float, seed: int, config: Any) -> dict[str, Any]:
        return {"answer": config["by"]}

    hub = make_hub(doubler=counting_demo(Calls(), weights=two, present=present))
    default, small, large = (
        hub.engine.run("doubler", {"number": 1, "seed": 1, **chosen})
        for chosen in ({}, {"weights": "small"}, {"weights": "large"})
    )
    assert [r.values["answer"] for r in (default, small, large)] == [1, 1, 9]
    assert default.id == small.id != large.id
    assert large.receipt.weights == "large"
    assert len(hub.pool.status()) == 2


def test_new_bytes_under_the_same_name_are_new_results_and_the_old_model_leaves(make_hub: Make, tmp_path: Path) -> None:
    calls = Calls()
    weights = write_weights(tmp_path / "weights", "model", content=b"0")
    hub = make_hub(doubler=counting_demo(calls, weights=(weights,)))
    ids = {hub.engine.run("doubler", {"number": 1, "seed": 1}).id}
    for number in range(1, 6):
        write_weights(tmp_path / "weights", "model", content=b"0" * (number + 1))
        ids.add(hub.engine.run("doubler", {"number": 1, "seed": 1}).id)
    assert len(ids) == calls.loads == 6
    assert len(hub.executor._batchers) == 1
    assert len(hub.pool.status()) == 1


def test_missing_weights_say_what_to_do(make_hub: Make, tmp_path: Path) -> None:
    weights = write_weights(tmp_path / "elsewhere", "model")
    hub = make_hub(doubler=counting_demo(Calls(), weights=(weights,)))
    with pytest.raises(UnavailableError, match=r"There are no weights 'model': .* does not exist\."):
        hub.engine.run("doubler", {"number": 1})
    write_weights(tmp_path / "weights", "model")
    assert hub.engine.run("doubler", {"number": 1}).values


def test_weights_that_are_only_a_pickle_are_refused(make_hub: Make, tmp_path: Path) -> None:
    weights = write_weights(tmp_path / "weights", "model")
    folder = tmp_path / "weights" / "model"
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    hub = make_hub(doubler=counting_demo(Calls(), weights=(weights,)))
    with pytest.raises(UnavailableError, match=r"hold pytorch_model\.bin but no \.safetensors file"):
        hub.engine.run("doubler", {"number": 1})


def test_the_config_of_weights_cannot_be_changed_by_a_demo(make_hub: Make, tmp_path: Path) -> None:
    weights = write_weights(tmp_path / "weights", "model", {"mean": [1, 2], "deep": {"a": 1}})

    def prepare(number: int, shown: float, seed: int, config: Any) -> Any:
        for change in (lambda: config.update(a=1), lambda: config["mean"].append(3), lambda: config["deep"].clear()):
            with pytest.raises(AttributeError):
                change()
        return np.array([config["mean"][0], 0.0])

    hub = make_hub(doubler=counting_demo(Calls(), weights=(weights,), prepare=prepare))
    assert hub.engine.run("doubler", {"number": 1}).values["answer"]["doubled"] == 2.0


# --- models ahead of use, several hubs ---------------------------------------------------------


def test_a_preloaded_model_makes_the_first_run_warm(make_hub: Make) -> None:
    calls = Calls()
    hub = make_hub(doubler=counting_demo(calls))
    assert not hub.models.is_loaded("doubler")
    assert hub.models.preload("doubler")
    assert hub.models.is_loaded("doubler")
    assert not hub.engine.run("doubler", {"number": 1}).receipt.cold
    assert calls.loads == 1


def test_two_hubs_live_in_one_process(make_hub: Make, tmp_path: Path) -> None:
    demos = [counting_demo(Calls()), counting_demo(Calls())]
    hubs = [make_hub(doubler=demo, settings={"data": str(tmp_path / str(n))}) for n, demo in enumerate(demos)]
    results = in_threads(
        [lambda e=e: e.engine.run("doubler", {"number": 1, "seed": 1}) for e in hubs for _ in range(4)]
    )
    assert {r.values["answer"]["doubled"] for r in results} == {2.0}
    assert len({r.id for r in results}) == 2  # each has its own secret


def test_two_hubs_share_a_data_folder_without_harm(make_hub: Make) -> None:
    calls = Calls()
    hubs = [make_hub(doubler=counting_demo(calls)) for _ in range(2)]
    one = hubs[0].engine.run("doubler", {"number": 1, "seed": 1})
    other = hubs[1].engine.run("doubler", {"number": 1, "seed": 1})
    assert (one.id, one.values) == (other.id, other.values)
    assert other.receipt.cached
    assert calls.infers == 1


def test_a_closed_engine_answers_with_a_hub_error(make_hub: Make) -> None:
    hub = make_hub(doubler=counting_demo(Calls()))
    hub.engine.run("doubler", {"number": 1, "seed": 1})
    hub.close()
    with pytest.raises(UnavailableError, match="shutting down"):
        hub.engine.run("doubler", {"number": 2, "seed": 1})


# --- bounds ---------------------------------------------------------------------------------------


def test_a_model_output_kept_for_other_parameters_cannot_be_changed_by_present(make_hub: Make) -> None:
    def present(output: np.ndarray, number: int, shown: float, seed: int) -> dict[str, Any]:
        with pytest.raises(ValueError, match="read-only"):
            output[0] = 99
        return {"answer": float(output[0])}

    hub = make_hub(doubler=counting_demo(Calls(), present=present))
    for shown in (0.1, 0.2):
        assert hub.engine.run("doubler", {"number": 4, "seed": 1, "shown": shown}).values == {"answer": 8.0}


@pytest.mark.parametrize("error", [None, InputError("no"), RuntimeError("no")])
@pytest.mark.parametrize("stage", ["prepare", "infer", "present"])
def test_nothing_of_a_run_stays_when_it_is_over(make_hub: Make, stage: str, error: Exception | None) -> None:
    # Uploads are large: an error, a batcher or a listener that kept them would fill memory in minutes.
    demo = shade_demo()
    real = getattr(demo, stage)
    decoded: list[weakref.ref[Any]] = []

    def watched(*given: Any, **named: Any) -> Any:
        if "image" in named:
            decoded.append(weakref.ref(named["image"]))
        if error is not None:
            raise error
        return real(*given, **named)

    class Listener:
        def __call__(self, stage: str, progress: Any) -> None:
            pass

    hub = make_hub(shade=shade_demo(**{stage: watched}))
    listener, cancel = Listener(), Cancel()
    refs = [weakref.ref(listener), weakref.ref(cancel)]
    with nothing_collected():
        with contextlib.suppress(HubError):
            hub.engine.run("shade", {"image": encode(picture(), "png")}, on_event=listener, cancel=cancel)
        if error is not None:
            error.__traceback__ = None  # the test's own reference to it
        del listener, cancel
        wait_until(lambda: not any(ref() for ref in [*refs, *decoded]), "the run left nothing behind")


@pytest.mark.slow
def test_after_2000_mixed_requests_every_structure_is_within_its_bound(make_hub: Make, tmp_path: Path) -> None:
    calls = Calls()
    weights = tuple(write_weights(tmp_path / "weights", name) for name in ("one", "two"))
    hub = make_hub(
        doubler=counting_demo(calls, weights=weights),
        steps=steps_demo(Calls(), steps=1),
        settings={"results_memory_mb": 0.25, "results_disk_mb": 0.1, "queue_limit": 1000},
    )

    def work(seed: int) -> int:
        choices, done = random.Random(seed), 0
        for _ in range(125):
            kind = choices.random()
            with contextlib.suppress(HubError):
                if kind < 0.6:
                    number, chosen = choices.randrange(400), choices.choice(["one", "two"])
                    got = hub.engine.run("doubler", {"number": number, "seed": 1, "weights": chosen})
                    assert got.values["answer"]["doubled"] == 2.0 * number
                elif kind < 0.8:
                    hub.engine.run("steps", {"prompt": f"p{choices.randrange(200)}", "seed": 1})
                elif kind < 0.9:
                    hub.engine.run("doubler", {"number": -1})
                else:
                    hub.engine.run("nowhere", {})
            done += 1
        return done

    assert sum(in_threads([lambda n=n: work(n) for n in range(16)])) == 2000
    stats = hub.results.stats()
    assert stats["memory_bytes"] <= 0.25 * 2**20
    assert stats["disk_bytes"] <= 0.1 * 2**20
    assert hub.executor._outputs.currsize <= 0.25 * 2**20 / 4
    assert hub.engine.running._futures == {}
    assert hub.engine.in_work == 0
    assert len(hub.executor._batchers) == 3
    assert all(not list(b._queue) and b._coming == 0 for b in hub.executor._batchers.values())
    assert all(s.leases == 0 for s in hub.pool.status())
