"""Fixtures shared by all tests. Nothing here touches the network or the repository's data folder."""

from __future__ import annotations

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # else each of the workers and their hubs would want all cores for one model
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# A hub of the tests that is not about it compiles nothing in the background: tests/execution/test_backends.py is.
os.environ.setdefault("HUB_BACKEND", "eager")

import gc
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hub.execution import residency
from hub.execution.pool import ModelPool
from hub.hub import Hub
from hub.settings import Settings
from hub.spec import Demo
from tests import workers
from tests.fakes import registry_of

WHOLLY_SLOW = re.compile(r"^pytestmark = .*\bmark\.(slow|release)\b", re.MULTILINE)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Files without a test that would run are not even imported, which each worker would do for half a minute."""
    if collection_path.suffix != ".py":
        return None
    wanted, text = config.getoption("markexpr"), collection_path.read_text(encoding="utf-8")
    if wanted.startswith("not slow") and WHOLLY_SLOW.search(text):
        return True
    if wanted.startswith(("slow", "release")) and f"mark.{wanted.split()[0]}" not in text:
        return True
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: workers.rank(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> workers.ByGroup | None:
    if config.getoption("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False  # else files with many tests would come first, and the slow ones last
    return workers.ByGroup(config, log)


def pytest_collection_finish() -> None:
    """What was imported so far stays: garbage collections, of which some tests do many, need not look at it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def quick_unloading() -> Iterator[None]:
    """A full garbage collection takes a tenth of a second with torch loaded; test_models tests real unloading."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(residency, "ModelPool", partial(ModelPool, release=lambda: None))
        yield


@pytest.fixture(scope="session", autouse=True)
def eager_networks() -> Iterator[None]:
    """Where a test names no backend, networks stay eager: else every hub would compile its models beside the test."""
    made = residency.Residency._workshop
    with pytest.MonkeyPatch.context() as patch:
        named = lambda self, *given: made(self, *given) if self.settings.backend == "openvino" else None  # noqa: E731
        patch.setattr(residency.Residency, "_workshop", named)
        yield


@pytest.fixture
def make_hub(tmp_path: Path) -> Iterator[Callable[..., Hub]]:
    """Builds a hub over fake demos: `make_hub(doubler=demo, settings={"queue_limit": 2})`. CPU, float32."""
    made = []

    def make(settings: dict[str, Any] | None = None, *, spaces: Any = None, port: int = 0, **demos: Demo) -> Hub:
        chosen = {
            "device": "cpu",
            "dtype": "float32",
            "pool_gb": 1.0,
            "data": str(tmp_path / "data"),
            "weights_folder": str(tmp_path / "weights"),
            **(settings or {}),
        }
        made.append(Hub(Settings(**chosen), registry_of(**demos), spaces=spaces, port=port))
        return made[-1]

    yield make
    for hub in made:
        hub.close()
