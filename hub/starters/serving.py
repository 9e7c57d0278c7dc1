"""`--model`: pages of models that nobody wrote a page for, in the folder `models` below the data folder."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hub.errors import InputError, UnavailableError
from hub.files import read_text
from hub.pages.problems import NAME, RESERVED_SLUGS
from hub.settings import Settings
from hub.starters import making
from hub.weights.sources import HubSource, parse_given, with_lora
from hub.weights.store import WeightsStore

log = logging.getLogger(__name__)


def with_models(settings: Settings, sources: Sequence[str], lora: str = "") -> Settings:
    """The settings of a hub that serves these models alone; their pages are written. Raises HubError.

    Where the Hub does not answer, the page of an earlier start serves again. `lora` goes with the one model there is.
    """
    if lora and len(sources) != 1:
        raise InputError("--lora goes with one --model, got {count}.", count=len(sources))
    if lora and isinstance(both := with_lora(sources[0], lora), HubSource):
        sources = [both.address]
    root = settings.data_folder / "models"
    store = WeightsStore(root / "weights", settings.hub_cache, offline=settings.offline)
    slugs: list[str] = []
    for source in sources:
        slug = _slug(source, slugs)
        slugs.append(slug)
        page = root / "demos" / f"{slug}.py"
        try:
            made = making.create_from(source, slug, root / "demos", store, at_once=True)
        except UnavailableError as error:
            if not _is_of(page, source):
                raise
            log.warning("%s Serving the page of an earlier start.", error.message)
            continue
        licence = made.repository.licence or "none stated"
        log.info("/%s: %s with %s, licence: %s", slug, made.task.tag, made.repository.name, licence)
    return replace(
        settings, demos_folder=str(root / "demos"), weights_folder=str(store.root), weights="", demos=",".join(slugs)
    )


def _is_of(page: Path, source: str) -> bool:
    """Whether this page was made for the source."""
    given = parse_given(source)
    return isinstance(given, HubSource) and page.is_file() and f'"{given.address}"' in read_text(page)


def _slug(source: str, taken: Sequence[str]) -> str:
    """A page's address of the model's name."""
    given = parse_given(source)
    name = (given.lora or given).repo.split("/")[1] if isinstance(given, HubSource) else given.resolve().name
    slug = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:37].rstrip("_")
    slug = slug if slug[:1].isalpha() else f"model_{slug}"[:37]
    if slug in RESERVED_SLUGS:
        slug += "_model"
    while slug in taken:
        slug = f"{slug[:36]}_2" if not slug.endswith("_2") else f"{slug[:-2]}_3"
    if not NAME.fullmatch(slug):
        raise InputError("{source} has no name that a page could have.", source=source)
    return slug
