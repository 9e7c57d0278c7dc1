"""The wings of the web import downwards only, and what REST answers is one file a noun: none imports another."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WEB = ROOT / "hub" / "web"
# Bottom to top. A wing imports itself and those left of it; those in one group do not know each other.
ORDER = (
    {"problems", "drawers", "connections"},
    {"routes"},
    {"middleware"},
    {"api"},
    {"parts"},
    {"site"},
    {"gradio_door"},
    {"gradio_ui", "streamlit_ui", "mcp"},
    {"announce", "serving", "server"},
)
NOUNS = {"demos", "history", "links", "gallery", "grid", "health"}


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of all that a file imports, `TYPE_CHECKING` or not."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, one.name) for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{one.name}") for one in node.names)


def upward(web: Path) -> list[str]:
    """Imports of files below `web` that do not run downwards."""
    rank = {wing: number for number, group in enumerate(ORDER) for wing in group}
    wrong = []
    for file in sorted(web.rglob("*.py")):
        parts = file.relative_to(web).with_suffix("").parts
        for line, name in imports(file):
            whole, wing = f"{file.name}:{line} imports {name}", parts[0]
            if not name.startswith("hub.web.") or wing == "__init__":
                continue
            other, _, rest = name.removeprefix("hub.web.").partition(".")
            if other != wing and rank[other] >= rank[wing]:
                wrong.append(whole)
            if wing == other == "api" and parts[-1] in NOUNS - {"demos"} and rest.split(".")[0] in NOUNS:
                wrong.append(whole)
    return wrong


def test_the_wings_of_the_web_import_downwards_only() -> None:
    assert upward(WEB) == []


def test_an_import_that_runs_upwards_is_named(tmp_path: Path) -> None:
    for place, line in {"middleware/guard.py": "from hub.web.api.answers import answer",
                        "site/links.py": "def draw():\n    import hub.web.gradio_ui.fields",
                        "mcp/tools.py": "from hub.web.streamlit_ui import host",
                        "api/grid.py": "from hub.web.api.gallery import POLICY",
                        "gradio_ui/app.py": "from hub.web.parts import html"}.items():  # fmt: skip
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text(line)
    named = {text.partition(" ")[0] for text in upward(tmp_path)}
    assert named == {"grid.py:1", "guard.py:1", "tools.py:1", "links.py:2"}
