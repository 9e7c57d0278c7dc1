"""A Hugging Face Space from this hub: chosen demos with their weights, and the code that serves them.

What is written follows from the repository and the options alone. A manifest, `.space.json`, tells an earlier export
from any other folder, and remembers its options.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hub.errors import InputError, UnavailableError
from hub.files import parse_json
from hub.pages.registry import Page, discover
from hub.settings import BUNDLED, CODE, ROOT, Settings, default_folder
from hub.spaces import needs as export_needs
from hub.spaces import texts as export_texts
from hub.spaces.texts import HARDWARE, UIS, Options
from hub.suggest import unknown
from hub.weights import extras, lock
from hub.weights.sources import HubSource, Local
from hub.weights.store import WeightsStore, open_store

MANIFEST = ".space.json"
# In a Space's folder, or in that of an installed hub, and never part of a Space.
NOT_OURS = {".git", ".cache", ".gradio", ".venv", "__pycache__", BUNDLED.name}
RESULTS = "data/"  # what the hub writes when it runs there


@dataclass(frozen=True, slots=True)
class SpacePlan:
    """What a Space consists of: its files by path (POSIX, relative) with their content."""

    options: Options
    files: Mapping[str, bytes | Path]

    @property
    def size_bytes(self) -> int:
        return sum(len(c) if isinstance(c, bytes) else c.stat().st_size for c in self.files.values())


@dataclass(frozen=True, slots=True)
class Drift:
    """A file that is not as it would be written now."""

    how: str  # changed, missing or extra
    path: str


def plan(settings: Settings, options: Options) -> SpacePlan:
    """What the Space would hold. Touches no network, writes nothing. Raises HubError."""
    if options.hardware not in HARDWARE:
        raise InputError(unknown("hardware", options.hardware, list(HARDWARE)))
    if options.ui not in UIS:
        raise InputError(unknown("ui", options.ui, UIS))
    if options.hardware == "zero" and options.docker:
        raise InputError("ZeroGPU runs Gradio Spaces only. Take --ui gradio, or --hardware cpu or gpu.")
    registry, store = open_store(settings, discover(settings.pages_folder, options.demos))
    pages = [page for page in registry if not options.demos or page.slug in options.demos]
    if not pages:
        raise InputError(
            "There is no demo in {pages_folder}, so there is nothing to export.", pages_folder=settings.pages_folder
        )
    options = replace(options, demos=tuple(page.slug for page in pages))
    sources = [_source(page) for page in pages]
    weights = [w.name for page in pages for w in page.demo.weights]
    origins = {name: store.source(name) for name in weights}
    locked = {name: entry for name, entry in store.locked().items() if name in weights}
    facts = export_texts.Facts(
        pages=tuple(pages),
        cards={name: _card(store, name) for name, origin in origins.items() if not isinstance(origin, HubSource)},
        sources=origins,
        locked=locked,
        requirements=tuple(
            export_needs.requirements(
                sources,
                _readers(store, weights, options),
                docker=options.docker,
                zero=options.hardware == "zero",
            )
        ),
        weights_setting=_weights_setting(settings, weights, options.demos),
    )
    files: dict[str, bytes | Path] = {path: text.encode() for path, text in export_texts.texts(options, facts).items()}
    files |= {path: ROOT / path for path in export_texts.copied_files(options)}
    files |= {f"hub/{path}": file for path, file in _below(CODE) if file.suffix != ".pyc"}
    credits = settings.pages_folder / "assets" / "README.md"  # whose pictures the examples are
    files |= {"demos/assets/README.md": credits} if credits.is_file() else {}
    for page, source in zip(pages, sources, strict=True):
        files[f"demos/{page.pictures.slug}.py"] = source
        files |= {f"demos/assets/{page.pictures.slug}/{path}": file for path, file in _below(page.assets)}
    for name in facts.cards:
        files |= {f"weights/{name}/{path}": file for path, file in _weights_files(store, name)}
    if locked:
        entries = {name: entry.to_json() for name, entry in sorted(locked.items())}
        files[f"weights/{lock.FILE}"] = _json({"version": lock.VERSION, "sources": entries})
    files[MANIFEST] = manifest(options, files)
    return SpacePlan(options, dict(sorted(files.items())))


def earlier(out: Path) -> Options | None:
    """The options of the export that lies in `out`; None where nothing does. Raises InputError for any other folder."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    try:
        options = parse_json((out / MANIFEST).read_text(encoding="utf-8"))["options"]
        return Options(tuple(map(str, options["demos"])), str(options["hardware"]), str(options["ui"]))
    except (OSError, ValueError, LookupError, TypeError):
        raise InputError(
            "{out} is not empty, and no earlier export (it has no valid {manifest}). Nothing was written. Name a "
            "new folder.",
            out=out,
            manifest=MANIFEST,
        ) from None


def write(planned: SpacePlan, out: Path) -> list[Drift]:
    """Makes `out` what was planned, and tells what it changed in an earlier export. Raises InputError.

    Files of the earlier export are replaced or removed; what others put there stays.
    """
    if any(out.resolve().is_relative_to(part) for part in (CODE, default_folder("demos"), default_folder("weights"))):
        raise InputError("{out} is a part of this hub. Name a folder elsewhere.", out=out)
    again = earlier(out) is not None
    before = paths_in((out / MANIFEST).read_text(encoding="utf-8")) if again else set()
    changes = [drift for drift in check(planned, out) if drift.how != "extra" or drift.path in before]
    # The manifest first: a cut export can be told from a stranger's folder, and written again.
    for path in (MANIFEST, *(drift.path for drift in changes)):
        target = out / path
        if path not in planned.files:
            target.unlink()
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        content = planned.files[path]
        if isinstance(content, bytes):
            target.write_bytes(content)
        else:
            shutil.copyfile(content, target)
    return changes if again else []


def manifest(options: Options, paths: Iterable[str]) -> bytes:
    """What `earlier` and `paths_in` read."""
    paths = sorted({*paths, MANIFEST})
    return _json({"made by": "python -m hub export-space", "options": asdict(options), "files": paths})


def paths_in(manifest: str) -> set[str]:
    """The paths that a manifest names; none of a damaged one."""
    try:
        return set(map(str, parse_json(manifest)["files"]))
    except (ValueError, LookupError, TypeError):
        return set()


def check(planned: SpacePlan, out: Path) -> list[Drift]:
    """What differs between the folder and what would be written now, by path."""
    there = {path: file for path, file in _below(out) if not path.startswith(RESULTS)} if out.is_dir() else {}
    drifts = [Drift("extra", path) for path in there if path not in planned.files]
    for path, content in planned.files.items():
        if path not in there:
            drifts.append(Drift("missing", path))
        elif not _same(there[path], content):
            drifts.append(Drift("changed", path))
    return sorted(drifts, key=lambda drift: drift.path)


def digest(content: bytes | Path) -> str:
    """sha256 in hex."""
    return hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else lock.sha256(content)


# --- what belongs to a Space ----------------------------------------------------------------------


def _source(page: Page) -> Path:
    """The file of a demo. Raises InputError for a broken page, or one that an installed package brings."""
    if page.declared is None:
        raise InputError("{slug} cannot be exported: {error}", slug=page.slug, error=page.error)
    path = Path(page.source)
    if path.suffix != ".py" or not path.is_file():
        raise InputError(
            "{slug} cannot be exported: it comes from an installed package ({source}).",
            slug=page.slug,
            source=page.source,
        )
    return path


def _readers(store: WeightsStore, weights: list[str], options: Options) -> list[str]:
    """The packages that read these weights and that the interface needs."""
    readers = ["streamlit"] if options.docker else []
    for name in weights:
        source = store.source(name)
        has_lora = isinstance(source, HubSource) and source.lora is not None
        try:
            config, files = store.find(name).config, store.files(name)
            keys = {*config, *files}
            readers += extras.packages(config, files, has_lora=has_lora)
        except UnavailableError:
            if not isinstance(source, HubSource):
                raise
            keys = set(export_needs.READERS) - {"model_index.json"}  # not here to look at: any classifier or U-Net
            readers += extras.packages({}, (), has_lora=has_lora)
        readers += [package for key, packages in export_needs.READERS.items() if key in keys for package in packages]
    return readers


def _card(store: WeightsStore, name: str) -> dict[str, Any]:
    if isinstance(store.source(name), Local):
        raise InputError(
            "{name} is a folder of this machine; a Space takes weights from the weights folder or the Hub. "
            "Publish it first: python -m hub publish",
            name=name,
        )
    return store.card(name)[0]


def _weights_files(store: WeightsStore, name: str) -> Iterator[tuple[str, Path]]:
    """What a model reads, and the card; neither recipes nor what they made on the way."""
    yield from store.files(name).items()
    yield "README.md", store.root / name / "README.md"


def _weights_setting(settings: Settings, weights: list[str], demos: tuple[str, ...]) -> str:
    """The part of the setting `weights` that is about these demos, so that the Space has the same choices."""
    entries = [entry.strip() for entry in settings.weights.split(",") if entry.strip()]
    return ",".join(entry for entry in entries if entry.partition("=")[0].strip() in {*weights, *demos})


def _below(folder: Path) -> Iterator[tuple[str, Path]]:
    """All files of a folder by their path in it, sorted; what `NOT_OURS` names is passed by."""
    for file in sorted(folder.rglob("*")):
        inside = file.relative_to(folder)
        if file.is_file() and not NOT_OURS.intersection(inside.parts):
            yield inside.as_posix(), file


def _same(file: Path, content: bytes | Path) -> bool:
    size = len(content) if isinstance(content, bytes) else content.stat().st_size
    return file.stat().st_size == size and lock.sha256(file) == digest(content)


def _json(data: Any) -> bytes:
    return (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode()
