"""Device, dtype and memory: what is picked, and what is counted."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hub.errors import InputError
from hub.execution import devices

CPU = torch.device("cpu")


def test_auto_takes_the_best_device_there_is() -> None:
    best = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert devices.pick_device("auto").type == best
    assert devices.pick_device("cpu") == CPU


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "meta", "CPU!", ""])
def test_a_device_that_is_not_here_is_refused_in_words(name: str) -> None:
    with pytest.raises(InputError, match="device"):
        devices.pick_device(name)


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16"])
def test_a_dtype_that_is_named_is_taken_unmeasured(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(devices, "_bf16_speedup")
    assert devices.pick_dtype(name, CPU) is getattr(torch, name)


def test_an_unknown_dtype_is_refused_with_the_choices() -> None:
    with pytest.raises(InputError, match="dtype must be auto, float32, bfloat16, float16, got 'int8'"):
        devices.pick_dtype("int8", CPU)


@pytest.mark.parametrize(("speedup", "chosen"), [(2.0, torch.bfloat16), (1.0, torch.float32), (0.0, torch.float32)])
def test_bfloat16_is_taken_where_it_is_measured_faster_and_remembered(
    speedup: float, chosen: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []
    monkeypatch.setattr(devices, "_bf16_speedup", lambda device: measured.append(1) or speedup)
    memory = tmp_path / "deep" / "dtype.json"
    assert [devices.pick_dtype("auto", CPU, memory) for _ in range(3)] == [chosen] * 3
    assert measured == [1]


@pytest.mark.parametrize("content", ["", "{", "[1, 2]", "3", '"text"', "null", b"\xff\xfe"])
def test_a_damaged_memory_of_dtypes_is_measured_anew(
    content: str | bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "_bf16_speedup", lambda device: 2.0)
    memory = tmp_path / "dtype.json"
    memory.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert devices.pick_dtype("auto", CPU, memory) is torch.bfloat16
    assert list(json.loads(memory.read_text()).values()) == ["bfloat16"]


def test_a_memory_of_dtypes_with_a_strange_entry_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "_bf16_speedup", lambda device: 2.0)
    memory = tmp_path / "dtype.json"
    devices.pick_dtype("auto", CPU, memory)
    (key,) = json.loads(memory.read_text())
    memory.write_text(json.dumps({key: ["bfloat16"]}))
    assert devices.pick_dtype("auto", CPU, memory) is torch.bfloat16


def test_the_budget_is_a_share_of_what_is_free() -> None:
    assert 0 < devices.default_budget(CPU) < 2**50


def test_a_models_bytes_are_its_parameters_and_buffers() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(10, 10, bias=False), torch.nn.BatchNorm1d(10))
    # 100 weights; scale, shift, mean and variance of 10; a counter of 8 bytes
    assert devices.model_bytes(model) == 4 * (100 + 40) + 8


def test_memory_that_is_shared_is_counted_once() -> None:
    layer = torch.nn.Linear(10, 10, bias=False)
    tied = torch.nn.Linear(10, 10, bias=False)
    tied.weight = layer.weight
    assert devices.model_bytes([layer, tied, {"again": layer.weight, "part": layer.weight[:2]}]) == 400


def test_pipelines_and_containers_are_looked_into() -> None:
    layer = torch.nn.Linear(10, 10, bias=False)
    pipeline = SimpleNamespace(components={"unet": layer, "scheduler": None, "extra": (torch.zeros(5),)})
    assert devices.model_bytes(pipeline) == 400 + 20
    assert devices.model_bytes(np.zeros(3)) == 24
    assert devices.model_bytes(object()) == 0


def test_models_held_by_an_object_of_the_demos_own_are_counted() -> None:
    holder = SimpleNamespace(name="two stages", first=torch.zeros(5), more=SimpleNamespace(second=torch.zeros(7)))
    holder.more.back = holder  # a cycle is no trouble
    assert devices.model_bytes(holder) == 48


def test_a_module_is_placed_frozen_in_its_dtype_and_memory_format() -> None:
    placed = devices.place(torch.nn.Conv2d(4, 4, 3).train(), CPU, torch.bfloat16)
    assert not placed.training
    assert placed.weight.dtype is torch.bfloat16
    assert not placed.weight.requires_grad
    assert placed.weight.is_contiguous(memory_format=torch.channels_last)
    other = object()
    assert devices.place(other, CPU, torch.bfloat16) is other


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_every_way_to_run_out_of_memory_is_known(error: Exception) -> None:
    assert devices.is_out_of_memory(error)


@pytest.mark.parametrize("error", [RuntimeError("shape mismatch"), ValueError("out of memory"), SystemExit()])
def test_other_errors_are_not_taken_for_it(error: BaseException) -> None:
    assert not devices.is_out_of_memory(error)


def test_giving_memory_back_is_always_safe() -> None:
    devices.give_back()
