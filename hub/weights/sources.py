"""Where weights come from: addresses, the sources they mean, and which of them a page offers.

An address is `bundled` (the folder `weights/<name>/`), `hf://owner/name[@revision][/folder]` (a Hub repository, to
which `+hf://owner/lora` adds a LoRA) or a path of a local folder. A demo lists its own in `Weights.sources`;
`--weights NAME=ADDRESS` puts one first. Each is parsed here once, when the pages are read; from then on
`WeightsStore.source` has the value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from hub.errors import HubError, InputError, UnavailableError
from hub.pages.registry import Page, Registry
from hub.spec import Weights
from hub.suggest import unknown

BUNDLED, HUB, LOCAL = "bundled", "hf://", "local:"
_PART = r"[A-Za-z0-9][\w.-]{0,95}"
_ADDRESS = re.compile(
    rf"hf://(?:models/)?(?P<repo>{_PART}/{_PART})"
    r"(?:@(?P<revision>refs/(?:pr|convert)/[\w.-]+|[\w.%-]+))?(?:/(?P<folder>[\w.-]+(?:/[\w.-]+)*))?/?"
)


@dataclass(frozen=True, slots=True)
class Bundled:
    """A folder of the weights folder, by its name."""

    folder: str


@dataclass(frozen=True, slots=True)
class Local:
    """A folder of this machine that `--weights` or a demo names. Visitors see its name, never its path."""

    path: Path


@dataclass(frozen=True, slots=True)
class HubSource:
    """A Hub repository at a revision (branch, tag, commit or `refs/pr/N`), or a folder in it."""

    repo: str
    revision: str = "main"
    folder: str = ""
    lora: HubSource | None = None  # another repository, whose LoRA is added to the weights of this one

    @property
    def address(self) -> str:
        own = f"{self.address_of_newest}@{self.revision}" + (f"/{self.folder}" if self.folder else "")
        return f"{own}+{self.lora.address}" if self.lora else own

    @property
    def reference(self) -> str:
        """What may move: the revision, and that of the LoRA with its repository."""
        return f"{self.revision}+{self.lora.address}" if self.lora else self.revision

    @property
    def is_commit(self) -> bool:
        """Whether it says itself which commit is meant."""
        return len(self.revision) == 40 and (self.lora is None or self.lora.is_commit)

    @property
    def address_of_newest(self) -> str:
        """Of the repository as its main branch has it."""
        return f"{HUB}{self.repo}"


Source = Bundled | Local | HubSource


def parse_name(name: str) -> Source:
    """The source of weights that are known by name alone. Raises HubError.

    The name of a local folder does not say where the folder is, so only a choice that was made of it has one.
    """
    if name.startswith(HUB):
        return parse_hub(name)
    if name.startswith(LOCAL):
        raise UnavailableError("There are no weights {name!r}; give their folder with --weights.", name=name)
    return Bundled(name)


def complete_name(text: str) -> str:
    """The name of the weights that a person wrote: an address gets the revision it lacks. Raises InputError."""
    return parse_hub(text).address if text.startswith(HUB) else text


def parse_repository(text: str) -> HubSource:
    """`owner/name`, with `hf://` before it or without. Raises InputError."""
    return parse_hub(text if text.startswith(HUB) else f"{HUB}{text}")


def parse_given(text: str) -> HubSource | Path:
    """What somebody wants a page for: a repository of the Hub, or a folder. Raises InputError."""
    return parse_hub(text) if text.startswith(HUB) else Path(text).expanduser()


def with_lora(text: str, lora: str) -> HubSource | Path:
    """What somebody wants a page for, with the LoRA that goes with it. Raises InputError."""
    source = parse_given(text)
    if not lora:
        return source
    if not isinstance(source, HubSource) or not lora.startswith(HUB):
        raise InputError(
            "A LoRA and its model are both repositories of the Hub: hf://owner/name[@revision], got {lora!r} for "
            "{text!r}.",
            lora=lora,
            text=text,
        )
    return parse_hub(f"{source.address}+{lora}")


def parse_hub(text: str) -> HubSource:
    """`hf://owner/name[@revision][/folder]`, and `+hf://owner/lora[@revision][/file]` behind it. Raises InputError."""
    base, plus, lora = text.strip().partition(f"+{HUB}")
    if plus:
        source = parse_hub(base)
        if source.folder or f"+{HUB}" in lora:
            raise InputError("{text!r}: one LoRA goes with a whole repository. Leave the rest out.", text=text)
        return replace(source, lora=parse_hub(HUB + lora))
    match = _ADDRESS.fullmatch(text.strip())
    if not match or ".." in text or "--" in match["repo"]:
        raise InputError(
            "{text!r} is not an address of a Hub repository. Write hf://owner/name, hf://owner/name@revision or "
            "hf://owner/name@revision/folder.",
            text=text,
        )
    return HubSource(match["repo"], (match["revision"] or "main").replace("%2F", "/"), match["folder"] or "")


def choices(text: str) -> dict[str, list[str]]:
    """`NAME=ADDRESS,NAME=ADDRESS` -> addresses by name, in order. Raises InputError."""
    by_name: dict[str, list[str]] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        name, equals, address = (part.strip() for part in entry.partition("="))
        if not equals or not name or not address:
            raise InputError(
                "--weights wants NAME=SOURCE, got {entry!r}. For example --weights "
                "vehicle_classifier=hf://owner/name@revision or --weights vehicle_classifier=./my_folder",
                entry=entry,
            )
        by_name.setdefault(name, []).append(address)
    return by_name


def apply(registry: Registry, chosen: Mapping[str, list[str]]) -> tuple[Registry, dict[str, Source]]:
    """The pages with one choice of weights per source, those of `chosen` first; and the sources by name of the weights.

    A key of `chosen` is the name of weights or of a page. Raises InputError for a key or an address that is none.
    """
    pages, sources = dict(registry.pages), dict[str, Source]()
    names = {w.name for page in registry if page.declared for w in page.declared.weights}
    for key in chosen:
        if key not in names and not (key in pages and (demo := pages[key].declared) and demo.weights):
            raise InputError("--weights: " + unknown("weights", key, sorted(names)))
    for slug, page in pages.items():
        if page.declared and page.declared.weights:
            pages[slug] = _refusal_of(page) or _with_sources(page, chosen, sources)
    return Registry(pages), sources


def keys_of(page: Page, chosen: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """What of `chosen` is for one page."""
    names = {page.pictures.slug, *(weights.name for weights in page.declared.weights)} if page.declared else set()
    return {key: addresses for key, addresses in chosen.items() if key in names}


def _refusal_of(page: Page) -> Page | None:
    """A page that says so, for a demo that declares a source which is none; the other pages serve."""
    for weights in page.demo.weights:
        for address in (BUNDLED, *weights.sources):
            try:
                _choice(weights, address, {})
            except HubError as error:
                text = f"{page.source} is not valid. weights {weights.name!r}, sources: {error.message}"
                return replace(page, declared=None, error=text)
    return None


def _with_sources(page: Page, chosen: Mapping[str, list[str]], sources: dict[str, Source]) -> Page:
    first: list[Weights] = []
    rest: list[Weights] = []
    for number, weights in enumerate(page.demo.weights):
        keys = [weights.name, *([page.pictures.slug] if number == 0 and page.pictures.slug != weights.name else [])]
        for address in (a for key in keys for a in chosen.get(key, ())):
            first.append(_choice(weights, address, sources))
        rest += [_choice(weights, address, sources) for address in (BUNDLED, *weights.sources)]
    unique = {w.name: w for w in reversed([*first, *rest])}  # the first of equals keeps its place
    ordered = dict.fromkeys(w.name for w in [*first, *rest])
    declared = replace(page.demo, weights=tuple(unique[name] for name in ordered))
    return replace(page, declared=declared)


def _choice(weights: Weights, address: str, sources: dict[str, Source]) -> Weights:
    """One address as a choice of its own, whose source is put into `sources`. Raises HubError."""
    if address == BUNDLED:
        sources.setdefault(weights.name, parse_name(weights.name))
        return weights
    if address.startswith(HUB):
        repository = parse_hub(address)
        sources[repository.address] = repository
        added = f" + {repository.lora.repo}" if repository.lora else ""
        return Weights(repository.address, title=f"{repository.repo}{added} (Hub)")
    if not address.startswith(("/", ".", "~")):
        raise InputError(
            "{address!r} is no source of weights {name!r}. A source is {bundled}, hf://owner/name[@revision], or "
            "the path of a folder that begins with /, . or ~",
            address=address,
            name=weights.name,
            bundled=BUNDLED,
        )
    path = Path(address).expanduser().resolve()
    name, number = f"{LOCAL}{path.name}", 2
    while sources.setdefault(name, Local(path)) != Local(path):
        name, number = f"{LOCAL}{path.name}-{number}", number + 1
    return Weights(name, title=f"{path.name} (local folder)")
