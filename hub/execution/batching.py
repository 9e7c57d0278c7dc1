"""Batcher: requests for one model that arrive close together become one forward pass.

One thread at work for each model that has requests. A request that is alone never waits; while a batch runs,
the next one collects, of each caller in turn. An item that fails, fails alone.
"""

from __future__ import annotations

import inspect
import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import Context, copy_context
from dataclasses import dataclass, field, replace
from typing import Any

from hub import imports
from hub.errors import LEFT, CancelledError, DeadlineError, HubError, OutOfMemoryError, brief
from hub.execution.backends.points import EAGER, take_used
from hub.execution.batch_sizes import BatchSizes
from hub.execution.devices import is_out_of_memory
from hub.execution.forward import THREADS, Pieces, Turn
from hub.execution.leases import Lease
from hub.execution.turns import Turns
from hub.pages.outputs import TEXT_CHARS, clean
from hub.spec import Progress

log = logging.getLogger(__name__)

Infer = Callable[[Any, list[Any]], Any]
TEXT_EVERY_S = 0.1  # a text in work is told no more often: each time it is all that there is of it


@dataclass(frozen=True, slots=True)
class Outcome:
    """One item's output with what its batch took, in milliseconds."""

    output: Any
    queue_ms: float
    load_ms: float
    infer_ms: float
    cold: bool
    batch_size: int
    backend: str = EAGER


@dataclass(slots=True, eq=False)
class Ticket:
    """One waiting item. Written by the worker, then `done` is set; `cancelled` is written by the waiter."""

    item: Any
    on_event: Callable[[str, Progress | None], None]
    signature: Any = None
    asker: tuple[str, str] = ("", "")  # whose turn it takes, as `Work` has it
    unwanted: Callable[[], bool] = lambda: False  # whether nobody waits any more, asked before each step
    begin: float = field(default_factory=time.perf_counter)
    context: Context = field(default_factory=copy_context)  # of who asks; hub/spaces/zero.py counts GPU seconds to them
    done: threading.Event = field(default_factory=threading.Event)
    text_due: float = 0.0  # of time.monotonic(); before then no text in work is told
    cancelled: bool = False
    outcome: Outcome | None = None
    error: Exception | None = None


class Batcher:
    """Collects items for one model. `lease` holds the model, `guard` wraps every forward pass."""

    def __init__(
        self,
        name: str,
        infer: Infer,
        lease: Callable[[], AbstractContextManager[Lease]],
        *,
        max_batch: int,
        window_s: float,
        guard: Callable[[], AbstractContextManager[Any]],
        relieve: Callable[[], object] = lambda: None,
        is_loaded: Callable[[], bool] = lambda: True,
        on_batch: Callable[[int], None] = lambda size: None,
        too_late: Callable[[], DeadlineError] | None = None,
        turn: Turn = lambda due: nullcontext(),
    ):
        self.name, self.max_batch, self.window_s = name, max_batch, window_s
        self._infer, self._lease, self._guard, self._relieve = infer, lease, guard, relieve
        self._is_loaded, self._on_batch, self._explain_late, self._turn = is_loaded, on_batch, too_late, turn
        self._expected_s = 0.0  # the longest piece of the last pass; the thread at work has it
        # Guards all below. Of other locks only that of THREADS is asked for while it is held.
        self._changed = threading.Condition()
        self._queue: Turns[Ticket] = Turns()
        self._coming = 0
        self._at_work = False
        self._batch: list[Ticket] = []  # in the pass that goes on now
        self._deserted_at: float | None = None  # since when nobody waits for that pass any more
        self._sizes = BatchSizes(max_batch)

    @contextmanager
    def coming(self) -> Any:
        """Announces a request while it is prepared, so that others know to wait for it; yields `submit`."""
        announced = True
        with self._changed:
            self._coming += 1

        def arrive() -> None:
            nonlocal announced
            if announced:
                announced = False
                self._coming -= 1
                self._changed.notify_all()

        def submit(
            item: Any,
            timeout_s: float,
            on_event: Callable[[str, Progress | None], None],
            is_cancelled: Callable[[], bool],
            asker: tuple[str, str] = ("", ""),
        ) -> Outcome:
            end = time.monotonic() + timeout_s
            ticket = Ticket(item, on_event, signature(item), asker, lambda: is_cancelled() or time.monotonic() >= end)
            with self._changed:
                self._queue.add(asker, ticket)
                arrive()
                if not self._at_work:
                    self._at_work = True
                    THREADS.start(self._work)
            try:
                return self._await(ticket, end, is_cancelled)
            finally:
                ticket.error = None  # the error's traceback holds this frame: no cycle that keeps the item alive

        try:
            yield submit
        finally:
            with self._changed:
                arrive()

    def _await(self, ticket: Ticket, end: float, is_cancelled: Callable[[], bool]) -> Outcome:
        while not ticket.done.wait(min(0.25, max(0.0, end - time.monotonic()))):
            if is_cancelled():
                self._abandon(ticket)
                raise CancelledError("The run was cancelled.")
            if time.monotonic() >= end:
                self._abandon(ticket)
                raise self._too_late()
        if isinstance(ticket.error, CancelledError) and not is_cancelled() and time.monotonic() >= end:
            raise self._too_late()  # the worker saw it first
        if ticket.error:
            raise ticket.error
        assert ticket.outcome is not None
        return ticket.outcome

    def _too_late(self) -> DeadlineError:
        if self._explain_late is not None:
            return self._explain_late()
        return DeadlineError("{page} did not answer in time. Try again, or raise --deadline-s.", page=self.name)

    def _abandon(self, ticket: Ticket) -> None:
        with self._changed:
            ticket.cancelled = True
            if ticket in self._queue:
                self._queue.remove(ticket.asker, ticket)
            elif self._batch and all(other.cancelled for other in self._batch):
                self._deserted_at = time.monotonic()

    def deserted_at(self) -> float | None:
        """Since when a pass goes on that nobody waits for, by time.monotonic(); None: none does."""
        with self._changed:
            return self._deserted_at

    # --- the worker -------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._changed:
                batch = self._collect()
                if not batch:
                    self._at_work = False
                    return
            self._run(batch)
            with self._changed:
                self._batch, self._deserted_at = [], None
            del batch  # or its arrays would stay while the next one is collected

    def _collect(self) -> list[Ticket]:
        """Takes the next ticket and as many like it as are worth a pass. Waits only while a request is on its way."""
        end, most = time.monotonic() + self.window_s, self._sizes.limit()

        def waiting() -> list[Ticket]:
            queue = list(self._queue)
            return [t for t in queue if t.signature == queue[0].signature][:most]

        self._changed.wait_for(
            lambda: not self._queue or not self._coming or len(waiting()) >= most,
            max(0.0, end - time.monotonic()),
        )
        if not self._queue:
            return []
        batch = waiting()
        for ticket in batch:
            self._queue.remove(ticket.asker, ticket, had_turn=True)
        return batch

    def _run(self, batch: list[Ticket]) -> None:
        pieces = Pieces(min(ticket.begin for ticket in batch), self._expected_s, self._turn)
        try:
            if not self._is_loaded():
                _tell(batch, "loading")
            with self._lease() as lease:
                cold, load_ms = lease.cold, lease.wait_ms
                with self._changed:
                    batch[:] = [t for t in batch if not t.cancelled]  # some may have left while the model loaded
                    self._batch = list(batch)
                if not batch:
                    return
                _tell(batch, "running")
                take_used()
                results = self._attempt(lease.model, batch, pieces)
                backend = take_used()
            self._on_batch(len(batch))
            self._expected_s = pieces.longest_s
            if not any(isinstance(result, Exception) for result in results):
                with self._changed:
                    self._sizes.note(len(batch), pieces.seconds)
        # Whatever came up belongs to those who wait for it; even SystemExit must not end the thread they wait for.
        except BaseException as error:
            explained = error if isinstance(error, HubError) else self._explained(error)
            results, cold, load_ms, backend = [explained.with_traceback(None)] * len(batch), False, 0.0, EAGER
        end, infer_ms = time.perf_counter(), pieces.seconds * 1000
        for ticket, result in zip(batch, results, strict=True):
            if isinstance(result, Exception):
                ticket.error = result
            else:
                queue_ms = max(0.0, (end - ticket.begin) * 1000 - load_ms - infer_ms)
                ticket.outcome = Outcome(result, queue_ms, load_ms, infer_ms, cold, len(batch), backend)
            ticket.done.set()

    def _attempt(self, model: Any, batch: list[Ticket], pieces: Pieces) -> list[Any]:
        """The whole batch in one pass; on failure halves (out of memory) or single items (a bad one)."""
        try:
            return self._forward(model, batch, pieces)
        except BaseException as error:
            explained = self._explained(error)
            out_of_memory = is_out_of_memory(error)
        # Outside the handler, so that the failed pass's tensors are not kept alive by its traceback.
        if not out_of_memory and (len(batch) == 1 or isinstance(explained, CancelledError)):
            return [explained] * len(batch)
        if out_of_memory:
            log.warning("%s: out of memory with %d item(s); evicting and trying again", self.name, len(batch))
            self._relieve()
        size = max(1, len(batch) // 2) if out_of_memory else 1
        results: list[Any] = []
        for start in range(0, len(batch), size):
            part = batch[start : start + size]
            try:
                results += self._forward(model, part, pieces)
            except BaseException as error:
                if len(part) == 1 or is_out_of_memory(error):
                    results += [self._explained(error)] * len(part)
                else:
                    results += [self._attempt(model, [ticket], pieces)[0] for ticket in part]
        return results

    def _forward(self, model: Any, batch: list[Ticket], pieces: Pieces) -> list[Any]:
        """One pass of `infer`, driving it where it is a generator. Raises CancelledError when all have left."""
        items = [ticket.item for ticket in batch]
        with self._guard():
            outputs = batch[0].context.run(_run_pass, self._infer, model, items, batch, pieces)
        if not isinstance(outputs, Sequence) or len(outputs) != len(items):
            count = len(outputs) if isinstance(outputs, Sequence) else f"a {type(outputs).__name__}"
            raise HubError(
                "{name}: infer got {count} item(s) and returned {returned}; it must return one each.",
                name=self.name,
                count=len(items),
                returned=count,
            )
        return list(outputs)

    def _explained(self, error: BaseException) -> HubError:
        """What users read; without the traceback, whose frames would keep the model and the items alive."""
        if isinstance(error, HubError):
            return error.with_traceback(None)
        if is_out_of_memory(error):
            return OutOfMemoryError(
                "{page} does not fit into memory for this input. Make the input smaller.", page=self.name
            )
        log.error("%s failed while running", self.name, exc_info=error)
        imports.forget_halves(error)
        if not isinstance(error, Exception):
            text = "{page} failed on this input: {reason}. {why}"
            return HubError(text, page=self.name, reason=brief(error), why=LEFT)
        return HubError("{page} failed on this input: {reason}", page=self.name, reason=brief(error))


def _run_pass(infer: Infer, model: Any, items: list[Any], batch: list[Ticket], pieces: Pieces) -> Any:
    with pieces.next():
        if all(ticket.cancelled for ticket in batch):
            raise CancelledError("The run was cancelled.")
        outputs = infer(model, items)
    return _drive(outputs, batch, pieces) if inspect.isgenerator(outputs) else outputs


def _drive(steps: Any, batch: list[Ticket], pieces: Pieces) -> Any:
    """Runs a generator `infer` to its end, passing each Progress on; stops it when everybody has left."""
    while True:
        # Asked here and not left to who waits: they look four times a second, in which a quick model takes many steps.
        if all(ticket.cancelled or ticket.unwanted() for ticket in batch):
            steps.close()
            raise CancelledError("The run was cancelled.")
        try:
            with pieces.next():
                progress = next(steps)
        except StopIteration as stop:
            return stop.value
        if not isinstance(progress, Progress):
            raise HubError("infer must yield Progress(step, total), got a {kind}.", kind=type(progress).__name__)
        for number, ticket in enumerate(batch):  # nobody sees a preview of somebody else's picture
            own = progress.preview and progress.preview[number : number + 1]
            text = _text_for(ticket, progress, number, len(batch))
            _tell([ticket], "running", replace(progress, preview=own, text=text))


def _text_for(ticket: Ticket, progress: Progress, number: int, count: int) -> tuple[str] | None:
    """What is told of an item's text so far; None: there is none, or one was told just now."""
    if progress.text is None:
        return None
    texts = progress.text
    if not isinstance(texts, tuple) or len(texts) != count or not isinstance(texts[number], str | None):
        raise HubError("infer must yield a text or None for each of its {count} items.", count=count)
    text, now = texts[number], time.monotonic()
    if text is None or now < ticket.text_due:
        return None
    ticket.text_due = now + TEXT_EVERY_S
    return (clean(text[:TEXT_CHARS]),)


def _tell(batch: list[Ticket], stage: str, progress: Progress | None = None) -> None:
    for ticket in batch:
        if not ticket.cancelled:
            try:
                ticket.on_event(stage, progress)
            except Exception:  # a listener's own trouble must not fail the others in the batch
                log.exception("a listener failed on %r", stage)


def signature(item: Any) -> Any:
    """What must be equal for two items to share a batch: structure, and shape and dtype of every array."""
    if isinstance(item, dict):
        return tuple((key, signature(item[key])) for key in sorted(item, key=repr))
    if isinstance(item, list | tuple):
        return tuple(signature(value) for value in item)
    shape = getattr(item, "shape", None)
    return type(item).__name__ if shape is None else (tuple(shape), str(item.dtype))
