"""Pages whose files were saved while the hub serves: read as they are now, with their choices of weights."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from hub.errors import HubError
from hub.pages.registry import Page, Registry, discover
from hub.settings import Settings
from hub.weights.sources import apply, choices, keys_of
from hub.weights.store import WeightsStore


def read_again(settings: Settings, store: WeightsStore, slugs: Collection[str]) -> dict[str, Page | None]:
    """The pages of these slugs as their files are now; None: there is no such file any more.

    What they said before is not among the stored answers: the file counts as a part of `Demo.version`.
    """
    folder, chosen = settings.pages_folder, choices(settings.weights)
    return {slug: _read(folder, slug, chosen, store) if (folder / f"{slug}.py").is_file() else None for slug in slugs}


def _read(folder: Path, slug: str, chosen: dict[str, list[str]], store: WeightsStore) -> Page:
    page = discover(folder, [slug], anew=True).get(slug)
    try:
        registry, sources = apply(Registry({slug: page}), keys_of(page, chosen))
    except HubError as error:
        return replace(page, declared=None, error=error.message)
    store.sources.update(sources)
    page = registry.get(slug)
    if page.declared is None:
        return page
    digest = hashlib.sha256((folder / f"{slug}.py").read_bytes()).hexdigest()[:8]
    return replace(page, declared=replace(page.declared, version=f"{page.declared.version}-{digest}"))


def loading_code(path: Path) -> str | None:
    """What of a page's file its model is made by: what DEMO names as `load`, and all of the file that this names.

    None: the file is no Python now, or is gone.
    """
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError):
        return None
    parts: dict[str, list[ast.stmt]] = {}
    for statement in tree.body:
        for name in _bound(statement):
            parts.setdefault(name, []).append(statement)
    nodes = (node for part in parts.get("DEMO", ()) for node in ast.walk(part))
    load = next((node.value for node in nodes if isinstance(node, ast.keyword) and node.arg == "load"), None)
    if load is None:  # declared in a way of its own: anything may count
        return ast.dump(tree)
    needed, waiting = set[str](), _named(load) & parts.keys()
    while waiting:
        name = waiting.pop()
        needed.add(name)
        named = set[str]().union(*map(_named, parts[name]))
        waiting |= (named & parts.keys()) - needed
    return "\n".join([ast.dump(load), *(ast.dump(part) for name in sorted(needed) for part in parts[name])])


def _named(node: ast.AST) -> set[str]:
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


def _bound(statement: ast.stmt) -> set[str]:
    """The names that a statement of a module binds."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    names = {alias.asname or alias.name.split(".")[0] for alias in getattr(statement, "names", ())}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return names
    stored = (node for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    return {node.id for node in stored}
