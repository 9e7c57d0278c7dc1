"""Why one model is constructed at a time in the whole process, and that it is so.

diffusers and transformers change torch for everybody while they build a model: they set its default dtype, and
(with accelerate installed) patch `torch.nn.Module` so that parameters land on `meta`. A timm model built at that
moment comes out on `meta` in a dtype nobody asked for.
"""

from __future__ import annotations

import functools
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from hub.execution.pool import ModelPool
from tests.fakes import PATIENCE_S, in_threads, wait_until

timm = pytest.importorskip("timm")
diffusers = pytest.importorskip("diffusers")


@pytest.fixture(scope="module")
def unet_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unet")
    blocks = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2}
    unet = diffusers.UNet2DModel(
        sample_size=8, layers_per_block=1, block_out_channels=(8, 8), norm_num_groups=4, **blocks
    )
    unet.save_pretrained(folder)
    return folder


def build_timm() -> torch.nn.Module:
    model: torch.nn.Module = timm.create_model("test_resnet", pretrained=False)
    return model


def build_unet(folder: Path) -> torch.nn.Module:
    model: torch.nn.Module = diffusers.UNet2DModel.from_pretrained(folder, torch_dtype=torch.bfloat16)
    return model


def kinds(model: torch.nn.Module) -> set[tuple[str, torch.dtype]]:
    return {(p.device.type, p.dtype) for p in model.parameters()}


@pytest.mark.slow
def test_models_of_both_libraries_built_in_many_threads_come_out_whole(unet_folder: Path) -> None:
    pool = ModelPool(10**9, release=lambda: None)

    def work(number: int) -> list[set[Any]]:
        found = []
        for turn in range(5):
            load = build_timm if number % 2 else functools.partial(build_unet, unet_folder)
            with pool.lease(f"{number}-{turn}", load) as lease:
                found.append(kinds(lease.model))
        return found

    for number, found in enumerate(in_threads([lambda n=n: work(n) for n in range(6)])):
        assert found == [{("cpu", torch.float32 if number % 2 else torch.bfloat16)}] * 5


@pytest.fixture
def building(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """Holds every UNet in the middle of its construction: (it has begun, let it end)."""
    begun, go_on = threading.Event(), threading.Event()
    original = diffusers.UNet2DModel.__init__

    @functools.wraps(original)
    def held(self: Any, *given: Any, **named: Any) -> None:
        begun.set()
        assert go_on.wait(PATIENCE_S)
        original(self, *given, **named)

    monkeypatch.setattr(diffusers.UNet2DModel, "__init__", held)
    return begun, go_on


def test_without_the_lock_a_model_built_meanwhile_is_corrupted(
    unet_folder: Path, building: tuple[threading.Event, threading.Event]
) -> None:
    # If this fails, the libraries have stopped doing it, and the lock may go.
    begun, go_on = building
    thread = threading.Thread(target=build_unet, args=(unet_folder,))
    thread.start()
    assert begun.wait(PATIENCE_S)
    meanwhile = kinds(build_timm())
    go_on.set()
    thread.join(PATIENCE_S)
    assert meanwhile == {("meta", torch.bfloat16)}  # nobody asked for either
    assert kinds(build_timm()) == {("cpu", torch.float32)}


def test_with_the_pool_a_model_asked_for_meanwhile_waits_and_is_whole(
    unet_folder: Path, building: tuple[threading.Event, threading.Event]
) -> None:
    begun, go_on = building
    pools = [ModelPool(10**9, release=lambda: None) for _ in range(2)]
    found: dict[str, set[Any]] = {}

    def ask(pool: ModelPool, key: str, load: Any) -> None:
        with pool.lease(key, load) as lease:
            found[key] = kinds(lease.model)

    first = threading.Thread(target=ask, args=(pools[0], "unet", functools.partial(build_unet, unet_folder)))
    first.start()
    assert begun.wait(PATIENCE_S)
    others = [threading.Thread(target=ask, args=(pool, f"timm{n}", build_timm)) for n, pool in enumerate(pools)]
    for thread in others:
        thread.start()
    wait_until(lambda: all(pool.used_bytes() == 0 and pool.status() for pool in pools))
    assert found == {}
    go_on.set()
    for thread in [first, *others]:
        thread.join(PATIENCE_S)
    float32, bfloat16 = {("cpu", torch.float32)}, {("cpu", torch.bfloat16)}
    assert found == {"unet": bfloat16, "timm0": float32, "timm1": float32}
