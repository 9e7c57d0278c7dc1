"""Makes compiled forms of networks in the background, checks each against the eager network, and keeps what is faster.

One thread, while there is something to do, which waits for moments in which no model runs. What was measured is
remembered by weights, versions, processor and threads; that a form agrees is checked in every process, on real input.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hub import memory
from hub.execution import devices
from hub.execution.backends import export, measuring
from hub.execution.backends.compiled import Compiled, Form
from hub.execution.backends.orders import Order, Origin, RefusedError
from hub.execution.backends.points import EAGER, OPENVINO, Point, Seen, entries
from hub.execution.backends.store import FormStore, Name
from hub.execution.remembered import Remembered
from hub.settings import environment_for_models

log = logging.getLogger(__name__)

PRECISION = {"float32": "f32", "bfloat16": "bf16"}  # as OpenVINO calls them
GAIN = 1.05  # a form is taken where it is so many times as fast
ASKED = 2  # processes that have to find a form slow before it is left alone
LARGEST_BYTES = 10**9  # of a network's weights; a second copy of a larger one would not fit many machines
QUIET_S, PATIENCE_S = 0.2, 5.0  # so long no model ran, or so long that is waited for
HOLD_S = 10.0  # so long a network that is in use waits for a pause, until its first form is made beside others
LOOK_S = 0.05  # between two looks whether one runs
EXPORT_S = 600.0  # an export that takes longer is ended


class Workshop:
    """`rested_s()`: for how long no model has run; `always`: a form is taken also where it is not faster."""

    def __init__(self, data: Path, rested_s: Callable[[], float], *, always: bool = False):
        self._store, self._known = FormStore(data / "backends"), Remembered(data / "backends.json")
        self._rested_s, self._always = rested_s, always
        # Guards the four below; taken alone.
        self._lock = threading.Lock()
        self._orders: deque[Order] = deque()
        self._thread: threading.Thread | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._complained: set[tuple[str, str]] = set()
        self._closed = threading.Event()
        atexit.register(self.close)

    def attach(self, model: Any, origin: Origin, ready: Callable[[], object]) -> None:
        """Lets calls of the model's networks go to compiled forms once there are any; `ready` hears of each."""
        for label, (module, name) in entries(model).items():

            def offer(point: Point, kind: Any, seen: Seen, label: str = label) -> None:
                self._take(Order(weakref.ref(point), label, kind, seen, origin, ready))

            setattr(module, name, Point(module, name, offer))

    def _take(self, order: Order) -> None:
        with self._lock:
            if self._closed.is_set():
                return
            self._orders.append(order)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="backends", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Ends what is being made."""
        atexit.unregister(self.close)
        with self._lock:
            self._closed.set()
            self._orders.clear()
            thread, child = self._thread, self._child
        if child is not None:
            child.kill()
        if thread is not None and thread is not threading.current_thread():
            thread.join(PATIENCE_S)

    # --- the thread -------------------------------------------------------------------------------

    def _work(self) -> None:
        while (order := self._next()) is not None:
            point = order.point()
            if point is None or self._closed.is_set():
                continue
            try:
                form = self._form(point, order)
            except Exception as error:  # whatever hinders it: the eager network answers as before
                self._complain(order, error)
                form = None
            if not self._closed.is_set():
                point.settle(order.kind, form)
                if form is not None:
                    order.ready()
            del point, order, form  # the next one is waited for without this model
            memory.trim_soon()  # to make and to measure one takes hundreds of megabytes for a moment

    def _next(self) -> Order | None:
        """The first order once no model runs, or one of a network that is in use; None: there is none left.

        To make a form slows whoever runs a model meanwhile, which is for those who will have it.
        """
        while True:
            is_quiet = self._rested_s() >= QUIET_S
            with self._lock:
                if not self._orders:
                    self._thread = None
                    return None
                for number, order in enumerate(self._orders):
                    if is_quiet or (order.is_wanted() and self._may_disturb(order)):
                        del self._orders[number]
                        return order
            self._closed.wait(LOOK_S)

    def _may_disturb(self, order: Order) -> bool:
        """Whether a form may be made beside others: one that is there already, or that no pause comes for."""
        known = self._known.read().get(order.note)
        is_there = isinstance(known, dict) and known.get("chosen") == OPENVINO
        return is_there or time.monotonic() - order.since > HOLD_S

    def _complain(self, order: Order, error: Exception) -> None:
        """Once a network: it stays eager, and everything works."""
        if self._closed.is_set() or (isinstance(error, RefusedError) and not str(error)):
            return
        with self._lock:
            first = (order.origin.slug, order.label) not in self._complained
            self._complained.add((order.origin.slug, order.label))
        if first:
            why = str(error) or type(error).__name__
            log.warning("%s of %s stays eager: %s", order.label, order.origin.slug, why)

    def _form(self, point: Point, order: Order) -> Form | None:
        """The faster form, or None where that is the eager network. Raises RefusedError, and what else hinders it."""
        name, note = order.name, order.note
        found = self._known.read().get(note)
        known: dict[str, Any] = found if isinstance(found, dict) else {}
        if known.get("chosen") != OPENVINO:  # one that is known to be faster should be there while others wait
            self._await_quiet()
        # One that could not be made, or was too far off, will be so again. Of speed a second process asks once more:
        # the first may have measured beside others.
        slow, asked = "speedups" in known, known.get("asked", 0)
        if known.get("chosen") == EAGER and not (slow and (self._always or asked < ASKED)):
            raise RefusedError("", lasting=False)
        try:
            compiled = self._compiled(point, order, name)
            difference = measuring.check(compiled.run(order.seen.call.tensors), order.seen.answer, order)
            if known.get("chosen") != OPENVINO and not (self._always and slow):
                gains = measuring.speedups(point, compiled, order, self._await_quiet)
                known = {
                    "chosen": OPENVINO if min(gains) >= GAIN else EAGER,
                    "speedups": [round(one, 2) for one in gains],
                    "difference": float(f"{difference:.2g}"),
                    "asked": asked + 1,
                }
                self._known.add({note: known})
                log.info("%s of %s: %s", order.label, order.origin.slug, known)
            compiled.release()  # it was measured with a larger batch than the next ones may have
        except RefusedError as error:
            if error.lasting:
                self._known.add({note: {"chosen": EAGER, "why": str(error)[:200]}})
            raise
        if known.get("chosen") != OPENVINO and not self._always:
            return None
        return Form(compiled, tuple(t.dtype for t in order.seen.answer), order.seen.rebuild)

    def _await_quiet(self) -> None:
        end = time.monotonic() + PATIENCE_S
        while self._rested_s() < QUIET_S and time.monotonic() < end and not self._closed.wait(LOOK_S):
            pass
        if self._closed.is_set():
            raise RefusedError("", lasting=False)

    def _compiled(self, point: Point, order: Order, name: Name) -> Compiled:
        family = order.seen.call.family, order.seen.threads
        if family in point.compiled:
            found: Compiled = point.compiled[family]
            return found
        if devices.model_bytes(point.module) > LARGEST_BYTES:
            raise RefusedError("its weights are too large for a second copy")
        files = self._store.read(name)
        if files is None:
            with self._store.making(name, EXPORT_S) as folder:
                files = self._store.read(name)  # another process may have made it
                if files is None:
                    self._export(order, folder)
            files = files or self._store.read(name)
        if files is None:
            raise RefusedError("its form was not written", lasting=False)
        made = Compiled(*files, order.seen.threads, PRECISION[order.origin.dtype])
        point.compiled[family] = made
        return made

    def _export(self, order: Order, folder: Path) -> None:
        """In a process of its own. Raises RefusedError."""
        from safetensors.torch import save_file

        origin, call = order.origin, order.seen.call
        save_file({str(n): t.contiguous() for n, t in enumerate(call.tensors)}, folder / export.TENSORS)
        content = {
            "pages": str(origin.pages), "slug": origin.slug, "weights": str(origin.folder), "dtype": origin.dtype,
            "label": order.label, "layout": call.layout,
        }  # fmt: skip
        (folder / export.ORDER).write_text(json.dumps(content), encoding="utf-8")
        paths = [str(Path(path).resolve()) for path in sys.path]
        # One thread: the others are for who waits for an answer.
        environment = environment_for_models(PYTHONPATH=os.pathsep.join(paths), OMP_NUM_THREADS="1")
        begin = time.monotonic()
        with self._lock:
            if self._closed.is_set():
                raise RefusedError("", lasting=False)
            child = self._child = subprocess.Popen(
                [sys.executable, "-m", export.__name__, str(folder)],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                env=environment, start_new_session=True,
            )  # fmt: skip
        try:
            _, errors = child.communicate(timeout=EXPORT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            raise RefusedError(f"its export took more than {EXPORT_S:.0f} s", lasting=False) from None
        finally:
            self._child = None
        if child.returncode:
            lines = errors.decode(errors="replace").strip().splitlines() or ["no reason given"]
            raise RefusedError(
                f"it could not be exported ({lines[-1][:300]})", lasting=child.returncode == export.UNABLE
            )
        log.info("exported %s of %s in %.1f s", order.label, origin.slug, time.monotonic() - begin)
