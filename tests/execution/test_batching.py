"""Batcher: what is batched, what is not, and who fails with whom."""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import pytest

from hub.errors import CancelledError, DeadlineError, HubError, InputError, OutOfMemoryError
from hub.execution.batching import Batcher, Outcome, signature
from hub.execution.leases import Lease
from hub.spec import Progress
from tests.fakes import PATIENCE_S, FakeModel, fake_lease, in_threads, nothing_collected, wait_until

LONG_S = 3600.0  # a window so long that any wait for it would be a hang


class Doubling:
    """An `infer` that doubles, notes its batches, and can be held or told to fail."""

    def __init__(self, fail: Callable[[list[Any]], None] = lambda items: None):
        self.batches: list[list[Any]] = []
        self.fail = fail
        self.hold: threading.Event | None = None
        self.started = threading.Event()

    def __call__(self, model: Any, items: list[Any]) -> list[Any]:
        self.batches.append(list(items))
        self.started.set()
        if self.hold is not None:
            assert self.hold.wait(PATIENCE_S)
        self.fail(items)
        return [item * 2 for item in items]


def batcher(infer: Any, *, lease: Callable[[], AbstractContextManager[Lease]] = fake_lease, **options: Any) -> Batcher:
    return Batcher("page", infer, lease, **{"max_batch": 8, "window_s": 0.0, "guard": nullcontext, **options})


def ask(
    batcher: Batcher,
    item: Any,
    timeout_s: float = PATIENCE_S,
    on_event: Callable[[str, Progress | None], None] = lambda stage, progress: None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Outcome:
    with batcher.coming() as submit:
        return submit(item, timeout_s, on_event, is_cancelled)


def ask_together(batcher: Batcher, items: list[Any]) -> list[Any]:
    """All requests are announced before the first is submitted, as when they arrive within the window."""
    ready = threading.Barrier(len(items))

    def run(item: Any) -> Outcome:
        with batcher.coming() as submit:
            ready.wait(PATIENCE_S)
            return submit(item, PATIENCE_S, lambda stage, progress: None, lambda: False)

    return in_threads([lambda i=item: run(i) for item in items])


def outputs(outcomes: list[Any]) -> list[Any]:
    return [o.output if isinstance(o, Outcome) else o for o in outcomes]


# --- who shares a pass ----------------------------------------------------------------------------


def test_a_request_that_is_alone_does_not_wait_for_the_window() -> None:
    assert ask(batcher(Doubling(), window_s=LONG_S), 21).output == 42


def test_requests_that_come_together_are_one_forward_pass() -> None:
    infer = Doubling()
    got = ask_together(batcher(infer, window_s=LONG_S), list(range(8)))
    assert outputs(got) == [2 * n for n in range(8)]
    assert [len(batch) for batch in infer.batches] == [8]
    assert {o.batch_size for o in got} == {8}


def test_no_batch_is_larger_than_max_batch() -> None:
    infer = Doubling()
    got = ask_together(batcher(infer, window_s=LONG_S, max_batch=3), list(range(8)))
    assert outputs(got) == [2 * n for n in range(8)]
    assert max(len(batch) for batch in infer.batches) == 3


def test_while_a_batch_runs_the_next_one_collects() -> None:
    infer = Doubling()
    infer.hold = threading.Event()
    one = batcher(infer)
    first = threading.Thread(target=ask, args=(one, 0))
    first.start()
    assert infer.started.wait(PATIENCE_S)
    rest = [threading.Thread(target=ask, args=(one, n)) for n in range(1, 6)]
    for thread in rest:
        thread.start()
    wait_until(lambda: len(list(one._queue)) == 5)
    infer.hold.set()
    for thread in [first, *rest]:
        thread.join(PATIENCE_S)
    assert [len(batch) for batch in infer.batches] == [1, 5]


def test_items_of_different_shapes_are_never_mixed() -> None:
    infer = Doubling()
    items = [np.zeros((2, 3)), np.zeros((3, 2)), np.zeros((2, 3)), np.zeros((2, 3), np.float32)]
    ask_together(batcher(infer, window_s=0.05), items)
    for batch in infer.batches:
        assert len({(item.shape, item.dtype) for item in batch}) == 1
    assert sum(len(batch) for batch in infer.batches) == 4


def test_a_request_that_fails_before_it_has_an_item_holds_nobody_up() -> None:
    one = batcher(Doubling(), window_s=LONG_S)
    announced, go = threading.Event(), threading.Event()

    def fail() -> None:
        with one.coming():
            announced.set()
            assert go.wait(PATIENCE_S)
            raise InputError("bad picture")

    def succeed() -> Outcome:
        assert announced.wait(PATIENCE_S)
        with one.coming() as submit:
            go.set()
            return submit(1, PATIENCE_S, lambda stage, progress: None, lambda: False)

    error, outcome = in_threads([fail, succeed])
    assert isinstance(error, InputError)
    assert outcome.output == 2


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (np.zeros(3), np.ones(3), True),
        (np.zeros(3), np.zeros(4), False),
        (np.zeros(3), np.zeros(3, np.float32), False),
        ({"a": 1, "b": np.zeros(2)}, {"b": np.ones(2), "a": 2}, True),
        ({"a": 1}, {"b": 1}, False),
        ({"a": 1, 2: 1}, {2: 3, "a": 1}, True),
        ((1, "x"), (2, "y"), True),
        ((1,), (1, 2), False),
        (1, "1", False),
    ],
)
def test_items_share_a_batch_when_structure_shape_and_dtype_are_equal(one: Any, other: Any, same: bool) -> None:
    assert (signature(one) == signature(other)) is same


# --- failure --------------------------------------------------------------------------------------


def fail_on(bad: Any) -> Callable[[list[Any]], None]:
    def fail(items: list[Any]) -> None:
        if bad in items:
            raise ValueError(f"cannot do {bad}")

    return fail


def test_a_bad_item_fails_alone_and_the_others_are_right() -> None:
    got = outputs(ask_together(batcher(Doubling(fail_on(3)), window_s=LONG_S), list(range(6))))
    error = got.pop(3)
    assert got == [0, 2, 4, 8, 10]
    assert type(error) is HubError
    assert str(error) == "page failed on this input: ValueError: cannot do 3"


def test_a_hub_error_from_infer_reaches_the_user_as_it_is() -> None:
    def fail(items: list[Any]) -> None:
        raise InputError("the prompt has no words", field="prompt")

    with pytest.raises(InputError, match=r"^the prompt has no words$") as caught:
        ask(batcher(Doubling(fail)), 1)
    assert caught.value.field == "prompt"


@pytest.mark.parametrize("answer", [[], [1, 2, 3], None, 7, np.zeros(1)])
def test_infer_that_returns_another_number_of_outputs_is_told_so(answer: Any) -> None:
    with pytest.raises(HubError, match=r"infer got 1 item\(s\) and returned .*; it must return one each"):
        ask(batcher(lambda model, items: answer), 1)


@pytest.mark.parametrize("leave", [SystemExit(1), KeyboardInterrupt(), GeneratorExit()])
def test_nothing_infer_raises_ends_the_thread_that_others_wait_for(leave: BaseException) -> None:
    def fail(items: list[Any]) -> None:
        if 0 in items:
            raise leave

    one = batcher(Doubling(fail))
    with pytest.raises(HubError, match="page failed on this input"):
        ask(one, 0)
    assert ask(one, 1).output == 2


def test_a_failed_load_reaches_all_who_wait_and_the_next_request_works() -> None:
    fails = [True]

    @contextlib.contextmanager
    def lease() -> Any:
        if fails[0]:
            raise SystemExit("load left")
        yield Lease(FakeModel(), True, 5.0)

    one = batcher(Doubling(), lease=lease, window_s=LONG_S)
    errors = ask_together(one, [1, 2, 3])
    assert all(isinstance(error, HubError) for error in errors)
    fails[0] = False
    assert ask(one, 1).output == 2


def test_a_listener_that_fails_does_not_fail_the_batch() -> None:
    def broken(stage: str, progress: Progress | None) -> None:
        raise ConnectionError("the browser is gone")

    assert ask(batcher(Doubling()), 1, on_event=broken).output == 2


# --- out of memory --------------------------------------------------------------------------------


def test_out_of_memory_evicts_halves_and_tries_once_more() -> None:
    relieved = []

    def fail(items: list[Any]) -> None:
        if len(items) > 4:
            raise MemoryError

    infer = Doubling(fail)
    one = batcher(infer, window_s=LONG_S, relieve=lambda: relieved.append(1))
    assert outputs(ask_together(one, list(range(8)))) == [2 * n for n in range(8)]
    assert [len(batch) for batch in infer.batches] == [8, 4, 4]
    assert relieved == [1]


def test_out_of_memory_for_one_item_is_tried_again_and_then_a_clear_error() -> None:
    def fail(items: list[Any]) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")

    infer = Doubling(fail)
    one = batcher(infer)
    with pytest.raises(OutOfMemoryError, match="page does not fit into memory for this input"):
        ask(one, 1)
    assert len(infer.batches) == 2
    infer.fail = lambda items: None
    assert ask(one, 1).output == 2


def test_one_half_that_still_runs_out_of_memory_does_not_fail_the_other() -> None:
    def fail(items: list[Any]) -> None:
        if len(items) > 2 or 0 in items:
            raise MemoryError

    got = outputs(ask_together(batcher(Doubling(fail), window_s=LONG_S), [0, 1, 2, 3]))
    failed = [isinstance(output, OutOfMemoryError) for output in got]
    assert failed[0]
    assert sum(failed) == 2


# --- generators -----------------------------------------------------------------------------------


def counting(model: Any, items: list[Any]) -> Any:
    for step in (1, 2):
        yield Progress(step, 2, tuple(f"preview of {item}" for item in items))
    return [item * 2 for item in items]


def test_progress_of_a_generator_reaches_the_listener_in_order() -> None:
    seen: list[Any] = []
    assert ask(batcher(counting), 5, on_event=lambda stage, progress: seen.append((stage, progress))).output == 10
    assert seen == [
        ("running", None),
        ("running", Progress(1, 2, ("preview of 5",))),
        ("running", Progress(2, 2, ("preview of 5",))),
    ]


def test_nobody_sees_a_preview_of_somebody_elses_item() -> None:
    seen: dict[int, set[Any]] = {0: set(), 1: set(), 2: set()}
    one, ready = batcher(counting, window_s=LONG_S), threading.Barrier(3)

    def run(item: int) -> Outcome:
        def listen(stage: str, progress: Progress | None) -> None:
            seen[item].add(progress and progress.preview)

        with one.coming() as submit:
            ready.wait(PATIENCE_S)
            return submit(item, PATIENCE_S, listen, lambda: False)

    assert {o.batch_size for o in in_threads([lambda n=n: run(n) for n in range(3)])} == {3}
    assert seen == {n: {None, (f"preview of {n}",)} for n in range(3)}


def test_a_cancelled_generator_stops_at_its_next_step() -> None:
    started, go, steps, cancel, closed = threading.Event(), threading.Event(), [], threading.Event(), threading.Event()

    def infer(model: Any, items: list[Any]) -> Any:
        try:
            for step in range(1000):
                steps.append(step)
                yield Progress(step, 1000)
                started.set()
                assert go.wait(PATIENCE_S)
            return items
        finally:
            closed.set()

    one, errors = batcher(infer), []

    def run() -> None:
        try:
            ask(one, 1, is_cancelled=cancel.is_set)
        except HubError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(PATIENCE_S)
    cancel.set()
    thread.join(PATIENCE_S)
    go.set()
    assert closed.wait(PATIENCE_S)
    assert isinstance(errors[0], CancelledError)
    assert len(steps) == 2


def test_a_batch_goes_on_while_anybody_still_waits_for_it() -> None:
    started, go, cancel = threading.Event(), threading.Event(), threading.Event()

    def infer(model: Any, items: list[Any]) -> Any:
        for step in range(3):
            yield Progress(step + 1, 3)
            started.set()
            assert go.wait(PATIENCE_S)
        return [item * 2 for item in items]

    one, ready = batcher(infer, window_s=LONG_S), threading.Barrier(2)

    def run(item: int, is_cancelled: Callable[[], bool]) -> Any:
        with one.coming() as submit:
            ready.wait(PATIENCE_S)
            try:
                return submit(item, PATIENCE_S, lambda stage, progress: None, is_cancelled)
            finally:
                if item == 1:
                    go.set()

    def cancel_when_started() -> None:
        assert started.wait(PATIENCE_S)
        cancel.set()

    left, stayed, _ = in_threads([lambda: run(1, cancel.is_set), lambda: run(2, lambda: False), cancel_when_started])
    assert isinstance(left, CancelledError)
    assert stayed.output == 4


def test_a_generator_that_yields_something_else_is_told_so() -> None:
    def infer(model: Any, items: list[Any]) -> Any:
        yield 0.5
        return items

    with pytest.raises(HubError, match=r"infer must yield Progress\(step, total\), got a float"):
        ask(batcher(infer), 1)


def test_a_bad_item_in_a_generator_fails_alone() -> None:
    def infer(model: Any, items: list[Any]) -> Any:
        yield Progress(1, 1)
        if 1 in items:
            raise ValueError("bad")
        return [item * 2 for item in items]

    got = outputs(ask_together(batcher(infer, window_s=LONG_S), [0, 1, 2]))
    assert isinstance(got.pop(1), HubError)
    assert got == [0, 4]


# --- time and leaving -----------------------------------------------------------------------------


def test_the_deadline_holds_while_queued_and_what_was_given_up_is_never_run() -> None:
    infer = Doubling()
    infer.hold = threading.Event()
    one = batcher(infer)
    first = threading.Thread(target=ask, args=(one, 1))
    first.start()
    assert infer.started.wait(PATIENCE_S)
    with pytest.raises(DeadlineError, match="page did not answer in time"):
        ask(one, 2, timeout_s=0.01)
    infer.hold.set()
    first.join(PATIENCE_S)
    assert ask(one, 3).output == 6
    assert infer.batches == [[1], [3]]


def test_the_deadline_holds_while_running() -> None:
    infer = Doubling()
    infer.hold = threading.Event()
    one = batcher(infer)
    with pytest.raises(DeadlineError):
        ask(one, 1, timeout_s=0.01)
    infer.hold.set()
    assert ask(one, 2).output == 4


def test_a_deadline_that_has_passed_already_is_a_deadline_error() -> None:
    hold = Doubling()
    hold.hold = threading.Event()
    with pytest.raises(DeadlineError):
        ask(batcher(hold), 1, timeout_s=-3.0)
    hold.hold.set()


def test_who_left_while_the_model_loaded_is_not_run() -> None:
    loading, loaded, cancel = threading.Event(), threading.Event(), threading.Event()

    @contextlib.contextmanager
    def lease() -> Any:
        loading.set()
        assert loaded.wait(PATIENCE_S)
        yield Lease(FakeModel(), True, 1.0)

    infer = Doubling()
    one = batcher(infer, lease=lease)

    def leave() -> None:
        with contextlib.suppress(CancelledError):
            ask(one, 1, is_cancelled=cancel.is_set)

    thread = threading.Thread(target=leave)
    thread.start()
    assert loading.wait(PATIENCE_S)
    cancel.set()
    thread.join(PATIENCE_S)
    loaded.set()
    assert ask(one, 2).output == 4
    assert infer.batches == [[2]]


def test_all_models_run_in_the_thread_that_was_at_work_last() -> None:
    """Each thread that runs forward passes has a team of OpenMP's, and the teams slow each other down."""
    threads: list[int] = []

    def infer(model: Any, items: list[int]) -> list[int]:
        threads.append(threading.get_ident())
        return [2 * item for item in items]

    one, other = batcher(infer), batcher(infer)
    for number, model in enumerate((one, other, one, other)):
        assert ask(model, number).output == 2 * number
        wait_until(lambda model=model: not model._at_work)
        time.sleep(0.01)  # until the thread has said that it is idle
    assert len(set(threads)) == 1


# --- what is told, what is kept -------------------------------------------------------------------


def test_loading_is_told_only_when_the_model_is_not_there() -> None:
    for loaded, stages in ((False, ["loading", "running"]), (True, ["running"])):
        seen: list[str] = []
        one = batcher(Doubling(), is_loaded=lambda loaded=loaded: loaded)
        ask(one, 1, on_event=lambda stage, progress, seen=seen: seen.append(stage))
        assert seen == stages


def test_every_forward_pass_runs_inside_the_guard() -> None:
    inside: list[bool] = []
    state = [False]

    @contextlib.contextmanager
    def guard() -> Any:
        state[0] = True
        yield
        state[0] = False

    def infer(model: Any, items: list[Any]) -> Any:
        inside.append(state[0])
        yield Progress(1, 1)
        inside.append(state[0])
        return items

    ask(batcher(infer, guard=guard), 1)
    assert inside == [True, True]


def test_batch_sizes_are_counted() -> None:
    sizes: list[int] = []
    ask_together(batcher(Doubling(), window_s=LONG_S, on_batch=sizes.append), [1, 2, 3])
    assert sizes == [3]


class Item:
    """An item that weak references can watch."""

    def __mul__(self, by: int) -> int:
        return by


@pytest.mark.parametrize("error", [None, ValueError("no"), InputError("no"), MemoryError()])
def test_neither_a_result_nor_an_error_keeps_the_item_or_the_model_alive(error: Exception | None) -> None:
    models: list[Any] = []

    @contextlib.contextmanager
    def lease() -> Any:
        model = FakeModel()
        models.append(weakref.ref(model))
        yield Lease(model, True, 0.0)

    def fail(items: list[Any]) -> None:
        if error is not None:
            raise error

    one, item = batcher(Doubling(fail), lease=lease), Item()
    one._infer.batches = type("Forgetful", (), {"append": lambda self, batch: None})()  # type: ignore[attr-defined]
    ref = weakref.ref(item)
    with nothing_collected():
        with contextlib.suppress(HubError):
            ask(one, item)
        if error is not None:
            error.__traceback__ = None  # the test's own reference to it
        del item
        wait_until(lambda: ref() is None and models[0]() is None, "item and model are gone")
