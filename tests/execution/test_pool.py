"""ModelPool: the promises of the design, with real threads and fake bytes."""

from __future__ import annotations

import contextlib
import gc
import random
import subprocess
import sys
import threading
import weakref
from typing import Any

import pytest

from hub.errors import DeadlineError, HubError, InputError, OutOfMemoryError, UnavailableError
from hub.execution.construction import CONSTRUCTION
from hub.execution.pool import ModelPool
from tests.fakes import PATIENCE_S, Clock, FakeModel, fake_pool, in_threads, nothing_collected, wait_until


def use(pool: ModelPool, key: str, size: int = 40, **options: Any) -> FakeModel:
    with pool.lease(key, lambda: FakeModel(key, size), estimate_bytes=size, **options) as lease:
        return lease.model


def keys(pool: ModelPool) -> set[str]:
    return {status.key for status in pool.status()}


# --- loading --------------------------------------------------------------------------------------


def test_32_threads_asking_for_one_absent_model_cause_one_load() -> None:
    pool, loads = fake_pool(100), []
    models = in_threads([lambda: use_counted(pool, loads) for _ in range(32)])
    assert len(loads) == 1
    assert len({id(model) for model in models}) == 1


def use_counted(pool: ModelPool, loads: list[str]) -> FakeModel:
    def load() -> FakeModel:
        loads.append("a")
        return FakeModel("a", 40)

    with pool.lease("a", load) as lease:
        return lease.model


def test_only_the_request_that_caused_the_load_is_cold() -> None:
    pool = fake_pool(100)
    with pool.lease("a", FakeModel) as first, pool.lease("a", FakeModel) as second:
        assert (first.cold, second.cold) == (True, False)
        assert first.model is second.model


def test_a_hit_returns_while_another_models_load_is_blocked() -> None:
    pool, loading, finish = fake_pool(100), threading.Event(), threading.Event()
    use(pool, "a")

    def slow() -> FakeModel:
        loading.set()
        assert finish.wait(PATIENCE_S)
        return FakeModel("b", 40)

    thread = threading.Thread(target=lambda: pool.lease("b", slow).__enter__())
    thread.start()
    assert loading.wait(PATIENCE_S)
    assert use(pool, "a").name == "a"  # returns although b's load cannot
    finish.set()
    thread.join(PATIENCE_S)
    assert keys(pool) == {"a", "b"}


def test_no_two_models_are_ever_constructed_at_once_even_in_two_pools() -> None:
    pools, inside, most = [fake_pool(1000), fake_pool(1000)], [0], [0]
    guard = threading.Lock()

    def load() -> FakeModel:
        with guard:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        threading.Event().wait(0.002)  # gives others the chance to be wrong
        with guard:
            inside[0] -= 1
        return FakeModel()

    def ask(pool: ModelPool, key: str) -> None:
        with pool.lease(key, load):
            pass

    in_threads([lambda p=pool, k=f"m{number}": ask(p, k) for number in range(10) for pool in pools])
    assert most == [1]


def test_a_failed_load_reaches_all_who_wait_and_the_next_call_tries_again() -> None:
    pool, loads, release = fake_pool(100), [], threading.Event()

    def fail() -> FakeModel:
        loads.append(1)
        assert release.wait(PATIENCE_S)
        raise RuntimeError("no such file\nwith a second line")

    def ask() -> None:
        with pool.lease("a", fail):
            pass

    def let_go() -> None:
        wait_until(lambda: bool(loads))
        release.set()

    *errors, _ = in_threads([ask] * 8 + [let_go])
    assert all(type(error) is UnavailableError for error in errors)
    assert {str(error) for error in errors} == {"a could not be loaded: RuntimeError: no such file"}
    assert pool.status() == []
    assert use(pool, "a").name == "a"


def test_an_interrupted_load_does_not_leave_its_place_taken() -> None:
    pool = fake_pool(100)

    def leave() -> FakeModel:
        raise SystemExit(3)

    with pytest.raises(SystemExit), pool.lease("a", leave):
        pass
    assert use(pool, "a").name == "a"


def test_a_load_that_runs_out_of_memory_is_tried_once_more_without_the_idle_models() -> None:
    pool, tries = fake_pool(100), []
    use(pool, "idle")

    def load() -> FakeModel:
        tries.append(keys(pool))
        if len(tries) == 1:
            raise MemoryError
        return FakeModel("a", 40)

    with pool.lease("a", load):
        pass
    assert tries == [{"idle", "a"}, {"a"}]


def test_a_load_that_always_runs_out_of_memory_is_an_out_of_memory_error() -> None:
    pool = fake_pool(100)

    def load() -> FakeModel:
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")

    with pytest.raises(OutOfMemoryError, match="a does not fit into the memory that is left"), pool.lease("a", load):
        pass


# --- room -----------------------------------------------------------------------------------------


def test_the_least_recently_used_idle_model_leaves_first_while_nothing_else_is_known() -> None:
    pool = fake_pool(100)
    for key in ("a", "b", "a", "c"):
        use(pool, key)
    assert keys(pool) == {"a", "c"}


def test_what_is_used_often_outlives_many_that_are_used_once() -> None:
    pool, loads = fake_pool(100), list[str]()
    for number in range(40):
        for key in ("often", f"once {number}", f"once too {number}"):
            with pool.lease(key, lambda k=key: loads.append(k) or FakeModel(k, 40), estimate_bytes=40):
                pass
    assert loads.count("often") < 10  # least recently used first: 40


def test_a_small_model_stays_where_the_large_one_after_it_makes_room_enough() -> None:
    pool = fake_pool(100)
    use(pool, "small", 10)
    use(pool, "large", 80)
    use(pool, "next", 80)
    assert keys(pool) == {"small", "next"}


def test_a_leased_model_is_never_evicted() -> None:
    pool = fake_pool(100)
    with pool.lease("a", lambda: FakeModel("a", 40), estimate_bytes=40) as lease:
        use(pool, "b")
        use(pool, "c")
        assert lease.model.name == "a"
        assert keys(pool) == {"a", "c"}


def test_a_pinned_model_stays_and_an_unpinned_one_may_leave_again() -> None:
    pool = fake_pool(100)
    use(pool, "a")
    assert pool.pin("a")
    assert not pool.pin("absent")
    use(pool, "b")
    use(pool, "c")
    assert keys(pool) == {"a", "c"}
    pool.pin("a", False)
    use(pool, "d")
    assert keys(pool) == {"c", "d"}


def test_a_model_just_loaded_ahead_outlives_used_ones() -> None:
    clock = Clock()
    pool = fake_pool(100, clock=clock)
    pool.ensure("fresh", lambda: FakeModel("fresh", 40))
    clock.now += 1
    use(pool, "used")
    use(pool, "c")
    assert keys(pool) == {"fresh", "c"}


def test_eviction_comes_before_loading() -> None:
    pool, seen = fake_pool(100), []
    use(pool, "a", 60)

    def load() -> FakeModel:
        seen.append((pool.used_bytes(), keys(pool)))
        return FakeModel("b", 60)

    with pool.lease("b", load, estimate_bytes=60):
        pass
    assert seen == [(60, {"b"})]


@pytest.mark.parametrize("estimate", [70, 30, 0])
def test_large_models_asked_for_at_once_are_served_one_after_the_other(estimate: int) -> None:
    # Each reserved its bytes and then waited, for ever, for the others to give theirs back.
    pool, everybody = fake_pool(100), threading.Event()

    def load(key: str) -> FakeModel:
        if not everybody.is_set():
            wait_until(lambda: len(pool.status()) == 3)
            everybody.set()
        return FakeModel(key, 70)

    def ask(key: str) -> str:
        with pool.lease(key, lambda: load(key), estimate_bytes=estimate, timeout_s=PATIENCE_S) as lease:
            return lease.model.name

    assert in_threads([lambda k=k: ask(k) for k in ("a", "b", "c")]) == ["a", "b", "c"]
    assert pool.used_bytes() <= 100


def test_a_model_larger_than_the_budget_is_refused_with_the_numbers() -> None:
    pool = fake_pool(100_000_000)
    with pytest.raises(OutOfMemoryError) as caught:
        use(pool, "big", 250_000_000)
    assert str(caught.value) == "big needs 250 MB; models may take 100 MB here. Raise --pool-gb, or unpin a model."
    assert use(pool, "small", 50_000_000).name == "small"


def test_a_model_measured_larger_than_the_budget_is_refused_and_freed() -> None:
    pool, refs = fake_pool(100), []

    def load() -> FakeModel:
        model = FakeModel("a", 200)
        refs.append(weakref.ref(model))
        return model

    with pytest.raises(OutOfMemoryError), pool.lease("a", load, estimate_bytes=10):
        pass
    gc.collect()
    assert refs[0]() is None
    assert pool.used_bytes() == 0


def test_what_is_pinned_counts_against_the_room_and_is_named() -> None:
    pool = fake_pool(100_000_000)
    use(pool, "a", 60_000_000)
    pool.pin("a")
    with pytest.raises(OutOfMemoryError, match="pinned models keep 60 MB of it"):
        use(pool, "b", 60_000_000)


def test_waiting_for_room_ends_in_a_deadline_error() -> None:
    pool = fake_pool(100)
    with (
        pool.lease("a", lambda: FakeModel("a", 60), estimate_bytes=60),
        pytest.raises(DeadlineError, match="No memory came free for b in time"),
    ):
        use(pool, "b", 60, timeout_s=0.01)
    assert use(pool, "b", 60).name == "b"


def test_waiting_for_anothers_load_ends_in_a_deadline_error() -> None:
    pool, loading, finish = fake_pool(100), threading.Event(), threading.Event()

    def slow() -> FakeModel:
        loading.set()
        assert finish.wait(PATIENCE_S)
        return FakeModel("a", 40)

    thread = threading.Thread(target=lambda: pool.lease("a", slow).__enter__())
    thread.start()
    assert loading.wait(PATIENCE_S)
    with pytest.raises(DeadlineError, match="A did not load in time"):
        use(pool, "a", timeout_s=0.01)
    finish.set()
    thread.join(PATIENCE_S)


def test_a_waiter_with_more_time_is_not_failed_by_one_with_less() -> None:
    pool, outcome = fake_pool(100), []
    with pool.lease("a", lambda: FakeModel("a", 60), estimate_bytes=60):

        def impatient() -> None:
            with pytest.raises(DeadlineError):
                use(pool, "b", 60, timeout_s=0.05)

        def patient() -> None:
            outcome.append(use(pool, "b", 60, timeout_s=PATIENCE_S).name)

        first = threading.Thread(target=impatient)
        first.start()
        wait_until(lambda: "b" in keys(pool))
        second = threading.Thread(target=patient)
        second.start()
        first.join(PATIENCE_S)
    second.join(PATIENCE_S)
    assert outcome == ["b"]


def test_a_model_in_constant_use_makes_room_for_one_that_has_waited_its_patience() -> None:
    pool = fake_pool(100, patience_s=0.0)
    first = pool.lease("a", lambda: FakeModel("a", 60), estimate_bytes=60)
    first.__enter__()
    other = threading.Thread(target=use, args=(pool, "b", 60))
    other.start()
    wait_until(lambda: pool._first is not None, "b is first in line")  # the only state that says it waits
    # Another use of a would keep it from ever being idle; it waits, and then loads a again.
    again = threading.Thread(target=use, args=(pool, "a", 60))
    again.start()
    first.__exit__(None, None, None)
    other.join(PATIENCE_S)
    again.join(PATIENCE_S)
    assert not other.is_alive() and not again.is_alive()


def test_mixed_use_of_four_models_with_room_for_two_keeps_every_promise() -> None:
    pool, over = fake_pool(100, patience_s=0.01), []

    def work(number: int) -> str:
        choices = random.Random(number)
        for _ in range(12):
            key = choices.choice("abcd")
            with pool.lease(key, lambda k=key: FakeModel(k, 40), estimate_bytes=40, timeout_s=PATIENCE_S) as lease:
                if pool.used_bytes() > 100:
                    over.append(pool.used_bytes())
                assert lease.model is not None and lease.model.name == key
        return "done"

    assert in_threads([lambda n=n: work(n) for n in range(32)]) == ["done"] * 32
    assert not over
    assert len(keys(pool)) <= 2


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_random_work_never_breaks_an_invariant(seed: int) -> None:
    pool, broken = fake_pool(100, patience_s=0.005), []
    sizes = {"a": 20, "b": 35, "c": 50, "d": 70, "e": 90, "f": 30}

    def check() -> None:
        status = pool.status()
        ready = sum(s.bytes for s in status if s.state == "ready")
        if ready > 100 or pool.used_bytes() > 100:
            broken.append(status)

    def load(key: str, choices: random.Random) -> FakeModel:
        if choices.random() < 0.1:
            raise OSError("disk")
        return FakeModel(key, sizes[key])

    def work(number: int) -> str:
        choices = random.Random(seed * 100 + number)
        for _ in range(25):
            key = choices.choice("abcdef")
            act = choices.random()
            try:
                if act < 0.75:
                    estimate = choices.choice([0, sizes[key], sizes[key] // 2])
                    make = lambda k=key: load(k, choices)  # noqa: E731
                    with pool.lease(key, make, estimate_bytes=estimate, timeout_s=PATIENCE_S) as lease:
                        assert lease.model.name == key
                        check()
                        assert lease.model.name == key
                elif act < 0.85:
                    pool.ensure(key, lambda k=key: FakeModel(k, sizes[k]), estimate_bytes=sizes[key])
                elif act < 0.93:
                    pool.unload(key)
                else:
                    pool.evict_idle(key)
            except UnavailableError as error:
                assert "disk" in str(error)
            check()
        return "done"

    assert in_threads([lambda n=n: work(n) for n in range(10)]) == ["done"] * 10
    assert broken == []
    assert all(s.leases == 0 and s.state == "ready" for s in pool.status())
    pool.evict_idle()
    assert pool.used_bytes() == 0


# --- ahead of use ---------------------------------------------------------------------------------


def test_loading_ahead_never_evicts() -> None:
    pool = fake_pool(100)
    use(pool, "a", 60)
    assert not pool.ensure("b", lambda: FakeModel("b", 60), estimate_bytes=60)
    assert keys(pool) == {"a"}


def test_loading_ahead_never_evicts_when_the_estimate_was_too_small() -> None:
    pool = fake_pool(100)
    use(pool, "a", 60)
    assert not pool.ensure("b", lambda: FakeModel("b", 60), estimate_bytes=10)
    assert keys(pool) == {"a"}


def test_loading_ahead_what_is_there_already_is_true() -> None:
    pool = fake_pool(100)
    use(pool, "a")
    assert pool.ensure("a", FakeModel)


# --- leaving --------------------------------------------------------------------------------------


def test_an_idle_model_leaves_after_its_keep_alive() -> None:
    clock = Clock()
    pool = fake_pool(100, clock=clock, keep_alive_s=60)
    use(pool, "a")
    use(pool, "b")
    pool.pin("b")
    clock.now += 59
    use(pool, "c", 10)
    assert keys(pool) == {"a", "b", "c"}
    clock.now += 1
    pool.pin("b")  # any change wakes the reaper
    wait_until(lambda: keys(pool) == {"b", "c"})


def test_a_leased_model_outlives_its_keep_alive() -> None:
    clock = Clock()
    pool = fake_pool(100, clock=clock, keep_alive_s=60)
    with pool.lease("a", lambda: FakeModel("a", 10)):
        use(pool, "b", 10)
        clock.now += 100
        pool.pin("x")
        with pool._changed:
            pool._changed.notify_all()
        wait_until(lambda: keys(pool) == {"a"})


@pytest.mark.parametrize("how", ["unload", "evict", "room", "close"])
def test_unloading_really_frees_the_model(how: str) -> None:
    pool = fake_pool(100)
    ref = weakref.ref(use(pool, "a", 60))
    assert ref() is not None
    if how == "unload":
        assert pool.unload("a")
    elif how == "evict":
        assert pool.evict_idle() == 60
    elif how == "room":
        use(pool, "b", 60)
    else:
        pool.close()
    assert ref() is None  # without the garbage collector's help


def test_a_model_in_use_cannot_be_unloaded() -> None:
    pool = fake_pool(100)
    with pool.lease("a", FakeModel):
        assert not pool.unload("a")
    assert pool.unload("a")
    assert not pool.unload("a")


def test_closing_wakes_who_waits_and_drops_what_is_in_use_when_its_lease_ends() -> None:
    pool, refused = fake_pool(100), []

    def wait_for_room() -> None:
        try:
            use(pool, "b", 60)
        except HubError as error:
            refused.append(str(error))

    with pool.lease("a", lambda: FakeModel("a", 60), estimate_bytes=60) as lease:
        ref = weakref.ref(lease.model)
        thread = threading.Thread(target=wait_for_room)
        thread.start()
        wait_until(lambda: "b" in keys(pool))
        pool.close()
        thread.join(PATIENCE_S)
        assert refused == ["The hub is shutting down."]
        assert lease.model is not None
        del lease
    assert ref() is None
    assert pool.status() == []
    with pytest.raises(UnavailableError):
        use(pool, "c")


def test_an_error_in_the_callers_block_ends_the_lease() -> None:
    pool = fake_pool(100)
    with pytest.raises(InputError), pool.lease("a", FakeModel):
        raise InputError("bad")
    assert [s.leases for s in pool.status()] == [0]


def test_a_failed_load_leaves_nothing_behind_without_the_garbage_collector() -> None:
    pool, refs = fake_pool(100), []

    def fail() -> FakeModel:
        half_built = FakeModel()
        refs.append(weakref.ref(half_built))
        raise RuntimeError("broken")

    with nothing_collected():
        with contextlib.suppress(UnavailableError):
            pool.lease("a", fail).__enter__()
        assert refs[0]() is None


def test_every_change_is_reported() -> None:
    seen: list[tuple[str, float]] = []
    pool = fake_pool(100, on_change=lambda event, amount: seen.append((event, amount)))
    use(pool, "a", 60)
    use(pool, "b", 60)
    events = [event for event, _ in seen]
    assert events.count("load") == 2
    assert events.count("eviction") == 1
    assert [amount for event, amount in seen if event == "bytes"][-1] == 60


def test_status_lists_who_would_leave_next_first() -> None:
    clock = Clock()
    pool = fake_pool(100, clock=clock)
    for key in ("a", "b"):
        clock.now += 10
        use(pool, key, 30)
    with pool.lease("c", lambda: FakeModel("c", 30)):
        assert [(s.key, s.leases, s.state) for s in pool.status()] == [
            ("a", 0, "ready"),
            ("b", 0, "ready"),
            ("c", 1, "ready"),
        ]


def test_the_construction_lock_is_free_after_a_failed_load() -> None:
    with pytest.raises(UnavailableError), fake_pool(100).lease("a", lambda: 1 / 0):
        pass
    assert CONSTRUCTION.acquire(timeout=PATIENCE_S)
    CONSTRUCTION.release()


RSS = """
import psutil, torch
from hub.execution.pool import ModelPool
rss = lambda: psutil.Process().memory_info().rss / 2**20
pool = ModelPool(10**9)
def load():
    return torch.nn.ModuleList(torch.nn.Linear(1024, 1024, bias=False) for _ in range(75))
with pool.lease("small", lambda: torch.nn.Linear(4, 4)):
    pass
before = rss()
with pool.lease("a", load) as lease:
    size = pool.used_bytes() / 2**20
del lease
loaded = rss()
pool.unload("a")
print(before, loaded, rss(), size)
"""


@pytest.mark.slow
def test_unloading_gives_memory_back_to_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", RSS], capture_output=True, text=True, timeout=100, check=True)
    before, loaded, after, size = map(float, done.stdout.split())
    assert size == pytest.approx(300, abs=5)
    assert loaded - before > 250
    assert after - before < 60
