"""HTML comes from templates, which escape whatever is put into them: no code puts a tag together by itself."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from hub.settings import ROOT
from hub.web.routes import TEMPLATES

TAG = re.compile(
    r"</?(?:html|head|body|meta|title|link|script|noscript|style|iframe|main|header|footer|section|article|nav|div|span|p|a"
    r"|b|i|em|strong|small|code|pre|br|hr|img|svg|path|figure|figcaption|table|thead|tbody|tr|t[dh]|[uod]l|li|d[td]"
    r"|h[1-6]|form|fieldset|legend|label|input|textarea|select|option|button|details|summary|progress|url|loc|urlset"
    r"|demo-hub-page)(?=[\s/>]|$)",
    re.IGNORECASE,
)
MAY_ESCAPE = {"hub/web/parts/pieces.py"}  # for the values of texts that have tags of their own
ESCAPES = {"html", "html.escape", "markupsafe.escape", "markupsafe.escape_silent", "xml.sax.saxutils"}
FORMATS = {"format", "format_map", "join"}


def built(path: Path) -> Iterator[int]:
    """The lines where a file fills values into a text with tags: by f-string, `%`, `+`, `format`, `join`, `Markup`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    constants = {
        target.id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if any(has_tag(part, constants) for part in filled(node)):
            yield node.lineno  # type: ignore[attr-defined]  # what is filled is an expression


def filled(node: ast.AST) -> Iterator[ast.expr]:
    """The texts that an expression puts values into."""
    if isinstance(node, ast.JoinedStr):
        yield from (part for part in node.values if isinstance(part, ast.Constant))
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        yield node.left
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        yield from (node.left, node.right)
    elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add):
        yield node.value
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in FORMATS:
        yield node.func.value
    elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Template", "Markup"):
        yield from node.args[:1]


def has_tag(text: ast.expr, constants: Mapping[str, ast.expr]) -> bool:
    """Whether a text that stands in the code, there or as a constant of the file, has a tag."""
    value = constants.get(text.id) if isinstance(text, ast.Name) else text
    words = value.value if isinstance(value, ast.Constant) else ""
    return TAG.search(words.decode("latin-1") if isinstance(words, bytes) else str(words)) is not None


def escapes(path: Path) -> Iterator[int]:
    """The lines where a file imports what escapes by hand."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom):
            names = [str(node.module), *(f"{node.module}.{name}" for name in names)]
        if ESCAPES & {*names}:
            yield node.lineno  # type: ignore[attr-defined]  # an import


def test_no_code_puts_a_tag_together() -> None:
    found = [f"{path.relative_to(ROOT)}:{line}" for path in sorted(ROOT.glob("hub/**/*.py")) for line in built(path)]
    assert found == []


def test_nothing_is_escaped_by_hand() -> None:
    found = [f"{path.relative_to(ROOT)}:{line}" for path in sorted(ROOT.glob("hub/**/*.py")) for line in escapes(path)]
    assert {place.partition(":")[0] for place in found} == MAY_ESCAPE, found


def test_no_folder_of_templates_is_a_heap() -> None:
    folders = [TEMPLATES, *(path for path in TEMPLATES.rglob("*") if path.is_dir())]
    assert {folder.name: count for folder in folders if (count := len([*folder.glob("*.*")])) > 20} == {}


@pytest.mark.parametrize(
    "code",
    [
        "f'<p>{words}</p>'",
        "f'{start}</p>'",
        "'<p>%s</p>' % words",
        "'<p class=\"{}\">'.format(words)",
        "PAGE = '<h1>{title}</h1>'\ndef draw(title): return PAGE.format(title=title)",
        "b'<head>' + more",
        "head += '<script>'",
        "'</li><li>'.join(rows)",
        "Markup('<b>')",
        "f'<iframe src=\"{url}\"'",
        "f'<td{kind}>'",
    ],
)
def test_a_tag_that_code_puts_together_is_found(tmp_path: Path, code: str) -> None:
    (tmp_path / "late.py").write_text(code, encoding="utf-8")
    assert [*built(tmp_path / "late.py")]


@pytest.mark.parametrize("code", ["from html import escape", "import html", "from markupsafe import Markup, escape"])
def test_an_escape_by_hand_is_found(tmp_path: Path, code: str) -> None:
    (tmp_path / "late.py").write_text(code, encoding="utf-8")
    assert [*escapes(tmp_path / "late.py")] == [1]
