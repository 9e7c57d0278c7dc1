"""Finds demos (files and installed entry points), checks each declaration, and looks slugs up.

A demo that cannot be imported or is not valid becomes a page that says so; the others serve.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.machinery import SourceFileLoader
from importlib.metadata import entry_points
from pathlib import Path
from types import CodeType, ModuleType

from hub.errors import DeclarationError, NotFoundError
from hub.pages import hints, over_video
from hub.pages.problems import problems
from hub.people.rights import tags
from hub.settings import INSTALLED, ROOT, default_folder
from hub.spec import Demo, Example, ImageInput
from hub.suggest import unknown
from hub.texts import ENGLISH, NAMES

log = logging.getLogger(__name__)

ENTRY_POINTS = "demo_hub.demos"
NO_PAGES = (
    "There is no folder of demos {folder} yet. Write a page: demo-hub new my_demo. Or take bundled ones: "
    "demo-hub bundled."
)


@dataclass(frozen=True, slots=True)
class Page:
    """A registered demo, or (`demo` is None) the reason why there is none."""

    slug: str
    source: str  # what to open to fix it: a path or an entry point
    assets: Path  # examples and cover
    declared: Demo | None = None
    error: str = ""
    over: Page | None = None  # of a page over videos: the one that each frame goes to
    like: Page | None = None  # an earlier page with the same `load` and `infer`: one model answers both

    def __post_init__(self) -> None:
        if self.declared is not None:  # all doors ask for what is drawn on a picture as for any other input
            object.__setattr__(self, "declared", hints.with_hints(self.declared))

    @property
    def pictures(self) -> Page:
        """The page that was written: of one over videos that of its frames, else the page itself."""
        return self.over or self

    @property
    def model_page(self) -> Page:
        """The page whose model answers."""
        return self.pictures.like or self.pictures

    @property
    def model_slug(self) -> str:
        """The slug of the page whose model answers."""
        return self.model_page.slug

    @property
    def names(self) -> tuple[str, ...]:
        """All by which the rules of `--rights` may name it: also the page that it is over, its tags and its task."""
        of_demo = (*self.declared.tags, self.declared.task) if self.declared else ()
        return (self.slug, *((self.over.slug,) if self.over else ()), *tags(of_demo))

    @property
    def demo(self) -> Demo:
        """The declaration. Raises DeclarationError on a broken page."""
        if self.declared is None:
            raise DeclarationError(self.error)
        return self.declared

    @property
    def title(self) -> str:
        return self.declared.title if self.declared else self.slug.replace("_", " ").capitalize()

    def card_path(self, language: str = ENGLISH) -> Path:
        """Where a picture of an answer is for the gallery, with words on it in this language, if somebody made one."""
        name = "card_video" if self.over else "card"
        return self.assets / (f"{name}.webp" if language == ENGLISH else f"{name}.{language}.webp")

    def cards(self) -> list[Path]:
        """These pictures, in every language that has one."""
        return [path for path in map(self.card_path, NAMES) if path.is_file()]

    def cover_in(self, language: str) -> Path | None:
        """The picture for the gallery as it is for who reads this language."""
        path = self.card_path(language)
        return path if self.declared is not None and path.is_file() else self.cover

    @property
    def cover(self) -> Path | None:
        """The picture for the gallery, if the demo has one: an answer's, else the one it declares, else an example."""
        if self.declared is None:
            return None
        if self.card_path().is_file():
            return self.card_path()
        names = [self.declared.cover] if self.declared.cover else [e for e, _ in self.example_images()]
        return self.assets / names[0] if names else None

    def example_images(self) -> Iterator[tuple[str, str]]:
        """(file name, title) of each example's first picture."""
        assert self.declared is not None
        for example in self.declared.examples:
            if name := self._first_picture(example):
                yield name, example.title

    def tiles(self) -> Iterator[tuple[str, str, bool]]:
        """(file name or "", title, given) of each example: its first picture, else what comes of it, given False."""
        assert self.declared is not None
        for example in self.declared.examples:
            picture = self._first_picture(example)
            yield picture or example.picture, example.title, bool(picture)

    def _first_picture(self, example: Example) -> str:
        names = [f.name for f in self.demo.inputs if isinstance(f, ImageInput)]
        return next((str(example.inputs[name]) for name in names if name in example.inputs), "")


@dataclass(slots=True)
class Registry:
    """Pages by slug, in gallery order."""

    pages: dict[str, Page] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Page]:
        return iter(self.pages.values())

    def get(self, slug: str) -> Page:
        """The page of `slug`. Raises NotFoundError that suggests near misses."""
        if slug in self.pages:
            return self.pages[slug]
        raise NotFoundError(unknown("demo", slug, list(self.pages)))

    def put(self, changed: Mapping[str, Page | None]) -> None:
        """Takes these pages for what their slugs had; None: the page is gone.

        Whoever goes through the pages now goes on through those that there were.
        """
        self.pages = _in_order(page for page in {**self.pages, **changed}.values() if page is not None)


def _in_order(pages: Iterable[Page]) -> dict[str, Page]:
    """By slug, in gallery order; of pages whose models are the same, all have that of the first."""
    ordered = {p.slug: p for p in sorted(pages, key=lambda p: (p.declared.order if p.declared else 999, p.slug))}
    first: dict[tuple[object, ...], Page] = {}
    for slug, page in ordered.items():
        if page.declared is not None and page.over is None:
            demo = page.declared
            earlier = first.setdefault((id(demo.load), id(demo.infer), demo.max_batch), page)
            like = None if earlier is page else earlier
            ordered[slug] = page if page.like is like else replace(page, like=like)
    for slug, page in ordered.items():
        if page.over is not None and page.over.slug in ordered:
            ordered[slug] = replace(page, over=ordered[page.over.slug])
    return ordered


def discover(folder: Path | None = None, only: Sequence[str] = (), *, anew: bool = False) -> Registry:
    """Imports every `<folder>/*.py` and entry point. Imports no torch, gradio, streamlit or diffusers.

    `anew`: files may have been written a moment ago, so that Python's own copies of what it compiled are not trusted.
    Raises NotFoundError when a slug of `only`, or the folder, does not exist.
    """
    folder = folder or default_folder("demos")
    entries = list(entry_points(group=ENTRY_POINTS))
    own = INSTALLED and folder == default_folder("demos")
    needed = {name for slug in only for name in (slug, over_video.slug_of_pictures(slug))}
    if not folder.is_dir() and not (own and entries):
        text = NO_PAGES if own else "There is no folder of demos {folder}. Check --demos-folder."
        raise NotFoundError(text, folder=folder)
    pages: dict[str, Page] = {}
    for path in sorted(folder.glob("*.py")):
        if not path.name.startswith("_") and (not only or path.stem in needed):
            pages[path.stem] = _page(path.stem, str(path), folder / "assets" / path.stem, partial(_load, path, anew))
    for entry in entries:
        if only and entry.name not in needed:
            continue
        source = f"entry point {entry.name} = {entry.value}"
        if entry.name in pages:
            message = f"Two demos are called {entry.name!r}: {pages[entry.name].source} and {source}. Rename one."
            pages[entry.name] = Page(entry.name, source, folder / "assets" / entry.name, error=message)
            continue
        pages[entry.name] = _page(entry.name, source, None, entry.load)
    _add_pages_over_videos(pages)
    for slug in only:
        if slug not in pages:
            slugs = sorted({*(p.stem for p in folder.glob("[!_]*.py")), *(e.name for e in entries)})
            raise NotFoundError(unknown("demo", slug, slugs))
    if only:
        pages = {slug: p for slug, p in pages.items() if {slug, p.pictures.slug} & {*only}}
    return Registry(_in_order(pages.values()))


def _add_pages_over_videos(pages: dict[str, Page]) -> None:
    """Beside each page that says so, the same over a video."""
    for page in [page for page in pages.values() if page.declared is not None and page.declared.video is not None]:
        slug = over_video.slug_of_videos(page.slug)
        if slug in pages:
            message = (
                f"Two demos are called {slug!r}: {pages[slug].source} and the videos of {page.source}. Rename one."
            )
            pages[slug] = Page(slug, page.source, page.assets, error=message)
            continue
        demo = over_video.declare(page.demo)
        faults = problems(slug, demo, page.assets, functions=False)
        error = f"{page.source} is not valid. video: " + " ".join(faults) if faults else ""
        pages[slug] = Page(slug, page.source, page.assets, None if faults else demo, error, page)


class _Anew(SourceFileLoader):
    """Compiles the file as it is: two saves within a second look alike to Python's cache."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def _load(path: Path, anew: bool) -> object:
    name = f"demos.{path.stem}"
    loader = _Anew(name, str(path)) if anew else None
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # so that dataclasses and pickling inside the demo resolve
    spec.loader.exec_module(module)
    return module


def _page(slug: str, source: str, assets: Path | None, load: Callable[[], object]) -> Page:
    """Loads one demo; whatever is wrong with it ends up in `Page.error`, without a traceback."""
    try:
        declaration = load()
        if isinstance(declaration, ModuleType):
            declaration = getattr(declaration, "DEMO", None)
    # A demo file can raise anything at import, or leave; isolating it is this function's purpose.
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        log.warning("demo %s cannot be imported", slug, exc_info=True)
        where = f" (line {error.lineno})" if isinstance(error, SyntaxError) else ""
        message = f"{source}{where} cannot be imported: {type(error).__name__}: {error}"
        return Page(slug, source, assets or _beside(None, slug), error=message)
    assets = assets or _beside(declaration, slug)
    if not isinstance(declaration, Demo):
        return Page(slug, source, assets, error=f"{source} must end with DEMO = Demo(...) from hub.spec.")
    try:
        faults = problems(slug, declaration, assets)
    except Exception as error:  # the declaration may hold anything; `problems` knows the usual mistakes
        log.warning("demo %s cannot be checked", slug, exc_info=True)
        faults = [f"It cannot be checked ({type(error).__name__}: {error}); compare it with hub/spec/demo.py."]
    if faults:
        log.warning("demo %s is not valid: %s", slug, " ".join(faults))
        return Page(slug, source, assets, error=f"{source} is not valid. " + " ".join(faults))
    return Page(slug, source, assets, declared=declaration)


def _beside(declaration: object, slug: str) -> Path:
    """assets/<slug>/ beside the file that an installed demo's functions are in."""
    module = sys.modules.get(getattr(getattr(declaration, "load", None), "__module__", ""))
    file = getattr(module, "__file__", None)
    return (Path(file).parent if file else ROOT / "demos") / "assets" / slug
