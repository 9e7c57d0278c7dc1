"""Where weights come from is read once, and carried as a value."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hub.errors import UnavailableError
from hub.settings import ROOT
from hub.spec import Weights
from hub.weights.sources import Bundled, HubSource, Local, apply, choices
from hub.weights.store import WeightsStore
from tests.fakes import registry_of, shade_demo


def test_an_address_is_read_once_and_the_store_has_what_it_means(tmp_path: Path) -> None:
    demo = shade_demo(weights=(Weights("shade", sources=("hf://a/b@v1/small",)), Weights("hf://c/d")))
    registry, sources = apply(registry_of(shade=demo), choices(f"shade={tmp_path}/mine"))
    assert sources == {
        "local:mine": Local(tmp_path / "mine"),
        "shade": Bundled("shade"),
        "hf://a/b@v1/small": HubSource("a/b", "v1", "small"),
        "hf://c/d": HubSource("c/d"),
    }
    assert list(sources) == [w.name for w in registry.get("shade").demo.weights]
    store = WeightsStore(tmp_path, tmp_path / "hub", sources=sources)
    assert store.source("local:mine") == Local(tmp_path / "mine") and store.source("other") == Bundled("other")
    with pytest.raises(UnavailableError, match="give their folder with --weights"):
        store.source("local:other")


def test_no_other_module_reads_where_weights_come_from_out_of_their_name() -> None:
    reads = re.compile(r"\bparse_hub\b|startswith\((HUB|LOCAL|[\"'](hf://|local:))")
    found = [path for path in (ROOT / "hub").rglob("*.py") if reads.search(path.read_text("utf-8"))]
    assert found == [ROOT / "hub" / "weights" / "sources.py"]
