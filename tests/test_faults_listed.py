"""bench/FAULTS.md names tests that there are, and says of the slow ones that they are."""

from __future__ import annotations

import ast
import re

from tests.served import ROOT

LISTED = (ROOT / "bench" / "FAULTS.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`( \((slow|soak|release|ray)\))?")

LATER = {"slow", "soak", "release", "ray"}


def marks(path: str) -> dict[str, set[str]]:
    """The tests of a file, each with the words of its marks and the file's."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    of_file = {
        word
        for node in tree.body
        if isinstance(node, ast.Assign) and "pytestmark" in ast.unparse(node.targets[0])
        for word in re.findall(r"mark\.(\w+)", ast.unparse(node.value))
    }
    return {
        node.name: of_file | {w for one in node.decorator_list for w in re.findall(r"mark\.(\w+)", ast.unparse(one))}
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_promise_names_a_test_that_there_is_and_when_it_runs() -> None:
    rows = [line for line in LISTED.splitlines() if line.startswith("| ") and not line.startswith("| fault")]
    assert len(rows) > 30
    for row in rows:
        found = NAMED.findall(row)
        assert found, row
        for path, name, _, when in found:
            there = marks(path)
            assert name in there, f"{path} has no {name}"
            assert when in there[name] if when else not there[name] & LATER, f"{name}: say when it runs"
