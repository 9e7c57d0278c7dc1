"""Calls of a network as plain data: the tensors of its arguments and of its answer, and what lies around them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

PLACES = 4  # dimensions of a picture or a map: beside batch and channels two that say how large it is


@dataclass(frozen=True, slots=True)
class Call:
    """The arguments of one call. `layout`: JSON that holds them all, with numbers in place of the tensors."""

    tensors: tuple[Tensor, ...]
    layout: str

    @property
    def kind(self) -> tuple[Any, ...]:
        """What must be equal for calls to be alike: all but how many there are in the batch, and the numbers."""
        return self.layout, *((t.dtype, *t.shape[1:]) if t.ndim else (t.dtype,) for t in self.tensors)

    @property
    def family(self) -> tuple[Any, ...]:
        """What must be equal for one compiled form to take them: as `kind`, but pictures of any height and width."""
        return self.layout, *((t.dtype, t.ndim, *t.shape[1 : 2 if t.ndim == PLACES else None]) for t in self.tensors)


def read_call(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call | None:
    """None: these arguments hold what is neither a plain tensor of the CPU nor a word, a switch or a whole number."""
    tensors: list[Tensor] = []
    try:
        layout = [[_laid(value, tensors) for value in args], {name: _laid(kwargs[name], tensors) for name in kwargs}]
    except TypeError:
        return None
    return Call(tuple(tensors), json.dumps(layout))


def _laid(value: Any, tensors: list[Tensor]) -> Any:
    import torch

    if type(value) is torch.Tensor or type(value) is torch.nn.Parameter:
        if value.layout is not torch.strided or value.device.type != "cpu" or value.is_complex():
            raise TypeError
        tensors.append(value)
        return {"tensor": len(tensors) - 1}
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) in (list, tuple):
        return {type(value).__name__: [_laid(one, tensors) for one in value]}
    if type(value) is dict and all(type(name) is str for name in value):
        return {"dict": {name: _laid(one, tensors) for name, one in value.items()}}
    raise TypeError


def make_arguments(layout: str, tensors: Sequence[Tensor]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a call again."""
    args, kwargs = json.loads(layout)
    return [_unlaid(value, tensors) for value in args], {name: _unlaid(kwargs[name], tensors) for name in kwargs}


def _unlaid(value: Any, tensors: Sequence[Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, held),) = value.items()
    if kind == "tensor":
        return tensors[held]
    if kind == "dict":
        return {name: _unlaid(one, tensors) for name, one in held.items()}
    values = [_unlaid(one, tensors) for one in held]
    return tuple(values) if kind == "tuple" else values


def read_answer(value: Any) -> tuple[list[Tensor], Callable[[Sequence[Tensor]], Any]]:
    """The tensors of an answer, and what makes such an answer of others. Raises TypeError for one of another kind."""
    import torch

    if isinstance(value, torch.Tensor):
        return [value], lambda tensors: tensors[0]
    if value is None or isinstance(value, bool | int | str):
        return [], lambda tensors: value
    if isinstance(value, dict):  # also the answers of transformers and diffusers, which are built by name
        names, make = list(value), type(value)
        return _read_parts(list(value.values()), lambda parts: make(**dict(zip(names, parts, strict=True))))
    if type(value) in (list, tuple):
        return _read_parts(list(value), type(value))
    raise TypeError(f"a network answered with a {type(value).__name__}")


def _read_parts(
    values: list[Any], make: Callable[[list[Any]], Any]
) -> tuple[list[Tensor], Callable[[Sequence[Tensor]], Any]]:
    parts = [read_answer(value) for value in values]
    ends = [0]
    for tensors, _ in parts:
        ends.append(ends[-1] + len(tensors))

    def rebuild(tensors: Sequence[Tensor]) -> Any:
        return make([rebuild_part(tensors[ends[n] : ends[n + 1]]) for n, (_, rebuild_part) in enumerate(parts)])

    return [tensor for tensors, _ in parts for tensor in tensors], rebuild
