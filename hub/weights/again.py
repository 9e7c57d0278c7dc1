"""Pages whose files were saved while the hub serves: read as they are now, with their choices of weights."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from hub.errors import HubError
from hub.pages import over_video
from hub.pages.registry import Page, discover
from hub.settings import Settings
from hub.weights.sources import apply, choices, keys_of
from hub.weights.store import WeightsStore


def read_again(settings: Settings, store: WeightsStore, slugs: Collection[str]) -> dict[str, Page | None]:
    """The pages of these slugs as their files are now; None: there is no such file any more.

    What they said before is not among the stored answers: the file counts as a part of `Demo.version`.
    """
    folder, chosen = settings.pages_folder, choices(settings.weights)
    pages: dict[str, Page | None] = {}
    for slug in dict.fromkeys(slug if _is_there(folder, slug) else over_video.slug_of_pictures(slug) for slug in slugs):
        pages |= {slug: None, over_video.slug_of_videos(slug): None}
        if _is_there(folder, slug):
            pages |= _read(folder, slug, chosen, store)
    return pages


def _is_there(folder: Path, slug: str) -> bool:
    return (folder / f"{slug}.py").is_file()


def _read(folder: Path, slug: str, chosen: dict[str, list[str]], store: WeightsStore) -> dict[str, Page]:
    """The page, and the one that it has over videos."""
    registry = discover(folder, [slug], anew=True)
    page = registry.get(slug)
    try:
        registry, sources = apply(registry, keys_of(page, chosen))
    except HubError as error:
        return {slug: replace(page, declared=None, error=error.message)}
    store.sources.update(sources)
    digest = hashlib.sha256((folder / f"{slug}.py").read_bytes()).hexdigest()[:8]
    page = _at_version(registry.get(slug), digest)
    others = (_at_version(one, digest) for one in registry if one.slug != slug)
    return {slug: page, **{one.slug: replace(one, over=page) for one in others}}


def _at_version(page: Page, digest: str) -> Page:
    if page.declared is None:
        return page
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
