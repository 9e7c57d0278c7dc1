"""The catalogue of public repositories, weights/catalogue.toml: what else a page could run."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hub.errors import UnavailableError
from hub.files import read_text
from hub.settings import ROOT
from hub.weights.sources import HUB, HubSource, parse_repository

PATH = ROOT / "weights" / "catalogue.toml"


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """One public repository for one page; the file itself says what each field means."""

    page: str
    repository: str
    source: HubSource  # what `repository` means
    format: str
    licence: str
    size: str
    about: str
    known: str
    unusable: str = ""
    replaces: tuple[str, ...] = ()
    steps: int = 0
    guidance: float = 0.0
    side: int = 0

    @property
    def address(self) -> str:
        return f"{HUB}{self.repository}"

    @property
    def usable(self) -> bool:
        return not self.unusable


@cache
def read(path: Path = PATH) -> tuple[CatalogueEntry, ...]:
    """All entries, in order. Raises UnavailableError for a file that is not valid."""
    try:
        models = tomllib.loads(read_text(path))["model"]
        entries = tuple(_entry(model) for model in models)
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnavailableError("{path} cannot be read: {reason}. Mend or remove it.", path=path, reason=error) from None
    return entries


def _entry(model: Mapping[str, Any]) -> CatalogueEntry:
    source, replaces = parse_repository(str(model["repository"])), tuple(model.get("replaces", ()))
    return CatalogueEntry(**{**model, "source": source, "replaces": replaces})


def of_folder(folder: Path) -> CatalogueEntry | None:
    """The entry that a folder of weights from the Hub was fetched for; hub/weights/snapshots.py names these folders."""
    entries = {entry.source.repo.replace("/", "--"): entry for entry in read()}
    return next((entries[part] for part in folder.parts if part in entries), None)


def licence(source: HubSource) -> str:
    """The licence of a repository as the catalogue has it; empty where it has none."""
    return next((entry.licence for entry in read() if entry.source.repo == source.repo), "")


def instead_of(repo: str) -> str:
    """A sentence that names the next repository for the same page; empty when the catalogue knows none."""
    entries = read()
    for entry in entries:
        if repo in entry.replaces:
            return f"In its place: {entry.address}"
    here = next((entry for entry in entries if entry.source.repo == repo), None)
    if here is None:
        return ""
    same = [entry for entry in entries if entry.page == here.page and entry.usable and entry is not here]
    after = [entry for entry in same if entries.index(entry) > entries.index(here)] or same
    return f"The next in the catalogue: {after[0].address}" if after else ""
