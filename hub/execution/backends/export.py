"""Writes the OpenVINO form of one method of a page's model: a process of its own, `python -m` this module.

So a hub that serves is not slowed by the tracing, which holds Python's one lock; no other model waits to be built; and
a converter that crashes takes nothing with it. The folder that is named holds the order, `ORDER`, and the tensors of
one call, `TENSORS`; the form is written there as `MODEL` and `CONSTANTS`.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hub.execution.backends.calls import PLACES, make_arguments, read_answer
from hub.execution.backends.points import entries

if TYPE_CHECKING:
    from torch import Tensor, nn

ORDER, TENSORS, MODEL, CONSTANTS = "order.json", "tensors.safetensors", "form.xml", "form.bin"
UNABLE = 3  # the exit status where this network cannot be traced or converted
NICE = 5  # who waits for an answer comes first


def main(folder: Path) -> None:
    os.nice(NICE)
    warnings.simplefilter("ignore")  # of the tracer: what it warns of is checked on real input later
    import torch
    from safetensors.torch import load_file

    from hub.execution import devices
    from hub.pages.registry import discover

    order = json.loads((folder / ORDER).read_text(encoding="utf-8"))
    demo = discover(Path(order["pages"]), (order["slug"],)).get(order["slug"]).demo
    model = demo.load(Path(order["weights"]), torch.device("cpu"))
    # The weights as they run here, with what that precision lost of them, in numbers that can be traced.
    devices.place(model, torch.device("cpu"), getattr(torch, order["dtype"]))
    module, name = entries(model)[order["label"]]
    given = load_file(folder / TENSORS)
    tensors = tuple(given[str(number)] for number in range(len(given)))
    try:
        write(module.float(), name, order["layout"], tensors, folder)
    except (OSError, MemoryError):
        raise  # it may succeed another time
    except Exception as error:
        traceback.print_exc()
        print(f"{type(error).__name__}: {error}".splitlines()[0], file=sys.stderr)
        sys.exit(UNABLE)


def write(module: nn.Module, name: str, layout: str, tensors: tuple[Tensor, ...], folder: Path) -> None:
    """Traces the method with these tensors, and writes what OpenVINO makes of it."""
    import openvino
    import torch
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    class Flat(torch.nn.Module):
        """The method from tensors to tensors."""

        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
            args, kwargs = make_arguments(layout, given)
            return tuple(read_answer(getattr(self.module, name)(*args, **kwargs))[0])

    with torch.no_grad():
        given = tuple(t.float() if t.is_floating_point() else t for t in tensors)
        trace: Any = torch.jit.trace  # has no types
        traced = trace(Flat().eval(), given, check_trace=False, strict=False)
    # Not `openvino.convert_model`: that reports its use to its makers.
    manager = FrontEndManager()
    frontend = manager.load_by_framework("pytorch")
    decoder = TorchScriptPythonDecoder(traced, example_input=given)  # a name: what is loaded keeps no hold of it
    model = frontend.convert(frontend.load(decoder))
    for port, tensor in zip(model.inputs, given, strict=True):
        port.get_node().set_partial_shape(openvino.PartialShape(open_shape(tensor)))
    model.validate_nodes_and_infer_types()
    openvino.serialize(model, folder / MODEL, folder / CONSTANTS)


def open_shape(tensor: Tensor) -> list[int]:
    """Any number in the batch, and maps of any height and width."""
    shape = list(tensor.shape)
    return [-1, shape[1], -1, -1] if len(shape) == PLACES else [-1, *shape[1:]] if shape else []


if __name__ == "__main__":
    main(Path(sys.argv[1]))
