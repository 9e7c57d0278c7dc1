"""Imports run downwards only, in the order of the wings; and no two modules import each other in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from hub.settings import ROOT

# From the ground up. A wing may import itself and what stands before it. Names are packages or modules below hub/.
WINGS = """
(ground) decoding results people pages weights execution kit starters engine archive jobs spaces cluster hub contract
describe batch web
cli __main__
""".split()
WEB = "(web) parts middleware api site gradio_door gradio_ui streamlit_ui mcp serving server announce".split()
DEMOS_MAY = ("hub.spec", "hub.images", "hub.kit")


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of each module of ours that a file imports, also inside of functions and for type checkers."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name.split(".")[0] == "hub")
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno} imports relatively"
            if node.module and node.module.split(".")[0] == "hub":
                yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def modules(root: Path) -> dict[str, Path]:
    """Every module below hub/, by its full name."""
    found = {}
    for path in sorted((root / "hub").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def module_of(name: str, known: Mapping[str, Path]) -> str:
    """The module that an imported name is or lies in."""
    while name not in known:
        name = name.rpartition(".")[0]
        assert name, "an import of nothing"
    return name


def wing(module: str, wings: list[str], depth: int) -> int:
    """Where a module stands in the order."""
    parts = module.split(".")
    name = parts[depth] if len(parts) > depth else ""
    return wings.index(name) if name in wings else 0


def upward(root: Path) -> list[str]:
    """Imports that run up, each with its place."""
    known = modules(root)
    wrong = []
    for module, path in known.items():
        for line, name in imported(path):
            target = module_of(name, known)
            here, there = wing(module, WINGS, 1), wing(target, WINGS, 1)
            if here == there == WINGS.index("web"):
                here, there = wing(module, WEB, 2), wing(target, WEB, 2)
            if there > here:
                wrong.append(f"{path.relative_to(root)}:{line} imports {target}")
    return wrong


def circles(root: Path) -> list[list[str]]:
    """Groups of modules that import each other, also by way of others."""
    known = modules(root)
    edges = {module: {module_of(name, known) for _, name in imported(path)} for module, path in known.items()}
    reach = {module: reached(module, edges) for module in edges}
    groups = {frozenset({m, *(o for o in reach[m] if m in reach[o])}) for m in edges}
    return sorted(sorted(group) for group in groups if len(group) > 1)


def reached(start: str, edges: Mapping[str, set[str]]) -> set[str]:
    seen, waiting = set[str](), [*edges[start] - {start}]
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting += edges[module]
    return seen


def test_every_wing_is_in_the_order() -> None:
    packages = {path.parent.name for path in (ROOT / "hub").glob("*/__init__.py")}
    assert packages <= {*WINGS, "spec"}  # which belongs to the ground
    assert {path.parent.name for path in (ROOT / "hub" / "web").glob("*/__init__.py")} <= set(WEB)


def test_imports_run_downwards() -> None:
    assert upward(ROOT) == []


def test_nothing_imports_in_a_circle() -> None:
    assert circles(ROOT) == []


def test_demos_import_what_is_promised_to_them() -> None:
    wrong = [
        f"{path.name}:{line} imports {name}"
        for path in sorted((ROOT / "demos").glob("*.py"))
        for line, name in imported(path)
        if not any(f"{name}.".startswith(f"{allowed}.") for allowed in DEMOS_MAY)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("wing", "line"),
    [
        ("results", "from hub.engine.engine import Engine"),
        ("engine", "if TYPE_CHECKING:\n    from hub.hub import Hub"),
        ("archive", "def late():\n    from hub.web import server"),
    ],
)
def test_an_import_that_runs_up_is_found(tmp_path: Path, wing: str, line: str) -> None:
    for name in ("hub", "hub/results", "hub/engine", "hub/archive", "hub/web"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    for name in ("hub/engine/engine.py", "hub/hub.py", "hub/web/server.py"):
        (tmp_path / name).touch()
    assert upward(tmp_path) == []
    (tmp_path / "hub" / wing / "late.py").write_text(line)
    assert len(upward(tmp_path)) == 1
