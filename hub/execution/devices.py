"""Which device, which dtype, how much memory: measured on this machine, not guessed."""

from __future__ import annotations

import gc
import logging
import platform
import sys
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import psutil

from hub import memory
from hub.errors import InputError
from hub.execution.remembered import Remembered

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)
GB = 10**9
OWN_MEMORY = ("cuda", "xpu")  # with a memory of their own; on the others nothing would be won
# Share of the memory free at start that models may take; the rest is for activations and the server.
CPU_SHARE, CUDA_SHARE = 0.5, 0.85
GAIN = 1.15  # half of float32 is taken where it is so many times as fast
ROUNDS, CLEAR = 16, 1.3  # of a measurement at most; a result so many times off GAIN needs no more of them


def pick_device(name: str = "auto") -> torch.device:
    """`auto` is cuda, then mps, then cpu. Raises InputError when the named one is not here."""
    import torch

    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, here in available.items() if here))
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError("device must be auto, cuda, cuda:N, mps or cpu, got {name!r}", name=name) from None
    here = [kind for kind, yes in available.items() if yes]
    if not available.get(device.type) or (device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()):
        raise InputError(
            "device {name!r} is not available on this machine; there is: {listed}", name=name, listed=", ".join(here)
        )
    return device


def pick_dtype(name: str, device: torch.device, memory: Path | None = None) -> torch.dtype:
    """The dtype models run in. `auto` times a convolution block in float32 and in half of it, and takes the faster.

    The answer is remembered in the file `memory`, by device, processor and torch version.
    """
    import torch

    dtypes = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if name != "auto":
        if name not in dtypes:
            raise InputError("dtype must be auto, {listed}, got {name!r}", listed=", ".join(dtypes), name=name)
        return dtypes[name]
    if device.type == "mps":
        return torch.float32
    what = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    key = f"{device.type} | {what} | torch {torch.__version__}"
    remembered = Remembered(memory)
    name_of_dtype = remembered.read().get(key)
    if not isinstance(name_of_dtype, str) or name_of_dtype not in dtypes:
        name_of_dtype = "bfloat16" if _bf16_speedup(device) > GAIN else "float32"
        if name_of_dtype == "float32" and device.type == "cuda" and _speedup(device, torch.float16) > GAIN:
            name_of_dtype = "float16"  # GPUs before 2020 are quick in this one alone
        remembered.add({key: name_of_dtype})
    return dtypes[name_of_dtype]


def _bf16_speedup(device: torch.device) -> float:
    import torch

    return _speedup(device, torch.bfloat16)


def _speedup(device: torch.device, half: torch.dtype) -> float:
    """float32 time over that in `half` of a 3x3 convolution (batch 4, 64 channels, 56x56), best of rounds in turn."""
    import torch

    on_cpu = device.type == "cpu"

    def build(dtype: torch.dtype) -> Callable[[], float]:
        block = torch.nn.Conv2d(64, 64, 3, padding=1, device=device, dtype=dtype).to(memory_format=torch.channels_last)
        x = torch.randn(4, 64, 56, 56, device=device, dtype=dtype).to(memory_format=torch.channels_last)

        def seconds() -> float:
            # What this thread had of the processor: on a busy machine the clock would tell what others took.
            clock = time.thread_time if on_cpu else time.perf_counter
            begin = clock()
            for _ in range(4):
                block(x)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            return clock() - begin

        return seconds

    threads = torch.get_num_threads()
    try:
        if on_cpu:
            torch.set_num_threads(1)  # what other threads do is not in this one's time
        with torch.inference_mode():
            measures = build(torch.float32), build(half)
            return _ratio(measures)
    except RuntimeError:  # the device cannot do it at all
        return 0.0
    finally:
        if on_cpu:
            torch.set_num_threads(threads)


def _ratio(measures: tuple[Callable[[], float], Callable[[], float]]) -> float:
    """The best of the first over the best of the second, measured in turn until it is clearly on one side of GAIN."""
    best = [float("inf"), float("inf")]
    for number in range(ROUNDS):
        seconds = [measure() for measure in measures]
        if number:  # the first is to get warm
            best = [min(pair) for pair in zip(best, seconds, strict=True)]
            if number > 1 and not GAIN / CLEAR < best[0] / best[1] < GAIN * CLEAR:
                break
    return best[0] / best[1]


def processor() -> str:
    """What tells this CPU from others as far as speed goes."""
    return f"{platform.processor()} {_cpu_flags()}"


@lru_cache(maxsize=1)
def _cpu_flags() -> str:
    """The instruction sets that decide bfloat16 speed."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.machine()
    flags = next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "").split()
    return ",".join(f for f in ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "bf16") if f in flags)


def default_budget(device: torch.device) -> int:
    """Bytes models may take by default: a share of what is free now."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.mem_get_info(device)[0] * CUDA_SHARE)
    return int(min(psutil.virtual_memory().available, _cgroup_free()) * CPU_SHARE)


def _cgroup_free() -> float:
    """Bytes left under the container's limit (cgroup v2), or infinity."""
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="utf-8").strip()
        used_bytes = int(Path("/sys/fs/cgroup/memory.current").read_text(encoding="utf-8"))
        lines = Path("/sys/fs/cgroup/memory.stat").read_text(encoding="utf-8").splitlines()
        cached_bytes = int(next((line.split()[1] for line in lines if line.startswith("inactive_file ")), "0"))
        return (
            float("inf") if limit == "max" else float(int(limit) - used_bytes + cached_bytes)
        )  # the kernel gives cache back
    except (OSError, ValueError):
        return float("inf")


def model_bytes(model: Any) -> int:
    """Bytes of the tensors a model holds: parameters and buffers, each storage once.

    Understands an `nn.Module`, a diffusers pipeline (`components`), dicts, lists and tuples of these, and objects
    of a demo's own that hold them as attributes. A model may say itself what it takes of its device, `device_bytes`.
    """
    import torch

    own_count = getattr(model, "device_bytes", None)
    if isinstance(own_count, int):
        return own_count
    storages: set[int] = set()
    parts: dict[int, Any] = {}  # by id, and kept so that the id stays theirs
    total, unvisited = 0, [model]
    while unvisited:
        part = unvisited.pop()
        if id(part) in parts or isinstance(part, str | bytes | int | float | type | ModuleType):
            continue
        parts[id(part)] = part
        if isinstance(part, torch.Tensor):
            storage = part.untyped_storage()
            if storage.data_ptr() not in storages:
                storages.add(storage.data_ptr())
                total += storage.nbytes()
        elif isinstance(part, torch.nn.Module):
            unvisited += [*part.parameters(), *part.buffers()]
            total += sum(getattr(own, "form_bytes", 0) for module in part.modules() for own in vars(module).values())
        elif isinstance(part, dict):
            unvisited += part.values()
        elif isinstance(part, list | tuple):
            unvisited += part
        elif isinstance(components := getattr(part, "components", None), dict):
            unvisited += components.values()
        elif isinstance(nbytes := getattr(part, "nbytes", None), int):
            total += nbytes
        elif not callable(part) or type(part).__module__ != "builtins":
            unvisited += getattr(part, "__dict__", {}).values()
    return total


def place(model: Any, device: torch.device, dtype: torch.dtype, budget_bytes: int = 0) -> Any:
    """Moves an `nn.Module` to its device, dtype and channels_last, frozen; anything else is returned as it is.

    One with a method `settle(device, dtype, budget_bytes) -> bool` is asked first: True says that it placed itself.
    """
    import torch

    if isinstance(model, torch.nn.Module):
        model.eval().requires_grad_(False)
        settle = getattr(model, "settle", None)
        if settle is not None and settle(device, dtype, budget_bytes):
            return model
        return model.to(device=device, dtype=dtype).to(memory_format=torch.channels_last)
    return model


def give_back() -> None:
    """Returns memory of dropped models to the device and the operating system."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    memory.trim()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` is any library's way to say that memory ran out."""
    if isinstance(error, MemoryError):
        return True
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return True
    text = str(error).lower() if isinstance(error, RuntimeError) else ""
    return "can't allocate memory" in text or "out of memory" in text  # the CPU's; CUDA's and MPS's
