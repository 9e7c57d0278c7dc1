"""Which packages an exported Space needs: the locked ones, less those that only other demos use.

A container takes the whole lock, with its hashes. The builder of Gradio Spaces adds wishes of its own to the same
`pip install` (`gradio[oauth,mcp]==<sdk_version> uvicorn>=0.14.0 websockets>=10.4 spaces`, on ZeroGPU a limit of torch
too), so there only what the hub itself imports is pinned, and what the builder has a say in keeps to its limits.
"""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from hub.errors import UnavailableError
from hub.settings import BUNDLED, CODE, ROOT
from hub.weights.extras import EXTRAS

# Packages that not every demo needs. What is not named here is taken along.
PARTS = frozenset(
    """
    accelerate altair diffusers opencv-python-headless segmentation-models-pytorch streamlit timm torchcam transformers
    """.split()
)
# By a key of the weights' config.json, or a file of theirs: the library that reads them.
READERS: Mapping[str, tuple[str, ...]] = {
    "architecture": ("timm",),
    "_model_class": ("segmentation-models-pytorch",),
    "id2label": ("transformers",),
    "model_index.json": ("diffusers", "transformers"),
}
OPTIONAL = {"metaflow", "opentelemetry", "ray"}  # modules of extras: requirements-flow.txt, -otel.txt, -ray.txt
BUILDER_EXTRAS = ("mcp", "oauth")
ZERO_TORCH = {"torch": "torch>=2.8", "torchvision": "torchvision"}  # which of them, ZeroGPU says
_HASH = "--hash="
_LINE = re.compile(r"([A-Za-z0-9][\w.-]*)==(\S+)")


def requirements(
    demos: Iterable[Path], more: Iterable[str] = (), *, docker: bool, zero: bool = False, root: Path = ROOT
) -> list[str]:
    """Lines of a requirements.txt for the hub with these demo files and the packages `more`, sorted.

    Raises UnavailableError: for a package that a demo imports and that is not installed here, too.
    """
    locked = _locked(root / "requirements.txt")
    base = [root / "app.py", *(path for path in CODE.rglob("*.py") if not path.is_relative_to(BUNDLED))]
    packages = {*map(_name, more)} | _packages(_imports(demos), locked)
    packages |= _packages(_imports(base) - OPTIONAL, locked) - PARTS
    tops = {_name(re.split(r"[=<>~!;\[ ]", line)[0]) for line in _lines(root / "requirements.in")}
    direct = (tops - PARTS) | packages
    if docker:
        dropped = _with_theirs((tops & PARTS) - packages) - _with_theirs(direct)
        names, limits = (locked.keys() - dropped) | direct, dict[str, str]()
    else:
        names, limits = direct, _limits(locked) | (ZERO_TORCH if zero else {})
    extra = _locked_extras(root)
    lines = sorted(limits.get(n) or locked.get(n) or extra.get(n) or f"{n}=={_version(n)}" for n in names)
    # pip wants a hash for every package or for none, and the builder asks for some of its own.
    with_hashes = docker and all(_HASH in line for line in lines)
    return [line if with_hashes else _without_hashes(line) for line in lines]


def _without_hashes(line: str) -> str:
    return " ".join(word for word in line.split(" ") if not word.startswith(_HASH))


def _limits(locked: Mapping[str, str]) -> dict[str, str]:
    """Lines for packages of which Gradio's extras, which the builder wants, do not take the version used here."""
    limits = {}
    for requirement in map(Requirement, importlib.metadata.requires("gradio") or ()):
        name, marker = _name(requirement.name), requirement.marker
        if marker is None or not any(marker.evaluate({"extra": extra}) for extra in BUILDER_EXTRAS):
            continue
        pinned = _LINE.match(locked.get(name, ""))
        version = pinned[2] if pinned else _version(name) if _is_installed(name) else ""
        if version and not requirement.specifier.contains(version):
            limits[name] = f"{name}{requirement.specifier}"
    return limits


def version(package: str, *, root: Path = ROOT) -> str:
    """The locked version of a package. Raises UnavailableError."""
    line = _locked(root / "requirements.txt").get(_name(package), "")
    match = _LINE.match(line)
    if match is None:
        raise UnavailableError(
            "{path} does not pin {package}. Write it anew: make lock", path=root / "requirements.txt", package=package
        )
    return match[2]


# --- what is imported -----------------------------------------------------------------------------


def _imports(files: Iterable[Path]) -> set[str]:
    """Top-level names of all modules that these files, and the hub's modules which they import, do import."""
    names: set[str] = set()
    unread, read = [*files], set[Path]()
    while unread:
        path = unread.pop()
        if path in read:
            continue
        read.add(path)
        for module in _imported(path, path.stat().st_mtime_ns):
            parts = module.split(".")
            if parts[0] != "hub":
                names.add(parts[0])
            elif (own := CODE.parent.joinpath(*parts).with_suffix(".py")).is_file():
                unread.append(own)
    return names


@lru_cache(maxsize=1024)
def _imported(path: Path, changed_ns: int) -> frozenset[str]:
    try:
        return frozenset(_modules(ast.parse(path.read_bytes(), str(path))))
    except SyntaxError as error:
        raise UnavailableError(
            "{path} (line {lineno}) is not Python: {msg}.", path=path, lineno=error.lineno, msg=error.msg
        ) from None


def _modules(node: ast.AST) -> Iterator[str]:
    """Modules imported anywhere below, also inside functions; not those for type checkers, nor those done without."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module.split(".")[0] == "hub")
    elif isinstance(node, ast.Call) and _name_of_callee(node) in ("find_spec", "import_module"):
        yield from (str(a.value) for a in node.args if isinstance(a, ast.Constant))
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        return
    if isinstance(node, ast.Try) and any("ImportError" in ast.unparse(h.type) for h in node.handlers if h.type):
        return
    for child in ast.iter_child_nodes(node):
        yield from _modules(child)


def _name_of_callee(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


_brings = cache(importlib.metadata.packages_distributions)


def _packages(modules: Collection[str], locked: Collection[str]) -> set[str]:
    """The installed packages that bring these modules, locked ones first. Raises UnavailableError where none does."""
    brings, packages = _brings(), set[str]()
    for module in modules:
        if module in sys.stdlib_module_names or module in ("demos", "weights", "spaces"):
            continue
        if module not in brings:
            raise UnavailableError(
                "Nothing installed here brings the module {module!r}, which a page imports. Install it, so that its "
                "version can be pinned.",
                module=module,
            )
        packages.add(min(map(_name, brings[module]), key=lambda name: (name not in locked, name)))
    return packages


# --- packages -------------------------------------------------------------------------------------


def _with_theirs(names: Iterable[str]) -> set[str]:
    """The packages and all that they require, as far as they are installed here."""
    packages, unread = set[str](), [*names]
    while unread:
        name = unread.pop()
        if name in packages:
            continue
        packages.add(name)
        try:
            required = importlib.metadata.requires(name) or ()
        except importlib.metadata.PackageNotFoundError:
            continue
        for requirement in map(Requirement, required):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                unread.append(_name(requirement.name))
    return packages


def _is_installed(name: str) -> bool:
    return any(True for _ in importlib.metadata.distributions(name=name))


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        raise UnavailableError(
            "{name} is needed and not installed here. Install it, to pin its version.", name=name
        ) from None


def _locked(path: Path) -> dict[str, str]:
    """Lines of the lock by package; several for other Pythons are joined."""
    lines: dict[str, str] = {}
    for line in _lines(path):
        match = _LINE.match(line)
        if match:
            name = _name(match[1])
            lines[name] = f"{lines[name]}\n{line}" if name in lines else line
    return lines


def _locked_extras(root: Path) -> dict[str, str]:
    """As `_locked`: what only some weights need, where the locks of these extras lie beside the hub's own."""
    paths = [root / f"requirements-{extra}.txt" for extra in EXTRAS.values()]
    return {name: line for path in paths if path.is_file() for name, line in _locked(path).items()}


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    except OSError:
        raise UnavailableError("{path} is missing. A Space is exported from the hub's repository.", path=path) from None
    return [" ".join(line.split()) for line in lines if line.strip() and not line.lstrip().startswith(("#", "-"))]


def _name(text: str) -> str:
    return str(canonicalize_name(text))
