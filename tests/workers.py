"""Which worker of pytest-xdist runs which files, and in what order, under `make test` (`--dist loadfile`)."""

from __future__ import annotations

from pathlib import PurePath

from xdist.scheduler import LoadScopeScheduling

# Files whose tests use the same served hub, which takes seconds to start. Other files of tests/e2e use the first, which
# would take longer than all else together if it had all.
HUB, SECOND, OWN_PAGES = "tests/e2e", "tests/e2e/second", "tests/e2e/own_pages"
OF_SECOND = (
    "bar chosen_files axe layout many similar_row slow_line streamlit_pages tabs weight".split()
)  # fmt: skip
GROUPS = {
    **{f"test_{name}": SECOND for name in OF_SECOND},
    "test_live": OWN_PAGES,
    "test_progress": OWN_PAGES,
    "test_launcher": "tests/e2e/test_launcher.py",
}

# What takes longest begins first, so that at the end no worker is left alone with it.
FIRST = [
    HUB,
    SECOND,
    "tests/test_bench.py",
    OWN_PAGES,
    "tests/demos/test_contract.py",
    "tests/weights/test_offline.py",
    "tests/e2e/test_launcher.py",
    "tests/kit/test_heat_maps.py",
    "tests/demos/test_camvid.py",
    "tests/web/streamlit_ui/test_streamlit.py",
    "tests/engine/test_engine.py",
]


def group(nodeid: str) -> str:
    """What of a run is one worker's: a file, or the files that share a hub."""
    file = nodeid.split("::", 1)[0]
    return GROUPS.get(PurePath(file).stem, HUB) if file.startswith(f"{HUB}/") else file


def rank(nodeid: str) -> tuple[int, str]:
    """Sorts tests by when they begin; those of one group stay in their order."""
    name = group(nodeid)
    return (FIRST.index(name), "") if name in FIRST else (len(FIRST), name)


class ByGroup(LoadScopeScheduling):
    """Hands out groups in the order in which tests were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)
