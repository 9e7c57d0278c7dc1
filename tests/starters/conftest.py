"""The local Hub, and tiny models with random weights as their libraries write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.starters import tiny_models
from tests.weights.conftest import hub_server, waits

__all__ = ["hub_server", "waits"]


@pytest.fixture(scope="session")
def files_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, bytes]]:
    """The files of a repository for a task; each is made once."""
    made: dict[str, dict[str, bytes]] = {}

    def get(task: str) -> dict[str, bytes]:
        if task not in made:
            folder: Path = tmp_path_factory.mktemp(task)
            tiny_models.MAKE[task](folder)
            made[task] = {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*") if f.is_file()}
        return dict(made[task])

    return get
