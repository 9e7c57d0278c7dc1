"""Where a network is called. A call goes to the fastest form that is ready for it, and else to the eager network.

A point takes the place of one method of one module (`forward`, timm's `forward_features`, or what a model names in
`compiled_parts`). All else of the module stays as it is, so that hooks, gradients and single layers work as ever: a
call that has to do with them runs the module's own method.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from types import MethodType
from typing import TYPE_CHECKING, Any

from hub.execution.backends.calls import Call, read_answer, read_call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

log = logging.getLogger(__name__)
EAGER, OPENVINO = "eager", "openvino"
USUAL = ("forward", "forward_features")
KINDS_KEPT = 64  # of calls at one point; those of one more kind are eager

Form = Any  # called with the tensors of a call, it gives the answer
_THREAD = threading.local()  # `used`: the backend of the passes of this thread; `inside`: an eager network runs


@dataclass(frozen=True, slots=True)
class Seen:
    """One call that was answered by the eager network: what a form is made for, and checked against."""

    call: Call
    threads: int
    answer: tuple[Tensor, ...]
    rebuild: Callable[[Sequence[Tensor]], Any]


def take_used() -> str:
    """The backend that ran in this thread since it was asked the last time."""
    used: str = getattr(_THREAD, "used", EAGER)
    _THREAD.used = EAGER
    return used


def entries(model: Any) -> dict[str, tuple[nn.Module, str]]:
    """The methods of a model, or of those in a dict, list or tuple, that points take the place of: by their label."""
    import torch

    if isinstance(model, dict | list | tuple):
        parts = model.items() if isinstance(model, dict) else enumerate(model)
        return {
            f"{name}.{label}": entry
            for name, part in parts
            if isinstance(part, torch.nn.Module)
            for label, entry in entries(part).items()
        }
    if not isinstance(model, torch.nn.Module):
        return {}
    own = [name for name in USUAL if getattr(type(model), name, None) is not getattr(torch.nn.Module, name, None)]
    labels = [*own, *getattr(model, "compiled_parts", ())]
    return {label: (model.get_submodule(label.rpartition(".")[0]), label.rpartition(".")[2]) for label in labels}


class Point:
    """Stands for one method of a module. `offer(point, kind, seen)` hears of each kind of call that is new."""

    def __init__(self, module: nn.Module, name: str, offer: Callable[[Point, Any, Seen], None]):
        method = getattr(module, name)
        self.module, self.name, self.function = module, name, method.__func__
        self.compiled: dict[Any, Any] = {}  # forms by family and threads, for who makes them; one serves many kinds
        self._offer = offer
        # Guards what is written to the one below, which is read without. None: eager stays; missing: not seen yet.
        self._lock = threading.Lock()
        self._forms: dict[Any, Form | None] = {}
        self._modules = tuple(module.modules())
        self._weights = (*module.parameters(), *module.buffers())
        self._counting = tuple(weight for weight in self._weights if not weight.is_inference())
        self.called_at = -math.inf  # of the monotonic clock
        self.__wrapped__ = method  # for who asks which arguments it takes
        self._print = self._fingerprint()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if getattr(_THREAD, "inside", False) or self._must_be_eager():
            return self.function(self.module, *args, **kwargs)
        call = read_call(args, kwargs)
        if call is None or not call.tensors:
            return self.function(self.module, *args, **kwargs)
        threads = _threads()
        kind = (threads, call.kind)
        self.called_at = time.monotonic()
        try:
            form = self._forms[kind]
        except KeyError:
            return self._first(kind, threads, call, args, kwargs)
        if form is not None and form is not WAITING:
            try:
                answer = form(call.tensors)
            except Exception:  # whatever a compiled form fails of, the eager network can answer
                log.exception("the compiled form of %s failed; it stays eager", type(self.module).__name__)
                self.settle(kind, None)
            else:
                _THREAD.used = OPENVINO
                return answer
        with inside(form is WAITING):
            return self.function(self.module, *args, **kwargs)

    def _first(self, kind: Any, threads: int, call: Call, args: Any, kwargs: Any) -> Any:
        """Answers a call of a new kind, and offers it, so that those after it may be faster."""
        with self._lock:
            mine = kind not in self._forms and len(self._forms) < KINDS_KEPT
            if mine:
                self._forms[kind] = WAITING
        with inside(mine):
            answer = self.function(self.module, *args, **kwargs)
        if mine:
            try:
                tensors, rebuild = read_answer(answer)
            except TypeError as error:
                log.info("%s stays eager: %s", type(self.module).__name__, error)
                self.settle(kind, None)
            else:
                # Copies, as whoever called may go on to work in the originals.
                given = Call(tuple(t.detach().clone() for t in call.tensors), call.layout)
                self._offer(self, kind, Seen(given, threads, tuple(t.detach().clone() for t in tensors), rebuild))
        return answer

    def settle(self, kind: Any, form: Form | None) -> None:
        """From now on calls of this kind go to `form`; None: they stay eager."""
        with self._lock:
            self._forms[kind] = form
            used = [getattr(one, "compiled", None) for one in self._forms.values()]
            self.compiled = {family: made for family, made in self.compiled.items() if made in used}

    @property
    def form_bytes(self) -> int:
        """What the compiled forms take in memory."""
        return sum(form.nbytes for form in list(self.compiled.values()))

    def _must_be_eager(self) -> bool:
        import torch

        return (
            torch.is_grad_enabled()
            or self.module.training
            or torch.is_autocast_enabled("cpu")
            or torch.compiler.is_compiling()
            or torch._C._get_tracing_state() is not None
            or any(m._forward_hooks or m._forward_pre_hooks for m in self._modules)
            or self._fingerprint() != self._print
        )

    def _fingerprint(self) -> tuple[int, int]:
        """Differs when weights were written or moved since: a form has those that the network had at first."""
        import torch

        return sum(map(torch.Tensor.data_ptr, self._weights)), sum(map(attrgetter("_version"), self._counting))

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """A copy of the module has the method itself: its weights may become others."""
        return MethodType(self.function, memo[id(self.module)]) if id(self.module) in memo else self


WAITING = object()  # in place of a form that is being made


@contextmanager
def inside(yes: bool = True) -> Iterator[None]:
    """Points that the network of another point calls stay out of it, while that one may yet get a form."""
    before = getattr(_THREAD, "inside", False)
    _THREAD.inside = before or yes
    try:
        yield
    finally:
        _THREAD.inside = before


def _threads() -> int:
    import torch

    return torch.get_num_threads()
