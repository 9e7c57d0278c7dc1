"""No pattern of ours can be made slow by what it is given: each is fed growing hostile texts made from itself."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.served import ROOT

METHODS = {"match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer"}
PROGRAM = Path(__file__).with_name("hostile_texts.py")


def slow(patterns: list[tuple[re.Pattern[Any], list[str]]]) -> list[str | None]:
    """For each pattern the text that is slow with one of these methods, or None; judged in a process of its own."""
    asked = [
        json.dumps([p.pattern.decode("latin-1"), p.flags, True, methods])
        if isinstance(p.pattern, bytes)
        else json.dumps([p.pattern, p.flags, False, methods])
        for p, methods in patterns
    ]
    told = subprocess.run(
        [sys.executable, str(PROGRAM)], input="\n".join(asked), capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in told.stdout.splitlines()]


def test_no_pattern_takes_more_than_one_look_at_a_text_however_it_is_made() -> None:
    found = sorted(used().items(), key=lambda entry: entry[0][1])
    assert len(found) > 35  # or it looks at the wrong places
    told = slow([(compiled(key), sorted(methods)) for key, methods in found])
    assert {key[1]: text for (key, _), text in zip(found, told, strict=True) if text} == {}


CARELESS = (
    (r"(a+)+b", "match"),
    (r"(?:https?://[^/?#]+[^?#]*)?/api/v1/(demos|results)/([^/?#]+)/([^?#]+)", "fullmatch"),  # ours once
    (r"(?P<label>.*?): weights '(?P<name>.*?)' have no '(?P<missing>.*?)', so", "fullmatch"),  # and these
    (rb'<html\b([^>]*?)\blang="en"', "search"),
    (r"\s+$", "search"),
    (r"[\w.-]+(?:[\w-]+\.)+com", "fullmatch"),
)


def test_careless_patterns_are_found_out() -> None:
    told = slow([(re.compile(pattern, re.DOTALL), [method]) for pattern, method in CARELESS])
    assert [pattern for (pattern, _), text in zip(CARELESS, told, strict=True) if not text] == []


def test_careful_patterns_are_not() -> None:
    careful = [r"[^,;]*(?:;[^,;]*)*;base64,", r"(?:\s++|a)*+b", r"[a-z0-9][a-z0-9_-]{0,63}", r"\bhf_\w{6,}"]
    assert slow([(re.compile(pattern), ["match"]) for pattern in careful]) == [None] * len(careful)


# --- where patterns are --------------------------------------------------------------------------------------------


def compiled(key: tuple[bool, str, int]) -> re.Pattern[Any]:
    is_bytes, text, flags = key
    return re.compile(text.encode("latin-1") if is_bytes else text, flags)


@cache
def used() -> dict[tuple[bool, str, int], set[str]]:
    """Every pattern of the package with the methods it is used with: compiled ones, and those given to `re` at once."""
    found: dict[tuple[bool, str, int], set[str]] = {}
    for module in modules():
        tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
        calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)]
        patterns, methods = [*kept(module)], dict[str, set[str]]()
        for call in calls:
            if not is_re(call) and method(call) in METHODS:
                methods.setdefault(named(call), set()).add(method(call))
        names = {name for name, _ in patterns}
        others = {one for name in methods.keys() - names for one in methods[name]} - {"split"}  # of those in a table
        for name, pattern in patterns:
            add(found, pattern, methods.get(name) or others or {"fullmatch"})
        for call in filter(is_re, calls):
            if method(call) in METHODS:
                add(found, re.compile(evaluated(call, module)), {method(call)})
    return found


def add(found: dict[tuple[bool, str, int], set[str]], pattern: re.Pattern[Any], methods: set[str]) -> None:
    is_bytes = isinstance(pattern.pattern, bytes)
    text = pattern.pattern.decode("latin-1") if is_bytes else pattern.pattern
    found.setdefault((is_bytes, text, pattern.flags), set()).update(methods)


def modules() -> Iterator[ModuleType]:
    """Those of hub, demos and weights that have patterns; not the recipes, which read their own data."""
    files = [*ROOT.glob("*.py"), *ROOT.glob("hub/**/*.py"), *ROOT.glob("demos/*.py"), *ROOT.glob("weights/*.py")]
    for file in files:
        if "\nimport re\n" in file.read_text(encoding="utf-8"):
            yield importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))


def kept(module: ModuleType) -> Iterator[tuple[str, re.Pattern[Any]]]:
    """Compiled patterns by the module's own names, also in tuples, lists and dicts."""
    for name, value in vars(module).items():
        yield from ((name, pattern) for pattern in within(value, depth=3))


def within(value: Any, depth: int) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif depth and isinstance(value, dict | list | tuple | set | frozenset):
        for part in value.values() if isinstance(value, dict) else value:
            yield from within(part, depth - 1)


def is_re(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name) and call.func.value.id == "re"


def method(call: ast.Call) -> str:
    assert isinstance(call.func, ast.Attribute)
    return call.func.attr


def named(call: ast.Call) -> str:
    """`NAME` of `NAME.match(...)` and `module.NAME.match(...)`."""
    assert isinstance(call.func, ast.Attribute)
    return getattr(call.func.value, "id", getattr(call.func.value, "attr", ""))


def evaluated(call: ast.Call, module: ModuleType) -> Any:
    """The pattern of `re.method(pattern, ...)`, which must be made of the module's own constants."""
    expression = compile(ast.Expression(call.args[0]), str(module.__file__), "eval")
    return eval(expression, dict(vars(module)))  # noqa: S307 - an expression of our own code
