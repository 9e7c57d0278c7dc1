"""Fixtures shared by all tests. Nothing here touches the network or the repository's data folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hub import residency
from hub.engine import Engine
from hub.models import ModelPool
from hub.settings import Settings
from hub.spec import Demo
from tests.fakes import registry_of


@pytest.fixture(scope="session", autouse=True)
def quick_unloading() -> Iterator[None]:
    """A full garbage collection takes a tenth of a second with torch loaded; test_models tests real unloading."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(residency, "ModelPool", partial(ModelPool, release=lambda: None))
        yield


@pytest.fixture
def make_engine(tmp_path: Path) -> Iterator[Callable[..., Engine]]:
    """Builds an engine over fake demos: `make_engine(doubler=demo, settings={"queue_limit": 2})`. CPU, float32."""
    engines = []

    def make(settings: dict[str, Any] | None = None, **demos: Demo) -> Engine:
        chosen = {
            "device": "cpu",
            "dtype": "float32",
            "pool_gb": 1.0,
            "data": str(tmp_path / "data"),
            "weights_folder": str(tmp_path / "weights"),
            **(settings or {}),
        }
        engines.append(Engine(Settings(**chosen), registry_of(**demos)))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()
