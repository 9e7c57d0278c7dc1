"""A local Hub that the real client is sent to, with its waits recorded instead of slept."""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hub.weights import remote
from hub.weights.snapshots import Snapshots
from hub.weights.store import WeightsStore
from tests.hub_server import HubServer, serving_hub


@pytest.fixture
def waits() -> list[float]:
    """Seconds the client and the hub wanted to wait."""
    return []


@pytest.fixture
def hub_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, waits: list[float]) -> Iterator[HubServer]:
    """A running Hub; the huggingface_hub of this process talks to it, without a token."""
    from huggingface_hub import constants, file_download
    from huggingface_hub.utils import _http

    clock = types.SimpleNamespace(sleep=waits.append)
    for module in (file_download, _http, remote):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with serving_hub() as server:
        for name, value in {
            "ENDPOINT": server.endpoint,
            "HUGGINGFACE_CO_URL_TEMPLATE": server.endpoint + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_OFFLINE": False,
            "HF_HUB_DISABLE_XET": True,
            "DOWNLOAD_CHUNK_SIZE": 500,  # the client writes in pieces of 10 MB; these files have 4 kB
            "HF_TOKEN_PATH": str(tmp_path / "no-token"),
            "HF_HUB_CACHE": str(tmp_path / "hf-cache"),
        }.items():
            monkeypatch.setattr(constants, name, value)
        yield server


@pytest.fixture
def snapshots(tmp_path: Path) -> Snapshots:
    return Snapshots(tmp_path / "hub")


@pytest.fixture
def make_store(tmp_path: Path) -> Callable[..., WeightsStore]:
    """A store as a new process makes it, over the same folders."""
    return lambda **options: WeightsStore(tmp_path / "weights", tmp_path / "hub", **options)


def model_files(seed: int = 0, config: dict[str, Any] | None = None, **more: bytes) -> dict[str, bytes]:
    """The files of a small repository: card, config and 4 kB of tensors."""
    from safetensors.numpy import save

    tensors = save({"x": np.random.default_rng(seed).standard_normal(1024).astype(np.float32)})
    card = b"---\nlicense: mit\n---\n# A small model\n"
    return {"README.md": card, "config.json": json.dumps(config or {}).encode(), "model.safetensors": tensors, **more}
